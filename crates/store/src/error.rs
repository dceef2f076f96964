use fault::{Class, Classify, Fault};
use pipeline::CommitError;

/// A database call that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Away, overloaded, or it gave up this transaction: the same again, later.
    #[error("the database is away or gave up the transaction")]
    Unavailable(#[source] sqlx::Error),
    /// The data itself can't be stored: the same again will fail again.
    #[error("the database refuses this data")]
    Rejected(#[source] sqlx::Error),
    /// The schema is not the one that this version was built for.
    #[error("the database is not set up for this version: run `tradewind migrate`")]
    Schema(#[source] sqlx::Error),
    /// The role that we logged in as has not the right to do this.
    #[error(
        "the database role may not do this: log in as a member of the service's own role, and let the schema's owner run `tradewind migrate --roles`"
    )]
    Forbidden(#[source] sqlx::Error),
    #[error("the migrations can't be applied")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// What was stored can't be read back: damage, or a newer version's data.
    #[error("stored {what} can't be read back")]
    Corrupt {
        what: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another process has decided the same meanwhile: it is there, and looked up at the next try.
    #[error("another process was faster")]
    Overtaken,
    #[error("the database's URL is not usable: expected postgres://user@host:port/database")]
    Url(#[source] sqlx::Error),
    #[error("the task of a transaction panicked")]
    Panicked,
}

impl Error {
    pub(crate) fn corrupt(what: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Corrupt { what, source: source.into() }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let Some(database) = error.as_database_error() else {
            return match error {
                sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) | sqlx::Error::Decode(_) => Self::Schema(error),
                sqlx::Error::Encode(_) => Self::Rejected(error),
                _ => Self::Unavailable(error),
            };
        };
        // Classes of SQLSTATE: https://www.postgresql.org/docs/15/errcodes-appendix.html
        if database.code().as_deref() == Some(INSUFFICIENT_PRIVILEGE) {
            return Self::Forbidden(error);
        }
        match database.code().as_deref().map(|code| code.split_at_checked(2).map_or(code, |it| it.0)) {
            Some("21" | "22" | "23") => Self::Rejected(error),
            Some("3D" | "3F" | "42") => Self::Schema(error),
            _ => Self::Unavailable(error),
        }
    }
}

impl Classify for Error {
    fn class(&self) -> Class {
        match self {
            Self::Unavailable(_) => Class::Outage,
            Self::Rejected(_) => Class::Validation,
            Self::Schema(_) | Self::Forbidden(_) | Self::Migrate(_) | Self::Url(_) => Class::Auth,
            Self::Corrupt { .. } => Class::Schema,
            Self::Overtaken => Class::Transient,
            Self::Panicked => Class::Poison,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "database_unavailable",
            Self::Rejected(_) => "database_rejected",
            Self::Schema(_) => "database_schema",
            Self::Forbidden(_) => "database_forbidden",
            Self::Migrate(_) => "database_migrate",
            Self::Corrupt { .. } => "database_corrupt",
            Self::Url(_) => "database_url",
            Self::Overtaken => "database_overtaken",
            Self::Panicked => "database_panicked",
        }
    }
}

/// For a ledger: is it the database or the data?
pub fn commit_error(error: Error) -> CommitError {
    match error {
        Error::Rejected(_) | Error::Corrupt { .. } | Error::Overtaken | Error::Panicked => CommitError::Rejected(Fault::from(error)),
        Error::Unavailable(_) | Error::Schema(_) | Error::Forbidden(_) | Error::Migrate(_) | Error::Url(_) => {
            CommitError::Unavailable(Fault::from(error))
        }
    }
}

/// SQLSTATE of a missing right.
const INSUFFICIENT_PRIVILEGE: &str = "42501";
