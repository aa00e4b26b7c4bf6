use super::*;
use crate::call::ToolDefinition;

/// `role: kind(text)` per part, so that a shape reads as one line.
fn shape(text: &str, role: Role) -> Vec<String> {
    let arena = Bump::new();
    read(text, role, &arena)
        .iter()
        .flat_map(|m| {
            let head = format!("{:?}", m.role);
            if m.parts.is_empty() {
                return vec![head];
            }
            let part = |p: &Part<'_>| match p.name {
                "" => format!("{head}: {:?}({})", p.kind, p.text),
                name => format!("{head}: {:?} {name}({})", p.kind, p.text),
            };
            m.parts.iter().map(part).collect()
        })
        .collect()
}

#[test]
fn every_shape_of_a_request_gives_the_same_conversation() {
    let want = ["System: Text(Be brief.)", "User: Text(Capital of France?)"];
    for text in [
        // OpenAI, OTel, AI SDK prompt, Anthropic body, Gemini body, Responses body, Python repr.
        r#"[{"role":"system","content":"Be brief."},{"role":"user","content":"Capital of France?"}]"#,
        r#"[{"role":"system","parts":[{"type":"text","content":"Be brief."}]},{"role":"user","parts":[{"type":"text","content":"Capital of France?"}]}]"#,
        r#"{"system":"Be brief.","prompt":"Capital of France?"}"#,
        r#"{"model":"claude","system":[{"type":"text","text":"Be brief."}],"messages":[{"role":"user","content":[{"type":"text","text":"Capital of France?"}]}]}"#,
        r#"{"systemInstruction":{"parts":[{"text":"Be brief."}]},"contents":[{"role":"user","parts":[{"text":"Capital of France?"}]}]}"#,
        r#"{"model":"gpt-4o","instructions":"Be brief.","input":"Capital of France?"}"#,
        "[{'role': 'system', 'content': 'Be brief.'}, {'role': 'user', 'content': 'Capital of France?'}]",
        r#"{"messages":[[{"id":["langchain","schema","messages","SystemMessage"],"kwargs":{"content":"Be brief.","type":"system"},"lc":1,"type":"constructor"},{"id":["langchain","schema","messages","HumanMessage"],"kwargs":{"content":"Capital of France?","type":"human"},"lc":1,"type":"constructor"}]]}"#,
    ] {
        assert_eq!(shape(text, Role::User), want, "{text}");
    }
}

#[test]
fn every_shape_of_an_answer_gives_the_same_message() {
    let want = ["Assistant: Text(Paris.)"];
    for text in [
        "Paris.",
        r#""Paris.""#,
        r#"{"role":"assistant","content":"Paris."}"#,
        r#"{"id":"c1","choices":[{"finish_reason":"stop","message":{"role":"assistant","content":"Paris.","refusal":null,"tool_calls":null}}]}"#,
        r#"{"id":"m1","role":"assistant","type":"message","content":[{"type":"text","text":"Paris."}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"Paris."}],"role":"model"},"finishReason":"STOP"}]}"#,
        r#"{"output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Paris."}]}]}"#,
        r#"{"output":{"message":{"role":"assistant","content":[{"text":"Paris."}]}}}"#,
        r#"{"replies":[{"role":"assistant","content":[{"text":"Paris."}]}]}"#,
        r#"{"generations":[[{"text":"Paris.","message":{"kwargs":{"content":"Paris.","type":"ai"}}}]]}"#,
        r#"[{"role":"assistant","parts":[{"type":"text","content":"Paris."}],"finish_reason":"stop"}]"#,
    ] {
        assert_eq!(shape(text, Role::Assistant), want, "{text}");
    }
}

#[test]
fn tool_calls_keep_their_name_and_arguments() {
    let want = [r#"Assistant: ToolCall get_weather({"city":"Paris"})"#];
    for text in [
        r#"{"choices":[{"message":{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Paris\"}"}}]}}]}"#,
        r#"{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"get_weather","input":{"city":"Paris"}}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"get_weather","args":{"city":"Paris"}}}],"role":"model"}}]}"#,
        r#"[{"role":"assistant","parts":[{"type":"tool_call","id":"1","name":"get_weather","arguments":{"city":"Paris"}}]}]"#,
        r#"{"output":[{"type":"function_call","call_id":"1","name":"get_weather","arguments":"{\"city\":\"Paris\"}"}]}"#,
        r#"[{"toolCallId":"1","toolName":"get_weather","input":"{\"city\":\"Paris\"}"}]"#,
    ] {
        let got = shape(text, Role::Assistant);
        assert_eq!(got, want, "{text}");
    }
}

#[test]
fn an_empty_answer_is_a_message_without_parts() {
    let text = r#"{"choices":[{"message":{"role":"assistant","content":""}}]}"#;
    assert_eq!(shape(text, Role::Assistant), ["Assistant"]);
}

#[test]
fn tools_are_read_from_every_shape() {
    let arena = Bump::new();
    for text in [
        r#"[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]"#,
        r#"[{"name":"f","input_schema":{"type":"object"}}]"#,
        r#"[{"functionDeclarations":[{"name":"f","parameters":{"type":"object"}}]}]"#,
        r#"["{\"type\":\"function\",\"name\":\"f\",\"inputSchema\":{\"type\":\"object\"}}"]"#,
        r#"[{"toolSpec":{"name":"f","inputSchema":{"json":{"type":"object"}}}}]"#,
    ] {
        let tools = read_tools(text, &arena);
        assert_eq!(
            tools,
            [ToolDefinition {
                name: "f",
                parameters: r#"{"type":"object"}"#
            }],
            "{text}"
        );
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in ".*") {
        let arena = Bump::new();
        read(&text, Role::User, &arena);
        read_tools(&text, &arena);
    }
}
