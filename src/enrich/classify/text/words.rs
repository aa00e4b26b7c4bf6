//! The words of a provider's code, for codes that no table knows.

use super::{CLASS_SEPARATORS, VALUE_BYTES_MAX};

/// Splits a code at its humps and separators: `TPM_LIMIT_REACHED` to `tpm limit reached`,
/// `RequestLimitExceeded` to `request limit exceeded`. None for a code that is known, that is a
/// number or too long to be a code.
pub(in crate::enrich::classify) fn code_words(
    code: &str,
    known: impl Fn(&str) -> bool,
) -> Option<String> {
    let name = code.trim_start_matches("<class '").trim_end_matches("'>");
    let name = name.rsplit(CLASS_SEPARATORS).next().unwrap_or(name);
    let folded = name.to_ascii_lowercase();
    if name.len() > VALUE_BYTES_MAX || !name.bytes().any(|b| b.is_ascii_alphabetic()) {
        return None;
    }
    if known(&folded) || known(&code.to_ascii_lowercase()) {
        return None;
    }
    let mut words = String::with_capacity(name.len() + 8);
    let mut hump = false;
    for c in name.chars() {
        if hump && c.is_ascii_uppercase() || !c.is_alphanumeric() {
            words.push(' ');
        }
        if c.is_alphanumeric() {
            words.extend(c.to_lowercase());
        }
        hump = c.is_ascii_lowercase();
    }
    Some(words)
}
