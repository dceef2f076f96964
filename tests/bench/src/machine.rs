//! Where and when it was measured: without it no figure means anything.

use std::fs;
use std::process::{Command, Stdio};

/// For the end of the table.
pub(crate) fn describe(core: Option<usize>, versions: &str) -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
    let pinned = core.map_or("nothing is pinned".to_owned(), |it| format!("parties are pinned to core {it}, row 10 is not"));
    format!(
        "{} cores ({}), {pinned}; load before the run {load}; {versions}, librdkafka {}; {} build of Tradewind {}; {}.",
        cores(),
        model(),
        bus::librdkafka_version(),
        if cfg!(debug_assertions) { "debug (its figures mean nothing)" } else { "release" },
        env!("CARGO_PKG_VERSION"),
        chrono::Utc::now().format("%Y-%m-%d %H:%M UTC"),
    )
}

/// All of the machine, whatever this process is pinned to.
pub(crate) fn cores() -> usize {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines().filter(|it| it.starts_with("processor")).count().max(1)
}

/// Gives this process, the servers and all that they have started the whole machine again.
pub(crate) fn unpin(servers: &[u32]) -> anyhow::Result<()> {
    let mut all = vec![std::process::id()];
    all.extend_from_slice(servers);
    let mut next = 0;
    while let Some(pid) = all.get(next).copied() {
        all.extend(children(pid));
        let mut command = Command::new("taskset");
        command.args(["-a", "-c", "-p", &format!("0-{}", cores() - 1), &pid.to_string()]).stdout(Stdio::null());
        // One that has just ended needs no cores.
        anyhow::ensure!(command.status()?.success() || !fs::exists(format!("/proc/{pid}"))?, "process {pid} can't be unpinned");
        next += 1;
    }
    Ok(())
}

fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|it| it.parse().ok()).collect()
}

fn model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|it| it.starts_with("model name"));
    line.and_then(|it| it.split_once(':')).map_or("unknown", |(_, name)| name.trim()).to_owned()
}

/// One minute's load, for the end of the run.
pub(crate) fn load() -> String {
    fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').next().unwrap_or_default().to_owned()
}
