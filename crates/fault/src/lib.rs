//! What went wrong, and what can be done about it.
//!
//! Every interface has its own error enum. Where an error is born it is known whether trying again can help; [`Classify`]
//! writes that down in one exhaustive `match` per enum. On its way to the pipeline an error becomes a [`Fault`], which keeps
//! the class, the code and the chain of causes, so that one place — the failure policy of `pipeline` — decides what happens.

mod class;

use std::error::Error;
use std::fmt;
use std::time::Duration;

pub use class::{Answer, Class};

/// Implemented by every error enum that can reach the pipeline.
pub trait Classify: Error + Send + Sync + 'static {
    /// No `_` arm in implementations: a new variant must not compile until somebody decides.
    fn class(&self) -> Class;

    /// A short name from a closed set: metric label, letter column and the page `docs/errors/<code>.md`.
    fn code(&self) -> &'static str;

    /// The wait that the other side asked for, if it did.
    fn retry_after(&self) -> Option<Duration> {
        None
    }

    /// For [`Class::DependencyMissing`]: the entity that must appear first, as `<kind>:<key>` (`item:MUG-RED`).
    fn missing(&self) -> Option<String> {
        None
    }
}

/// A classified failure on its way to the failure policy.
#[derive(Debug)]
pub struct Fault {
    pub class: Class,
    pub code: &'static str,
    /// One line without personal data: it reaches logs, headers and the letters' list.
    pub message: String,
    pub retry_after: Option<Duration>,
    pub missing: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The page about a code: what it means, what to check, how to cure it.
pub fn page(code: &str) -> String {
    format!("docs/errors/{code}.md")
}

impl Fault {
    pub fn new(class: Class, code: &'static str, message: impl Into<String>) -> Self {
        Self { class, code, message: message.into(), retry_after: None, missing: None, source: None }
    }

    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The chain of causes below the message, outermost first.
    pub fn causes(&self) -> Vec<String> {
        std::iter::successors(self.source(), |&it| it.source()).map(ToString::to_string).skip_while(|it| *it == self.message).collect()
    }

    /// Letters with the same cause share it: group them, don't read them one by one.
    /// Digits are dropped, because ids and offsets would make every message unique.
    pub fn fingerprint(&self) -> String {
        let words: String = self.message.chars().filter(|it| !it.is_ascii_digit()).collect();
        // FNV-1a: stable over builds, which `DefaultHasher` does not promise.
        let hash = words.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        format!("{}:{hash:016x}", self.code)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|it| it as &(dyn Error + 'static))
    }
}

impl<E: Classify> From<E> for Fault {
    fn from(error: E) -> Self {
        Self {
            class: error.class(),
            code: error.code(),
            message: error.to_string(),
            retry_after: error.retry_after(),
            missing: error.missing(),
            source: Some(Box::new(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_one_cause_share_a_fingerprint() {
        let first = Fault::new(Class::BusinessRejected, "erp_unknown_item", "item A-1 of order 17 is unknown");
        let second = Fault::new(Class::BusinessRejected, "erp_unknown_item", "item A-2 of order 99 is unknown");
        let other = Fault::new(Class::BusinessRejected, "erp_unknown_item", "item is locked");
        assert_eq!(first.fingerprint(), second.fingerprint());
        assert_ne!(first.fingerprint(), other.fingerprint());
    }
}
