//! What really happened in a foreign system, by its own account: an append-only log that is written before the answer is
//! chosen. Tests and the demo compare what Tradewind claims with this, and recompute stock from it.

mod entry;
mod query;

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::Utc;

pub use entry::{Draft, Entry, Kind, Level, Movement, Place, RESET, Source, Stock};
pub use query::{Effects, Held};

/// Whether an entry must survive the machine, or only the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Written to the file at once: survives `kill -9`.
    #[default]
    Written,
    /// Also synchronised to the disk, by [`EffectLog::sync`], before anything is answered.
    Synced,
}

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("the effect log `{path}` cannot be used: does its folder exist, and may we write there?")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("line {line} of the effect log `{path}` is none of ours: move the file away")]
    Line {
        path: PathBuf,
        line: usize,
        #[source]
        source: serde_json::Error,
    },
}

/// The log of one double. Cheap to clone; clones write to the same log.
#[derive(Debug, Clone)]
pub struct EffectLog {
    source: Source,
    durability: Durability,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<Entry>,
    file: Option<Arc<File>>,
    last: u64,
}

impl EffectLog {
    /// Kept in memory only.
    pub fn in_memory(source: Source) -> Self {
        Self { source, durability: Durability::Written, state: Arc::default() }
    }

    /// Continues the file if it exists. Two processes must not share one.
    pub fn open(source: Source, path: &Path, durability: Durability) -> Result<Self, LogError> {
        let failed = |source| LogError::Io { path: path.to_owned(), source };
        let entries = if path.exists() { read(path)? } else { Vec::new() };
        let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
        if !entries.is_empty() && !ends_with_newline(path).map_err(failed)? {
            // The torn line of a killed process must not swallow the next entry.
            file.write_all(b"\n").map_err(failed)?;
        }
        let last = entries.last().map_or(0, |it| it.seq);
        Ok(Self { source, durability, state: Arc::new(Mutex::new(State { entries, file: Some(Arc::new(file)), last })) })
    }

    /// Appends in this order, in one write. Returns the number of the last entry.
    ///
    /// # Panics
    /// When the file cannot be written: an oracle that forgets is none, so its process must not go on answering.
    pub fn append(&self, drafts: impl IntoIterator<Item = Draft>) -> u64 {
        let at = Utc::now();
        let mut state = self.lock();
        let mut lines = Vec::new();
        for draft in drafts {
            state.last += 1;
            let entry = Entry { seq: state.last, at, source: self.source, draft };
            if state.file.is_some() {
                serde_json::to_writer(&mut lines, &entry).expect("an entry is plain data");
                lines.push(b'\n');
            }
            state.entries.push(entry);
        }
        if let Some(mut file) = state.file.as_deref() {
            file.write_all(&lines).expect("the effect log can be written");
        }
        state.last
    }

    /// Returns when everything appended so far is as durable as asked.
    ///
    /// # Panics
    /// Like [`EffectLog::append`].
    pub async fn sync(&self) {
        if self.durability == Durability::Written {
            return;
        }
        let Some(file) = self.lock().file.clone() else { return };
        let synced = tokio::task::spawn_blocking(move || file.sync_data()).await;
        synced.expect("synchronising does not panic").expect("the effect log can be synchronised");
    }

    pub fn effects(&self) -> Effects {
        Effects::new(self.lock().entries.clone())
    }

    /// Entries after number `seq`.
    pub fn since(&self, seq: u64) -> Vec<Entry> {
        let state = self.lock();
        let start = state.entries.partition_point(|it| it.seq <= seq);
        state.entries[start..].to_vec()
    }

    pub fn last(&self) -> u64 {
        self.lock().last
    }

    /// Forgets what is in memory; a file keeps its lines, and numbers go on.
    pub fn forget(&self) {
        self.lock().entries.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in `append` leaves the entries as they were written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a log's file, also while its double runs. A torn last line (the writer was killed) is left out.
pub fn read(path: &Path) -> Result<Vec<Entry>, LogError> {
    let failed = |source| LogError::Io { path: path.to_owned(), source };
    let mut reader = BufReader::new(File::open(path).map_err(failed)?);
    let (mut entries, mut line, mut number) = (Vec::new(), Vec::new(), 0);
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(failed)? == 0 {
            return Ok(entries);
        }
        number += 1;
        match serde_json::from_slice(&line) {
            Ok(entry) => entries.push(entry),
            // Torn: the last line, or one that a restarted double closed.
            Err(error) if error.is_eof() => {}
            Err(source) => return Err(LogError::Line { path: path.to_owned(), line: number, source }),
        }
    }
}

fn ends_with_newline(path: &Path) -> io::Result<bool> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = File::open(path)?;
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(kind: Kind, external: &str) -> Draft {
        Draft::new(kind, "sale.sale.create").external(external)
    }

    #[test]
    fn what_was_appended_is_read_back_from_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("erp.jsonl");
        let log = EffectLog::open(Source::Erp, &path, Durability::Written).unwrap();
        assert_eq!(log.append([draft(Kind::Received, "1"), draft(Kind::Applied, "1")]), 2);
        assert_eq!(read(&path).unwrap(), log.effects().entries());
        assert_eq!(log.since(1).len(), 1);
    }

    #[test]
    fn a_torn_last_line_is_left_out_and_the_next_process_goes_on_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("erp.jsonl");
        let log = EffectLog::open(Source::Erp, &path, Durability::Written).unwrap();
        log.append([draft(Kind::Applied, "1"), draft(Kind::Applied, "2")]);
        drop(log);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 20]).unwrap();

        let log = EffectLog::open(Source::Erp, &path, Durability::Written).unwrap();
        assert_eq!(log.append([draft(Kind::Applied, "3")]), 2);
        let entries = read(&path).unwrap();
        let external: Vec<_> = entries.iter().map(|it| it.external_id.as_deref().unwrap()).collect();
        assert_eq!(external, ["1", "3"]);
    }

    #[test]
    fn a_foreign_line_is_an_error_with_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("erp.jsonl");
        std::fs::write(&path, "{\"what\":1}\n").unwrap();
        assert!(matches!(read(&path), Err(LogError::Line { line: 1, .. })));
    }

    #[tokio::test]
    async fn a_synced_log_is_on_disk_when_sync_returns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("erp.jsonl");
        let log = EffectLog::open(Source::Erp, &path, Durability::Synced).unwrap();
        log.append([draft(Kind::Applied, "1")]);
        log.sync().await;
        assert_eq!(read(&path).unwrap().len(), 1);
    }
}
