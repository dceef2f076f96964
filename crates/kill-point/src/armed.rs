//! The death itself, or the standstill.

use std::ffi::OsString;
use std::path::Path;
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Signal, getpid, kill_process};

use crate::{FILE, Point};

/// Dies here, or stands still, if it is its turn.
pub fn reach(point: Point) {
    reach_in(point, "");
}

/// The same; `part`: which of several things comes by, such as the name of a step.
pub fn reach_in(point: Point, part: &str) {
    static PATH: LazyLock<Option<OsString>> = LazyLock::new(|| std::env::var_os(FILE));
    static ARRIVALS: Mutex<Arrivals> = Mutex::new(Arrivals { at: String::new(), count: 0 });
    let Some(path) = &*PATH else { return };
    let mut arrivals = ARRIVALS.lock().expect("nobody panics with it");
    let Some(signal) = arrivals.turn(Path::new(path), point, part) else { return };
    // Nobody else's turn as well: whoever could remove it is the one.
    if std::fs::remove_file(path).is_ok() {
        eprintln!("{} at {}", if signal == Signal::KILL { "killed" } else { "stopped" }, point.name());
        if signal == Signal::KILL { die() } else { stand_still() }
    }
}

/// Any thread may take the signal of a process. Until then this one must go no further, here and below.
fn die() -> ! {
    kill_process(getpid(), Signal::KILL).expect("a process may signal itself");
    loop {
        std::thread::park();
    }
}

/// Returns when the process has stood still and goes on, which shows in the clock.
fn stand_still() {
    let mut before = Instant::now();
    kill_process(getpid(), Signal::STOP).expect("a process may signal itself");
    loop {
        let now = Instant::now();
        if now - before >= STANDSTILL {
            return;
        }
        before = now;
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Less than any that is asked for, and more than a busy machine keeps a thread waiting.
const STANDSTILL: Duration = Duration::from_secs(2);

/// Since the file was last read with other words.
struct Arrivals {
    at: String,
    count: u64,
}

impl Arrivals {
    /// What is to happen now, if anything. The file is looked at each time, so that a running process can be armed.
    fn turn(&mut self, file: &Path, point: Point, part: &str) -> Option<Signal> {
        let asked = std::fs::read_to_string(file).unwrap_or_default();
        if asked != self.at {
            *self = Self { at: asked, count: 0 };
        }
        let (name, nth) = self.at.trim().split_once(' ')?;
        let (name, only) = name.split_once('/').map_or((name, None), |(name, only)| (name, Some(only)));
        if name != point.name() || only.is_some_and(|it| it != part) {
            return None;
        }
        self.count += 1;
        let (nth, signal) = match nth.strip_suffix(" stop") {
            Some(nth) => (nth, Signal::STOP),
            None => (nth, Signal::KILL),
        };
        (nth.parse() == Ok(self.count)).then_some(signal)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn file(name: &str, text: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("kill-point-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn only_the_nth_arrival_at_that_point_is_the_last_one() {
        let (mut arrivals, path) = (Arrivals { at: String::new(), count: 0 }, file("nth", "door.confirmed 3\n"));
        let mut arrive = |point| arrivals.turn(&path, point, "").is_some();
        assert_eq!([Point::DoorConfirmed, Point::DoorSpooled, Point::DoorConfirmed].map(&mut arrive), [false; 3]);
        assert!(arrive(Point::DoorConfirmed));
        assert!(!arrive(Point::DoorConfirmed), "it was the third");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn arrivals_before_it_was_asked_for_do_not_count() {
        let (mut arrivals, path) = (Arrivals { at: String::new(), count: 0 }, file("since", "door.spooled 1"));
        assert_eq!(arrivals.turn(&path, Point::DoorConfirmed, ""), None);
        std::fs::write(&path, "door.confirmed 2").unwrap();
        assert_eq!(arrivals.turn(&path, Point::DoorConfirmed, ""), None);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(arrivals.turn(&path, Point::DoorConfirmed, ""), None, "there is no file");
        std::fs::write(&path, "door.confirmed 2").unwrap();
        assert_eq!(arrivals.turn(&path, Point::DoorConfirmed, ""), None, "it begins anew");
        assert_eq!(arrivals.turn(&path, Point::DoorConfirmed, ""), Some(Signal::KILL));
        for words in ["", "door.confirmed", "door.confirmed many", "door.confirmed -1", "door.confirmed 1 then"] {
            std::fs::write(&path, words).unwrap();
            assert_eq!(arrivals.turn(&path, Point::DoorConfirmed, ""), None, "{words:?}");
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn it_stands_still_where_the_file_says_so() {
        let (mut arrivals, path) = (Arrivals { at: String::new(), count: 0 }, file("stop", "door.spooled 2 stop\n"));
        assert_eq!(arrivals.turn(&path, Point::DoorSpooled, ""), None);
        assert_eq!(arrivals.turn(&path, Point::DoorSpooled, ""), Some(Signal::STOP));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn only_the_part_that_is_asked_for_counts() {
        let (mut arrivals, path) = (Arrivals { at: String::new(), count: 0 }, file("part", "step.followed/create 2\n"));
        let mut arrive = |part| arrivals.turn(&path, Point::StepFollowed, part).is_some();
        assert_eq!(["create", "quote", "", "create"].map(&mut arrive), [false, false, false, true]);
        std::fs::remove_file(&path).unwrap();
    }
}
