//! JSON as instrumentations write it: a lenient reader into a tree of views.
//!
//! Attributes carry requests and answers as JSON text that may be cut off by an attribute length
//! limit, or be a Python repr (`{'a': None}`) instead. The reader takes what is there and stops
//! where it ends; it never fails, it finds less. It is for reading, not for judging: whether an
//! answer is valid JSON is asked of `serde_json` in `enrich`.
//!
//! Invariants: one pass over the text; recursion ends at [`DEPTH_MAX`], deeper values stay text;
//! nodes lie in the arena, strings borrow from the text unless they have escapes.

mod strings;

use bumpalo::{Bump, collections::Vec as ArenaVec};

use self::strings::{string_end, unescape};

/// Containers inside containers that are taken apart.
const DEPTH_MAX: usize = 48;
/// Values of one text that are taken apart: 3 MB of nodes, far above any conversation's.
const NODES_MAX: usize = 1 << 16;

/// One value; cheap to copy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Json<'a> {
    /// The text of exactly this value, without surrounding blanks.
    text: &'a str,
    node: Node<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Node<'a> {
    /// Keys without quotes, escapes as they are.
    Object(&'a [(&'a str, Json<'a>)]),
    Array(&'a [Json<'a>]),
    /// Without quotes; there is no backslash in it.
    Plain(&'a str),
    /// Without quotes, escapes as they are.
    Escaped(&'a str),
    /// A number, a word, or a container too deep.
    Other,
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    nodes_left: usize,
    arena: &'a Bump,
}

// === impl Json ===

impl<'a> Json<'a> {
    /// The first value of a text; `None` when the text does not begin like a value.
    pub fn new(text: &'a str, arena: &'a Bump) -> Option<Json<'a>> {
        Parser {
            text,
            at: 0,
            nodes_left: NODES_MAX,
            arena,
        }
        .value(0)
    }

    /// Like [`Json::new`], but only for an object or an array: plain prose is not JSON.
    pub fn container(text: &'a str, arena: &'a Bump) -> Option<Json<'a>> {
        looks_like_container(text).then(|| Json::new(text, arena))?
    }

    /// The text of this value as written.
    pub fn raw(&self) -> &'a str {
        self.text
    }

    pub fn is_object(&self) -> bool {
        matches!(self.node, Node::Object(_))
    }

    pub fn is_array(&self) -> bool {
        matches!(self.node, Node::Array(_))
    }

    pub fn is_string(&self) -> bool {
        matches!(self.node, Node::Plain(_) | Node::Escaped(_))
    }

    pub fn is_null(&self) -> bool {
        matches!(self.node, Node::Other)
            && matches!(self.text, "null" | "None" | "undefined" | "nil")
    }

    /// The fields with their keys, in order; empty for anything but an object.
    pub fn entries(&self) -> &'a [(&'a str, Json<'a>)] {
        match self.node {
            Node::Object(entries) => entries,
            _ => &[],
        }
    }

    /// The elements, in order; empty for anything but an array.
    pub fn items(&self) -> &'a [Json<'a>] {
        match self.node {
            Node::Array(items) => items,
            _ => &[],
        }
    }

    /// The value of a field of an object.
    pub fn get(&self, key: &str) -> Option<Json<'a>> {
        self.entries()
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| *value)
    }

    /// Has the object this field?
    pub fn has(&self, key: &str) -> bool {
        self.entries().iter().any(|(name, _)| *name == key)
    }

    /// The value at a dotted path of field names and array indexes.
    pub fn path(&self, path: &str) -> Option<Json<'a>> {
        path.split('.')
            .try_fold(*self, |value, step| match value.node {
                Node::Array(items) => items.get(step.parse::<usize>().ok()?).copied(),
                _ => value.get(step),
            })
    }

    /// The text of a string with its escapes resolved; `None` for anything else.
    pub fn string(&self, arena: &'a Bump) -> Option<&'a str> {
        match self.node {
            Node::Plain(text) => Some(text),
            Node::Escaped(raw) => Some(unescape(raw, arena)),
            _ => None,
        }
    }

    /// A string's text, or the text of any other value as written; `""` for null.
    pub fn text(self, arena: &'a Bump) -> &'a str {
        if self.is_null() {
            return "";
        }
        self.string(arena).unwrap_or(self.text)
    }

    /// `true`, `false`, and Python's spelling of them, also as a string.
    pub fn boolean(&self) -> Option<bool> {
        match self.word() {
            "true" | "True" => Some(true),
            "false" | "False" => Some(false),
            _ => None,
        }
    }

    /// A string without its quotes, escapes as they are; other values whole.
    pub fn word(&self) -> &'a str {
        match self.node {
            Node::Plain(raw) | Node::Escaped(raw) => raw,
            _ => self.text,
        }
    }
}

/// Does the text begin like an object or an array?
pub fn looks_like_container(text: &str) -> bool {
    let first = text.bytes().find(|b| !b.is_ascii_whitespace());
    matches!(first, Some(b'{' | b'['))
}

// === impl Parser ===

impl<'a> Parser<'a> {
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\n' | b'\r' | b'\t' | b',')) {
            self.at += 1;
        }
    }

    /// Takes one value; `None` at a closing bracket or the end.
    fn value(&mut self, depth: usize) -> Option<Json<'a>> {
        self.skip_blanks();
        self.nodes_left = self.nodes_left.checked_sub(1)?;
        let start = self.at;
        let node = match self.byte()? {
            quote @ (b'"' | b'\'') => self.quoted(quote),
            b'{' if depth < DEPTH_MAX => Node::Object(self.entries(depth)),
            b'[' if depth < DEPTH_MAX => Node::Array(self.items(depth)),
            b'{' | b'[' => {
                self.at = container_end(self.text.as_bytes(), start);
                Node::Other
            }
            b'}' | b']' | b':' => return None,
            _ => {
                self.at = word_end(self.text.as_bytes(), start);
                Node::Other
            }
        };
        // The ends lie after ASCII bytes or at the end of the text: always a char boundary.
        let text = self.text.get(start..self.at)?;
        let text = match node {
            Node::Other => text.trim_end(),
            _ => text,
        };
        Some(Json { text, node })
    }

    /// The inside of a string; stands after its closing quote afterwards.
    fn quoted(&mut self, quote: u8) -> Node<'a> {
        let start = self.at + 1;
        let (end, escaped) = string_end(self.text.as_bytes(), start, quote);
        self.at = (end + 1).min(self.text.len());
        let mut inside = self.text.get(start..end).unwrap_or("");
        if end == self.text.len() {
            // Cut after a quote that was escaped.
            inside = inside.strip_suffix(char::from(quote)).unwrap_or(inside);
        }
        if escaped {
            Node::Escaped(inside)
        } else {
            Node::Plain(inside)
        }
    }

    fn entries(&mut self, depth: usize) -> &'a [(&'a str, Json<'a>)] {
        self.at += 1;
        let mut entries = ArenaVec::with_capacity_in(4, self.arena);
        while let Some(key) = self.key(depth + 1) {
            self.skip_blanks();
            if self.byte() != Some(b':') {
                break;
            }
            self.at += 1;
            let Some(value) = self.value(depth + 1) else {
                break;
            };
            entries.push((key, value));
        }
        self.close();
        entries.into_bump_slice()
    }

    /// Takes a key: nearly always a string, of which nothing but its inside is wanted.
    fn key(&mut self, depth: usize) -> Option<&'a str> {
        self.skip_blanks();
        let Some(quote @ (b'"' | b'\'')) = self.byte() else {
            return self.value(depth).map(|key| key.word());
        };
        self.nodes_left = self.nodes_left.checked_sub(1)?;
        match self.quoted(quote) {
            Node::Plain(key) | Node::Escaped(key) => Some(key),
            _ => None,
        }
    }

    fn items(&mut self, depth: usize) -> &'a [Json<'a>] {
        self.at += 1;
        let mut items = ArenaVec::with_capacity_in(2, self.arena);
        while let Some(item) = self.value(depth + 1) {
            items.push(item);
        }
        self.close();
        items.into_bump_slice()
    }

    /// Steps over the bracket that ended a container, if it is there.
    fn close(&mut self) {
        if matches!(self.byte(), Some(b'}' | b']')) {
            self.at += 1;
        }
    }
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
            b'"' | b'\'' => at = (string_end(bytes, at, byte).0 + 1).min(bytes.len()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_path_through_objects_and_arrays() {
        let arena = Bump::new();
        let text = r#" {"choices": [{"message": {"content": "Pa\"ris\n"}}], "n": 2} "#;
        let json = Json::new(text, &arena).unwrap();
        let content = json.path("choices.0.message.content").unwrap();
        assert_eq!(content.string(&arena), Some("Pa\"ris\n"));
        assert_eq!(json.path("n").unwrap().raw(), "2");
        assert_eq!(json.path("choices.1"), None);
    }

    #[test]
    fn reads_a_python_repr() {
        let arena = Bump::new();
        let text = "{'usage': {'a': 9, 'b': None}, 'ok': True, 'm': \"it's\"}";
        let json = Json::new(text, &arena).unwrap();
        assert_eq!(json.path("usage.a").unwrap().raw(), "9");
        assert!(json.path("usage.b").unwrap().is_null());
        assert_eq!(json.get("ok").unwrap().boolean(), Some(true));
        assert_eq!(json.get("m").unwrap().string(&arena), Some("it's"));
    }

    #[test]
    fn a_text_that_was_cut_gives_what_is_left() {
        let arena = Bump::new();
        let json = Json::new(r#"[{"role":"user","content":"What is the capi"#, &arena).unwrap();
        let message = json.items()[0];
        assert_eq!(
            message.get("content").unwrap().string(&arena),
            Some("What is the capi")
        );
    }

    #[test]
    fn surrogates_are_joined_and_lone_ones_replaced() {
        let arena = Bump::new();
        let text = |t| Json::new(t, &arena).unwrap().string(&arena).unwrap();
        assert_eq!(text(r#""\ud83d\ude00""#), "😀");
        assert_eq!(text(r#""\ud83d!""#), "\u{fffd}!");
    }

    #[test]
    fn hostile_texts_end() {
        let arena = Bump::new();
        for text in [
            "[".repeat(100_000),
            "[1,".repeat(50_000),
            "1,".repeat(500_000),
            "{:".repeat(9),
        ] {
            let text = format!("[{text}");
            assert!(Json::new(&text, &arena).is_some());
        }
        assert!(arena.allocated_bytes() < 64 << 20);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_walked_without_panic(text in ".*") {
            let arena = Bump::new();
            if let Some(json) = Json::new(&text, &arena) {
                json.items().iter().for_each(|v| { v.text(&arena); });
                json.entries().iter().for_each(|(_, v)| { v.text(&arena); });
                json.path("a.0.b");
            }
        }
    }
}
