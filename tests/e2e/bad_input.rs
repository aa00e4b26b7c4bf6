//! What is wrong with a request is said; what is right beside it is stored; memory stays flat.

use std::{
    io::{Read, Write as _},
    sync::{Arc, Mutex, Weak},
};

use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use tonic::{Code, codec::CompressionEncoding};

use crate::{
    otlp::{SpanOf, span, traces},
    support::{
        clients::now_ns,
        lapwing::Lapwing,
        send::{GZIP, JSON, PROTOBUF, field, grpc, post},
    },
};

const MIB: u64 = 1 << 20;
const BOMB_BYTES: u64 = 200 * MIB;
/// Far above what one request may take, far below what a mistake would.
const GROWTH_MAX_BYTES: u64 = 300 * MIB;
const LEVELS: usize = 10_000;

fn lapwing() -> Arc<Lapwing> {
    static SHARED: Mutex<Weak<Lapwing>> = Mutex::new(Weak::new());
    Lapwing::shared(&SHARED)
}

/// A span that is fine, of now.
fn good(name: &str) -> SpanOf {
    span(name).at_ns(now_ns())
}

/// A request with one scope group of these encoded spans.
fn request(spans: &[Vec<u8>]) -> Vec<u8> {
    let spans: Vec<u8> = spans.iter().flat_map(|s| field(2, s)).collect();
    field(1, &field(2, &spans))
}

/// Everything that was accepted is visible when it is answered.
#[track_caller]
fn assert_stored(lapwing: &Lapwing, names: &[&str]) {
    for name in names {
        let sql = format!("SELECT count() FROM otel_traces WHERE SpanName = '{name}'");
        assert_eq!(lapwing.value(&sql).as_deref(), Ok("1"), "{name}");
    }
}

/// The same bytes are refused on both transports with these words, and a good request after them
/// is stored.
#[track_caller]
fn assert_refused(lapwing: &Lapwing, body: &[u8], words: &str, name: &str) {
    let answer = post(lapwing.http, "/v1/traces", &[PROTOBUF], body);
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains(words), "{}", answer.text());
    let status = grpc(lapwing.grpc, "trace", None, body.to_vec()).expect_err("refused");
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    assert!(status.message().contains(words), "{status}");
    let good = traces(&[good(name)]);
    let answer = post(lapwing.http, "/v1/traces", &[PROTOBUF], &good);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_stored(lapwing, &[name]);
}

/// The same spans in other bytes: the very same bytes would be taken for a resend, and stored once.
fn another(body: &[u8]) -> Vec<u8> {
    const UNKNOWN_FIELD: u8 = 15;
    [body, &field(UNKNOWN_FIELD, b"another")].concat()
}

/// The same request is taken on both transports but for one span, in these words; the good span
/// `name` in it is stored each time.
#[track_caller]
fn assert_one_rejected(lapwing: &Lapwing, body: &[u8], words: &str, name: &str) {
    let http = post(lapwing.http, "/v1/traces", &[PROTOBUF], body);
    assert_eq!(http.status, 200, "{}", http.text());
    let over_grpc = grpc(lapwing.grpc, "trace", None, another(body)).expect("taken");
    for answer in [http.body, over_grpc] {
        // partial_success { rejected_spans: 1, error_message }
        let text = String::from_utf8_lossy(&answer);
        assert_eq!(answer.get(2..4), Some(&[0x08, 1][..]), "{text}");
        assert!(text.contains(words), "{text}");
    }
    let sql = format!("SELECT count() FROM otel_traces WHERE SpanName = '{name}'");
    assert_eq!(lapwing.value(&sql).as_deref(), Ok("2"), "{name}");
}

#[test]
fn garbage_and_cut_protobuf_are_refused_with_the_place() {
    let lapwing = lapwing();
    let garbage = [0xff_u8; 300];
    assert_refused(&lapwing, &garbage, "at byte", "after garbage");
    let whole = traces(&[good("cut")]);
    assert_refused(
        &lapwing,
        &whole[..whole.len() - 7],
        "at byte",
        "after a cut request",
    );
    let answer = post(
        lapwing.http,
        "/v1/traces",
        &[JSON],
        b"{\"resourceSpans\": [",
    );
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("line 1 column"), "{}", answer.text());
}

#[test]
fn wrong_type_wrong_path_and_nothing_at_all() {
    let lapwing = lapwing();
    let body = traces(&[good("wrong type")]);
    let answer = post(
        lapwing.http,
        "/v1/traces",
        &[("content-type", "text/plain")],
        &body,
    );
    assert_eq!(answer.status, 415);
    assert!(
        answer.text().contains("application/x-protobuf"),
        "{}",
        answer.text()
    );

    let answer = post(lapwing.http, "/v1/trace", &[PROTOBUF], &body);
    assert_eq!(answer.status, 404);
    assert!(
        answer.text().contains("did you mean /v1/traces?"),
        "{}",
        answer.text()
    );

    for kind in [PROTOBUF, JSON] {
        let answer = post(lapwing.http, "/v1/traces", &[kind], b"");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(
        grpc(lapwing.grpc, "trace", None, Vec::new()).expect("taken"),
        b""
    );

    let gzip = post(lapwing.http, "/v1/traces", &[PROTOBUF, GZIP], &body);
    assert_eq!(gzip.status, 400);
    assert!(
        gzip.text().contains("cannot be decompressed as gzip"),
        "{}",
        gzip.text()
    );
    let none = "SELECT count() FROM otel_traces WHERE SpanName = 'wrong type'";
    assert_eq!(lapwing.value(none).as_deref(), Ok("0"));
}

#[test]
fn a_bomb_is_refused_and_memory_stays_flat() {
    // Its own, because its peak is looked at.
    let lapwing = Lapwing::start();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::copy(&mut std::io::repeat(0).take(BOMB_BYTES), &mut gzip).expect("zeros");
    let bomb = gzip.finish().expect("gzip");
    let explode = || {
        let answer = post(lapwing.http, "/v1/traces", &[PROTOBUF, GZIP], &bomb);
        assert_eq!(answer.status, 413, "{}", answer.text());
        assert!(answer.text().contains("smaller batches"), "{answer:?}");
        let gzip = Some(CompressionEncoding::Gzip);
        let status = grpc(lapwing.grpc, "trace", gzip, vec![0; BOMB_BYTES as usize]);
        let status = status.expect_err("refused");
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    };
    let before = lapwing.rss_bytes();
    explode();
    let after_two = lapwing.peak_rss_bytes();
    (0..15).for_each(|_| explode());
    let peak = lapwing.peak_rss_bytes();
    let _ = writeln!(
        std::io::stderr(),
        "bombs of {} bytes: {} MiB resident before, {} MiB at most with two, {} MiB with 32",
        bomb.len(),
        before / MIB,
        after_two / MIB,
        peak / MIB
    );
    // The first touch code that was not in memory yet, and each thread keeps small buffers of its own:
    // together a fraction of one bomb, however many come.
    assert!(
        after_two < before + BOMB_BYTES / 4,
        "{before} -> {after_two}"
    );
    assert!(peak < after_two + BOMB_BYTES / 5, "{after_two} -> {peak}");
    let answer = post(
        lapwing.http,
        "/v1/traces",
        &[PROTOBUF],
        &traces(&[good("after a bomb")]),
    );
    assert_eq!(answer.status, 200);
    assert_stored(&lapwing, &["after a bomb"]);
}

#[test]
fn text_that_is_not_utf8_is_kept_and_repaired() {
    let lapwing = lapwing();
    let value = field(1, b"caf\xe9 \xf0\x9f");
    let attribute = [field(1, b"note"), field(2, &value)].concat();
    let broken = [good("broken text").encoded(), field(9, &attribute)].concat();
    let body = request(&[broken, good("beside broken text").encoded()]);
    let answer = post(lapwing.http, "/v1/traces", &[PROTOBUF], &body);
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b""[..]));
    assert_stored(&lapwing, &["broken text", "beside broken text"]);
    let note = "SELECT SpanAttributes['note'] FROM otel_traces WHERE SpanName = 'broken text'";
    assert_eq!(lapwing.value(note).as_deref(), Ok("caf\u{fffd} \u{fffd}"));
}

#[test]
fn a_value_that_nests_too_deep_costs_its_span_and_no_other() {
    let lapwing = lapwing();
    let before = lapwing.rss_bytes();
    // From the inside out: an AnyValue holds an ArrayValue holds an AnyValue.
    let mut value = field(1, b"x");
    for _ in 0..LEVELS {
        value = field(5, &field(1, &value));
    }
    let attribute = [field(1, b"deep"), field(2, &value)].concat();
    let deep = [good("deep").encoded(), field(9, &attribute)].concat();
    let body = request(&[deep, good("beside the deep").encoded()]);
    assert_one_rejected(&lapwing, &body, "nest more than 64 deep", "beside the deep");

    let value = format!(
        "{}{{}}{}",
        r#"{"arrayValue":{"values":["#.repeat(LEVELS),
        "]}}".repeat(LEVELS)
    );
    let of = |id: u8, name: &str, attributes: &str| {
        let now = now_ns();
        format!(
            r#"{{"traceId":"{id:032x}","spanId":"{id:016x}","name":"{name}","startTimeUnixNano":"{now}","endTimeUnixNano":"{now}","attributes":[{attributes}]}}"#
        )
    };
    let deep = of(7, "deep", &format!(r#"{{"key":"deep","value":{value}}}"#));
    let good = of(8, "beside the deep in json", "");
    let body = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{deep},{good}]}}]}}]}}"#);
    let answer = post(lapwing.http, "/v1/traces", &[JSON], body.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(
        answer.text().contains(r#""rejectedSpans":"1""#),
        "{}",
        answer.text()
    );
    assert!(
        answer.text().contains("nest more than 64 deep"),
        "{}",
        answer.text()
    );
    assert_stored(&lapwing, &["beside the deep in json"]);
    assert!(lapwing.rss_bytes() < before + GROWTH_MAX_BYTES);
}

#[test]
fn ids_of_zero_are_rejected_alone() {
    let lapwing = lapwing();
    let zeros = [
        (
            good("no trace").trace(0),
            "beside no trace",
            "trace id is all zero",
        ),
        (good("no id").id(0), "beside no id", "span id is all zero"),
    ];
    for (zero, beside, reason) in zeros {
        let body = traces(&[good(beside).trace(9), zero]);
        assert_one_rejected(&lapwing, &body, reason, beside);
    }
    let none = "SELECT count() FROM otel_traces WHERE SpanName IN ('no trace', 'no id')";
    assert_eq!(lapwing.value(none).as_deref(), Ok("0"));
}

/// A broken clock or another unit: the store would take such a row and drop it for its age, so the
/// sender is told.
#[test]
fn times_of_1970_and_2200_are_rejected_alone() {
    let lapwing = lapwing();
    const YEAR_2200_NS: u64 = 7_258_118_400_000_000_000;
    let cases = [
        ("of 0", 0, "check the clock and the unit"),
        (
            "of 1970",
            86_400_000_000_000,
            "check the clock and the unit",
        ),
        ("of 2200", YEAR_2200_NS, "check the clock and the unit"),
        (
            "of the end of time",
            u64::MAX,
            "check the clock and the unit",
        ),
    ];
    for (name, ns, reason) in cases {
        let beside = format!("beside {name}");
        let body = traces(&[good(name).trace(12).at_ns(ns), good(&beside).trace(13)]);
        assert_one_rejected(&lapwing, &body, reason, &beside);
    }
    let none = "SELECT count() FROM otel_traces WHERE SpanName LIKE 'of %'";
    assert_eq!(lapwing.value(none).as_deref(), Ok("0"));
}

#[test]
fn metrics_are_answered_as_rejected() {
    let lapwing = lapwing();
    let points = json!([{"asInt": "1", "timeUnixNano": "1"}, {"asInt": "2", "timeUnixNano": "2"}]);
    let body = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [
        {"name": "queue", "gauge": {"dataPoints": points}}
    ]}]}]});
    let answer = post(
        lapwing.http,
        "/v1/metrics",
        &[JSON],
        body.to_string().as_bytes(),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(
        answer.text().contains(r#""rejectedDataPoints":"2""#),
        "{}",
        answer.text()
    );
    assert!(
        answer.text().contains("metrics are not stored yet"),
        "{}",
        answer.text()
    );

    let point = field(1, &[0x31, 1, 0, 0, 0, 0, 0, 0, 0]);
    let metric = [field(1, b"queue"), field(5, &point.repeat(3))].concat();
    let body = field(1, &field(2, &field(2, &metric)));
    let answer = grpc(lapwing.grpc, "metrics", None, body).expect("taken");
    assert_eq!(answer.get(2..4), Some(&[0x08, 3][..]), "{answer:?}");
    assert!(String::from_utf8_lossy(&answer).contains("metrics are not stored yet"));
}
