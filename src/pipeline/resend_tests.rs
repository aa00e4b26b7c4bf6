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
    async fn commit(&self, Commit { blocks, .. }: Commit) -> Result<(), NotDurable> {
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

/// Sends the one call of these tests in other bytes each time: the same span in another batch.
fn send(pipeline: &Arc<Pipeline<Gate>>) -> JoinHandle<Result<Receipt, Refusal>> {
    static SENT: AtomicUsize = AtomicUsize::new(0);
    let spaces = " ".repeat(SENT.fetch_add(1, Ordering::Relaxed));
    send_bytes(pipeline, format!("{CALL}{spaces}"))
}

const CALL: &str = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{
        "traceId":"01010101010101010101010101010101","spanId":"0202020202020202","name":"chat",
        "startTimeUnixNano":"1795000000000000001","endTimeUnixNano":"1795000000000000002",
        "attributes":[{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}}]}]}]}]}"#;

fn send_bytes(
    pipeline: &Arc<Pipeline<Gate>>,
    body: String,
) -> JoinHandle<Result<Receipt, Refusal>> {
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

#[tokio::test]
async fn the_same_bytes_again_wait_for_the_first_and_are_not_stored_twice() {
    let (gate, pipeline) = start();
    let first = send_bytes(&pipeline, CALL.to_owned());
    assert_eq!(gate.rows_of(0).await, 1);
    let resend = send_bytes(&pipeline, CALL.to_owned());
    // Its sender gave up: the rows are on their way all the same.
    first.abort();
    gate.answer(0, Ok(()));
    assert_eq!(resend.await.expect("no panic"), Ok(Receipt::default()));
    let late = send_bytes(&pipeline, CALL.to_owned());
    assert_eq!(late.await.expect("no panic"), Ok(Receipt::default()));
    assert_eq!(gate.commits.lock().expect("no panic").len(), 1);
    assert_eq!(pipeline.stats.resent.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn the_same_bytes_again_after_a_refusal_are_worked_out_anew() {
    let (gate, pipeline) = start();
    let first = send_bytes(&pipeline, CALL.to_owned());
    assert_eq!(gate.rows_of(0).await, 1);
    gate.answer(0, failed());
    assert!(first.await.expect("no panic").is_err());
    let again = send_bytes(&pipeline, CALL.to_owned());
    assert_eq!(gate.rows_of(1).await, 1);
    gate.answer(1, Ok(()));
    assert!(again.await.expect("no panic").is_ok());
}

#[tokio::test]
async fn a_resend_of_what_an_earlier_run_acknowledged_is_known() {
    let (gate, pipeline) = start();
    let payload = Payload {
        signal: Signal::Traces,
        encoding: Encoding::Json,
        body: CALL.into(),
    };
    pipeline.remember_requests([(resend::key(&payload), crate::clock::steady_s())]);
    assert_eq!(pipeline.ingest(payload).await, Ok(Receipt::default()));
    assert!(gate.commits.lock().expect("no panic").is_empty());
}
