//! Repetition: an answer that ran in a circle.
//!
//! Bytes, not words: a loop is one in every language. Rules, tables and rows of numbers repeat by
//! their nature and are none.

/// Bytes of a loop that make it one, and how often its unit comes.
const LOOP_BYTES_MIN: usize = 120;
const LOOP_TIMES_MIN: usize = 6;
/// One sign again and again is one sooner.
const SIGN_TIMES_MIN: usize = 80;
const LOOP_UNIT_BYTES_MAX: usize = 120;
/// Places of a text at which a loop is looked for.
const LOOP_STEP_BYTES: usize = 480;

/// Does the text end in, or have, a unit that comes again and again?
pub(in crate::enrich) fn repeats(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() < SIGN_TIMES_MIN {
        return false;
    }
    let ends = (LOOP_BYTES_MIN..bytes.len()).step_by(LOOP_STEP_BYTES);
    ends.chain([bytes.len()])
        .any(|end| bytes.get(..end).is_some_and(ends_in_loop))
}

fn ends_in_loop(bytes: &[u8]) -> bool {
    let Some((last, before)) = bytes.split_last() else {
        return false;
    };
    let tail = bytes.len();
    // `0000`, `}}}}`; rules are of other signs.
    let sign = last.is_ascii_alphanumeric() || b"{}[]()".contains(last);
    let run = bytes
        .get(tail.saturating_sub(SIGN_TIMES_MIN)..)
        .unwrap_or_default();
    if sign && tail >= SIGN_TIMES_MIN && run.iter().all(|b| b == last) {
        return true;
    }
    // A unit is as long as it is from its last byte to the same one before.
    let near = before
        .len()
        .saturating_sub(LOOP_UNIT_BYTES_MAX.min(tail / 2));
    let near = before.get(near..).unwrap_or_default();
    memchr::memrchr_iter(*last, near).any(|at| {
        let unit = near.len() - at;
        let needed = LOOP_BYTES_MIN.max(unit * LOOP_TIMES_MIN);
        let Some(from) = tail.checked_sub(needed) else {
            return false;
        };
        let (Some(now), Some(before)) = (bytes.get(from + unit..), bytes.get(from..tail - unit))
        else {
            return false;
        };
        // Rules, tables and rows of numbers repeat by their nature; E2 begins signs and lines.
        let said = || {
            now.iter()
                .take(unit)
                .any(|b| b.is_ascii_alphabetic() || matches!(b, 0xC3..=0xE1 | 0xE3..=0xF4))
        };
        now == before && said()
    })
}
