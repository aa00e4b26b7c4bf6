//! The past, run through the detector again.

use std::{fs, time::Duration};

use crate::{
    otlp::{SpanOf, span, traces},
    support::{
        clients::now_ns,
        lapwing::Lapwing,
        send::{PROTOBUF, post},
        wait::until,
    },
};

const SECOND_NS: u64 = 1_000_000_000;
/// Seconds of traffic, one call in every two of them; and the outage in it, seconds before now.
const TRAFFIC_S: u64 = 6 * 3600;
const OUTAGE_S: std::ops::Range<u64> = 1800..2700;
const QUOTA: &str = "Error code: 429 - {'error': {'message': 'You exceeded your current quota, please check \
    your plan and billing details.', 'type': 'insufficient_quota', 'code': 'insufficient_quota'}}";

fn call(ago_s: u64, now: u64) -> SpanOf {
    let call = span("chat gpt-4o")
        .in_trace(ago_s)
        .id(ago_s)
        .client()
        .service("checkout")
        .at_ns(now - ago_s * SECOND_NS)
        .attr("gen_ai.operation.name", "chat")
        .attr("gen_ai.provider.name", "openai")
        .attr("gen_ai.request.model", "gpt-4o");
    match OUTAGE_S.contains(&ago_s) {
        true => call.exception("openai.RateLimitError", QUOTA).failed(QUOTA),
        false => call
            .attr("gen_ai.response.model", "gpt-4o-2024-08-06")
            .attr("gen_ai.usage.input_tokens", 20_000)
            .attr("gen_ai.usage.output_tokens", 50),
    }
}

fn kinds(lapwing: &Lapwing, more: &[&str]) -> Vec<String> {
    let arguments = [&["backtest", "--learn", "6h"], more].concat();
    let output = lapwing.command(&arguments).expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("calls and evaluations read"), "{said}");
    let lines = String::from_utf8(output.stdout).expect("text");
    let kind = |line: &str| {
        let alert: serde_json::Value = serde_json::from_str(line).expect("an alert");
        alert["kind"].as_str().expect("a kind").to_owned()
    };
    lines.lines().map(kind).collect()
}

#[test]
fn the_past_is_judged_again_and_a_detector_without_a_state_learns_from_it() {
    let mut lapwing = Lapwing::start();
    let now = now_ns();
    let spans: Vec<SpanOf> = (60..TRAFFIC_S)
        .rev()
        .step_by(2)
        .map(|ago_s| call(ago_s, now))
        .collect();
    for batch in spans.chunks(1000) {
        let answer = post(lapwing.http, "/v1/traces", &[PROTOBUF], &traces(batch));
        assert_eq!(answer.status, 200);
    }
    lapwing.settle();
    assert_eq!(kinds(&lapwing, &["--since", "1h"]), ["quota_exhausted"]);
    // The outage is older than this.
    assert!(kinds(&lapwing, &["--since", "10m"]).is_empty());
    let rules = lapwing.file("rules.toml");
    let text = "[[overrides]]\nscope = {}\nkinds = ['quota_exhausted']\ndisabled = true\n";
    fs::write(&rules, text).expect("written");
    let rules = rules.to_str().expect("text");
    assert!(
        !kinds(&lapwing, &["--since", "1h", "--rules", rules])
            .contains(&"quota_exhausted".to_owned())
    );

    lapwing.process().stop();
    // What is in the journal would be told from there.
    for lost in ["detector", "journal"] {
        fs::remove_dir_all(lapwing.data_dir().join(lost)).expect("removed");
    }
    lapwing.start_again();
    until("the detector to learn", Duration::from_secs(60), || {
        let log = lapwing.process().log();
        match log.contains("the detector learned from what is stored") {
            true => Ok(()),
            false => Err(log),
        }
    });
}
