//! A program as a process of its own: to be killed, frozen, stopped and started again.

use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::own::signal;

/// A running program. It is killed when this is dropped; if the test failed, the end of its log is printed.
pub struct Service {
    builder: ServiceBuilder,
    child: Child,
}

/// What to run. Every start is the same.
pub struct ServiceBuilder {
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    folder: TempDir,
}

impl Service {
    /// A program (see [`binary`](crate::binary)) with the text of its settings file, given as `--config FILE`.
    pub fn spawn(program: impl Into<PathBuf>, config: &str, environment: &[(&str, &str)]) -> Self {
        let mut builder = Self::builder(program).config(config);
        for (name, value) in environment {
            builder = builder.env(name, *value);
        }
        builder.start()
    }

    pub fn builder(program: impl Into<PathBuf>) -> ServiceBuilder {
        let folder = tempfile::tempdir().expect("the folder for temporary files can be written to");
        ServiceBuilder { program: program.into(), arguments: Vec::new(), environment: Vec::new(), folder }
    }

    /// What it has written to both of its outputs, over all of its starts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.builder.log_path()).unwrap_or_default()
    }

    /// Waits until `text` is in the log.
    #[track_caller]
    pub fn logs(&self, deadline: Duration, text: &str) -> impl Future<Output = ()> {
        crate::eventually(deadline, async move || {
            let log = self.log();
            if log.contains(text) { Ok(()) } else { Err(format!("no `{text}` in:\n{}", end_of(&log))) }
        })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        self.ended().is_none()
    }

    /// How, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("our own child can be asked")
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().expect("our own child can be killed");
        self.child.wait().expect("a killed child ends");
    }

    /// SIGSTOP.
    pub fn freeze(&self) {
        signal("STOP", vec![self.id().to_string()]);
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        signal("CONT", vec![self.id().to_string()]);
    }

    /// SIGTERM; waits until it has ended.
    pub async fn terminate(&mut self, deadline: Duration) -> ExitStatus {
        signal("TERM", vec![self.id().to_string()]);
        self.wait(deadline).await
    }

    /// Waits until it has ended by itself.
    pub async fn wait(&mut self, deadline: Duration) -> ExitStatus {
        let log = self.builder.log_path();
        let ended = crate::eventually(deadline, async || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err(format!("it still runs, and wrote:\n{}", end_of(&std::fs::read_to_string(&log).unwrap_or_default()))),
            Err(error) => Err(error.to_string()),
        });
        ended.await
    }

    /// The same again, after it ended or was killed.
    pub fn restart(&mut self) {
        assert!(!self.is_running(), "it still runs");
        self.child = self.builder.launch();
    }
}

impl ServiceBuilder {
    #[must_use]
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Writes the text into a file and adds `--config FILE`.
    #[must_use]
    pub fn config(self, text: &str) -> Self {
        let path = self.folder.path().join("config.toml");
        std::fs::write(&path, text).expect("the folder can be written to");
        self.arg("--config").arg(path.to_string_lossy())
    }

    pub fn start(self) -> Service {
        let child = self.launch();
        Service { builder: self, child }
    }

    fn launch(&self) -> Child {
        let log = self.open_log();
        Command::new(&self.program)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be opened twice"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program.display()))
    }

    fn open_log(&self) -> File {
        OpenOptions::new().create(true).append(true).open(self.log_path()).expect("the folder can be written to")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if self.is_running() {
            self.kill();
        }
        if std::thread::panicking() {
            eprintln!("{} wrote:\n{}", self.builder.program.display(), end_of(&self.log()));
        }
    }
}

fn end_of(log: &str) -> &str {
    let start = log.len().saturating_sub(LOG_SHOWN);
    let start = (start..=log.len()).find(|it| log.is_char_boundary(*it)).unwrap_or(0);
    &log[start..]
}

const LOG_SHOWN: usize = 8_192;

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Service {
        Service::builder("bash").arg("-c").arg(script).env("GREETING", "hello").start()
    }

    #[tokio::test]
    async fn a_service_gets_its_settings_and_is_heard() {
        let service = Service::builder("bash").arg("-c").arg("echo $0; cat $1").config("port = 1\n").start();
        service.logs(SOON, "--config\nport = 1\n").await;
        let mut service = shell("echo $GREETING; exit 3");
        assert_eq!(service.wait(SOON).await.code(), Some(3));
        assert_eq!(service.log(), "hello\n");
    }

    #[tokio::test]
    async fn sigterm_is_a_request_and_sigkill_is_not() {
        let script = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done";
        let mut service = shell(script);
        service.logs(SOON, "ready").await;
        assert_eq!(service.terminate(SOON).await.code(), Some(0));
        assert!(service.log().contains("bye"));
        service.restart();
        crate::eventually_eq(SOON, 2, async || service.log().matches("ready").count()).await;
        service.kill();
        assert!(!service.is_running());
        assert_eq!(service.log().matches("bye").count(), 1);
    }

    #[tokio::test]
    async fn a_frozen_service_is_there_and_does_nothing() {
        let mut service = shell("echo $$; while :; do echo tick; sleep 0.005; done");
        service.logs(SOON, "tick").await;
        service.freeze();
        let status = format!("/proc/{}/stat", service.id());
        crate::eventually_eq(SOON, true, async || std::fs::read_to_string(&status).unwrap().contains(") T ")).await;
        let before = service.log().len();
        assert!(service.is_running());
        service.thaw();
        crate::eventually_eq(SOON, true, async || service.log().len() > before).await;
    }
}
