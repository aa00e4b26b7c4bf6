//! JSON as instrumentations write it: a lazy reader over text, without a tree.
//!
//! Attributes carry requests and answers as JSON text that may be cut off by an attribute length
//! limit, or be a Python repr (`{'a': None}`) instead. The reader walks what is there and stops
//! where it ends; it never fails, it finds less. It is for reading, not for judging: whether an
//! answer is valid JSON is asked of `serde_json` in `enrich`.
//!
//! Invariants: no recursion on input depth, no allocation but for strings with escapes (arena).

use bumpalo::{Bump, collections::String as ArenaString};

/// One value inside a text; cheap to copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<'a> {
    /// The text of exactly this value, without surrounding blanks.
    text: &'a str,
}

/// The fields of an object.
pub struct Entries<'a> {
    rest: Cursor<'a>,
}

/// The values of an array.
pub struct Items<'a> {
    rest: Cursor<'a>,
}

#[derive(Clone, Copy)]
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

// === impl Json ===

impl<'a> Json<'a> {
    /// The first value of a text; `None` when the text does not begin like a value. Of an object
    /// or array the end is not looked for: whatever follows it belongs to [`Json::raw`], too.
    pub fn new(text: &'a str) -> Option<Json<'a>> {
        let text = text.trim();
        if text.starts_with(['{', '[']) {
            return Some(Json { text });
        }
        let mut cursor = Cursor { text, at: 0 };
        cursor.value()
    }

    /// Like [`Json::new`], but only for an object or an array: plain prose is not JSON.
    pub fn container(text: &'a str) -> Option<Json<'a>> {
        let text = text.trim();
        text.starts_with(['{', '[']).then_some(Json { text })
    }

    /// The text of this value as written.
    pub fn raw(&self) -> &'a str {
        self.text
    }

    pub fn is_object(&self) -> bool {
        self.text.starts_with('{')
    }

    pub fn is_array(&self) -> bool {
        self.text.starts_with('[')
    }

    pub fn is_string(&self) -> bool {
        self.text.starts_with(['"', '\''])
    }

    pub fn is_null(&self) -> bool {
        matches!(self.text, "null" | "None" | "undefined" | "nil")
    }

    /// The fields, in order; empty for anything but an object.
    pub fn entries(&self) -> Entries<'a> {
        let inside = if self.is_object() {
            &self.text[1..]
        } else {
            ""
        };
        Entries {
            rest: Cursor {
                text: inside,
                at: 0,
            },
        }
    }

    /// The elements, in order; empty for anything but an array.
    pub fn items(&self) -> Items<'a> {
        let inside = if self.is_array() { &self.text[1..] } else { "" };
        Items {
            rest: Cursor {
                text: inside,
                at: 0,
            },
        }
    }

    /// The value of a field of an object.
    pub fn get(&self, key: &str) -> Option<Json<'a>> {
        self.entries()
            .find(|(name, _)| name.unquoted() == key)
            .map(|(_, value)| value)
    }

    /// The value at a dotted path of field names and array indexes.
    pub fn path(&self, path: &str) -> Option<Json<'a>> {
        path.split('.').try_fold(*self, |value, step| {
            if value.is_array() {
                value.items().nth(step.parse().ok()?)
            } else {
                value.get(step)
            }
        })
    }

    /// The text of a string with its escapes resolved; `None` for anything else.
    pub fn string(&self, arena: &'a Bump) -> Option<&'a str> {
        self.is_string().then(|| unescape(self.unquoted(), arena))
    }

    /// A string's text, or the text of any other value as written; `""` for null.
    pub fn to_text(self, arena: &'a Bump) -> &'a str {
        if self.is_null() {
            return "";
        }
        self.string(arena).unwrap_or(self.text)
    }

    /// `true`, `false`, and Python's spelling of them.
    pub fn boolean(&self) -> Option<bool> {
        match self.unquoted() {
            "true" | "True" => Some(true),
            "false" | "False" => Some(false),
            _ => None,
        }
    }

    /// What is between the quotes of a string, escapes as they are; other values whole.
    fn unquoted(&self) -> &'a str {
        let Some(quote) = self.text.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            return self.text;
        };
        let inside = &self.text[1..];
        inside.strip_suffix(quote).unwrap_or(inside)
    }
}

// === impl Entries ===

impl<'a> Iterator for Entries<'a> {
    type Item = (Json<'a>, Json<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.rest.value()?;
        self.rest.skip_byte(b':')?;
        let value = self.rest.value()?;
        Some((key, value))
    }
}

// === impl Items ===

impl<'a> Iterator for Items<'a> {
    type Item = Json<'a>;

    fn next(&mut self) -> Option<Json<'a>> {
        self.rest.value()
    }
}

// === impl Cursor ===

impl<'a> Cursor<'a> {
    /// Skips blanks and commas, then takes one value. `None` at a closing bracket or the end.
    fn value(&mut self) -> Option<Json<'a>> {
        let bytes = self.text.as_bytes();
        while matches!(
            bytes.get(self.at),
            Some(b' ' | b'\n' | b'\r' | b'\t' | b',')
        ) {
            self.at += 1;
        }
        let start = self.at;
        let end = match *bytes.get(start)? {
            quote @ (b'"' | b'\'') => string_end(bytes, start + 1, quote),
            b'{' | b'[' => container_end(bytes, start),
            b'}' | b']' | b':' => return None,
            _ => word_end(bytes, start),
        };
        self.at = end;
        // The ends lie after ASCII bytes or at the end of the text: always a char boundary.
        self.text.get(start..end).map(|text| Json {
            text: text.trim_end(),
        })
    }

    fn skip_byte(&mut self, wanted: u8) -> Option<()> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        (bytes.get(self.at) == Some(&wanted)).then(|| self.at += 1)
    }
}

/// The position after the closing quote, or the end of a text that was cut.
fn string_end(bytes: &[u8], mut at: usize, quote: u8) -> usize {
    while let Some(found) = bytes
        .get(at..)
        .and_then(|rest| memchr::memchr2(quote, b'\\', rest))
    {
        at += found;
        if bytes.get(at) == Some(&quote) {
            return at + 1;
        }
        at = (at + 2).min(bytes.len());
    }
    // Cut after a backslash, the skip above may stand inside a character: go on to the end.
    bytes.len()
}

/// The position after the bracket that closes the one at `at`, or the end of a text that was cut.
fn container_end(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0usize;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return at;
                }
            }
            b'"' | b'\'' => at = string_end(bytes, at, byte),
            _ => {}
        }
    }
    bytes.len()
}

/// The end of a number, a word, or a Python call such as `Foo(a=1)`.
fn word_end(bytes: &[u8], mut at: usize) -> usize {
    let mut open = 0usize;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'(' => open += 1,
            b')' => open = open.saturating_sub(1),
            b',' | b'}' | b']' | b':' if open == 0 => break,
            _ => {}
        }
        at += 1;
    }
    at
}

/// Resolves the escapes of a JSON or Python string; borrows when there are none.
fn unescape<'a>(text: &'a str, arena: &'a Bump) -> &'a str {
    if memchr::memchr(b'\\', text.as_bytes()).is_none() {
        return text;
    }
    let mut out = ArenaString::with_capacity_in(text.len(), arena);
    let mut rest = text;
    while let Some(slash) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..slash]);
        let mut after = rest[slash + 1..].chars();
        match after.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let (letter, left) = unicode_escape(after.as_str());
                out.push(letter);
                rest = left;
                continue;
            }
            Some('x') => {
                let (letter, left) = hex_escape(after.as_str());
                out.push(letter);
                rest = left;
                continue;
            }
            Some(other) => out.push(other),
            None => {}
        }
        rest = after.as_str();
    }
    out.push_str(rest);
    out.into_bump_str()
}

/// `\uXXXX`, with a second half when the first is a surrogate; a lone half becomes U+FFFD.
fn unicode_escape(text: &str) -> (char, &str) {
    let unit = |t: &str| t.get(..4).and_then(|hex| u32::from_str_radix(hex, 16).ok());
    let Some(first) = unit(text) else {
        return ('\u{fffd}', text);
    };
    let rest = &text[4..];
    if (0xd800..0xdc00).contains(&first)
        && let Some(second) = rest.strip_prefix("\\u").and_then(unit)
        && (0xdc00..0xe000).contains(&second)
    {
        let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return (char::from_u32(code).unwrap_or('\u{fffd}'), &rest[6..]);
    }
    (char::from_u32(first).unwrap_or('\u{fffd}'), rest)
}

/// Python's `\xXX`.
fn hex_escape(text: &str) -> (char, &str) {
    match text
        .get(..2)
        .and_then(|hex| u8::from_str_radix(hex, 16).ok())
    {
        Some(code) => (char::from(code), &text[2..]),
        None => ('\u{fffd}', text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_path_through_objects_and_arrays() {
        let json =
            Json::new(r#" {"choices": [{"message": {"content": "Pa\"ris\n"}}], "n": 2} "#).unwrap();
        let arena = Bump::new();
        let content = json.path("choices.0.message.content").unwrap();
        assert_eq!(content.string(&arena), Some("Pa\"ris\n"));
        assert_eq!(json.path("n").unwrap().raw(), "2");
        assert_eq!(json.path("choices.1"), None);
    }

    #[test]
    fn reads_a_python_repr() {
        let json = Json::new("{'usage': {'a': 9, 'b': None}, 'ok': True, 'm': \"it's\"}").unwrap();
        let arena = Bump::new();
        assert_eq!(json.path("usage.a").unwrap().raw(), "9");
        assert!(json.path("usage.b").unwrap().is_null());
        assert_eq!(json.get("ok").unwrap().boolean(), Some(true));
        assert_eq!(json.get("m").unwrap().string(&arena), Some("it's"));
    }

    #[test]
    fn a_text_that_was_cut_gives_what_is_left() {
        let arena = Bump::new();
        let json = Json::new(r#"[{"role":"user","content":"What is the capi"#).unwrap();
        let message = json.items().next().unwrap();
        assert_eq!(
            message.get("content").unwrap().string(&arena),
            Some("What is the capi")
        );
    }

    #[test]
    fn surrogates_are_joined_and_lone_ones_replaced() {
        let arena = Bump::new();
        let text = |t| Json::new(t).unwrap().string(&arena).unwrap();
        assert_eq!(text(r#""\ud83d\ude00""#), "😀");
        assert_eq!(text(r#""\ud83d!""#), "\u{fffd}!");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_walked_without_panic(text in ".*") {
            let arena = Bump::new();
            if let Some(json) = Json::new(&text) {
                json.items().for_each(|v| { v.to_text(&arena); });
                json.entries().for_each(|(k, v)| { k.to_text(&arena); v.to_text(&arena); });
                json.path("a.0.b");
            }
        }
    }
}
