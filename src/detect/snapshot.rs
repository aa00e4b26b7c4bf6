//! The state as bytes: what a restart needs to go on as if nothing had been.
//!
//! The format is JSON under a version; a snapshot of another version is refused, and the caller
//! rebuilds the state from stored facts.

use std::io;

use serde::{Deserialize, Serialize};

use super::Detector;

/// Raised whenever a field of the state changes its meaning.
pub const VERSION: u32 = 3;

/// A state that cannot be restored.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error(
        "the detector's snapshot has version {found}, this program writes {VERSION}; rebuild the state from stored calls"
    )]
    Version { found: u32 },
    #[error("the detector's snapshot is damaged: {0}; rebuild the state from stored calls")]
    Damaged(#[from] serde_json::Error),
}

#[derive(Deserialize)]
struct Head {
    version: u32,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    state: &'a Detector,
}

#[derive(Deserialize)]
struct Read {
    state: Detector,
}

impl Detector {
    /// Writes the state.
    pub fn snapshot(&self, to: impl io::Write) -> Result<(), SnapshotError> {
        let written = Written {
            version: VERSION,
            state: self,
        };
        Ok(serde_json::to_writer(to, &written)?)
    }

    /// Reads a state that [`Detector::snapshot`] wrote; the configuration is the caller's.
    pub fn restore(bytes: &[u8], config: super::DetectorConfig) -> Result<Detector, SnapshotError> {
        let head: Head = serde_json::from_slice(bytes)?;
        if head.version != VERSION {
            return Err(SnapshotError::Version {
                found: head.version,
            });
        }
        let read: Read = serde_json::from_slice(bytes)?;
        let mut detector = read.state;
        detector.rebuild(config);
        Ok(detector)
    }
}

/// Maps with keys that are no strings, as lists of pairs in a fixed order.
pub mod pairs {
    use std::{collections::HashMap, hash::Hash};

    use foldhash::fast::FixedState;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<K, V, S>(map: &HashMap<K, V, FixedState>, to: S) -> Result<S::Ok, S::Error>
    where
        K: Serialize + Ord,
        V: Serialize,
        S: Serializer,
    {
        let mut pairs: Vec<(&K, &V)> = map.iter().collect();
        pairs.sort_by(|a, b| a.0.cmp(b.0));
        to.collect_seq(pairs)
    }

    pub fn deserialize<'de, K, V, D>(from: D) -> Result<HashMap<K, V, FixedState>, D::Error>
    where
        K: Deserialize<'de> + Eq + Hash,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(from)?.into_iter().collect())
    }
}
