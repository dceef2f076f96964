//! A door that takes webhooks, with an answer of its choice for each.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Arrival {
    pub(crate) fn header(&self, name: &HeaderName) -> &str {
        self.headers[name].to_str().unwrap()
    }

    pub(crate) fn topic(&self) -> &str {
        self.header(&sandbox::shopify::TOPIC)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    Status(u16),
    After(Duration),
}

#[derive(Default)]
struct Inner {
    arrivals: Mutex<Vec<Arrival>>,
    /// For the next arrivals; 200 behind the last.
    answers: Mutex<VecDeque<Answer>>,
}

pub(crate) struct Door {
    inner: Arc<Inner>,
    pub(crate) url: String,
    task: JoinHandle<()>,
}

impl Door {
    pub(crate) async fn open() -> Self {
        let inner = Arc::new(Inner::default());
        let router = Router::new().route("/webhooks", post(take)).with_state(inner.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/webhooks", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { inner, url, task }
    }

    pub(crate) fn will_answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.inner.answers.lock().unwrap().extend(answers);
    }

    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.inner.arrivals.lock().unwrap().clone()
    }

    pub(crate) fn topics(&self) -> Vec<String> {
        self.arrivals().iter().map(|it| it.topic().to_owned()).collect()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    inner.arrivals.lock().unwrap().push(Arrival { headers, body });
    let answer = inner.answers.lock().unwrap().pop_front();
    match answer {
        None => StatusCode::OK,
        Some(Answer::Status(status)) => StatusCode::from_u16(status).unwrap(),
        Some(Answer::After(wait)) => {
            tokio::time::sleep(wait).await;
            StatusCode::OK
        }
    }
}
