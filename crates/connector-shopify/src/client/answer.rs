//! What a 200 really says. Pure.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::CallError;

/// Nobody waits longer for a budget; when it was throttled without saying what it needs, this little.
const THROTTLE_MAX: Duration = Duration::from_secs(60);
const THROTTLE_UNSAID: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    errors: Option<&'a RawValue>,
    #[serde(default)]
    extensions: Extensions,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Extensions {
    cost: Option<Cost>,
}

/// What a query costs and what is left. Points are whole in documents, fractional in answers.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cost {
    pub(super) requested_query_cost: Option<f64>,
    pub(super) throttle_status: ThrottleStatus,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ThrottleStatus {
    pub(super) maximum_available: f64,
    pub(super) currently_available: f64,
    pub(super) restore_rate: f64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct GraphQlError {
    message: String,
    extensions: ErrorExtensions,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorExtensions {
    code: Option<String>,
}

/// The data, unless there is any error; and the cost, whenever it is said.
pub(super) fn judge(status: u16, body: &Bytes) -> (Result<Bytes, CallError>, Option<Cost>) {
    let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(body) else {
        return (Err(CallError::NotGraphQl { status }), None);
    };
    let cost = envelope.extensions.cost;
    // Data beside errors is not whole, and what is missing in it would be taken for empty.
    if let Some(errors) = envelope.errors.filter(|it| !matches!(it.get(), "null" | "[]")) {
        return (Err(error(errors.get(), cost)), cost);
    }
    match envelope.data.filter(|it| it.get().starts_with('{')) {
        Some(data) => (Ok(body.slice_ref(data.get().as_bytes())), cost),
        None => (Err(CallError::NotGraphQl { status }), cost),
    }
}

fn error(errors: &str, cost: Option<Cost>) -> CallError {
    // Some errors come as one text.
    let errors: Vec<GraphQlError> = serde_json::from_str(errors).unwrap_or_default();
    let has = |codes: &[&str]| errors.iter().filter_map(|it| it.extensions.code.as_deref()).find(|it| codes.contains(it));
    if has(&["THROTTLED"]).is_some() || errors.iter().any(|it| it.extensions.code.is_none() && it.message == "Throttled") {
        return throttled(cost);
    }
    if has(&["ACCESS_DENIED", "SHOP_INACTIVE", "UNAUTHORIZED", "FORBIDDEN"]).is_some() {
        return CallError::Denied;
    }
    if let Some(code) = has(&["INTERNAL_SERVER_ERROR", "TIMEOUT", "SERVICE_UNAVAILABLE"]) {
        return CallError::Internal { code: code.to_owned() };
    }
    let codes: Vec<String> = errors.iter().map(|it| it.extensions.code.as_deref().map_or_else(|| "no code".to_owned(), shown)).collect();
    CallError::Query { codes: if codes.is_empty() { "no code".to_owned() } else { codes.join(", ") } }
}

fn throttled(cost: Option<Cost>) -> CallError {
    let Some(cost) = cost else {
        return CallError::Throttled { needed: 0, available: 0, retry_after: THROTTLE_UNSAID };
    };
    let (needed, status) = (cost.requested_query_cost.unwrap_or_default(), cost.throttle_status);
    let seconds = (needed - status.currently_available).max(0.0) / status.restore_rate.max(1.0);
    let wait = Duration::try_from_secs_f64(seconds).unwrap_or(THROTTLE_MAX);
    // Never at once: other clients of the same budget are waiting as well.
    let retry_after = wait.clamp(Duration::from_millis(100), THROTTLE_MAX);
    CallError::Throttled { needed: points(needed), available: points(status.currently_available), retry_after }
}

/// For messages: whole points.
fn points(points: f64) -> u64 {
    Duration::try_from_secs_f64(points).map_or(0, |it| it.as_secs())
}

/// A code as far as it can be one.
pub(crate) fn shown(code: &str) -> String {
    code.chars().filter(|it| it.is_ascii_alphanumeric() || *it == '_').take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(body: &str) -> Result<Bytes, CallError> {
        judge(200, &Bytes::copy_from_slice(body.as_bytes())).0
    }

    #[test]
    fn data_is_passed_on_byte_for_byte() {
        assert_eq!(judged(r#"{"data": {"a" : 1.10}, "extensions":{}}"#).unwrap(), r#"{"a" : 1.10}"#);
        assert_eq!(judged(r#"{"data":{"a":null},"errors":[]}"#).unwrap(), r#"{"a":null}"#);
    }

    #[test]
    fn a_throttled_200_says_how_long_to_wait() {
        let body = r#"{"errors":[{"message":"Throttled","extensions":{"code":"THROTTLED"}}],
            "extensions":{"cost":{"requestedQueryCost":500,"actualQueryCost":null,
            "throttleStatus":{"maximumAvailable":2000.0,"currentlyAvailable":100,"restoreRate":100.0}}}}"#;
        let expected = CallError::Throttled { needed: 500, available: 100, retry_after: Duration::from_secs(4) };
        assert_eq!(judged(body).unwrap_err(), expected);
        let bare = judged(r#"{"errors":[{"message":"Throttled"}]}"#).unwrap_err();
        assert_eq!(fault::Classify::retry_after(&bare), Some(THROTTLE_UNSAID));
    }

    #[test]
    fn errors_beside_data_are_errors() {
        let denied = r#"{"data":{"order":null},"errors":[{"message":"x","extensions":{"code":"ACCESS_DENIED"}}]}"#;
        assert_eq!(judged(denied).unwrap_err(), CallError::Denied);
        let query = r#"{"errors":[{"message":"Field 'x' doesn't exist","extensions":{"code":"undefinedField"}},{"message":"y"}]}"#;
        assert_eq!(judged(query).unwrap_err(), CallError::Query { codes: "undefinedField, no code".to_owned() });
        assert_eq!(judged(r#"{"errors":"Not Found"}"#).unwrap_err(), CallError::Query { codes: "no code".to_owned() });
        let internal = r#"{"errors":[{"message":"x","extensions":{"code":"INTERNAL_SERVER_ERROR"}}]}"#;
        assert_eq!(judged(internal).unwrap_err(), CallError::Internal { code: "INTERNAL_SERVER_ERROR".to_owned() });
    }

    #[test]
    fn what_is_no_answer_may_have_been_carried_out() {
        for body in ["", "<!DOCTYPE html><html></html>", r#"{"data":{"a""#, "null", "[]", "{}", r#"{"data":null}"#] {
            assert_eq!(judged(body).unwrap_err(), CallError::NotGraphQl { status: 200 }, "{body}");
        }
    }
}
