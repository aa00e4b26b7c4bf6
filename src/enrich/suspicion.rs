//! Suspicion: marks of an input that was broken before it reached the model, and of an answer that
//! ran in a circle.
//!
//! Prompts about code and templates are common, and are not what is meant: what stands in code, or
//! in a text that speaks of templates, is passed over. Pure functions of texts and messages; the
//! words are tables. Nothing here judges whether an answer is right.

mod code;
mod collapsed;
mod context;
mod history;
mod placeholder;
mod repetition;
mod survey;

pub(super) use code::has_code;
pub(super) use collapsed::collapsed;
pub(super) use context::empty_context;
pub(super) use history::{duplicated, history_is_cut};
pub(super) use placeholder::unfilled;
pub(super) use repetition::repeats;
pub(super) use survey::Signs;

/// Texts are looked at up to here: what a template leaves is near the beginning or not alone.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// The part of a text that is looked at.
fn beginning(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT_BYTES_MAX))
        .unwrap_or("")
}

/// The lines of a text, as [`str::lines`] has them, found in vector instructions.
#[derive(Debug, Clone)]
struct Lines<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Iterator for Lines<'t> {
    /// A line, and where it begins.
    type Item = (usize, &'t str);

    #[inline]
    fn next(&mut self) -> Option<(usize, &'t str)> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let begin = self.at;
        let end = memchr::memchr(b'\n', rest.as_bytes());
        let line = rest.get(..end.unwrap_or(rest.len()))?;
        self.at += line.len() + 1;
        let line = match end {
            Some(_) => line.strip_suffix('\r').unwrap_or(line),
            None => line,
        };
        Some((begin, line))
    }
}

fn lines(text: &str) -> Lines<'_> {
    Lines { text, at: 0 }
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn lines_are_those_of_the_standard_library() {
        for text in ["", "\n", "a", "a\n", "a\r\nb\n\n\r\nc\r", "\n\na\rb"] {
            let ours: Vec<&str> = lines(text).map(|(_, line)| line).collect();
            assert_eq!(ours, text.lines().collect::<Vec<_>>(), "{text:?}");
            assert!(lines(text).all(|(at, line)| text[at..].starts_with(line)));
        }
    }
}
