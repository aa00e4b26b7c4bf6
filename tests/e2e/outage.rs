//! A store that is away for an hour: memory stays flat, alerts are sent, everything arrives after.
//!
//! Compressed in time: what an hour at 2,000 spans/s brings is sent as fast as it goes. The short
//! run has a hundredth of it; LAPWING_OUTAGE_SPANS=7200000 has it all:
//! `LAPWING_OUTAGE_SPANS=7200000 cargo test --test main e2e::outage -- --nocapture`.
//!
//! Half-way through, a model answers that is not approved: that must be told while the store is away.

use std::{
    io::Write as _,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use super::server_mode::{behind_proxy, server};
use crate::{
    alerts::receiver::{Answer, FakeReceiver},
    otlp::{span, traces},
    support::{
        clients::now_ns,
        lapwing::Lapwing,
        proxy::Plan,
        send::{PROTOBUF, try_post},
        wait::until,
    },
};

const SPANS: u64 = 72_000;
const SPANS_PER_BATCH: u64 = 100;
const SENDERS: u64 = 2;
/// For the catch-up to end; it is no measure.
const TIME_MAX: Duration = Duration::from_secs(3600);
const TEXT_BYTES: usize = 600;
/// What the configuration below allows, the blocks that the journal keeps in memory (32 MiB), the
/// inserts under way (5 tables, 2 at a time, of 64 MiB before they are compressed some 16), and the
/// program itself.
const RSS_MAX_BYTES: u64 = (32 + 32 + 32 + 5 * 2 * 16 + 128) << 20;
/// The newest segment stays, and one before it until the detector has it.
const SEGMENTS_LEFT_MAX_BYTES: u32 = 128 << 20;
const LIMITS: &str = "receivers.otlp.max_in_flight_bytes: 32MiB\ncorrelation: {max_bytes: 32MiB}\n";

fn batch(first: u64, of: u64) -> Vec<u8> {
    let model = match first < of / 2 {
        true => "gpt-4o",
        false => "gpt-5-of-nobody",
    };
    let spans: Vec<_> = (first..first + SPANS_PER_BATCH)
        .map(|n| {
            span("chat")
                .client()
                .service("checkout")
                .in_trace(n + 1)
                .id(n + 1)
                .at_ns(now_ns())
                .attr("gen_ai.operation.name", "chat")
                .attr("gen_ai.provider.name", "openai")
                .attr("gen_ai.request.model", model)
                .attr("gen_ai.response.model", model)
                .attr("text", text(n).as_str())
        })
        .collect();
    traces(&spans)
}

fn text(n: u64) -> String {
    let mut state = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut text = String::with_capacity(TEXT_BYTES + 16);
    while text.len() < TEXT_BYTES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text += &format!("{state:016x}");
    }
    text
}

/// Sends so many spans.
fn send(to: SocketAddr, spans: u64) {
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| {
                loop {
                    let first = next.fetch_add(SPANS_PER_BATCH, Relaxed);
                    if first >= spans {
                        return;
                    }
                    let body = batch(first, spans);
                    until("an answer", TIME_MAX, || {
                        match try_post(to, "/v1/traces", &[PROTOBUF], &body)?.status {
                            200 => Ok(()),
                            status => Err(format!("status {status}")),
                        }
                    });
                }
            });
        }
    });
}

fn mib(bytes: f64) -> f64 {
    bytes / (1 << 20) as f64
}

fn journal_bytes(collector: &Lapwing) -> f64 {
    collector.metric("lapwing_journal_bytes").expect("a metric")
}

#[test]
fn a_store_that_is_away_for_an_hour_costs_neither_memory_nor_rows_nor_alerts() {
    let spans = std::env::var("LAPWING_OUTAGE_SPANS");
    let spans: u64 = spans.map_or(SPANS, |text| text.parse().expect("a number"));
    let hook = FakeReceiver::start(|_| Answer::Status(200));
    let config = format!(
        "{LIMITS}detection: {{approved_models: [gpt-4o]}}\nalerts:\n  receivers:\n    hook: {{webhook: {{url: '{}', \
         allow_private_addresses: true}}}}\n",
        hook.url()
    );
    let server = server();
    let (collector, proxy) = behind_proxy(&server, "outage", &config);
    proxy.set(Plan::Away);

    let begin = Instant::now();
    let mut say = std::io::stderr();
    let parts = 6;
    let part = spans / parts / SPANS_PER_BATCH * SPANS_PER_BATCH;
    thread::scope(|scope| {
        let sending = scope.spawn(|| send(collector.http, part * parts));
        for n in 1..=parts {
            until("spans acknowledged", TIME_MAX, || {
                let queued = collector.metric("lapwing_journal_queued_rows")?;
                // Of each span a row of its own and one of its call.
                match queued >= (2 * part * n) as f64 || sending.is_finished() {
                    true => Ok(()),
                    false => Err(format!("{queued} rows")),
                }
            });
            let _ = writeln!(
                say,
                "store away, {} spans: journal {:.0} MiB, RSS {:.0} MiB",
                part * n,
                mib(journal_bytes(&collector)),
                mib(collector.rss_bytes() as f64),
            );
        }
    });
    let took = begin.elapsed();
    // Detection and delivery of alerts go on without the store.
    let alerts = hook.wait_for(1);
    let told = &alerts[0].body;
    assert!(told.contains("gpt-5-of-nobody"), "{told}");
    let stored = server.value("SELECT count() FROM outage.otel_traces");
    assert_eq!(stored.as_deref(), Ok("0"));

    let back = Instant::now();
    proxy.set(Plan::Pass);
    until("everything to be stored", TIME_MAX, || {
        match collector.metric("lapwing_journal_queued_rows")? {
            0.0 => Ok(()),
            rows => Err(format!("{rows} rows")),
        }
    });
    let caught_up = back.elapsed();
    let sent = part * parts;
    let peak = collector.peak_rss_bytes();
    let _ = writeln!(
        say,
        "{sent} spans taken in {:.0} s while the store was away, an alert sent; caught up in {:.1} s \
         ({:.0} spans/s); peak RSS {:.0} MiB, at most {:.0} allowed",
        took.as_secs_f64(),
        caught_up.as_secs_f64(),
        sent as f64 / caught_up.as_secs_f64(),
        mib(peak as f64),
        mib(RSS_MAX_BYTES as f64),
    );
    let sent = sent.to_string();
    for sql in [
        "SELECT count() FROM outage.otel_traces",
        "SELECT uniqExact(SpanId) FROM outage.otel_traces",
        "SELECT count() FROM outage.llm_calls",
    ] {
        assert_eq!(server.value(sql).as_deref(), Ok(sent.as_str()), "{sql}");
    }
    assert!(peak <= RSS_MAX_BYTES, "{peak} bytes");
    assert!(
        journal_bytes(&collector) <= f64::from(SEGMENTS_LEFT_MAX_BYTES),
        "what was delivered is deleted"
    );
}
