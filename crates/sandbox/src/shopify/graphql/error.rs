//! Errors of the whole request, as they stand under `errors` of an answer with status 200.

use serde_json::{Value, json};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GraphqlError {
    code: String,
    message: String,
    path: Vec<String>,
}

impl GraphqlError {
    pub(super) fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), path: Vec::new() }
    }

    /// The schema has no such field; or the double does not know it yet.
    pub(super) fn undefined(field: &str, typename: &str) -> Self {
        Self::new("undefinedField", format!("Field '{field}' doesn't exist on type '{typename}'"))
    }

    pub(super) fn within(mut self, field: &str) -> Self {
        self.path.insert(0, field.to_owned());
        self
    }

    pub(super) fn to_json(&self) -> Value {
        json!({ "message": self.message, "path": self.path, "extensions": { "code": self.code } })
    }
}
