//! One GraphQL call at a time to the Admin API: paced before it is sent, judged when it is answered. Never retried here.

mod answer;
mod budget;

use std::time::Duration;

use bytes::Bytes;
use chrono::Utc;
use http::{HeaderName, HeaderValue};
use http_kit::Exchange;
use http_kit::client::{Outgoing, retry_after};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::error::CallError;
pub(crate) use answer::shown;
use budget::Pace;

/// Longest wait for the budget before sending; beyond it the caller is told how long it would take.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// A query or mutation of ours.
#[derive(Debug)]
pub(crate) struct Query {
    /// As it is named in its text, and in errors.
    pub(crate) operation: &'static str,
    pub(crate) text: &'static str,
    /// What it is taken to cost until Shopify has said what it costs.
    pub(crate) cost: u64,
}

/// What a page of a connection says of the rest of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PageInfo {
    pub(crate) has_next_page: bool,
    pub(crate) end_cursor: Option<String>,
}

/// The Admin API of one shop.
#[derive(Debug)]
pub(crate) struct GraphQl {
    http: http_kit::Client,
    endpoint: String,
    token: HeaderValue,
    pace: Pace,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a, V> {
    query: &'a str,
    operation_name: &'a str,
    variables: &'a V,
}

impl GraphQl {
    /// `token` is expected to be marked as sensitive.
    pub(crate) fn new(http: http_kit::Client, endpoint: String, token: HeaderValue) -> Self {
        Self { http, endpoint, token, pace: Pace::default() }
    }

    /// The answer's `data`.
    pub(crate) async fn call(&self, query: &Query, variables: &impl Serialize) -> Result<Bytes, CallError> {
        let request = Request { query: query.text, operation_name: query.operation, variables };
        let body = serde_json::to_vec(&request).expect("our variables are text and whole numbers");
        let turn = self.pace.turn(query, WAIT_MAX).await?;
        let outgoing =
            Outgoing::post_json(&self.endpoint, body).header(HeaderName::from_static("x-shopify-access-token"), self.token.clone());
        let (status, headers, body) = match self.http.send(outgoing).await {
            Exchange::Answered { status, headers, body } => (status.as_u16(), headers, body),
            Exchange::NotSent(why) => return Err(CallError::NotSent(why)),
            Exchange::Unknown(why) => return Err(CallError::Unknown(why)),
        };
        if !(200..300).contains(&status) {
            return Err(CallError::Status { status, retry_after: retry_after(&headers, Utc::now()) });
        }
        let (data, cost) = answer::judge(status, &body);
        if let Some(cost) = cost {
            turn.paid(&cost, Instant::now());
        }
        data
    }

    /// The share of the budget that is left, by Shopify's last answer.
    pub(crate) fn spare(&self) -> Option<f64> {
        self.pace.spare(Instant::now())
    }

    /// The answer's `data`, read as `T`.
    pub(crate) async fn ask<T: for<'a> Deserialize<'a>>(&self, query: &Query, variables: &impl Serialize) -> Result<T, CallError> {
        let data = self.call(query, variables).await?;
        read(query.operation, &data)
    }
}

/// Reads what `operation` was answered.
pub(crate) fn read<'a, T: Deserialize<'a>>(operation: &'static str, data: &'a [u8]) -> Result<T, CallError> {
    let mut reader = serde_json::Deserializer::from_slice(data);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| CallError::Shape {
        operation,
        path: error.path().to_string(),
        expected: crate::wire::expected(&error.inner().to_string()),
    })
}
