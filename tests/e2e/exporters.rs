//! One row per model call, whichever SDK, instrumentation and exporter brought it.
//!
//! Each test makes the same calls through an application of `tests/clients` and compares what
//! `lapwing query` selects with what the provider did. Where an instrumentation does not record
//! something, the test leaves that out and says so. The time from the export to the visible row is
//! printed, not asserted.

use std::{fmt::Write as _, io::Write as _, time::Duration};

use serde::Deserialize;

use crate::support::{
    clients::{App, Provider, now_ns},
    lapwing::Lapwing,
    wait::until,
};

/// Logs are sent after spans: a row that they correct is looked at again until then.
const CORRECTION_TIME_MAX: Duration = Duration::from_secs(30);

const ALIAS: &str = "gpt-4o";
const SNAPSHOT: &str = "gpt-4o-2024-08-06";
const EMBEDDING: &str = "text-embedding-3-small";

/// What every instrumentation records; in the order of the calls.
const CALLS: [Expected; 9] = [
    good("ok", 24, Some(9)),
    good("stream:ok", 24, Some(9)),
    good("tool", 82, Some(18)),
    failed("quota", "llm.billing.quota_exhausted"),
    failed("rate_limit", "llm.rate_limit.requests"),
    failed("server_error", "llm.provider.server_error"),
    Expected {
        class: "llm.output.empty",
        ..good("empty", 24, Some(0))
    },
    Expected {
        class: "llm.output.truncated",
        ..good("truncated", 24, Some(16))
    },
    Expected {
        request_model: EMBEDDING,
        response_model: EMBEDDING,
        ..good("embeddings:ok", 8, None)
    },
];
const RESPONSES: Expected = good("responses:ok", 24, Some(9));

/// A call and the row it must become.
#[derive(Debug, Clone, Copy)]
struct Expected {
    call: &'static str,
    request_model: &'static str,
    response_model: &'static str,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    /// Empty: good.
    class: &'static str,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Row {
    service: String,
    request_model: String,
    response_model: String,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    failure_class: String,
}

#[derive(Debug, Deserialize)]
struct Count {
    n: usize,
}

const fn good(call: &'static str, input: u64, output: Option<u64>) -> Expected {
    Expected {
        call,
        request_model: ALIAS,
        response_model: SNAPSHOT,
        input_tokens: Some(input),
        output_tokens: output,
        class: "",
    }
}

const fn failed(call: &'static str, class: &'static str) -> Expected {
    Expected {
        call,
        request_model: ALIAS,
        response_model: "",
        input_tokens: None,
        output_tokens: None,
        class,
    }
}

impl Expected {
    fn row(&self, service: &str) -> Row {
        Row {
            service: service.to_owned(),
            request_model: self.request_model.to_owned(),
            response_model: self.response_model.to_owned(),
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            failure_class: self.class.to_owned(),
        }
    }
}

/// Runs `app` as `service` and checks that its calls, and nothing else, are rows.
fn assert_rows(lapwing: &Lapwing, app: App, service: &str, calls: &[Expected]) {
    let provider = Provider::start();
    let endpoint = app.endpoint(lapwing.grpc, lapwing.http);
    let names: Vec<_> = calls.iter().map(|c| c.call).collect();
    let sent = app.run(&provider, &endpoint, service, &names);
    let sql = format!(
        "SELECT service, request_model, response_model, toUInt32(input_tokens) AS input_tokens, \
         toUInt32(output_tokens) AS output_tokens, failure_class FROM llm_calls \
         WHERE service = '{service}' AND duplicate_of = '' ORDER BY timestamp"
    );
    lapwing.wait_for_rows::<Row>(calls.len(), &sql);
    let after_ms = |ns: u64| ns.saturating_sub(sent.began_ns) / 1_000_000;
    // Past the capture of the test's output: the figure is shown for tests that pass, too.
    let _ = writeln!(
        std::io::stderr(),
        "{service}: export answered after {} ms, {} rows visible after {} ms",
        after_ms(sent.ended_ns),
        calls.len(),
        after_ms(now_ns()),
    );
    // A log event may still correct a row that was visible before it.
    let expected: Vec<_> = calls.iter().map(|c| c.row(service)).collect();
    until("the rows of the calls", CORRECTION_TIME_MAX, || {
        let rows: Vec<Row> = lapwing.rows(&sql)?;
        match differences(calls, &expected, &rows).as_str() {
            "" => Ok(()),
            differences => Err(differences.to_owned()),
        }
    });
}

/// Every call whose row is another than expected, and rows of no call; empty when all is right.
fn differences(calls: &[Expected], expected: &[Row], rows: &[Row]) -> String {
    let mut text = String::new();
    for ((call, expected), row) in calls.iter().zip(expected).zip(rows) {
        if row != expected {
            let _ = writeln!(
                text,
                "{}:\n  got      {row:?}\n  expected {expected:?}",
                call.call
            );
        }
    }
    if rows.len() != calls.len() {
        let _ = writeln!(
            text,
            "{} rows of {} calls: {rows:#?}",
            rows.len(),
            calls.len()
        );
    }
    text
}

#[test]
fn python_by_grpc_with_content_as_log_events() {
    let lapwing = Lapwing::start();
    // This instrumentation leaves out a zero, so an empty answer has no output tokens.
    let calls = CALLS.map(|c| match c.call {
        "empty" => Expected {
            output_tokens: None,
            ..c
        },
        _ => c,
    });
    assert_rows(&lapwing, App::OPENAI_V2_GRPC, "python-openai-v2", &calls);

    // The content came apart from the span, and is in its row.
    let with_content =
        "SELECT count() AS n FROM llm_calls WHERE input_content LIKE '%capital of France%'";
    until("content in the rows", CORRECTION_TIME_MAX, || {
        let counts: Vec<Count> = lapwing.rows(with_content)?;
        // The embedding has none.
        match counts.as_slice() {
            [Count { n }] if *n + 1 == calls.len() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

#[test]
fn python_by_http_with_content_on_the_span() {
    let lapwing = Lapwing::start();
    let calls: Vec<_> = CALLS.into_iter().chain([RESPONSES]).collect();
    assert_rows(
        &lapwing,
        App::GENAI_OPENAI_HTTP,
        "python-genai-openai",
        &calls,
    );
    assert_rows(
        &lapwing,
        App::OPENINFERENCE_HTTP,
        "python-openinference",
        &calls,
    );
}

#[test]
fn node_by_json() {
    let lapwing = Lapwing::start();
    let calls: Vec<_> = CALLS.into_iter().chain([RESPONSES]).collect();
    assert_rows(&lapwing, App::NODE_OFFICIAL_JSON, "node-official", &calls);

    // OpenInference for Node never ends the span of a failed call, and records no usage of streams
    // and embeddings: calls of which nothing can be known are not made.
    let recorded = |c: &Expected| c.response_model == SNAPSHOT && c.call != "stream:ok";
    let calls: Vec<_> = calls.into_iter().filter(recorded).collect();
    assert_rows(
        &lapwing,
        App::NODE_OPENINFERENCE_JSON,
        "node-openinference",
        &calls,
    );
}
