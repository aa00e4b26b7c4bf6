//! Tool calls: each one of an answer with what came of it, and which layer failed.
//!
//! The layers in the order they can fail: the model selects a tool, writes its arguments, the
//! program executes it. The answer itself keeps its class: that a tool failed after it is no fault
//! of the answer.

mod verbs;

use self::verbs::changes_something;
use super::outcome;
use crate::call::{Call, Part, PartKind, Role, ToolCall, ToolLayer, ToolOutcome, ToolRun};

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

/// Tools that changed something outside before a call and would do so again if its run were
/// started anew, each once: by the spans of the trace, and by the results that the call was given
/// since the user last spoke. A failed call alone may be sent again; its run may not.
pub(super) fn done_before<'a>(call: &Call<'a>) -> Vec<&'a str> {
    let messages = call.input.messages;
    let spoke = |m: &&crate::call::Message<'_>| {
        m.role == Role::User && m.parts.iter().any(|p| p.kind == PartKind::Text)
    };
    let turn = messages
        .iter()
        .rposition(|m| spoke(&m))
        .map_or(0, |n| n + 1);
    let parts = || {
        messages
            .get(turn..)
            .unwrap_or_default()
            .iter()
            .flat_map(|m| m.parts)
    };
    let results = || parts().filter(|p| p.kind == PartKind::ToolResult);
    // A result has the id of its call, or its name.
    let has_result = |asked: &&Part<'a>| {
        results().any(|r| {
            let same_id = !asked.id.is_empty() && r.id == asked.id;
            same_id || r.id.is_empty() && r.name == asked.name
        })
    };
    let given = parts()
        .filter(|p| p.kind == PartKind::ToolCall)
        .filter(has_result);
    let names = call.tools_done.iter().copied().chain(given.map(|p| p.name));
    let mut done: Vec<&'a str> = Vec::new();
    for name in names.filter(|name| changes_something(name)) {
        if !done.contains(&name) {
            done.push(name);
        }
    }
    done
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
}
