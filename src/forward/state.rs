//! The forwarder's place on disk: one line of JSON, replaced as a whole.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::journal::{BlockId, Position};

/// Up to which block of which journal everything was accepted.
#[derive(Debug, Serialize, Deserialize)]
struct Place {
    /// Identity of the journal, in hex.
    journal: String,
    segment: u64,
    offset: u64,
    index: u32,
}

/// The last block that was accepted; `None` if none was, or of this journal none.
pub fn read(file: &Path, journal: u128) -> Option<BlockId> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::error!(file = %file.display(), %error,
                "the forwarder's place cannot be read: what the journal has is sent again");
            return None;
        }
    };
    let Ok(place) = serde_json::from_slice::<Place>(&bytes) else {
        tracing::error!(file = %file.display(),
            "the forwarder's place makes no sense: what the journal has is sent again");
        return None;
    };
    let record = Position {
        segment: place.segment,
        offset: place.offset,
    };
    (place.journal == format!("{journal:032x}")).then_some(BlockId {
        record,
        index: place.index,
    })
}

/// Replaces the file. Not synced: an older place after a power failure is as good, what lies
/// between is sent again.
pub fn write(file: &Path, journal: u128, accepted: BlockId) -> io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let place = Place {
        journal: format!("{journal:032x}"),
        segment: accepted.record.segment,
        offset: accepted.record.offset,
        index: accepted.index,
    };
    let mut new = tempfile::NamedTempFile::new_in(directory)?;
    new.write_all(&serde_json::to_vec(&place)?)?;
    new.persist(file)?;
    Ok(())
}
