//! The words of a text, eight bytes at a time, as keys of a table.
//!
//! Not here: which words mean what, and what ends a word.

use std::hash::{Hash, Hasher};

/// Bytes of a word that are looked at; every stop word has less, so that a longer word is none.
const WORD_BYTES_MAX: usize = 24;

/// A word on its way, in lower case. Behind it are zeros, which no word has.
#[derive(Default)]
pub struct Word {
    /// With room for a piece that begins at the end.
    bytes: [u8; WORD_BYTES_MAX + 8],
    len: usize,
}

/// The bytes of a word as numbers, so that nothing is called to hash or compare them.
#[derive(PartialEq, Eq)]
pub struct Key([u64; WORD_BYTES_MAX / 8]);

/// The ASCII letters that stand at `at`, in lower case with zeros behind them, and how many: eight
/// at most. All eight bytes are looked at together.
#[inline]
pub fn ascii_letters(bytes: &[u8], at: usize) -> ([u8; 8], usize) {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const ONES: u64 = 0x0101_0101_0101_0101;
    let raw = u64::from_le_bytes(eight(bytes, at));
    let lower = raw | (0x20 * ONES);
    // The high bit of each sum says `>= a`, and `> z`; sums of seven bits never carry over.
    let low = lower & !HIGH;
    let from_a = low + (0x80 - u64::from(b'a')) * ONES;
    let after_z = low + (0x7f - u64::from(b'z')) * ONES;
    let others = !(from_a & !after_z & !raw) & HIGH;
    let bits = others.trailing_zeros() & !7;
    let kept = lower & 1u64.checked_shl(bits).map_or(u64::MAX, |bit| bit - 1);
    (kept.to_le_bytes(), bits as usize / 8)
}

/// The eight bytes at `at`, with zeros behind the end.
#[inline]
fn eight(bytes: &[u8], at: usize) -> [u8; 8] {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.first_chunk().copied().unwrap_or_else(|| {
        let mut padded = [0; 8];
        padded
            .iter_mut()
            .zip(rest)
            .for_each(|(to, from)| *to = *from);
        padded
    })
}

// === impl Word ===

impl Word {
    /// Appends `len` bytes; the others of `bytes` are zero.
    #[inline]
    pub fn push(&mut self, bytes: [u8; 8], len: usize) {
        if let Some(place) = self.bytes.get_mut(self.len..self.len + 8) {
            place.copy_from_slice(&bytes);
        }
        self.len += len;
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub fn key(&self) -> Key {
        let (numbers, _) = self.bytes.as_chunks::<8>();
        let mut key = [0; WORD_BYTES_MAX / 8];
        for (number, bytes) in key.iter_mut().zip(numbers) {
            *number = u64::from_le_bytes(*bytes);
        }
        Key(key)
    }
}

impl From<&str> for Word {
    /// A word that is in lower case already.
    fn from(text: &str) -> Word {
        let mut word = Word::default();
        for piece in text.as_bytes().chunks(8) {
            word.push(eight(piece, 0), piece.len());
        }
        word
    }
}

// === impl Key ===

impl Hash for Key {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Key([a, b, c]) = self;
        state.write_u64(a ^ b.rotate_left(21) ^ c.rotate_left(42));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_is_no_ascii_letter_ends_a_piece() {
        for place in 0..8 {
            for byte in 0..=u8::MAX {
                let mut bytes = *b"AbcDefgZ";
                bytes[place] = byte;
                let len = bytes.iter().take_while(|b| b.is_ascii_alphabetic()).count();
                let mut want = [0; 8];
                want[..len].copy_from_slice(&bytes[..len].to_ascii_lowercase());
                assert_eq!(ascii_letters(&bytes, 0), (want, len), "{bytes:?}");
            }
        }
        assert_eq!(ascii_letters(b"an end", 3), (*b"end\0\0\0\0\0", 3));
    }

    #[test]
    fn a_word_that_only_begins_like_another_is_not_the_same() {
        let long = "abcdefghijklmnopqrstuvwxyz".repeat(2);
        let keys = [1, 8, 9, 20, 24].map(|len| Word::from(&long[..len]).key());
        for (n, key) in keys.iter().enumerate() {
            assert!(keys[..n].iter().all(|other| other != key));
        }
    }
}
