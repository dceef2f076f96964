//! A process of its own that arrives again and again. With the feature `armed` it can be killed at a point; without it nothing
//! happens.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus};

use kill_point::{FILE, Point, reach};

/// Says to this very program that it is the child.
const CHILD: &str = "KILL_POINT_CHILD";

#[test]
fn a_child_arrives_five_times() {
    if std::env::var_os(CHILD).is_some() {
        for _ in 0..5 {
            reach(Point::DoorConfirmed);
            reach(Point::DoorSpooled);
        }
    }
}

fn child(kill_file: Option<&Path>) -> ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_child_arrives_five_times"]).env(CHILD, "1").env_remove(FILE);
    if let Some(file) = kill_file {
        command.env(FILE, file);
    }
    command.output().unwrap().status
}

#[test]
fn who_is_asked_to_dies_once_by_a_signal_and_nobody_else_does() {
    let path = std::env::temp_dir().join(format!("kill-point-{}-death", std::process::id()));
    assert!(child(None).success(), "nobody asked");
    assert!(child(Some(&path)).success(), "there is no file");
    std::fs::write(&path, "door.spooled 3").unwrap();
    let (asked, is_armed) = (child(Some(&path)), cfg!(feature = "armed"));
    assert_eq!(asked.signal(), is_armed.then_some(9), "{asked}");
    assert_eq!(path.exists(), !is_armed, "who dies takes the file along");
    assert!(child(Some(&path)).success(), "its next life lives");
    if !is_armed {
        std::fs::remove_file(&path).unwrap();
        return;
    }
    std::fs::write(&path, "door.spooled 6").unwrap();
    assert!(child(Some(&path)).success(), "it arrives there five times only");
    std::fs::remove_file(&path).unwrap();
}
