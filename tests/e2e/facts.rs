//! What the detector is told of live traffic and what is read back of it from the store are the same
//! facts: a backtest, and a detector that learns from the store, see what was seen live.

use std::collections::BTreeMap;

use lapwing::{
    detect::Fact,
    journal::{Durability, Journal, JournalOptions},
    past,
    store::{Store, Target, embedded::Door},
};

use crate::{
    otlp::{SpanOf, span, traces},
    support::{
        clients::now_ns,
        lapwing::Lapwing,
        send::{PROTOBUF, post},
    },
};

const SECOND_NS: u64 = 1_000_000_000;
/// Larger than what the test sends.
const JOURNAL_BYTES_MAX: u64 = 1 << 30;

/// A call that ended well, in a trace of its own.
fn call(number: u64, now_ns: u64) -> SpanOf {
    span("chat gpt-4o")
        .in_trace(number)
        .id(number)
        .client()
        .service("checkout")
        .at_ns(now_ns - (1000 - number) * SECOND_NS)
        .attr("gen_ai.operation.name", "chat")
        .attr("gen_ai.provider.name", "openai")
        .attr("gen_ai.request.model", "gpt-4o")
        .attr("app.tenant", "acme")
        .attr("app.feature", "answer")
}

fn answered(call: SpanOf, tokens: i64) -> SpanOf {
    call.attr("gen_ai.response.model", "gpt-4o-2024-08-06")
        .attr("gen_ai.usage.input_tokens", 1200)
        .attr("gen_ai.usage.output_tokens", tokens)
}

/// Calls of many kinds.
fn calls(now: u64) -> Vec<SpanOf> {
    let input = r#"[{"role":"system","parts":[{"type":"text","content":"Be short."}]},
        {"role":"user","parts":[{"type":"text","content":"Où est Paris ?"}]}]"#;
    let output = r#"[{"role":"assistant","parts":[{"type":"text","content":"En France."}]}]"#;
    let tools = r#"[{"role":"assistant","parts":[
        {"type":"tool_call","id":"a","name":"look_up","arguments":{"city":"Paris"}},
        {"type":"tool_call","id":"b","name":"send_mail","arguments":{"to":"me"}}]}]"#;
    let tool = |number: u64, id: &str, name: &str| {
        span(&format!("execute_tool {name}"))
            .in_trace(6)
            .id(number)
            .under(6)
            .service("checkout")
            .at_ns(now - 990 * SECOND_NS)
            .attr("gen_ai.operation.name", "execute_tool")
            .attr("gen_ai.tool.name", name)
            .attr("gen_ai.tool.call.id", id)
    };
    let long = "é".repeat(400);
    let limited = "Error code: 429 - {'error': {'message': 'Rate limit reached for gpt-4o on tokens per min (TPM). \
        Please try again in 120ms.', 'type': 'tokens', 'code': 'rate_limit_exceeded'}}";
    vec![
        answered(call(1, now), 80),
        answered(call(2, now), 80)
            .attr("gen_ai.request.stream", true)
            .attr("gen_ai.response.time_to_first_chunk", 0.25)
            .attr("gen_ai.response.finish_reasons", ["stop"])
            .attr("openai.response.system_fingerprint", "fp_1"),
        call(3, now)
            .exception("openai.RateLimitError", limited)
            .failed(limited)
            .attr("http.response.status_code", 429)
            .attr("http.request.resend_count", 2),
        answered(call(4, now), 0).attr("gen_ai.response.finish_reasons", ["stop"]),
        answered(call(5, now), 60)
            .attr("gen_ai.input.messages", input)
            .attr("gen_ai.output.messages", output)
            .attr("gen_ai.response.finish_reasons", ["length"]),
        answered(call(6, now), 30)
            .attr("gen_ai.output.messages", tools)
            .attr("gen_ai.response.finish_reasons", ["tool_calls"]),
        tool(61, "a", "look_up"),
        tool(62, "b", "send_mail")
            .exception("SmtpError", "no route")
            .failed("no route"),
        // Only the word tells that it was about tools, in the spelling of another recorder.
        answered(call(7, now), 30).attr(
            "gen_ai.response.finish_reasons",
            ["FinishReason.TOOL_CALLS"],
        ),
        call(8, now)
            .failed(&long)
            .attr("error.type", "InternalServerError"),
        answered(call(9, now), 30).attr("gen_ai.response.finish_reasons", ["content_filter"]),
        // Two recorders of one call: it counts once.
        answered(call(10, now), 30).attr("gen_ai.response.id", "chatcmpl-7"),
        answered(call(10, now), 30)
            .id(100)
            .under(10)
            .scope("openlit")
            .attr("gen_ai.response.id", "chatcmpl-7"),
        // A price that is not known, a region, a status without an answer.
        call(11, now)
            .attr("gen_ai.response.model", "nobody-knows-1")
            .attr("gen_ai.usage.input_tokens", 5)
            .attr("cloud.region", "eu-west-1"),
        call(12, now)
            .failed("")
            .attr("http.response.status_code", 503),
        call(13, now)
            .failed("Request timed out.")
            .attr("error.type", "openai.APITimeoutError"),
        span("evaluate")
            .in_trace(14)
            .id(14)
            .service("checkout")
            .at_ns(now - 500 * SECOND_NS)
            .event(
                "gen_ai.evaluation.result",
                &[
                    ("gen_ai.evaluation.name", "helpful".into()),
                    ("gen_ai.evaluation.score.value", 0.25.into()),
                    ("gen_ai.evaluation.score.label", "fail".into()),
                ],
            ),
    ]
}

/// Every fact, told apart by its trace and when it ended, as text that shows all its fields.
type Facts = BTreeMap<(String, u64), String>;

fn keep(facts: &mut Facts, fact: &Fact<'_>) {
    let key = match fact {
        Fact::Call(call) => (format!("call {:?}", call.span_id), call.end_ns),
        Fact::Eval(eval) => (format!("evaluation {}", eval.suite), eval.end_ns),
    };
    let twice = facts.insert(key, format!("{fact:#?}"));
    assert_eq!(twice, None, "told twice");
}

async fn stored(lapwing: &Lapwing) -> Facts {
    let door = Door::read(&lapwing.data_dir())
        .expect("read")
        .expect("a door");
    let target = Target {
        user: door.user.clone(),
        password: door.key.clone(),
        ..Target::plain(&door.url, "lapwing")
    };
    let store = Store::new(&target).expect("a target");
    let now = now_ns();
    let found = past::survey(&store, now - 3600 * SECOND_NS, now).await;
    let mut facts = Facts::new();
    let told = past::tell(&store, &found.expect("a survey"), |fact| {
        keep(&mut facts, fact)
    })
    .await;
    assert_eq!(told.expect("facts"), facts.len() as u64);
    facts
}

fn journaled(lapwing: &Lapwing) -> Facts {
    let options =
        JournalOptions::in_data_dir(&lapwing.data_dir(), Durability::Os, JOURNAL_BYTES_MAX);
    let journal = Journal::open(options, None).expect("the journal");
    let mut facts = Facts::new();
    for record in journal.facts_since(None) {
        let (_, bytes) = record.expect("a record");
        for fact in Fact::read_all(&bytes) {
            keep(&mut facts, &fact.expect("a fact"));
        }
    }
    facts
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_of_live_traffic_and_of_the_store_are_the_same() {
    let more = "dimensions: {tenant: [app.tenant], feature: [app.feature]}";
    let mut lapwing = Lapwing::start_with(more);
    let answer = post(
        lapwing.http,
        "/v1/traces",
        &[PROTOBUF],
        &traces(&calls(now_ns())),
    );
    assert_eq!(answer.status, 200);
    lapwing.settle();
    let stored = stored(&lapwing).await;
    lapwing.process().stop();
    let live = journaled(&lapwing);
    // Fourteen spans are calls, one of them a second record of another; and one evaluation.
    assert_eq!(live.len(), 14, "{:?}", live.keys());
    assert_eq!(
        stored.keys().collect::<Vec<_>>(),
        live.keys().collect::<Vec<_>>()
    );
    for (key, live) in &live {
        assert_eq!(&stored[key], live, "{key:?}");
    }
    let failed = live
        .values()
        .filter(|fact| fact.contains("tool: \"send_mail\""));
    assert_eq!(failed.count(), 1);
}
