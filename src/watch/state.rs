//! The detector's state on disk: one file, replaced as a whole.
//!
//! A line of JSON says which journal and which position it belongs to; the detector's own snapshot
//! follows. A state that cannot be used is put aside and the detector begins anew: that costs it its
//! baselines, not an acknowledged call.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::{
    detect::{Detector, DetectorConfig, SnapshotError},
    journal::Position,
};

/// A detector, and what it was told.
pub struct State {
    pub detector: Detector,
    /// The last journal record that it was told.
    pub at: Option<Position>,
    /// There was no state that could be used.
    pub is_new: bool,
}

/// The first line of the file.
#[derive(Serialize, Deserialize)]
struct Head {
    /// Identity of the journal, in hex.
    journal: String,
    /// Segment and offset.
    at: Option<(u64, u64)>,
}

impl State {
    /// The state in the file, or a new one.
    pub fn read(file: &Path, journal: u128, config: DetectorConfig) -> State {
        let fresh = |config| State {
            detector: Detector::new(config),
            at: None,
            is_new: true,
        };
        let bytes = match fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return fresh(config),
            Err(error) => {
                tracing::error!(file = %file.display(), %error, "the detector's state cannot be read: it begins anew");
                return fresh(config);
            }
        };
        match parse(&bytes, journal, config.clone()) {
            Ok(state) => state,
            Err(reason) => {
                let aside = file.with_extension("unusable");
                // It helps nobody but whoever looks for the cause.
                _ = fs::rename(file, &aside);
                tracing::error!(
                    reason, kept = %aside.display(),
                    "the detector's state cannot be used: it begins anew, without baselines"
                );
                fresh(config)
            }
        }
    }

    /// Replaces the file; the old one stays until the new one is on disk.
    pub fn write(
        file: &Path,
        journal: u128,
        at: Option<Position>,
        detector: &Detector,
    ) -> io::Result<()> {
        let directory = file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory)?;
        let head = Head {
            journal: format!("{journal:032x}"),
            at: at.map(|at| (at.segment, at.offset)),
        };
        let mut new = tempfile::NamedTempFile::new_in(directory)?;
        let mut out = io::BufWriter::new(new.as_file_mut());
        serde_json::to_writer(&mut out, &head)?;
        out.write_all(b"\n")?;
        detector.snapshot(&mut out).map_err(io::Error::other)?;
        out.flush()?;
        drop(out);
        new.as_file().sync_all()?;
        new.persist(file)?;
        fs::File::open(directory)?.sync_all()?;
        Ok(())
    }
}

fn parse(bytes: &[u8], journal: u128, config: DetectorConfig) -> Result<State, String> {
    let end = memchr::memchr(b'\n', bytes).ok_or("it is cut short")?;
    let (line, snapshot) = bytes.split_at(end);
    let head: Head = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let detector = Detector::restore(snapshot, config).map_err(|error| error.to_string())?;
    let own = head.journal == format!("{journal:032x}");
    let at = head
        .at
        .map(|(segment, offset)| Position { segment, offset });
    // Of another journal nothing was told; what the detector has learned still holds.
    Ok(State {
        detector,
        at: at.filter(|_| own),
        is_new: false,
    })
}

/// The same detector under other settings.
pub fn with_config(detector: &Detector, config: DetectorConfig) -> Result<Detector, SnapshotError> {
    let mut bytes = Vec::new();
    detector.snapshot(&mut bytes)?;
    Detector::restore(&bytes, config)
}
