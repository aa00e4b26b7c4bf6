//! The fields of one span: its attributes looked up, the best value of each field kept.
//!
//! Values inside JSON texts are looked for only when somebody asks and no plain attribute of a
//! better rank answered, so that a span that is no model call costs lookups and nothing more.

use std::cell::OnceCell;

use bumpalo::Bump;

use super::{
    attributes::{AttributeTable, Entry, FIELD_COUNT, Field, FieldSet, Lookup, PathRow, Side},
    json::{Json, looks_like_container},
};
use crate::decode::{Attribute, Value};

/// Labels of the user's that are kept per call.
const LABELS_MAX: usize = 64;
/// Names whose meaning is remembered from span to span.
const RECENT_MAX: usize = 128;

/// What the attributes of a span say, by field. Reused from span to span.
pub struct Fields<'t, 'a> {
    table: &'t AttributeTable,
    arena: &'a Bump,
    ranks: [u8; FIELD_COUNT],
    values: [Value<'a>; FIELD_COUNT],
    documents: Vec<Document<'t, 'a>>,
    /// Fields that a document may hold.
    inside: FieldSet,
    /// The pieces of message lists: list, name after the prefix, value.
    pub indexed: Vec<(Side, &'a str, Value<'a>)>,
    /// The user's labels.
    pub labels: Vec<(&'a str, Value<'a>)>,
    /// For each attribute of the span itself: is it a prompt or an answer?
    pub content_mask: Vec<bool>,
    /// Names of the spans before and what they mean, each at the place its bytes tell: the spans
    /// of a request repeat each other's names, and most are of no field, which takes longest to
    /// find out. Of two names for one place the later stays.
    recent: Vec<Option<(&'a str, Lookup<'t, 'a>)>>,
}

/// A JSON text that fields may be found in, taken apart when first asked.
struct Document<'t, 'a> {
    paths: &'t [PathRow],
    text: &'a str,
    json: OnceCell<Option<Json<'a>>>,
}

/// No value yet.
const UNSET: u8 = u8::MAX;

// === impl Fields ===

impl<'t, 'a> Fields<'t, 'a> {
    pub fn new(table: &'t AttributeTable, arena: &'a Bump) -> Self {
        Fields {
            table,
            arena,
            ranks: [UNSET; FIELD_COUNT],
            values: [Value::Empty; FIELD_COUNT],
            documents: Vec::new(),
            inside: FieldSet::default(),
            indexed: Vec::new(),
            labels: Vec::new(),
            content_mask: Vec::new(),
            recent: Vec::new(),
        }
    }

    /// Forgets the last span.
    pub fn clear(&mut self) {
        self.ranks = [UNSET; FIELD_COUNT];
        self.documents.clear();
        self.inside = FieldSet::default();
        self.indexed.clear();
        self.labels.clear();
        self.content_mask.clear();
    }

    pub fn arena(&self) -> &'a Bump {
        self.arena
    }

    /// Looks every attribute up. Of several names for one field the better ranked wins; of two
    /// values under one name the last. A blank never replaces a value.
    pub fn read(&mut self, attributes: &'a [Attribute<'a>]) {
        for attribute in attributes {
            self.take(
                self.table.lookup(attribute.key),
                attribute.key,
                attribute.value,
            );
        }
    }

    /// The same for the span's own attributes, whose content is remembered by position.
    pub fn read_span(&mut self, attributes: &'a [Attribute<'a>]) {
        self.recent.resize(RECENT_MAX, None);
        for attribute in attributes {
            let lookup = self.look_up(attribute.key);
            let is_content = self.take(lookup, attribute.key, attribute.value);
            self.content_mask.push(is_content);
        }
    }

    /// What a name means, without asking the table for one of the last spans' names.
    #[inline]
    fn look_up(&mut self, key: &'a str) -> Lookup<'t, 'a> {
        // Names begin alike and end apart.
        let end = key
            .as_bytes()
            .last_chunk()
            .map_or(0, |b| u32::from_le_bytes(*b));
        let mixed = (end ^ key.len() as u32).wrapping_mul(0x9e37_79b1);
        let place = mixed as usize >> 16 & (RECENT_MAX - 1);
        match self.recent.get_mut(place) {
            Some(Some((known, lookup))) if *known == key => *lookup,
            place => {
                let lookup = self.table.lookup(key);
                if let Some(place) = place {
                    *place = Some((key, lookup));
                }
                lookup
            }
        }
    }

    /// Takes one attribute in; true if it is a prompt or an answer.
    fn take(&mut self, lookup: Lookup<'t, 'a>, key: &'a str, value: Value<'a>) -> bool {
        match lookup {
            Lookup::Entry(entry) => {
                if let Some((field, rank)) = entry.field {
                    self.offer(field, rank, value);
                }
                if !entry.paths.is_empty() {
                    self.add_document(entry, value);
                }
                if entry
                    .field
                    .is_some_and(|(f, _)| matches!(f, Field::Tenant | Field::Feature))
                    && let Some(label) = self.table.label(key)
                {
                    self.labels.push((label, value));
                }
                if let Some(label) = &entry.label
                    && self.labels.len() < LABELS_MAX
                    && !value.is_blank()
                {
                    self.labels.push((self.arena.alloc_str(label), value));
                }
                entry.is_content
            }
            Lookup::Indexed(side, rest) => {
                self.indexed.push((side, rest, value));
                true
            }
            Lookup::Label(label) => {
                if self.labels.len() < LABELS_MAX && !value.is_blank() {
                    self.labels.push((label, value));
                }
                false
            }
            Lookup::Content => true,
            Lookup::Unknown => false,
        }
    }

    fn offer(&mut self, field: Field, rank: u8, value: Value<'a>) {
        let at = field as usize;
        let (Some(have), Some(slot)) = (self.ranks.get_mut(at), self.values.get_mut(at)) else {
            return;
        };
        let replaces = if value.is_blank() {
            *have == UNSET
        } else {
            rank <= *have || slot.is_blank()
        };
        if replaces {
            // A blank keeps the door open for any later value.
            *have = if value.is_blank() { UNSET - 1 } else { rank };
            *slot = value;
        }
    }

    fn add_document(&mut self, entry: &'t Entry, value: Value<'a>) {
        let text = match value {
            Value::Str(text) => text,
            Value::Kvlist(_) | Value::Array(_) => super::text::value_to_json(value, self.arena),
            _ => return,
        };
        // A value that is a JSON *string* holding JSON is read through.
        let text = match text.trim_start().as_bytes().first() {
            Some(b'"') => Json::new(text, self.arena).map_or("", |json| json.text(self.arena)),
            _ => text,
        };
        if looks_like_container(text) {
            self.inside = self.inside.union(entry.path_fields);
            self.documents.push(Document {
                paths: &entry.paths,
                text,
                json: OnceCell::new(),
            });
        }
    }

    /// Was the field set by a plain attribute, blank or not?
    pub fn has(&self, field: Field) -> bool {
        self.ranks
            .get(field as usize)
            .is_some_and(|rank| *rank != UNSET)
    }

    /// The value of a field; `Empty` when nothing says it.
    #[inline]
    pub fn value(&self, field: Field) -> Value<'a> {
        let plain_rank = self.ranks.get(field as usize).copied().unwrap_or(UNSET);
        if self.inside.contains(field)
            && let Some(value) = self.value_inside(field, plain_rank)
        {
            return value;
        }
        self.plain(field)
    }

    /// The value of a field as a plain attribute gives it.
    #[inline]
    pub fn plain(&self, field: Field) -> Value<'a> {
        match self.ranks.get(field as usize) {
            Some(&rank) if rank != UNSET => {
                self.values.get(field as usize).copied().unwrap_or_default()
            }
            _ => Value::Empty,
        }
    }

    /// The best value inside a JSON text whose rank is better than `rank`.
    fn value_inside(&self, field: Field, rank: u8) -> Option<Value<'a>> {
        let mut best: Option<(u8, Value<'a>)> = None;
        for document in &self.documents {
            for row in document.paths.iter().filter(|row| row.field == field) {
                if row.rank >= best.map_or(rank, |(r, _)| r) {
                    continue;
                }
                let found = document
                    .json(self.arena)
                    .and_then(|json| json.path(&row.path));
                let text = found.map_or("", |value| value.text(self.arena));
                if !text.is_empty() {
                    best = Some((row.rank, Value::Str(text)));
                }
            }
        }
        best.map(|(_, value)| value)
    }

    /// A text taken apart, if it is an object or an array; texts with fields inside only once.
    pub fn json(&self, text: &'a str) -> Option<Json<'a>> {
        let same = |d: &&Document<'_, 'a>| std::ptr::eq(d.text, text);
        match self.documents.iter().find(same) {
            Some(document) => document.json(self.arena),
            None => Json::container(text, self.arena),
        }
    }

    /// The field as text: strings with a JSON quoting taken off, numbers written out, the first
    /// element of a list.
    #[inline]
    pub fn text(&self, field: Field) -> &'a str {
        match self.value(field) {
            // Most fields of most spans.
            Value::Empty => "",
            value => super::text::plain_text(value, self.arena),
        }
    }

    /// The field as a count; negative and fractional numbers are not counts.
    pub fn count(&self, field: Field) -> Option<u64> {
        super::text::count(self.value(field))
    }

    /// The field as a number.
    pub fn number(&self, field: Field) -> Option<f64> {
        super::text::number(self.value(field))
    }

    /// The field as a yes or no.
    pub fn boolean(&self, field: Field) -> Option<bool> {
        super::text::boolean(self.value(field))
    }
}

// === impl Document ===

impl<'a> Document<'_, 'a> {
    fn json(&self, arena: &'a Bump) -> Option<Json<'a>> {
        *self.json.get_or_init(|| Json::container(self.text, arena))
    }
}
