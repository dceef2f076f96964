//! One service as a process.

use std::path::{Path, PathBuf};

use testkit::{Service, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::SOON;

/// A service that runs by itself.
pub struct Process {
    service: Service,
    admin: String,
    door: String,
    kill_file: PathBuf,
}

impl Process {
    pub(crate) fn new(service: Service, admin: String, door: String, kill_file: PathBuf) -> Self {
        Self { service, admin, door, kill_file }
    }

    /// What it looks at at each kill point, if its build has them.
    pub fn kill_file(&self) -> &Path {
        &self.kill_file
    }

    /// Where it takes webhooks, if it is one that does.
    pub fn door(&self) -> &str {
        &self.door
    }

    /// Of the admin port: `/live`, `/ready`, `/metrics`.
    pub async fn ask(&self, path: &str) -> std::io::Result<String> {
        get(&self.admin, path).await
    }

    /// The sum of a metric over all its labels; 0 before it was told for the first time.
    pub async fn metric(&self, name: &str) -> usize {
        self.metric_of(name, "").await
    }

    /// The same, of those with this label, such as `group="order-router"`.
    pub async fn metric_of(&self, name: &str, label: &str) -> usize {
        let answer = self.ask("/metrics").await.expect("a process that runs shows its metrics");
        let is_meant = |it: &str| it.strip_prefix(name).is_some_and(|it| it.starts_with(['{', ' ']) && it.contains(label));
        let values = answer.lines().filter(|it| is_meant(it));
        values.map(|it| it.rsplit(' ').next().and_then(|it| it.parse::<usize>().ok()).expect("a number")).sum()
    }

    /// To signal it and to read its log.
    pub fn service(&mut self) -> &mut Service {
        &mut self.service
    }

    /// Waits until it says so.
    pub async fn ready(&mut self) {
        let ready = eventually(SOON, async || {
            assert!(self.service.is_running(), "it has ended instead");
            let answer = get(&self.admin, "/ready").await.map_err(|it| it.to_string())?;
            if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(answer) }
        });
        ready.await;
    }

    /// SIGKILL, and the same again.
    pub fn kill_and_restart(&mut self) {
        self.service.kill();
        self.service.restart();
    }

    /// SIGTERM: it gives back what it has and ends well.
    pub async fn leave(mut self) {
        let ended = self.service.terminate(SOON).await;
        assert_eq!(ended.code(), Some(0), "{}", self.service.log());
    }
}

async fn get(address: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
