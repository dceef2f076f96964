//! A real Tryton of our own, on a real PostgreSQL, both started and stopped by `deploy/local`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::environment::Environment;

pub(crate) struct Server {
    dir: TempDir,
    url: String,
    ids: Value,
}

/// `None`: it is not installed here.
pub(crate) async fn start() -> Option<Server> {
    if !is_installed() {
        let how = "real Tryton is not installed: run deploy/local/setup.sh full";
        assert!(std::env::var_os("TRADEWIND_REQUIRE_REAL").is_none(), "{how}");
        eprintln!("\n*** NOT TESTED: {how} ***\n");
        return None;
    }
    Some(tokio::task::spawn_blocking(Server::start).await.unwrap())
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn is_installed() -> bool {
    let local = std::env::var_os("TRADEWIND_LOCAL").map_or_else(|| repository().join(".local"), PathBuf::from);
    let Ok(entries) = std::fs::read_dir(local.join("tryton-8.2")) else { return false };
    entries.flatten().any(|it| it.file_name().to_string_lossy().starts_with("template-") && it.path().join(".complete").exists())
}

impl Server {
    fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("tradewind-tryton-").tempdir().unwrap();
        let postgres = script("postgres.sh", &["start", &path(&dir, "postgres")]);
        let url = script("tryton.sh", &["start", &path(&dir, "tryton"), &postgres]);
        let ids = std::fs::read(dir.path().join("tryton/ids.json")).unwrap();
        Self { ids: serde_json::from_slice(&ids).unwrap(), url, dir }
    }

    pub(crate) fn environment(&self) -> Environment {
        let password_file = self.dir.path().join("adapter.password");
        std::fs::write(&password_file, self.ids["adapter"]["password"].as_str().unwrap()).unwrap();
        Environment::new(&self.url, self.ids.clone(), password_file)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        script("tryton.sh", &["stop", &path(&self.dir, "tryton")]);
        script("postgres.sh", &["stop", &path(&self.dir, "postgres")]);
    }
}

fn path(dir: &TempDir, name: &str) -> String {
    dir.path().join(name).to_str().unwrap().to_owned()
}

/// The last line that it prints. Should this process die, what it started ends with it.
fn script(name: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(repository().join("deploy/local").join(name));
    command.args(arguments).env("OWNER", std::process::id().to_string()).env("PG_FSYNC", "off");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{name} {}: {}", arguments[0], String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().last().unwrap_or_default().to_owned()
}
