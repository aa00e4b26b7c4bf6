//! The one statement answered by hand: how Go's client opens a connection.
//!
//! It asks for name, version, revision and time zone, decodes the answer at the revision it announced (54460: a block
//! header and one byte per column), and everything after at the revision it was told. The engine writes Native at
//! revision 0 only, so it is told 0.

/// Since these revisions a Native block has a header, and a byte per column about custom serialization.
const REVISION_BLOCK_INFO: u64 = 51_903;
const REVISION_CUSTOM_SERIALIZATION: u64 = 54_454;

/// Whether this is the statement.
pub fn is(query: &str) -> bool {
    let words: String = query.split_whitespace().collect();
    words
        .trim_end_matches(';')
        .eq_ignore_ascii_case("selectdisplayname(),version(),revision(),timezone()")
}

/// The answer as one Native block at `protocol`.
pub fn block(protocol: u64, display_name: &str, version: &str, timezone: &str) -> Vec<u8> {
    let mut out = Vec::new();
    if protocol >= REVISION_BLOCK_INFO {
        // Field 1: no overflow rows. Field 2: bucket number -1. Field 0: end.
        out.extend_from_slice(&[1, 0, 2]);
        out.extend_from_slice(&(-1_i32).to_le_bytes());
        out.push(0);
    }
    out.extend_from_slice(&[4, 1]);
    let mut column = |name: &str, kind: &str, value: &[u8]| {
        string(&mut out, name);
        string(&mut out, kind);
        if protocol >= REVISION_CUSTOM_SERIALIZATION {
            out.push(0);
        }
        out.extend_from_slice(value);
    };
    let text = |value: &str| {
        let mut bytes = Vec::new();
        string(&mut bytes, value);
        bytes
    };
    column("displayName()", "String", &text(display_name));
    column("version()", "String", &text(version));
    column("revision()", "UInt32", &0_u32.to_le_bytes());
    column("timezone()", "String", &text(timezone));
    out
}

fn string(out: &mut Vec<u8>, text: &str) {
    let mut length = text.len();
    while length >= 0x80 {
        out.push(u8::try_from(length & 0x7F).unwrap_or_default() | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap_or_default());
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_is_known_in_any_spacing() {
        assert!(is(
            "SELECT displayName(), version(), revision(), timezone()"
        ));
        assert!(is(
            "select displayName(),version(),\n revision() , timezone();"
        ));
        assert!(!is("SELECT version()"));
    }

    #[test]
    fn old_protocols_get_no_header() {
        assert!(block(0, "n", "v", "UTC").starts_with(&[4, 1, 13]));
        assert!(
            block(54_460, "n", "v", "UTC").starts_with(&[1, 0, 2, 255, 255, 255, 255, 0, 4, 1, 13])
        );
    }
}
