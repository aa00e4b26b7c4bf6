//! Collapsed: a user's turn of which nothing came through.
//!
//! A transcriber that heard nothing, or a voice application that took the end of a turn too early,
//! sends punctuation or a note about the sound. A short answer (`ok`, `?`, `7`) is an answer.

/// What transcribers write in brackets, or between notes of music, where nobody spoke.
const SOUNDS: &[&str] = &[
    "blank_audio",
    "blank audio",
    "silence",
    "inaudible",
    "unintelligible",
    "noise",
    "music",
    "background noise",
    "no speech",
    "no audio",
    "static",
    "breathing",
    "cough",
    "applause",
    "stille",
    "rauschen",
    "musik",
    "silencio",
    "música",
    "silence.",
    "bruit",
    "musique",
];

/// Did nothing but punctuation or a note about the sound come through?
pub(in crate::enrich) fn collapsed(text: &str) -> bool {
    let text = text.trim();
    // A nudge is meant, and so is a sign of its own.
    let silent = |c: char| c.is_whitespace() || ".,;:-–—…·_\"'".contains(c);
    text.chars().all(silent) || is_note(text)
}

/// `[BLANK_AUDIO]`, `(inaudible)`, `*silence*`, `♪`
fn is_note(text: &str) -> bool {
    if text.chars().all(|c| c == '♪' || c == ' ') {
        return !text.is_empty();
    }
    let brackets = [('[', ']'), ('(', ')'), ('*', '*'), ('<', '>')];
    let inside = brackets
        .iter()
        .find_map(|(open, close)| text.strip_prefix(*open)?.strip_suffix(*close));
    inside.is_some_and(|note| SOUNDS.contains(&note.trim().to_lowercase().as_str()))
}
