//! How calls fail: the shapes that Tryton gives its errors on the wire.

use serde_json::{Value, json};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fail {
    /// The user asked for something that the rules forbid.
    #[error("{0}")]
    User(String),
    /// The user is asked whether they mean it.
    #[error("{text}")]
    Warning { name: String, text: String },
    #[error("Records were modified in the meanwhile")]
    Concurrency,
    /// A Python exception on the server, by its text: for a `KeyError` the quoted key.
    #[error("{0}")]
    Exception(String),
    /// The method exists, and is none that may be called; or does not exist.
    #[error("forbidden")]
    Forbidden,
    #[error("{0}")]
    Unprocessable(&'static str),
    #[error("unauthorized")]
    Unauthorized,
    #[error("too many attempts")]
    TooManyAttempts,
}

impl Fail {
    pub(super) fn key(name: &str) -> Self {
        Self::Exception(format!("'{name}'"))
    }

    pub(super) fn button(button: &str, record: &str, model: &str) -> Self {
        Self::User(format!("You can not call \"{button}\" on \"{record}\" of \"{model}\"."))
    }

    pub(super) fn locked(field: &str, record: &str, model: &str) -> Self {
        Self::User(format!("You are not allowed to modify the field \"{field}\" in record \"{record}\" of \"{model}\"."))
    }

    pub(super) fn required(field: &str, model: &str) -> Self {
        Self::User(format!("A value is required for field \"{field}\" in \"{model}\"."))
    }

    pub(super) fn digits(value: &str, field: &str, model: &str, digits: u32) -> Self {
        Self::User(format!(
            "The number of digits in the value \"{value}\" for field \"{field}\" in \"{model}\" exceeds the limit of \"(None, {digits})\"."
        ))
    }

    pub(super) fn not_there(value: i64, field: &str, model: &str) -> Self {
        Self::User(format!("The value \"{value}\" for field \"{field}\" in \"{model}\" does not exist."))
    }

    pub(super) fn outside(field: &str, model: &str) -> Self {
        Self::User(format!("The value for field \"{field}\" in \"{model}\" is not valid according to its domain."))
    }

    /// The `error` member; `None` for failures that are HTTP statuses.
    pub(super) fn wire(&self) -> Option<Value> {
        match self {
            Self::User(text) => Some(json!(["UserError", [text, "", null]])),
            Self::Warning { name, text } => Some(json!(["UserWarning", [name, text, ""]])),
            Self::Concurrency => Some(json!(["ConcurrencyException", self.to_string()])),
            Self::Exception(text) => Some(json!([text, ""])),
            Self::Forbidden | Self::Unprocessable(_) | Self::Unauthorized | Self::TooManyAttempts => None,
        }
    }
}
