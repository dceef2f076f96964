//! Whether the programs can be killed at all: asked before anything else, instead of waiting for deaths that never come.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use anyhow::Context as _;
use e2e::Program;
use kill_point::Point;
use tokio::process::Command;

/// Each program is started and is to die at once.
pub(crate) async fn are_armed() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("kill");
    for program in Program::ALL {
        let path = e2e::program(program.name()).await;
        std::fs::write(&file, format!("{} 1", Point::ProcessBegun.name()))?;
        let mut command = Command::new(&path);
        command.arg("--help").env(kill_point::FILE, &file).stdout(Stdio::null()).stderr(Stdio::null());
        let ended = command.status().await.with_context(|| format!("{} can't be started", path.display()))?;
        anyhow::ensure!(
            ended.signal() == Some(9),
            "{} has no kill points in it: build with `--features kill-point/armed`, as `make chaos-kill-points` does",
            path.display()
        );
    }
    Ok(())
}
