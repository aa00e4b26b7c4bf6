//! One JSON document to one protobuf message, by a [`Schema`].
//!
//! A value that does not fit its field (a string where an object should be) is written
//! as a field of the wrong wire type: the binary decoder rejects the span or record that holds it,
//! and only that. Of a key that is there twice the last value counts.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::super::DEPTH_MAX;
use super::number;
use super::parser::{Fault, Parser, Shape};
use super::schema::{Field, Kind, LISTS_MAX, Schema};
use super::write::{Room, Writer};

/// Values inside values from which on lengths are written wide.
const WIDE_DEPTH: usize = 3;

const BASE64: GeneralPurpose = engine(&alphabet::STANDARD);
const BASE64_URL: GeneralPurpose = engine(&alphabet::URL_SAFE);

const fn engine(alphabet: &alphabet::Alphabet) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(alphabet, config)
}

pub(super) struct Transcoder<'a> {
    parser: Parser<'a>,
    writer: Writer,
}

/// A value that is no object and no array.
enum Scalar<'p> {
    Null,
    Text(&'p [u8]),
    Bare(&'p [u8]),
    /// It was an object or an array after all, and is skipped.
    None,
}

impl<'a> Transcoder<'a> {
    pub(super) fn new(json: &'a [u8]) -> Self {
        Transcoder {
            parser: Parser::new(json),
            writer: Writer::default(),
        }
    }

    /// The whole text, which must be one object.
    pub(super) fn document(mut self, schema: &'static Schema) -> Result<Vec<u8>, Fault> {
        self.fields(schema, 0)?;
        self.parser.end()?;
        Ok(self.writer.out)
    }

    /// The fields of an object, one after another, without a frame around them.
    fn fields(&mut self, schema: &'static Schema, depth: usize) -> Result<(), Fault> {
        self.parser.begin_object()?;
        let mut first = true;
        let mut seen = 0u32;
        let mut lists = [(0usize, 0usize); LISTS_MAX];
        loop {
            let Some(key) = self.parser.key(&mut first)? else {
                return Ok(());
            };
            let Some((position, field)) = schema.find(key) else {
                self.parser.skip()?;
                continue;
            };
            let again = seen & 1 << position != 0;
            seen |= 1 << position;
            if let Kind::List(_, slot) = field.kind {
                if again {
                    self.withdraw(&mut lists, slot);
                }
                let start = self.writer.out.len();
                self.field(field, depth, again)?;
                if let Some(range) = lists.get_mut(slot) {
                    *range = (start, self.writer.out.len());
                }
            } else {
                self.field(field, depth, again)?;
            }
        }
    }

    /// Takes back a list that is now sent again. (Other fields need not be taken back: the binary
    /// decoder takes the last.)
    #[cold]
    fn withdraw(&mut self, lists: &mut [(usize, usize); LISTS_MAX], slot: usize) {
        let Some((start, end)) = lists.get(slot).copied() else {
            return;
        };
        self.writer.out.drain(start..end);
        for range in lists {
            if range.0 >= end {
                range.0 -= end - start;
                range.1 -= end - start;
            }
        }
    }

    /// The value of a field. `again` when the key was there before.
    fn field(&mut self, field: &'static Field, depth: usize, again: bool) -> Result<(), Fault> {
        let shape = self.parser.shape()?;
        match (field.kind, shape) {
            (Kind::List(schema, _), Shape::Array) => self.list(field, schema, depth),
            (Kind::Message(schema), Shape::Object) => self.message(field, schema, depth),
            (Kind::Nested(_), Shape::Object) if depth >= DEPTH_MAX => {
                // One level more than the decoder takes: it will say so.
                self.writer.bytes(field.number, b"");
                self.parser.skip()
            }
            (Kind::Nested(schema), Shape::Object) => self.message(field, schema, depth + 1),
            _ => self.scalar(field, again),
        }
    }

    fn message(
        &mut self,
        field: &'static Field,
        schema: &'static Schema,
        depth: usize,
    ) -> Result<(), Fault> {
        let room = if depth < WIDE_DEPTH {
            Room::Tight
        } else {
            Room::Wide
        };
        let open = self.writer.open(field.number, room);
        self.fields(schema, depth)?;
        self.writer.close(open);
        Ok(())
    }

    fn list(
        &mut self,
        field: &'static Field,
        schema: &'static Schema,
        depth: usize,
    ) -> Result<(), Fault> {
        self.parser.begin_array()?;
        let mut first = true;
        while self.parser.element(&mut first)? {
            match self.parser.shape()? {
                Shape::Object => self.message(field, schema, depth)?,
                Shape::Bare => match self.parser.bare()? {
                    b"null" => self.writer.bytes(field.number, b""),
                    _ => self.misfit(field),
                },
                Shape::Array | Shape::Text => {
                    self.parser.skip()?;
                    self.misfit(field);
                }
            }
        }
        Ok(())
    }

    fn scalar(&mut self, field: &'static Field, again: bool) -> Result<(), Fault> {
        let scalar = match self.parser.shape()? {
            Shape::Text => match self.parser.string()? {
                // An unset number, as loosely typed clients write it.
                b"" if !matches!(field.kind, Kind::Text | Kind::Base64 | Kind::Id) => Scalar::Null,
                text => Scalar::Text(text),
            },
            Shape::Bare => match self.parser.bare()? {
                b"null" => Scalar::Null,
                token => Scalar::Bare(token),
            },
            Shape::Object | Shape::Array => {
                self.parser.skip()?;
                Scalar::None
            }
        };
        let fits = match scalar {
            Scalar::Null => {
                if again {
                    write_default(&mut self.writer, field);
                }
                true
            }
            Scalar::Text(text) => write_scalar(&mut self.writer, field, text, true),
            Scalar::Bare(token) => write_scalar(&mut self.writer, field, token, false),
            Scalar::None => false,
        };
        if !fits {
            self.misfit(field);
        }
        Ok(())
    }

    /// What the binary decoder will reject in place of this field.
    #[cold]
    fn misfit(&mut self, field: &'static Field) {
        match field.kind {
            Kind::Fixed32 => self.writer.varint(field.number, 0),
            _ => self.writer.fixed32(field.number, 0),
        }
    }
}

/// False when the text does not fit the field: nothing is written then.
fn write_scalar(writer: &mut Writer, field: &'static Field, text: &[u8], quoted: bool) -> bool {
    let number = field.number;
    let integer = || number::integer(text);
    match field.kind {
        // A bare number or boolean where text should be is taken as it is written.
        Kind::Text => writer.bytes(number, text),
        Kind::Base64 if quoted => match base64(text) {
            Some(bytes) => writer.bytes(number, &bytes),
            None => return false,
        },
        Kind::Id if quoted => match hex(text) {
            Some(bytes) => writer.bytes(number, &bytes),
            None => return false,
        },
        Kind::Fixed64 => match integer().and_then(|value| u64::try_from(value).ok()) {
            Some(value) => writer.fixed64(number, value),
            None => return false,
        },
        Kind::Fixed32 => match integer().and_then(|value| u32::try_from(value).ok()) {
            Some(value) => writer.fixed32(number, value),
            None => return false,
        },
        Kind::Varint => match integer() {
            Some(value) => writer.varint(number, value as u64),
            None => return false,
        },
        Kind::Int => match integer().and_then(|value| i64::try_from(value).ok()) {
            Some(value) => writer.varint(number, value as u64),
            None => match number::double(text) {
                Some(value) if value.fract() == 0.0 => writer.fixed64(4, value.to_bits()),
                _ => return false,
            },
        },
        Kind::Double => match number::double(text) {
            Some(value) => writer.fixed64(number, value.to_bits()),
            None => return false,
        },
        Kind::Bool => match text {
            b"true" => writer.varint(number, 1),
            b"false" => writer.varint(number, 0),
            _ => return false,
        },
        Kind::Enum(names) => match integer() {
            Some(value) => writer.varint(number, value as u64),
            None if quoted => writer.varint(number, names.number(text)),
            None => return false,
        },
        Kind::Base64 | Kind::Id | Kind::Message(_) | Kind::Nested(_) | Kind::List(..) => {
            return false;
        }
    }
    true
}

/// `null` after a value: the field as if it had never been sent.
#[cold]
fn write_default(writer: &mut Writer, field: &'static Field) {
    let number = field.number;
    match field.kind {
        Kind::List(..) => {}
        Kind::Text | Kind::Base64 | Kind::Id | Kind::Message(_) | Kind::Nested(_) => {
            writer.bytes(number, b"");
        }
        Kind::Fixed64 | Kind::Double => writer.fixed64(number, 0),
        Kind::Fixed32 => writer.fixed32(number, 0),
        Kind::Varint | Kind::Int | Kind::Bool | Kind::Enum(_) => writer.varint(number, 0),
    }
}

/// Either alphabet, with or without padding.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let url = text.iter().any(|byte| matches!(byte, b'-' | b'_'));
    let engine = if url { &BASE64_URL } else { &BASE64 };
    engine.decode(text).ok()
}

fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, odd) = text.as_chunks::<2>();
    if !odd.is_empty() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect()
}
