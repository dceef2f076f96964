//! What no test of behaviour can show: that secrets are compared in one way only, and that each security control is listed.

#[path = "docs/tree.rs"]
#[allow(dead_code, reason = "the tests of documents read the rest")]
mod tree;

use std::fs;

use tree::{repository, shown, sources};

/// A comparison by `==` ends at the first byte that differs, and its time tells how many were right. Timing that in a test would
/// tell nothing on a busy machine; that nobody compares, does.
#[test]
fn no_secret_is_compared_by_anything_that_stops_early() {
    let early = ["==", "!=", ".eq(", ".ne(", ".cmp(", "starts_with(", "contains("];
    let mut offences = Vec::new();
    for source in sources() {
        for line in source.text.lines().filter(|it| it.contains("expose_secret()")) {
            if early.iter().any(|it| line.contains(it)) {
                offences.push(format!("{}: {}", shown(&source.file), line.trim()));
            }
        }
    }
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

#[test]
fn signatures_are_verified_by_the_mac_itself_in_one_place() {
    let uses = |what: &str| -> Vec<String> { sources().iter().filter(|it| it.text.contains(what)).map(|it| shown(&it.file)).collect() };
    let place = "crates/http-kit/src/signature.rs";
    assert_eq!(uses("Hmac<"), [place], "whoever else needs a signature uses `http_kit::Secrets`");
    assert_eq!(uses("verify_slice("), [place]);
    let text = fs::read_to_string(repository().join(place)).expect("it was just found");
    let finalized: Vec<_> = text.match_indices(".finalize()").collect();
    assert_eq!(finalized.len(), 1, "the right signature is computed to sign, never to compare with");
    let signing = text.find("pub fn sign(").expect("it signs");
    assert!(finalized[0].0 > signing && finalized[0].0 - signing < 400, "in `sign`");
}

#[test]
fn every_row_of_the_list_of_controls_is_there_with_a_test() {
    let text = fs::read_to_string(repository().join("docs/security.md")).expect("it is written");
    for row in 1..=8 {
        let line = text.lines().find(|it| it.starts_with(&format!("| {row} |")));
        let line = line.unwrap_or_else(|| panic!("row {row} is missing"));
        assert!(line.contains(".rs::"), "row {row} names no test");
    }
}
