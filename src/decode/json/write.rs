//! Protobuf, written: the little of it that the transcoder needs.
//!
//! The length of a message stands before it and is known after it. [`Writer::close`] moves the
//! message to make room; a message inside many others would be moved once for each of them, so
//! there [`Room::Wide`] reserves a length of fixed size (a varint may have spare bytes).

use super::super::wire::WireType;

/// Bytes of a wide length: 35 bits.
const WIDE_BYTES: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// One byte, more when needed.
    Tight,
    /// Enough for any length.
    Wide,
}

/// A message that was opened and has to be closed.
#[derive(Debug)]
#[must_use]
pub(super) struct Open {
    /// Where its length stands.
    at: usize,
    room: Room,
}

#[derive(Debug, Default)]
pub(super) struct Writer {
    pub(super) out: Vec<u8>,
}

impl Writer {
    fn put_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }

    fn tag(&mut self, number: u32, wire_type: WireType) {
        self.put_varint(u64::from(number) << 3 | wire_type as u64);
    }

    pub(super) fn bytes(&mut self, number: u32, bytes: &[u8]) {
        self.tag(number, WireType::Len);
        self.put_varint(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    pub(super) fn varint(&mut self, number: u32, value: u64) {
        self.tag(number, WireType::Varint);
        self.put_varint(value);
    }

    pub(super) fn fixed64(&mut self, number: u32, value: u64) {
        self.tag(number, WireType::Fixed64);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn fixed32(&mut self, number: u32, value: u32) {
        self.tag(number, WireType::Fixed32);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn open(&mut self, number: u32, room: Room) -> Open {
        self.tag(number, WireType::Len);
        let at = self.out.len();
        let reserved = match room {
            Room::Tight => 1,
            Room::Wide => WIDE_BYTES,
        };
        self.out.resize(at + reserved, 0);
        Open { at, room }
    }

    pub(super) fn close(&mut self, open: Open) {
        let Open { at, room } = open;
        match room {
            Room::Tight => {
                let mut len = self.out.len().saturating_sub(at + 1);
                // The first byte has its place; the others push the message back.
                let mut more = [0u8; 10];
                let mut extra = 0;
                let first = seven_bits(&mut len);
                for byte in &mut more {
                    if len == 0 {
                        break;
                    }
                    *byte = seven_bits(&mut len);
                    extra += 1;
                }
                if let Some(byte) = self.out.get_mut(at) {
                    *byte = first;
                }
                if let Some(more) = more.get(..extra)
                    && extra > 0
                {
                    self.out.splice(at + 1..at + 1, more.iter().copied());
                }
            }
            Room::Wide => {
                let mut len = self.out.len().saturating_sub(at + WIDE_BYTES);
                let Some(place) = self.out.get_mut(at..at + WIDE_BYTES) else {
                    return;
                };
                for byte in place {
                    *byte = len as u8 | 0x80;
                    len >>= 7;
                }
                if let Some(last) = self.out.get_mut(at + WIDE_BYTES - 1) {
                    *last &= 0x7f;
                }
            }
        }
    }
}

/// Takes the low seven bits, as a varint byte that knows whether another follows.
fn seven_bits(len: &mut usize) -> u8 {
    let low = *len as u8 & 0x7f;
    *len >>= 7;
    if *len > 0 { low | 0x80 } else { low }
}
