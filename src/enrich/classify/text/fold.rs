//! Error texts folded into one: lower case, escapes and line breaks gone, stack frames left out.

/// Of a longer text, the beginning and the end are read: wrappers put the cause last.
const TEXT_HEAD_BYTES_MAX: usize = 6 * 1024;
const TEXT_TAIL_BYTES_MAX: usize = 2 * 1024;

/// Folds texts into one: lower case, one space for any run of white space, escapes resolved, curly
/// quotes straight, stack frames gone. Repeated texts are taken once.
pub(in crate::enrich::classify) fn fold(texts: &[&str]) -> String {
    let mut out = Vec::with_capacity(texts.iter().map(|t| t.len() + 1).sum::<usize>().min(8192));
    for (at, text) in texts.iter().enumerate() {
        // A wrapper's text often holds the inner one as it is.
        let before = texts.iter().take(at);
        if text.is_empty() || before.into_iter().any(|t| t.contains(text)) {
            continue;
        }
        if !out.is_empty() {
            out.push(b'\n');
        }
        for part in head_and_tail(text) {
            for line in part.split('\n').filter(|l| !is_stack_frame(l)) {
                fold_line(line, &mut out);
                out.push(b' ');
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

fn head_and_tail(text: &str) -> [&str; 2] {
    if text.len() <= TEXT_HEAD_BYTES_MAX + TEXT_TAIL_BYTES_MAX {
        return [text, ""];
    }
    let head = text.floor_char_boundary(TEXT_HEAD_BYTES_MAX);
    let tail = text.ceil_char_boundary(text.len() - TEXT_TAIL_BYTES_MAX);
    [
        text.get(..head).unwrap_or(""),
        text.get(tail..).unwrap_or(""),
    ]
}

/// Is this a line of a stack trace? Their paths hold words such as `internal` and `timeout`.
fn is_stack_frame(line: &str) -> bool {
    if !line.starts_with([' ', '\t']) {
        return false;
    }
    let line = line.trim_start();
    line.starts_with("at ") && line.contains(':') || line.starts_with("File \"")
}

fn fold_line(line: &str, out: &mut Vec<u8>) {
    let mut bytes = line.as_bytes();
    while let [first, rest @ ..] = bytes {
        bytes = rest;
        match (first, rest) {
            (b'\\', [b'n' | b't' | b'r', after @ ..]) => {
                space(out);
                bytes = after;
            }
            // A quote inside a JSON string inside a string: all levels look the same.
            (b'\\', [b'"' | b'\'' | b'\\' | b'/', ..]) => {}
            // What is not ASCII, as writers of JSON and representations of bytes put it.
            (b'\\', [b'u', a, b, c, d, after @ ..]) if hex(&[*a, *b, *c, *d]).is_some() => {
                character(hex(&[*a, *b, *c, *d]).unwrap_or_default(), out);
                bytes = after;
            }
            (b'\\', [b'x', a, b, after @ ..]) if hex(&[*a, *b]).is_some_and(|h| h >= 0x80) => {
                out.extend(hex(&[*a, *b]).and_then(|byte| u8::try_from(byte).ok()));
                bytes = after;
            }
            (b'&', [b'q', b'u', b'o', b't', b';', after @ ..]) => {
                out.push(b'"');
                bytes = after;
            }
            (b'&', [b'#', b'3', b'9', b';', after @ ..]) => {
                out.push(b'\'');
                bytes = after;
            }
            (b' ' | b'\t' | b'\r', _) => space(out),
            // A space that must not break, of Latin-1.
            (0xC2, [0xA0, after @ ..]) => {
                space(out);
                bytes = after;
            }
            // Curly quotes: E2 80 98 to 9B are single, 9C to 9F double; AF is a narrow space.
            (0xE2, [0x80, 0x98..=0x9B, after @ ..]) => {
                out.push(b'\'');
                bytes = after;
            }
            (0xE2, [0x80, 0x9C..=0x9F, after @ ..]) => {
                out.push(b'"');
                bytes = after;
            }
            (0xE2, [0x80, 0xAF, after @ ..]) => {
                space(out);
                bytes = after;
            }
            (byte, _) => out.push(byte.to_ascii_lowercase()),
        }
    }
}

/// Some hexadecimal digits.
fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| {
        let value = char::from(*digit).to_digit(16)?;
        Some(number * 16 + value)
    })
}

/// Adds an escaped character, folded like one that was not escaped; halves of a pair are left out.
fn character(code: u32, out: &mut Vec<u8>) {
    match char::from_u32(code) {
        Some('\u{2018}'..='\u{201B}') => out.push(b'\''),
        Some('\u{201C}'..='\u{201F}') => out.push(b'"'),
        Some(c) if c.is_whitespace() => space(out),
        Some(c) => {
            let mut buffer = [0; 4];
            let encoded = c.to_ascii_lowercase().encode_utf8(&mut buffer).len();
            out.extend(buffer.iter().take(encoded));
        }
        None => {}
    }
}

fn space(out: &mut Vec<u8>) {
    if out.last().is_some_and(|b| !b" \n".contains(b)) {
        out.push(b' ');
    }
}
