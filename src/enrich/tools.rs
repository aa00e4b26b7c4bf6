//! Tool calls: each one of an answer with what came of it, and which layer failed.
//!
//! The layers in the order they can fail: the model selects a tool, writes its arguments, the
//! program executes it. The answer itself keeps its class: that a tool failed after it is no fault
//! of the answer.

use super::outcome;
use crate::call::{Call, Part, PartKind, ToolCall, ToolLayer, ToolOutcome, ToolRun};

/// Verbs of tools that change something outside: executing one twice is not the same as once.
const SIDE_EFFECTS: &[&str] = &[
    "add", "approve", "assign", "book", "cancel", "charge", "close", "commit", "create", "delete",
    "deploy", "drop", "email", "execute", "insert", "invite", "issue", "merge", "notify", "order",
    "pay", "place", "post", "publish", "purchase", "push", "put", "refund", "remove", "reply",
    "reserve", "restart", "save", "schedule", "send", "set", "submit", "transfer", "trigger",
    "update", "upload", "upsert", "withdraw", "write",
];
/// Words that are looked at for a verb: `gmail_send_message`.
const WORDS_MAX: usize = 3;

/// The tool calls of an answer, or of an execution that no answer asked for.
pub fn tool_calls<'a>(call: &Call<'a>) -> Vec<ToolCall<'a>> {
    let parts = call.output.messages.iter().flat_map(|m| m.parts);
    let asked: Vec<&Part<'a>> = parts.filter(|p| p.kind == PartKind::ToolCall).collect();
    if asked.is_empty() {
        let runs = call.tool_runs.iter();
        return runs.map(|run| executed(run, run.name, 1)).collect();
    }
    let mut rows = Vec::with_capacity(asked.len());
    for (index, part) in (0u16..).zip(asked) {
        let failed_layer = outcome::tool_fault(call, part).map(|(layer, _)| layer);
        let before = rows.len();
        let runs = call.tool_runs.iter().filter(|run| run.index == index);
        for (attempt, run) in (1u16..).zip(runs) {
            let row = executed(run, part.name, attempt);
            let failed_layer = row.failed_layer.and(failed_layer).or(row.failed_layer);
            rows.push(ToolCall {
                index,
                id: part.id,
                failed_layer,
                arguments: part.text,
                ..row
            });
        }
        if rows.len() == before {
            rows.push(ToolCall {
                index,
                attempt: 1,
                name: part.name,
                id: part.id,
                arguments: part.text,
                result: "",
                outcome: match failed_layer {
                    Some(_) => ToolOutcome::Failed,
                    None => ToolOutcome::Requested,
                },
                failed_layer,
                run: None,
                side_effect: changes_something(part.name),
            });
        }
    }
    rows
}

/// What the flags of a call say about its tools.
pub(super) fn flags(call: &Call<'_>) -> Vec<&'static str> {
    let mut flags = Vec::new();
    let mut flag = |name: &'static str| {
        if !flags.contains(&name) {
            flags.push(name);
        }
    };
    for tool in tool_calls(call) {
        match tool.failed_layer {
            Some(ToolLayer::Selection) => flag("unknown_tool"),
            Some(ToolLayer::Arguments) => flag("invalid_arguments"),
            Some(ToolLayer::Execution) => flag("execution_failed"),
            Some(ToolLayer::HandOff) => flag("result_not_handed_over"),
            None => {}
        }
        if tool.side_effect && tool.run.is_some_and(|run| run.repeats) {
            flag("repeated_side_effect");
        }
    }
    flags
}

fn executed<'a>(run: &ToolRun<'a>, name: &'a str, attempt: u16) -> ToolCall<'a> {
    ToolCall {
        index: run.index,
        attempt,
        name: if name.is_empty() { run.name } else { name },
        id: run.id,
        arguments: run.arguments,
        result: run.result,
        outcome: match run.is_error {
            true => ToolOutcome::Failed,
            false => ToolOutcome::Ok,
        },
        failed_layer: run.is_error.then_some(ToolLayer::Execution),
        run: Some(*run),
        side_effect: changes_something(name),
    }
}

/// Does a tool of this name change something outside?
fn changes_something(name: &str) -> bool {
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
    let is_verb = |word: &String| SIDE_EFFECTS.contains(&word.as_str());
    // `get_order` reads; what is asked for may be called like a verb.
    let reads = [
        "get", "list", "search", "find", "read", "fetch", "lookup", "query", "check",
    ];
    let first = words.first().map_or("", String::as_str);
    !reads.contains(&first) && words.iter().take(WORDS_MAX).any(is_verb)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Content, Message, Role, ToolDefinition};

    fn answer<'a>(messages: &'a [Message<'a>]) -> Call<'a> {
        Call {
            output: Content {
                recorded: true,
                messages,
                ..Content::default()
            },
            ..Call::default()
        }
    }

    fn asked(name: &'static str, arguments: &'static str) -> Part<'static> {
        Part {
            kind: PartKind::ToolCall,
            name,
            text: arguments,
            id: "call_1",
        }
    }

    #[test]
    fn the_layer_that_failed_is_told() {
        let run = ToolRun {
            name: "send_mail",
            is_error: true,
            ..ToolRun::default()
        };
        let offered = [ToolDefinition {
            name: "send_mail",
            parameters: "",
        }];
        for (part, runs, outcome, layer) in [
            (
                asked("send_mail", "{}"),
                &[][..],
                ToolOutcome::Requested,
                None,
            ),
            (
                asked("send_mail", "{}"),
                &[run][..],
                ToolOutcome::Failed,
                Some(ToolLayer::Execution),
            ),
            (
                asked("send_mail", "{oops"),
                &[][..],
                ToolOutcome::Failed,
                Some(ToolLayer::Arguments),
            ),
            (
                asked("fly", "{}"),
                &[][..],
                ToolOutcome::Failed,
                Some(ToolLayer::Selection),
            ),
            // The execution failed because of what the model wrote.
            (
                asked("fly", "{}"),
                &[run][..],
                ToolOutcome::Failed,
                Some(ToolLayer::Selection),
            ),
        ] {
            let parts = [part];
            let messages = [Message {
                role: Role::Assistant,
                parts: &parts,
            }];
            let mut call = answer(&messages);
            call.tool_definitions = Some(&offered);
            call.tool_runs = runs;
            let rows = tool_calls(&call);
            assert_eq!(rows.len(), 1);
            assert_eq!((rows[0].outcome, rows[0].failed_layer), (outcome, layer));
        }
    }

    #[test]
    fn tools_that_change_something_are_told_by_their_verb() {
        for name in [
            "send_email",
            "createTicket",
            "refund-payment",
            "gmail_send_message",
            "Write",
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
            "",
        ] {
            assert!(!changes_something(name), "{name}");
        }
    }
}
