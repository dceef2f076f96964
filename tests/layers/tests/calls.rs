//! Calls that compile and are wrong here. `clippy.toml` forbids them by their paths, and says nothing when a path is not known any
//! more; this looks for their names.

#[path = "docs/tree.rs"]
mod tree;

/// Why: see the reasons in `clippy.toml`.
const FORBIDDEN: [&str; 1] = ["split_partition_queue"];

#[test]
fn nobody_calls_what_stalls_or_leaks() {
    let lints = std::fs::read_to_string(tree::repository().join("clippy.toml")).expect("the lints are there");
    let mut offences = Vec::new();
    for name in FORBIDDEN {
        assert!(lints.contains(name), "clippy.toml does not forbid `{name}`");
        for source in tree::sources().iter().filter(|it| it.text.contains(name)) {
            offences.push(format!("{} of {} calls `{name}`", tree::shown(&source.file), tree::shown(&source.home)));
        }
    }
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}
