//! Settings: commented defaults compiled in, then a TOML file, then environment variables, then `validate`.
//!
//! Every key has to be known and every value to fit; what is wrong is named with the place that it came from. Secrets are
//! never settings themselves: a setting names the file that holds one ([`SecretFile`]).

mod error;
mod layers;
mod redact;
mod secret;
mod shared;

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use error::Error;
pub use redact::shown;
pub use secret::{SecretError, SecretFile};
pub use shared::{AdminSettings, TelemetrySettings};

use layers::Layers;

/// What types can't say about settings.
pub trait Validate {
    /// All problems at once, each a sentence that begins with the key.
    fn validate(&self) -> Result<(), Vec<String>>;
}

/// Settings, and what the operator should know about them.
#[derive(Debug)]
pub struct Loaded<T> {
    pub settings: T,
    pub warnings: Vec<String>,
}

/// Loads the settings of this process. Variables are `<env_prefix>__<TABLE>__<KEY>`.
pub fn load<T>(defaults_toml: &str, file: Option<&Path>, env_prefix: &str) -> Result<T, Error>
where
    T: DeserializeOwned + Serialize + Validate,
{
    let loaded = load_from(defaults_toml, file, env_prefix, std::env::vars_os())?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    Ok(loaded.settings)
}

/// As [`load`], from variables that are given; warnings are the caller's to say.
pub fn load_from<T, N, V>(
    defaults_toml: &str,
    file: Option<&Path>,
    env_prefix: &str,
    variables: impl IntoIterator<Item = (N, V)>,
) -> Result<Loaded<T>, Error>
where
    T: DeserializeOwned + Serialize + Validate,
    N: Into<std::ffi::OsString>,
    V: Into<std::ffi::OsString>,
{
    let mut layers = Layers::defaults(defaults_toml);
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read { file: path.to_owned(), source })?;
        layers.add_file(path, &text)?;
    }
    layers.add_variables(env_prefix, variables.into_iter().map(|(name, value)| (name.into(), value.into())))?;
    let settings: T = layers.deserialize(env_prefix)?;
    settings.validate().map_err(Error::Invalid)?;
    Ok(Loaded { settings, warnings: layers.warnings })
}
