//! Servers that all test binaries of a run share.
//!
//! The scripts start a server once per folder and answer with its address from then on. Every test process holds a shared lock on
//! `.users` for as long as it lives. A watcher, started beside it, waits until the run (our parent process: cargo) has ended and
//! nobody holds the lock; then, unless another run goes on, it stops the servers and removes their folders. So neither a killed
//! test nor a second run at the same time leaves a server behind or loses one.

use std::fs::{File, OpenOptions};
use std::os::unix::process::parent_id;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tokio::sync::OnceCell;

use crate::scripts::{self, Kind};

/// `host:port` of the shared Kafka. `None`: it is not installed, and the test has to return.
pub async fn kafka() -> Option<String> {
    static KAFKA: OnceCell<Option<String>> = OnceCell::const_new();
    KAFKA.get_or_init(|| start(Kind::Kafka, Vec::new())).await.clone()
}

/// `postgres://…/postgres` of the shared PostgreSQL. Tests take a [`database`](crate::database) of it.
pub async fn postgres() -> String {
    static POSTGRES: OnceCell<Option<String>> = OnceCell::const_new();
    let url = POSTGRES.get_or_init(|| start(Kind::Postgres, Vec::new())).await.clone();
    url.expect("without PostgreSQL the start has failed already")
}

/// The shared Tryton: a seeded company, shop and goods. Tests book into it side by side, each under references of its own.
#[derive(Debug, Clone)]
pub struct Tryton {
    /// Ends in `/rpc/`.
    pub url: String,
    /// Everything that a connector needs to know: ids, users, keys.
    pub ids: serde_json::Value,
}

impl Tryton {
    /// The key of its order routes.
    pub fn rest_key(&self) -> &str {
        self.ids["adapter"]["rest_key"].as_str().expect("the seed writes it")
    }
}

/// `None`: it is not installed, and the test has to return.
pub async fn tryton() -> Option<Tryton> {
    static TRYTON: OnceCell<Option<Tryton>> = OnceCell::const_new();
    let start = async || {
        let url = start(Kind::Tryton, vec![postgres().await]).await?;
        Some(tryton_at(url, &folder().join("tryton")))
    };
    TRYTON.get_or_init(start).await.clone()
}

pub(crate) fn tryton_at(url: String, folder: &std::path::Path) -> Tryton {
    let ids = std::fs::read(folder.join("ids.json")).expect("tryton.sh leaves ids.json in its folder");
    Tryton { url, ids: serde_json::from_slice(&ids).expect("it is JSON") }
}

async fn start(kind: Kind, arguments: Vec<String>) -> Option<String> {
    let started = tokio::task::spawn_blocking(move || {
        use_servers();
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        scripts::run(kind, "start", &folder().join(kind.name()), &arguments, None)
    });
    scripts::started(kind, started.await.expect("starting a server does not panic"))
}

fn folder() -> PathBuf {
    scripts::run_folder().join("shared")
}

/// From now until this process ends nobody stops the servers.
fn use_servers() {
    static USES: OnceLock<File> = OnceLock::new();
    USES.get_or_init(|| {
        std::fs::create_dir_all(folder()).expect("the checkout can be written to");
        let file = OpenOptions::new().create(true).append(true).open(folder().join(".users")).expect("the folder can be written to");
        // Waits while they are being stopped.
        file.lock_shared().expect("the file system has locks");
        watch();
        file
    });
}

/// A second watcher for the same run ends by itself.
fn watch() {
    let owner = std::env::var("TRADEWIND_TEST_OWNER").ok().and_then(|it| it.parse().ok()).unwrap_or_else(parent_id);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/shared.sh");
    let started = Command::new("bash").arg(script).args(["watch", &owner.to_string()]).stdin(Stdio::null()).status();
    assert!(started.expect("bash is installed").success(), "{script} watches over the servers");
}
