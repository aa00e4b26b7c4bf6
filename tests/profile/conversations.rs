//! Flags of whole conversations, on labelled ones (`tests/fixtures/conversations.toml`).

use std::collections::BTreeMap;

use lapwing::{
    call::{Call, Content, Message, Part, PartKind, Role},
    enrich::{self, Rules},
};

use super::{Tally, judge};

#[derive(serde::Deserialize)]
struct Labelled {
    hit: Vec<Vec<String>>,
    miss: Vec<Vec<String>>,
}

/// A message from its line, such as `user|hello` or `call|id|name|arguments`.
fn message(line: &str) -> (Role, Part<'_>) {
    let mut fields = line.splitn(4, '|');
    let mut field = || fields.next().unwrap_or_default();
    let (kind, role) = match field() {
        "call" => (PartKind::ToolCall, Role::Assistant),
        "result" => (PartKind::ToolResult, Role::Tool),
        "system" => (PartKind::Text, Role::System),
        "user" => (PartKind::Text, Role::User),
        "assistant" => (PartKind::Text, Role::Assistant),
        other => panic!("{other} in {line}"),
    };
    let mut part = Part {
        kind,
        ..Part::default()
    };
    match kind {
        PartKind::ToolCall => {
            part.id = field();
            part.name = field();
            part.text = field();
        }
        PartKind::ToolResult => {
            part.id = field();
            part.text = field();
        }
        _ => part.text = line.split_once('|').map_or("", |(_, text)| text),
    }
    (role, part)
}

/// The input flags of a conversation.
fn flags(lines: &[String]) -> Vec<&'static str> {
    let read: Vec<(Role, [Part<'_>; 1])> = lines
        .iter()
        .map(|line| message(line))
        .map(|(role, part)| (role, [part]))
        .collect();
    let messages: Vec<Message<'_>> = read
        .iter()
        .map(|(role, parts)| Message { role: *role, parts })
        .collect();
    let call = Call {
        input: Content {
            recorded: true,
            text: "",
            messages: &messages,
        },
        ..Call::default()
    };
    enrich::enrich(Rules::builtin(), &call).profile.input_flags
}

#[test]
fn flags_of_conversations_are_right_on_labelled_ones() {
    let labelled: BTreeMap<String, Labelled> =
        toml::from_str(include_str!("../fixtures/conversations.toml")).expect("fixtures");
    let tally = |(name, cases): (&String, &Labelled)| {
        Tally::of(name, &cases.hit, &cases.miss, |lines| {
            flags(lines).contains(&name.as_str())
        })
    };
    let tallies: Vec<Tally> = labelled.iter().map(tally).collect();
    judge(&tallies);
}
