//! Processes: parties and services, pinned, measured from outside, and stopped by their own number.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// User and system time of a process so far, in seconds.
pub(crate) fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid} is gone"))?;
    // The name, in parentheses, may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |it| it.1).split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|it| it.parse::<u64>().ok()).context("/proc/<pid>/stat is not as it was");
    // Linux shows user space a hundred ticks a second, whatever it counts itself.
    Ok((ticks(11)? + ticks(12)?) as f64 / 100.0)
}

/// `VmRSS` or `VmHWM` of a process, in MB.
pub(crate) fn memory_mb(pid: u32, field: &str) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("process {pid} is gone"))?;
    let line = status.lines().find_map(|it| it.strip_prefix(field)).context("/proc/<pid>/status is not as it was")?;
    let kilobytes: f64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().context("a number of kB")?;
    Ok(kilobytes / 1024.0)
}

/// On one core, on all, or wherever we are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    Core(Option<usize>),
    Everywhere,
}

impl Place {
    /// `taskset` becomes the program, so the number stays the same.
    fn command(self, program: &Path) -> Command {
        let cores = match self {
            Self::Core(None) => return Command::new(program),
            Self::Core(Some(core)) => core.to_string(),
            Self::Everywhere => format!("0-{}", crate::machine::cores() - 1),
        };
        let mut command = Command::new("taskset");
        command.arg("-c").arg(cores).arg(program);
        command
    }
}

/// A service, as it is deployed.
pub(crate) struct Service {
    child: Child,
    pub(crate) pid: u32,
    pub(crate) name: String,
}

impl Service {
    pub(crate) fn start(
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
        log: &Path,
        place: Place,
    ) -> anyhow::Result<Self> {
        let name = program.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
        let out = File::create(log).with_context(|| format!("{} can't be written", log.display()))?;
        let child = place
            .command(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} can't be started", program.display()))?;
        let pid = child.id().context("it has ended already")?;
        Ok(Self { child, pid, name })
    }

    /// SIGTERM; SIGKILL when that takes too long.
    pub(crate) async fn stop(mut self) {
        let asked = Command::new("kill").arg(self.pid.to_string()).status().await;
        let is_over = tokio::time::timeout(STOP_MAX, self.child.wait()).await;
        if asked.is_err() || is_over.is_err() {
            self.child.kill().await.ok();
        }
    }
}

/// A measured process of this program: it is told to go by a line, and answers by one.
pub(crate) struct Party {
    child: Child,
    pub(crate) pid: u32,
    name: String,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Party {
    /// Returns when it is ready, with what it says then.
    pub(crate) async fn start<R: DeserializeOwned>(
        name: &str,
        orders: &impl Serialize,
        log: &Path,
        core: Option<usize>,
    ) -> anyhow::Result<(Self, R)> {
        let program = std::env::current_exe().context("a running program has a path")?;
        let mut command = Command::new(program);
        command.arg("party").arg(name).arg(serde_json::to_string(orders)?);
        Self::launch(name, command, log, core).await
    }

    /// Any program that listens and answers as a party does.
    pub(crate) async fn launch<R: DeserializeOwned>(
        name: &str,
        command: Command,
        log: &Path,
        core: Option<usize>,
    ) -> anyhow::Result<(Self, R)> {
        let errors = File::options().create(true).append(true).open(log).with_context(|| format!("{} can't be written", log.display()))?;
        let command = command.into_std();
        let mut child = Place::Core(core)
            .command(Path::new(command.get_program()))
            .args(command.get_args())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("party {name} can't be started"))?;
        let pid = child.id().context("it has ended already")?;
        let orders = child.stdin.take().context("it was asked for")?;
        let answers = BufReader::new(child.stdout.take().context("it was asked for")?).lines();
        let mut party = Self { child, pid, name: name.to_owned(), orders, answers };
        let ready = party.answer(READY_MAX).await?;
        Ok((party, ready))
    }

    /// Has it work, and returns what came of it.
    pub(crate) async fn go<R: DeserializeOwned>(&mut self, within: Duration) -> anyhow::Result<R> {
        self.orders.write_all(b"go\n").await.with_context(|| format!("party {} is gone", self.name))?;
        self.answer(within).await
    }

    async fn answer<R: DeserializeOwned>(&mut self, within: Duration) -> anyhow::Result<R> {
        let line = tokio::time::timeout(within, self.answers.next_line()).await;
        match line {
            Err(_) => bail!("party {} did not answer within {within:?}", self.name),
            Ok(line) => match line? {
                None => bail!("party {} ended without an answer; its log says why", self.name),
                Some(line) => serde_json::from_str(&line).with_context(|| format!("party {} said: {line}", self.name)),
            },
        }
    }

    /// Its standard input closes, which is its sign.
    pub(crate) async fn stop(self) {
        let Self { mut child, orders, .. } = self;
        drop(orders);
        if tokio::time::timeout(STOP_MAX, child.wait()).await.is_err() {
            child.kill().await.ok();
        }
    }
}

const STOP_MAX: Duration = Duration::from_secs(10);
const READY_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_used_time_and_memory() {
        let pid = std::process::id();
        let before = cpu_seconds(pid).unwrap();
        let begun = std::time::Instant::now();
        while cpu_seconds(pid).unwrap() < before + 0.03 {
            assert!(begun.elapsed() < Duration::from_secs(30), "no time was counted");
        }
        assert!(memory_mb(pid, "VmHWM").unwrap() >= memory_mb(pid, "VmRSS").unwrap() * 0.9);
        assert!(memory_mb(pid, "VmRSS").unwrap() > 1.0);
    }
}
