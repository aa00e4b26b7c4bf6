//! A reader of compressed frames and Native blocks, written from the format alone.

use crate::block::{Block, Compression};

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Null,
    Int(i128),
    Text(String),
    List(Vec<Cell>),
    Map(Vec<(String, String)>),
}

struct Reader<'a>(&'a [u8]);

/// All Native blocks in `block`, each a list of columns with their names.
pub fn read(block: &Block) -> Vec<Vec<(String, Vec<Cell>)>> {
    let plain = match block.compression {
        Compression::None => block.bytes.to_vec(),
        Compression::Lz4 => unframe(&block.bytes),
    };
    assert_eq!(plain.len(), block.uncompressed_bytes);
    let mut reader = Reader(&plain);
    let mut blocks = Vec::new();
    while !reader.0.is_empty() {
        let (columns, rows) = (reader.varint(), reader.varint());
        assert_eq!(rows, block.rows as usize);
        let column = |_| {
            let (name, type_name) = (reader.text(), reader.text());
            let cells = reader.cells(&type_name, rows);
            (name, cells)
        };
        blocks.push((0..columns).map(column).collect());
    }
    blocks
}

fn unframe(mut bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    while !bytes.is_empty() {
        let (sum, rest) = bytes.split_at(16);
        let size = u32::from_le_bytes(rest[1..5].try_into().expect("4 bytes")) as usize;
        let original = u32::from_le_bytes(rest[5..9].try_into().expect("4 bytes")) as usize;
        assert!(original <= crate::block::FRAME_BYTES_MAX);
        let hash = cityhash_rs::cityhash_102_128(&rest[..size]);
        let (high, low) = ((hash >> 64) as u64, hash as u64);
        assert_eq!(sum, [high.to_le_bytes(), low.to_le_bytes()].concat());
        assert_eq!(rest[0], 0x82);
        let data = lz4_flex::block::decompress(&rest[9..size], original).expect("lz4");
        assert_eq!(data.len(), original);
        plain.extend(data);
        bytes = &rest[size..];
    }
    plain
}

impl Reader<'_> {
    fn take(&mut self, n: usize) -> &[u8] {
        let (head, rest) = self.0.split_at(n);
        self.0 = rest;
        head
    }

    fn varint(&mut self) -> usize {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = self.take(1)[0];
            value |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }

    fn text(&mut self) -> String {
        let n = self.varint();
        String::from_utf8(self.take(n).to_vec()).expect("UTF-8")
    }

    fn int(&mut self, n: usize, signed: bool) -> Cell {
        let mut wide = [0; 16];
        wide[..n].copy_from_slice(self.take(n));
        let value = u128::from_le_bytes(wide) as i128;
        let bits = 128 - 8 * n as u32;
        Cell::Int(if signed { value << bits >> bits } else { value })
    }

    fn ends(&mut self, rows: usize) -> Vec<usize> {
        let end = |_| u64::from_le_bytes(self.take(8).try_into().expect("8 bytes")) as usize;
        (0..rows).map(end).collect()
    }

    fn cells(&mut self, type_name: &str, rows: usize) -> Vec<Cell> {
        if let Some(inner) = within(type_name, "Nullable(") {
            let nulls = self.take(rows).to_vec();
            let values = self.cells(inner, rows).into_iter();
            let cell = |(value, null)| if null == 1 { Cell::Null } else { value };
            return values.zip(nulls).map(cell).collect();
        }
        if let Some(inner) = within(type_name, "Array(") {
            let ends = self.ends(rows);
            let items = self.cells(inner, ends.last().copied().unwrap_or(0));
            return split(&items, &ends)
                .map(|part| Cell::List(part.to_vec()))
                .collect();
        }
        if type_name == "Map(String, String)" {
            let ends = self.ends(rows);
            let count = ends.last().copied().unwrap_or(0);
            let keys: Vec<String> = (0..count).map(|_| self.text()).collect();
            let values: Vec<String> = (0..count).map(|_| self.text()).collect();
            let pairs: Vec<_> = keys.into_iter().zip(values).collect();
            return split(&pairs, &ends)
                .map(|part| Cell::Map(part.to_vec()))
                .collect();
        }
        let cell = |_| match type_name {
            "String" => Cell::Text(self.text()),
            "DateTime64(9)" | "Decimal(18, 12)" => self.int(8, true),
            "UInt64" | "Float64" => self.int(8, false),
            "UInt32" => self.int(4, false),
            "UInt16" => self.int(2, false),
            "UInt8" | "Bool" => self.int(1, false),
            "Int8" => self.int(1, true),
            other => panic!("type {other}"),
        };
        (0..rows).map(cell).collect()
    }
}

fn within<'a>(type_name: &'a str, outer: &str) -> Option<&'a str> {
    type_name.strip_prefix(outer)?.strip_suffix(')')
}

/// The parts of `items` that end at each of `ends`.
fn split<'a, T>(items: &'a [T], ends: &'a [usize]) -> impl Iterator<Item = &'a [T]> {
    let starts = [0].into_iter().chain(ends.iter().copied());
    starts.zip(ends).map(|(start, end)| &items[start..*end])
}
