//! A death: asked for, awaited, and its process started again. Or a standstill, and its process woken again.

use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use e2e::{Process, Program, SOON};
use tokio::time::sleep;

use super::Place;
use crate::world::Breakable;

/// What happens to a process at its point.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    Death,
    /// For so long.
    Stall(Duration),
}

impl Ending {
    pub(super) fn says(self) -> &'static str {
        match self {
            Self::Death => "died",
            Self::Stall(_) => "stood still",
        }
    }
}

/// How many of a program are asked to die. Of work that only one process does nobody knows which it is: then all are asked.
pub(super) fn arm(parts: &mut Breakable, place: Place, part: &str, ending: Ending, nth: usize, asked: usize) -> anyhow::Result<()> {
    let point = place.point.name();
    let at = if part.is_empty() { point.to_owned() } else { format!("{point}/{part}") };
    let stop = if matches!(ending, Ending::Stall(_)) { " stop" } else { "" };
    for process in parts.all_of(place.program).take(asked) {
        let file = process.kill_file();
        // Whole or not at all: it is read while it is written.
        let new = file.with_extension("new");
        std::fs::write(&new, format!("{at} {nth}{stop}")).context("the kill file can't be written")?;
        std::fs::rename(&new, file)?;
    }
    Ok(())
}

/// Waits until one of them has come by, or for as long as that may take.
pub(super) async fn await_one(parts: &mut Breakable, program: Program, asked: usize) {
    let begun = Instant::now();
    while begun.elapsed() < DEADLINE && !has_any_come_by(parts, program, asked) {
        sleep(Duration::from_millis(20)).await;
    }
}

/// Who comes by takes the file along.
pub(super) fn has_any_come_by(parts: &mut Breakable, program: Program, asked: usize) -> bool {
    parts.all_of(program).take(asked).any(|it| !it.kill_file().exists())
}

/// Has those that came by live again, and the others live on. Returns how many came by.
pub(super) async fn disarm(parts: &mut Breakable, program: Program, ending: Ending, asked: usize) -> anyhow::Result<usize> {
    let mut came_by = Vec::new();
    for process in parts.all_of(program).take(asked) {
        match std::fs::remove_file(process.kill_file()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => came_by.push(process),
            Err(error) => return Err(error.into()),
        }
    }
    let came = came_by.len();
    match ending {
        Ending::Death => start_again(came_by).await?,
        Ending::Stall(time) if came > 0 => {
            sleep(time).await;
            came_by.into_iter().for_each(|it| it.service().thaw());
        }
        Ending::Stall(_) => {}
    }
    Ok(came)
}

/// Those that are dead, or will be at once.
async fn start_again(processes: Vec<&mut Process>) -> anyhow::Result<()> {
    for process in processes {
        let status = process.service().wait(SOON).await;
        anyhow::ensure!(status.signal() == Some(9), "it ended with {status}, and was to be killed");
        process.service().restart();
    }
    Ok(())
}

/// For a process to come by: all that it takes happens again and again, or has just been brought about.
const DEADLINE: Duration = Duration::from_secs(90);
