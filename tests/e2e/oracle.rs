//! An oracle: senders as real exporters are, and a comparison of what they sent with what is found.
//!
//! A batch that is not answered is sent again, byte for byte, until it is. In the end everything
//! issued was acknowledged, so everything must be found once, with the text it was sent with.

use std::{
    collections::HashMap,
    io::Write as _,
    net::SocketAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, Scope},
    time::Duration,
};

use serde::Deserialize;

use crate::{
    otlp::{span, traces},
    support::{
        clients::now_ns,
        lapwing::Lapwing,
        send::{PROTOBUF, try_post},
        wait::until,
    },
};

const SENDERS: u64 = 4;
pub const SPANS_PER_BATCH: u64 = 5;
/// Bytes of text in each span, so that blocks have some size.
const TEXT_BYTES: usize = 600;
pub const TIME_MAX: Duration = Duration::from_secs(120);
/// An exporter's pause before it sends again.
const RESEND_PAUSE: Duration = Duration::from_millis(30);

/// What was issued and what was acknowledged.
#[derive(Debug, Default)]
pub struct Oracle {
    next: AtomicU64,
    acknowledged: Mutex<Vec<u64>>,
    resent: AtomicU64,
    done: AtomicBool,
}

#[derive(Debug, Deserialize)]
struct Found {
    id: String,
    copies: u32,
    text: String,
}

#[derive(Debug, Deserialize)]
struct Call {
    id: String,
    rows: i64,
}

/// What came of a run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Verdict {
    lost: usize,
    doubled: usize,
    garbled: usize,
    calls_wrong: usize,
}

/// The text of a span, known from its number.
fn text(id: u64) -> String {
    let mut state = id.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut text = String::with_capacity(TEXT_BYTES + 16);
    while text.len() < TEXT_BYTES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text += &format!("{state:016x}");
    }
    text
}

impl Oracle {
    /// Senders that go on until what this gives is dropped.
    pub fn start<'s>(&'s self, scope: &'s Scope<'s, '_>, to: SocketAddr) -> Done<'s> {
        for _ in 0..SENDERS {
            scope.spawn(move || self.send(to));
        }
        Done(self)
    }

    /// Sends batches until told to end; each until it is acknowledged.
    fn send(&self, to: SocketAddr) {
        while !self.done.load(Ordering::Relaxed) {
            let first = self.next.fetch_add(SPANS_PER_BATCH, Ordering::Relaxed) + 1;
            let ids: Vec<u64> = (first..first + SPANS_PER_BATCH).collect();
            let spans: Vec<_> = ids
                .iter()
                .map(|id| {
                    span("chat gpt-4o")
                        .in_trace(*id)
                        .id(*id)
                        .at_ns(now_ns())
                        .attr("gen_ai.operation.name", "chat")
                        .attr("gen_ai.request.model", "gpt-4o")
                        .attr("oracle.text", text(*id).as_str())
                })
                .collect();
            let body = traces(&spans);
            while !try_post(to, "/v1/traces", &[PROTOBUF], &body).is_ok_and(|a| a.status == 200) {
                self.resent.fetch_add(1, Ordering::Relaxed);
                thread::sleep(RESEND_PAUSE);
            }
            self.acknowledged().extend(ids);
        }
    }

    pub fn acknowledged(&self) -> std::sync::MutexGuard<'_, Vec<u64>> {
        let lock = self.acknowledged.lock();
        lock.unwrap_or_else(PoisonError::into_inner)
    }

    pub fn wait_for_more(&self, count: usize) {
        let wanted = self.acknowledged().len() + count;
        until("acknowledged spans", TIME_MAX, || {
            match self.acknowledged().len() {
                n if n >= wanted => Ok(()),
                n => Err(format!("{n} of {wanted}")),
            }
        });
    }

    /// Says what came of a run. Everything acknowledged must be stored once, and the rollups must
    /// say what the rows say.
    #[track_caller]
    pub fn judge(&self, lapwing: &Lapwing, what: &str) {
        let verdict = self.verdict(lapwing);
        let _ = writeln!(
            std::io::stderr(),
            "{what}: {} issued, {} acknowledged, {} batches sent again, {verdict:?}",
            self.next.load(Ordering::Relaxed),
            self.acknowledged().len(),
            self.resent.load(Ordering::Relaxed),
        );
        assert_eq!(verdict, Verdict::default());
        let calls = lapwing.value("SELECT count() FROM llm_calls WHERE duplicate_of = ''");
        for rollup in ["llm_calls_1m", "llm_calls_1h"] {
            let sum = lapwing.value(&format!("SELECT sum(calls) FROM {rollup}"));
            assert_eq!(sum, calls, "{rollup}");
        }
        assert_eq!(lapwing.metric("lapwing_journal_unaccounted_rows"), Ok(0.0));
    }

    /// Compares what was acknowledged with what is in the store.
    fn verdict(&self, lapwing: &Lapwing) -> Verdict {
        let spans: Vec<Found> = lapwing
            .rows(
                "SELECT SpanId AS id, toUInt32(count()) AS copies, \
                 any(SpanAttributes['oracle.text']) AS text FROM otel_traces GROUP BY id",
            )
            .expect("spans");
        let calls: Vec<Call> = lapwing
            .rows("SELECT span_id AS id, sum(toInt64(sign)) AS rows FROM llm_call_versions GROUP BY id")
            .expect("calls");
        let spans: HashMap<u64, Found> = spans.into_iter().map(|f| (number(&f.id), f)).collect();
        let calls: HashMap<u64, i64> = calls.iter().map(|c| (number(&c.id), c.rows)).collect();
        let mut verdict = Verdict::default();
        for id in self.acknowledged().iter() {
            match spans.get(id) {
                None => verdict.lost += 1,
                Some(found) if found.text != text(*id) => verdict.garbled += 1,
                Some(_) => {}
            }
            verdict.calls_wrong += usize::from(calls.get(id) != Some(&1));
        }
        verdict.doubled = spans.values().filter(|found| found.copies > 1).count();
        verdict
    }
}

fn number(hex: &str) -> u64 {
    u64::from_str_radix(hex, 16).expect("an id")
}

/// Ends the senders when the test leaves, by a panic too.
pub struct Done<'a>(&'a Oracle);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.done.store(true, Ordering::Relaxed);
    }
}
