//! A caller of the double: a session, envelopes, and the sales that most tests begin with.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, header};
use http_kit::Exchange;
use http_kit::client::{Client, Outgoing, Settings};
use sandbox::erp::{ErpDouble, ErpSettings};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

pub(crate) struct Erp {
    pub(crate) double: ErpDouble,
    pub(crate) http: Client,
    session: String,
    number: AtomicU64,
}

pub(crate) fn context() -> Value {
    json!({"company": 1, "language": "en"})
}

pub(crate) fn http_client() -> Client {
    http_client_of(Settings::default())
}

pub(crate) fn http_client_of(settings: Settings) -> Client {
    Client::new(&Settings { allow_private: vec!["127.0.0.1".parse().unwrap()], ..settings }).unwrap()
}

pub(crate) async fn erp() -> Erp {
    erp_with(ErpSettings::default()).await
}

pub(crate) async fn erp_with(settings: ErpSettings) -> Erp {
    let double = ErpDouble::start(settings).unwrap();
    let http = http_client();
    let mut erp = Erp { double, http, session: String::new(), number: AtomicU64::new(1) };
    erp.log_in().await;
    erp
}

impl Erp {
    pub(crate) async fn log_in(&mut self) {
        let settings = self.double.settings();
        let (login, password) = (settings.login.clone(), settings.password.expose_secret().to_owned());
        let answer = self.rpc("common.db.login", json!([login, {"password": password}, "en"])).await;
        let (user, key) = (answer["result"][0].as_i64().unwrap(), answer["result"][1].as_str().unwrap().to_owned());
        self.session = format!("Session {}", STANDARD.encode(format!("{login}:{user}:{key}")));
    }

    pub(crate) fn outgoing(&self, method: &str, params: &Value) -> Outgoing {
        let id = self.number.fetch_add(1, Ordering::Relaxed);
        let body = json!({"id": id, "method": method, "params": params}).to_string();
        Outgoing::post_json(self.double.url(), body).header(header::AUTHORIZATION, HeaderValue::from_str(&self.session).unwrap())
    }

    pub(crate) async fn exchange(&self, method: &str, params: Value) -> Exchange {
        self.http.send(self.outgoing(method, &params)).await
    }

    pub(crate) async fn status(&self, method: &str, params: Value) -> u16 {
        let Exchange::Answered { status, .. } = self.exchange(method, params).await else { panic!("no answer") };
        status.as_u16()
    }

    /// The body of a 200.
    pub(crate) async fn rpc(&self, method: &str, params: Value) -> Value {
        let exchange = self.exchange(method, params).await;
        let Exchange::Answered { status, body, .. } = &exchange else { panic!("{exchange:?}") };
        assert_eq!(status.as_u16(), 200, "{exchange:?}");
        serde_json::from_slice(body).unwrap()
    }

    /// The result of a call that must succeed. `params` are without the context.
    pub(crate) async fn call(&self, method: &str, params: Value) -> Value {
        self.call_in(method, params, context()).await
    }

    pub(crate) async fn call_in(&self, method: &str, params: Value, context: Value) -> Value {
        let answer = self.rpc(&format!("model.{method}"), with(params, context)).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// The error of a call that must fail within the envelope.
    pub(crate) async fn fails(&self, method: &str, params: Value) -> Value {
        let answer = self.rpc(&format!("model.{method}"), with(params, context())).await;
        assert!(answer.get("result").is_none(), "{method}: {answer}");
        answer["error"].clone()
    }

    /// The message of a `UserError`.
    pub(crate) async fn refused(&self, method: &str, params: Value) -> String {
        let error = self.fails(method, params).await;
        assert_eq!(error[0], "UserError", "{error}");
        error[1][0].as_str().unwrap().to_owned()
    }

    /// Makes a customer; returns party and address.
    pub(crate) async fn customer(&self) -> (i64, i64) {
        let party = json!({
            "name": "Ada Lovelace",
            "addresses": [["create", [{"party_name": "Ada Lovelace", "city": "London", "invoice": true, "delivery": true}]]],
        });
        let party = id(&self.call("party.party.create", json!([[party]])).await);
        let read = self.call("party.party.read", json!([[party], ["addresses"]])).await;
        (party, read[0]["addresses"][0].as_i64().unwrap())
    }

    pub(crate) async fn draft(&self, web_id: &str, lines: Value) -> i64 {
        let sale = self.sale_values(web_id, lines).await;
        id(&self.call("sale.sale.create", json!([[sale]])).await)
    }

    pub(crate) async fn sale_values(&self, web_id: &str, lines: Value) -> Value {
        let (party, address) = self.customer().await;
        json!({
            "company": 1, "party": party, "invoice_address": address, "shipment_address": address, "currency": 1,
            "payment_term": 1, "warehouse": 5, "web_shop": 1, "web_id": web_id, "reference": format!("#{web_id}"),
            "invoice_method": "order", "shipment_method": "order", "carrier": 1, "shipment_cost_method": null,
            "lines": [["create", lines]],
        })
    }

    /// A sale that is being processed.
    pub(crate) async fn booked(&self, web_id: &str, lines: Value) -> i64 {
        let sale = self.draft(web_id, lines).await;
        for button in ["quote", "confirm"] {
            self.press("sale.sale", button, sale).await;
        }
        sale
    }

    pub(crate) async fn press(&self, model: &str, button: &str, id: i64) {
        assert_eq!(self.call(&format!("{model}.{button}"), json!([[id]])).await, Value::Null);
    }

    pub(crate) async fn sale(&self, id: i64) -> Value {
        let fields = [
            "number",
            "state",
            "invoice_state",
            "shipment_state",
            "untaxed_amount",
            "tax_amount",
            "total_amount",
            "lines",
            "invoices",
            "shipments",
            "shipment_returns",
            "moves",
            "invoices_ignored",
        ];
        self.call("sale.sale.read", json!([[id], fields])).await[0].clone()
    }

    /// State, invoice state and shipment state.
    pub(crate) async fn states(&self, id: i64) -> [String; 3] {
        let sale = self.sale(id).await;
        ["state", "invoice_state", "shipment_state"].map(|it| sale[it].as_str().unwrap().to_owned())
    }
}

pub(crate) fn with(params: Value, context: Value) -> Value {
    let Value::Array(mut params) = params else { panic!("parameters are a list") };
    params.push(context);
    Value::Array(params)
}

/// The one id of a create's result.
pub(crate) fn id(result: &Value) -> i64 {
    assert_eq!(result.as_array().map(Vec::len), Some(1), "{result}");
    result[0].as_i64().unwrap()
}

pub(crate) fn decimal(text: &str) -> Value {
    json!({"__class__": "Decimal", "decimal": text})
}

/// Product ids as the seed gives them.
pub(crate) const MUG_RED: i64 = 4;
pub(crate) const MUG_BLUE: i64 = 5;
pub(crate) const SHIPPING: i64 = 7;

pub(crate) fn line(product: i64, quantity: i64, price: &str) -> Value {
    json!({
        "type": "line", "product": product, "unit": 1, "quantity": quantity, "unit_price": decimal(price), "taxes": [["add", [1]]],
        "description": "web line",
    })
}

/// Two mugs and shipping: 28.80.
pub(crate) fn usual_lines() -> Value {
    json!([line(MUG_RED, 2, "9.50"), line(SHIPPING, 1, "5.00")])
}
