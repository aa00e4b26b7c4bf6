//! Words: a search for many fixed words at once, in vector instructions where the machine has them.
//!
//! Not here: what the words mean, and patterns.

use aho_corasick::{AhoCorasick, MatchKind, packed};

/// Words that one vectorised search takes; with more of them there is none.
const VECTOR_WORDS_MAX: usize = 64;

/// A search. The longer its shortest word, the less often it stops for nothing.
pub struct Words(Finder);

enum Finder {
    Vector(packed::Searcher),
    /// On machines without vector instructions, and for many words.
    Plain(AhoCorasick),
    /// No words.
    Nothing,
}

// === impl Words ===

impl Words {
    /// Of two words at one place the first of the list is found.
    pub fn new<'w>(words: impl IntoIterator<Item = &'w str> + Clone) -> Words {
        let count = words.clone().into_iter().count();
        let vector = (1..=VECTOR_WORDS_MAX).contains(&count).then(|| {
            packed::Config::new()
                .builder()
                .extend(words.clone())
                .build()
        });
        let plain = || {
            let mut builder = AhoCorasick::builder();
            builder.match_kind(MatchKind::LeftmostFirst);
            builder.build(words).ok()
        };
        let finder = vector.flatten().map(Finder::Vector);
        Words(
            finder
                .or_else(|| (count > 0).then(plain).flatten().map(Finder::Plain))
                .unwrap_or(Finder::Nothing),
        )
    }

    /// Shows each word's number and place, in the order of places; those found do not overlap.
    pub fn each(&self, bytes: &[u8], mut see: impl FnMut(usize, usize)) {
        match &self.0 {
            Finder::Vector(finder) => finder
                .find_iter(bytes)
                .for_each(|found| see(found.pattern().as_usize(), found.start())),
            Finder::Plain(finder) => finder
                .find_iter(bytes)
                .for_each(|found| see(found.pattern().as_usize(), found.start())),
            Finder::Nothing => {}
        }
    }

    /// Is one of them in the text?
    pub fn are_in(&self, text: &str) -> bool {
        match &self.0 {
            Finder::Vector(finder) => finder.find(text).is_some(),
            Finder::Plain(finder) => finder.is_match(text),
            Finder::Nothing => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_their_order() {
        let words = Words::new(["None", "null", "undefined"]);
        let text = "a null, then undefined and more of None";
        let mut found = Vec::new();
        words.each(text.as_bytes(), |word, at| found.push((word, at)));
        assert_eq!(found, [(1, 2), (2, 13), (0, 35)]);
        assert!(words.are_in(text));
        assert!(!words.are_in("nothing of it"));
        assert!(!Words::new([]).are_in(text));
    }

    #[test]
    fn more_words_than_a_vector_search_takes_are_found_too() {
        let many: Vec<String> = (0..500).map(|n| format!("word{n:03}")).collect();
        let words = Words::new(many.iter().map(String::as_str));
        assert!(words.are_in("xxx word499"));
        assert!(!words.are_in("word500"));
    }
}
