//! What spans and records are made of: strings, ids, values, attributes, resource and scope.
//!
//! Lists are collected on two scratch stacks that live as long as the request and are copied to
//! the arena once, when their length is known: no allocation per span, none per list.

use bumpalo::Bump;

use super::super::wire::{Fault, Reader, Tag, What, WireType};
use super::super::{Attribute, DEPTH_MAX, Event, Link, Resource, Scope, VIEW_UNITS_MAX, Value};
use super::units;

/// From this length on, SIMD validation of UTF-8 pays for its set-up.
const SIMD_BYTES_MIN: usize = 64;

/// The reading state of one request.
pub(super) struct Decoder<'a> {
    arena: &'a Bump,
    /// Attributes of the lists that are still being read, the innermost last.
    attributes: Vec<Attribute<'a>>,
    /// Elements of the arrays that are still being read, the innermost last.
    values: Vec<Value<'a>>,
    pub(super) events: Vec<Event<'a>>,
    pub(super) links: Vec<Link<'a>>,
    /// What is left of [`VIEW_UNITS_MAX`].
    pub(super) units_left: usize,
    /// Strings that were not UTF-8.
    pub(super) strings_repaired: u64,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(arena: &'a Bump) -> Self {
        Decoder {
            arena,
            attributes: Vec::with_capacity(64),
            values: Vec::new(),
            events: Vec::new(),
            links: Vec::new(),
            units_left: VIEW_UNITS_MAX,
            strings_repaired: 0,
        }
    }

    /// Forgets a half-read item: nothing of it may show up in the next one.
    #[cold]
    pub(super) fn abandon(&mut self, strings_repaired: u64) {
        self.attributes.clear();
        self.values.clear();
        self.events.clear();
        self.links.clear();
        self.strings_repaired = strings_repaired;
    }

    /// Accounts for a view that is about to be read at `at`.
    #[inline]
    pub(super) fn spend(&mut self, units: usize, at: Reader<'_>) -> Result<(), Fault> {
        match self.units_left.checked_sub(units) {
            Some(left) => {
                self.units_left = left;
                Ok(())
            }
            None => Err(at.fault(What::TooMany {
                max: VIEW_UNITS_MAX,
            })),
        }
    }

    /// A string, borrowed from the body unless it has to be repaired.
    #[inline]
    pub(super) fn text(&mut self, bytes: &'a [u8]) -> &'a str {
        let checked = if bytes.len() < SIMD_BYTES_MIN {
            std::str::from_utf8(bytes).ok()
        } else {
            simdutf8::basic::from_utf8(bytes).ok()
        };
        match checked {
            Some(text) => text,
            None => self.repaired(bytes),
        }
    }

    #[cold]
    fn repaired(&mut self, bytes: &[u8]) -> &'a str {
        self.strings_repaired = self.strings_repaired.saturating_add(1);
        self.arena.alloc_str(&String::from_utf8_lossy(bytes))
    }

    /// A `Resource`; an absent one is an empty one.
    pub(super) fn resource(
        &mut self,
        message: Option<Reader<'a>>,
        schema_url: &'a [u8],
    ) -> Result<Resource<'a>, Fault> {
        self.spend(units::<Resource<'a>>(), message.unwrap_or_default())?;
        let mut resource = Resource {
            schema_url: self.text(schema_url),
            ..Resource::default()
        };
        let Some(mut message) = message else {
            return Ok(resource);
        };
        resource.encoded = message.rest();
        let start = self.attributes_start();
        while let Some(tag) = message.tag()? {
            match tag.number() {
                1 => self.attribute(message.message(tag)?)?,
                _ => message.skip(tag)?,
            }
        }
        resource.attributes = self.attributes_end(start);
        Ok(resource)
    }

    /// An `InstrumentationScope`; an absent one is an empty one.
    pub(super) fn scope(
        &mut self,
        message: Option<Reader<'a>>,
        schema_url: &'a [u8],
    ) -> Result<Scope<'a>, Fault> {
        self.spend(units::<Scope<'a>>(), message.unwrap_or_default())?;
        let mut scope = Scope {
            schema_url: self.text(schema_url),
            ..Scope::default()
        };
        let Some(mut message) = message else {
            return Ok(scope);
        };
        scope.encoded = message.rest();
        let start = self.attributes_start();
        while let Some(tag) = message.tag()? {
            match tag.number() {
                1 => scope.name = self.text(message.bytes(tag)?),
                2 => scope.version = self.text(message.bytes(tag)?),
                3 => self.attribute(message.message(tag)?)?,
                _ => message.skip(tag)?,
            }
        }
        scope.attributes = self.attributes_end(start);
        Ok(scope)
    }

    /// Begins a list of attributes; what it answers is for [`Decoder::attributes_end`].
    #[inline]
    pub(super) fn attributes_start(&self) -> usize {
        self.attributes.len()
    }

    /// One `KeyValue` of the list begun last.
    #[inline]
    pub(super) fn attribute(&mut self, message: Reader<'a>) -> Result<(), Fault> {
        self.spend(1, message)?;
        if let Some((key, value)) = text_pair(message) {
            let (key, value) = match short_texts(message.rest(), key, value) {
                Some(texts) => texts,
                None => (self.text(key), self.text(value)),
            };
            self.attributes.push(Attribute {
                key,
                value: Value::Str(value),
            });
            return Ok(());
        }
        let mut attribute = Attribute::default();
        self.key_value(message, 0, &mut attribute)?;
        self.attributes.push(attribute);
        Ok(())
    }

    /// Ends a list of attributes.
    #[inline]
    pub(super) fn attributes_end(&mut self, start: usize) -> &'a [Attribute<'a>] {
        let list = self.attributes.get(start..).unwrap_or_default();
        let list: &'a [Attribute<'a>] = if list.is_empty() {
            &[]
        } else {
            self.arena.alloc_slice_copy(list)
        };
        self.attributes.truncate(start);
        list
    }

    /// Moves the events of the item to the arena.
    #[inline]
    pub(super) fn take_events(&mut self) -> &'a [Event<'a>] {
        if self.events.is_empty() {
            return &[];
        }
        let list = self.arena.alloc_slice_copy(&self.events);
        self.events.clear();
        list
    }

    /// Moves the links of the item to the arena.
    #[inline]
    pub(super) fn take_links(&mut self) -> &'a [Link<'a>] {
        if self.links.is_empty() {
            return &[];
        }
        let list = self.arena.alloc_slice_copy(&self.links);
        self.links.clear();
        list
    }

    /// A `KeyValue`, filled in place: returned by value it is copied through memory, which costs
    /// more than reading it.
    fn key_value(
        &mut self,
        mut message: Reader<'a>,
        depth: usize,
        attribute: &mut Attribute<'a>,
    ) -> Result<(), Fault> {
        while let Some(tag) = message.tag()? {
            match tag.number() {
                1 => attribute.key = self.text(message.bytes(tag)?),
                2 => self.value(message.message(tag)?, depth, &mut attribute.value)?,
                _ => message.skip(tag)?,
            }
        }
        Ok(())
    }

    /// An `AnyValue`. The member sent last counts, as for any `oneof`.
    pub(super) fn value(
        &mut self,
        mut message: Reader<'a>,
        depth: usize,
        value: &mut Value<'a>,
    ) -> Result<(), Fault> {
        *value = Value::Empty;
        while let Some(tag) = message.tag()? {
            *value = match tag.number() {
                1 => Value::Str(self.text(message.bytes(tag)?)),
                2 => Value::Bool(message.varint(tag)? != 0),
                3 => Value::Int(message.varint(tag)? as i64),
                4 => Value::Double(f64::from_bits(message.fixed64(tag)?)),
                5 => Value::Array(self.array(message.message(tag)?, depth)?),
                6 => Value::Kvlist(self.kvlist(message.message(tag)?, depth)?),
                7 => Value::Bytes(message.bytes(tag)?),
                _ => {
                    message.skip(tag)?;
                    continue;
                }
            };
        }
        Ok(())
    }

    #[inline(never)]
    fn array(&mut self, mut message: Reader<'a>, depth: usize) -> Result<&'a [Value<'a>], Fault> {
        let depth = deeper(message, depth)?;
        let start = self.values.len();
        while let Some(tag) = message.tag()? {
            if tag.number() != 1 {
                message.skip(tag)?;
                continue;
            }
            self.spend(1, message)?;
            let mut value = Value::Empty;
            self.value(message.message(tag)?, depth, &mut value)?;
            self.values.push(value);
        }
        let list = self.values.get(start..).unwrap_or_default();
        let list = self.arena.alloc_slice_copy(list);
        self.values.truncate(start);
        Ok(list)
    }

    #[inline(never)]
    fn kvlist(
        &mut self,
        mut message: Reader<'a>,
        depth: usize,
    ) -> Result<&'a [Attribute<'a>], Fault> {
        let depth = deeper(message, depth)?;
        let start = self.attributes_start();
        while let Some(tag) = message.tag()? {
            if tag.number() != 1 {
                message.skip(tag)?;
                continue;
            }
            self.spend(1, message)?;
            let mut attribute = Attribute::default();
            self.key_value(message.message(tag)?, depth, &mut attribute)?;
            self.attributes.push(attribute);
        }
        Ok(self.attributes_end(start))
    }
}

/// The key and the text of a `KeyValue` that is written as nearly all are: the key, then a string.
#[inline(always)]
fn text_pair(mut message: Reader<'_>) -> Option<(&[u8], &[u8])> {
    let key = message.only_bytes(1)?;
    let mut value = Reader::new(message.only_bytes(2)?);
    let text = value.only_bytes(1)?;
    (message.rest().is_empty() && value.rest().is_empty()).then_some((key, text))
}

/// The two texts of a short [`text_pair`], checked in one go: up to 127 bytes everything between
/// the texts is ASCII, so the message is UTF-8 just when both texts are.
#[inline(always)]
fn short_texts<'a>(pair: &'a [u8], key: &[u8], value: &[u8]) -> Option<(&'a str, &'a str)> {
    if pair.len() > 127 {
        return None;
    }
    let pair = std::str::from_utf8(pair).ok()?;
    // A tag and a length before the key; the value is what the message ends with.
    let key = pair.get(2..)?.get(..key.len())?;
    let value = pair.get(pair.len().checked_sub(value.len())?..)?;
    Some((key, value))
}

/// The next level of nesting, if there may be one.
fn deeper(at: Reader<'_>, depth: usize) -> Result<usize, Fault> {
    if depth >= DEPTH_MAX {
        return Err(at.fault(What::TooDeep { max: DEPTH_MAX }));
    }
    Ok(depth + 1)
}

/// An id of `N` bytes; `None` when it is empty or all zero, which is how an absent one is sent.
#[inline]
pub(super) fn id<const N: usize>(
    message: &mut Reader<'_>,
    tag: Tag,
    id: &'static str,
) -> Result<Option<[u8; N]>, Fault> {
    if !tag.is(WireType::Len) {
        return Err(message.fault(What::IdForm { id, want: N }));
    }
    let bytes = message.bytes(tag)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    match <[u8; N]>::try_from(bytes) {
        Ok(array) => Ok((array != [0; N]).then_some(array)),
        Err(_) => Err(Reader::new(bytes).fault(What::IdLength {
            id,
            len: bytes.len(),
            want: N,
        })),
    }
}

/// An id that must be there: neither empty nor all zero.
#[inline]
pub(super) fn required_id<const N: usize>(
    message: &mut Reader<'_>,
    tag: Tag,
    name: &'static str,
) -> Result<[u8; N], Fault> {
    let before = message.rest().len();
    match id(message, tag, name)? {
        Some(id) => Ok(id),
        // An empty one is just its length, one byte of zero (or a zero written long).
        None if before - message.rest().len() < N => Err(message.fault(What::IdLength {
            id: name,
            len: 0,
            want: N,
        })),
        None => Err(message.fault(What::IdZero { id: name })),
    }
}
