//! Secrets in files, read again when a file changes: a rotation takes no restart.
//!
//! A file has one secret per line, the newest first. Files are looked at by what the file system says of them, at most every
//! [`LOOK_EVERY`], and once more before a signature is refused: the first delivery under a new secret must not be the one that
//! finds out about it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use secrecy::SecretString;

use super::{Encoding, Secrets, SecretsError, decode};

/// A retired secret is good for no longer than this.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Why files give no secrets.
#[derive(Debug, thiserror::Error)]
pub enum SecretFilesError {
    #[error("{} cannot be read: {source}", file.display())]
    Read { file: PathBuf, source: io::Error },
    #[error("{} is empty: write the sender's secret into it", file.display())]
    Empty { file: PathBuf },
    #[error(transparent)]
    Secrets(#[from] SecretsError),
}

/// The active secrets of one sender, as they stand in its files now.
#[derive(Debug)]
pub struct SecretFiles {
    files: Vec<PathBuf>,
    now: RwLock<Now>,
}

#[derive(Debug)]
struct Now {
    secrets: Secrets,
    /// How often they were read.
    generation: u64,
    stamps: Vec<Stamp>,
    looked_at: Instant,
}

/// What differs when a file was written or replaced; also within one tick of the file system's clock, unless an inode came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl SecretFiles {
    /// Reads them once: without a secret there is nothing to open.
    pub fn open(files: Vec<PathBuf>) -> Result<Self, SecretFilesError> {
        let (stamps, secrets) = read(&files)?;
        Ok(Self { files, now: RwLock::new(Now { secrets, generation: 0, stamps, looked_at: Instant::now() }) })
    }

    /// As [`Secrets::verify`], by the secrets that the files have now.
    pub fn verify(&self, signature: &[u8], encoding: Encoding, parts: &[&[u8]]) -> Option<usize> {
        self.look(LOOK_EVERY);
        let (found, generation) = {
            let now = self.now();
            (now.secrets.verify(signature, encoding, parts), now.generation)
        };
        if found.is_some() || !is_signature(signature, encoding) {
            return found;
        }
        // Forged ones come here, too; looking costs less than what was verified. Whoever looked, new secrets are tried.
        self.look(Duration::ZERO);
        let now = self.now();
        if now.generation == generation { None } else { now.secrets.verify(signature, encoding, parts) }
    }

    fn now(&self) -> RwLockReadGuard<'_, Now> {
        self.now.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the files again if they have changed and were not looked at for so long.
    ///
    /// What can't be read leaves the secrets as they were: a file that is written just now must not refuse what is signed rightly.
    fn look(&self, every: Duration) {
        if self.now().looked_at.elapsed() < every {
            return;
        }
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        now.looked_at = Instant::now();
        let stamps: Option<Vec<_>> = self.files.iter().map(|it| stamp(it).ok()).collect();
        if stamps.as_ref() == Some(&now.stamps) {
            return;
        }
        match read(&self.files) {
            Ok((stamps, secrets)) => {
                (now.secrets, now.stamps) = (secrets, stamps);
                now.generation += 1;
                tracing::info!(files = ?self.files, active = now.secrets.len(), "the signing secrets were read again");
            }
            Err(error) => {
                // Said once for each change of the files.
                if let Some(stamps) = stamps {
                    now.stamps = stamps;
                    tracing::error!(%error, "the signing secrets changed and can't be used, those before stay active");
                }
            }
        }
    }
}

/// Whether it can be one at all: what is none needs no secret to be refused.
pub fn is_signature(text: &[u8], encoding: Encoding) -> bool {
    decode(text, encoding).is_some()
}

/// Stamps from before the reading: what is written meanwhile is read once more.
fn read(files: &[PathBuf]) -> Result<(Vec<Stamp>, Secrets), SecretFilesError> {
    let (mut stamps, mut secrets) = (Vec::with_capacity(files.len()), Vec::new());
    for file in files {
        let unreadable = |source| SecretFilesError::Read { file: file.clone(), source };
        stamps.push(stamp(file).map_err(unreadable)?);
        let text = SecretString::from(fs::read_to_string(file).map_err(unreadable)?);
        let before = secrets.len();
        secrets.extend(lines(&text));
        if secrets.len() == before {
            return Err(SecretFilesError::Empty { file: file.clone() });
        }
    }
    Ok((stamps, Secrets::new(secrets)?))
}

fn lines(text: &SecretString) -> Vec<SecretString> {
    use secrecy::ExposeSecret as _;
    text.expose_secret().lines().map(str::trim).filter(|it| !it.is_empty()).map(SecretString::from).collect()
}

fn stamp(file: &Path) -> io::Result<Stamp> {
    let of = fs::metadata(file)?;
    Ok(Stamp { device: of.dev(), inode: of.ino(), size: of.size(), changed: (of.ctime(), of.ctime_nsec()) })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new(text: &str) -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            folder.write(text);
            folder
        }

        fn file(&self) -> PathBuf {
            self.0.path().join("secret")
        }

        /// In one step, as Kubernetes and `mv` do it. Never twice within a tick of the file system's clock, as nobody does.
        fn write(&self, text: &str) {
            let beside = self.0.path().join("next");
            let before = stamp(&self.file()).ok().map(|it| it.changed);
            loop {
                fs::write(&beside, text).unwrap();
                if Some(stamp(&beside).unwrap().changed) > before {
                    break;
                }
            }
            fs::rename(beside, self.file()).unwrap();
        }

        fn open(&self) -> SecretFiles {
            SecretFiles::open(vec![self.file()]).unwrap()
        }
    }

    fn signed(secret: &str) -> String {
        Secrets::new([secret.into()]).unwrap().sign(Encoding::Base64, &[b"{}"])
    }

    fn verify(files: &SecretFiles, secret: &str) -> Option<usize> {
        files.verify(signed(secret).as_bytes(), Encoding::Base64, &[b"{}"])
    }

    #[test]
    fn a_new_secret_is_good_at_once_and_a_retired_one_is_not_for_long() {
        let folder = Folder::new("old\n");
        let files = folder.open();
        assert_eq!((verify(&files, "old"), verify(&files, "new")), (Some(0), None));
        folder.write("new\nold\n");
        assert_eq!((verify(&files, "new"), verify(&files, "old")), (Some(0), Some(1)), "the first delivery under it passes");
        folder.write("new\n");
        let retired_at = Instant::now();
        while verify(&files, "old").is_some() {
            assert!(retired_at.elapsed() < 40 * LOOK_EVERY, "it is still good");
            std::thread::yield_now();
        }
        assert_eq!(verify(&files, "new"), Some(0));
    }

    /// A shop under load, which signs with the new secret as soon as both are in the file.
    #[test]
    fn a_rotation_under_load_refuses_nothing() {
        let secret = |n: usize| format!("secret {n}");
        let folder = Folder::new(&secret(0));
        let files = folder.open();
        // Which secret the shop signs with; held while a delivery is on its way.
        let (shop, done, checked) = (RwLock::new(0), AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !done.load(Ordering::SeqCst) {
                        let n = shop.read().unwrap();
                        assert!(verify(&files, &secret(*n)).is_some(), "refused under secret {n}");
                        drop(n);
                        checked.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            for n in 0..20 {
                folder.write(&format!("{}\n{}\n", secret(n + 1), secret(n)));
                *shop.write().unwrap() = n + 1;
                let before = checked.load(Ordering::SeqCst);
                while checked.load(Ordering::SeqCst) < before + 30 {
                    std::thread::yield_now();
                }
                folder.write(&secret(n + 1));
            }
            done.store(true, Ordering::SeqCst);
        });
    }

    #[test]
    fn what_can_not_be_used_leaves_the_secrets_as_they_were() {
        let folder = Folder::new("good");
        let files = folder.open();
        for bad in ["", "\n \n", "one\ntwo\nthree"] {
            folder.write(bad);
            assert_eq!((verify(&files, "one"), verify(&files, "good")), (None, Some(0)), "{bad:?}");
        }
        fs::remove_file(folder.file()).unwrap();
        assert_eq!((verify(&files, "one"), verify(&files, "good")), (None, Some(0)));
        folder.write("one");
        assert_eq!(verify(&files, "one"), Some(0));
    }

    #[test]
    fn without_a_secret_there_is_nothing_to_open() {
        let folder = Folder::new(" \n");
        assert!(matches!(SecretFiles::open(vec![folder.file()]), Err(SecretFilesError::Empty { .. })));
        assert!(matches!(SecretFiles::open(vec!["/no/such/file".into()]), Err(SecretFilesError::Read { .. })));
        assert!(matches!(SecretFiles::open(Vec::new()), Err(SecretFilesError::Secrets(SecretsError::None))));
        folder.write("a\nb\nc");
        assert!(matches!(SecretFiles::open(vec![folder.file()]), Err(SecretFilesError::Secrets(SecretsError::TooMany(3)))));
        assert!(!format!("{:?}", Folder::new("hush").open()).contains("hush"));
    }
}
