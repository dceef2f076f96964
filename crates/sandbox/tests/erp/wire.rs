//! Statuses, headers, envelopes.

use http_kit::Exchange;
use http_kit::client::Outgoing;
use sandbox::erp::ErpSettings;
use serde_json::{Value, json};

use crate::client::{context, erp, erp_with, usual_lines, with};

#[tokio::test]
async fn an_answer_is_json_with_the_id_of_its_request_and_the_servers_date() {
    let erp = erp().await;
    let params = json!([[["id", "=", 0]], 0, 1, null, context()]);
    let Exchange::Answered { status, headers, body } = erp.exchange("model.sale.sale.search", params).await else { panic!("no answer") };
    assert_eq!((status.as_u16(), &headers["content-type"]), (200, &"application/json".parse().unwrap()));
    assert!(chrono::DateTime::parse_from_rfc2822(headers["date"].to_str().unwrap()).is_ok());
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&body["result"], body["id"].is_u64()), (&json!([]), true));
}

#[tokio::test]
async fn who_is_not_logged_in_gets_401_and_a_new_session_heals_it() {
    let mut erp = erp().await;
    let params = json!([[1], ["name"], context()]);
    erp.double.expire_sessions();
    let Exchange::Answered { status, body, .. } = erp.exchange("model.party.party.read", params.clone()).await else { panic!() };
    assert_eq!((status.as_u16(), &body[..]), (401, &b""[..]));
    assert_eq!(erp.status("common.db.login", json!(["adapter", {"password": "guess"}, "en"])).await, 401);
    erp.log_in().await;
    let search = json!([[["id", "=", 0]], 0, 1, null, context()]);
    assert_eq!(erp.status("model.sale.sale.search", search.clone()).await, 200);
    assert_eq!(erp.rpc("common.db.logout", json!([])).await["result"], Value::Null);
    assert_eq!(erp.status("model.sale.sale.search", search).await, 401);
}

#[tokio::test]
async fn guessing_passwords_ends_in_429() {
    let erp = erp_with(ErpSettings { login_attempts_max: 2, ..ErpSettings::default() }).await;
    let guess = || erp.status("common.db.login", json!(["adapter", {"password": "guess"}, "en"]));
    assert_eq!([guess().await, guess().await, guess().await], [401, 401, 429]);
}

#[tokio::test]
async fn wrong_calls_get_the_statuses_of_the_real_one() {
    let erp = erp().await;
    for (method, params, expected) in [
        ("model.sale.sale.nosuch", json!([[2], context()]), 403),
        ("model.product.list_price.read", json!([[2], [], context()]), 200),
        ("model.sale.sale.read", json!([[2], ["number"]]), 422),
        ("model.party.party.read", json!([[1, 1], ["name"], context()]), 422),
        ("wizard.sale.return_sale.create", json!([context()]), 403),
    ] {
        assert_eq!(erp.status(method, params).await, expected, "{method}");
    }
    assert_eq!(erp.fails("no.such.read", json!([[2], []])).await, json!(["'no.such'", ""]));
    assert!(erp.refused("sale.sale.read", json!([[999], ["number"]])).await.contains("that don't exist"));
    let body = json!({"id": 1, "method": "common.db.login", "params": []}).to_string();
    for (url, body, expected) in [
        (erp.double.url().replace("/erp/", "/other/"), body.clone(), 404),
        (erp.double.url(), "{".to_owned(), 400),
        (erp.double.url(), r#"{"id":1,"method":"x"}"#.to_owned(), 400),
        (erp.double.base_url(), body, 404),
    ] {
        let Exchange::Answered { status, .. } = erp.http.send(Outgoing::post_json(url.clone(), body)).await else { panic!() };
        assert_eq!(status.as_u16(), expected, "{url}");
    }
}

#[tokio::test]
async fn the_servers_version_is_told_to_everybody() {
    let erp = erp().await;
    let body = json!({"id": 1, "method": "common.server.version", "params": []}).to_string();
    let outgoing = Outgoing::post_json(format!("{}/rpc/", erp.double.base_url()), body);
    let Exchange::Answered { body, .. } = erp.http.send(outgoing).await else { panic!() };
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["result"], "8.2");
}

#[tokio::test]
async fn a_write_on_what_somebody_else_changed_is_refused_when_asked() {
    let erp = erp().await;
    let sale = erp.draft("1001", usual_lines()).await;
    let read = erp.call("sale.sale.read", json!([[sale], ["_timestamp"]])).await;
    let mut guarded = context();
    guarded["_timestamp"] = json!({ format!("sale.sale,{sale}"): read[0]["_timestamp"] });
    erp.call_in("sale.sale.write", json!([[sale], {"comment": "a"}]), guarded.clone()).await;
    for (method, params) in [("write", json!([[sale], {"comment": "b"}])), ("quote", json!([[sale]]))] {
        let answer = erp.rpc(&format!("model.sale.sale.{method}"), with(params, guarded.clone())).await;
        assert_eq!(answer["error"], json!(["ConcurrencyException", "Records were modified in the meanwhile"]));
    }
}
