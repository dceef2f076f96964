//! The door from outside.

use std::io::ErrorKind;

use bytes::Bytes;
use connector::Platforms;
use http::{HeaderName, Method, StatusCode, header};
use sandbox::shopify::{HMAC, RawDelivery, TOPIC, WEBHOOK_ID};
use service_kit::Life;
use testkit::{eventually, eventually_eq};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::rig::{Answer, Rig, SECRET, SOON, client, post, send, send_by, sign};

/// Stands in bodies, headers and paths, and in no answer.
const CANARY: &str = "ada.lovelace-4711";

fn signed<'a>(topic: &'a str, id: &'a str, signature: &'a str) -> [(HeaderName, &'a str); 3] {
    [(TOPIC, topic), (WEBHOOK_ID, id), (HMAC, signature)]
}

fn check_problem(answer: &Answer, status: u16, code: &str) {
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status.as_u16(), status, "{text}");
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json");
    let document: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(document["type"], format!("urn:tradewind:error:{code}"));
    assert_eq!(document["status"], status);
    assert!(!text.contains(CANARY), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_signed_and_addressed_gets_in() {
    let Some(rig) = Rig::new().await else { return };
    let running = rig.start().await;
    let body = Bytes::from(format!("{{\"id\": 1, \"note\": \"{CANARY}\"}}"));
    let signature = sign(SECRET, &body);

    for bit in [0, 7, body.len() * 8 - 1] {
        let mut flipped = body.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        check_problem(&post(&rig.url, &signed("orders/create", CANARY, &signature), flipped).await, 401, "bad_signature");
    }
    let foreign = sign("another secret", &body);
    for wrong in [foreign.as_str(), "", "no base64", &signature[..10], &signature.to_lowercase()] {
        check_problem(&post(&rig.url, &signed("orders/create", CANARY, wrong), body.clone()).await, 401, "bad_signature");
    }
    check_problem(&post(&rig.url, &[(TOPIC, "orders/create")], body.clone()).await, 401, "bad_signature");

    let right = signed("orders/create", CANARY, &signature);
    let base = rig.url.trim_end_matches("shop-eu");
    check_problem(&post(&format!("{base}{CANARY}"), &right, body.clone()).await, 404, "unknown_connection");
    check_problem(&post(&format!("{base}%ff{CANARY}"), &right, body.clone()).await, 404, "unknown_connection");
    check_problem(&post(&format!("{base}shop-eu/{CANARY}"), &right, body.clone()).await, 404, "not_found");
    check_problem(&post(base, &right, body.clone()).await, 404, "not_found");
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let answer = send(method, &rig.url, &right, None).await;
        check_problem(&answer, 405, "not_found");
        assert_eq!(answer.headers[header::ALLOW], "POST");
    }
    let zipped = [right.to_vec(), vec![(header::CONTENT_ENCODING, "gzip")]].concat();
    check_problem(&post(&rig.url, &zipped, body.clone()).await, 415, "body_encoded");

    assert_eq!(post(&rig.url, &right, body).await.status, StatusCode::OK);
    let account = rig.settled().await;
    assert_eq!(rig.distinct().await, 1, "nothing of the others");
    assert!(account.balances());
    running.stop().await;
}

/// Whatever is signed is acked, and what can't be mapped is kept to the last byte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signed_bytes_of_any_content_are_kept() {
    let Some(rig) = Rig::new().await else { return };
    let running = rig.start().await;
    let bodies: [Bytes; 4] = [Bytes::new(), "not json \u{0}".into(), vec![0xff; 300].into(), vec![b'['; 100_000].into()];
    for (n, body) in bodies.iter().enumerate() {
        assert_eq!(rig.deliver(&format!("w{n}"), body.clone()).await.status, StatusCode::OK);
    }
    let answer = post(&rig.url, &[(HMAC, &sign(SECRET, b"{}"))], "{}").await;
    assert_eq!(answer.status, StatusCode::OK, "without any other header");
    let account = rig.settled().await;
    assert_eq!((account.count("dead"), account.count("discarded")), (4, 1));
    let mut kept: Vec<Vec<u8>> =
        sqlx::query_scalar("select value from letters.letter order by ordinal").fetch_all(rig.store.pool()).await.unwrap();
    kept.sort_by_key(Vec::len);
    assert_eq!(kept, bodies.map(|it| it.to_vec()));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_over_the_limit_is_refused_and_in_the_audit() {
    let Some(rig) = Rig::new().await else { return };
    let running = rig.start().await;
    let limit = rig.settings().door.body_bytes_max;
    let body = Bytes::from(vec![b' '; limit + 1]);
    for id in ["w1", "w2"] {
        let answer = rig.deliver(id, body.clone()).await;
        check_problem(&answer, 413, "body_too_large");
    }
    let sql = "select detail from letters.audit where verb = 'delivery.too_large'";
    let detail: String =
        eventually(SOON, async || sqlx::query_scalar(sql).fetch_optional(rig.store.pool()).await.unwrap().ok_or("no line yet")).await;
    assert!(detail.starts_with("connection shop-eu: orders/create/w1 has more than 4194304 bytes"), "{detail}");
    assert_eq!(rig.count("select count(*) from letters.audit where verb = 'delivery.too_large'").await, 1, "one a minute");
    assert_eq!(rig.deliver("w3", body.slice(1..)).await.status, StatusCode::OK, "the limit itself passes");
    let account = rig.settled().await;
    assert_eq!(account.count("dead"), 1);
    running.stop().await;
}

/// Somebody whose body is a mebibyte but for its last byte.
async fn takes_the_room(rig: &Rig) -> TcpStream {
    let mut stranger = TcpStream::connect(("127.0.0.1", rig.door())).await.unwrap();
    let length = 1 << 20;
    let head =
        format!("POST /webhooks/shop-eu HTTP/1.1\r\nhost: x\r\n{HMAC}: {}\r\ncontent-length: {length}\r\n\r\n", sign("not ours", b""));
    // Who is refused in the middle of it can't send the rest.
    let _sent = stranger.write_all(&[head.as_bytes(), &vec![b' '; length - 1]].concat()).await;
    stranger
}

/// What strangers send takes room, signed or not, until it is whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_find_no_room_are_sent_back() {
    let Some(rig) = Rig::new().await else { return };
    let mut settings = rig.settings();
    (settings.door.body_bytes_max, settings.door.bodies_bytes_max) = (1 << 20, 1 << 20);
    let running = rig.start_with(settings).await;
    let mut stranger = takes_the_room(&rig).await;
    let refused = tokio::time::timeout(SOON, async {
        loop {
            let answer = rig.deliver("w1", "{}").await;
            if answer.status != StatusCode::OK {
                return answer;
            }
            // While ours was there it may have been the one that found no room.
            if !matches!(stranger.try_read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock) {
                stranger = takes_the_room(&rig).await;
            }
        }
    });
    let refused = refused.await.expect("there is room yet");
    check_problem(&refused, 503, "body_no_room");
    assert_eq!(refused.headers[header::RETRY_AFTER], "5");
    drop(stranger);
    eventually_eq(SOON, StatusCode::OK, async || rig.deliver("w1", "{}").await.status).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_secrets_are_good_while_one_takes_over_from_the_other() {
    let Some(rig) = Rig::new().await else { return };
    let status = async |secret: &str, id: &str| {
        let body = Bytes::from_static(b"{\"id\":1}");
        post(&rig.url, &signed("app/uninstalled", id, &sign(secret, &body)), body).await.status.as_u16()
    };
    let running = rig.start().await;
    assert_eq!((status(SECRET, "1").await, status("the next one", "2").await), (200, 401));
    running.stop().await;
    rig.secrets(&["the next one", SECRET]);
    let running = rig.start().await;
    assert_eq!((status(SECRET, "3").await, status("the next one", "4").await), (200, 200));
    rig.shop.rotate_secret("the next one").unwrap();
    rig.shop.send_raw_to(&rig.url, &RawDelivery::new("app/uninstalled", "{\"id\":2}"));
    assert_eq!(rig.shop.settled(SOON).await.unwrap().failed_attempts, 0);
    running.stop().await;
    rig.secrets(&["the next one"]);
    let running = rig.start().await;
    assert_eq!((status(SECRET, "5").await, status("the next one", "6").await), (401, 200));
    assert_eq!(rig.settled().await.count("discarded"), 5);
    running.stop().await;
}

/// A shop under load takes a new secret into use while the door is open. Nothing is refused, and the old one is good for no longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_changed_under_load_without_a_restart_or_a_refusal() {
    let Some(rig) = Rig::new().await else { return };
    let running = rig.start().await;
    let body = Bytes::from_static(b"{\"id\":1}");
    let client = client();
    let status = async |secret: &str, id: String| {
        let signature = sign(secret, &body);
        let headers = signed("app/uninstalled", &id, &signature);
        send_by(&client, Method::POST, &rig.url, &headers, Some(body.clone())).await.status.as_u16()
    };
    let burst = async |secret: &str, name: &str| {
        let all = (0..40).map(|n| status(secret, format!("{name}{n}")));
        futures_util::future::join_all(all).await.into_iter().filter(|it| *it != 200).count()
    };
    let refused = [
        burst(SECRET, "before").await,
        {
            // While deliveries of the old one are on their way.
            let (old, ()) = tokio::join!(burst(SECRET, "during"), async { rig.secret(0, &format!("the next one\n{SECRET}\n")) });
            old
        },
        burst("the next one", "new").await,
        burst(SECRET, "late").await,
    ];
    assert_eq!(refused, [0; 4]);
    rig.secret(0, "the next one\n");
    eventually_eq(SOON, 401, async || status(SECRET, "retired".to_owned()).await).await;
    assert_eq!(burst("the next one", "after").await, 0);
    running.stop().await;
}

/// Nothing unchecked is let in, so without a secret there is no door.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_secret_the_service_does_not_start() {
    let Some(rig) = Rig::new().await else { return };
    let start = async || {
        let platforms = Platforms::default().with_storefront(connector_shopify::Shopify);
        storefront_ingest::run(rig.settings(), platforms, Life::default()).await.map(drop).unwrap_err()
    };
    rig.secrets(&[]);
    assert!(format!("{:#}", start().await).contains("names no file"), "no file is named");
    rig.secrets(&["\n"]);
    assert!(format!("{:#}", start().await).contains("is empty"), "the file has none");
    assert!(TcpStream::connect(("127.0.0.1", rig.door())).await.is_err(), "nobody listens");
}

/// Whoever can't show a signature is not listened to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_signature_no_byte_of_the_body_is_waited_for() {
    let Some(rig) = Rig::new().await else { return };
    let running = rig.start().await;
    for header in ["", "X-Shopify-Hmac-Sha256: c2hvcnQ=\r\n"] {
        let mut stream = TcpStream::connect(("127.0.0.1", rig.door())).await.unwrap();
        let head = format!("POST /webhooks/shop-eu HTTP/1.1\r\nHost: x\r\n{header}Content-Length: 4000000\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        tokio::time::timeout(SOON, stream.read_exact(&mut answer)).await.expect("it does not wait for the body").unwrap();
        assert_eq!(&answer, b"HTTP/1.1 401");
    }
    running.stop().await;
}

/// The sender may be gone before its answer: what it sent is kept or not, and the next one finds the door as it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senders_that_hang_up_leave_the_door_as_it_was() {
    let Some(rig) = Rig::new().await else { return };
    let running = rig.start().await;
    let body = "{\"id\":1}";
    let request = |id: &str, length: usize| {
        let signature = sign(SECRET, body.as_bytes());
        format!(
            "POST /webhooks/shop-eu HTTP/1.1\r\nHost: x\r\nX-Shopify-Topic: app/uninstalled\r\nX-Shopify-Webhook-Id: {id}\r\n\
             X-Shopify-Hmac-Sha256: {signature}\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    for n in 0..50 {
        let mut stream = TcpStream::connect(("127.0.0.1", rig.door())).await.unwrap();
        stream.write_all(request(&format!("whole{n}"), body.len()).as_bytes()).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
        drop(stream);
        let mut stream = TcpStream::connect(("127.0.0.1", rig.door())).await.unwrap();
        stream.write_all(request(&format!("half{n}"), body.len()).as_bytes()).await.unwrap();
        stream.write_all(&body.as_bytes()[..4]).await.unwrap();
        drop(stream);
    }
    let mut stream = TcpStream::connect(("127.0.0.1", rig.door())).await.unwrap();
    stream.write_all(request("last", body.len()).as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = [0; 15];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    eventually_eq(SOON, true, async || rig.count("select count(*) from ingest.decision").await > 0).await;
    let account = rig.settled().await;
    assert!(account.balances());
    assert!((1..=51).contains(&rig.distinct().await), "no half delivery among them");
    running.stop().await;
}
