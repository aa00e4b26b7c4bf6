//! Any JSON by template: a JSON document whose texts name parts of the payload.
//!
//! `"{{ data.impact }}"` alone becomes the value itself, object or number; within other text it
//! becomes text. `{{ text }}` is the whole alert in plain words. Since the template is parsed
//! before anything is put in, no text from outside can change its structure.

use serde_json::{Map, Value};

use super::{Told, story::story};

/// A template that names what is not there, or is no JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

/// What a template may name beside `text`; a part of any of them as well.
const ROOTS: [&str; 3] = ["type", "timestamp", "data"];
const DATA: [&str; 18] = [
    "id",
    "fingerprint",
    "kind",
    "severity",
    "status",
    "title",
    "starts_at",
    "detected_at",
    "ends_at",
    "labels",
    "verdict",
    "observed",
    "evidence",
    "blast_radius",
    "not_affected",
    "changes",
    "impact",
    "links",
];
const TEXT: &str = "text";

pub(super) fn body(template: &Value, told: &Told<'_>) -> Value {
    let mut values = serde_json::to_value(&told.payload).unwrap_or_default();
    if let Some(values) = values.as_object_mut() {
        values.insert(TEXT.to_owned(), Value::String(story(told).plain()));
    }
    filled(template, &values)
}

/// Reads a template and says what is wrong with it.
pub fn check(text: &str) -> Result<Value, TemplateError> {
    let template: Value =
        serde_json::from_str(text).map_err(|e| TemplateError(format!("is no JSON: {e}")))?;
    check_value(&template)?;
    Ok(template)
}

fn check_value(value: &Value) -> Result<(), TemplateError> {
    match value {
        Value::String(text) => pieces(text).try_for_each(|piece| match piece {
            Piece::Name(path) => check_path(path),
            Piece::Text(_) => Ok(()),
        }),
        Value::Array(items) => items.iter().try_for_each(check_value),
        Value::Object(map) => map.values().try_for_each(check_value),
        _ => Ok(()),
    }
}

fn check_path(path: &str) -> Result<(), TemplateError> {
    let mut steps = path.split('.');
    let root = steps.next().unwrap_or_default();
    let known = match (root, steps.next()) {
        (TEXT, rest) => rest.is_none(),
        ("data", Some(field)) => DATA.contains(&field),
        (root, _) => ROOTS.contains(&root),
    };
    match known {
        true => Ok(()),
        false => Err(TemplateError(format!(
            "names {path:?}: there are text, type, timestamp and data with {}",
            DATA.join(", ")
        ))),
    }
}

fn filled(template: &Value, values: &Value) -> Value {
    match template {
        Value::String(text) => filled_text(text, values),
        Value::Array(items) => items.iter().map(|item| filled(item, values)).collect(),
        Value::Object(map) => {
            let pairs = map
                .iter()
                .map(|(name, value)| (name.clone(), filled(value, values)));
            Value::Object(pairs.collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

fn filled_text(text: &str, values: &Value) -> Value {
    let all: Vec<Piece<'_>> = pieces(text).collect();
    if let [Piece::Name(path)] = all.as_slice() {
        return at(values, path).cloned().unwrap_or(Value::Null);
    }
    let words = all.iter().map(|piece| match piece {
        Piece::Text(text) => (*text).to_owned(),
        Piece::Name(path) => match at(values, path) {
            Some(Value::String(text)) => text.clone(),
            None | Some(Value::Null) => String::new(),
            Some(other) => other.to_string(),
        },
    });
    Value::String(words.collect())
}

fn at<'v>(values: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(values, |value, step| match value {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        value => value.get(step),
    })
}

enum Piece<'t> {
    Text(&'t str),
    Name(&'t str),
}

/// Text and names in turn.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some(after) = rest.strip_prefix("{{")
            && let Some((name, after)) = after.split_once("}}")
        {
            rest = after;
            return Some(Piece::Name(name.trim()));
        }
        let skip = rest.chars().next().map_or(0, char::len_utf8);
        let end = rest
            .get(skip..)
            .and_then(|r| r.find("{{"))
            .map_or(rest.len(), |at| at + skip);
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(Piece::Text(piece))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_are_filled_and_cannot_break_out() {
        let values =
            json!({"data": {"title": "a \"b\" {{ data.id }}", "impact": {"calls": 3}, "id": "7"}});
        let template = json!({"t": "alert: {{ data.title }}!", "n": "{{data.impact.calls}}", "o": ["{{ data.impact }}"], "open": "{{ x"});
        let want = json!({"t": "alert: a \"b\" {{ data.id }}!", "n": 3, "o": [{"calls": 3}], "open": "{{ x"});
        assert_eq!(filled(&template, &values), want);
    }

    #[test]
    fn a_wrong_name_is_found_before_the_night() {
        assert!(check(r#"{"a": "{{ data.title }} {{ text }} {{ type }}"}"#).is_ok());
        let error = check(r#"{"a": ["{{ data.titel }}"]}"#)
            .unwrap_err()
            .to_string();
        assert!(error.contains("data.titel"), "{error}");
        assert!(check("{").is_err());
    }
}
