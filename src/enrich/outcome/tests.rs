//! Scenarios of calls that answered and failed all the same, and of their neighbours that did not.

use super::*;
use crate::call::{Content, Message, ToolRun, Usage};
use crate::enrich::{Rules, enrich};

fn text(text: &str) -> Part<'_> {
    of_kind(PartKind::Text, text)
}

fn of_kind(kind: PartKind, text: &str) -> Part<'_> {
    Part {
        kind,
        text,
        ..Part::default()
    }
}

fn tool<'a>(name: &'a str, arguments: &'a str) -> Part<'a> {
    Part {
        kind: PartKind::ToolCall,
        name,
        text: arguments,
        id: "call_1",
    }
}

/// What a call with this answer comes to: its class, its stream's outcome and its flags.
fn told(parts: &[Part<'_>], change: impl FnOnce(&mut Call<'_>)) -> (&'static str, String) {
    let messages = [Message {
        role: Role::Assistant,
        parts,
    }];
    let mut call = Call {
        provider: "openai",
        request_model: "gpt-4o",
        finish: Finish::Stop,
        finish_reason: "stop",
        usage: Usage {
            input_tokens: Some(40),
            output_tokens: Some(3),
            source: TokensSource::Provider,
            ..Usage::default()
        },
        ..Call::default()
    };
    call.output = Content {
        recorded: true,
        text: "",
        messages: &messages,
    };
    // The closure may put other texts in; they live as long as this call.
    change(&mut call);
    let done = enrich(Rules::builtin(), &call);
    let flags = [done.profile.output_flags, done.profile.tool_flags].concat();
    let class = done.failure.map_or("", |f| f.class.as_str());
    (class, format!("{}{}", done.stream_outcome, flags.join(",")))
}

fn class_of(parts: &[Part<'_>], change: impl FnOnce(&mut Call<'_>)) -> &'static str {
    told(parts, change).0
}

fn ends(finish: Finish, reason: &'static str) -> impl FnOnce(&mut Call<'_>) {
    move |call| {
        call.finish = finish;
        call.finish_reason = reason;
    }
}

#[test]
fn an_answer_of_nothing_is_empty() {
    assert_eq!(class_of(&[text("")], |_| ()), "llm.output.empty");
    assert_eq!(class_of(&[text(" \n\t")], |_| ()), "llm.output.empty");
    assert_eq!(class_of(&[], |c| c.output.text = "[]"), "llm.output.empty");
    let no_tokens = |c: &mut Call<'_>| c.usage.output_tokens = Some(0);
    assert_eq!(class_of(&[text("")], no_tokens), "llm.output.empty");
}

#[test]
fn an_answer_of_few_words_or_of_a_tool_call_is_none() {
    for parts in [
        [text("0")],
        [text(".")],
        [tool("get_weather", "{}")],
        [of_kind(PartKind::Media, "")],
    ] {
        assert_eq!(class_of(&parts, |_| ()), "", "{parts:?}");
    }
    // Tokens were made and nothing was recorded of them: the recorder's fault, not the model's.
    let many = |c: &mut Call<'_>| c.usage.output_tokens = Some(80);
    assert_eq!(class_of(&[text("")], many), "");
    let off = |c: &mut Call<'_>| c.output.recorded = false;
    assert_eq!(class_of(&[], off), "");
    // A stream that ended with a count of nothing, in a convention without finish reasons.
    let counted = |c: &mut Call<'_>| {
        ends(Finish::Unknown, "")(c);
        c.streaming = Some(true);
        c.usage.output_tokens = Some(0);
    };
    assert_eq!(class_of(&[text("")], counted), "llm.output.empty");
    let embeddings = |c: &mut Call<'_>| c.operation = Operation::Embeddings;
    assert_eq!(class_of(&[], embeddings), "");
}

#[test]
fn thinking_alone_is_no_answer() {
    let thought = of_kind(PartKind::Reasoning, "The user wants the capital of France.");
    let spent = |c: &mut Call<'_>| {
        c.usage.output_tokens = Some(640);
        c.usage.reasoning_tokens = Some(640);
    };
    assert_eq!(
        told(&[thought], spent),
        ("llm.output.empty", "reasoning_only".to_owned())
    );
    // The budget ended in the middle of it.
    let cut = ends(Finish::Length, "length");
    assert_eq!(
        told(&[thought], cut),
        ("llm.output.truncated", "reasoning_only".to_owned())
    );
    let answered = [thought, text("Paris.")];
    assert_eq!(told(&answered, |_| ()), ("", String::new()));
}

#[test]
fn the_finish_reason_tells_the_failure() {
    let answer = [text("The history of the town begins in")];
    for (finish, reason, class) in [
        (Finish::Length, "length", "llm.output.truncated"),
        (Finish::Length, "MAX_TOKENS", "llm.output.truncated"),
        (
            Finish::ContentFilter,
            "content_filter",
            "llm.output.content_filtered",
        ),
        (
            Finish::ContentFilter,
            "SAFETY",
            "llm.output.content_filtered",
        ),
        (Finish::Refusal, "refusal", "llm.output.refusal"),
        (Finish::Cancelled, "cancelled", "llm.client.cancelled"),
        (Finish::Interrupted, "unknown", "llm.stream.interrupted"),
        (
            Finish::Error,
            "MALFORMED_FUNCTION_CALL",
            "llm.tool.invalid_arguments",
        ),
        (
            Finish::Error,
            "FinishReason.UNEXPECTED_TOOL_CALL",
            "llm.tool.unknown_tool",
        ),
        (
            Finish::Other,
            "insufficient_system_resource",
            "llm.capacity.overloaded",
        ),
        (
            Finish::Length,
            "model_context_window_exceeded",
            "llm.request.context_length",
        ),
        (Finish::Stop, "stop", ""),
        (Finish::ToolCalls, "tool_use", ""),
        (Finish::Unknown, "", ""),
    ] {
        assert_eq!(class_of(&answer, ends(finish, reason)), class, "{reason}");
    }
}

#[test]
fn a_refusal_is_told_by_its_field_or_by_its_only_sentence() {
    let refused = of_kind(PartKind::Refusal, "I can't help with that.");
    assert_eq!(class_of(&[refused], |_| ()), "llm.output.refusal");
    for words in [
        "I'm sorry, but I can't assist with that.",
        "I cannot help with that request.",
        "I\u{2019}m sorry, I can\u{2019}t help with that.",
    ] {
        assert_eq!(
            class_of(&[text(words)], |_| ()),
            "llm.output.refusal",
            "{words}"
        );
    }
    for words in [
        "I'm sorry to hear that your parcel is late. It will arrive on Monday.",
        "The butler said: \"I'm sorry, I can't assist with that\", and left the room.",
        "I can't say which one is better; both have two seats.",
        "Sorry for the delay! Here is the list.",
    ] {
        assert_eq!(class_of(&[text(words)], |_| ()), "", "{words}");
    }
}

#[test]
fn a_stream_without_a_finish_reason_broke_off() {
    let broken = |c: &mut Call<'_>| {
        c.streaming = Some(true);
        c.finish = Finish::Unknown;
        c.finish_reason = "";
        c.usage = Usage::default();
    };
    let half = [text("The answer to your question is")];
    assert_eq!(
        told(&half, broken),
        ("llm.stream.interrupted", "interrupted".to_owned())
    );
    // The usage comes with the last event: it was read to its end.
    let counted = |c: &mut Call<'_>| {
        c.streaming = Some(true);
        c.finish = Finish::Unknown;
        c.finish_reason = "";
    };
    assert_eq!(told(&half, counted), ("", "complete".to_owned()));
    let unary = |c: &mut Call<'_>| {
        c.finish = Finish::Unknown;
        c.finish_reason = "";
        c.usage = Usage::default();
    };
    assert_eq!(told(&half, unary), ("", String::new()));
}

#[test]
fn json_that_was_asked_for_must_be_json() {
    let json = |c: &mut Call<'_>| c.response_format = ResponseFormat::Json;
    for words in [
        "Sure! {\"city\": \"Paris\"}",
        "{\"city\": \"Par",
        "```json\n{\"city\": \"Paris\"}\n```",
        "{'city': 'Paris'}",
    ] {
        assert_eq!(
            class_of(&[text(words)], json),
            "llm.output.invalid_json",
            "{words}"
        );
    }
    for words in ["{\"city\": \"Paris\"}", " [1, 2]\n", "\"Paris\""] {
        assert_eq!(class_of(&[text(words)], json), "", "{words}");
    }
    // Nobody asked for JSON.
    assert_eq!(class_of(&[text("{\"city\": \"Par")], |_| ()), "");
    // A tool call is an answer, and has arguments of its own.
    assert_eq!(class_of(&[tool("get_weather", "{}")], json), "");
}

#[test]
fn an_answer_keeps_to_the_schema_that_was_asked_for() {
    const SCHEMA: &str = r#"{"type": "object", "properties": {"city": {"type": "string"},
        "population": {"type": "integer"}}, "required": ["city", "population"]}"#;
    let asked = |c: &mut Call<'_>| c.response_schema = SCHEMA;
    for (words, class) in [
        ("{\"city\": \"Paris\", \"population\": 2100000}", ""),
        ("{\"city\": \"Paris\"}", "llm.output.schema_violation"),
        (
            "{\"city\": \"Paris\", \"population\": \"many\"}",
            "llm.output.schema_violation",
        ),
        ("[\"Paris\"]", "llm.output.schema_violation"),
        ("Paris has 2.1 million people.", "llm.output.invalid_json"),
    ] {
        assert_eq!(class_of(&[text(words)], asked), class, "{words}");
    }
}

#[test]
fn a_tool_call_must_be_of_a_tool_that_was_offered_and_fit_it() {
    const OFFERED: &[ToolDefinition<'_>] = &[ToolDefinition {
        name: "get_weather",
        parameters: r#"{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}"#,
    }];
    let offered = |c: &mut Call<'_>| {
        c.tool_definitions = Some(OFFERED);
        c.finish = Finish::ToolCalls;
        c.finish_reason = "tool_calls";
    };
    for (name, arguments, class, flag) in [
        ("get_weather", "{\"city\": \"Graz\"}", "", ""),
        (
            "getWeather",
            "{\"city\": \"Graz\"}",
            "llm.tool.unknown_tool",
            "unknown_tool",
        ),
        (
            "get_weather",
            "{\"city\": \"Gr",
            "llm.tool.invalid_arguments",
            "invalid_arguments",
        ),
        (
            "get_weather",
            "Graz",
            "llm.tool.invalid_arguments",
            "invalid_arguments",
        ),
        (
            "get_weather",
            "{}",
            "llm.tool.invalid_arguments",
            "invalid_arguments",
        ),
        (
            "get_weather",
            "{\"city\": 8010}",
            "llm.tool.invalid_arguments",
            "invalid_arguments",
        ),
        // A recorder that prints Python objects, or no arguments, tells nothing of them.
        ("get_weather", "{'city': 'Graz'}", "", ""),
        ("get_weather", "", "", ""),
    ] {
        let (got, flags) = told(&[tool(name, arguments)], offered);
        assert_eq!((got, flags.as_str()), (class, flag), "{name} {arguments}");
    }
    // Which tools were offered is not recorded: any may have been.
    assert_eq!(class_of(&[tool("fly", "{}")], |_| ()), "");
}

#[test]
fn a_tool_that_failed_leaves_the_answer_its_class() {
    const RUNS: &[ToolRun<'_>] = &[ToolRun {
        span_id: [7; 8],
        start_ns: 5,
        duration_ns: 5,
        name: "get_weather",
        id: "call_1",
        arguments: "{}",
        result: "",
        is_error: true,
        error_type: "TimeoutError",
        error_message: "timed out",
        index: 0,
        repeats: false,
    }];
    let failed = |c: &mut Call<'_>| c.tool_runs = RUNS;
    assert_eq!(
        told(&[tool("get_weather", "{}")], failed),
        ("", "execution_failed".to_owned())
    );
}

#[test]
fn an_answer_that_runs_in_a_circle_is_flagged_and_stays_an_answer() {
    let circle = "and so on, ".repeat(30);
    assert_eq!(
        told(&[text(&circle)], |_| ()),
        ("", "repeated_tokens".to_owned())
    );
}

#[test]
fn a_failed_call_tells_what_was_done_before_it() {
    let asked = [Part {
        id: "call_9",
        ..tool("charge_card", "{\"amount\": 20}")
    }];
    let looked = [Part {
        id: "call_8",
        ..tool("get_order", "{}")
    }];
    let result = |id| {
        [Part {
            id,
            ..of_kind(PartKind::ToolResult, "ok")
        }]
    };
    let (charged, seen) = (result("call_9"), result("call_8"));
    let question = [text("Charge the customer and tell them.")];
    let message = |role, parts| Message { role, parts };
    let told_results = [
        message(Role::User, &question),
        message(Role::Assistant, &looked),
        message(Role::Tool, &seen),
        message(Role::Assistant, &asked),
        message(Role::Tool, &charged),
    ];
    let failed = |messages: &[Message<'_>], tools_done: &[&str]| {
        let call = Call {
            provider: "openai",
            input: Content {
                recorded: true,
                text: "",
                messages,
            },
            tools_done,
            errors: crate::call::Errors {
                is_error: true,
                http_status: Some(500),
                messages: &["Internal server error"],
                ..Default::default()
            },
            ..Call::default()
        };
        let done = enrich(Rules::builtin(), &call);
        let evidence = done.failure.expect("a failure").evidence;
        (done.profile.tool_flags, evidence)
    };
    // By what the call was given.
    let (flags, evidence) = failed(&told_results, &[]);
    assert_eq!(flags, ["side_effects_done"]);
    assert!(
        evidence.ends_with("; not safe to run again, done before: charge_card"),
        "{evidence}"
    );
    // By the spans of the trace.
    let (flags, evidence) = failed(&[], &["search_flights", "book_flight"]);
    assert_eq!(flags, ["side_effects_done"]);
    assert!(evidence.ends_with("done before: book_flight"), "{evidence}");
    // What only reads may be done again, and so may what belongs to an earlier question.
    let next = [text("Thanks. And the weather?")];
    let later = [&told_results[..], &[message(Role::User, &next)]].concat();
    for (messages, done) in [(&told_results[..3], &["get_order"][..]), (&later, &[])] {
        let (flags, evidence) = failed(messages, done);
        assert!(
            flags.is_empty() && !evidence.contains("not safe"),
            "{evidence}"
        );
    }
}

#[test]
fn what_a_framework_could_not_use_is_called_by_what_it_is() {
    fn told_so<'a>(kind: &'static str, message: &'a [&'a str]) -> impl FnOnce(&mut Call<'a>) {
        move |call| {
            call.errors.is_error = true;
            call.errors.exception_type = kind;
            call.errors.messages = message;
        }
    }
    let class = |parts: &[Part<'static>], kind, message: &'static [&'static str]| {
        let messages = [Message {
            role: Role::Assistant,
            parts,
        }];
        let mut call = Call {
            finish: Finish::Stop,
            tool_definitions: Some(&[ToolDefinition {
                name: "get_weather",
                parameters: "",
            }]),
            output: Content {
                recorded: true,
                text: "",
                messages: &messages,
            },
            ..Call::default()
        };
        told_so(kind, message)(&mut call);
        let failure = enrich(Rules::builtin(), &call).failure.expect("a failure");
        failure.class.as_str()
    };
    const BEHAVED: &[&str] = &["Exceeded maximum output retries (0)"];
    const TOOL: &[&str] = &["Tool 'x' exceeded max retries count of 0"];
    let unexpected = "UnexpectedModelBehavior";
    assert_eq!(class(&[], unexpected, BEHAVED), "llm.output.empty");
    let prose = [text("Paris")];
    assert_eq!(
        class(&prose, unexpected, BEHAVED),
        "llm.output.schema_violation"
    );
    let unknown = [tool("delete_customer", "{}")];
    assert_eq!(class(&unknown, unexpected, TOOL), "llm.tool.unknown_tool");
    let known = [tool("get_weather", "{}")];
    assert_eq!(
        class(&known, unexpected, TOOL),
        "llm.tool.invalid_arguments"
    );
}

#[test]
fn an_end_that_a_recorder_does_not_know_is_an_end() {
    // LangChain's instrumentation writes `error` for every end of the Responses API.
    let unknown = |c: &mut Call<'_>| {
        ends(Finish::Error, "error")(c);
        c.streaming = Some(true);
    };
    assert_eq!(class_of(&[text("Paris")], unknown), "");
    let uncounted = |c: &mut Call<'_>| {
        unknown(c);
        c.usage = Usage::default();
    };
    assert_eq!(
        class_of(&[text("Paris")], uncounted),
        "llm.stream.interrupted"
    );
}

#[test]
fn a_recorder_without_finish_reasons_does_not_break_streams() {
    let class = |version: &'static str, recorded: bool| {
        class_of(&[text("Paris is the capital of France.")], |c| {
            ends(Finish::Unknown, "")(c);
            c.convention = "logfire";
            c.instrumentation_version = version;
            c.streaming = Some(true);
            c.usage = Usage::default();
            c.output.recorded = recorded;
        })
    };
    assert_eq!(class("3.25.0", true), "");
    assert_eq!(class("3.25.0", false), "llm.stream.interrupted");
    assert_eq!(class("5.2.0", true), "llm.stream.interrupted");
}

#[test]
fn arguments_that_a_recorder_wrapped_are_the_ones_inside() {
    let offered = [ToolDefinition {
        name: "get_weather",
        parameters: r#"{"type":"object","properties":{"location":{"type":"string"}},"required":["location"]}"#,
    }];
    let class = |arguments: &'static str| {
        class_of(&[tool("get_weather", arguments)], |c| {
            ends(Finish::ToolCalls, "tool_use")(c);
            c.tool_definitions = Some(Box::leak(Box::new(offered)));
        })
    };
    assert_eq!(class(r#"{"input":{"location":"Paris"}}"#), "");
    assert_eq!(
        class(r#"{"input":{"location":42}}"#),
        "llm.tool.invalid_arguments"
    );
    assert_eq!(class(r#"{"location":42}"#), "llm.tool.invalid_arguments");
}
