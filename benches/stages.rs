//! Nanoseconds per span of each stage, beside the floor measured in the same run.
//!
//! `cargo bench --bench stages [-- NAME]` (NAME: only stages whose name has it). Floors: a copy of the bytes, and prost's decoding into owned
//! structs. Each figure is the lowest tenth of several runs on one core, which on a busy machine are
//! those that were not interrupted; the ratios are what to compare.

#[path = "stages/payload.rs"]
mod payload;

use std::{hint::black_box, time::Instant};

use bumpalo::Bump;
use lapwing::{
    block::{Blocks, Compression, OmitOfSpan, Version},
    call::{Call, Content},
    decode, enrich,
    normalise::{
        AttributeTable,
        memory::{Change, Memory, MemoryLimits, observe_all},
    },
    redact::Redactor,
};
use payload::{Kind, SPANS};
use prost::Message;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RUNS: usize = 201;

fn main() {
    for kind in [Kind::Llm, Kind::Small] {
        let body = payload::request(kind);
        println!("\n{kind:?} spans, {} bytes each", body.len() / SPANS);
        stages(&body);
    }
}

fn stages(body: &[u8]) {
    let table = AttributeTable::builtin();
    let rules = enrich::Rules::builtin();
    let mut copy = vec![0u8; body.len()];
    let floor = time("copy of the bytes (floor)", 0.0, || {
        copy.copy_from_slice(black_box(body));
        copy[copy.len() / 2]
    });
    time("prost into owned structs", floor, || {
        type Request = opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
        Request::decode(black_box(body)).map(|r| r.resource_spans.len())
    });
    let redactor = Redactor::default();
    time("redact", floor, || {
        redactor.traces(black_box(body).into()).1
    });
    let mut arena = Bump::new();
    let decoded = time("decode", floor, || {
        arena.reset();
        decode::traces(black_box(body), &arena).map(|t| t.spans.len())
    });

    let arena = Bump::new();
    let Ok(request) = decode::traces(body, &arena) else {
        return;
    };
    let mut scratch = Bump::new();
    let observed = time("normalise: observe", floor, || {
        scratch.reset();
        // The views outlive the scratch; a fresh borrow of the same bytes does not.
        let arena = &scratch;
        let Ok(again) = decode::traces(body, arena) else {
            return 0;
        };
        observe_all(&table, &again, arena).spans.len()
    }) - decoded;
    println!("    of which observe alone {observed:6.0} ns");
    let all = observe_all(&table, &request, &arena);
    let remember = time("normalise: memory and fold", floor, || {
        let mut memory = Memory::new(MemoryLimits::default());
        memory.spans(&table, &request, &all, &arena, 1).rows.len()
    });

    let mut memory = Memory::new(MemoryLimits::default());
    let calls = memory.spans(&table, &request, &all, &arena, 1).rows;
    let enriched = time("enrich", floor, || {
        calls
            .iter()
            .filter(|c| enrich::enrich(rules, &c.call).failure.is_some())
            .count()
    });
    println!(
        "    decode + normalise + enrich {:6.0} ns a span",
        decoded + observed + remember + enriched
    );

    enrich_apart(rules, &calls);

    let enrichments: Vec<_> = calls
        .iter()
        .map(|c| enrich::enrich(rules, &c.call))
        .collect();
    for (name, compression) in [
        ("encode, no compression", Compression::None),
        ("encode, LZ4", Compression::Lz4),
    ] {
        let mut blocks = Blocks::new(compression);
        time(name, floor, || {
            for (at, span) in request.spans.iter().enumerate() {
                let mask = all.spans[at].as_ref().map_or(&[][..], |o| o.content_mask);
                let omit = OmitOfSpan {
                    attributes: mask,
                    ..OmitOfSpan::default()
                };
                let resource = &request.resources[span.resource as usize];
                let scope = &request.scopes[span.scope as usize];
                blocks.push_span(resource, scope, span, omit);
            }
            for (change, enrichment) in calls.iter().zip(&enrichments) {
                blocks.push_call(
                    &change.call,
                    enrichment,
                    Version {
                        sign: 1,
                        version: 1,
                    },
                );
            }
            blocks.finish().iter().map(|b| b.bytes.len()).sum::<usize>()
        });
    }
}

/// What a good call costs without its texts, and what the class of a failed one costs.
fn enrich_apart(rules: &enrich::Rules, calls: &[Change<'_>]) {
    let (failed, mut good): (Vec<Call<'_>>, Vec<Call<'_>>) = calls
        .iter()
        .map(|c| c.call.clone())
        .partition(|c| c.errors.is_error);
    for call in &mut good {
        call.input = Content::default();
        call.output = Content::default();
    }
    time_each("enrich, good, no texts", 0.0, good.len(), || {
        good.iter()
            .filter(|c| enrich::enrich(rules, c).failure.is_some())
            .count()
    });
    if failed.is_empty() {
        return;
    }
    time_each("classify, failed", 0.0, failed.len(), || {
        let classes = failed.iter().map(|call| enrich::Evidence {
            provider: call.provider,
            is_error: true,
            http_status: call.errors.http_status,
            error_type: call.errors.error_type,
            error_code: call.errors.error_code,
            exception_type: call.errors.exception_type,
            messages: call.errors.messages,
            ..enrich::Evidence::default()
        });
        classes
            .filter_map(|e| enrich::classify::classify(rules, &e))
            .count()
    });
}

/// Runs a stage over one request several times; prints and returns the lowest tenth per span.
fn time<T>(name: &str, floor: f64, stage: impl FnMut() -> T) -> f64 {
    time_each(name, floor, SPANS, stage)
}

/// The same for a stage that goes over `count` calls.
fn time_each<T>(name: &str, floor: f64, count: usize, mut stage: impl FnMut() -> T) -> f64 {
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    if wanted.is_some_and(|wanted| !name.contains(&wanted)) {
        return 0.0;
    }
    let mut runs: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            black_box(stage());
            start.elapsed().as_nanos() as f64 / count as f64
        })
        .collect();
    runs.sort_by(f64::total_cmp);
    let quick = runs[RUNS / 10];
    let ratio = if floor > 0.0 {
        format!("{:6.1} x floor", quick / floor)
    } else {
        String::new()
    };
    println!("  {name:32} {quick:7.0} ns a span {ratio}");
    quick
}
