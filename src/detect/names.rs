//! Names as numbers: every text that the detector keeps, once.
//!
//! Numbers are given in order of arrival, so nothing may depend on their order; what must be the
//! same in every replay is made of the texts (see [`Names::stable`]).

use std::collections::HashMap;

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

/// A name's number. 0 is the empty name, "not known".
pub type Sym = u32;

/// Names kept; more are folded into [`OTHER`] and counted.
const NAMES_MAX: usize = 400_000;
/// Longer names are cut.
const NAME_BYTES_MAX: usize = 160;
/// What a name is called when the table is full.
const OTHER: &str = "(other)";

/// The table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Names {
    texts: Vec<Box<str>>,
    #[serde(skip)]
    index: HashMap<Box<str>, Sym, FixedState>,
    /// Names that found no place.
    pub refused: u64,
}

// === impl Names ===

impl Default for Names {
    fn default() -> Names {
        let mut names = Names {
            texts: Vec::new(),
            index: HashMap::default(),
            refused: 0,
        };
        names.intern("");
        names.intern(OTHER);
        names
    }
}

impl Names {
    /// The number of a name, new or not.
    pub fn intern(&mut self, text: &str) -> Sym {
        if text.is_empty() && !self.texts.is_empty() {
            return 0;
        }
        if let Some(sym) = self.index.get(text) {
            return *sym;
        }
        if self.texts.len() >= NAMES_MAX {
            self.refused += 1;
            return 1;
        }
        let cut = text.floor_char_boundary(NAME_BYTES_MAX);
        let text = &text[..cut];
        if let Some(sym) = self.index.get(text) {
            return *sym;
        }
        let sym = Sym::try_from(self.texts.len()).unwrap_or(1);
        self.texts.push(text.into());
        self.index.insert(text.into(), sym);
        sym
    }

    /// The name of a number.
    pub fn text(&self, sym: Sym) -> &str {
        self.texts.get(sym as usize).map_or("", |text| text)
    }

    /// A number made of the texts alone (FNV-1a), the same in every process.
    pub fn stable(&self, syms: &[Sym]) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for sym in syms {
            for byte in self.text(*sym).bytes().chain([0x1f]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        hash
    }

    /// Builds the index after the texts were read back.
    pub fn rebuild(&mut self) {
        self.index = self.texts.iter().cloned().zip(0..).collect();
    }
}
