//! Who is answered what, and when, with commits that end as the test says.

use tokio::{sync::oneshot, task::JoinHandle};

use super::*;
use crate::{
    block::Table,
    receive::{Encoding, Signal},
};

type Answer = oneshot::Sender<Result<(), NotDurable>>;

/// Holds every commit until the test answers it.
#[derive(Default)]
struct Gate {
    /// Rows of `llm_call_versions` in each commit, and who waits.
    commits: Mutex<Vec<(u32, Option<Answer>)>>,
}

impl Durable for Gate {
    async fn commit(&self, blocks: Vec<Block>) -> Result<(), NotDurable> {
        let (answer, answered) = oneshot::channel();
        let calls = blocks.iter().filter(|b| b.table == Table::LlmCallVersions);
        let rows = calls.map(|b| b.rows).sum();
        self.commits
            .lock()
            .expect("no panic")
            .push((rows, Some(answer)));
        answered.await.expect("an answer")
    }
}

impl Gate {
    /// The rows of calls in commit `at`, counted from 0, once it is there.
    async fn rows_of(&self, at: usize) -> u32 {
        loop {
            if let Some((rows, _)) = self.commits.lock().expect("no panic").get(at) {
                return *rows;
            }
            tokio::task::yield_now().await;
        }
    }

    fn answer(&self, at: usize, result: Result<(), NotDurable>) {
        let answer = self.commits.lock().expect("no panic")[at].1.take();
        answer.expect("a commit").send(result).expect("waited for");
    }
}

fn failed() -> Result<(), NotDurable> {
    Err(NotDurable {
        reason: "disk full".to_owned(),
        retry_after: Duration::from_secs(1),
    })
}

fn start() -> (Arc<Gate>, Arc<Pipeline<Gate>>) {
    let gate = Arc::new(Gate::default());
    let (_, knowledge) = tokio::sync::watch::channel(Knowledge {
        attributes: AttributeTable::builtin(),
        rules: Arc::clone(Rules::builtin()),
    });
    let options = PipelineOptions {
        lanes: 2,
        ..PipelineOptions::default()
    };
    let pipeline = Pipeline::start(knowledge, Arc::clone(&gate), options);
    (gate, pipeline)
}

/// Sends the one call of these tests.
fn send(pipeline: &Arc<Pipeline<Gate>>) -> JoinHandle<Result<Receipt, Refusal>> {
    let body = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{
        "traceId":"01010101010101010101010101010101","spanId":"0202020202020202","name":"chat",
        "startTimeUnixNano":"1795000000000000001","endTimeUnixNano":"1795000000000000002",
        "attributes":[{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}}]}]}]}]}"#;
    let payload = Payload {
        signal: Signal::Traces,
        encoding: Encoding::Json,
        body: body.into(),
    };
    let pipeline = Arc::clone(pipeline);
    tokio::spawn(async move { pipeline.ingest(payload).await })
}

#[tokio::test]
async fn a_resend_is_not_acknowledged_before_the_row_it_rests_on() {
    let (gate, pipeline) = start();
    let first = send(&pipeline);
    assert_eq!(gate.rows_of(0).await, 1);
    let resend = send(&pipeline);
    assert_eq!(gate.rows_of(1).await, 0, "the row is under way already");
    gate.answer(1, Ok(()));
    gate.answer(0, failed());
    for answer in [first, resend] {
        let refusal = answer.await.expect("no panic").expect_err("not stored");
        assert!(matches!(refusal, Refusal::Busy { .. }), "{refusal:?}");
    }
    // Nobody has it, so the next try brings the row again.
    let again = send(&pipeline);
    assert_eq!(gate.rows_of(2).await, 1);
    gate.answer(2, Ok(()));
    assert!(again.await.expect("no panic").is_ok());
    // And now that it is there, a resend waits for nobody else.
    let late = send(&pipeline);
    assert_eq!(gate.rows_of(3).await, 0);
    gate.answer(3, Ok(()));
    assert!(late.await.expect("no panic").is_ok());
    assert!(pipeline.recent().in_flight.is_empty());
}
