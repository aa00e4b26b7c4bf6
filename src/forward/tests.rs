//! What goes on, read by somebody else's decoder.

use bumpalo::Bump;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;

use super::{outgoing::open, *};
use crate::{
    decode::{self, rewrite},
    normalise::otlp,
};

/// The encoded items of a body, each with the same fields appended.
fn encoded(body: &[u8], more: &[u8]) -> Encoded {
    let arena = Bump::new();
    let request = decode::traces(body, &arena).unwrap();
    let mut encoder = Encoder::new(Signal::Traces);
    let mut last = None;
    for span in &request.spans {
        let place = (span.resource, span.scope);
        if encoder.is_elsewhere(place) {
            let (resource, scope): (u32, u32) = last.unwrap();
            encoder.close(
                &request.resources[resource as usize],
                &request.scopes[scope as usize],
            );
        }
        last = Some(place);
        encoder.item(place, span.encoded, more);
    }
    let (resource, scope) = last.unwrap();
    encoder.close(
        &request.resources[resource as usize],
        &request.scopes[scope as usize],
    );
    encoder.finish(request.rejected.strings_repaired > 0)
}

#[test]
fn blocks_of_several_requests_are_one_request_together() {
    let of = |service: &str, number| {
        let span = otlp::span("chat")
            .service(service)
            .in_trace(number)
            .id(number);
        otlp::traces(&[span])
    };
    let mut outgoing = Outgoing::default();
    outgoing.push(&encoded(&of("one", 1), &[]));
    outgoing.push(&encoded(&of("two", 2), &[]));
    let blocks = outgoing.finish();
    assert_eq!(blocks.iter().map(|b| b.rows).collect::<Vec<_>>(), [2]);
    let (signal, groups) = open(&blocks[0]).unwrap();
    assert_eq!(signal, Signal::Traces);
    let request = ExportTraceServiceRequest::decode(&groups[..]).unwrap();
    let first: Vec<_> = request
        .resource_spans
        .iter()
        .map(|r| r.resource.as_ref().unwrap().attributes[0].clone().value)
        .collect();
    assert_eq!(first.len(), 2);
    assert_ne!(first[0], first[1]);
    assert!(outgoing.finish().is_empty());
}

#[test]
fn what_is_large_becomes_several_blocks_and_nothing_is_left_out() {
    let text = "x".repeat(10 << 10);
    let spans: Vec<_> = (1..=400)
        .map(|n| {
            otlp::span("chat")
                .in_trace(n)
                .id(n)
                .attr("text", text.as_str())
        })
        .collect();
    let mut outgoing = Outgoing::default();
    outgoing.push(&encoded(&otlp::traces(&spans), &[]));
    let blocks = outgoing.finish();
    assert!(blocks.len() > 2, "{}", blocks.len());
    assert_eq!(blocks.iter().map(|b| b.rows).sum::<u32>(), 400);
    for block in &blocks {
        let (_, groups) = open(block).unwrap();
        assert!(groups.len() < 2 << 20, "{}", groups.len());
        assert_eq!(rewrite::items(&groups), u64::from(block.rows));
    }
}

#[test]
fn a_text_that_is_no_text_does_not_spoil_the_request() {
    let mut body = otlp::traces(&[otlp::span("chat").attr("key", "caf~~")]);
    let at = memchr::memmem::find(&body, b"caf~~").unwrap();
    body[at + 3] = 0xc3;
    let request = encoded(&body, &[]);
    let read = ExportTraceServiceRequest::decode(&request.groups[..]).unwrap();
    let span = &read.resource_spans[0].scope_spans[0].spans[0];
    assert!(format!("{span:?}").contains("caf?~"));
}
