//! The scripts of `deploy/local`, which start and stop servers by folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Kafka,
    Postgres,
    Tryton,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Postgres => "postgres",
            Self::Tryton => "tryton",
        }
    }
}

/// Whose server it is.
pub(crate) struct Owner {
    pub(crate) process: u32,
    /// The port that clients are told to use instead of Kafka's own.
    pub(crate) advertised: Option<u16>,
}

/// Runs `<kind>.sh <verb> <folder> <arguments>` and returns what it printed; the error is what it complained of.
pub(crate) fn run(kind: Kind, verb: &str, folder: &Path, arguments: &[&str], owner: Option<Owner>) -> Result<String, String> {
    let script = crate::repository().join("deploy/local").join(format!("{}.sh", kind.name()));
    let mut command = Command::new(&script);
    command.arg(verb).arg(folder).args(arguments).stdin(Stdio::null());
    command.env_remove("OWNER").env_remove("ADVERTISED").env("PG_FSYNC", "off");
    if let Some(owner) = owner {
        // Somebody's own: it may be killed, and must keep what it confirmed.
        command.env("OWNER", owner.process.to_string()).env("PG_FSYNC", "on");
        command.envs(owner.advertised.map(|it| ("ADVERTISED", it.to_string())));
    }
    let output = command.output().map_err(|error| format!("{}: {error}", script.display()))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

/// Kafka and Tryton are downloads: where `make setup` was not run, tests that need them are skipped, and say so loudly.
/// `TRADEWIND_REQUIRE_REAL=1` makes that a failure; `make test` sets it.
pub(crate) fn started(kind: Kind, started: Result<String, String>) -> Option<String> {
    match started {
        Ok(url) => Some(url),
        Err(complaint) if may_be_missing(kind) && is_missing(&complaint) => {
            eprintln!("\n*** SKIPPED, because {} is not here: run `make setup`. NOTHING WAS TESTED. ({complaint}) ***\n", kind.name());
            None
        }
        Err(complaint) => panic!("{} did not start: {complaint}", kind.name()),
    }
}

fn may_be_missing(kind: Kind) -> bool {
    kind != Kind::Postgres && std::env::var_os("TRADEWIND_REQUIRE_REAL").is_none_or(|it| it != "1")
}

fn is_missing(complaint: &str) -> bool {
    complaint.contains("setup.sh")
}

/// Of this checkout: two checkouts share downloads, never servers.
pub(crate) fn run_folder() -> PathBuf {
    crate::repository().join(".local/run")
}
