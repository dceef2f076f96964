use std::time::Duration;

use fault::{Class, Classify};
use http_kit::{NotSent, Unknown};

/// A call of the Admin API that did not do what was asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum CallError {
    #[error("nothing was sent to Shopify: {0}")]
    NotSent(NotSent),
    #[error("Shopify gave no answer to rely on: {0}")]
    Unknown(Unknown),
    #[error("Shopify answers {status}: {}", advice(*status))]
    Status { status: u16, retry_after: Option<Duration> },
    /// A page of a proxy or of a maintenance, or half an answer.
    #[error("Shopify answers {status} with a body that is no GraphQL answer")]
    NotGraphQl { status: u16 },
    #[error("Shopify is throttling: the query needs {needed} points, {available} are left")]
    Throttled { needed: u64, available: u64, retry_after: Duration },
    #[error("Shopify denies access: give the app the scopes that the connection needs, and look whether its token is valid")]
    Denied,
    #[error("Shopify answers with an internal error ({code})")]
    Internal { code: String },
    #[error("Shopify refuses the query ({codes}): look whether the connection's `api_version` is one that this connector was made for")]
    Query { codes: String },
    #[error("Shopify's answer to {operation} has another shape: `{path}`: expected {expected}")]
    Shape { operation: &'static str, path: String, expected: String },
    #[error("Shopify refuses {operation}: {codes}")]
    Refused { operation: &'static str, codes: String },
    /// The same call is being carried out already, or the shop moves faster than we ask.
    #[error("Shopify is still busy with {operation} of the same rows")]
    Concurrent { operation: &'static str },
    #[error("{operation}: {what}")]
    Request { operation: &'static str, what: &'static str },
}

impl Classify for CallError {
    fn class(&self) -> Class {
        match self {
            Self::NotSent(NotSent::Refused | NotSent::Dns | NotSent::Tls | NotSent::ConnectTimeout) => Class::Outage,
            Self::NotSent(NotSent::Forbidden(_) | NotSent::Invalid(_)) => Class::Auth,
            Self::NotSent(NotSent::TooLate) => Class::RateLimited,
            Self::Unknown(Unknown::ReadTimeout | Unknown::Reset | Unknown::Truncated | Unknown::TooLarge) => Class::Transient,
            Self::Status { status, .. } => class_of(*status),
            Self::NotGraphQl { .. } | Self::Internal { .. } | Self::Concurrent { .. } => Class::Transient,
            Self::Throttled { .. } => Class::RateLimited,
            Self::Denied => Class::Auth,
            Self::Query { .. } | Self::Shape { .. } => Class::Schema,
            Self::Refused { .. } => Class::BusinessRejected,
            Self::Request { .. } => Class::Validation,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotSent(_) => "shopify_not_sent",
            Self::Unknown(_) => "shopify_no_answer",
            Self::Status { .. } => "shopify_status",
            Self::NotGraphQl { .. } => "shopify_not_graphql",
            Self::Throttled { .. } => "shopify_throttled",
            Self::Denied => "shopify_denied",
            Self::Internal { .. } => "shopify_internal",
            Self::Query { .. } => "shopify_query",
            Self::Shape { .. } => "shopify_answer_shape",
            Self::Refused { .. } => "shopify_refused",
            Self::Concurrent { .. } => "shopify_concurrent",
            Self::Request { .. } => "shopify_request",
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Throttled { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }
}

fn class_of(status: u16) -> Class {
    match status {
        // 404: no such shop, or an API version that is gone. 3xx: not the shop's own name. 402, 423: the shop is frozen or locked.
        300..=399 | 401..=404 | 423 => Class::Auth,
        // 430: Shopify's own answer to what looks like a flood.
        429 | 430 => Class::RateLimited,
        // 52x, 530: the edge does not reach Shopify.
        502..=504 | 520..=527 | 530 => Class::Outage,
        408 | 500.. => Class::Transient,
        _ => Class::Schema,
    }
}

fn advice(status: u16) -> &'static str {
    match status {
        300..=399 => "`shop` must be its *.myshopify.com name",
        401 => "the access token is not valid; put a new one into `access_token_file`",
        402 | 423 => "the shop is frozen or locked; its owner must see to it",
        403 => "the access token lacks a scope",
        404 => "no such shop, or `api_version` is no longer served",
        429 | 430 => "too many requests",
        500.. => "it has trouble of its own",
        _ => "it does not understand the request",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_class() {
        for (status, expected) in [
            (302, Class::Auth),
            (400, Class::Schema),
            (401, Class::Auth),
            (402, Class::Auth),
            (403, Class::Auth),
            (404, Class::Auth),
            (408, Class::Transient),
            (422, Class::Schema),
            (423, Class::Auth),
            (429, Class::RateLimited),
            (430, Class::RateLimited),
            (500, Class::Transient),
            (501, Class::Transient),
            (502, Class::Outage),
            (503, Class::Outage),
            (504, Class::Outage),
            (522, Class::Outage),
        ] {
            assert_eq!(CallError::Status { status, retry_after: None }.class(), expected, "{status}");
        }
    }

    #[test]
    fn what_never_left_is_an_outage_unless_our_settings_forbid_it() {
        assert_eq!(CallError::NotSent(NotSent::Refused).class(), Class::Outage);
        assert_eq!(CallError::NotSent(NotSent::Tls).class(), Class::Outage);
        assert_eq!(CallError::NotSent(NotSent::Invalid("x")).class(), Class::Auth);
        assert_eq!(CallError::Unknown(Unknown::Reset).class(), Class::Transient);
    }
}
