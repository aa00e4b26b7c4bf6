//! A pull parser of JSON text: what comes next, one step at a time.
//!
//! It knows nothing of OTLP. Strings come out as bytes, because JSON text can say what UTF-8
//! cannot: a lone surrogate becomes [`NOT_UTF8`]. Beyond the standard it takes a byte order mark,
//! raw control characters in strings, and the bare `NaN` and `Infinity` that Python writes.
//!
//! Invariants: no recursion, so any nesting can be skipped; every step consumes or ends.

/// Stands for a lone surrogate: a byte that occurs in no UTF-8.
pub(super) const NOT_UTF8: u8 = 0xff;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    /// Byte offset.
    pub(super) at: usize,
    pub(super) expected: &'static str,
}

/// How the value that comes next starts. Nothing of it is consumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Object,
    Array,
    Text,
    /// A number, `true`, `false` or `null`.
    Bare,
}

/// A position in a JSON text.
pub(super) struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    /// The last string that had escapes, without them.
    unescaped: Vec<u8>,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Parser::at(text, 0)
    }

    pub(super) fn at(text: &'a [u8], at: usize) -> Self {
        let mut parser = Parser {
            text,
            at,
            unescaped: Vec::new(),
        };
        if parser.rest().starts_with(BYTE_ORDER_MARK) {
            parser.at += BYTE_ORDER_MARK.len();
        }
        parser
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn expected(&self, expected: &'static str) -> Fault {
        Fault {
            at: self.at,
            expected,
        }
    }

    /// The next byte that is not white space, not consumed.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    fn take(&mut self, byte: u8, expected: &'static str) -> Result<(), Fault> {
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err(self.expected(expected))
    }

    /// Where the next value starts; `None` when only white space is left.
    pub(super) fn start_of_value(&mut self) -> Option<usize> {
        self.peek().map(|_| self.at)
    }

    pub(super) fn end(&mut self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.expected("nothing after the document")),
        }
    }

    #[inline]
    pub(super) fn shape(&mut self) -> Result<Shape, Fault> {
        match self.peek() {
            Some(b'{') => Ok(Shape::Object),
            Some(b'[') => Ok(Shape::Array),
            Some(b'"') => Ok(Shape::Text),
            Some(byte) if is_bare(byte) => Ok(Shape::Bare),
            _ => Err(self.expected("a value")),
        }
    }

    pub(super) fn begin_object(&mut self) -> Result<(), Fault> {
        self.take(b'{', "`{`")
    }

    /// The next key of the object, its colon consumed; `None` at the end, which is consumed.
    /// `first` is true for the first call in each object.
    #[inline]
    pub(super) fn key(&mut self, first: &mut bool) -> Result<Option<&[u8]>, Fault> {
        if !self.separate(first, b'}', "`,` or `}`")? {
            return Ok(None);
        }
        if self.peek() != Some(b'"') {
            return Err(self.expected("a key in quotes"));
        }
        let key = self.string_span()?;
        self.take(b':', "`:`")?;
        self.resolve(key).map(Some)
    }

    pub(super) fn begin_array(&mut self) -> Result<(), Fault> {
        self.take(b'[', "`[`")
    }

    /// True when another element follows; the end is consumed. `first` as for [`Parser::key`].
    #[inline]
    pub(super) fn element(&mut self, first: &mut bool) -> Result<bool, Fault> {
        self.separate(first, b']', "`,` or `]`")
    }

    #[inline]
    fn separate(
        &mut self,
        first: &mut bool,
        end: u8,
        expected: &'static str,
    ) -> Result<bool, Fault> {
        let was_first = std::mem::replace(first, false);
        match self.peek() {
            Some(byte) if byte == end => {
                self.at += 1;
                Ok(false)
            }
            Some(b',') if !was_first => {
                self.at += 1;
                // `[1,]` is the one slip in JSON that is never meant as anything else, and yet
                // no standard parser takes it: neither does this one.
                match self.peek() {
                    Some(byte) if byte == end => Err(self.expected("another element")),
                    _ => Ok(true),
                }
            }
            Some(_) if was_first => Ok(true),
            _ => Err(self.expected(expected)),
        }
    }

    /// A string, with its escapes resolved.
    #[inline]
    pub(super) fn string(&mut self) -> Result<&[u8], Fault> {
        let span = self.string_span()?;
        self.resolve(span)
    }

    /// Consumes a string; its raw text, and where that starts.
    #[inline]
    fn string_span(&mut self) -> Result<Raw<'a>, Fault> {
        let open = self.at;
        self.take(b'"', "a string")?;
        let start = self.at;
        let mut escapes = false;
        loop {
            let Some(found) = memchr::memchr2(b'"', b'\\', self.rest()) else {
                return Err(Fault {
                    at: open,
                    expected: "a string that ends",
                });
            };
            let stop = self.at + found;
            if self.text.get(stop) == Some(&b'"') {
                self.at = stop + 1;
                return Ok(Raw {
                    text: self.text.get(start..stop).unwrap_or_default(),
                    start,
                    escapes,
                });
            }
            escapes = true;
            // Past the backslash and what it escapes, which may be a quote.
            self.at = stop + 2;
        }
    }

    #[inline]
    fn resolve(&mut self, raw: Raw<'a>) -> Result<&[u8], Fault> {
        if !raw.escapes {
            return Ok(raw.text);
        }
        self.unescaped.clear();
        unescape(raw, &mut self.unescaped)?;
        Ok(&self.unescaped)
    }

    /// A number, `true`, `false`, `null`, or a bare `NaN` or infinity, as written.
    pub(super) fn bare(&mut self) -> Result<&'a [u8], Fault> {
        self.peek();
        let rest = self.rest();
        let len = rest
            .iter()
            .position(|byte| !is_bare(*byte))
            .unwrap_or(rest.len());
        let token = rest.get(..len).unwrap_or_default();
        let known = matches!(
            token,
            b"true" | b"false" | b"null" | b"NaN" | b"Infinity" | b"-Infinity"
        );
        if !known && !is_number(token) {
            return Err(self.expected("a value"));
        }
        self.at += len;
        Ok(token)
    }

    /// Passes over one value of any kind and depth.
    pub(super) fn skip(&mut self) -> Result<(), Fault> {
        // True for an object, false for an array.
        let mut open: Vec<bool> = Vec::new();
        loop {
            let mut first = false;
            match self.shape()? {
                Shape::Object => {
                    self.begin_object()?;
                    open.push(true);
                    first = true;
                }
                Shape::Array => {
                    self.begin_array()?;
                    open.push(false);
                    first = true;
                }
                Shape::Text => drop(self.string()?),
                Shape::Bare => drop(self.bare()?),
            }
            // Close what ends here, up to the next value.
            loop {
                let more = match open.last() {
                    None => return Ok(()),
                    Some(true) => self.key(&mut first)?.is_some(),
                    Some(false) => self.element(&mut first)?,
                };
                if more {
                    break;
                }
                open.pop();
            }
        }
    }
}

/// The text between two quotes, escapes and all.
#[derive(Clone, Copy)]
struct Raw<'a> {
    text: &'a [u8],
    start: usize,
    escapes: bool,
}

#[inline]
fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')
}

/// The grammar of numbers.
fn is_number(token: &[u8]) -> bool {
    fn digits(text: &[u8]) -> (usize, &[u8]) {
        let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        (len, text.get(len..).unwrap_or_default())
    }
    let unsigned = token.strip_prefix(b"-").unwrap_or(token);
    let (whole, mut rest) = digits(unsigned);
    let leading_zero = whole > 1 && unsigned.starts_with(b"0");
    if whole == 0 || leading_zero {
        return false;
    }
    if let Some(fraction) = rest.strip_prefix(b".") {
        let (len, after) = digits(fraction);
        if len == 0 {
            return false;
        }
        rest = after;
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let unsigned = match exponent {
            [b'+' | b'-', digits @ ..] => digits,
            digits => digits,
        };
        let (len, after) = digits(unsigned);
        return len > 0 && after.is_empty();
    }
    rest.is_empty()
}

fn unescape(raw: Raw<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut rest = raw.text;
    while let Some(backslash) = memchr::memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at(backslash);
        out.extend_from_slice(plain);
        let simple = match escape.get(1) {
            Some(b'n') => b'\n',
            Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
            Some(b't') => b'\t',
            Some(b'r') => b'\r',
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'u') => {
                let fault = Fault {
                    at: raw.start + (raw.text.len() - escape.len()),
                    expected: "`\\u` and four hex digits",
                };
                rest = unicode_escape(escape, out).ok_or(fault)?;
                continue;
            }
            _ => {
                return Err(Fault {
                    at: raw.start + (raw.text.len() - escape.len()),
                    expected: "an escape that JSON has",
                });
            }
        };
        out.push(simple);
        rest = escape.get(2..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    Ok(())
}

/// `\uXXXX`, or two of them that make one character. What follows them.
fn unicode_escape<'a>(escape: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (unit, rest) = code_unit(escape)?;
    let mut push = |code: u32| match char::from_u32(code) {
        Some(char) => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        None => out.push(NOT_UTF8),
    };
    if (0xd800..0xdc00).contains(&unit)
        && let Some((low, after)) = code_unit(rest)
        && (0xdc00..0xe000).contains(&low)
    {
        push(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
        return Some(after);
    }
    push(unit);
    Some(rest)
}

/// The number in `\uXXXX`, and what follows.
fn code_unit(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = text.strip_prefix(b"\\u")?.split_first_chunk::<4>()?;
    let mut unit = 0;
    for digit in digits {
        unit = unit << 4 | char::from(*digit).to_digit(16)?;
    }
    Some((unit, rest))
}
