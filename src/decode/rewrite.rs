//! Rewrite: encoded items without some of their parts, and requests taken apart.
//!
//! For whoever passes a request on as OTLP: what stays is copied as it stands on the wire, unknown
//! fields too. Works on messages that were decoded before; what cannot be walked ends the message.

use super::{
    texts,
    wire::{Reader, Tag},
};

/// `Span`: attributes, events; `Event`: attributes.
const SPAN_ATTRIBUTE: u32 = 9;
const SPAN_EVENT: u32 = 11;
const EVENT_ATTRIBUTE: u32 = 3;
/// `LogRecord`: body, attributes.
const LOG_BODY: u32 = 5;
const LOG_ATTRIBUTE: u32 = 6;

/// A `Span` without the attributes (and the attributes of its events) that are marked, in the order
/// of the decoded lists.
pub fn span_without(span: &[u8], attributes: &[bool], events: &[Vec<bool>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(span.len());
    let (mut attribute, mut event) = (0, 0);
    fields(span, |number, field, value| match number {
        SPAN_ATTRIBUTE => {
            if !is_marked(attributes, attribute) {
                out.extend_from_slice(field);
            }
            attribute += 1;
        }
        SPAN_EVENT => {
            let marks = events.get(event).map_or(&[][..], Vec::as_slice);
            if marks.contains(&true) {
                put(
                    &mut out,
                    SPAN_EVENT,
                    &without(value, EVENT_ATTRIBUTE, marks),
                );
            } else {
                out.extend_from_slice(field);
            }
            event += 1;
        }
        _ => out.extend_from_slice(field),
    });
    out
}

/// A `LogRecord` without the attributes that are marked.
pub fn log_without(record: &[u8], attributes: &[bool]) -> Vec<u8> {
    without(record, LOG_ATTRIBUTE, attributes)
}

/// A `LogRecord` without its body and the attributes that are marked.
pub fn log_without_body(record: &[u8], attributes: &[bool]) -> Vec<u8> {
    let mut out = Vec::with_capacity(record.len());
    fields(&log_without(record, attributes), |number, field, _| {
        if number != LOG_BODY {
            out.extend_from_slice(field);
        }
    });
    out
}

/// The resource groups of an export request, each as the field it is: some of them after each other
/// are a request again.
pub fn groups(request: &[u8]) -> Vec<&[u8]> {
    let mut groups = Vec::new();
    fields(request, |number, field, _| {
        if number == 1 {
            groups.push(field);
        }
    });
    groups
}

/// Spans or log records of an export request.
pub fn items(request: &[u8]) -> u64 {
    let mut items = 0;
    fields(request, |_, _, group| {
        fields(group, |number, _, scope| {
            if number == 2 {
                fields(scope, |number, _, _| items += u64::from(number == 2));
            }
        });
    });
    items
}

/// `?` in place of every byte that is not UTF-8, in all texts of a trace request, or a log request:
/// strict receivers would refuse the whole of it. Binary values are taken for texts.
pub fn repair(request: &mut [u8], is_traces: bool) {
    let mut bad = Vec::new();
    let see = &mut |text: texts::TextAt<'_>| {
        let mut at = text.at;
        for chunk in text.bytes.utf8_chunks() {
            at += chunk.valid().len();
            bad.push(at..at + chunk.invalid().len());
            at += chunk.invalid().len();
        }
    };
    match is_traces {
        true => texts::traces(request, &[], true, see),
        false => texts::logs(request, &[], true, see),
    }
    for range in bad {
        if let Some(bytes) = request.get_mut(range) {
            bytes.fill(b'?');
        }
    }
}

/// Appends a field of this number whose value is a length and these bytes.
pub fn put(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a varint.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A message without those of its fields `number` that are marked.
fn without(message: &[u8], number: u32, marks: &[bool]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len());
    let mut at = 0;
    fields(message, |found, field, _| {
        let gone = found == number && is_marked(marks, at);
        at += usize::from(found == number);
        if !gone {
            out.extend_from_slice(field);
        }
    });
    out
}

fn is_marked(marks: &[bool], at: usize) -> bool {
    marks.get(at).copied().unwrap_or(false)
}

/// Shows each field: its number, the whole of it, and what stands in it when it has a length.
fn fields<'a>(message: &'a [u8], mut see: impl FnMut(u32, &'a [u8], &'a [u8])) {
    let mut reader = Reader::new(message);
    loop {
        let before = reader.rest();
        let Ok(Some(tag)) = reader.tag() else { return };
        let value = value(reader, tag);
        if reader.skip(tag).is_err() {
            return;
        }
        let length = before.len() - reader.rest().len();
        let Some(field) = before.get(..length) else {
            return;
        };
        see(tag.number(), field, value);
    }
}

fn value(mut reader: Reader<'_>, tag: Tag) -> &[u8] {
    reader.bytes(tag).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bumpalo::Bump;

    use super::*;
    use crate::{decode, normalise::otlp};

    #[test]
    fn marked_attributes_go_and_all_else_stays() {
        let body = otlp::traces(&[otlp::span("chat")
            .attr("keep", "a")
            .attr("drop", "b")
            .attr("also", "c")]);
        let arena = Bump::new();
        let request = decode::traces(&body, &arena).unwrap();
        let rest = span_without(request.spans[0].encoded, &[false, true, false], &[]);
        let mut again = Vec::new();
        let mut scope = Vec::new();
        put(&mut scope, 2, &rest);
        let mut resource = Vec::new();
        put(&mut resource, 2, &scope);
        put(&mut again, 1, &resource);
        let read = decode::traces(&again, &arena).unwrap();
        let keys: Vec<&str> = read.spans[0].attributes.iter().map(|a| a.key).collect();
        assert_eq!(keys, ["keep", "also"]);
        assert_eq!(read.spans[0].span_id, request.spans[0].span_id);
        assert_eq!((items(&again), groups(&again).len()), (1, 1));
        let twice = [again.as_slice(), again.as_slice()].concat();
        assert_eq!((items(&twice), groups(&twice).len()), (2, 2));
    }

    #[test]
    fn bad_bytes_of_a_text_are_overwritten_and_nothing_moves() {
        let mut body = otlp::traces(&[otlp::span("chat").attr("key", "caf~~")]);
        let at = memchr::memmem::find(&body, b"caf~~").unwrap();
        body[at + 3] = 0xc3;
        repair(&mut body, true);
        assert_eq!(&body[at..at + 5], b"caf?~");
    }
}
