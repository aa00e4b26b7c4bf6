//! The protobuf wire format: tags, varints, lengths.
//!
//! [`Reader`] walks the fields of one message over a borrowed slice: a [`Tag`], then what stands
//! behind it, read as the caller expects it or skipped. It knows nothing of OTLP. Groups, which
//! OTLP never had, can only be skipped.
//!
//! Everything on the way of a good message fits two registers, which is most of the speed.
//!
//! Invariants: every read is checked against the end of its own message, so a length can never
//! reach into a neighbour; no recursion; no panic; every call consumes at least one byte or ends.

#[cfg(test)]
mod tests;

use std::{fmt, num::NonZeroU32};

/// Groups inside groups that are skipped; deeper ones are a fault.
const GROUPS_MAX: usize = 32;

/// The wire types of groups.
const START_GROUP: u32 = 3;
const END_GROUP: u32 = 4;

/// The fields of one message, from the front.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

/// The number of a field and its wire type, as they stand on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag(NonZeroU32);

/// How the bytes behind a tag are laid out, by its number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WireType {
    Varint = 0,
    Fixed64 = 1,
    Len = 2,
    Fixed32 = 5,
}

/// Why a message cannot be read, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault(Box<(What, Address)>);

/// Where a byte is in memory: what [`Fault::offset`] turns into an offset, so that readers need
/// not carry one around.
type Address = usize;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The message ends inside a field.
    Truncated { field: u32 },
    /// A varint of more than 64 bits.
    VarintTooLong,
    /// Field number 0, one above 2^29 - 1, or a wire type that does not exist.
    BadTag,
    /// A group that never ends, ends twice or nests too deeply.
    BadGroup,
    /// A field that this schema knows, in another form than the schema has.
    WireType { field: u32, want: &'static str },
    /// Values inside values, more than `max` of them.
    TooDeep { max: usize },
    /// The request has used up the memory its views may take.
    TooMany { max: usize },
    /// An id that is not as long as its kind.
    IdLength {
        id: &'static str,
        len: usize,
        want: usize,
    },
    /// An id that is not bytes at all; in JSON, not hex.
    IdForm { id: &'static str, want: usize },
    /// An id that must not be zero.
    IdZero { id: &'static str },
}

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Reader { rest: message }
    }

    /// What is not yet read: of a fresh reader, the whole message.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// A fault at the present position.
    #[cold]
    #[inline(never)]
    pub(super) fn fault(&self, what: What) -> Fault {
        Fault(Box::new((what, self.rest.as_ptr() as Address)))
    }

    /// The tag of the next field, or `None` at the end of the message. What stands behind it has
    /// to be read or skipped before the next call.
    #[inline(always)]
    pub(super) fn tag(&mut self) -> Result<Option<Tag>, Fault> {
        // Nearly all tags of OTLP are one byte; none of those is out of range.
        if let [key @ 8..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(NonZeroU32::new(u32::from(*key)).map(Tag));
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.long_tag().map(Some)
    }

    #[inline(never)]
    fn long_tag(&mut self) -> Result<Tag, Fault> {
        let before = *self;
        let key = u32::try_from(self.length(0)?).ok();
        match key.filter(|key| *key >= 8).and_then(NonZeroU32::new) {
            Some(key) => Ok(Tag(key)),
            None => Err(before.fault(What::BadTag)),
        }
    }

    /// A bare varint. One or two bytes hold nearly every tag and length there is.
    #[inline(always)]
    fn length(&mut self, field: u32) -> Result<u64, Fault> {
        match self.rest {
            [low @ ..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(*low))
            }
            [low, high @ ..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(*low & 0x7f) | u64::from(*high) << 7)
            }
            _ => self.long_varint(field),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self, field: u32) -> Result<u64, Fault> {
        let mut value = 0u64;
        let mut rest = self.rest;
        for shift in (0..64).step_by(7) {
            let Some((byte, tail)) = rest.split_first() else {
                return Err(self.fault(What::Truncated { field }));
            };
            rest = tail;
            // The tenth byte has room for one bit.
            if shift == 63 && *byte > 1 {
                break;
            }
            value |= u64::from(*byte & 0x7f) << shift;
            if *byte < 0x80 {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err(self.fault(What::VarintTooLong))
    }

    #[inline(always)]
    fn array<const N: usize>(&mut self, field: u32) -> Result<[u8; N], Fault> {
        let Some((head, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.fault(What::Truncated { field }));
        };
        self.rest = rest;
        Ok(*head)
    }

    #[inline(always)]
    fn slice(&mut self, field: u32) -> Result<&'a [u8], Fault> {
        let len = usize::try_from(self.length(field)?).unwrap_or(usize::MAX);
        let Some((head, rest)) = self.rest.split_at_checked(len) else {
            return Err(self.fault(What::Truncated { field }));
        };
        self.rest = rest;
        Ok(head)
    }

    /// A string, bytes or a message.
    #[inline(always)]
    pub(super) fn bytes(&mut self, tag: Tag) -> Result<&'a [u8], Fault> {
        self.require(tag, WireType::Len, "a length and that many bytes")?;
        self.slice(tag.number())
    }

    /// The bytes of the next field, if it has this number and is whole.
    #[inline(always)]
    pub(super) fn only_bytes(&mut self, number: u32) -> Option<&'a [u8]> {
        let (key, rest) = self.rest.split_first()?;
        if u32::from(*key) != number << 3 | WireType::Len as u32 {
            return None;
        }
        self.rest = rest;
        self.slice(number).ok()
    }

    #[inline(always)]
    pub(super) fn message(&mut self, tag: Tag) -> Result<Reader<'a>, Fault> {
        self.bytes(tag).map(Reader::new)
    }

    #[inline(always)]
    pub(super) fn varint(&mut self, tag: Tag) -> Result<u64, Fault> {
        self.require(tag, WireType::Varint, "a varint")?;
        self.length(tag.number())
    }

    #[inline(always)]
    pub(super) fn fixed64(&mut self, tag: Tag) -> Result<u64, Fault> {
        self.require(tag, WireType::Fixed64, "8 bytes")?;
        self.array(tag.number()).map(u64::from_le_bytes)
    }

    #[inline(always)]
    pub(super) fn fixed32(&mut self, tag: Tag) -> Result<u32, Fault> {
        self.require(tag, WireType::Fixed32, "4 bytes")?;
        self.array(tag.number()).map(u32::from_le_bytes)
    }

    #[inline(always)]
    fn require(&self, tag: Tag, wire: WireType, want: &'static str) -> Result<(), Fault> {
        if tag.is(wire) {
            return Ok(());
        }
        let field = tag.number();
        Err(self.fault(What::WireType { field, want }))
    }

    /// Passes over a field of any wire type.
    #[inline(never)]
    pub(super) fn skip(&mut self, tag: Tag) -> Result<(), Fault> {
        match tag.wire() {
            START_GROUP => self.skip_group(tag),
            END_GROUP => Err(self.fault(What::BadGroup)),
            _ => self.skip_plain(tag),
        }
    }

    fn skip_plain(&mut self, tag: Tag) -> Result<(), Fault> {
        let field = tag.number();
        if tag.is(WireType::Varint) {
            self.length(field).map(drop)
        } else if tag.is(WireType::Fixed64) {
            self.array::<8>(field).map(drop)
        } else if tag.is(WireType::Len) {
            self.slice(field).map(drop)
        } else if tag.is(WireType::Fixed32) {
            self.array::<4>(field).map(drop)
        } else {
            Err(self.fault(What::BadTag))
        }
    }

    #[cold]
    fn skip_group(&mut self, start: Tag) -> Result<(), Fault> {
        let mut open = Vec::with_capacity(GROUPS_MAX);
        open.push(start.number());
        while let Some(inner) = open.last().copied() {
            let Some(tag) = self.tag()? else {
                return Err(self.fault(What::BadGroup));
            };
            match tag.wire() {
                START_GROUP if open.len() < GROUPS_MAX => open.push(tag.number()),
                END_GROUP if tag.number() == inner => drop(open.pop()),
                START_GROUP | END_GROUP => return Err(self.fault(What::BadGroup)),
                _ => self.skip_plain(tag)?,
            }
        }
        Ok(())
    }
}

// === impl Tag ===

impl Tag {
    #[inline(always)]
    pub(super) fn number(self) -> u32 {
        self.0.get() >> 3
    }

    #[inline(always)]
    fn wire(self) -> u32 {
        self.0.get() & 7
    }

    #[inline(always)]
    pub(super) fn is(self, wire: WireType) -> bool {
        self.wire() == wire as u32
    }
}

// === impl Fault ===

impl Fault {
    pub(super) fn what(&self) -> What {
        self.0.0
    }

    /// Where in the body that the faulty message is part of.
    pub(super) fn offset(&self, body: &[u8]) -> usize {
        self.0
            .1
            .saturating_sub(body.as_ptr() as Address)
            .min(body.len())
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Truncated { field: 0 } => write!(f, "the bytes end inside a tag"),
            What::Truncated { field } => {
                write!(f, "field {field} runs past the end of its message")
            }
            What::VarintTooLong => write!(f, "a varint has more than 64 bits"),
            What::BadTag => write!(f, "no protobuf field starts with this byte"),
            What::BadGroup => write!(f, "a protobuf group does not end where it should"),
            What::WireType { field, want } => {
                write!(f, "field {field} is not {want}, as OTLP has it")
            }
            What::TooDeep { max } => write!(f, "values nest more than {max} deep"),
            What::TooMany { max } => write!(
                f,
                "the request has more than {max} attributes and values: send smaller batches"
            ),
            What::IdLength { id, len, want } => {
                write!(f, "{id} is {len} bytes long, want {want}")
            }
            What::IdForm { id, want } => {
                write!(
                    f,
                    "{id} is not {want} bytes (in JSON: {} hex digits)",
                    want * 2
                )
            }
            What::IdZero { id } => write!(f, "{id} is all zero"),
        }
    }
}
