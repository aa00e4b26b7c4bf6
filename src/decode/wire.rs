//! The protobuf wire format: tags, varints, lengths.
//!
//! [`Reader`] walks the fields of one message over a borrowed slice. It knows nothing of OTLP.
//! Unknown fields are the caller's to ignore; groups, which OTLP never had, are skipped here.
//!
//! Invariants: every read is checked against the end of its own message, so a length can never
//! reach into a neighbour; no recursion; no panic; every call consumes at least one byte or ends.

use std::fmt;

/// Groups inside groups that are skipped; deeper ones are a fault.
const GROUPS_MAX: usize = 32;

/// The fields of one message, from the front.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    /// Bytes of the request body behind `rest`: what turns a position into a body offset.
    after: usize,
}

/// One field: its number and what stands behind the tag.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) number: u32,
    wire: Wire<'a>,
    /// Bytes of the body that were left when the tag was met.
    left: usize,
}

/// How the bytes behind a tag are laid out, by its number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WireType {
    Varint = 0,
    Fixed64 = 1,
    Len = 2,
    Fixed32 = 5,
}

#[derive(Debug, Clone, Copy)]
enum Wire<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Len(Reader<'a>),
    Fixed32([u8; 4]),
}

/// Why a message cannot be read, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) what: What,
    /// Bytes of the body that were left at the fault; see [`Fault::offset`].
    left: usize,
}

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
    pub(super) fn new(body: &'a [u8]) -> Self {
        Reader {
            rest: body,
            after: 0,
        }
    }

    /// The bytes not yet read: of a fresh reader, the whole message.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.rest
    }

    /// A fault at the present position.
    #[cold]
    pub(super) fn fault(&self, what: What) -> Fault {
        Fault {
            what,
            left: self.rest.len().saturating_add(self.after),
        }
    }

    /// The next field, or `None` at the end of the message.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Field<'a>>, Fault> {
        loop {
            if self.rest.is_empty() {
                return Ok(None);
            }
            let left = self.rest.len().saturating_add(self.after);
            let (number, wire_type) = self.tag()?;
            let wire = match wire_type {
                0 => Wire::Varint(self.varint(number)?),
                1 => Wire::Fixed64(self.array(number)?),
                2 => Wire::Len(self.message(number)?),
                3 => {
                    self.skip_group(number)?;
                    continue;
                }
                5 => Wire::Fixed32(self.array(number)?),
                4 => return Err(self.fault(What::BadGroup)),
                _ => return Err(self.fault(What::BadTag)),
            };
            return Ok(Some(Field { number, wire, left }));
        }
    }

    #[inline]
    fn tag(&mut self) -> Result<(u32, u8), Fault> {
        let key = self.varint(0)?;
        let (Ok(number), wire_type) = (u32::try_from(key >> 3), (key & 7) as u8) else {
            return Err(self.fault(What::BadTag));
        };
        if number == 0 || number >= 1 << 29 {
            return Err(self.fault(What::BadTag));
        }
        Ok((number, wire_type))
    }

    /// One or two bytes hold nearly every tag and length there is.
    #[inline]
    fn varint(&mut self, field: u32) -> Result<u64, Fault> {
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

    #[inline]
    fn array<const N: usize>(&mut self, field: u32) -> Result<[u8; N], Fault> {
        let Some((head, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.fault(What::Truncated { field }));
        };
        self.rest = rest;
        Ok(*head)
    }

    #[inline]
    fn message(&mut self, field: u32) -> Result<Reader<'a>, Fault> {
        let before = *self;
        let len = self.varint(field)?;
        let parts = usize::try_from(len)
            .ok()
            .and_then(|len| self.rest.split_at_checked(len));
        let Some((head, rest)) = parts else {
            return Err(before.fault(What::Truncated { field }));
        };
        self.rest = rest;
        Ok(Reader {
            rest: head,
            after: rest.len().saturating_add(self.after),
        })
    }

    #[cold]
    fn skip_group(&mut self, number: u32) -> Result<(), Fault> {
        let mut open = Vec::with_capacity(GROUPS_MAX);
        open.push(number);
        while let Some(inner) = open.last().copied() {
            let (number, wire_type) = self.tag()?;
            match wire_type {
                0 => drop(self.varint(number)?),
                1 => drop(self.array::<8>(number)?),
                2 => drop(self.message(number)?),
                3 if open.len() < GROUPS_MAX => open.push(number),
                4 if number == inner => drop(open.pop()),
                5 => drop(self.array::<4>(number)?),
                3 | 4 => return Err(self.fault(What::BadGroup)),
                _ => return Err(self.fault(What::BadTag)),
            }
        }
        Ok(())
    }
}

// === impl Field ===

impl<'a> Field<'a> {
    #[inline]
    pub(super) fn message(&self) -> Result<Reader<'a>, Fault> {
        match self.wire {
            Wire::Len(reader) => Ok(reader),
            _ => Err(self.wire_type("a length and that many bytes")),
        }
    }

    #[inline]
    pub(super) fn bytes(&self) -> Result<&'a [u8], Fault> {
        self.message().map(|reader| reader.rest)
    }

    #[inline]
    pub(super) fn varint(&self) -> Result<u64, Fault> {
        match self.wire {
            Wire::Varint(value) => Ok(value),
            _ => Err(self.wire_type("a varint")),
        }
    }

    #[inline]
    pub(super) fn fixed64(&self) -> Result<u64, Fault> {
        match self.wire {
            Wire::Fixed64(bytes) => Ok(u64::from_le_bytes(bytes)),
            _ => Err(self.wire_type("8 bytes")),
        }
    }

    #[inline]
    pub(super) fn fixed32(&self) -> Result<u32, Fault> {
        match self.wire {
            Wire::Fixed32(bytes) => Ok(u32::from_le_bytes(bytes)),
            _ => Err(self.wire_type("4 bytes")),
        }
    }

    /// A fault at this field's tag.
    #[cold]
    pub(super) fn fault(&self, what: What) -> Fault {
        Fault {
            what,
            left: self.left,
        }
    }

    #[cold]
    fn wire_type(&self, want: &'static str) -> Fault {
        self.fault(What::WireType {
            field: self.number,
            want,
        })
    }
}

// === impl Fault ===

impl Fault {
    /// Where in a body of `body_len` bytes.
    pub(super) fn offset(&self, body_len: usize) -> usize {
        body_len.saturating_sub(self.left)
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
