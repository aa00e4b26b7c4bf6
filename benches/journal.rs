//! What durability costs: acknowledgement latency and CPU of `disk` against `os` and `memory`, in turns
//! in one run.
//!
//! `cargo bench --bench journal`; LAPWING_BENCH_SPANS_PER_S sets the load (20000 by default). Requests
//! of 100 LLM spans come at a fixed rate whether the last are answered or not, and latency counts
//! from when one was due. The store is a server in this process that takes everything. The CPU
//! figures hold the sender and that server, too: the difference between the lines is the journal.

#[allow(dead_code, reason = "the stages use the small spans, too")]
#[path = "stages/payload.rs"]
mod payload;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, body::Body};
use lapwing::{
    enrich::Rules,
    journal::{BatchConfig, Durability, Journal, JournalOptions},
    normalise::AttributeTable,
    pipeline::{Knowledge, Pipeline, PipelineOptions},
    receive::{Encoding, Ingest, Payload, Signal},
    store::{Store, Target},
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use payload::Kind;
use prost::Message;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SPANS_PER_REQUEST: usize = 100;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(5);
/// The kernel counts processor time in these (USER_HZ).
const TICK: Duration = Duration::from_millis(10);

/// One mode in one round.
struct Figures {
    cpu_us_per_span: f64,
    /// Sorted.
    latencies: Vec<Duration>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rate = std::env::var("LAPWING_BENCH_SPANS_PER_S");
    let spans_per_s: usize = rate.map_or(Ok(20_000), |rate| rate.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let modes = [
        ("memory", Durability::Memory),
        ("os", Durability::Os),
        ("disk", Durability::Disk),
    ];
    println!("{spans_per_s} LLM spans/s, requests of {SPANS_PER_REQUEST}, {ROUNDS} rounds");
    let mut all: Vec<(&str, [f64; 3])> = Vec::new();
    for round in 1..=ROUNDS {
        for (name, durability) in modes {
            let figures = runtime.block_on(measure(durability, spans_per_s))?;
            let row = [
                figures.latency_ms(0.5),
                figures.latency_ms(0.99),
                figures.cpu_us_per_span,
            ];
            println!("round {round}  {}", line(name, row));
            all.push((name, row));
        }
    }
    let medians = modes.map(|(name, _)| (name, median(&all, name)));
    for (name, row) in medians {
        println!("median   {}", line(name, row));
    }
    let [memory, _, disk] = medians.map(|(_, [_, _, cpu])| cpu);
    println!(
        "journal on disk: {:.2} us/span more than memory",
        disk - memory
    );
    Ok(())
}

fn line(name: &str, [p50, p99, cpu]: [f64; 3]) -> String {
    format!("{name:<6}  ack p50 {p50:6.2} ms  p99 {p99:7.2} ms  cpu {cpu:6.2} us/span")
}

/// Of each figure of a mode.
fn median(all: &[(&str, [f64; 3])], name: &str) -> [f64; 3] {
    std::array::from_fn(|at| {
        let rows = all.iter().filter(|(of, _)| *of == name);
        let mut values: Vec<f64> = rows.map(|(_, row)| row[at]).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    })
}

impl Figures {
    fn latency_ms(&self, q: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let place = (last as f64 * q) as usize;
        let latency = self.latencies.get(place).copied().unwrap_or_default();
        latency.as_secs_f64() * 1e3
    }
}

async fn measure(
    durability: Durability,
    spans_per_s: usize,
) -> Result<Figures, Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let options = JournalOptions::in_data_dir(dir.path(), durability, 4 << 30);
    let journal = Arc::new(Journal::open(options, None)?);
    let store = Store::new(&Target::plain(&sink().await?, "lapwing"))?;
    let delivery = journal.deliver_to(store, BatchConfig::default());
    let (_keep, knowledge) = tokio::sync::watch::channel(Knowledge {
        attributes: AttributeTable::builtin(),
        rules: Arc::clone(Rules::builtin()),
    });
    let pipeline = Pipeline::start(knowledge, Arc::clone(&journal), PipelineOptions::default());
    let mut template = ExportTraceServiceRequest::decode(&*payload::request(Kind::Llm))?;
    let scope = template
        .resource_spans
        .first_mut()
        .and_then(|group| group.scope_spans.first_mut())
        .ok_or("a request without spans")?;
    scope.spans.truncate(SPANS_PER_REQUEST);

    let interval = Duration::from_secs_f64(SPANS_PER_REQUEST as f64 / spans_per_s as f64);
    let latencies = Arc::new(Mutex::new(Vec::new()));
    let (cpu, begin) = (cpu()?, Instant::now());
    let mut sends = tokio::task::JoinSet::new();
    let mut sent = 0u32;
    while begin.elapsed() < ROUND {
        let due = begin + interval * sent;
        tokio::time::sleep_until(due.into()).await;
        let body = fresh(&mut template, u64::from(sent));
        sent += 1;
        let (pipeline, latencies) = (Arc::clone(&pipeline), Arc::clone(&latencies));
        sends.spawn(async move {
            let payload = Payload {
                signal: Signal::Traces,
                encoding: Encoding::Protobuf,
                body: body.into(),
            };
            let accepted = pipeline.ingest(payload).await.is_ok();
            assert!(accepted, "the load is too high for this machine");
            if let Ok(mut latencies) = latencies.lock() {
                latencies.push(due.elapsed());
            }
        });
    }
    while let Some(send) = sends.join_next().await {
        send?;
    }
    let left = delivery.drain(Duration::from_secs(30)).await;
    assert_eq!(left, 0, "everything is delivered");
    let spans = f64::from(sent) * SPANS_PER_REQUEST as f64;
    let cpu_us_per_span = (self::cpu()? - cpu).as_secs_f64() * 1e6 / spans;
    let mut latencies = std::mem::take(&mut *latencies.lock().map_err(|_| "a send failed")?);
    latencies.sort();
    Ok(Figures {
        cpu_us_per_span,
        latencies,
    })
}

/// The template with traces of its own, ten spans each.
fn fresh(template: &mut ExportTraceServiceRequest, number: u64) -> Vec<u8> {
    for scope in template
        .resource_spans
        .iter_mut()
        .flat_map(|g| &mut g.scope_spans)
    {
        for (n, span) in scope.spans.iter_mut().enumerate() {
            let trace = (u128::from(number) << 32) + (n / 10) as u128 + 1;
            span.trace_id = trace.to_be_bytes().to_vec();
        }
    }
    template.encode_to_vec()
}

/// A ClickHouse that takes everything; gives its URL.
async fn sink() -> std::io::Result<String> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let take = async |body: Body| {
        // Read to its end, or the sender would wait.
        _ = axum::body::to_bytes(body, usize::MAX).await;
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(take)).await });
    Ok(url)
}

/// Processor time of this process so far.
fn cpu() -> Result<Duration, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').ok_or("no process state")?.1;
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u32 = ticks.map(str::parse::<u32>).sum::<Result<u32, _>>()?;
    Ok(TICK * ticks)
}
