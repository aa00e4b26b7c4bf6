//! Attributes into `Map(String, String)` columns.
//!
//! A key that repeats in a list is written once, with its last value: a ClickHouse map may hold a
//! key twice, and then answers with the first one. The attributes of a resource repeat on every
//! span of a request, so their encoded form is written once and copied from then on.

use std::hash::BuildHasher as _;
use std::ops::Range;

use hashbrown::HashMap;

use super::native::{Map, Number, Pairs, Text};
use super::text::put_value;
use crate::decode::{Attribute, Resource, Value};

/// Keys in one list up to which repeats are looked for without building a map.
const SEEN_KEYS_MAX: usize = 128;

/// Turns lists of attributes into rows of maps.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    scratch: Vec<u8>,
}

/// The last resource written, and where its encoded attributes are in the column.
#[derive(Debug, Default)]
pub(super) struct ResourceCache {
    /// The encoded resource: compared as a whole, because the memory of one request may be that
    /// of the next.
    encoded: Vec<u8>,
    keys: Range<usize>,
    values: Range<usize>,
    count: usize,
    service_name: String,
}

/// Which of the keys seen so far may be repeated: 1024 bits that answer "surely not" or "maybe".
struct Seen([u64; 16]);

impl Attributes {
    /// Appends the pairs of one row or element and returns how many; `omit[i]` leaves out
    /// attribute `i`, and a shorter `omit` leaves out nothing beyond its end.
    fn pairs(&mut self, out: &mut Pairs, attributes: &[Attribute<'_>], omit: &[bool]) -> usize {
        let last = last_of_repeated(attributes);
        let mut count = 0;
        for (i, attribute) in attributes.iter().enumerate() {
            let overruled = || {
                let last = last.as_ref()?.get(attribute.key)?;
                Some(*last != i)
            };
            if omit.get(i).copied().unwrap_or(false) || overruled().unwrap_or(false) {
                continue;
            }
            out.keys.push(attribute.key);
            self.value(&mut out.values, &attribute.value);
            count += 1;
        }
        count
    }

    /// Appends one row of a map column.
    pub(super) fn map(&mut self, out: &mut Map, attributes: &[Attribute<'_>], omit: &[bool]) {
        let count = self.pairs(&mut out.items, attributes, omit);
        out.end(count);
    }

    /// Appends a value in its text form.
    pub(super) fn value(&mut self, out: &mut Text, value: &Value<'_>) {
        if let Value::Str(text) = value {
            out.push(text);
        } else {
            self.scratch.clear();
            put_value(&mut self.scratch, value);
            out.push_bytes(&self.scratch);
        }
    }

    /// Appends a resource: its name to `service`, its attributes to `out`.
    pub(super) fn resource(
        &mut self,
        cache: &mut ResourceCache,
        service: &mut Text,
        out: &mut Map,
        resource: &Resource<'_>,
    ) {
        let known = !resource.encoded.is_empty() && cache.encoded == resource.encoded;
        if known {
            out.items.keys.repeat(cache.keys.clone());
            out.items.values.repeat(cache.values.clone());
        } else {
            let (keys, values) = (out.items.keys.position(), out.items.values.position());
            cache.count = self.pairs(&mut out.items, resource.attributes, &[]);
            cache.keys = keys..out.items.keys.position();
            cache.values = values..out.items.values.position();
            cache.encoded.clear();
            cache.encoded.extend_from_slice(resource.encoded);
            cache.service_name.clear();
            cache.service_name.push_str(service_name(resource));
        }
        out.end(cache.count);
        service.push(&cache.service_name);
    }
}

/// The resource's `service.name`, or nothing.
fn service_name<'a>(resource: &Resource<'a>) -> &'a str {
    let last = |a: &&Attribute<'a>| a.key == "service.name";
    let found = resource.attributes.iter().rev().find(last);
    found.and_then(|a| a.value.as_str()).unwrap_or("")
}

/// Where each key was last, if any key repeats; `None` when all keys differ, which is usual.
fn last_of_repeated<'a>(attributes: &[Attribute<'a>]) -> Option<HashMap<&'a str, usize>> {
    let mut seen = Seen([0; 16]);
    let maybe = |(i, attribute): (usize, &Attribute<'a>)| {
        let earlier = attributes.get(..i).unwrap_or_default();
        seen.maybe(attribute.key) && earlier.iter().any(|e| e.key == attribute.key)
    };
    let repeats = attributes.len() > SEEN_KEYS_MAX || attributes.iter().enumerate().any(maybe);
    repeats.then(|| {
        let indexed = attributes.iter().enumerate();
        indexed.map(|(i, attribute)| (attribute.key, i)).collect()
    })
}

impl ResourceCache {
    /// To be called when the columns are cleared.
    pub(super) fn clear(&mut self) {
        self.encoded.clear();
        self.service_name.clear();
        self.count = 0;
    }
}

impl Seen {
    /// Notes a key; true if it may have been noted before.
    #[inline]
    fn maybe(&mut self, key: &str) -> bool {
        let hash = foldhash::fast::FixedState::default().hash_one(key);
        let (word, bit) = ((hash >> 60) as usize, 1u64 << (hash & 63));
        let known = self.0[word] & bit != 0;
        self.0[word] |= bit;
        known
    }
}

/// A `DateTime64(9)` column.
pub(super) type Time = Number<8>;

/// Nanoseconds since the epoch as `DateTime64(9)` holds them: up to the year 2262.
#[inline]
pub(super) fn time(ns: u64) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX)
}
