use std::io;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Defaults,
    File { file: PathBuf, line: usize },
    Variable(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Defaults => f.write_str("the built-in defaults"),
            Self::File { file, line } => write!(f, "{} line {line}", file.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the settings file {} could not be read: {source}; is the path right?", file.display())]
    Read { file: PathBuf, source: io::Error },
    #[error("{} line {line}: this is not TOML: {message}", file.display())]
    Syntax { file: PathBuf, line: usize, message: String },
    #[error("{origin}: `{key}`: {message}; correct or remove it there (--print-defaults lists every key)")]
    Value { origin: Origin, key: String, message: String },
    #[error("`{key}` is not set; set it in the settings file, or by {variable}")]
    Missing { key: String, variable: String },
    #[error("the settings don't go together:\n  - {}", .0.join("\n  - "))]
    Invalid(Vec<String>),
}
