//! Flags of tool calls, on labelled ones (`tests/fixtures/tools.toml`).

use bumpalo::Bump;
use lapwing::{
    call::{Call, Content, Message, Part, PartKind, Role, ToolDefinition},
    decode,
    enrich::{self, Rules},
    normalise::{
        AttributeTable,
        memory::{Memory, MemoryLimits, observe_all},
    },
};

use super::{Tally, judge};
use crate::otlp::{SpanOf, span, traces};

#[derive(serde::Deserialize)]
struct Labelled {
    unknown_tool: Calls,
    invalid_arguments: Calls,
    repeated_side_effect: Runs,
}

#[derive(serde::Deserialize)]
struct Calls {
    offers: Vec<String>,
    hit: Vec<String>,
    miss: Vec<String>,
}

#[derive(serde::Deserialize)]
struct Runs {
    hit: Vec<Vec<String>>,
    miss: Vec<Vec<String>>,
}

/// `name|rest`
fn two(line: &str) -> (&str, &str) {
    line.split_once('|').expect("name|rest")
}

/// The tool flags of an answer with one tool call.
fn flags(offers: &[String], asked: &str) -> Vec<&'static str> {
    let offers = offers.iter().map(|offer| two(offer));
    let offered: Vec<ToolDefinition<'_>> = offers
        .map(|(name, parameters)| ToolDefinition { name, parameters })
        .collect();
    let (name, text) = two(asked);
    let parts = [Part {
        kind: PartKind::ToolCall,
        name,
        text,
        id: "call_1",
    }];
    let messages = [Message {
        role: Role::Assistant,
        parts: &parts,
    }];
    let call = Call {
        tool_definitions: Some(&offered),
        output: Content {
            recorded: true,
            text: "",
            messages: &messages,
        },
        ..Call::default()
    };
    enrich::enrich(Rules::builtin(), &call).profile.tool_flags
}

/// The tool flags of a trace in which each tool is asked for by an answer and then executed,
/// from the request's bytes on.
fn flags_of_trace(runs: &[String]) -> Vec<&'static str> {
    let mut spans: Vec<SpanOf> = vec![
        span("invoke_agent")
            .between_ms(0, 60_000)
            .attr("gen_ai.operation.name", "invoke_agent"),
    ];
    for (n, run) in (0u64..).zip(runs) {
        let (name, arguments) = two(run.trim_start_matches('-'));
        let answer = format!(
            r#"[{{"role":"assistant","parts":[{{"type":"tool_call","id":"call_{n}","name":"{name}","arguments":{arguments}}}],"finish_reason":"tool_call"}}]"#
        );
        let at = 1000 * (n + 1);
        let chat = span("chat gpt-4o")
            .id(10 + 2 * n)
            .under(1)
            .between_ms(at, at + 400)
            .attr("gen_ai.operation.name", "chat")
            .attr("gen_ai.provider.name", "openai")
            .attr("gen_ai.request.model", "gpt-4o")
            .attr("gen_ai.output.messages", answer.as_str());
        spans.push(chat);
        let tool = span(&format!("execute_tool {name}"))
            .id(11 + 2 * n)
            .under(1)
            .between_ms(at + 500, at + 700)
            .attr("gen_ai.operation.name", "execute_tool")
            .attr("gen_ai.tool.name", name)
            .attr("gen_ai.tool.call.id", format!("call_{n}").as_str())
            .attr("gen_ai.tool.call.arguments", arguments);
        spans.push(match run.starts_with('-') {
            true => tool.failed("timed out"),
            false => tool,
        });
    }
    let table = AttributeTable::builtin();
    let arena = Bump::new();
    let body = traces(&spans);
    let request = decode::traces(&body, &arena).expect("traces");
    let observed = observe_all(&table, &request, &arena);
    let mut memory = Memory::new(MemoryLimits::default());
    let changes = memory.spans(&table, &request, &observed, &arena, 0);
    let rows = changes.rows.iter().filter(|row| row.sign > 0);
    rows.flat_map(|row| {
        enrich::enrich(Rules::builtin(), &row.call)
            .profile
            .tool_flags
    })
    .collect()
}

#[test]
fn flags_of_tool_calls_are_right_on_labelled_ones() {
    let labelled: Labelled =
        toml::from_str(include_str!("../fixtures/tools.toml")).expect("fixtures");
    let of_call = |name: &str, calls: &Calls| {
        Tally::of(name, &calls.hit, &calls.miss, |asked| {
            flags(&calls.offers, asked).contains(&name)
        })
    };
    let repeats = |runs: &Vec<String>| flags_of_trace(runs).contains(&"repeated_side_effect");
    let runs = &labelled.repeated_side_effect;
    judge(&[
        of_call("unknown_tool", &labelled.unknown_tool),
        of_call("invalid_arguments", &labelled.invalid_arguments),
        Tally::of("repeated_side_effect", &runs.hit, &runs.miss, repeats),
    ]);
}

/// A chat after a tool was executed: does its row say that the run is not safe to repeat?
#[test]
fn a_call_that_fails_after_a_side_effect_says_so() {
    let run = |tool: &str, tool_failed: bool, call_failed: bool| {
        let chat = |id: u64, at: u64| {
            span("chat gpt-4o")
                .id(id)
                .under(1)
                .between_ms(at, at + 400)
                .attr("gen_ai.operation.name", "chat")
                .attr("gen_ai.provider.name", "openai")
                .attr("gen_ai.request.model", "gpt-4o")
        };
        let executed = span(&format!("execute_tool {tool}"))
            .id(3)
            .under(1)
            .between_ms(1500, 1700)
            .attr("gen_ai.operation.name", "execute_tool")
            .attr("gen_ai.tool.name", tool)
            .attr("gen_ai.tool.call.arguments", "{}");
        let last = chat(4, 2000);
        let spans = [
            span("invoke_agent")
                .between_ms(0, 60_000)
                .attr("gen_ai.operation.name", "invoke_agent"),
            chat(2, 1000).attr("gen_ai.response.finish_reasons", ["tool_calls"]),
            match tool_failed {
                true => executed.failed("refused"),
                false => executed,
            },
            match call_failed {
                true => last
                    .attr("error.type", "500")
                    .failed("Internal server error"),
                false => last.attr("gen_ai.response.finish_reasons", ["stop"]),
            },
        ];
        let table = AttributeTable::builtin();
        let arena = Bump::new();
        // The tool's span arrives last: its row follows.
        let late = [spans[0].clone(), spans[1].clone(), spans[3].clone()];
        let mut memory = Memory::new(MemoryLimits::default());
        let mut last_row = Vec::new();
        let bodies = [traces(&late), traces(&spans[2..3])];
        for body in &bodies {
            let request = decode::traces(body, &arena).expect("traces");
            let observed = observe_all(&table, &request, &arena);
            let changes = memory.spans(&table, &request, &observed, &arena, 0);
            let rows = changes.rows.iter().filter(|row| row.sign > 0);
            for row in rows.filter(|row| row.call.span_id[7] == 4) {
                last_row = enrich::enrich(Rules::builtin(), &row.call)
                    .profile
                    .tool_flags;
            }
        }
        last_row
    };
    assert_eq!(run("send_email", false, true), ["side_effects_done"]);
    assert!(run("get_inbox", false, true).is_empty());
    assert!(run("send_email", true, true).is_empty());
    assert!(run("send_email", false, false).is_empty());
}
