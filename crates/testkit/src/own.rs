//! Servers of one test, to be killed, frozen and started again. They end with the test, and with its process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::scripts::{self, Kind, Owner};
use crate::shared::{Tryton, tryton_at};

/// A running server. Its address survives a restart.
pub struct Server {
    /// What clients connect to.
    pub url: String,
    kind: Kind,
    folder: TempDir,
    arguments: Vec<String>,
    /// Clients are told to use this port.
    advertised: Option<u16>,
}

/// `None`: it is not installed, and the test has to return.
pub async fn kafka() -> Option<Server> {
    Server::launch(Kind::Kafka, Vec::new(), None).await
}

/// One whose clients are told to use another port: that of a proxy before it.
pub async fn kafka_behind(port: u16) -> Option<Server> {
    Server::launch(Kind::Kafka, Vec::new(), Some(port)).await
}

pub async fn postgres() -> Server {
    Server::launch(Kind::Postgres, Vec::new(), None).await.expect("without PostgreSQL the start has failed already")
}

/// On the shared PostgreSQL, with a database of its own. `None`: it is not installed, and the test has to return.
pub async fn tryton() -> Option<(Server, Tryton)> {
    let server = Server::launch(Kind::Tryton, vec![crate::postgres().await], None).await?;
    let tryton = tryton_at(server.url.clone(), server.folder.path());
    Some((server, tryton))
}

impl Server {
    async fn launch(kind: Kind, arguments: Vec<String>, advertised: Option<u16>) -> Option<Self> {
        let parent = scripts::run_folder().join("own");
        std::fs::create_dir_all(&parent).expect("the checkout can be written to");
        let folder = tempfile::Builder::new().prefix(kind.name()).tempdir_in(parent).expect("the folder can be written to");
        let mut server = Self { url: String::new(), kind, folder, arguments, advertised };
        server.url = scripts::started(kind, server.script("start").await)?;
        Some(server)
    }

    /// After [`kill`](Self::kill) or [`stop`](Self::stop): the same data on the same port.
    pub async fn start(&self) {
        let url = self.script("start").await.unwrap_or_else(|complaint| panic!("{} did not start: {complaint}", self.kind.name()));
        assert_eq!(url, self.url, "a restart keeps the address");
    }

    /// The way it ends in peace.
    pub async fn stop(&self) {
        self.script("stop").await.unwrap_or_else(|complaint| panic!("{} did not stop: {complaint}", self.kind.name()));
    }

    /// SIGKILL.
    pub async fn kill(&self) {
        self.script("kill").await.unwrap_or_else(|complaint| panic!("{} was not killed: {complaint}", self.kind.name()));
    }

    /// SIGSTOP: connections stay open and nothing answers.
    pub fn freeze(&self) {
        signal("STOP", self.pids());
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        signal("CONT", self.pids());
    }

    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    async fn script(&self, verb: &'static str) -> Result<String, String> {
        let (kind, folder, arguments, advertised) = (self.kind, self.folder(), self.arguments.clone(), self.advertised);
        tokio::task::spawn_blocking(move || run(kind, verb, &folder, &arguments, advertised))
            .await
            .expect("running a script does not panic")
    }

    /// The server with its children: PostgreSQL has one per session.
    fn pids(&self) -> Vec<String> {
        let pid = std::fs::read_to_string(self.folder.path().join("pid")).expect("a running server has a pid file");
        let pid = pid.trim();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        std::iter::once(pid).chain(children.split_whitespace()).map(str::to_owned).collect()
    }
}

fn run(kind: Kind, verb: &str, folder: &Path, arguments: &[String], advertised: Option<u16>) -> Result<String, String> {
    let arguments: Vec<_> = if verb == "start" { arguments.iter().map(String::as_str).collect() } else { Vec::new() };
    let owner = Owner { process: std::process::id(), advertised };
    scripts::run(kind, verb, folder, &arguments, Some(owner))
}

pub(crate) fn signal(signal: &str, pids: Vec<String>) {
    // One of them may have ended meanwhile, which is no failure.
    let sent = Command::new("kill").arg(format!("-{signal}")).arg("--").args(&pids).output().expect("`kill` is a program on every Linux");
    let complaint = String::from_utf8_lossy(&sent.stderr);
    assert!(sent.status.success() || complaint.contains("No such process"), "SIG{signal} to {pids:?}: {complaint}");
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.url.is_empty() {
            return;
        }
        // A frozen one must be thawed, or the end waits for it. Its data goes too, so a kill is quickest; Tryton has only `stop`.
        if self.folder.path().join("pid").exists() {
            self.thaw();
        }
        let verb = if self.kind == Kind::Tryton { "stop" } else { "kill" };
        if let Err(complaint) = run(self.kind, verb, self.folder.path(), &self.arguments, self.advertised) {
            eprintln!("{} in {} is still there: {complaint}", self.kind.name(), self.folder.path().display());
        }
        settle();
    }
}

/// PostgreSQL's children need a moment to see that it is gone; until then they may write into the folder.
fn settle() {
    std::thread::sleep(Duration::from_millis(50));
}
