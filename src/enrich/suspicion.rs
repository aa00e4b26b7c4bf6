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

pub(super) use code::has_code;
pub(super) use collapsed::collapsed;
pub(super) use context::empty_context;
pub(super) use history::{duplicated, history_is_cut};
pub(super) use placeholder::unfilled;
pub(super) use repetition::repeats;

/// Texts are looked at up to here: what a template leaves is near the beginning or not alone.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// The part of a text that is looked at.
fn beginning(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT_BYTES_MAX))
        .unwrap_or("")
}
