//! Does a JSON value satisfy a JSON schema, as far as its commonest keywords tell?
//!
//! Understands `type`, `required`, `properties`, `additionalProperties: false`, `enum`, `const`,
//! `items`, `anyOf`, `oneOf` and `allOf`. Whatever else a schema says (references, formats,
//! lengths, patterns) is taken as satisfied: a violation that is told is a real one. Work is
//! bounded in depth and steps; beyond the bounds nothing is told either.

use serde_json::{Map, Value};

/// Levels of nesting that are looked at.
const DEPTH_MAX: u8 = 24;
/// Pairs of schema and value that are compared.
const STEPS_MAX: u32 = 20_000;
/// Bytes of a schema or a value that are read as JSON.
const JSON_BYTES_MAX: usize = 256 * 1024;

/// Does `value` certainly break `schema`? Both are JSON texts; false when either is not readable.
///
/// Schemas in the wrapper of a chat request (`{"name", "schema": {...}}`, `{"json_schema": ...}`)
/// are unwrapped.
pub(super) fn violates(schema: &str, value: &str) -> bool {
    if schema.len() > JSON_BYTES_MAX || value.len() > JSON_BYTES_MAX {
        return false;
    }
    let (Ok(schema), Ok(value)) = (
        serde_json::from_str::<Value>(schema),
        serde_json::from_str::<Value>(value),
    ) else {
        return false;
    };
    let mut steps = 0;
    !holds(unwrap(&schema), &value, DEPTH_MAX, &mut steps)
}

/// The schema inside of what a request wraps around it.
fn unwrap(schema: &Value) -> &Value {
    const WRAPPERS: [&str; 5] = [
        "json_schema",
        "schema",
        "function",
        "parameters",
        "input_schema",
    ];
    let mut inner = schema;
    for key in WRAPPERS {
        let is_schema = inner.get("properties").is_some() || inner.get("anyOf").is_some();
        match inner.get(key) {
            Some(next) if next.is_object() && !is_schema => inner = next,
            _ => {}
        }
    }
    inner
}

fn holds(schema: &Value, value: &Value, depth: u8, steps: &mut u32) -> bool {
    *steps += 1;
    let Value::Object(schema) = schema else {
        // `false` allows nothing; `true` and what is no schema allow all.
        return schema != &Value::Bool(false);
    };
    if depth == 0 || *steps > STEPS_MAX || schema.contains_key("$ref") {
        return true;
    }
    let nullable = schema.get("nullable") == Some(&Value::Bool(true));
    if nullable && value.is_null() {
        return true;
    }
    let mut all = |list: Option<&Value>| match list.and_then(Value::as_array) {
        Some(list) => list
            .iter()
            .map(|s| holds(s, value, depth - 1, steps))
            .collect(),
        None => Vec::new(),
    };
    let of_all = all(schema.get("allOf"));
    let of_any = all(schema.get("anyOf"));
    let of_one = all(schema.get("oneOf"));
    // Of `oneOf` more than one may seem to hold, as not every keyword is understood.
    let some = |list: &[bool]| list.is_empty() || list.contains(&true);
    !of_all.contains(&false)
        && some(&of_any)
        && some(&of_one)
        && schema.get("type").is_none_or(|t| is_type(t, value))
        && schema.get("const").is_none_or(|c| same(c, value))
        && schema
            .get("enum")
            .and_then(Value::as_array)
            .is_none_or(|e| e.iter().any(|c| same(c, value)))
        && match value {
            Value::Object(object) => object_holds(schema, object, depth, steps),
            Value::Array(list) => match schema.get("items") {
                Some(items) if !items.is_array() => {
                    list.iter().all(|v| holds(items, v, depth - 1, steps))
                }
                _ => true,
            },
            _ => true,
        }
}

fn object_holds(
    schema: &Map<String, Value>,
    object: &Map<String, Value>,
    depth: u8,
    steps: &mut u32,
) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    let missing = required
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .any(|name| !object.contains_key(name));
    if missing {
        return false;
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    let closed = schema.get("additionalProperties") == Some(&Value::Bool(false))
        && !schema.contains_key("patternProperties");
    object
        .iter()
        .all(|(name, value)| match properties.and_then(|p| p.get(name)) {
            Some(property) => holds(property, value, depth - 1, steps),
            None => !closed,
        })
}

/// `type` is a name or a list of names; some providers write them in capitals.
fn is_type(wanted: &Value, value: &Value) -> bool {
    let one = |name: &str| match name.to_ascii_lowercase().as_str() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => {
            value.is_i64()
                || value.is_u64()
                || value
                    .as_f64()
                    .is_some_and(|n| n.fract() == 0.0 && n.is_finite())
        }
        _ => true,
    };
    match wanted {
        Value::String(name) => one(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(one),
        _ => true,
    }
}

/// Equality in JSON's sense: 1 and 1.0 are the same number.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: &str = r#"{"type":"object","properties":{"city":{"type":"string"},"unit":{"enum":["c","f"]}},
        "required":["city"],"additionalProperties":false}"#;

    #[test]
    fn values_against_schemas() {
        for (schema, value, broken) in [
            (PLACE, r#"{"city":"Paris"}"#, false),
            (PLACE, r#"{"city":42}"#, true),
            (PLACE, r#"{"unit":"c"}"#, true),
            (PLACE, r#"{"city":"Paris","unit":"k"}"#, true),
            (PLACE, r#"{"city":"Paris","zip":1}"#, true),
            (PLACE, "[]", true),
            (r#"{"type":["string","null"]}"#, "null", false),
            (r#"{"type":"STRING","nullable":true}"#, "null", false),
            (r#"{"type":"integer"}"#, "2.0", false),
            (r#"{"type":"integer"}"#, "2.5", true),
            (r#"{"const":1}"#, "1.0", false),
            (r#"{"const":"a"}"#, "\"b\"", true),
            (r#"{"items":{"type":"number"}}"#, "[1,2.5]", false),
            (r#"{"items":{"type":"number"}}"#, "[1,\"2\"]", true),
            (
                r#"{"anyOf":[{"type":"string"},{"type":"null"}]}"#,
                "1",
                true,
            ),
            (
                r#"{"oneOf":[{"type":"string"},{"type":"null"}]}"#,
                "\"a\"",
                false,
            ),
            (
                r#"{"allOf":[{"required":["a"]},{"required":["b"]}]}"#,
                r#"{"a":1}"#,
                true,
            ),
        ] {
            assert_eq!(violates(schema, value), broken, "{schema} {value}");
        }
    }

    #[test]
    fn what_is_not_understood_is_no_violation() {
        for (schema, value) in [
            (r##"{"$ref":"#/$defs/a","type":"string"}"##, "1"),
            (r#"{"type":"string","pattern":"^a$"}"#, "\"b\""),
            (r#"{"type":"decimal"}"#, "\"b\""),
            ("not json", "1"),
            (r#"{"type":"string"}"#, "not json"),
            ("", ""),
        ] {
            assert!(!violates(schema, value), "{schema} {value}");
        }
    }

    #[test]
    fn wrappers_of_requests_are_looked_through() {
        let wrapped = format!(
            r#"{{"type":"json_schema","json_schema":{{"name":"place","schema":{PLACE}}}}}"#
        );
        assert!(violates(&wrapped, r#"{"city":1}"#));
        assert!(!violates(&wrapped, r#"{"city":"Paris"}"#));
        // A property may have the name of a wrapper.
        let own = r#"{"type":"object","properties":{"schema":{"type":"string"}}}"#;
        assert!(!violates(own, r#"{"schema":"x"}"#));
    }

    #[test]
    fn depth_is_bounded() {
        let (mut schema, mut value) = (r#"{"type":"string"}"#.to_owned(), "1".to_owned());
        for _ in 0..100 {
            schema = format!(r#"{{"items":{schema}}}"#);
            value = format!("[{value}]");
        }
        assert!(!violates(&schema, &value));
    }
}
