//! `Span`, with its events, links and status.
//!
//! A span needs a trace id and a span id. A parent id that is empty or all zero is no parent; one
//! of another length rejects the span, because its place in the trace is not known. A link may
//! point at nothing (OpenTelemetry allows it when the link has attributes): its ids are zero then.

use super::super::wire::{Fault, Reader, What};
use super::super::{Event, Link, Span, SpanKind, Status, StatusCode};
use super::value::{Decoder, id, required_id};
use super::{Item, Place, units};

impl<'a> Item<'a> for Span<'a> {
    const NOUN: &'static str = "span";
    const NAME_FIELD: u32 = 5;

    fn read(
        decoder: &mut Decoder<'a>,
        mut message: Reader<'a>,
        place: Place,
    ) -> Result<Self, Fault> {
        let whole = message;
        let mut span = Span {
            resource: place.resource,
            scope: place.scope,
            encoded: message.rest(),
            ..Span::default()
        };
        let start = decoder.attributes_start();
        let (mut has_trace, mut has_span) = (false, false);
        while let Some(tag) = message.tag()? {
            match tag.number() {
                1 => {
                    span.trace_id = required_id(&mut message, tag, "trace id")?;
                    has_trace = true;
                }
                2 => {
                    span.span_id = required_id(&mut message, tag, "span id")?;
                    has_span = true;
                }
                3 => span.trace_state = decoder.text(message.bytes(tag)?),
                4 => span.parent_span_id = id(&mut message, tag, "parent span id")?,
                5 => span.name = decoder.text(message.bytes(tag)?),
                6 => span.kind = SpanKind::from_wire(message.varint(tag)?),
                7 => span.start_ns = message.fixed64(tag)?,
                8 => span.end_ns = message.fixed64(tag)?,
                9 => decoder.attribute(message.message(tag)?)?,
                11 => {
                    decoder.spend(units::<Event<'a>>(), message)?;
                    let event = event(decoder, message.message(tag)?)?;
                    decoder.events.push(event);
                }
                13 => {
                    decoder.spend(units::<Link<'a>>(), message)?;
                    let link = link(decoder, message.message(tag)?)?;
                    decoder.links.push(link);
                }
                15 => status(decoder, message.message(tag)?, &mut span.status)?,
                _ => message.skip(tag)?,
            }
        }
        require(whole, has_trace, "trace id", 16)?;
        require(whole, has_span, "span id", 8)?;
        span.attributes = decoder.attributes_end(start);
        span.events = decoder.take_events();
        span.links = decoder.take_links();
        Ok(span)
    }
}

/// Absent on the wire is the same as empty.
fn require(whole: Reader<'_>, there: bool, id: &'static str, want: usize) -> Result<(), Fault> {
    if there {
        return Ok(());
    }
    Err(whole.fault(What::IdLength { id, len: 0, want }))
}

fn event<'a>(decoder: &mut Decoder<'a>, mut message: Reader<'a>) -> Result<Event<'a>, Fault> {
    let mut event = Event::default();
    let start = decoder.attributes_start();
    while let Some(tag) = message.tag()? {
        match tag.number() {
            1 => event.time_ns = message.fixed64(tag)?,
            2 => event.name = decoder.text(message.bytes(tag)?),
            3 => decoder.attribute(message.message(tag)?)?,
            _ => message.skip(tag)?,
        }
    }
    event.attributes = decoder.attributes_end(start);
    Ok(event)
}

fn link<'a>(decoder: &mut Decoder<'a>, mut message: Reader<'a>) -> Result<Link<'a>, Fault> {
    let mut link = Link::default();
    let start = decoder.attributes_start();
    while let Some(tag) = message.tag()? {
        match tag.number() {
            1 => link.trace_id = id(&mut message, tag, "a link's trace id")?.unwrap_or_default(),
            2 => link.span_id = id(&mut message, tag, "a link's span id")?.unwrap_or_default(),
            3 => link.trace_state = decoder.text(message.bytes(tag)?),
            4 => decoder.attribute(message.message(tag)?)?,
            _ => message.skip(tag)?,
        }
    }
    link.attributes = decoder.attributes_end(start);
    Ok(link)
}

fn status<'a>(
    decoder: &mut Decoder<'a>,
    mut message: Reader<'a>,
    status: &mut Status<'a>,
) -> Result<(), Fault> {
    *status = Status::default();
    while let Some(tag) = message.tag()? {
        match tag.number() {
            2 => status.message = decoder.text(message.bytes(tag)?),
            3 => status.code = StatusCode::from_wire(message.varint(tag)?),
            _ => message.skip(tag)?,
        }
    }
    Ok(())
}

// === impl SpanKind, StatusCode ===

impl SpanKind {
    fn from_wire(number: u64) -> Self {
        match number {
            1 => SpanKind::Internal,
            2 => SpanKind::Server,
            3 => SpanKind::Client,
            4 => SpanKind::Producer,
            5 => SpanKind::Consumer,
            _ => SpanKind::Unspecified,
        }
    }
}

impl StatusCode {
    fn from_wire(number: u64) -> Self {
        match number {
            1 => StatusCode::Ok,
            2 => StatusCode::Error,
            _ => StatusCode::Unset,
        }
    }
}
