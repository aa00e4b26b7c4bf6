//! Tool calls meet their executions whichever comes first, and judges' results get rows.

use crate::{
    otlp::{SpanOf, span, traces},
    support::{
        clients::now_ns,
        lapwing::Lapwing,
        send::{PROTOBUF, post},
    },
};

/// Starts at this moment and takes a second, as all do here.
fn answer(id: u64, service: &str, now_ns: u64) -> SpanOf {
    let output = r#"[{"role":"assistant","parts":[
        {"type":"tool_call","id":"call_a","name":"get_weather","arguments":{"city":"Paris"}},
        {"type":"tool_call","id":"call_b","name":"send_mail","arguments":{"to":"me"}}]}]"#;
    span("chat gpt-4o")
        .id(id)
        .client()
        .service(service)
        .at_ns(now_ns)
        .attr("gen_ai.operation.name", "chat")
        .attr("gen_ai.request.model", "gpt-4o")
        .attr("gen_ai.response.id", "chatcmpl-1")
        .attr("gen_ai.output.messages", output)
}

fn tool(id: u64, service: &str, name: &str, now_ns: u64) -> SpanOf {
    let call_id = if name == "get_weather" {
        "call_a"
    } else {
        "call_b"
    };
    span(&format!("execute_tool {name}"))
        .id(id)
        .service(service)
        .at_ns(now_ns + 1_000_000_000 + id)
        .attr("gen_ai.operation.name", "execute_tool")
        .attr("gen_ai.tool.name", name)
        .attr("gen_ai.tool.call.id", call_id)
}

#[track_caller]
fn send(lapwing: &Lapwing, spans: &[SpanOf]) {
    let answer = post(lapwing.http, "/v1/traces", &[PROTOBUF], &traces(spans));
    assert_eq!(answer.status, 200);
}

#[test]
fn a_tool_call_and_its_execution_are_one_row_in_any_order() {
    let lapwing = Lapwing::start();
    let now = now_ns();
    let failing = tool(3, "a", "send_mail", now).exception("SmtpError", "no route");
    send(
        &lapwing,
        &[
            answer(1, "a", now).trace(1),
            tool(2, "a", "get_weather", now).trace(1),
        ],
    );
    send(&lapwing, &[failing.failed("no route").trace(1)]);
    // The executions first: rows by themselves, until the answer comes.
    send(&lapwing, &[tool(2, "b", "get_weather", now).trace(2)]);
    let rows = |service: &str| {
        let sql = format!(
            "SELECT name, outcome, failed_layer, response_id, toString(duration_ns), error_type, \
             arguments FROM llm_tool_calls WHERE service = '{service}' ORDER BY tool_index FORMAT TSV"
        );
        lapwing.settle();
        lapwing.try_query(&sql).expect("rows")
    };
    assert_eq!(
        rows("a"),
        "get_weather\tok\t\tchatcmpl-1\t1000000000\t\t{\"city\":\"Paris\"}\n\
         send_mail\tfailed\texecution\tchatcmpl-1\t1000000000\tSmtpError\t{\"to\":\"me\"}\n"
    );
    assert_eq!(rows("b"), "get_weather\tok\t\t\t1000000000\t\t\n");
    send(&lapwing, &[answer(1, "b", now).trace(2)]);
    assert_eq!(
        rows("b"),
        "get_weather\tok\t\tchatcmpl-1\t1000000000\t\t{\"city\":\"Paris\"}\n\
         send_mail\trequested\t\tchatcmpl-1\t\\N\t\t{\"to\":\"me\"}\n"
    );
    let sum = "SELECT sum(sign) FROM llm_tool_call_versions";
    assert_eq!(lapwing.value(sum).expect("a sum"), "4");
    let flags = "SELECT tool_flags FROM llm_calls WHERE service = 'a' AND duplicate_of = ''";
    assert_eq!(lapwing.value(flags).expect("flags"), "['execution_failed']");

    let judged = [
        ("gen_ai.evaluation.name", "relevance".into()),
        ("gen_ai.evaluation.score.value", 0.5.into()),
    ];
    let judge = || {
        answer(9, "c", now)
            .trace(3)
            .event("gen_ai.evaluation.result", &judged)
    };
    send(&lapwing, &[judge()]);
    send(&lapwing, &[judge()]);
    lapwing.settle();
    let evals = "SELECT name, score, count() FROM llm_evals GROUP BY ALL FORMAT TSV";
    assert_eq!(
        lapwing.try_query(evals).expect("rows"),
        "relevance\t0.5\t1\n"
    );
}
