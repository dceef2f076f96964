//! The programs under test.
//!
//! Cargo builds a package's programs for that package's own integration tests only, never for somebody else's. So the first
//! test that starts one has cargo build them all: a second where they are up to date, as after `make build`, and never a stale
//! one. `TRADEWIND_BUILT=1` takes them as they are. [`take_programs_from`] takes those of another build.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tokio::sync::OnceCell;

/// The package of each program: all of its name but for the command line.
const PACKAGES: [&str; 6] = ["cli", "dead-letter-replayer", "erp-adapter", "inventory-sync", "order-router", "storefront-ingest"];

static ELSEWHERE: OnceLock<PathBuf> = OnceLock::new();

/// All programs are taken from this folder, as they are. To be said before the first one is.
pub fn take_programs_from(folder: PathBuf) {
    ELSEWHERE.set(folder).expect("it is said once");
}

/// The program's path. It is there and up to date.
pub async fn program(name: &str) -> PathBuf {
    if let Some(folder) = ELSEWHERE.get() {
        return folder.join(name);
    }
    static BUILT: OnceCell<()> = OnceCell::const_new();
    BUILT.get_or_init(async || tokio::task::spawn_blocking(build).await.expect("cargo is waited for in peace")).await;
    testkit::binary(name)
}

fn build() {
    // Without cargo we are the archive of a build, and so are they.
    let Some(cargo) = std::env::var_os("CARGO").filter(|_| std::env::var_os("TRADEWIND_BUILT").is_none()) else { return };
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--offline", "--bins"]).current_dir(testkit::repository()).stdin(Stdio::null());
    for package in PACKAGES {
        command.args(["--package", package]);
    }
    if let Some(profile) = profile() {
        command.args(["--profile", &profile]);
    }
    // Of this very package: a build must not see them, or everything is built again.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_")) {
        if !matches!(name.to_str(), Some("CARGO_HOME" | "CARGO_TARGET_DIR")) {
            command.env_remove(name);
        }
    }
    let built = command.status().expect("cargo runs again, it has run us");
    assert!(built.success(), "the programs could not be built; see above");
}

/// Of the running program. `None`: the default.
fn profile() -> Option<String> {
    let folder = testkit::programs().file_name().expect("it is below target").to_string_lossy().into_owned();
    (folder != "debug").then_some(folder)
}
