//! A shop of a few lines: answers requests in the order of a script, and keeps what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use connector::StorefrontConnection;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::shop::open_at;

/// One scripted answer.
#[derive(Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(header::HeaderName, &'static str)>,
    body: String,
}

/// `data` of a GraphQL answer, from a budget that is never short.
pub(crate) fn data(data: Value) -> Reply {
    answer(json!({ "data": data, "extensions": { "cost": cost(10, 1900) } }))
}

pub(crate) fn answer(body: Value) -> Reply {
    raw(200, body.to_string())
}

pub(crate) fn raw(status: u16, body: impl Into<String>) -> Reply {
    Reply { status, headers: Vec::new(), body: body.into() }
}

impl Reply {
    pub(crate) fn with(mut self, name: header::HeaderName, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }
}

pub(crate) fn cost(requested: u32, left: u32) -> Value {
    let status = json!({ "maximumAvailable": 2000.0, "currentlyAvailable": left, "restoreRate": 100.0 });
    json!({ "requestedQueryCost": requested, "actualQueryCost": null, "throttleStatus": status })
}

struct Script {
    replies: VecDeque<Reply>,
    asked: Vec<(HeaderMap, Value)>,
}

pub(crate) struct Shop {
    pub(crate) connection: StorefrontConnection,
    script: Arc<Mutex<Script>>,
    server: tokio::task::JoinHandle<()>,
}

impl Shop {
    pub(crate) async fn answering(replies: impl IntoIterator<Item = Reply>) -> Self {
        let script = Arc::new(Mutex::new(Script { replies: replies.into_iter().collect(), asked: Vec::new() }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().route("/admin/api/2026-07/graphql.json", axum::routing::post(reply)).with_state(script.clone());
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { connection: open_at(&url), script, server }
    }

    /// What was asked, in order.
    pub(crate) fn asked(&self) -> Vec<Value> {
        self.script.lock().unwrap().asked.iter().map(|(_, body)| body.clone()).collect()
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        self.script.lock().unwrap().asked[0].0.clone()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn reply(State(script): State<Arc<Mutex<Script>>>, headers: HeaderMap, body: String) -> Response<String> {
    let mut script = script.lock().unwrap();
    script.asked.push((headers, serde_json::from_str(&body).unwrap()));
    let reply = script.replies.pop_front().unwrap_or_else(|| raw(599, "the script is over"));
    let mut response = Response::new(reply.body);
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap();
    response.headers_mut().extend(reply.headers.into_iter().map(|(name, value)| (name, value.parse().unwrap())));
    response
}
