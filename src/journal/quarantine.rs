//! Quarantine: blocks that the store refuses for good, kept where they can be looked at and sent
//! again.
//!
//! One file for each insert that was given up: a line of JSON that says what it is and why it is
//! here, then the blocks' bytes. It keeps its deduplication token, so that sending it again cannot
//! double what may have been stored after all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::block::{Block, Compression, Table};

const SUFFIX: &str = ".blocks";
/// A first line that is longer is not ours.
const LABEL_BYTES_MAX: usize = 16 << 20;

/// `<data_dir>/journal/quarantine`.
#[derive(Debug, Clone)]
pub struct Quarantine {
    directory: PathBuf,
}

/// What an insert in quarantine is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    pub table: String,
    pub rows: u64,
    /// `lz4` or `none`.
    pub compression: String,
    /// Under which it was sent, and must be sent again.
    pub token: String,
    /// What the store said.
    pub error: String,
    /// An earlier attempt may have been stored.
    pub in_doubt: bool,
    /// Unix time in seconds.
    pub since_s: u64,
    /// Bytes of each block, in order.
    pub blocks: Vec<usize>,
}

/// An insert in quarantine.
#[derive(Debug, Clone)]
pub struct Quarantined {
    pub path: PathBuf,
    pub label: Label,
    pub blocks: Vec<Bytes>,
}

// === impl Quarantine ===

impl Quarantine {
    /// The quarantine of a journal; the directory is made when something is put into it.
    pub fn at(journal: &Path) -> io::Result<Quarantine> {
        Ok(Quarantine {
            directory: journal.join("quarantine"),
        })
    }

    /// Keeps blocks; they are durable when this returns. The same insert twice is one file.
    pub fn keep(&self, label: &Label, blocks: &[Block]) -> io::Result<PathBuf> {
        let missing = !self.directory.is_dir();
        fs::create_dir_all(&self.directory)?;
        if missing && let Some(journal) = self.directory.parent() {
            File::open(journal)?.sync_all()?;
        }
        let path = self.directory.join(format!("{}{SUFFIX}", label.token));
        let unfinished = path.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)?;
        let mut line = serde_json::to_vec(label)?;
        line.push(b'\n');
        file.write_all(&line)?;
        for block in blocks {
            file.write_all(&block.bytes)?;
        }
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        File::open(&self.directory)?.sync_all()?;
        Ok(path)
    }

    /// Everything in it, oldest name first.
    pub fn list(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.to_string_lossy().ends_with(SUFFIX) {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    }
}

// === impl Quarantined ===

impl Quarantined {
    /// Reads a file of the quarantine.
    pub fn read(path: &Path) -> io::Result<Quarantined> {
        let bad = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text.to_owned());
        let mut bytes = Vec::new();
        File::open(path)?.read_to_end(&mut bytes)?;
        let bytes = Bytes::from(bytes);
        let head = bytes
            .get(..bytes.len().min(LABEL_BYTES_MAX))
            .unwrap_or_default();
        let line = memchr::memchr(b'\n', head).ok_or_else(|| bad("its first line has no end"))?;
        let label: Label = serde_json::from_slice(bytes.get(..line).unwrap_or_default())?;
        let mut at = line + 1;
        let mut blocks = Vec::with_capacity(label.blocks.len());
        for length in &label.blocks {
            let end = at.saturating_add(*length);
            if end > bytes.len() {
                return Err(bad("it ends within a block"));
            }
            blocks.push(bytes.slice(at..end));
            at = end;
        }
        Ok(Quarantined {
            path: path.to_owned(),
            label,
            blocks,
        })
    }

    /// Its table, if this program knows it.
    pub fn table(&self) -> Option<Table> {
        Table::ALL
            .into_iter()
            .find(|t| t.name() == self.label.table)
    }

    pub fn compression(&self) -> Compression {
        match self.label.compression.as_str() {
            "none" => Compression::None,
            _ => Compression::Lz4,
        }
    }
}
