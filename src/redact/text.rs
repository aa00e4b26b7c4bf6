//! Small readings of a text at a place: where words begin, what runs on, which escapes stand before.
//!
//! A text may be JSON inside JSON, so that a line break is the two letters `\n`: a word may begin
//! right behind an escape, and no cut may go through one.

/// How many bytes of an escape sequence (`\n`, `\u00e9`, `%20`) end at `at`; 0 when none does.
pub(super) fn escape_before(text: &[u8], at: usize) -> usize {
    let byte = |back: usize| at.checked_sub(back).and_then(|i| text.get(i)).copied();
    if byte(2) == Some(b'\\') && matches!(byte(1), Some(b'n' | b't' | b'r' | b'b' | b'f')) {
        return 2;
    }
    if byte(3) == Some(b'%') && [1, 2].iter().all(|i| is_hex(byte(*i))) {
        return 3;
    }
    let unicode = byte(6) == Some(b'\\') && byte(5) == Some(b'u');
    if unicode && (1..=4).all(|i| is_hex(byte(i))) {
        return 6;
    }
    0
}

fn is_hex(byte: Option<u8>) -> bool {
    byte.is_some_and(|b| b.is_ascii_hexdigit())
}

/// Does a word begin at `at`?
pub(super) fn begins_word(text: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|i| text.get(i));
    let joined = before.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    !joined || escape_before(text, at) > 0
}

/// Does nothing of a word stand at `at`?
pub(super) fn ends_word(text: &[u8], at: usize) -> bool {
    let next = text.get(at);
    !next.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

/// Where the run of such bytes that begins at `from` ends.
pub(super) fn run_end(text: &[u8], from: usize, has: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    from + rest.iter().position(|b| !has(*b)).unwrap_or(rest.len())
}

/// Where the run of such bytes that ends at `to` begins, at most `max` bytes back, and not inside
/// an escape.
pub(super) fn run_start(text: &[u8], to: usize, max: usize, has: impl Fn(u8) -> bool) -> usize {
    let mut start = to;
    while start > 0 && to - start < max && text.get(start - 1).is_some_and(|b| has(*b)) {
        start -= 1;
    }
    let behind = |escape: usize| {
        let end = start + escape;
        end <= to && escape_before(text, end) == escape + 1
    };
    // The backslash or percent sign is no part of the run; the rest of the escape looks like one.
    match [1, 2, 5].into_iter().find(|n| behind(*n)) {
        Some(escape) => start + escape,
        None => start,
    }
}

/// Is there a digit or a capital, as there is in what machines make up?
pub(super) fn is_mixed(text: &[u8]) -> bool {
    text.iter()
        .any(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_no_part_of_words() {
        assert_eq!(escape_before(br"a\nb", 3), 2);
        assert_eq!(escape_before(br"a\u00e9b", 7), 6);
        assert_eq!(escape_before(b"a%3Db", 4), 3);
        assert!(begins_word(br"x\tsk", 3));
        assert!(!begins_word(b"ask", 1));
        let letters = |b: u8| b.is_ascii_alphanumeric();
        assert_eq!(run_start(br"say\nbob@", 8, 64, letters), 5);
        assert_eq!(run_start(br"\u00e9bob@", 9, 64, letters), 6);
        assert_eq!(run_start(b"x=%20bob@", 8, 64, letters), 5);
        assert_eq!(run_start(b"bob@", 3, 2, letters), 1);
    }
}
