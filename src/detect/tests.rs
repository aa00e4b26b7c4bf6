//! Scenarios: a small world of calls, something that happens in it, and what is raised.

mod failures;
mod shifts;
mod state;
mod traffic;

use super::*;

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3600 * SECOND;
const START: u64 = 1_772_409_600 * SECOND;

/// Three services, two providers; one call a second each, nearly all good.
const SERVICES: [(&str, &str, &str, &str); 3] = [
    ("shop", "search", "openai", "gpt-4o"),
    ("shop", "answer", "anthropic", "claude-sonnet"),
    ("desk", "reply", "openai", "gpt-4o"),
];

/// A generator of even numbers in 0..1, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Makes `hours` of traffic; `alter` may change each call.
fn world(
    hours: f64,
    alter: impl Fn(&mut CallFact<'static>, f64, &mut Dice),
) -> Vec<CallFact<'static>> {
    let (mut dice, mut calls) = (Dice(0x9e37_79b9_7f4a_7c15), Vec::new());
    for second in 0..(hours * 3600.0) as u64 {
        for (i, (service, feature, provider, model)) in SERVICES.into_iter().enumerate() {
            let spread = (dice.roll() + dice.roll() + dice.roll() - 1.5) * 0.5;
            let output = (200.0 * f64::exp(spread)) as u64;
            let failure_class = match dice.roll() {
                p if p < 0.01 => "llm.provider.server_error",
                p if p < 0.02 => "llm.rate_limit.requests",
                p if p < 0.03 => "llm.output.empty",
                _ => "",
            };
            let mut call = CallFact {
                end_ns: START + second * SECOND + (dice.roll() * 1e9) as u64,
                duration_ns: ((0.4 + output as f64 * 0.01)
                    * f64::exp((dice.roll() - 0.5) * 0.5)
                    * 1e9) as u64,
                span_id: (second * 3 + i as u64).to_be_bytes(),
                tenant: ["a", "b", "c", "d"][(dice.roll() * 4.0) as usize % 4],
                service,
                environment: "prod",
                feature,
                provider,
                request_model: model,
                response_model: model,
                failure_class,
                attempt: 1,
                input_tokens: Some((1000.0 * f64::exp((dice.roll() - 0.5) * 0.8)) as u64),
                user_chars: Some((400.0 * f64::exp(spread)) as u64),
                output_tokens: Some(if failure_class.is_empty() { output } else { 0 }),
                cost_nano_usd: Some(output * 10_000),
                weight: 1.0,
                ..CallFact::default()
            };
            alter(&mut call, second as f64 / 3600.0, &mut dice);
            calls.push(call);
        }
    }
    calls.sort_by_key(|call| call.end_ns);
    calls
}

fn run(config: DetectorConfig, calls: &[CallFact<'static>]) -> Vec<Change> {
    let (mut detector, mut out) = (Detector::new(config), Vec::new());
    for call in calls {
        detector.observe(&Fact::Call(call.clone()), &mut out);
    }
    out
}

fn opened(changes: &[Change]) -> Vec<&Incident> {
    let opened = changes.iter().filter(|c| c.state == State::Opened);
    opened.map(|c| &c.incident).collect()
}

fn label(incident: &Incident, dimension: Dimension) -> Option<&str> {
    incident.scope.get(&dimension)?.first().map(String::as_str)
}

/// From hour 3 on, a share of the calls of a provider fails in a way.
fn failing(class: &'static str, provider: &'static str, share: f64) -> Vec<CallFact<'static>> {
    world(3.5, move |call, hour, dice| {
        if hour >= 3.0 && call.provider == provider && dice.roll() < share {
            call.failure_class = class;
            call.output_tokens = Some(0);
        }
    })
}
