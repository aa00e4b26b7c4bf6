//! Where the texts of a request lie: from marks in its bytes to the strings around them.
//!
//! Whoever searches the body as a whole finds places, not strings; this says which string of the
//! message a place is in, and below which attribute it stands. Parts of the message without a mark
//! are passed over by their length. Knows the shape of OTLP and nothing of what is looked for.

use std::ops::Range;

use super::{
    DEPTH_MAX,
    wire::{Reader, WireType},
};

/// A string (or bytes value) of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextAt<'a> {
    pub bytes: &'a [u8],
    /// Offset in the body.
    pub at: usize,
    /// Which of the marks lie in it.
    pub marks: Range<usize>,
    /// The key of the attribute that it is the value of, when a mark lies in that key; else empty.
    pub marked_key: &'a [u8],
}

/// A message: which of its fields are texts, and which are messages.
struct Shape(&'static [(u32, Part)]);

#[derive(Clone, Copy)]
enum Part {
    Text,
    Message(&'static Shape),
}

use Part::{Message, Text};

static TRACES: Shape = Shape(&[(1, Message(&RESOURCE_SPANS))]);
static LOGS: Shape = Shape(&[(1, Message(&RESOURCE_LOGS))]);
static RESOURCE_SPANS: Shape = Shape(&[
    (1, Message(&RESOURCE)),
    (2, Message(&SCOPE_SPANS)),
    (3, Text),
]);
static RESOURCE_LOGS: Shape = Shape(&[
    (1, Message(&RESOURCE)),
    (2, Message(&SCOPE_LOGS)),
    (3, Text),
]);
static RESOURCE: Shape = Shape(&[(1, Message(&KEY_VALUE))]);
static SCOPE: Shape = Shape(&[(1, Text), (2, Text), (3, Message(&KEY_VALUE))]);
static SCOPE_SPANS: Shape = Shape(&[(1, Message(&SCOPE)), (2, Message(&SPAN)), (3, Text)]);
static SCOPE_LOGS: Shape = Shape(&[(1, Message(&SCOPE)), (2, Message(&LOG_RECORD)), (3, Text)]);
static SPAN: Shape = Shape(&[
    (3, Text),
    (5, Text),
    (9, Message(&KEY_VALUE)),
    (11, Message(&EVENT)),
    (13, Message(&LINK)),
    (15, Message(&STATUS)),
]);
static EVENT: Shape = Shape(&[(2, Text), (3, Message(&KEY_VALUE))]);
static LINK: Shape = Shape(&[(3, Text), (4, Message(&KEY_VALUE))]);
static STATUS: Shape = Shape(&[(2, Text)]);
static LOG_RECORD: Shape = Shape(&[
    (3, Text),
    (5, Message(&ANY_VALUE)),
    (6, Message(&KEY_VALUE)),
    (12, Text),
]);
static KEY_VALUE: Shape = Shape(&[(1, Text), (2, Message(&ANY_VALUE))]);
static ANY_VALUE: Shape = Shape(&[
    (1, Text),
    (5, Message(&ARRAY_VALUE)),
    (6, Message(&KVLIST_VALUE)),
    (7, Text),
]);
static ARRAY_VALUE: Shape = Shape(&[(1, Message(&ANY_VALUE))]);
static KVLIST_VALUE: Shape = Shape(&[(1, Message(&KEY_VALUE))]);

/// Messages inside messages, down to the deepest value that `decode` reads.
const LEVELS_MAX: usize = 8 + 2 * DEPTH_MAX;

/// Shows the texts of an `ExportTraceServiceRequest` that a mark lies in, or every text. `marks`
/// are offsets in ascending order.
pub fn traces<'a>(body: &'a [u8], marks: &[usize], every: bool, see: &mut dyn FnMut(TextAt<'a>)) {
    let mut walk = Walk {
        body,
        marks,
        every,
        see,
        next: 0,
    };
    walk.message(&TRACES, body, &[], LEVELS_MAX);
}

/// The same for an `ExportLogsServiceRequest`.
pub fn logs<'a>(body: &'a [u8], marks: &[usize], every: bool, see: &mut dyn FnMut(TextAt<'a>)) {
    let mut walk = Walk {
        body,
        marks,
        every,
        see,
        next: 0,
    };
    walk.message(&LOGS, body, &[], LEVELS_MAX);
}

struct Walk<'w, 'a> {
    body: &'a [u8],
    marks: &'w [usize],
    every: bool,
    see: &'w mut dyn FnMut(TextAt<'a>),
    /// The first mark that does not lie before the field that was read last.
    next: usize,
}

// === impl Walk ===

impl<'a> Walk<'_, 'a> {
    /// Bytes that cannot be walked end the message: `decode` rejects them, too.
    fn message(&mut self, shape: &'static Shape, bytes: &'a [u8], key: &'a [u8], levels: usize) {
        let Some(levels) = levels.checked_sub(1) else {
            return;
        };
        let is_pair = std::ptr::eq(shape, &raw const KEY_VALUE);
        let mut key = key;
        let mut reader = Reader::new(bytes);
        while let Ok(Some(tag)) = reader.tag() {
            if !tag.is(WireType::Len) {
                if reader.skip(tag).is_err() {
                    return;
                }
                continue;
            }
            let Ok(field) = reader.bytes(tag) else {
                return;
            };
            if !self.has_mark(field) && key.is_empty() && !self.every {
                continue;
            }
            let number = tag.number();
            let part = shape.0.iter().find(|(n, _)| *n == number);
            match part.map(|(_, part)| *part) {
                Some(Text) => {
                    let marks = self.marks_in(field);
                    if is_pair && !marks.is_empty() {
                        key = field;
                    }
                    let at = self.offset(field);
                    (self.see)(TextAt {
                        bytes: field,
                        at,
                        marks,
                        marked_key: if is_pair { &[] } else { key },
                    });
                }
                Some(Message(shape)) => self.message(shape, field, key, levels),
                None => {}
            }
        }
    }

    fn offset(&self, field: &[u8]) -> usize {
        (field.as_ptr() as usize).saturating_sub(self.body.as_ptr() as usize)
    }

    /// Does a mark lie in the field? Fields come in the order of their places, and so do marks.
    fn has_mark(&mut self, field: &[u8]) -> bool {
        let start = self.offset(field);
        while self.marks.get(self.next).is_some_and(|mark| *mark < start) {
            self.next += 1;
        }
        let next = self.marks.get(self.next);
        next.is_some_and(|mark| *mark < start + field.len())
    }

    fn marks_in(&self, field: &[u8]) -> Range<usize> {
        let end = self.offset(field) + field.len();
        let rest = self.marks.get(self.next..).unwrap_or_default();
        let count = rest.iter().take_while(|mark| **mark < end).count();
        self.next..self.next + count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalise::otlp;

    fn found(body: &[u8], needle: &str) -> Vec<(String, String)> {
        let marks: Vec<usize> = memchr::memmem::find_iter(body, needle.as_bytes()).collect();
        let mut out = Vec::new();
        traces(body, &marks, false, &mut |text| {
            let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert_eq!(&body[text.at..text.at + text.bytes.len()], text.bytes);
            out.push((words(text.marked_key), words(text.bytes)));
        });
        out
    }

    #[test]
    fn a_mark_is_found_in_its_text_and_below_its_key() {
        let body = otlp::traces(&[
            otlp::span("mark in a name").attr("other", "text"),
            otlp::span("plain")
                .id(2)
                .attr("a.mark", ["x", "y"])
                .attr("b", otlp::map([("c", "a mark".into()), ("d", "no".into())])),
        ]);
        let pair = |key: &str, text: &str| (key.to_owned(), text.to_owned());
        assert_eq!(
            found(&body, "mark"),
            [
                pair("", "mark in a name"),
                pair("", "a.mark"),
                pair("a.mark", "x"),
                pair("a.mark", "y"),
                pair("", "a mark"),
            ]
        );
    }

    #[test]
    fn bytes_that_are_no_message_have_no_texts() {
        let body = b"\x0a\xff\xff\xff\xff\x7fmark";
        assert_eq!(found(body, "mark"), []);
    }
}
