//! Personal data by its shape: e-mail addresses, payment cards, phone numbers, IBAN, US social
//! security numbers.
//!
//! Conservative where numbers are concerned: a card needs its issuer's beginning and its check
//! digit, a phone number its plus sign or its punctuation. Counters, times and ids stay.

use std::ops::Range;

use super::{
    Category,
    text::{begins_word, ends_word, escape_before, run_end, run_start},
};

const LOCAL_BYTES_MAX: usize = 64;
/// Endings of file names, which are no domains.
const FILES: &[&str] = &[
    "png", "jpg", "jpeg", "gif", "svg", "webp", "js", "mjs", "ts", "tsx", "jsx", "py", "rs", "go",
    "java", "css", "md", "txt", "json", "yaml", "yml", "html", "so", "dll", "exe", "sh", "latest",
];
/// Payment cards: beginnings with the lengths that they have (ISO/IEC 7812 issuer ranges).
const ISSUERS: &[(u32, u32, &[usize])] = &[
    (4, 4, &[13, 16, 19]),
    (51, 55, &[16]),
    (2221, 2720, &[16]),
    (34, 34, &[15]),
    (37, 37, &[15]),
    (6011, 6011, &[16, 19]),
    (644, 659, &[16, 19]),
    (3528, 3589, &[16]),
    (300, 305, &[14]),
    (36, 36, &[14]),
    (38, 39, &[14]),
    (62, 62, &[16, 17, 18, 19]),
    (50, 50, &[13, 16, 19]),
    (56, 58, &[13, 16, 19]),
    (60, 60, &[16, 19]),
    (63, 63, &[16, 19]),
    (67, 69, &[16, 19]),
];
/// Digits of a phone number with its country code (ITU-T E.164), and the fewest of a real one.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 9..=15;
/// Characters of an IBAN (ISO 13616).
const IBAN_CHARS: std::ops::RangeInclusive<usize> = 15..=34;

/// What was found.
pub(super) type Found = (Category, Range<usize>);

/// The address whose `@` (or `%40`, `sign` bytes long) is at `at`.
pub(super) fn email(sign: usize, text: &[u8], at: usize) -> Option<Range<usize>> {
    let in_local = |b: u8| b.is_ascii_alphanumeric() || b"._%+-".contains(&b);
    let mut start = run_start(text, at, LOCAL_BYTES_MAX, in_local);
    start = run_end(text, start, |b| b"._%-".contains(&b)).min(at);
    let mut end = run_end(text, at + sign, |b| {
        b.is_ascii_alphanumeric() || b == b'-' || b == b'.'
    });
    while end > at && matches!(text.get(end - 1), Some(b'.' | b'-')) {
        end -= 1;
    }
    let local = text.get(start..at)?;
    let domain = text.get(at + sign..end)?;
    let dot = memchr::memrchr(b'.', domain)?;
    let (host, top) = (domain.get(..dot)?, domain.get(dot + 1..)?);
    let top_is_word = top.len() >= 2 && top.iter().all(u8::is_ascii_alphabetic);
    let is_file = FILES.iter().any(|f| top.eq_ignore_ascii_case(f.as_bytes()));
    // `git@github.com:owner/name` is an address of a repository.
    let is_repository = local == b"git";
    let fits = !local.is_empty() && !host.is_empty() && !host.starts_with(b".") && top_is_word;
    (fits && !is_file && !is_repository).then_some(start..end)
}

/// The first number of somebody's that begins at `from` or behind it, before `to`.
pub(super) fn number(text: &[u8], from: usize, to: usize) -> Option<Found> {
    (from..to.min(text.len())).find_map(|at| {
        let byte = *text.get(at)?;
        let before = at.checked_sub(1).and_then(|i| text.get(i)).copied();
        match byte {
            b'0'..=b'9' if begins_number(text, at, before) => card(text, at)
                .map(|range| (Category::Card, range))
                .or_else(|| grouped(text, at)),
            b'+' | b'('
                if before.is_none_or(|b| !b.is_ascii_alphanumeric() && b != b'+')
                    || escape_before(text, at) > 0 =>
            {
                phone(text, at).map(|range| (Category::Phone, range))
            }
            b'A'..=b'Z' if begins_word(text, at) => {
                iban(text, at).map(|range| (Category::Iban, range))
            }
            _ => None,
        }
    })
}

fn begins_number(text: &[u8], at: usize, before: Option<u8>) -> bool {
    // Neither inside a word nor behind a decimal point, a sign or a colon of a time.
    begins_word(text, at) && !before.is_some_and(|b| b".-+/:".contains(&b) && glued(text, at))
}

/// Is there a letter or digit before the mark before `at`?
fn glued(text: &[u8], at: usize) -> bool {
    let two_before = at.checked_sub(2).and_then(|i| text.get(i));
    two_before.is_some_and(u8::is_ascii_alphanumeric)
}

/// Digits from `at` on, single blanks or hyphens between them.
fn digits(text: &[u8], at: usize, out: &mut [u8; 20]) -> (usize, usize) {
    let (mut count, mut end) = (0, at);
    for (next, byte) in text.iter().enumerate().skip(at) {
        match byte {
            b'0'..=b'9' => {
                let Some(slot) = out.get_mut(count) else {
                    return (count + 1, end);
                };
                *slot = byte - b'0';
                count += 1;
                end = next + 1;
            }
            b' ' | b'-' if end == next => {}
            _ => break,
        }
    }
    (count, end)
}

fn card(text: &[u8], at: usize) -> Option<Range<usize>> {
    if !matches!(text.get(at)?, b'2'..=b'6') {
        return None;
    }
    let mut buffer = [0u8; 20];
    let (count, end) = digits(text, at, &mut buffer);
    let digits = buffer.get(..count)?;
    let begins = |issuer: u32| {
        let length = issuer.ilog10() as usize + 1;
        let head = digits.get(..length)?.iter();
        Some(head.fold(0, |n, d| n * 10 + u32::from(*d)))
    };
    let issued = ISSUERS.iter().any(|(from, to, lengths)| {
        lengths.contains(&count) && begins(*from).is_some_and(|n| (*from..=*to).contains(&n))
    });
    (issued && luhn(digits) && ends_word(text, end)).then_some(at..end)
}

/// The check digit of payment cards (ISO/IEC 7812).
fn luhn(digits: &[u8]) -> bool {
    let weigh = |(place, digit): (usize, &u8)| match place % 2 {
        0 => u32::from(*digit),
        _ => u32::from(digit * 2 / 10 + digit * 2 % 10),
    };
    digits.iter().rev().enumerate().map(weigh).sum::<u32>() % 10 == 0
}

/// `+49 30 1234567`, `+1 (415) 555-2671`, `(415) 555-2671`.
fn phone(text: &[u8], at: usize) -> Option<Range<usize>> {
    let international = text.get(at) == Some(&b'+');
    let (mut count, mut end, mut marks) = (0, at + 1, 0);
    for (next, byte) in text.iter().enumerate().skip(at + 1) {
        match byte {
            b'0'..=b'9' => {
                count += 1;
                marks = 0;
                end = next + 1;
            }
            b' ' | b'-' | b'.' | b'(' | b')' if marks < 2 && next > at + 1 => marks += 1,
            _ => break,
        }
    }
    let begins = matches!(text.get(at + 1), Some(b'1'..=b'9'));
    let fits = if international {
        PHONE_DIGITS.contains(&count)
    } else {
        count == 10 && text.get(at + 4) == Some(&b')')
    };
    (begins && fits && ends_word(text, end)).then_some(at..end)
}

/// `415-555-2671` and `1-415-555-2671` (North American plan), `078-05-1120` (social security).
fn grouped(text: &[u8], at: usize) -> Option<Found> {
    let mut groups = [0usize; 4];
    let (mut group, mut next) = (0, at);
    let mark = loop {
        let end = run_end(text, next, |b| b.is_ascii_digit());
        *groups.get_mut(group)? = end - next;
        next = end;
        match text.get(end) {
            Some(mark @ (b'-' | b'.')) if text.get(end + 1).is_some_and(u8::is_ascii_digit) => {
                let first = text.get(at + groups[0]);
                if first != Some(mark) {
                    return None;
                }
                group += 1;
                next = end + 1;
            }
            _ => break text.get(at + groups[0]),
        }
    };
    let range = at..next;
    let digit = |i: usize| text.get(i).copied().unwrap_or(b'0');
    let plan = |area: usize| digit(area) >= b'2' && digit(area + 4) >= b'2';
    let ends = ends_word(text, next) && text.get(next) != Some(&b'-');
    match groups {
        _ if !ends => None,
        [3, 3, 4, 0] if plan(at) => Some((Category::Phone, range)),
        [1, 3, 3, 4] if digit(at) == b'1' && plan(at + 2) => Some((Category::Phone, range)),
        [3, 2, 4, 0] if mark == Some(&b'-') && is_area(text.get(at..at + 3)?) => {
            Some((Category::SocialSecurity, range))
        }
        _ => None,
    }
}

/// Areas 000, 666 and 900 on were never given out.
fn is_area(digits: &[u8]) -> bool {
    digits != b"000" && digits != b"666" && digits.first() != Some(&b'9')
}

/// Two letters, two check digits, and what the country has, in groups of four or without blanks.
fn iban(text: &[u8], at: usize) -> Option<Range<usize>> {
    let head = text.get(at..at + 4)?;
    let shape = head.iter().enumerate().all(|(i, b)| match i {
        0 | 1 => b.is_ascii_uppercase(),
        _ => b.is_ascii_digit(),
    });
    if !shape {
        return None;
    }
    let mut chars = [0u8; 34];
    let (mut count, mut end, mut best) = (0, at, None);
    for (next, byte) in text.iter().enumerate().skip(at) {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' => {
                let Some(slot) = chars.get_mut(count) else {
                    break;
                };
                *slot = *byte;
                count += 1;
                end = next + 1;
            }
            b' ' if end == next && count % 4 == 0 => continue,
            _ => break,
        }
        let whole = chars.get(..count).unwrap_or_default();
        if IBAN_CHARS.contains(&count) && ends_word(text, end) && checks(whole) {
            best = Some(end);
        }
    }
    best.map(|end| at..end)
}

/// ISO 7064, MOD 97-10, with the first four characters moved to the end.
fn checks(chars: &[u8]) -> bool {
    let (head, rest) = chars.split_at_checked(4).unwrap_or_default();
    let remainder = rest.iter().chain(head).fold(0u32, |n, b| match b {
        b'0'..=b'9' => (n * 10 + u32::from(b - b'0')) % 97,
        letter => (n * 100 + u32::from(letter.saturating_sub(b'A')) + 10) % 97,
    });
    remainder == 1
}
