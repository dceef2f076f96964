//! Answers that say what went wrong, as `application/problem+json` (RFC 9457).

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// The `type` of a problem is this and its code; the page of it is `docs/errors/<code>.md`.
const TYPE_PREFIX: &str = "urn:tradewind:error:";

/// A problem document. `detail` is ours, never a piece of what was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub status: StatusCode,
    /// From a closed set; names the page that explains it.
    pub code: &'static str,
    /// The same for every problem of this code.
    pub title: &'static str,
    pub detail: String,
    /// Sent as `Retry-After`, in whole seconds, rounded up.
    pub retry_after: Option<Duration>,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, title, detail: detail.into(), retry_after: None }
    }

    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The `type` URI of a code.
    pub fn type_uri(code: &str) -> String {
        format!("{TYPE_PREFIX}{code}")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document =
            Document { r#type: Self::type_uri(self.code), title: self.title, status: self.status.as_u16(), detail: &self.detail };
        let mut response = (self.status, axum::Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_problem_is_a_document_with_its_status_and_wait() {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "door_unavailable", "Not stored", "Send it again later.")
            .retry_after(Duration::from_millis(1500));
        let response = problem.into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["retry-after"], "2");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let expected = serde_json::json!({
            "type": "urn:tradewind:error:door_unavailable", "title": "Not stored", "status": 503, "detail": "Send it again later."
        });
        assert_eq!(document, expected);
    }
}
