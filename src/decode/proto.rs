//! OTLP messages in the binary encoding, as views.
//!
//! Traces and logs share one envelope (resource, scope, items), walked here; [`span`] and [`log`]
//! read the items, [`value`] what both are made of.
//!
//! Two kinds of damage: framing that is broken above the items refuses the request ([`Malformed`]),
//! because what follows cannot be told apart; anything wrong inside one item rejects that item.
//! A resource or scope that cannot be read rejects the items below it.
//!
//! Fields may come in any order (a resource after its spans too), so each envelope message is
//! skimmed once before it is read. A singular message field that is sent twice: the last counts.

mod log;
mod metrics;
mod span;
mod value;

#[cfg(test)]
mod tests;

use bumpalo::Bump;

use self::value::Decoder;
use super::wire::{Fault, Reader};
use super::{Attribute, LogRecord, Logs, Malformed, Rejected, Resource, Scope, Span, Traces};

pub(super) use self::metrics::count_metric_points;

/// A span with both of its ids is at least this long: what bounds the memory reserved ahead.
const SPAN_BYTES_MIN: usize = 28;

/// Characters of a rejected span's name that are quoted.
const NAME_CHARS_MAX: usize = 80;

/// The sharing of an item: indexes into the resources and scopes.
#[derive(Debug, Clone, Copy)]
struct Place {
    resource: u32,
    scope: u32,
}

/// What traces and logs have in common, while it is filled.
struct Envelope<'a, T> {
    decoder: Decoder<'a>,
    /// The request, for offsets in reasons.
    body: &'a [u8],
    resources: Vec<Resource<'a>>,
    scopes: Vec<Scope<'a>>,
    items: Vec<T>,
    /// Items met so far, rejected ones too: the number a reason gives.
    seen: u64,
    rejected: Rejected,
}

/// What the envelope has to know of its items.
trait Item<'a>: Sized {
    /// What a reason calls it.
    const NOUN: &'static str;
    /// The field that says which one it is, quoted in reasons.
    const NAME_FIELD: u32;
    /// Its size, in units of an attribute.
    const UNITS: usize = units::<Self>();

    fn read(decoder: &mut Decoder<'a>, message: Reader<'a>, place: Place) -> Result<Self, Fault>;
}

/// A message of the two upper levels, skimmed.
#[derive(Default)]
struct Group<'a> {
    /// Field 1: the resource or the scope.
    owner: Option<Reader<'a>>,
    /// Field 3.
    schema_url: &'a [u8],
    /// How many field 2 there are that may hold an item.
    members: usize,
}

/// Reads an `ExportTraceServiceRequest`.
pub(super) fn traces<'a>(body: &'a [u8], arena: &'a Bump) -> Result<Traces<'a>, Malformed> {
    let envelope = Envelope::<Span<'a>>::read(body, arena)?;
    Ok(Traces {
        resources: envelope.resources,
        scopes: envelope.scopes,
        spans: envelope.items,
        rejected: envelope.rejected,
    })
}

/// Reads an `ExportLogsServiceRequest`.
pub(super) fn logs<'a>(body: &'a [u8], arena: &'a Bump) -> Result<Logs<'a>, Malformed> {
    let envelope = Envelope::<LogRecord<'a>>::read(body, arena)?;
    Ok(Logs {
        resources: envelope.resources,
        scopes: envelope.scopes,
        records: envelope.items,
        rejected: envelope.rejected,
    })
}

// === impl Envelope ===

impl<'a, T: Item<'a>> Envelope<'a, T> {
    fn read(body: &'a [u8], arena: &'a Bump) -> Result<Self, Malformed> {
        let mut envelope = Envelope {
            decoder: Decoder::new(arena),
            body,
            resources: Vec::new(),
            scopes: Vec::new(),
            items: Vec::new(),
            seen: 0,
            rejected: Rejected::default(),
        };
        envelope
            .request(Reader::new(body))
            .map_err(|fault| malformed(&fault, body))?;
        envelope.rejected.strings_repaired = envelope.decoder.strings_repaired;
        Ok(envelope)
    }

    fn request(&mut self, mut request: Reader<'a>) -> Result<(), Fault> {
        while let Some(tag) = request.tag()? {
            match tag.number() {
                1 => self.resource_group(request.message(tag)?)?,
                _ => request.skip(tag)?,
            }
        }
        Ok(())
    }

    /// `ResourceSpans` or `ResourceLogs`.
    fn resource_group(&mut self, mut message: Reader<'a>) -> Result<(), Fault> {
        let group = Group::skim(message)?;
        let resource = self.decoder.resource(group.owner, group.schema_url);
        let index = index(self.resources.len());
        let place = match resource {
            Ok(resource) => {
                self.resources.push(resource);
                Ok(index)
            }
            Err(fault) => {
                self.decoder.abandon(self.decoder.strings_repaired);
                Err(format!("resource: {}", self.told(&fault)))
            }
        };
        while let Some(tag) = message.tag()? {
            match tag.number() {
                2 => self.scope_group(message.message(tag)?, place.as_ref().map(|index| *index))?,
                _ => message.skip(tag)?,
            }
        }
        Ok(())
    }

    /// `ScopeSpans` or `ScopeLogs`. `resource` is its index, or why there is none.
    fn scope_group(
        &mut self,
        mut message: Reader<'a>,
        resource: Result<u32, &String>,
    ) -> Result<(), Fault> {
        let group = Group::skim(message)?;
        let place = match resource {
            Ok(resource) => match self.decoder.scope(group.owner, group.schema_url) {
                Ok(scope) => {
                    let place = Place {
                        resource,
                        scope: index(self.scopes.len()),
                    };
                    self.scopes.push(scope);
                    Ok(place)
                }
                Err(fault) => {
                    self.decoder.abandon(self.decoder.strings_repaired);
                    Err(format!("scope: {}", self.told(&fault)))
                }
            },
            Err(reason) => Err(reason.clone()),
        };
        if place.is_ok() {
            let affordable = self.decoder.units_left / T::UNITS;
            self.items.reserve(group.members.min(affordable));
        }
        while let Some(tag) = message.tag()? {
            if tag.number() != 2 {
                message.skip(tag)?;
                continue;
            }
            let item = message.message(tag)?;
            match &place {
                Ok(place) => self.item(item, *place),
                Err(reason) => self.reject(item, reason),
            }
            self.seen = self.seen.saturating_add(1);
        }
        Ok(())
    }

    #[inline]
    fn item(&mut self, message: Reader<'a>, place: Place) {
        let repaired = self.decoder.strings_repaired;
        let item = match self.decoder.spend(T::UNITS, message) {
            Ok(()) => T::read(&mut self.decoder, message, place),
            Err(fault) => Err(fault),
        };
        match item {
            Ok(item) => self.items.push(item),
            Err(fault) => {
                // Only what is kept counts as repaired.
                self.decoder.abandon(repaired);
                let reason = self.told(&fault);
                self.reject(message, &reason);
            }
        }
    }

    #[cold]
    fn reject(&mut self, message: Reader<'a>, reason: &str) {
        self.rejected.count = self.rejected.count.saturating_add(1);
        if self.rejected.first_reason.is_none() {
            let name = quoted_name(message, T::NAME_FIELD);
            self.rejected.first_reason = Some(format!("{} {}{name}: {reason}", T::NOUN, self.seen));
        }
    }

    #[cold]
    fn told(&self, fault: &Fault) -> String {
        format!("{} (byte {})", fault.what(), fault.offset(self.body))
    }
}

// === impl Group ===

impl<'a> Group<'a> {
    fn skim(mut message: Reader<'a>) -> Result<Self, Fault> {
        let mut group = Group::default();
        while let Some(tag) = message.tag()? {
            match tag.number() {
                1 => group.owner = Some(message.message(tag)?),
                2 => group.members += usize::from(message.bytes(tag)?.len() >= SPAN_BYTES_MIN),
                3 => group.schema_url = message.bytes(tag)?,
                _ => message.skip(tag)?,
            }
        }
        Ok(group)
    }
}

fn malformed(fault: &Fault, body: &[u8]) -> Malformed {
    Malformed {
        what: fault.what().to_string(),
        offset: fault.offset(body),
    }
}

/// The size of a view, in units of an attribute.
const fn units<T>() -> usize {
    size_of::<T>().div_ceil(size_of::<Attribute<'_>>())
}

/// A body holds far fewer messages than 2^32: each takes bytes, and bodies are limited.
fn index(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// The name of an item that could not be read, as far as it can be found.
#[cold]
fn quoted_name(mut message: Reader<'_>, name_field: u32) -> String {
    while let Ok(Some(tag)) = message.tag() {
        if tag.number() != name_field {
            match message.skip(tag) {
                Ok(()) => continue,
                Err(_) => break,
            }
        }
        let Ok(bytes) = message.bytes(tag) else { break };
        // Four bytes a character at most: no need to look at more of a long name.
        let head = bytes.get(..4 * NAME_CHARS_MAX).unwrap_or(bytes);
        let name: String = String::from_utf8_lossy(head)
            .chars()
            .take(NAME_CHARS_MAX)
            .collect();
        return format!(" `{name}`");
    }
    String::new()
}
