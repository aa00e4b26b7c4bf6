//! Verbs: does a tool of this name change something outside? (`rules/tools.toml`)
//!
//! A guess by the name alone, and a careful one: what is not known to change something is taken to
//! read.

use std::sync::LazyLock;

use serde::Deserialize;

/// Words that are looked at for a verb: `gmail_send_message`.
const WORDS_MAX: usize = 4;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Verbs {
    changes: Vec<String>,
    reads: Vec<String>,
}

static VERBS: LazyLock<Verbs> = LazyLock::new(|| {
    let text = include_str!("../../../rules/tools.toml");
    // The compiled-in table is read by the test below.
    toml::from_str(text).unwrap_or_else(|e| panic!("rules/tools.toml: {e}"))
});

/// Does a tool of this name change something outside?
pub(super) fn changes_something(name: &str) -> bool {
    // A server's name before the tool's own: `mcp__jira__create_issue`.
    let own = name
        .strip_prefix("mcp__")
        .and_then(|rest| rest.split_once("__"));
    let name = own.map_or(name, |(_, tool)| tool);
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    for c in name.chars() {
        let new_word = !before.is_alphanumeric() || (c.is_uppercase() && before.is_lowercase());
        if c.is_alphanumeric() {
            if new_word || words.is_empty() {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.extend(c.to_lowercase());
            }
        }
        before = c;
    }
    let words = words.get(..words.len().min(WORDS_MAX)).unwrap_or_default();
    // The first verb decides: `get_order` reads, whatever is called like a verb behind it.
    let verb = words.iter().find_map(|word| {
        let reads = VERBS.reads.contains(word);
        (reads || VERBS.changes.contains(word)).then_some(!reads)
    });
    verb.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_that_change_something_are_told_by_their_verb() {
        for name in [
            "send_email",
            "createTicket",
            "refund-payment",
            "gmail_send_message",
            "Write",
            "mcp__jira__create_issue",
            "AddToCart",
        ] {
            assert!(changes_something(name), "{name}");
        }
        for name in [
            "get_weather",
            "getOrder",
            "search_flights",
            "list_orders",
            "calculator",
            "settings",
            "gmail_get_message",
            "mcp__notify__list_rooms",
            "",
        ] {
            assert!(!changes_something(name), "{name}");
        }
    }
}
