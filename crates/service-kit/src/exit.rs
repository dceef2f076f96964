//! How a process says why it ended. The numbers are those of `sysexits.h`, which supervisors and scripts know.

use std::error::Error as StdError;
use std::process::ExitCode;

use pipeline::engine::SourceEnded;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Ok,
    Usage,
    Refused,
    Failed,
    LeftOver,
    Settings,
}

impl Exit {
    pub const ALL: [Self; 6] = [Self::Ok, Self::Usage, Self::Refused, Self::Failed, Self::LeftOver, Self::Settings];

    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Usage => 64,
            Self::Refused => 69,
            Self::Failed => 70,
            Self::LeftOver => 75,
            Self::Settings => 78,
        }
    }

    /// One line for `--help` and the documents.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "stopped as asked, nothing left over",
            Self::Usage => "the command line is wrong",
            Self::Refused => "something the service needs was not there, or refused it, at the start; or its Kafka client broke for good",
            Self::Failed => "the service failed; its last error line says why",
            Self::LeftOver => "stopped, but the grace period was over before all work was; the next start takes it up",
            Self::Settings => "the settings are wrong; nothing was started",
        }
    }

    /// What a failed run means, by what stands in its chain of causes.
    pub fn of(error: &anyhow::Error) -> Self {
        let at_start = error.chain().find_map(|cause| cause.downcast_ref::<Startup>());
        match at_start {
            Some(Startup::Refused { .. }) => Self::Refused,
            Some(Startup::Settings { .. }) => Self::Settings,
            // A new client needs a new process, as after a start that found no broker.
            None if error.chain().any(|cause| cause.is::<SourceEnded>()) => Self::Refused,
            None => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a service did not start. Somewhere in the error that `run` returns, it chooses the exit code.
///
/// ```
/// # use service_kit::Startup;
/// # fn open() -> Result<(), std::io::Error> { Ok(()) }
/// # fn run() -> Result<(), Startup> {
/// let store = open().map_err(Startup::refused("the store could not be opened"))?;
/// # Ok(store) }
/// ```
#[derive(Debug, thiserror::Error)]
pub enum Startup {
    #[error("{what}")]
    Refused { what: String, source: Box<dyn StdError + Send + Sync> },
    #[error("{what}")]
    Settings { what: String, source: Box<dyn StdError + Send + Sync> },
}

impl Startup {
    /// A broker, a database, a port: right settings, but it was not there.
    pub fn refused<E: Into<Box<dyn StdError + Send + Sync>>>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        let what = what.into();
        move |error| Self::Refused { what, source: error.into() }
    }

    /// What only the start could find wrong with the settings: a secret file, a certificate, an unknown connector.
    pub fn settings<E: Into<Box<dyn StdError + Send + Sync>>>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        let what = what.into();
        move |error| Self::Settings { what, source: error.into() }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn the_code_comes_from_the_depth_of_the_chain() {
        let refused: anyhow::Result<()> =
            Err(std::io::Error::other("no route")).map_err(Startup::refused("PostgreSQL is away")).context("could not start");
        assert_eq!(Exit::of(&refused.unwrap_err()), Exit::Refused);
        let wrong: anyhow::Result<()> =
            Err("not base64").map_err(Startup::settings("the signing secret can't be used")).map_err(Into::into);
        assert_eq!(Exit::of(&wrong.unwrap_err()), Exit::Settings);
        let broken = crate::tasks::Error::Failed { task: "engine", source: SourceEnded.into() };
        assert_eq!(Exit::of(&anyhow::Error::from(broken).context("the run")), Exit::Refused);
        assert_eq!(Exit::of(&anyhow::anyhow!("a bug")), Exit::Failed);
    }

    #[test]
    fn no_two_exits_share_a_code() {
        let mut codes = Exit::ALL.map(Exit::code).to_vec();
        codes.dedup();
        assert_eq!(codes.len(), Exit::ALL.len());
        assert!(codes.is_sorted());
    }
}
