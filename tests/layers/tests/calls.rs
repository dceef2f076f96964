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

/// An error is told when somebody has to act: the line says where it is written what to do.
#[test]
fn every_error_that_a_service_tells_names_its_page() {
    let (mut told, mut offences) = (0, Vec::new());
    let services = tree::repository().join("services");
    for source in tree::sources().iter().filter(|it| it.home.starts_with(&services)) {
        for statement in source.text.split("tracing::error!(").skip(1).filter_map(|it| it.split_once(");")) {
            told += 1;
            if !statement.0.to_lowercase().contains("runbook") {
                offences.push(format!("{}: {}", tree::shown(&source.file), statement.0.trim()));
            }
        }
    }
    assert!(told > 5, "{told}");
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}
