//! What must hold of whatever strangers send: each module has a `check` that panics when it does not.
//!
//! The same functions run in two places: `cargo test -p parsers` runs them over the seeds in `tests/fuzz/seeds`, and `make fuzz`
//! over what libFuzzer makes of those seeds. An input is bytes; its first part is text that people can read in a seed.

pub mod envelope;
pub mod retry_after;
pub mod rules;
pub mod signature;
pub mod webhook;

/// A parser under test.
pub struct Target {
    /// Of its seeds' folder and of its file in `tests/fuzz/fuzz_targets`.
    pub name: &'static str,
    pub check: fn(&[u8]),
}

pub const TARGETS: [Target; 5] = [
    Target { name: "envelope", check: envelope::check },
    Target { name: "retry_after", check: retry_after::check },
    Target { name: "rules", check: rules::check },
    Target { name: "signature", check: signature::check },
    Target { name: "webhook", check: webhook::check },
];

/// The first line, and what follows it.
fn first_line(input: &[u8]) -> (&[u8], &[u8]) {
    match input.iter().position(|it| *it == b'\n') {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (input, &[]),
    }
}
