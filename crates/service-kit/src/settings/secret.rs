//! Secrets come from files: a file can be mounted for one process, replaced while it runs, and is in no process list.

use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::redact::HIDDEN;

/// Names the file that holds a secret. Printed and serialized as `***`: where somebody put the secret itself, it stays hidden.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretFile(PathBuf);

#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("the secret file {} could not be read: {source}", file.display())]
    Read { file: PathBuf, source: std::io::Error },
    #[error("the secret file {} is empty", file.display())]
    Empty { file: PathBuf },
}

impl SecretFile {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The whole file without the line end behind it. Read it when it is needed: it may have been replaced.
    pub fn read(&self) -> Result<SecretString, SecretError> {
        let text = self.text()?;
        Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
    }

    /// One secret per line, the newest first: for secrets that are replaced while the old one is still in use.
    pub fn read_lines(&self) -> Result<Vec<SecretString>, SecretError> {
        Ok(self.text()?.lines().map(str::trim).filter(|line| !line.is_empty()).map(SecretString::from).collect())
    }

    fn text(&self) -> Result<String, SecretError> {
        let text = std::fs::read_to_string(&self.0).map_err(|source| SecretError::Read { file: self.0.clone(), source })?;
        if text.trim().is_empty() {
            return Err(SecretError::Empty { file: self.0.clone() });
        }
        Ok(text)
    }
}

impl fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Display for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Serialize for SecretFile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

impl<'de> Deserialize<'de> for SecretFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = String::deserialize(deserializer)?;
        // Errors name the path; a secret in its place must not get that far.
        if !["/", "./", "../"].iter().any(|start| path.starts_with(start)) {
            return Err(de::Error::custom("a secret is given by the path of its file, which begins with `/` or `./`"));
        }
        Ok(Self(path.into()))
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn file(content: &str) -> (tempfile::NamedTempFile, SecretFile) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let secret = SecretFile::new(file.path());
        (file, secret)
    }

    #[test]
    fn the_line_end_is_not_part_of_a_secret_but_spaces_are() {
        let (_file, secret) = file(" hunter2 \r\n");
        assert_eq!(secret.read().unwrap().expose_secret(), " hunter2 ");
    }

    #[test]
    fn a_file_may_hold_the_next_secret_beside_the_last() {
        let (_file, secret) = file("new\n\nold\n");
        let lines = secret.read_lines().unwrap();
        assert_eq!(lines.iter().map(|it| it.expose_secret()).collect::<Vec<_>>(), ["new", "old"]);
    }

    #[test]
    fn no_secret_is_an_error_that_names_the_file() {
        let (_file, empty) = file("\n");
        assert!(matches!(empty.read(), Err(SecretError::Empty { .. })));
        let missing = SecretFile::new("/no/such/file").read().unwrap_err();
        assert!(missing.to_string().contains("/no/such/file"));
    }
}
