//! What is wrong with a configuration, all of it at once, each with its place and what to do.

use std::{fmt, path::PathBuf};

/// A place in the file, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    pub line: usize,
    pub column: usize,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    File(At),
    /// The name of the variable.
    Environment(String),
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub origin: Origin,
    /// Dotted path; empty when the mistake is not at a key.
    pub key: String,
    pub text: String,
}

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The file; `None` when only the environment was read.
    pub file: Option<PathBuf>,
    pub problems: Vec<Problem>,
}

// === impl Problem ===

impl Problem {
    /// A mistake in the file.
    pub fn new(at: At, key: &str, text: impl Into<String>) -> Problem {
        Problem {
            origin: Origin::File(at),
            key: key.to_owned(),
            text: text.into(),
        }
    }
}

// === impl Report ===

impl std::error::Error for Report {}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self
            .file
            .as_ref()
            .map_or("config".into(), |path| path.to_string_lossy());
        let many = if self.problems.len() == 1 {
            "mistake"
        } else {
            "mistakes"
        };
        writeln!(f, "{file}: {} {many}", self.problems.len())?;
        for problem in &self.problems {
            match &problem.origin {
                Origin::File(at) => write!(f, "  {file}:{}:{}: ", at.line, at.column)?,
                Origin::Environment(name) => write!(f, "  ${name}: ")?,
                Origin::Default => write!(f, "  ")?,
            }
            match problem.key.as_str() {
                "" => writeln!(f, "{}", problem.text)?,
                key => writeln!(f, "`{key}` {}", problem.text)?,
            }
        }
        Ok(())
    }
}

/// The word most like `wanted`, if one is like it at all.
pub fn nearest<'w>(wanted: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let limit = (wanted.len() / 3).max(2);
    words
        .map(|word| (distance(wanted, word), word))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, word)| word)
}

/// Edits between two words, a swap of neighbours counting one (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let same = a[i - 1] == b[j - 1];
            row[j] = (last[j] + 1)
                .min(row[j - 1] + 1)
                .min(last[j - 1] + usize::from(!same));
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_or_none() {
        let words = ["grpc", "http", "listen"];
        assert_eq!(nearest("gprc", words.into_iter()), Some("grpc"));
        assert_eq!(nearest("listne", words.into_iter()), Some("listen"));
        assert_eq!(nearest("database", words.into_iter()), None);
    }
}
