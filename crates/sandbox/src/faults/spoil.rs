//! Spoils answers.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::{HeaderValue, StatusCode, header};
use http_body_util::BodyExt;

use super::rule::Fault;
use super::wire::Wire;

/// Carries a fault out. `answer` is what would have been said: always there if [`Fault::needs_answer`].
pub async fn spoil(fault: &Fault, wire: &Wire, answer: Option<Response>) -> Response {
    match fault {
        Fault::Status { status, retry_after } => {
            let mut response = (code(*status), "out of order").into_response();
            if let Some(wait) = retry_after.as_ref().and_then(|it| HeaderValue::from_str(&it.header()).ok()) {
                response.headers_mut().insert(header::RETRY_AFTER, wait);
            }
            response
        }
        Fault::ResetEarly | Fault::Reset => wire.reset().await,
        Fault::HangUp => wire.hang_up().await,
        Fault::Silence => std::future::pending().await,
        Fault::Endless => json(endless()),
        Fault::LoginPage => ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], LOGIN_PAGE).into_response(),
        Fault::Redirect { status, location } => {
            let mut response = code(*status).into_response();
            let location = HeaderValue::from_str(location).unwrap_or(HeaderValue::from_static("/"));
            response.headers_mut().insert(header::LOCATION, location);
            response
        }
        Fault::Delay { by_ms } => {
            tokio::time::sleep(Duration::from_millis(*by_ms)).await;
            good(answer)
        }
        Fault::Drip { interval_ms } => {
            wire.drip(Duration::from_millis(*interval_ms));
            good(answer)
        }
        Fault::ContentType { value } => {
            let mut response = good(answer);
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().insert(header::CONTENT_TYPE, value);
            }
            response
        }
        Fault::DripBody { .. } | Fault::HalfBody | Fault::CutOff | Fault::InvalidUtf8 | Fault::DuplicateKeys => {
            rewrite(fault, wire, good(answer)).await
        }
    }
}

const LOGIN_PAGE: &str = "<!doctype html><html><head><title>Sign in</title></head><body><form method=post action=/login>\
    <input name=user><input name=password type=password><button>Sign in</button></form></body></html>";

async fn rewrite(fault: &Fault, wire: &Wire, answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    // Our own answers are whole in memory.
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let length = body.len();
    parts.headers.remove(header::CONTENT_LENGTH);
    let body = match fault {
        Fault::HalfBody => Body::from(body.slice(..length / 2)),
        Fault::CutOff => {
            parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            cut_off(body.slice(..length / 2), wire.clone())
        }
        Fault::InvalidUtf8 => Body::from(with_bad_byte(&body)),
        Fault::DuplicateKeys => Body::from(with_first_key_twice(&body)),
        Fault::DripBody { interval_ms } => drip(body, Duration::from_millis(*interval_ms)),
        _ => Body::from(body),
    };
    Response::from_parts(parts, body)
}

fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn good(answer: Option<Response>) -> Response {
    answer.unwrap_or_else(|| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

fn json(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn endless() -> Body {
    let head = stream::iter([Ok::<_, std::convert::Infallible>(Bytes::from_static(b"{\"result\":["))]);
    let rest = stream::repeat_with(|| Ok(Bytes::from_static(&[b' '; 4096])));
    Body::from_stream(futures_util::StreamExt::chain(head, rest))
}

fn drip(body: Bytes, interval: Duration) -> Body {
    Body::from_stream(stream::unfold(body, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(interval).await;
        Some((Ok::<_, std::convert::Infallible>(rest.split_to(1)), rest))
    }))
}

fn cut_off(half: Bytes, wire: Wire) -> Body {
    let first = stream::iter([Ok::<_, std::convert::Infallible>(half)]);
    let then = stream::once(async move {
        // What was written is given to the kernel first: a reset throws away what it still holds.
        tokio::time::sleep(Duration::from_millis(50)).await;
        wire.reset().await;
        Ok(Bytes::new())
    });
    Body::from_stream(futures_util::StreamExt::chain(first, then))
}

fn with_bad_byte(body: &[u8]) -> Bytes {
    let at = body.iter().position(|byte| *byte == b'"').map_or(0, |it| it + 1);
    let mut bad = BytesMut::from(&body[..at]);
    bad.extend_from_slice(&[0xff]);
    bad.extend_from_slice(&body[at..]);
    bad.freeze()
}

/// `{"id":1,...}` becomes `{"id":null,"id":1,...}`.
fn with_first_key_twice(body: &[u8]) -> Bytes {
    let Some(colon) = body.iter().position(|byte| *byte == b':').filter(|_| body.starts_with(b"{")) else {
        return Bytes::copy_from_slice(body);
    };
    let mut twice = BytesMut::from(&body[..=colon]);
    twice.extend_from_slice(b"null,");
    twice.extend_from_slice(&body[1..]);
    twice.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_spoiled_as_named() {
        assert_eq!(&with_first_key_twice(b"{\"id\":1,\"result\":null}")[..], b"{\"id\":null,\"id\":1,\"result\":null}");
        assert_eq!(&with_first_key_twice(b"[1]")[..], b"[1]");
        let bad = with_bad_byte(b"{\"id\":1}");
        assert!(std::str::from_utf8(&bad).is_err());
        assert!(serde_json::from_slice::<serde_json::Value>(&bad).is_err());
    }
}
