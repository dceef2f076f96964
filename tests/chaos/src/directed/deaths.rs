//! A death: asked for, awaited, and its process started again.

use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use e2e::{Program, SOON};
use tokio::time::sleep;

use super::Place;
use crate::world::Breakable;

/// How many of a program are asked to die. Of work that only one process does nobody knows which it is: then all are asked.
pub(super) fn arm(parts: &mut Breakable, place: Place, nth: usize, asked: usize) -> anyhow::Result<()> {
    for process in parts.all_of(place.program).take(asked) {
        let file = process.kill_file();
        // Whole or not at all: it is read while it is written.
        let new = file.with_extension("new");
        std::fs::write(&new, format!("{} {nth}", place.point.name())).context("the kill file can't be written")?;
        std::fs::rename(&new, file)?;
    }
    Ok(())
}

/// Waits until one of them has died, or for as long as that may take.
pub(super) async fn await_one(parts: &mut Breakable, program: Program) {
    let begun = Instant::now();
    while begun.elapsed() < DEADLINE && !is_any_dead(parts, program) {
        sleep(Duration::from_millis(20)).await;
    }
}

pub(super) fn is_any_dead(parts: &mut Breakable, program: Program) -> bool {
    parts.all_of(program).any(|it| !it.service().is_running())
}

/// Starts again who has died, and has the others live on. Returns how many died.
pub(super) async fn disarm(parts: &mut Breakable, program: Program, asked: usize) -> anyhow::Result<usize> {
    let mut died = 0;
    for process in parts.all_of(program).take(asked) {
        match std::fs::remove_file(process.kill_file()) {
            Ok(()) => {}
            // It took the file along: it is dead, or will be at once.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let status = process.service().wait(SOON).await;
                anyhow::ensure!(status.signal() == Some(9), "{} ended with {status}, and was to be killed", program.name());
                process.service().restart();
                died += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(died)
}

/// For a process to come by: all that it takes happens again and again, or has just been brought about.
const DEADLINE: Duration = Duration::from_secs(90);
