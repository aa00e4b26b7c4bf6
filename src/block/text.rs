//! Attribute values as text, the way the OpenTelemetry ClickHouse exporter stores them.
//!
//! Strings are stored as they are, numbers and booleans in their shortest form, lists and maps as
//! JSON, bytes as base64. Differences from Go's `AsString`: keys keep the order in which they were
//! sent, `<`, `>` and `&` are not escaped, and what JSON cannot say (`NaN`) is a string there.

use std::io::Write as _;

use base64::Engine as _;

use crate::decode::Value;

/// Appends the decimal form of `value`.
pub(super) fn put_int(out: &mut Vec<u8>, value: i64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends the shortest form of `value` that reads back the same; an exponent only for what is
/// below 1e-6 or from 1e21 on, like JavaScript and Go's JSON.
pub(super) fn put_double(out: &mut Vec<u8>, value: f64) {
    let magnitude = value.abs();
    // Writing into a Vec cannot fail.
    let _ = if value.is_nan() {
        out.write_all(b"NaN")
    } else if value.is_infinite() {
        out.write_all(if value > 0.0 { b"+Inf" } else { b"-Inf" })
    } else if magnitude >= 1e21 {
        let text = format!("{value:e}");
        out.write_all(text.replace('e', "e+").as_bytes())
    } else if magnitude != 0.0 && magnitude < 1e-6 {
        write!(out, "{value:e}")
    } else {
        write!(out, "{value}")
    };
}

/// Appends any value but a string in its text form.
pub(super) fn put_value(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Empty => {}
        Value::Str(text) => out.extend_from_slice(text.as_bytes()),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int(int) => put_int(out, *int),
        Value::Double(double) => put_double(out, *double),
        Value::Bytes(bytes) => put_base64(out, bytes),
        Value::Array(_) | Value::Kvlist(_) => put_json(out, value),
    }
}

/// Appends a value as JSON. The depth is bounded by the decoder
/// ([`DEPTH_MAX`](crate::decode::DEPTH_MAX)).
fn put_json(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Empty => out.extend_from_slice(b"null"),
        Value::Str(text) => put_json_string(out, text),
        Value::Double(double) if !double.is_finite() => {
            out.push(b'"');
            put_double(out, *double);
            out.push(b'"');
        }
        Value::Bytes(bytes) => {
            out.push(b'"');
            put_base64(out, bytes);
            out.push(b'"');
        }
        Value::Bool(_) | Value::Int(_) | Value::Double(_) => put_value(out, value),
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                put_json(out, item);
            }
            out.push(b']');
        }
        Value::Kvlist(pairs) => {
            out.push(b'{');
            for (i, pair) in pairs.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                put_json_string(out, pair.key);
                out.push(b':');
                put_json(out, &pair.value);
            }
            out.push(b'}');
        }
    }
}

fn put_json_string(out: &mut Vec<u8>, text: &str) {
    // Serialising a string into a Vec cannot fail.
    let _ = serde_json::to_writer(out, text);
}

fn put_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Attribute;

    fn text(value: Value<'_>) -> String {
        let mut out = Vec::new();
        put_value(&mut out, &value);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn numbers_are_written_like_the_go_exporter_does() {
        assert_eq!(text(Value::Int(0)), "0");
        assert_eq!(text(Value::Int(i64::MIN)), "-9223372036854775808");
        assert_eq!(text(Value::Int(i64::MAX)), "9223372036854775807");
        assert_eq!(text(Value::Double(0.7)), "0.7");
        assert_eq!(text(Value::Double(1.0)), "1");
        assert_eq!(text(Value::Double(1e20)), "100000000000000000000");
        assert_eq!(text(Value::Double(1e21)), "1e+21");
        assert_eq!(text(Value::Double(1.5e-7)), "1.5e-7");
        assert_eq!(text(Value::Double(f64::NAN)), "NaN");
        assert_eq!(text(Value::Bool(true)), "true");
    }

    #[test]
    fn lists_and_maps_become_json_and_bytes_base64() {
        let inner = [Value::Int(1), Value::Str("a\"b\n"), Value::Empty];
        let pairs = [
            Attribute {
                key: "list",
                value: Value::Array(&inner),
            },
            Attribute {
                key: "raw",
                value: Value::Bytes(&[1, 2, 255]),
            },
            Attribute {
                key: "inf",
                value: Value::Double(f64::INFINITY),
            },
        ];
        assert_eq!(
            text(Value::Kvlist(&pairs)),
            r#"{"list":[1,"a\"b\n",null],"raw":"AQL/","inf":"+Inf"}"#
        );
        assert_eq!(text(Value::Bytes(&[1, 2, 255])), "AQL/");
        assert_eq!(text(Value::Empty), "");
    }
}
