//! `LogRecord`.
//!
//! A record may belong to no trace: an id that is empty or all zero is `None`. One of another
//! length rejects the record, because it says that it belongs somewhere and not where.

use super::super::LogRecord;
use super::super::wire::{Fault, Reader};
use super::value::{Decoder, id};
use super::{Item, Place};

/// Where the name of an event was before it had a field of its own.
const EVENT_NAME: &str = "event.name";

impl<'a> Item<'a> for LogRecord<'a> {
    const NOUN: &'static str = "log record";
    const NAME_FIELD: u32 = 12;

    fn read(
        decoder: &mut Decoder<'a>,
        mut message: Reader<'a>,
        place: Place,
    ) -> Result<Self, Fault> {
        let mut record = LogRecord {
            resource: place.resource,
            scope: place.scope,
            encoded: message.rest(),
            ..LogRecord::default()
        };
        let start = decoder.attributes_start();
        while let Some(tag) = message.tag()? {
            match tag.number() {
                1 => record.time_ns = message.fixed64(tag)?,
                // An enum is an int32; a negative one fills all 64 bits.
                2 => record.severity_number = message.varint(tag)? as i32,
                3 => record.severity_text = decoder.text(message.bytes(tag)?),
                5 => decoder.value(message.message(tag)?, 0, &mut record.body)?,
                6 => decoder.attribute(message.message(tag)?)?,
                8 => record.flags = message.fixed32(tag)?,
                9 => record.trace_id = id(&mut message, tag, "trace id")?,
                10 => record.span_id = id(&mut message, tag, "span id")?,
                11 => record.observed_time_ns = message.fixed64(tag)?,
                12 => record.event_name = decoder.text(message.bytes(tag)?),
                _ => message.skip(tag)?,
            }
        }
        record.attributes = decoder.attributes_end(start);
        if record.event_name.is_empty() {
            record.event_name = record
                .attributes
                .iter()
                .rev()
                .find(|attribute| attribute.key == EVENT_NAME)
                .and_then(|attribute| attribute.value.as_str())
                .unwrap_or_default();
        }
        Ok(record)
    }
}
