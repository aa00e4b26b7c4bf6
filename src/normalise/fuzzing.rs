//! Doors to the readers of recorded texts for the fuzz targets and `tests/fuzz.rs`. Not for anything
//! else.

use super::{json::Json, messages};
use crate::call::Role;
use bumpalo::Bump;

/// Reads a text as messages and as tool definitions, and looks at all of it.
pub fn messages(text: &str) {
    let arena = Bump::new();
    for role in [Role::User, Role::Assistant] {
        for message in messages::read(text, role, &arena) {
            for part in message.parts {
                assert!(part.text.len() <= text.len().saturating_mul(8) + 64);
            }
        }
    }
    let _ = messages::read_tools(text, &arena);
}

/// Reads a text as JSON or as a Python repr and walks the tree.
pub fn values(text: &str) {
    let arena = Bump::new();
    if let Some(json) = Json::new(text, &arena) {
        walk(json, text, &arena);
    }
    let _ = Json::container(text, &arena);
}

fn walk<'a>(json: Json<'a>, whole: &str, arena: &'a Bump) {
    assert!(json.raw().len() <= whole.len());
    let _ = (
        json.string(arena),
        json.text(arena),
        json.boolean(),
        json.word(),
    );
    for (_, value) in json.entries() {
        walk(*value, whole, arena);
    }
    for value in json.items() {
        walk(*value, whole, arena);
    }
}
