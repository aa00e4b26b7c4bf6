//! Blocks read back by a decoder that knows only the format, not the builders.

mod reader;

use super::*;
use crate::call::{Cost, Failure, FailureClass, FaultDomain, Phase, RetryAdvice};
use crate::decode::{Attribute, Event, Link, SpanKind, Status, StatusCode, Value};
use reader::{Cell, read};

fn text(key: &'static str, value: &'static str) -> Attribute<'static> {
    Attribute {
        key,
        value: Value::Str(value),
    }
}

fn map(pairs: &[(&str, &str)]) -> Cell {
    let pair = |(k, v): &(&str, &str)| (k.to_string(), v.to_string());
    Cell::Map(pairs.iter().map(pair).collect())
}

fn span() -> Span<'static> {
    Span {
        trace_id: [0xab; 16],
        span_id: [1, 2, 3, 4, 5, 6, 7, 8],
        name: "chat gpt-4o",
        kind: SpanKind::Client,
        start_ns: 1_700_000_000_000_000_001,
        end_ns: 1_700_000_000_500_000_001,
        status: Status {
            code: StatusCode::Error,
            message: "boom",
        },
        ..Span::default()
    }
}

/// The cells of a column over all rows of one block.
fn column(block: &Block, name: &str) -> Vec<Cell> {
    let blocks = read(block);
    assert_eq!(blocks.len(), 1);
    let found = blocks[0].iter().find(|(column, _)| column == name);
    found.map(|(_, cells)| cells.clone()).expect(name)
}

#[test]
fn a_span_is_read_back_with_its_events_and_links() {
    let attributes = [
        text("gen_ai.request.model", "gpt-4o"),
        text("prompt", "secret"),
        Attribute {
            key: "n",
            value: Value::Int(-7),
        },
    ];
    let event_attributes = [text("exception.type", "E"), text("content", "long")];
    let events = [Event {
        time_ns: 5,
        name: "exception",
        attributes: &event_attributes,
    }];
    let links = [Link {
        trace_id: [0x11; 16],
        ..Link::default()
    }];
    let span = Span {
        attributes: &attributes,
        events: &events,
        links: &links,
        ..span()
    };
    let resource_attributes = [text("service.name", "shop"), text("k", "v")];
    let resource = Resource {
        attributes: &resource_attributes,
        ..Resource::default()
    };
    for compression in [Compression::None, Compression::Lz4] {
        let mut blocks = Blocks::new(compression);
        let omit = OmitOfSpan {
            attributes: &[false, true],
            event_attributes: &[&[false, true]],
        };
        blocks.push_span(&resource, &Scope::default(), &span, omit);
        let finished = blocks.finish();
        let [block] = finished.as_slice() else {
            panic!("one block, not {}", finished.len());
        };
        assert_eq!((block.table, block.rows), (Table::OtelTraces, 1));
        let one = |name| column(block, name).remove(0);
        assert_eq!(one("Timestamp"), Cell::Int(1_700_000_000_000_000_001));
        assert_eq!(one("TraceId"), Cell::Text("ab".repeat(16)));
        assert_eq!(one("SpanId"), Cell::Text("0102030405060708".into()));
        assert_eq!(one("ParentSpanId"), Cell::Text(String::new()));
        assert_eq!(one("Duration"), Cell::Int(500_000_000));
        assert_eq!(one("ServiceName"), Cell::Text("shop".into()));
        let all = [("service.name", "shop"), ("k", "v")];
        assert_eq!(one("ResourceAttributes"), map(&all));
        let kept = [("gen_ai.request.model", "gpt-4o"), ("n", "-7")];
        assert_eq!(one("SpanAttributes"), map(&kept));
        assert_eq!(one("Events.Timestamp"), Cell::List(vec![Cell::Int(5)]));
        let kept = map(&[("exception.type", "E")]);
        assert_eq!(one("Events.Attributes"), Cell::List(vec![kept]));
        let link = Cell::Text("11".repeat(16));
        assert_eq!(one("Links.TraceId"), Cell::List(vec![link]));
    }
}

#[test]
fn a_repeated_key_is_written_once_with_its_last_value() {
    let mut attributes = vec![text("a", "1"), text("b", "2"), text("a", "3")];
    let mut blocks = Blocks::new(Compression::None);
    let push = |blocks: &mut Blocks, attributes: &[Attribute<'static>]| {
        let span = span();
        let span = Span { attributes, ..span };
        let (resource, scope) = (Resource::default(), Scope::default());
        blocks.push_span(&resource, &scope, &span, OmitOfSpan::default());
    };
    push(&mut blocks, &attributes);
    // Long lists take another path.
    let keys: Vec<String> = (0..200).map(|i| format!("key{i}")).collect();
    let more = keys.iter().map(|key| Attribute {
        key: key.clone().leak(),
        value: Value::Bool(true),
    });
    attributes.extend(more);
    push(&mut blocks, &attributes);
    let block = blocks.finish().remove(0);
    let cells = column(&block, "SpanAttributes");
    assert_eq!(cells[0], map(&[("b", "2"), ("a", "3")]));
    let Cell::Map(pairs) = &cells[1] else {
        panic!("a map");
    };
    assert_eq!(pairs.len(), 202);
}

#[test]
fn the_copy_of_a_resource_is_the_same_as_the_resource() {
    let shop = [text("service.name", "shop"), text("zone", "a")];
    let bank = [text("service.name", "bank")];
    let resource = |attributes, encoded| Resource {
        attributes,
        encoded,
        ..Resource::default()
    };
    let (shop, bank) = (resource(&shop, b"shop"), resource(&bank, b"bank"));
    let mut blocks = Blocks::new(Compression::None);
    for round in 0..2 {
        for resource in [&shop, &shop, &bank, &shop] {
            let (scope, omit) = (Scope::default(), OmitOfSpan::default());
            blocks.push_span(resource, &scope, &span(), omit);
        }
        let block = blocks.finish().remove(0);
        let shop = map(&[("service.name", "shop"), ("zone", "a")]);
        let bank = map(&[("service.name", "bank")]);
        let rows = column(&block, "ResourceAttributes");
        assert_eq!(rows, [shop.clone(), shop.clone(), bank, shop], "{round}");
        let names = ["shop", "shop", "bank", "shop"].map(|n| Cell::Text(n.into()));
        assert_eq!(column(&block, "ServiceName"), names);
    }
}

#[test]
fn a_log_record_without_a_time_has_the_one_when_it_was_observed() {
    let mut blocks = Blocks::new(Compression::Lz4);
    let record = LogRecord {
        observed_time_ns: 42,
        severity_number: 17,
        body: Value::Int(3),
        event_name: "gen_ai.choice",
        ..LogRecord::default()
    };
    let (resource, scope) = (Resource::default(), Scope::default());
    blocks.push_log(&resource, &scope, &record, OmitOfLog::default());
    let omit = OmitOfLog {
        body: true,
        ..OmitOfLog::default()
    };
    blocks.push_log(&resource, &scope, &record, omit);
    let block = blocks.finish().remove(0);
    assert_eq!(column(&block, "Timestamp"), [Cell::Int(42), Cell::Int(42)]);
    let bodies = ["3", ""].map(|body| Cell::Text(body.into()));
    assert_eq!(column(&block, "Body"), bodies);
    assert_eq!(column(&block, "SeverityNumber")[0], Cell::Int(17));
    assert_eq!(column(&block, "TraceId")[0], Cell::Text(String::new()));
}

#[test]
fn a_call_taken_back_repeats_its_measures_but_not_its_content() {
    let mut call = Call {
        service: "shop",
        dimensions: &[("team", "a")],
        streaming: Some(true),
        ..Call::default()
    };
    call.usage.input_tokens = Some(12);
    call.input.text = "hello";
    call.errors.http_status = Some(500);
    let enrichment = Enrichment {
        failure: Some(Failure {
            class: FailureClass::RateLimitTokens,
            phase: Phase::BeforeGeneration,
            fault_domain: FaultDomain::Ours,
            retry: RetryAdvice::AfterDelay,
            retry_after_ms: Some(1500),
            http_status: Some(429),
            error_code: "rate_limit_exceeded".into(),
            request_id: "req_1".into(),
            message: "too many".into(),
            evidence: "code".into(),
        }),
        cost: Cost {
            total_usd: Some(0.000_012_5),
            ..Cost::default()
        },
        ..Enrichment::default()
    };
    let mut blocks = Blocks::new(Compression::None);
    for sign in [1, -1] {
        blocks.push_call(&call, &enrichment, Version { sign, version: 1 });
    }
    let block = blocks.finish().remove(0);
    let both = |name, cell: Cell| assert_eq!(column(&block, name), [cell.clone(), cell]);
    both("input_tokens", Cell::Int(12));
    both("output_tokens", Cell::Null);
    both("cost_usd", Cell::Int(12_500_000));
    both("cost_input_usd", Cell::Null);
    both("http_status", Cell::Int(429));
    both("failure_class", Cell::Text("llm.rate_limit.tokens".into()));
    both("request_id", Cell::Text("req_1".into()));
    both("streaming", Cell::Int(1));
    both("dimensions", map(&[("team", "a")]));
    let said = ["hello", ""].map(|said| Cell::Text(said.into()));
    assert_eq!(column(&block, "input_content"), said);
    assert_eq!(column(&block, "sign"), [Cell::Int(1), Cell::Int(-1)]);
}

#[test]
fn absurd_clocks_make_more_blocks_but_no_block_with_many_days() {
    let mut blocks = Blocks::new(Compression::None);
    let times = (0..120).map(|day| day * DAY_NS).chain([u64::MAX, 0]);
    for start_ns in times {
        let span = Span { start_ns, ..span() };
        let (resource, scope) = (Resource::default(), Scope::default());
        blocks.push_span(&resource, &scope, &span, OmitOfSpan::default());
    }
    assert_eq!(blocks.rows(), 122);
    let finished = blocks.finish();
    assert_eq!(finished.iter().map(|b| b.rows).sum::<u32>(), 122);
    assert_eq!(finished.len(), 3);
    assert!(finished.iter().all(|b| b.days.len() <= BLOCK_DAYS_MAX));
    let last = column(&finished[2], "Timestamp");
    assert!(
        last.contains(&Cell::Int(i64::MAX.into())),
        "cut to the range"
    );
    assert_eq!(blocks.rows(), 0);
    assert!(blocks.finish().is_empty());
}

#[test]
fn a_column_of_many_frames_is_whole() {
    let long: &str = "0123456789abcdef".repeat(200_000).leak();
    let attributes = [text("long", long)];
    let mut blocks = Blocks::new(Compression::Lz4);
    let span = Span {
        attributes: &attributes,
        ..span()
    };
    let (resource, scope) = (Resource::default(), Scope::default());
    blocks.push_span(&resource, &scope, &span, OmitOfSpan::default());
    let block = blocks.finish().remove(0);
    assert!(block.bytes.len() < block.uncompressed_bytes / 10);
    assert_eq!(column(&block, "SpanAttributes"), [map(&[("long", long)])]);
}

proptest::proptest! {
    #[test]
    fn any_attributes_are_read_back(
        rows in proptest::collection::vec(
            proptest::collection::btree_map(".{0,20}", ".{0,300}", 0..20),
            1..20,
        ),
        lz4 in proptest::bool::ANY,
    ) {
        let compression = if lz4 { Compression::Lz4 } else { Compression::None };
        let mut blocks = Blocks::new(compression);
        for row in &rows {
            let attributes: Vec<Attribute<'_>> = row
                .iter()
                .map(|(key, value)| Attribute { key, value: Value::Str(value) })
                .collect();
            let span = Span { attributes: &attributes, ..span() };
            let (resource, scope) = (Resource::default(), Scope::default());
            blocks.push_span(&resource, &scope, &span, OmitOfSpan::default());
        }
        let bytes = blocks.bytes();
        let block = blocks.finish().remove(0);
        proptest::prop_assert!(block.uncompressed_bytes >= bytes);
        let expected: Vec<Cell> = rows
            .into_iter()
            .map(|row| Cell::Map(row.into_iter().collect()))
            .collect();
        proptest::prop_assert_eq!(column(&block, "SpanAttributes"), expected);
    }
}

/// How long it takes to encode spans of 3.3 KB and their calls: run with `--ignored --nocapture`
/// in a release build. It prints, and asserts nothing about time.
#[test]
#[ignore = "a measurement, not a check"]
fn measure_encoding() {
    let content: &str = "What is the capital of France? ".repeat(40).leak();
    let mut attributes: Vec<Attribute<'_>> = (0..24)
        .map(|i| {
            text(
                format!("gen_ai.some.attribute.{i}").leak(),
                "some value here",
            )
        })
        .collect();
    attributes.push(text("gen_ai.input.messages", content));
    attributes.push(text("gen_ai.output.messages", content));
    let resource_attributes: Vec<Attribute<'_>> = (0..8)
        .map(|i| text(format!("resource.attribute.{i}").leak(), "some value here"))
        .collect();
    let resource = Resource {
        attributes: &resource_attributes,
        encoded: b"some encoded resource",
        ..Resource::default()
    };
    let span = Span {
        attributes: &attributes,
        ..span()
    };
    let mut call = Call::default();
    call.input.text = content;
    call.output.text = content;
    let mut omit_list = [false; 26];
    for omit_content in [false, true] {
        omit_list[24..].fill(omit_content);
        let omit = OmitOfSpan {
            attributes: &omit_list,
            ..OmitOfSpan::default()
        };
        for compression in [Compression::None, Compression::Lz4] {
            let mut blocks = Blocks::new(compression);
            const ROWS: u32 = 200;
            let mut best = std::time::Duration::MAX;
            for _ in 0..500 {
                let start = std::time::Instant::now();
                for _ in 0..ROWS {
                    blocks.push_span(&resource, &Scope::default(), &span, omit);
                    let version = Version {
                        sign: 1,
                        version: 1,
                    };
                    blocks.push_call(&call, &Enrichment::default(), version);
                }
                std::hint::black_box(blocks.finish());
                best = best.min(start.elapsed() / ROWS);
            }
            println!("omit content {omit_content}, {compression:?}: {best:?} per span and call");
        }
    }
}
