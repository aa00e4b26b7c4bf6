//! `lapwing doctor`: with a collector, without one, and at a wrong port.

use crate::{
    otlp::{span, traces},
    support::{
        clients::now_ns,
        lapwing::Lapwing,
        send::{PROTOBUF, post},
        wait::free_addresses,
    },
};

/// Exit code and output.
fn doctor(lapwing: &Lapwing, arguments: &[&str]) -> (Option<i32>, String) {
    let arguments = [&["doctor"], arguments].concat();
    let output = lapwing.command(&arguments).expect("an answer");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), text)
}

/// Lines that begin like this.
fn lines<'t>(text: &'t str, head: &str) -> Vec<&'t str> {
    text.lines().filter(|line| line.starts_with(head)).collect()
}

#[test]
fn a_sound_collector_is_told_to_be_sound_and_the_probe_is_no_traffic() {
    let lapwing = Lapwing::start();
    let (code, text) = doctor(&lapwing, &[]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(lines(&text, "ok    probe").len(), 2, "{text}");
    assert!(text.contains("nothing has come"), "{text}");
    for table in ["llm_calls", "llm_calls_1m"] {
        let rows = lapwing.value(&format!("SELECT count() FROM {table}"));
        assert_eq!(rows, Ok("0".to_owned()), "{table}");
    }
    assert_eq!(lapwing.metric("lapwing_detector_facts_total"), Ok(0.0));
}

#[test]
fn spans_that_are_no_calls_are_shown_with_what_they_have() {
    let lapwing = Lapwing::start();
    let strange = span("ask the oracle")
        .in_trace(1)
        .id(1)
        .at_ns(now_ns())
        .scope("homegrown")
        .attr("acme.llm.which", "gpt-4o")
        .attr("acme.llm.tokens", 7);
    let sent = post(lapwing.http, "/v1/traces", &[PROTOBUF], &traces(&[strange]));
    assert_eq!(sent.status, 200);
    lapwing.settle();
    let (code, text) = doctor(&lapwing, &["--no-probe"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(lines(&text, "look  traffic").len() == 1, "{text}");
    let strange = lines(&text, "look  spans");
    assert!(
        strange[0].contains("homegrown") && strange[0].contains("acme.llm.which"),
        "{text}"
    );
    assert!(text.contains("rules.attributes_file"), "{text}");
    assert!(lines(&text, "ok    probe").is_empty(), "{text}");
}

#[test]
fn without_a_collector_it_says_what_to_start() {
    let mut lapwing = Lapwing::start();
    lapwing.process().stop();
    let (code, text) = doctor(&lapwing, &[]);
    assert_eq!(code, Some(1), "{text}");
    for about in ["collector", "OTLP/gRPC", "OTLP/HTTP", "store"] {
        assert_eq!(
            lines(&text, &format!("WRONG {about}")).len(),
            1,
            "{about}: {text}"
        );
    }
    assert!(text.contains("start `lapwing serve`"), "{text}");
    assert_eq!(lines(&text, "ok    journal").len(), 1, "{text}");
}

#[test]
fn a_wrong_port_is_named() {
    let lapwing = Lapwing::start();
    let [nobody] = free_addresses();
    let file = lapwing.file("lapwing.yaml");
    let config = std::fs::read_to_string(&file).expect("the configuration");
    // HTTP where nobody is; gRPC where HTTP is not gRPC.
    let wrong = config
        .replace(&lapwing.http.to_string(), &nobody.to_string())
        .replace(&lapwing.grpc.to_string(), &lapwing.clickhouse.to_string())
        .replace("embedded: {listen:", "embedded: {memory_limit: 1GiB}} #");
    std::fs::write(&file, wrong).expect("the configuration written");
    let (code, text) = doctor(&lapwing, &[]);
    assert_eq!(code, Some(1), "{text}");
    assert_eq!(lines(&text, "ok    collector").len(), 1, "{text}");
    let http = lines(&text, "WRONG OTLP/HTTP");
    assert!(http[0].contains(&nobody.to_string()), "{text}");
    assert_eq!(lines(&text, "WRONG OTLP/gRPC").len(), 1, "{text}");
    assert_eq!(lines(&text, "look  probe").len(), 1, "{text}");
}
