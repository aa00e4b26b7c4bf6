//! Attribute values as the plain things they mean: text, counts, yes or no, JSON.

use bumpalo::{Bump, collections::String as ArenaString};

use super::json::Json;
use crate::decode::Value;

/// The text a value stands for. JSON quoting around a string (`"\"gpt-4o\""`) is taken off, of a
/// list (also one written as JSON text) the first element counts.
pub fn plain_text<'a>(value: Value<'a>, arena: &'a Bump) -> &'a str {
    match value {
        Value::Str(text) => unwrap_json(trim(text), arena),
        Value::Empty | Value::Bytes(_) | Value::Kvlist(_) => "",
        Value::Bool(true) => "true",
        Value::Bool(false) => "false",
        Value::Int(number) => bumpalo::format!(in arena, "{}", number).into_bump_str(),
        Value::Double(number) => bumpalo::format!(in arena, "{}", number).into_bump_str(),
        Value::Array(values) => values.first().map_or("", |first| plain_text(*first, arena)),
    }
}

/// Like [`str::trim`], for texts that nearly always begin and end with a visible ASCII byte.
#[inline]
fn trim(text: &str) -> &str {
    match text.as_bytes() {
        [b'!'..=b'~', .., b'!'..=b'~'] => text,
        _ => text.trim(),
    }
}

fn unwrap_json<'a>(text: &'a str, arena: &'a Bump) -> &'a str {
    if !text.starts_with(['"', '\'', '[']) {
        return if matches!(text, "null" | "None") {
            ""
        } else {
            text
        };
    }
    match Json::new(text, arena) {
        Some(json) if json.is_array() => json.items().first().map_or("", |v| v.text(arena)),
        Some(json) => json.text(arena),
        None => text,
    }
}

/// Above this a number is no count of anything in a call: a double cannot even hold it exactly.
/// Sums of a few counts stay far from overflow.
const COUNT_MAX: u64 = 1 << 53;

/// A count: an integer, a whole double (Cohere counts so), or either as text.
pub fn count(value: Value<'_>) -> Option<u64> {
    let count = match value {
        Value::Int(number) => u64::try_from(number).ok()?,
        Value::Double(_) | Value::Str(_) => {
            let number = number(value)?;
            (number >= 0.0 && number.fract() == 0.0).then_some(number as u64)?
        }
        _ => return None,
    };
    (count < COUNT_MAX).then_some(count)
}

/// A finite number, also as text.
pub fn number(value: Value<'_>) -> Option<f64> {
    let number = match value {
        Value::Int(number) => number as f64,
        Value::Double(number) => number,
        Value::Str(text) => text.trim().trim_matches('"').parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

/// A yes or no, also as text in JSON's, Python's or a digit's spelling.
pub fn boolean(value: Value<'_>) -> Option<bool> {
    match value {
        Value::Bool(yes) => Some(yes),
        Value::Int(number) => Some(number != 0),
        Value::Str(text) => match text.trim().trim_matches('"') {
            "true" | "True" | "TRUE" | "1" => Some(true),
            "false" | "False" | "FALSE" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// The value as JSON text: strings quoted, bytes as null.
pub fn value_to_json<'a>(value: Value<'a>, arena: &'a Bump) -> &'a str {
    let mut out = ArenaString::new_in(arena);
    write_json(value, &mut out);
    out.into_bump_str()
}

/// Writes a value as JSON. Recursion is bounded by the decoder's nesting limit.
fn write_json(value: Value<'_>, out: &mut ArenaString<'_>) {
    use std::fmt::Write;
    match value {
        Value::Empty | Value::Bytes(_) => out.push_str("null"),
        Value::Str(text) => write_json_string(text, out),
        Value::Bool(yes) => out.push_str(if yes { "true" } else { "false" }),
        Value::Int(number) => _ = write!(out, "{number}"),
        Value::Double(number) if number.is_finite() => _ = write!(out, "{number}"),
        Value::Double(_) => out.push_str("null"),
        Value::Array(values) => {
            out.push('[');
            for (n, value) in values.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                write_json(*value, out);
            }
            out.push(']');
        }
        Value::Kvlist(fields) => {
            out.push('{');
            for (n, field) in fields.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                write_json_string(field.key, out);
                out.push(':');
                write_json(field.value, out);
            }
            out.push('}');
        }
    }
}

/// Writes a string with JSON's quotes and escapes.
pub fn write_json_string(text: &str, out: &mut ArenaString<'_>) {
    use std::fmt::Write;
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest
        .bytes()
        .position(|b| matches!(b, b'"' | b'\\' | 0..0x20))
    {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            other => _ = write!(out, "\\u{other:04x}"),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}
