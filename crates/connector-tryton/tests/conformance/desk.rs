//! A clerk who works in the ERP beside the connector, and looks what it did. Its own small client, on purpose.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, header};
use http_kit::client::{Outgoing, Settings};
use http_kit::{Client, Exchange};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

pub(crate) struct Desk {
    client: Client,
    url: String,
    login: String,
    password: String,
    company: Value,
    session: OnceCell<HeaderValue>,
}

impl Desk {
    pub(crate) fn new(url: &str, ids: &Value) -> Self {
        let client = Client::new(&Settings { allow_private: vec!["127.0.0.1".parse().unwrap()], ..Settings::default() }).unwrap();
        let text = |name: &str| ids["clerk"][name].as_str().unwrap().to_owned();
        let (login, password) = (text("login"), text("password"));
        Self { client, url: url.to_owned(), login, password, company: ids["company"].clone(), session: OnceCell::new() }
    }

    /// The result, or the error that Tryton gave.
    pub(crate) async fn ask(&self, method: &str, mut params: Vec<Value>) -> Result<Value, Value> {
        params.push(json!({"company": self.company, "language": "en"}));
        let session = self.session.get_or_init(|| self.log_in()).await;
        self.send(method, params, Some(session)).await
    }

    pub(crate) async fn call(&self, method: &str, params: Vec<Value>) -> Value {
        self.ask(method, params).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    async fn log_in(&self) -> HeaderValue {
        let params = vec![json!(self.login), json!({"password": self.password}), json!("en")];
        let session = self.send("common.db.login", params, None).await.unwrap();
        let token = STANDARD.encode(format!("{}:{}:{}", self.login, session[0], session[1].as_str().unwrap()));
        format!("Session {token}").parse().unwrap()
    }

    async fn send(&self, method: &str, params: Vec<Value>, session: Option<&HeaderValue>) -> Result<Value, Value> {
        let body = json!({"id": 1, "method": method, "params": params}).to_string();
        let mut outgoing = Outgoing::post_json(&self.url, body);
        if let Some(session) = session {
            outgoing = outgoing.header(header::AUTHORIZATION, session.clone());
        }
        match self.client.send(outgoing).await {
            Exchange::Answered { status, body, .. } => {
                let answer: Value = serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{method}: {status} {body:?}"));
                if answer["error"].is_null() { Ok(answer["result"].clone()) } else { Err(answer["error"].clone()) }
            }
            ended => panic!("{method}: {ended:?}"),
        }
    }

    pub(crate) async fn read(&self, model: &str, domain: Value, fields: &[&str]) -> Vec<Value> {
        let params = vec![domain, json!(0), Value::Null, json!([["id", "ASC"]]), json!(fields)];
        self.call(&format!("model.{model}.search_read"), params).await.as_array().unwrap().clone()
    }

    /// Sales with this web id: none, or the one.
    pub(crate) async fn sales(&self, web_id: &str) -> Vec<Value> {
        let fields = [
            "number",
            "state",
            "party",
            "reference",
            "description",
            "comment",
            "untaxed_amount",
            "tax_amount",
            "total_amount",
            "origin",
            "invoice_state",
            "shipment_state",
            "shipment_method",
            "invoices.state",
            "shipments.state",
            "shipment_returns.state",
            "invoice_address",
            "shipment_address",
            "lines.product",
            "lines.quantity",
            "lines.unit_price",
            "lines.description",
        ];
        self.read("sale.sale", json!([["web_id", "=", web_id]]), &fields).await
    }

    pub(crate) async fn sale(&self, web_id: &str) -> Value {
        let mut sales = self.sales(web_id).await;
        assert_eq!(sales.len(), 1, "sales with web id {web_id}");
        sales.remove(0)
    }

    pub(crate) async fn press(&self, model: &str, button: &str, id: &Value) {
        self.call(&format!("model.{model}.{button}"), vec![json!([id])]).await;
    }

    /// Counts the shelf: what lies there from now on.
    pub(crate) async fn set_stock(&self, ids: &Value, product: i64, quantity: i64) {
        let today = chrono::Utc::now().date_naive();
        let date = {
            use chrono::Datelike;
            json!({"__class__": "date", "year": today.year(), "month": today.month(), "day": today.day()})
        };
        let values = json!([{
            "location": ids["storage_location"], "date": date, "company": ids["company"], "empty_quantity": "keep",
            "lines": [["create", [{"product": product, "quantity": quantity}]]],
        }]);
        let inventory = self.call("model.stock.inventory.create", vec![values]).await;
        self.press("stock.inventory", "confirm", &inventory[0]).await;
    }

    /// Everything from the shelf to the customer.
    pub(crate) async fn ship(&self, sale: &Value) {
        let shipment = &sale["shipments."][0]["id"];
        for button in ["assign_try", "pick", "pack", "do"] {
            self.press("stock.shipment.out", button, shipment).await;
        }
    }
}

/// `{"__class__": "Decimal", "decimal": "28.80"}` as `28.80`.
pub(crate) fn amount(value: &Value) -> String {
    let amount: rust_decimal::Decimal = value["decimal"].as_str().unwrap_or_else(|| panic!("no decimal: {value}")).parse().unwrap();
    format!("{amount:.2}")
}
