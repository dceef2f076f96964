//! Every crate may know only crates of lower layers; the layers stand in each `Cargo.toml` under `[package.metadata]`.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

/// One line for each arrow that does not point down, and for each crate without a layer.
fn offences(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().expect("cargo metadata lists packages");
    let layer_of: BTreeMap<&str, Option<i64>> =
        packages.iter().map(|it| (it["name"].as_str().expect("packages have names"), it["metadata"]["layer"].as_i64())).collect();
    let mut found = Vec::new();
    for package in packages {
        let name = package["name"].as_str().expect("packages have names");
        let Some(own) = layer_of[name] else {
            found.push(format!("`{name}` does not state its layer"));
            continue;
        };
        for dependency in package["dependencies"].as_array().expect("packages list dependencies") {
            let other = dependency["name"].as_str().expect("dependencies have names");
            let is_development = dependency["kind"] == json!("dev");
            if let Some(Some(below)) = layer_of.get(other)
                && !is_development
                && *below >= own
            {
                found.push(format!("`{name}` (layer {own}) must not know `{other}` (layer {below})"));
            }
        }
    }
    found
}

#[test]
fn dependencies_point_strictly_down() {
    let cargo = std::env::var("CARGO").expect("cargo sets its own path");
    let output =
        Command::new(cargo).args(["metadata", "--format-version", "1", "--no-deps", "--offline"]).output().expect("cargo metadata runs");
    assert!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    assert_eq!(offences(&metadata), Vec::<String>::new());
}

#[test]
fn an_arrow_that_points_up_or_sideways_is_found() {
    let package = |name: &str, layer: i64, dependency: &str, kind: Option<&str>| json!({"name": name, "metadata": {"layer": layer}, "dependencies": [{"name": dependency, "kind": kind}]});
    let metadata = json!({"packages": [
        package("high", 2, "low", None),
        package("low", 1, "high", None),
        package("beside", 2, "high", None),
        package("test-only", 1, "high", Some("dev")),
        {"name": "bare", "metadata": null, "dependencies": []},
    ]});
    assert_eq!(
        offences(&metadata),
        [
            "`low` (layer 1) must not know `high` (layer 2)",
            "`beside` (layer 2) must not know `high` (layer 2)",
            "`bare` does not state its layer",
        ]
    );
}
