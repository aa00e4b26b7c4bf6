//! The detector alone: events a second of one core without reading JSON, and memory at many keys.
//!
//!     cargo bench --bench detect

use std::{sync::LazyLock, time::Instant};

use lapwing::detect::{CallFact, Change, Detector, DetectorConfig, Fact};

const EVENTS: u64 = 3_000_000;
const KEYS: usize = 100_000;
const START: u64 = 1_772_409_600_000_000_000;

fn main() {
    for keys in [25, 1000] {
        let names = names(keys);
        let mut detector = Detector::new(DetectorConfig::default());
        let (mut out, began) = (Vec::<Change>::new(), seconds());
        for i in 0..EVENTS {
            detector.observe(&Fact::Call(call(&names, i, 5_000_000)), &mut out);
        }
        let rate = EVENTS as f64 / (seconds() - began);
        println!("{keys} keys, 200 calls/s: {rate:.0} events/s");
    }
    let names = names(KEYS);
    let before = resident();
    let mut detector = Detector::new(DetectorConfig::default());
    let mut out = Vec::new();
    for i in 0..30 * KEYS as u64 {
        detector.observe(&Fact::Call(call(&names, i, 10_000)), &mut out);
    }
    let mib = (resident() - before) as f64 / 1024.0;
    println!(
        "{} keys of 30 calls each: {mib:.0} MiB",
        detector.counters().keys
    );
}

fn names(keys: usize) -> Vec<String> {
    (0..keys).map(|i| format!("service-{i}")).collect()
}

fn call(names: &[String], i: u64, step_ns: u64) -> CallFact<'_> {
    let mixed = i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    CallFact {
        end_ns: START + i * step_ns,
        duration_ns: 900_000_000 + mixed % 400_000_000,
        span_id: i.to_be_bytes(),
        tenant: ["a", "b", "c", "d", "e"][(mixed % 5) as usize],
        service: &names[i as usize % names.len()],
        environment: "prod",
        feature: "answer",
        provider: ["openai", "anthropic"][i as usize % names.len() % 2],
        request_model: "model",
        response_model: "model-1",
        failure_class: match mixed % 50 {
            0 => "llm.network.timeout",
            1 => "llm.rate_limit.requests",
            _ => "",
        },
        attempt: 1,
        input_tokens: Some(500 + mixed % 1000),
        user_chars: Some(100 + mixed % 300),
        output_tokens: Some(100 + mixed % 100),
        cost_nano_usd: Some(1_000_000 + mixed % 1_000_000),
        weight: 1.0,
        ..CallFact::default()
    }
}

/// Seconds that this thread has run, so that a busy machine says the same as an idle one; those of
/// the clock where the system does not tell.
fn seconds() -> f64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let clock = BEGAN.elapsed().as_secs_f64();
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let ran = told.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    ran.map_or(clock, |ns| ns / 1e9)
}

/// Resident memory of this process, KiB; 0 where the system does not tell.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmRSS:"));
    line.and_then(|l| l.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}
