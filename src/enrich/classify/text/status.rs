//! HTTP statuses in error texts, as numbers and by name.

/// The names of statuses that clients write in the place of their numbers, folded.
///
/// Source: RFC 9110, section 15, and RFC 6585; joined names are those of .NET's `HttpStatusCode`.
const NAMES: [(&str, u16); 24] = [
    ("bad request", 400),
    ("badrequest", 400),
    ("unauthorized", 401),
    ("payment required", 402),
    ("paymentrequired", 402),
    ("forbidden", 403),
    ("not found", 404),
    ("notfound", 404),
    ("method not allowed", 405),
    ("request timeout", 408),
    ("requesttimeout", 408),
    ("payload too large", 413),
    ("request entity too large", 413),
    ("requestentitytoolarge", 413),
    ("unprocessable entity", 422),
    ("unprocessableentity", 422),
    ("too many requests", 429),
    ("toomanyrequests", 429),
    ("internal server error", 500),
    ("internalservererror", 500),
    ("bad gateway", 502),
    ("badgateway", 502),
    ("service unavailable", 503),
    ("gateway timeout", 504),
];
/// Numbers in brackets are looked for in the beginning of a text.
const HEAD_BYTES_MAX: usize = 2048;

/// A status at the very beginning: `429 {...}`, `503 Service Unavailable`, `429: ...`.
pub(super) fn leading_status(text: &str) -> Option<u16> {
    let text = text.trim_start_matches(['<', '[', '(', '"', ' ']);
    let known = status(text)?;
    let next = text.get(3..).unwrap_or("").bytes().next();
    (!next.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'.')).then_some(known)
}

/// An HTTP status at the start of a text.
pub(super) fn status(after: &str) -> Option<u16> {
    let after = after.trim_start_matches([' ', '"', '\'', '(', '<', '{']);
    let after = after
        .strip_prefix("code: ")
        .or_else(|| after.strip_prefix("code "))
        .unwrap_or(after);
    let digits = after.get(..3)?;
    if after
        .as_bytes()
        .get(3)
        .is_some_and(|b| b.is_ascii_alphanumeric())
    {
        return None;
    }
    digits.parse().ok().filter(|s| (400..=599).contains(s))
}

/// A status by its name at the start of a text, with nothing but the name said: `status: Unauthorized`.
pub(super) fn named_status(after: &str) -> Option<u16> {
    let after = after.trim_start_matches([' ', '"', '\'', '(', '<', '.']);
    let (name, number) = NAMES.iter().find(|(name, _)| after.starts_with(name))?;
    let rest = after.get(name.len()..)?;
    let goes_on = |c: char| c.is_alphanumeric() || c == '_';
    (!rest.trim_start_matches(' ').starts_with(goes_on)).then_some(*number)
}

/// A status in brackets, before its name, or as the last word: `failed (429)`, `[503]`, `超限（429）`,
/// `got 502 Bad Gateway`, `failed: 429`.
pub(super) fn status_within(text: &str) -> Option<u16> {
    let text = text.get(..text.floor_char_boundary(HEAD_BYTES_MAX))?;
    let mut rest = text;
    while let Some(at) = rest.find(['4', '5']) {
        let (before, here) = rest.split_at_checked(at)?;
        let known = here.get(..3).and_then(|d| d.parse::<u16>().ok());
        if let Some(known) = known.filter(|k| (400..=599).contains(k)) {
            let after = here.get(3..)?;
            let opened = before.ends_with(['(', '[', '（', '【']);
            let closed = after.starts_with([')', ']', '）', '】', ',', ':', ' ']);
            let alone = before.is_empty() || before.ends_with([' ', ':', '=']);
            let name = NAMES.iter().find(|(_, number)| *number == known);
            let named = name.is_some_and(|(name, _)| {
                after
                    .trim_start_matches([' ', '-', ':', '('])
                    .starts_with(name)
            });
            // `Failed after 3 attempts: 429`, but not a limit or a count of something.
            let told = ["fail", "error", "retr", "status"];
            let last = after.trim().is_empty()
                && before.trim_end().ends_with(':')
                && told.iter().any(|word| before.contains(word));
            if opened && closed || alone && named || last {
                return Some(known);
            }
        }
        rest = here.get(1..)?;
    }
    None
}
