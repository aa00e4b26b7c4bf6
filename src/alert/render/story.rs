//! Story: the alert in plain words, in the order in which it is read at night.
//!
//! Ours or theirs, does a retry help, what ends it; who is hit and who is not; what changed; what
//! it costs; what to do. Each form puts these lines into its own markup.

use super::Told;
use crate::alert::{content, model::Event, text};
use crate::detect::{Kind, Unit};

/// Texts without markup; those from outside are bounded, but not escaped.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Story {
    /// `FIRING page`, `RESOLVED after 12 min`.
    pub status: String,
    pub title: String,
    /// `Theirs. Retrying helps after a pause.`
    pub verdict: String,
    pub clears: String,
    pub observed: String,
    pub impact: String,
    pub who: Vec<String>,
    pub not_affected: String,
    pub changes: Vec<String>,
    pub codes: String,
    pub error: String,
    /// Trace and request ids.
    pub calls: Vec<String>,
    pub steps: Vec<String>,
    /// `rule, confidence, ids`.
    pub footer: String,
    /// Name and URL.
    pub links: Vec<(&'static str, String)>,
}

const WHO_MAX: usize = 5;
const CALLS_MAX: usize = 3;
/// A value is worth naming when it is this much more frequent inside than outside.
const LIFT_MIN: f64 = 1.5;

pub(in crate::alert) fn story(told: &Told<'_>) -> Story {
    let data = &told.payload.data;
    let incident = &told.alert.incident;
    let story = Story {
        status: status(told),
        title: data.title.clone(),
        verdict: verdict(told),
        clears: format!("Clears when: {}.", data.verdict.clears_when),
        observed: observed(told),
        impact: impact(told),
        who: who(told),
        not_affected: data
            .not_affected
            .iter()
            .map(|scope| scope.values().cloned().collect::<Vec<_>>().join(" / "))
            .collect::<Vec<_>>()
            .join(", "),
        changes: data
            .changes
            .iter()
            .zip(&incident.changes)
            .map(|(c, delta)| {
                format!(
                    "{}: {} -> {} at {}",
                    words(&c.what),
                    c.from,
                    c.to,
                    text::clock(delta.at_ns)
                )
            })
            .collect(),
        codes: incident
            .codes
            .iter()
            .take(4)
            .map(|(code, n)| format!("{} x {}", text::count(*n), text::line(code, 60)))
            .collect::<Vec<_>>()
            .join(", "),
        error: data.evidence.error.clone(),
        calls: data
            .evidence
            .calls
            .iter()
            .take(CALLS_MAX)
            .map(call)
            .collect(),
        steps: told.steps.iter().map(|step| (*step).to_owned()).collect(),
        footer: format!(
            "rule {}, confidence {}, began {}, alert {}",
            data.verdict.rule,
            data.verdict.confidence,
            text::clock(incident.onset_ns),
            data.id
        ),
        links: links(told),
    };
    match told.event {
        // Nothing is left to be done.
        Event::Resolved => Story {
            clears: String::new(),
            error: String::new(),
            calls: Vec::new(),
            steps: Vec::new(),
            ..story
        },
        _ => story,
    }
}

fn call(call: &content::CallData) -> String {
    match call.request_id.is_empty() {
        true => format!("trace {} span {}", call.trace_id, call.span_id),
        false => format!(
            "trace {} span {} request {}",
            call.trace_id, call.span_id, call.request_id
        ),
    }
}

fn status(told: &Told<'_>) -> String {
    let severity = told.payload.data.severity;
    match told.event {
        Event::Firing if told.repeat => format!("STILL FIRING, {severity}"),
        Event::Firing => format!("FIRING, {severity}"),
        Event::Updated => format!("UPDATED, {severity}"),
        Event::Acknowledged => format!("ACKNOWLEDGED, {severity}"),
        Event::Resolved => {
            let incident = &told.alert.incident;
            let end = incident
                .ended_ns
                .or(told.alert.resolved_at_ns)
                .unwrap_or(incident.raised_ns);
            let lasted = end.saturating_sub(incident.onset_ns) as f64 / 1e9;
            format!("RESOLVED after {}", text::duration(lasted))
        }
    }
}

fn verdict(told: &Told<'_>) -> String {
    let data = &told.payload.data;
    let class = match data.verdict.failure_class.as_str() {
        "" => String::new(),
        class => format!(" ({class})"),
    };
    if told.event == Event::Resolved {
        return match data.verdict.fault_domain.as_str() {
            "ours" => format!("It was ours{class}."),
            "provider" => format!("It was theirs, the provider's{class}."),
            _ => format!("Whose it was is not known{class}."),
        };
    }
    let retry = match (
        data.verdict.retry.as_str(),
        data.impact.calls,
        data.impact.failed,
    ) {
        (_, 0, 0) => "",
        (_, _, 0) => "; nothing to retry: the calls succeed",
        ("after_delay", ..) => "; a retry helps after a pause",
        ("immediately", ..) => "; one retry at once may help",
        ("after_fix", ..) => "; do not retry, it fails again until this is fixed",
        _ => "; do not retry",
    };
    format!(
        "{}{retry}{class}.{}",
        whose(&data.verdict.fault_domain),
        doubt(told)
    )
}

fn whose(fault_domain: &str) -> &'static str {
    match fault_domain {
        "ours" => "Ours",
        "provider" => "Theirs (the provider)",
        _ => "Not known whose",
    }
}

/// What changed just before may tell another story than the class.
fn doubt(told: &Told<'_>) -> String {
    const OF_OURS: [&str; 5] = [
        "service_version",
        "system_prompt_hash",
        "prompt",
        "request_model",
        "config",
    ];
    const OF_THEIRS: [&str; 3] = ["response_model", "system_fingerprint", "price"];
    let data = &told.payload.data;
    let changed = |names: &[&str]| {
        let changed = data
            .changes
            .iter()
            .find(|c| names.iter().any(|name| c.what.starts_with(name)));
        changed.map(|c| words(&c.what))
    };
    let text = match data.verdict.fault_domain.as_str() {
        "ours" => changed(&OF_THEIRS)
            .filter(|_| changed(&OF_OURS).is_none())
            .map(|what| ("theirs", what)),
        _ => changed(&OF_OURS).map(|what| ("ours", what)),
    };
    text.map_or_else(String::new, |(whose, what)| {
        format!(" But something of {whose} changed just before: {what}. Check that first.")
    })
}

fn observed(told: &Told<'_>) -> String {
    let incident = &told.alert.incident;
    let observed = &incident.observed;
    let say = |value: f64| content::quantity(observed.unit, value);
    let short = |value: f64| match observed.unit {
        Unit::Ratio | Unit::PassRate => text::percent(value),
        _ => say(value),
    };
    let (value, usually, threshold) = match (observed.unit, incident.kind) {
        (Unit::None, _) => return String::new(),
        (Unit::Ratio, kind) => (
            format!("{} {}", text::percent(observed.value), share_of(kind)),
            short(observed.baseline),
            short(observed.threshold),
        ),
        _ => (
            say(observed.value),
            short(observed.baseline),
            short(observed.threshold),
        ),
    };
    format!(
        "{value}, usually {usually}, alerts at {threshold} ({} {} in {})",
        text::count(observed.sample),
        cases(told),
        text::duration(observed.window_s)
    )
}

/// What a share is a share of: the detector asks every call a question, and these said yes.
fn share_of(kind: Kind) -> &'static str {
    match kind {
        Kind::LatencyShift => "of calls slower than calls like them",
        Kind::InputShift => "of calls with a much shorter prompt than usual",
        Kind::ContextGrowth => "of calls with a much longer prompt than usual",
        Kind::CostBurn => "of calls much dearer than usual",
        Kind::ContextThrash => "of calls too long for the context",
        Kind::RetryStorm => "retried",
        Kind::QuotaLow => "of the limit left",
        _ => "of calls",
    }
}

/// What the numbers count.
fn cases(told: &Told<'_>) -> &'static str {
    match told.alert.incident.kind {
        Kind::EvalDrop => "cases",
        _ => "calls",
    }
}

fn impact(told: &Told<'_>) -> String {
    let impact = &told.payload.data.impact;
    let cases = cases(told);
    let mut parts = Vec::new();
    if impact.calls > 0 {
        parts.push(match impact.failed {
            0 => format!("{} {cases}", text::count(impact.calls)),
            failed => format!(
                "{} of {} {cases} failed",
                text::count(failed),
                text::count(impact.calls)
            ),
        });
    }
    if impact.tenants > 0 {
        let s = if impact.tenants == 1 { "" } else { "s" };
        parts.push(format!("{} tenant{s}", text::count(impact.tenants)));
    }
    if impact.tokens > 0 {
        parts.push(format!("{} tokens", text::count(impact.tokens)));
    }
    if let Some(usd) = impact.cost_usd {
        parts.push(text::dollars(usd));
    }
    if let Some(times) = impact.amplification.filter(|times| *times >= 1.05) {
        parts.push(format!("retries multiply calls by {times:.1}"));
    }
    parts.join(", ")
}

/// Values that stand out, the most telling first; what is spread as always is said once.
fn who(told: &Told<'_>) -> Vec<String> {
    let rows = &told.payload.data.blast_radius;
    let mut stands_out: Vec<(f64, String)> = rows
        .iter()
        .flat_map(|row| row.values.iter().map(move |share| (row, share)))
        .filter(|(_, share)| share.lift >= LIFT_MIN && share.share_inside >= 0.1)
        .map(|(row, share)| {
            let (inside, outside) = (
                text::percent(share.share_inside),
                text::percent(share.share_outside),
            );
            let text = format!(
                "{} {}: {inside} of the affected, {outside} of the others",
                words(&row.dimension),
                share.value
            );
            (share.lift * share.share_inside, text)
        })
        .collect();
    stands_out.sort_by(|a, b| b.0.total_cmp(&a.0));
    if !stands_out.is_empty() {
        return stands_out
            .into_iter()
            .take(WHO_MAX)
            .map(|(_, text)| text)
            .collect();
    }
    let even: Vec<String> = rows
        .iter()
        .take(4)
        .map(|row| words(&row.dimension))
        .collect();
    match even.is_empty() {
        true => Vec::new(),
        false => vec![format!(
            "nobody in particular: spread as usual over {}",
            even.join(", ")
        )],
    }
}

fn words(name: &str) -> String {
    name.replace('_', " ")
}

fn links(told: &Told<'_>) -> Vec<(&'static str, String)> {
    let links = &told.payload.data.links;
    let all = [
        ("Dashboard", links.dashboard.clone()),
        ("Trace", links.traces.first().cloned().unwrap_or_default()),
        ("Runbook", links.runbook.clone()),
        ("Provider status", links.provider_status.clone()),
        ("Silence", links.silence.clone()),
    ];
    all.into_iter().filter(|(_, url)| !url.is_empty()).collect()
}

// === impl Story ===

impl Story {
    /// All of it as plain text, one fact a line.
    pub fn plain(&self) -> String {
        let mut out = format!(
            "[{}] {}\n\n{}\n{}\n",
            self.status, self.title, self.verdict, self.clears
        );
        let mut fact = |name: &str, text: &str| {
            if !text.is_empty() {
                out += &format!("{name}: {text}\n");
            }
        };
        fact("Observed", &self.observed);
        fact("Impact", &self.impact);
        fact("Who is hit", &self.who.join("; "));
        fact("Not affected", &self.not_affected);
        fact("Changed before", &self.changes.join("; "));
        fact("Codes", &self.codes);
        fact("Error", &self.error);
        for call in &self.calls {
            fact("Call", call);
        }
        if !self.steps.is_empty() {
            out += "\nWhat to do:\n";
        }
        for (n, step) in self.steps.iter().enumerate() {
            out += &format!("{}. {step}\n", n + 1);
        }
        out.push('\n');
        for (name, url) in &self.links {
            out += &format!("{name}: {url}\n");
        }
        out + &format!("\n{}\n", self.footer)
    }
}
