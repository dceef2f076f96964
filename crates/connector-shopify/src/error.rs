//! What can go wrong, each with its class. No message shows personal data: paths and our own words, names of enum values, sums.

mod call;

use domain::order::TotalsError;
use domain::{Money, MoneyError};
use fault::{Class, Classify};

pub(crate) use call::CallError;

/// A delivery that cannot be mapped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MappingError {
    #[error("the body is not JSON")]
    NotJson,
    #[error("{}expected {expected}", place(path))]
    Shape { path: String, expected: String },
    #[error("{}`{value}` is a value that this version does not know; add it to the table of the Shopify connector", place(path))]
    UnknownValue { path: String, value: String },
    #[error("{}{what}", place(path))]
    Invalid { path: String, what: &'static str },
    #[error("{}{source}", place(path))]
    Money { path: String, source: MoneyError },
    #[error("{}its parts come to {parts}, and {moved} went back", place(path))]
    OverRefund { path: String, parts: Money, moved: Money },
    #[error("the order's sums do not add up: {0}")]
    Totals(#[from] TotalsError),
}

impl MappingError {
    pub(crate) fn shape(path: impl Into<String>, expected: &str) -> Self {
        let path = path.into();
        // How the path of the whole body is written.
        let path = if path == "." { String::new() } else { path };
        Self::Shape { path, expected: expected.to_owned() }
    }

    pub(crate) fn unknown_value(path: &str, value: &str) -> Self {
        // Names of enum values have no other characters; what has might be anything.
        let is_name = value.len() <= 60 && value.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_');
        Self::UnknownValue { path: path.to_owned(), value: if is_name { value.to_owned() } else { "***".to_owned() } }
    }

    pub(crate) fn invalid(path: &str, what: &'static str) -> Self {
        Self::Invalid { path: path.to_owned(), what }
    }

    pub(crate) fn money(path: &str, source: MoneyError) -> Self {
        Self::Money { path: path.to_owned(), source }
    }

    /// The same error, seen from one level further out.
    pub(crate) fn within(mut self, outer: &str, index: usize) -> Self {
        match &mut self {
            Self::Shape { path, .. }
            | Self::UnknownValue { path, .. }
            | Self::Invalid { path, .. }
            | Self::Money { path, .. }
            | Self::OverRefund { path, .. } => {
                let dot = if path.is_empty() { "" } else { "." };
                *path = format!("{outer}[{index}]{dot}{path}");
            }
            Self::NotJson | Self::Totals(_) => {}
        }
        self
    }
}

fn place(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("`{path}`: ") }
}

impl Classify for MappingError {
    fn class(&self) -> Class {
        match self {
            Self::NotJson => Class::Decode,
            Self::Shape { .. } | Self::UnknownValue { .. } => Class::Schema,
            Self::Invalid { .. } | Self::Money { .. } | Self::OverRefund { .. } | Self::Totals(_) => Class::Validation,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotJson => "shopify_not_json",
            Self::Shape { .. } => "shopify_shape",
            Self::UnknownValue { .. } => "shopify_unknown_value",
            Self::Invalid { .. } => "shopify_invalid",
            Self::Money { .. } => "shopify_money",
            Self::Totals(_) | Self::OverRefund { .. } => "shopify_totals",
        }
    }
}
