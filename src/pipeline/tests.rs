//! The pipeline with a durable that the test decides about.

use std::sync::Mutex;

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message;

use super::*;
use crate::{
    block::Table,
    receive::{Encoding, Signal},
};

/// Keeps what it is given, or refuses it.
#[derive(Default)]
struct Shelf {
    refuses: std::sync::atomic::AtomicBool,
    blocks: Mutex<Vec<Block>>,
}

impl Durable for Shelf {
    async fn commit(&self, Commit { blocks, .. }: Commit) -> Result<(), NotDurable> {
        if self.refuses.load(Ordering::SeqCst) {
            let retry_after = Duration::from_secs(7);
            return Err(NotDurable {
                reason: "disk on fire in rack 4".to_owned(),
                retry_after,
            });
        }
        self.blocks.lock().unwrap().extend(blocks);
        Ok(())
    }
}

impl Shelf {
    fn rows(&self, table: Table) -> u32 {
        let blocks = self.blocks.lock().unwrap();
        blocks
            .iter()
            .filter(|b| b.table == table)
            .map(|b| b.rows)
            .sum()
    }
}

fn start() -> (Arc<Pipeline<Shelf>>, Arc<Shelf>) {
    let shelf = Arc::new(Shelf::default());
    let knowledge = Knowledge {
        attributes: AttributeTable::builtin(),
        rules: Arc::clone(Rules::builtin()),
    };
    let (_, knowledge) = tokio::sync::watch::channel(knowledge);
    let pipeline = Pipeline::start(knowledge, Arc::clone(&shelf), PipelineOptions::default());
    (pipeline, shelf)
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue {
        value: Some(Value::StringValue(value.to_owned())),
    });
    KeyValue {
        key: key.to_owned(),
        value,
        ..KeyValue::default()
    }
}

/// A request with one model call of its own trace.
fn call(trace: u8) -> Payload {
    let span = Span {
        trace_id: vec![trace; 16],
        span_id: vec![trace; 8],
        name: "chat gpt-4o".to_owned(),
        start_time_unix_nano: 1_795_000_000_000_000_000,
        attributes: vec![
            text("gen_ai.operation.name", "chat"),
            text("gen_ai.request.model", "gpt-4o"),
            text(
                "gen_ai.input.messages",
                r#"[{"role":"user","content":"Hello"}]"#,
            ),
        ],
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans {
        spans: vec![span],
        ..ScopeSpans::default()
    }];
    let group = ResourceSpans {
        scope_spans,
        ..ResourceSpans::default()
    };
    let body = ExportTraceServiceRequest {
        resource_spans: vec![group],
    }
    .encode_to_vec();
    Payload {
        signal: Signal::Traces,
        encoding: Encoding::Protobuf,
        body: body.into(),
    }
}

#[tokio::test]
async fn an_answer_comes_after_the_rows_are_durable() {
    let (pipeline, shelf) = start();
    assert_eq!(pipeline.ingest(call(1)).await, Ok(Receipt::default()));
    assert_eq!(shelf.rows(Table::OtelTraces), 1);
    assert_eq!(shelf.rows(Table::LlmCallVersions), 1);
}

#[tokio::test]
async fn rows_that_are_not_durable_are_refused_and_worked_out_anew_when_sent_again() {
    let (pipeline, shelf) = start();
    shelf.refuses.store(true, Ordering::SeqCst);
    let refusal = pipeline.ingest(call(1)).await.unwrap_err();
    let Refusal::Busy {
        message,
        retry_after,
    } = refusal
    else {
        panic!("{refusal:?}")
    };
    assert_eq!(retry_after, Duration::from_secs(7));
    // What the operator must know is not the client's business.
    assert!(!message.contains("rack"), "{message}");
    shelf.refuses.store(false, Ordering::SeqCst);
    pipeline.ingest(call(1)).await.unwrap();
    assert_eq!(shelf.rows(Table::LlmCallVersions), 1);
}

#[tokio::test]
async fn a_request_sent_twice_is_one_call() {
    let (pipeline, shelf) = start();
    pipeline.ingest(call(1)).await.unwrap();
    pipeline.ingest(call(1)).await.unwrap();
    assert_eq!(shelf.rows(Table::LlmCallVersions), 1);
}

#[tokio::test]
async fn requests_at_one_time_share_a_commit() {
    let (pipeline, shelf) = start();
    let sends = (1..=20).map(|trace| {
        let pipeline = Arc::clone(&pipeline);
        tokio::spawn(async move { pipeline.ingest(call(trace)).await })
    });
    for send in sends.collect::<Vec<_>>() {
        assert_eq!(send.await.unwrap(), Ok(Receipt::default()));
    }
    assert_eq!(shelf.rows(Table::OtelTraces), 20);
    assert!(
        shelf.blocks.lock().unwrap().len() < 40,
        "a commit for each request"
    );
}

#[tokio::test]
async fn bytes_that_are_no_otlp_are_refused_for_good() {
    let (pipeline, _) = start();
    for encoding in [Encoding::Protobuf, Encoding::Json] {
        let body = b"\xff\xff\xff nonsense".to_vec().into();
        let refusal = pipeline
            .ingest(Payload {
                signal: Signal::Traces,
                encoding,
                body,
            })
            .await;
        assert!(
            matches!(refusal, Err(Refusal::Invalid { .. })),
            "{refusal:?}"
        );
    }
}

#[tokio::test]
async fn metrics_are_counted_and_refused_with_a_reason() {
    let (pipeline, _) = start();
    let body = br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","gauge":{"dataPoints":[{"asInt":1},{"asInt":2}]}}]}]}]}"#;
    let payload = Payload {
        signal: Signal::Metrics,
        encoding: Encoding::Json,
        body: bytes::Bytes::from_static(body),
    };
    let receipt = pipeline.ingest(payload).await.unwrap();
    assert_eq!(receipt.rejected, 2);
    assert!(
        receipt.message.contains("not stored yet"),
        "{}",
        receipt.message
    );
}
