//! Output formats: which can be sent in chunks, what is repeated in every chunk, and their media types.
//!
//! The engine gives a `SELECT` in chunks that are each a complete document of the format. Only where documents can be
//! joined end to end, or share a header that can be cut off, is a result streamed; all else is materialised.

/// How chunks of a format are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Chunks follow each other.
    Plain,
    /// A binary header of names and types, then rows.
    BinaryHeader,
    /// Header lines, then rows; in CSV a quoted name may hold an end of line.
    Lines { count: usize, quoted: bool },
    /// Not joinable.
    Whole,
}

/// The shape of a format by its name. Format names are case-sensitive in older engines, not in this one.
pub fn shape(format: &str) -> Shape {
    let name = format.to_ascii_lowercase();
    match name.as_str() {
        "native"
        | "rowbinary"
        | "tabseparated"
        | "tsv"
        | "tabseparatedraw"
        | "tsvraw"
        | "raw"
        | "tskv"
        | "csv"
        | "jsoneachrow"
        | "jsonlines"
        | "ndjson"
        | "jsonstringseachrow"
        | "jsoncompacteachrow"
        | "jsoncompactstringseachrow"
        | "lineasstring" => Shape::Plain,
        "rowbinarywithnamesandtypes" => Shape::BinaryHeader,
        "tabseparatedwithnames"
        | "tsvwithnames"
        | "tabseparatedrawwithnames"
        | "tsvrawwithnames"
        | "jsoncompacteachrowwithnames"
        | "jsoncompactstringseachrowwithnames" => Shape::Lines {
            count: 1,
            quoted: false,
        },
        "tabseparatedwithnamesandtypes"
        | "tsvwithnamesandtypes"
        | "tabseparatedrawwithnamesandtypes"
        | "tsvrawwithnamesandtypes"
        | "jsoncompacteachrowwithnamesandtypes"
        | "jsoncompactstringseachrowwithnamesandtypes" => Shape::Lines {
            count: 2,
            quoted: false,
        },
        "csvwithnames" => Shape::Lines {
            count: 1,
            quoted: true,
        },
        "csvwithnamesandtypes" => Shape::Lines {
            count: 2,
            quoted: true,
        },
        _ => Shape::Whole,
    }
}

/// The media type ClickHouse gives the format.
pub fn content_type(format: &str) -> &'static str {
    let name = format.to_ascii_lowercase();
    match name.as_str() {
        "jsoneachrow" | "jsonlines" | "ndjson" | "jsonstringseachrow" => {
            "application/x-ndjson; charset=UTF-8"
        }
        _ if name.starts_with("json") => "application/json; charset=UTF-8",
        _ if name.starts_with("csv") => "text/csv; charset=UTF-8; header=absent",
        _ if name.starts_with("tabseparated") || name.starts_with("tsv") => {
            "text/tab-separated-values; charset=UTF-8"
        }
        "xml" => "application/xml; charset=UTF-8",
        "native" | "parquet" | "orc" | "arrow" | "arrowstream" | "avro" | "msgpack" => {
            "application/octet-stream"
        }
        _ if name.starts_with("rowbinary") => "application/octet-stream",
        _ => "text/plain; charset=UTF-8",
    }
}

/// Joins chunks to one document.
pub struct Joiner {
    shape: Shape,
    header: Option<Vec<u8>>,
}

impl Joiner {
    pub fn new(shape: Shape) -> Self {
        Self {
            shape,
            header: None,
        }
    }

    /// The part of the next chunk that belongs into the document. `None` when a later chunk does not begin with the
    /// header of the first, in which case nothing sensible can be sent.
    pub fn join<'a>(&mut self, chunk: &'a [u8]) -> Option<&'a [u8]> {
        if let Some(header) = &self.header {
            return chunk.strip_prefix(header.as_slice());
        }
        let length = match self.shape {
            Shape::Plain | Shape::Whole => 0,
            Shape::BinaryHeader => binary_header(chunk)?,
            Shape::Lines { count, quoted } => lines_header(chunk, count, quoted)?,
        };
        self.header = Some(chunk.get(..length)?.to_vec());
        Some(chunk)
    }
}

/// Length of `RowBinaryWithNamesAndTypes`' header: a count, then as many names and as many types.
fn binary_header(chunk: &[u8]) -> Option<usize> {
    let mut at = 0_usize;
    let columns = varuint(chunk, &mut at)?;
    for _ in 0..columns.checked_mul(2)? {
        let length = varuint(chunk, &mut at)?;
        at = at.checked_add(usize::try_from(length).ok()?)?;
        if at > chunk.len() {
            return None;
        }
    }
    Some(at)
}

fn varuint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..63).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at = at.checked_add(1)?;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn lines_header(chunk: &[u8], count: usize, quoted: bool) -> Option<usize> {
    let mut inside = false;
    let mut lines = 0_usize;
    for (at, byte) in chunk.iter().enumerate() {
        match byte {
            b'"' if quoted => inside = !inside,
            b'\n' if !inside => lines = lines.saturating_add(1),
            _ => {}
        }
        if lines == count {
            return at.checked_add(1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(format: &str, chunks: &[&[u8]]) -> Option<Vec<u8>> {
        let mut joiner = Joiner::new(shape(format));
        let mut out = Vec::new();
        for chunk in chunks {
            out.extend_from_slice(joiner.join(chunk)?);
        }
        Some(out)
    }

    #[test]
    fn repeated_headers_are_cut() {
        let header = b"\x01\x01n\x06UInt64";
        let (one, two) = (
            [header.as_slice(), b"row1"].concat(),
            [header.as_slice(), b"row2"].concat(),
        );
        assert_eq!(
            joined("RowBinaryWithNamesAndTypes", &[&one, &two]).unwrap(),
            [&one[..], b"row2"].concat()
        );
        assert_eq!(
            joined("CSVWithNames", &[b"\"a\nb\"\n1\n", b"\"a\nb\"\n2\n"]).unwrap(),
            b"\"a\nb\"\n1\n2\n"
        );
        assert_eq!(
            joined("TSVWithNamesAndTypes", &[b"a\nInt8\n1\n", b"a\nInt8\n"]).unwrap(),
            b"a\nInt8\n1\n"
        );
        assert_eq!(
            joined("JSONEachRow", &[b"{}\n", b"{}\n"]).unwrap(),
            b"{}\n{}\n"
        );
    }

    #[test]
    fn a_chunk_with_another_header_or_half_a_header_is_not_joined() {
        assert_eq!(joined("TSVWithNames", &[b"a\n1\n", b"b\n1\n"]), None);
        assert_eq!(joined("RowBinaryWithNamesAndTypes", &[b"\x01\x09n"]), None);
        assert_eq!(
            joined(
                "RowBinaryWithNamesAndTypes",
                &[b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"]
            ),
            None
        );
    }

    #[test]
    fn formats_with_a_frame_are_whole() {
        for format in [
            "JSON",
            "JSONCompact",
            "Parquet",
            "ArrowStream",
            "Pretty",
            "Vertical",
            "Values",
            "XML",
            "nonsense",
        ] {
            assert_eq!(shape(format), Shape::Whole, "{format}");
        }
    }
}
