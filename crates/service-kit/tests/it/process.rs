//! `examples/heartbeat.rs` as a process.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::Duration;

fn heartbeat() -> Command {
    // Cargo builds the examples of a package with its tests, beside them.
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    let mut command = Command::new(path.join("examples/heartbeat"));
    command.env_clear().stdin(Stdio::null());
    command
}

fn ended(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = heartbeat().args(arguments).envs(variables.iter().copied()).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap())
}

struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
    said: String,
}

impl Running {
    fn start(variables: &[(&str, &str)]) -> Self {
        let mut child = heartbeat().envs(variables.iter().copied()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut running = Self { child, stderr, said: String::new() };
        running.until("starting");
        running
    }

    fn until(&mut self, words: &str) {
        while !self.said.contains(words) {
            assert!(self.stderr.read_line(&mut self.said).unwrap() > 0, "it ended before `{words}`: {}", self.said);
        }
    }

    fn signal(&self, signal: libc::c_int) {
        let pid = self.child.id().to_string();
        let name = if signal == libc::SIGTERM { "-TERM" } else { "-INT" };
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    fn end(mut self) -> (Option<i32>, String) {
        self.stderr.read_to_string(&mut self.said).unwrap();
        (self.child.wait().unwrap().code(), std::mem::take(&mut self.said))
    }

    fn admin(&self) -> &str {
        let rest = self.said.split("admin=").nth(1).unwrap_or_else(|| panic!("no address in {}", self.said));
        rest.split_whitespace().next().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone in a test that passed.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn help_teaches_and_a_wrong_command_line_is_64() {
    let (code, text) = ended(&["--help"], &[]);
    assert_eq!(code, Some(0));
    for part in ["--config", "TRADEWIND__BUS__BROKERS", "--print-defaults", "Exit codes", "78  the settings are wrong", "SIGTERM"] {
        assert!(text.contains(part), "`{part}` is not in {text}");
    }
    assert_eq!(ended(&["--version"], &[]), (Some(0), format!("heartbeat {}\n", env!("CARGO_PKG_VERSION"))));
    assert_eq!(ended(&["--confg", "x"], &[]).0, Some(64));
    assert_eq!(ended(&["--check", "--show-config"], &[]).0, Some(64));
}

#[test]
fn settings_are_shown_checked_and_refused_without_a_start() {
    let (code, text) = ended(&["--show-config"], &[("TRADEWIND__EVERY", "7s"), ("TRADEWIND__KEY_FILE", "/run/hunter2")]);
    assert_eq!(code, Some(0));
    assert!(text.contains("every = \"7s\"") && text.contains("***") && !text.contains("hunter2"), "{text}");
    assert_eq!(ended(&["--check"], &[]), (Some(0), "heartbeat: the settings are good\n".to_owned()));
    let (code, text) = ended(&["--print-defaults"], &[]);
    assert!(code == Some(0) && text.contains("# Between two beats."), "{text}");
    for (variable, value, said) in [
        ("TRADEWIND__EVERYY", "7s", "`everyy`"),
        ("TRADEWIND__EVERY", "0s", "every must be longer"),
        ("TRADEWIND__TELEMETRY__LEVEL", "loud", "telemetry.level: `loud`"),
        ("TRADEWIND_CONFIG", "/no/such.toml", "/no/such.toml"),
    ] {
        for arguments in [&["--check"][..], &[]] {
            let (code, text) = ended(arguments, &[(variable, value)]);
            assert!(code == Some(78) && text.contains(said), "{code:?} {text}");
        }
    }
}

#[test]
fn a_start_that_is_refused_is_69_and_a_failure_is_70() {
    let (code, text) = ended(&[], &[("TRADEWIND__MODE", "refused")]);
    assert!(code == Some(69) && text.contains("the heart could not be reached: nobody is there"), "{code:?} {text}");
    let (code, text) = ended(&[], &[("TRADEWIND__MODE", "fail")]);
    assert!(code == Some(70) && text.contains("`beat` failed: the heart stopped"), "{code:?} {text}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, text) = ended(&[], &[("TRADEWIND__ADMIN__LISTEN", &address)]);
    assert!(code == Some(69) && text.contains(&address), "{code:?} {text}");
}

#[tokio::test]
async fn it_becomes_ready_and_a_signal_stops_it_with_0() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let running = Running::start(&[]);
        let url = format!("http://{}/ready", running.admin());
        http_kit::install_crypto();
        let ready = async {
            while !reqwest::get(&url).await.unwrap().status().is_success() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), ready).await.expect("it becomes ready");
        running.signal(signal);
        let (code, text) = running.end();
        assert!(code == Some(0) && text.contains("nothing left over"), "{code:?} {text}");
    }
}

#[test]
fn work_left_over_after_the_grace_period_is_75() {
    let running = Running::start(&[("TRADEWIND__MODE", "hang"), ("TRADEWIND__GRACE", "50ms")]);
    running.signal(libc::SIGTERM);
    let (code, text) = running.end();
    assert!(code == Some(75) && text.contains("grace period is over") && text.contains("beat"), "{code:?} {text}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut running = Running::start(&[("TRADEWIND__MODE", "hang"), ("TRADEWIND__GRACE", "1h")]);
    running.signal(libc::SIGTERM);
    running.until("stopping");
    running.signal(libc::SIGTERM);
    let (code, text) = running.end();
    assert!(code == Some(75) && text.contains("ending at once"), "{code:?} {text}");
}
