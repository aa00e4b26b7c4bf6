//! ClickHouse's `Native` format (revision 0): columns that are appended to and written out.
//!
//! Each kind of column is one or a few byte buffers that already hold the wire form, so that
//! writing a block is copying (or compressing) them one after the other. `LowCardinality` columns
//! are sent as plain strings: the server converts them on insert.
//!
//! Not here: which columns a table has (the siblings), and frames ([`super::frame`]).
//!
//! Invariants: a column's buffers always hold whole rows; `clear` keeps the capacity (up to a
//! limit), because the builders live as long as the worker that fills them.

use super::frame::Sink;

/// Bytes that a buffer keeps for the next block, however small this one was.
const KEEP_BYTES_MAX: usize = 64 << 10;

/// A column of a block, whatever its kind.
pub(super) trait Column {
    /// Appends the data of all rows to `out`, without name and type.
    fn write(&self, out: &mut Sink<'_>);
    /// Bytes held.
    fn bytes(&self) -> usize;
    /// Forgets all rows.
    fn clear(&mut self);
}

/// Forgets the rows and keeps the room that blocks like this one need: growing again from small for
/// every block would touch fresh memory all the time. Room of one large block is given back by the
/// small ones after it.
fn empty(buffer: &mut Vec<u8>) {
    let used = buffer.len();
    buffer.clear();
    if buffer.capacity() > KEEP_BYTES_MAX && buffer.capacity() / 4 > used {
        buffer.shrink_to(KEEP_BYTES_MAX.max(used.saturating_mul(2)));
    }
}

/// `String`: a varint length and the bytes, for each row.
#[derive(Debug, Default)]
pub(super) struct Text(Vec<u8>);

/// Numbers of `N` bytes, little-endian: `UInt64`, `DateTime64`, `Float64`, `Bool`, `Decimal(18, s)`.
#[derive(Debug, Default)]
pub(super) struct Number<const N: usize>(Vec<u8>);

/// `Nullable` numbers: one byte each that says "is null", then all the values.
#[derive(Debug, Default)]
pub(super) struct Maybe<const N: usize> {
    nulls: Vec<u8>,
    values: Number<N>,
}

/// `Array(T)`: where each row ends, counted in elements, then all elements of all rows.
#[derive(Debug, Default)]
pub(super) struct List<C> {
    ends: Number<8>,
    count: u64,
    pub(super) items: C,
}

/// A `Map(String, String)` is an array of pairs, which are two columns.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    pub(super) keys: Text,
    pub(super) values: Text,
}

/// `Map(String, String)`.
pub(super) type Map = List<Pairs>;

/// Appends `value` as an unsigned LEB128.
#[inline]
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes the lower-case hexadecimal form of an id, `M` = 2 * `N` characters.
#[inline]
pub(super) fn hex<const N: usize, const M: usize>(id: &[u8; N]) -> [u8; M] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    const { assert!(M == 2 * N) }
    let mut text = [0; M];
    for (pair, byte) in text.chunks_exact_mut(2).zip(id) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

/// Declares the columns of a table once: their order, names and types, and where they are held.
macro_rules! table {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty = $column:literal $type_name:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(super) struct $name { $(pub(super) $field: $kind,)+ }

        impl $name {
            /// Name and type of each column, in the order sent.
            pub(super) const COLUMNS: &'static [(&'static str, &'static str)] =
                &[$(($column, $type_name)),+];
        }

        impl super::native::Columns for $name {
            fn names(&self) -> &'static [(&'static str, &'static str)] {
                Self::COLUMNS
            }
            fn visit(&self, see: &mut dyn FnMut(&dyn super::native::Column)) {
                $(see(&self.$field);)+
            }
            fn clear(&mut self) {
                $(super::native::Column::clear(&mut self.$field);)+
            }
        }
    };
}
pub(super) use table;

/// All the columns of one table.
pub(super) trait Columns {
    /// Name and type of each column, in the order of [`Columns::visit`].
    fn names(&self) -> &'static [(&'static str, &'static str)];
    /// Shows each column.
    fn visit(&self, see: &mut dyn FnMut(&dyn Column));
    /// Forgets all rows.
    fn clear(&mut self);

    /// Bytes held by all columns.
    fn bytes(&self) -> usize {
        let mut sum = 0;
        self.visit(&mut |column| sum += column.bytes());
        sum
    }

    /// Writes the block: number of columns and rows, then name, type and data of each column.
    fn write(&self, rows: usize, out: &mut Sink<'_>) {
        let mut header = Vec::with_capacity(64);
        put_varint(&mut header, self.names().len() as u64);
        put_varint(&mut header, rows as u64);
        let mut names = self.names().iter();
        self.visit(&mut |column| {
            if let Some((name, type_name)) = names.next() {
                for text in [name, type_name] {
                    put_varint(&mut header, text.len() as u64);
                    header.extend_from_slice(text.as_bytes());
                }
            }
            out.put(&header);
            header.clear();
            column.write(out);
        });
    }
}

// === impl Text ===

impl Text {
    /// Appends one row.
    #[inline]
    pub(super) fn push(&mut self, text: &str) {
        self.push_bytes(text.as_bytes());
    }

    /// Appends one row that is known to be UTF-8.
    #[inline]
    pub(super) fn push_bytes(&mut self, text: &[u8]) {
        // Most columns of most calls are empty.
        if text.is_empty() {
            self.0.push(0);
            return;
        }
        // The largest length is 10 bytes; reserving once makes the pushes free of growth.
        self.0.reserve(text.len() + 10);
        put_varint(&mut self.0, text.len() as u64);
        self.0.extend_from_slice(text);
    }

    /// Appends an id as hexadecimal, or an empty string.
    #[inline]
    pub(super) fn push_hex<const N: usize, const M: usize>(&mut self, id: Option<&[u8; N]>) {
        match id {
            Some(id) => self.push_bytes(&hex::<N, M>(id)),
            None => self.0.push(0),
        }
    }

    /// Where the next row begins: for [`Text::repeat`].
    pub(super) fn position(&self) -> usize {
        self.0.len()
    }

    /// Appends rows again that were written between two positions.
    pub(super) fn repeat(&mut self, range: std::ops::Range<usize>) {
        if range.start <= range.end && range.end <= self.0.len() {
            self.0.extend_from_within(range);
        }
    }
}

impl Column for Text {
    fn write(&self, out: &mut Sink<'_>) {
        out.put(&self.0);
    }

    fn bytes(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        empty(&mut self.0);
    }
}

// === impl Number ===

impl<const N: usize> Number<N> {
    #[inline]
    fn put(&mut self, bytes: [u8; N]) {
        self.0.extend_from_slice(&bytes);
    }
}

impl Number<8> {
    #[inline]
    pub(super) fn push(&mut self, value: u64) {
        self.put(value.to_le_bytes());
    }

    #[inline]
    pub(super) fn push_i64(&mut self, value: i64) {
        self.put(value.to_le_bytes());
    }

    #[inline]
    pub(super) fn push_f64(&mut self, value: f64) {
        self.put(value.to_le_bytes());
    }
}

impl Number<4> {
    #[inline]
    pub(super) fn push(&mut self, value: u32) {
        self.put(value.to_le_bytes());
    }
}

impl Number<2> {
    #[inline]
    pub(super) fn push(&mut self, value: u16) {
        self.put(value.to_le_bytes());
    }
}

impl Number<1> {
    #[inline]
    pub(super) fn push(&mut self, value: u8) {
        self.put([value]);
    }

    #[inline]
    pub(super) fn push_i8(&mut self, value: i8) {
        self.put(value.to_le_bytes());
    }
}

impl<const N: usize> Column for Number<N> {
    fn write(&self, out: &mut Sink<'_>) {
        out.put(&self.0);
    }

    fn bytes(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        empty(&mut self.0);
    }
}

// === impl Maybe ===

impl<const N: usize> Maybe<N> {
    #[inline]
    fn put(&mut self, value: Option<[u8; N]>) {
        self.nulls.push(u8::from(value.is_none()));
        self.values.put(value.unwrap_or([0; N]));
    }
}

impl Maybe<8> {
    #[inline]
    pub(super) fn push(&mut self, value: Option<u64>) {
        self.put(value.map(u64::to_le_bytes));
    }

    #[inline]
    pub(super) fn push_i64(&mut self, value: Option<i64>) {
        self.put(value.map(i64::to_le_bytes));
    }
}

impl Maybe<2> {
    #[inline]
    pub(super) fn push(&mut self, value: Option<u16>) {
        self.put(value.map(u16::to_le_bytes));
    }
}

impl Maybe<1> {
    #[inline]
    pub(super) fn push_bool(&mut self, value: Option<bool>) {
        self.put(value.map(|b| [u8::from(b)]));
    }
}

impl<const N: usize> Column for Maybe<N> {
    fn write(&self, out: &mut Sink<'_>) {
        out.put(&self.nulls);
        self.values.write(out);
    }

    fn bytes(&self) -> usize {
        self.nulls.len() + self.values.bytes()
    }

    fn clear(&mut self) {
        empty(&mut self.nulls);
        self.values.clear();
    }
}

// === impl List ===

impl<C> List<C> {
    /// Ends the row, after `count` elements were pushed to `items`.
    #[inline]
    pub(super) fn end(&mut self, count: usize) {
        self.count += count as u64;
        self.ends.push(self.count);
    }
}

impl List<Text> {
    /// Appends one row.
    pub(super) fn push<S: AsRef<str>>(&mut self, items: &[S]) {
        for item in items {
            self.items.push(item.as_ref());
        }
        self.end(items.len());
    }
}

impl<C: Column> Column for List<C> {
    fn write(&self, out: &mut Sink<'_>) {
        self.ends.write(out);
        self.items.write(out);
    }

    fn bytes(&self) -> usize {
        self.ends.bytes() + self.items.bytes()
    }

    fn clear(&mut self) {
        self.ends.clear();
        self.count = 0;
        self.items.clear();
    }
}

// === impl Pairs ===

impl Column for Pairs {
    fn write(&self, out: &mut Sink<'_>) {
        self.keys.write(out);
        self.values.write(out);
    }

    fn bytes(&self) -> usize {
        self.keys.bytes() + self.values.bytes()
    }

    fn clear(&mut self) {
        self.keys.clear();
        self.values.clear();
    }
}
