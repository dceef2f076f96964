//! Kill points are in the sources where their table says, and in no build for production.

#[path = "docs/tree.rs"]
mod tree;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use kill_point::Point;
use serde_json::Value;

fn cargo(arguments: &[&str]) -> Output {
    let cargo = std::env::var("CARGO").expect("cargo sets its own path");
    Command::new(cargo).args(arguments).arg("--offline").current_dir(tree::repository()).output().expect("cargo runs")
}

/// Each package that arms kill points, or lets a feature of its own do it.
fn arming(metadata: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().expect("cargo metadata lists packages") {
        let name = package["name"].as_str().expect("packages have names");
        let is_armed = |it: &Value| it["name"] == "kill-point" && it["features"].as_array().is_some_and(|it| !it.is_empty());
        if package["dependencies"].as_array().expect("packages list dependencies").iter().any(is_armed) {
            found.push(format!("`{name}` depends on kill-point with a feature"));
        }
        for (feature, of) in package["features"].as_object().expect("packages list features") {
            let arms = |it: &Value| matches!(it.as_str(), Some("kill-point/armed" | "kill-point?/armed" | "armed"));
            if of.as_array().expect("a feature is a list").iter().any(arms) {
                found.push(format!("the feature `{feature}` of `{name}` arms kill points"));
            }
        }
    }
    found
}

#[test]
fn no_crate_arms_them_by_itself() {
    let output = cargo(&["metadata", "--format-version", "1", "--no-deps"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    assert_eq!(arming(&metadata), Vec::<String>::new());
}

#[test]
fn a_crate_that_arms_them_is_found() {
    let metadata = serde_json::json!({"packages": [
        {"name": "one", "dependencies": [{"name": "kill-point", "features": ["armed"]}], "features": {}},
        {"name": "two", "dependencies": [{"name": "kill-point", "features": []}], "features": {"default": ["kill-point/armed"]}},
        {"name": "kill-point", "dependencies": [], "features": {"armed": ["dep:rustix"], "default": ["armed"]}},
    ]});
    assert_eq!(
        arming(&metadata),
        [
            "`one` depends on kill-point with a feature",
            "the feature `default` of `two` arms kill points",
            "the feature `default` of `kill-point` arms kill points",
        ]
    );
}

/// In a folder of its own: whoever waits for the build's lock waits for it.
#[test]
fn a_build_for_production_refuses_them() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kill-point");
    let folder = folder.to_string_lossy();
    let check = |profile: &[&str]| {
        let arguments = ["check", "--quiet", "--package", "kill-point", "--features", "armed", "--target-dir", &folder];
        cargo(&[&arguments, profile].concat())
    };
    let released = check(&["--release"]);
    let said = String::from_utf8_lossy(&released.stderr);
    assert!(!released.status.success() && said.contains("builds for production must not hold it"), "{said}");
    let tested = check(&[]);
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
}

#[test]
fn every_point_is_in_the_source_of_the_programs_that_come_by() {
    let sources = tree::sources();
    for point in Point::ALL {
        let mention = format!("Point::{point:?}");
        let is_there =
            |text: &str| text.match_indices(&mention).any(|(at, _)| !text[at + mention.len()..].starts_with(char::is_alphanumeric));
        let found: Vec<_> = sources.iter().filter(|it| is_there(&it.text)).collect();
        let files: Vec<String> = found.iter().map(|it| tree::shown(&it.file)).collect();
        assert!(!files.is_empty(), "nobody comes by {}", point.name());
        let homes: BTreeSet<String> = found.iter().map(|it| tree::shown(&it.home)).collect();
        let services: Vec<&str> = homes.iter().filter_map(|it| it.strip_prefix("services/")).collect();
        assert!(services.is_empty() || services == point.programs(), "{} is in {files:?}", point.name());
    }
}
