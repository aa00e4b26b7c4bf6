//! Log: the state of alerts on disk, `<data_dir>/alerts/state.log`.
//!
//! One line per decision: a checksum and all that changed by it, as JSON. A decision and the
//! messages that follow from it are one line, so that after a kill -9 either both hold or neither.
//! A line that was cut off by a crash ends the log; what comes after it was never acted upon. When
//! the log has grown it is written anew beside itself and renamed.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    deliver::outbox::{Note, Outbox},
    history::Row,
    manager::{Decision, State},
    model::{Alert, Silence},
};

/// Written anew when it has grown by this since the last time.
const GROWTH_BYTES_MAX: u64 = 8 * 1024 * 1024;
const FORMAT: u32 = 1;

/// What one line says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// First in the file: which form this is.
    Format(u32),
    Alert(String, Option<Box<Alert>>),
    Silence(String, Option<Silence>),
    Openings(String, Vec<u64>),
    Outbox(Note),
    Row(u64, Row),
    /// The rows up to this number are in the store.
    Stored(u64),
}

/// Everything that was on disk.
#[derive(Debug, Default)]
pub struct Book {
    pub state: State,
    pub outbox: Outbox,
    /// Rows that the store does not have, by number.
    pub rows: BTreeMap<u64, Row>,
}

/// The file, open for appending.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_when_fresh: u64,
    _lock: File,
}

/// The log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("cannot use {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} was written by a newer lapwing (form {found}): use that one, or move the file away", path.display())]
    Newer { path: PathBuf, found: u32 },
    #[error("{} is in use by another lapwing that is running; stop that one, or give this one a `data_dir` of its own", path.display())]
    Taken { path: PathBuf },
}

// === impl Log ===

impl Log {
    /// Reads what is there and makes it ready to go on.
    pub fn open(dir: &Path) -> Result<(Log, Book), LogError> {
        let path = dir.join("state.log");
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| LogError::Io { path, source }
        };
        fs::create_dir_all(dir).map_err(io(dir))?;
        let lock_path = dir.join("lock");
        let lock = File::create(&lock_path).map_err(io(&lock_path))?;
        lock.try_lock()
            .map_err(|_| LogError::Taken { path: lock_path })?;
        let mut book = Book::default();
        match fs::read(&path) {
            Ok(bytes) => read(&path, &bytes, &mut book)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io(&path)(error)),
        }
        let (file, bytes) = write_anew(&path, &book.entries()).map_err(io(&path))?;
        let log = Log {
            path,
            file,
            bytes,
            bytes_when_fresh: bytes,
            _lock: lock,
        };
        Ok((log, book))
    }

    /// Appends one decision; it is on disk when this returns.
    pub fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        let line = line(entries)?;
        self.file.write_all(&line)?;
        self.file.sync_data()?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    pub fn has_grown(&self) -> bool {
        self.bytes > self.bytes_when_fresh * 2 + GROWTH_BYTES_MAX
    }

    /// Writes everything anew.
    pub fn rewrite(&mut self, entries: &[Entry]) -> io::Result<()> {
        let (file, bytes) = write_anew(&self.path, entries)?;
        (self.file, self.bytes, self.bytes_when_fresh) = (file, bytes, bytes);
        Ok(())
    }
}

fn write_anew(path: &Path, entries: &[Entry]) -> io::Result<(File, u64)> {
    let beside = path.with_extension("log.new");
    let mut file = File::create(&beside)?;
    let mut bytes = 0;
    let first = [Entry::Format(FORMAT)];
    for entry in first.iter().chain(entries) {
        let line = line(std::slice::from_ref(entry))?;
        file.write_all(&line)?;
        bytes += line.len() as u64;
    }
    file.sync_all()?;
    fs::rename(&beside, path)?;
    if let Some(dir) = path.parent() {
        File::open(dir)?.sync_all()?;
    }
    let file = OpenOptions::new().append(true).open(path)?;
    Ok((file, bytes))
}

fn line(entries: &[Entry]) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(entries)?;
    let mut line = format!("{:016x} ", twox_hash::XxHash3_64::oneshot(&json)).into_bytes();
    line.extend_from_slice(&json);
    line.push(b'\n');
    Ok(line)
}

fn read(path: &Path, bytes: &[u8], book: &mut Book) -> Result<(), LogError> {
    for (n, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
        let Some(entries) = entries(line) else {
            tracing::warn!(
                line = n + 1,
                "the alert state ends with a line that was cut off by a crash"
            );
            return Ok(());
        };
        for entry in entries {
            if let Entry::Format(found) = entry
                && found > FORMAT
            {
                return Err(LogError::Newer {
                    path: path.to_owned(),
                    found,
                });
            }
            book.apply(entry);
        }
    }
    Ok(())
}

fn entries(line: &[u8]) -> Option<Vec<Entry>> {
    let line = line.strip_suffix(b"\n")?;
    let (sum, json) = line.split_at_checked(17)?;
    let sum = std::str::from_utf8(sum.strip_suffix(b" ")?).ok()?;
    let sum = u64::from_str_radix(sum, 16).ok()?;
    (sum == twox_hash::XxHash3_64::oneshot(json)).then_some(())?;
    serde_json::from_slice(json).ok()
}

// === impl Book ===

impl Book {
    /// Takes an entry of the log in.
    pub fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Format(_) => {}
            Entry::Alert(id, Some(alert)) => {
                self.state.alerts.insert(id, *alert);
            }
            Entry::Alert(id, None) => {
                self.state.alerts.remove(&id);
            }
            Entry::Silence(id, Some(silence)) => {
                self.state.silences.insert(id, silence);
            }
            Entry::Silence(id, None) => {
                self.state.silences.remove(&id);
            }
            Entry::Openings(fingerprint, at) => {
                self.state.openings.insert(fingerprint, at);
            }
            Entry::Outbox(note) => self.outbox.apply(note),
            Entry::Row(number, row) => {
                self.rows.insert(number, row);
            }
            Entry::Stored(number) => self.rows = self.rows.split_off(&(number + 1)),
        }
    }

    fn entries(&self) -> Vec<Entry> {
        everything(&self.state, &self.outbox, &self.rows)
    }
}

/// All there is, as entries.
pub fn everything(state: &State, outbox: &Outbox, rows: &BTreeMap<u64, Row>) -> Vec<Entry> {
    let alerts = state
        .alerts
        .values()
        .map(|a| Entry::Alert(a.id.clone(), Some(Box::new(a.clone()))));
    let silences = state
        .silences
        .values()
        .map(|s| Entry::Silence(s.id.clone(), Some(s.clone())));
    let openings = state
        .openings
        .iter()
        .map(|(f, at)| Entry::Openings(f.clone(), at.clone()));
    let notes = outbox.notes().into_iter().map(Entry::Outbox);
    let rows = rows.iter().map(|(n, row)| Entry::Row(*n, row.clone()));
    alerts
        .chain(silences)
        .chain(openings)
        .chain(notes)
        .chain(rows)
        .collect()
}

/// A decision of the manager, as entries.
pub fn decided(decision: &Decision) -> Vec<Entry> {
    let alerts = decision
        .alerts
        .iter()
        .map(|(id, a)| Entry::Alert(id.clone(), a.clone().map(Box::new)));
    let silences = decision
        .silences
        .iter()
        .map(|(id, s)| Entry::Silence(id.clone(), s.clone()));
    let openings = decision
        .openings
        .iter()
        .map(|(f, at)| Entry::Openings(f.clone(), at.clone()));
    alerts.chain(silences).chain(openings).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::deliver::outbox::Message;

    fn put(id: &str) -> Entry {
        Entry::Outbox(Note::Put(Message {
            id: id.into(),
            receiver: "oncall".into(),
            body: "{}".into(),
            alert_ids: vec![],
            created_ns: 1,
            attempts: 0,
            next_at_ns: 1,
            reason: String::new(),
        }))
    }

    fn ids(book: &Book) -> Vec<String> {
        book.outbox.waiting().map(|m| m.id.clone()).collect()
    }

    #[test]
    fn a_log_cut_anywhere_holds_whole_decisions_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.log");
        let (mut log, _) = Log::open(dir.path()).unwrap();
        let header = fs::read(&path).unwrap().len();
        log.append(&[put("a"), put("b")]).unwrap();
        let first = fs::read(&path).unwrap().len();
        log.append(&[put("c"), put("d")]).unwrap();
        drop(log);
        let whole = fs::read(&path).unwrap();
        for cut in header..=whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let (_, book) = Log::open(dir.path()).unwrap();
            let want: &[&str] = match cut {
                c if c == whole.len() => &["a", "b", "c", "d"],
                c if c >= first => &["a", "b"],
                _ => &[],
            };
            assert_eq!(ids(&book), want, "cut at {cut}");
        }
    }

    #[test]
    fn it_goes_on_after_a_cut_and_after_being_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.log");
        let (mut log, _) = Log::open(dir.path()).unwrap();
        log.append(&[put("a")]).unwrap();
        drop(log);
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(b"0123456789abcdef [{\"outbox");
        fs::write(&path, bytes).unwrap();
        let (mut log, book) = Log::open(dir.path()).unwrap();
        assert_eq!(ids(&book), ["a"]);
        log.append(&[put("b")]).unwrap();
        drop(log);
        let (mut log, book) = Log::open(dir.path()).unwrap();
        assert_eq!(ids(&book), ["a", "b"]);
        log.rewrite(&book.entries()).unwrap();
        log.append(&[put("c")]).unwrap();
        drop(log);
        assert_eq!(ids(&Log::open(dir.path()).unwrap().1), ["a", "b", "c"]);
    }

    #[test]
    fn two_processes_never_share_it_and_a_newer_form_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (log, _) = Log::open(dir.path()).unwrap();
        assert!(matches!(Log::open(dir.path()), Err(LogError::Taken { .. })));
        drop(log);
        let newer = line(&[Entry::Format(FORMAT + 1)]).unwrap();
        fs::write(dir.path().join("state.log"), newer).unwrap();
        assert!(matches!(Log::open(dir.path()), Err(LogError::Newer { .. })));
    }
}
