//! The death itself.

use std::ffi::OsString;
use std::path::Path;
use std::sync::{LazyLock, Mutex};

use rustix::process::{Signal, getpid, kill_process};

use crate::{FILE, Point};

/// Dies here, if it is its turn.
pub fn reach(point: Point) {
    static PATH: LazyLock<Option<OsString>> = LazyLock::new(|| std::env::var_os(FILE));
    static ARRIVALS: Mutex<Arrivals> = Mutex::new(Arrivals { at: String::new(), count: 0 });
    let Some(path) = &*PATH else { return };
    let mut arrivals = ARRIVALS.lock().expect("nobody panics with it");
    // Nobody else's turn as well: whoever could remove it is the one that dies.
    if arrivals.is_last(Path::new(path), point) && std::fs::remove_file(path).is_ok() {
        eprintln!("killed at {}", point.name());
        kill_process(getpid(), Signal::KILL).expect("a process may kill itself");
        loop {
            std::thread::park();
        }
    }
}

/// Since the file was last read with other words.
struct Arrivals {
    at: String,
    count: u64,
}

impl Arrivals {
    /// Looked at each time, so that a running process can be armed.
    fn is_last(&mut self, file: &Path, point: Point) -> bool {
        let asked = std::fs::read_to_string(file).unwrap_or_default();
        if asked != self.at {
            *self = Self { at: asked, count: 0 };
        }
        let Some((name, nth)) = self.at.trim().split_once(' ') else { return false };
        if name != point.name() {
            return false;
        }
        self.count += 1;
        nth.parse() == Ok(self.count)
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
        let mut arrive = |point| arrivals.is_last(&path, point);
        assert_eq!([Point::DoorConfirmed, Point::DoorSpooled, Point::DoorConfirmed].map(&mut arrive), [false; 3]);
        assert!(arrive(Point::DoorConfirmed));
        assert!(!arrive(Point::DoorConfirmed), "it was the third");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn arrivals_before_it_was_asked_for_do_not_count() {
        let (mut arrivals, path) = (Arrivals { at: String::new(), count: 0 }, file("since", "door.spooled 1"));
        assert!(!arrivals.is_last(&path, Point::DoorConfirmed));
        std::fs::write(&path, "door.confirmed 2").unwrap();
        assert!(!arrivals.is_last(&path, Point::DoorConfirmed));
        std::fs::remove_file(&path).unwrap();
        assert!(!arrivals.is_last(&path, Point::DoorConfirmed), "there is no file");
        std::fs::write(&path, "door.confirmed 2").unwrap();
        assert!(!arrivals.is_last(&path, Point::DoorConfirmed), "it begins anew");
        assert!(arrivals.is_last(&path, Point::DoorConfirmed));
        for words in ["", "door.confirmed", "door.confirmed many", "door.confirmed -1"] {
            std::fs::write(&path, words).unwrap();
            assert!(!arrivals.is_last(&path, Point::DoorConfirmed), "{words:?}");
        }
        std::fs::remove_file(&path).unwrap();
    }
}
