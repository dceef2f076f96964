//! Mutants stay alive: one that does not apply any more proves nothing, and nobody would see it before the next long run.

#[path = "docs/tree.rs"]
#[allow(dead_code, reason = "the tests of documents read the rest")]
mod tree;

use std::path::{Path, PathBuf};
use std::process::Command;

use tree::repository;

#[test]
fn every_mutant_applies_and_says_what_must_notice() {
    let folder = repository().join("tests/chaos/mutants");
    let files = std::fs::read_dir(&folder).expect("the folder is there").map(|it| it.expect("a folder can be read").path());
    let patches: Vec<PathBuf> = files.filter(|it| it.extension().is_some_and(|it| it == "patch")).collect();
    assert!(patches.len() >= 11, "only {} mutants were found", patches.len());
    let wrong: Vec<String> = patches.iter().flat_map(|it| wrong_with(it)).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn wrong_with(patch: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(patch).expect("a patch is text");
    let head = |name: &str| text.lines().take_while(|it| !it.is_empty()).find_map(|it| it.strip_prefix(name)).map(str::trim);
    let mut wrong = Vec::new();
    if head("Guard:").is_none_or(str::is_empty) {
        wrong.push("says not what is broken");
    }
    if head("Red:").is_none_or(|it| !it.starts_with('I')) {
        wrong.push("names no invariant");
    }
    if head("Schedule:").is_none_or(|it| !patch.with_file_name("schedules").join(it).exists()) {
        wrong.push("names no schedule");
    }
    let applies = Command::new("git").current_dir(repository()).args(["apply", "--check"]).arg(patch).status().expect("git is here");
    if !applies.success() {
        wrong.push("does not apply");
    }
    wrong.into_iter().map(|it| format!("{}: {it}", tree::shown(patch))).collect()
}
