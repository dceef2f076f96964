//! Every fault, as a client sees it; and that what was applied is applied, whatever was answered.

use std::time::{Duration, Instant};

use http_kit::client::{Client, Settings, retry_after};
use http_kit::{Exchange, NotSent, Unknown};
use sandbox::effects::Kind;
use sandbox::erp::ErpSettings;
use sandbox::faults::{Fault, Latency, RetryAfter, Rule};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Erp, context, decimal, erp, erp_with, http_client_of, id, usual_lines, with};

/// A client with little patience.
fn hasty() -> Client {
    http_client_of(Settings {
        read: Duration::from_millis(300),
        total: Duration::from_secs(5),
        response_max: 64 * 1024,
        ..Settings::default()
    })
}

/// Creates a sale under a fault; returns how that ended.
async fn create_under(erp: &Erp, rule: Rule) -> Exchange {
    let sale = erp.sale_values("1001", usual_lines()).await;
    erp.double.fault(rule.on("model.sale.sale.create")).unwrap();
    hasty().send(erp.outgoing("model.sale.sale.create", &with(json!([[sale]]), context()))).await
}

fn applied(erp: &Erp) -> usize {
    erp.double.effects().count_applied("sale.sale.create", "1001")
}

/// Waits until the double has noted what it answered: then the request is over for it.
async fn settled(erp: &Erp) {
    let noted = || erp.double.effects().entries().iter().any(|it| it.kind == Kind::Answered && it.operation == "sale.sale.create");
    let wait = async {
        while !noted() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), wait).await.unwrap();
}

#[tokio::test]
async fn statuses_come_with_their_wait_and_apply_only_if_told() {
    for (fault, expected) in [
        (Fault::status(500), None),
        (Fault::status(502), None),
        (Fault::status(401), None),
        (Fault::retry_later(429, RetryAfter::Seconds(7)), Some(7)),
        (Fault::retry_later(503, RetryAfter::Seconds(7)), Some(7)),
        (Fault::retry_later(503, RetryAfter::Text("soon".into())), None),
    ] {
        let Fault::Status { status: wanted, .. } = fault else { unreachable!() };
        for is_applied in [false, true] {
            let erp = erp().await;
            let rule = Rule { apply: is_applied, ..Rule::new(fault.clone()) };
            let Exchange::Answered { status, headers, .. } = create_under(&erp, rule).await else { panic!("no answer") };
            assert_eq!((status.as_u16(), applied(&erp)), (wanted, usize::from(is_applied)));
            assert_eq!(retry_after(&headers, chrono::Utc::now()).map(|it| it.as_secs()), expected);
        }
    }
    let erp = erp().await;
    let Exchange::Answered { headers, .. } = create_under(&erp, Rule::new(Fault::retry_later(503, RetryAfter::DateIn(60)))).await else {
        panic!("no answer")
    };
    assert!((55..=60).contains(&retry_after(&headers, chrono::Utc::now()).unwrap().as_secs()), "{headers:?}");
}

#[tokio::test]
async fn resets_and_silence_leave_the_client_in_the_dark_whether_applied_or_not() {
    for (fault, expected) in [(Fault::Reset, Unknown::Reset), (Fault::HangUp, Unknown::Reset), (Fault::Silence, Unknown::ReadTimeout)] {
        for is_applied in [false, true] {
            let erp = erp().await;
            let rule = Rule { apply: is_applied, ..Rule::new(fault.clone()) };
            assert_eq!(create_under(&erp, rule).await, Exchange::Unknown(expected), "{fault:?}");
            settled(&erp).await;
            assert_eq!(applied(&erp), usize::from(is_applied), "{fault:?}");
            let received = erp.double.effects().received("sale.sale.create").count();
            assert_eq!(received, 1);
        }
    }
}

#[tokio::test]
async fn an_early_reset_comes_before_the_body_is_read() {
    let erp = erp().await;
    erp.double.fault(Rule::new(Fault::ResetEarly)).unwrap();
    let address = erp.double.base_url().replace("http://", "");
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The body is never sent.
    stream.write_all(b"POST /erp/rpc/ HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n").await.unwrap();
    let error = stream.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(!erp.double.effects().entries().iter().any(|it| it.kind == Kind::Received && it.operation == "sale.sale.create"));
}

#[tokio::test]
async fn bad_bodies_are_bad_and_their_requests_applied() {
    let erp = erp().await;
    let text = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
    for (number, fault) in [Fault::HalfBody, Fault::InvalidUtf8, Fault::DuplicateKeys, Fault::ContentType { value: "text/plain".into() }]
        .into_iter()
        .enumerate()
    {
        let web_id = number.to_string();
        let sale = erp.sale_values(&web_id, usual_lines()).await;
        erp.double.fault(Rule::new(fault.clone()).about(web_id.clone())).unwrap();
        let exchange = erp.exchange("model.sale.sale.create", with(json!([[sale]]), context())).await;
        let Exchange::Answered { status, headers, body } = exchange else { panic!("{exchange:?}") };
        assert_eq!(status.as_u16(), 200);
        match fault {
            Fault::HalfBody | Fault::InvalidUtf8 => assert!(serde_json::from_slice::<Value>(&body).is_err(), "{}", text(&body)),
            Fault::DuplicateKeys => assert!(text(&body).starts_with("{\"id\":null,\"id\":"), "{}", text(&body)),
            _ => assert_eq!(headers["content-type"], "text/plain"),
        }
        assert_eq!(erp.double.effects().count_applied("sale.sale.create", &web_id), 1);
    }
}

#[tokio::test]
async fn foreign_answers_are_not_of_the_erp() {
    let erp = erp().await;
    let Exchange::Answered { status, headers, body } = create_under(&erp, Rule::new(Fault::LoginPage)).await else { panic!("no answer") };
    assert_eq!((status.as_u16(), &headers["content-type"]), (200, &"text/html; charset=utf-8".parse().unwrap()));
    assert!(body.starts_with(b"<!doctype html>"));
    let elsewhere = Fault::Redirect { status: 301, location: "http://169.254.169.254/".into() };
    let Exchange::Answered { status, headers, .. } = create_under(&erp, Rule::new(elsewhere)).await else { panic!("no answer") };
    assert_eq!((status.as_u16(), &headers["location"]), (301, &"http://169.254.169.254/".parse().unwrap()));
    assert_eq!(applied(&erp), 0);
}

#[tokio::test]
async fn answers_that_drip_break_off_or_never_end() {
    for (fault, expected) in [
        (Fault::Drip { interval_ms: 1000 }, Unknown::ReadTimeout),
        (Fault::DripBody { interval_ms: 1000 }, Unknown::ReadTimeout),
        (Fault::CutOff, Unknown::Truncated),
        (Fault::Endless, Unknown::TooLarge),
    ] {
        let erp = erp().await;
        assert_eq!(create_under(&erp, Rule::new(fault.clone())).await, Exchange::Unknown(expected), "{fault:?}");
    }
}

#[tokio::test]
async fn a_slow_drip_arrives_whole_in_the_end() {
    let erp = erp().await;
    for fault in [Fault::Drip { interval_ms: 1 }, Fault::DripBody { interval_ms: 1 }] {
        erp.double.fault(Rule::new(fault)).unwrap();
        let began = Instant::now();
        let answer = erp.rpc("model.sale.sale.search", json!([[["id", "=", 0]], 0, 1, null, context()])).await;
        assert_eq!(answer["result"], json!([]));
        assert!(began.elapsed() >= Duration::from_millis(15), "every byte takes its time");
        // The connection drips on.
        erp.double.refuse(None).await;
        erp.double.restore().await;
    }
}

#[tokio::test]
async fn an_outage_refuses_connections_and_ends() {
    let erp = erp().await;
    erp.double.refuse(None).await;
    let exchange = erp.exchange("model.sale.sale.search", json!([[], 0, 1, null, context()])).await;
    assert_eq!(exchange, Exchange::NotSent(NotSent::Refused));
    erp.double.restore().await;
    assert_eq!(erp.status("model.sale.sale.search", json!([[], 0, 1, null, context()])).await, 200);
}

#[tokio::test]
async fn one_order_fails_and_the_others_pass() {
    let erp = erp().await;
    let sale = erp.draft("1001", usual_lines()).await;
    let other = erp.draft("1002", usual_lines()).await;
    erp.double.fault(Rule::new(Fault::status(500)).about("1001").always()).unwrap();
    for (method, params) in [
        ("quote", json!([[sale]])),
        ("read", json!([[sale], ["state"]])),
        ("write", json!([[sale], {"comment": "x"}])),
        ("search", json!([[["web_shop", "=", 1], ["web_id", "=", "1001"]], 0, 2, null])),
    ] {
        assert_eq!(erp.status(&format!("model.sale.sale.{method}"), with(params, context())).await, 500, "{method}");
    }
    erp.press("sale.sale", "quote", other).await;
    erp.double.plan().clear();
    let booked = erp.booked("1003", usual_lines()).await;
    let shipment = erp.sale(booked).await["shipments"][0].clone();
    erp.double.fault(Rule::new(Fault::status(500)).about("1003").always()).unwrap();
    assert_eq!(erp.status("model.stock.shipment.out.pick", json!([[shipment], context()])).await, 500, "a shipment is its order's");
}

#[tokio::test]
async fn what_a_client_set_off_goes_on_when_the_client_is_gone() {
    let erp = erp_with(ErpSettings { latency: Latency::Fixed { ms: 400 }, ..ErpSettings::default() }).await;
    erp.double.set_latency(Latency::None);
    let sale = erp.sale_values("1001", usual_lines()).await;
    erp.double.set_latency(Latency::Fixed { ms: 400 });
    let create = with(json!([[sale]]), context());
    let exchange = hasty().send(erp.outgoing("model.sale.sale.create", &create)).await;
    assert_eq!(exchange, Exchange::Unknown(Unknown::ReadTimeout));
    assert_eq!(applied(&erp), 0, "not yet");
    settled(&erp).await;
    assert_eq!(applied(&erp), 1);
}

#[tokio::test]
async fn received_and_applied_are_in_the_log_before_the_answer() {
    let erp = erp().await;
    let sale = erp.sale_values("1001", usual_lines()).await;
    let before = erp.double.log().last();
    id(&erp.call("sale.sale.create", json!([[sale]])).await);
    let entries = erp.double.log().since(before);
    let kinds: Vec<_> = entries.iter().map(|it| it.kind).collect();
    assert_eq!(kinds, [Kind::Received, Kind::Applied, Kind::Answered]);
    let requests: std::collections::BTreeSet<_> = entries.iter().map(|it| it.request).collect();
    assert_eq!(requests.len(), 1);
    assert_eq!(entries[1].amounts["total"], "28.80");
    let text = serde_json::to_string(&entries).unwrap();
    assert!(!text.contains("Ada") && !text.contains("London"), "no personal data: {text}");
    assert_eq!(erp.sale(1).await["total_amount"], decimal("28.80"));
}

#[tokio::test]
async fn more_requests_at_once_than_allowed_are_refused_and_counted() {
    let settings = ErpSettings { parallel_max: Some(2), ..ErpSettings::default() };
    let erp = erp_with(settings).await;
    erp.double.set_latency(Latency::Fixed { ms: 300 });
    let ask = || erp.status("model.sale.sale.search", json!([[["id", "=", 0]], 0, 1, null, context()]));
    let (a, b, c) = tokio::join!(ask(), ask(), ask());
    let mut seen = [a, b, c];
    seen.sort_unstable();
    assert_eq!(seen, [200, 200, 429]);
    let load = erp.double.load();
    assert_eq!((load.highest, load.refused, load.present), (3, 1, 0));
}

#[tokio::test]
async fn look_ups_lag_behind_when_told() {
    let erp = erp().await;
    let domain = json!([[["web_shop", "=", 1], ["web_id", "=", "1001"]], 0, 2, null]);
    erp.double.set_lookup_lag(Duration::from_secs(3600));
    let sale = erp.draft("1001", usual_lines()).await;
    assert_eq!(erp.call("sale.sale.search", domain.clone()).await, json!([]));
    assert_eq!(erp.states(sale).await[0], "draft", "by its id it is there");
    erp.double.set_lookup_lag(Duration::ZERO);
    assert_eq!(erp.call("sale.sale.search", domain).await, json!([sale]));
}
