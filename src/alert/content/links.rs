//! Links: from an alert to where its reader looks next.
//!
//! All are made here from bases in the configuration; nothing is looked up. What has no base is
//! empty.

use serde::Serialize;

use super::hex;
use crate::{
    alert::{model::Alert, runbook::Runbooks, runbook::Verdict, text},
    detect::{Dimension, Incident, Kind, Unit},
};

/// Where things are, from the configuration.
#[derive(Debug, Clone, Default)]
pub struct Bases {
    /// The dashboard, without parameters.
    pub dashboard: String,
    /// With `{trace_id}` in it.
    pub trace: String,
    /// Runbook pages; the anchor of the entry is appended.
    pub runbook: String,
    /// This collector's admin port, as people reach it.
    pub admin: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Links {
    pub dashboard: String,
    /// One for each call of the evidence.
    pub traces: Vec<String>,
    /// Reproduces the number.
    pub sql: String,
    pub silence: String,
    pub runbook: String,
    /// Where the provider says how it is.
    pub provider_status: String,
}

/// Dashboards show this much before the onset and after the end.
const MARGIN_NS: u64 = 30 * 60 * 1_000_000_000;
const TRACES_MAX: usize = 5;
/// Values of one dimension that a link or query names.
const VALUES_MAX: usize = 5;
const VALUE_CHARS_MAX: usize = 120;
/// Longer links are cut off by whoever shows them; then the parameters are left out.
const URL_BYTES_MAX: usize = 1_800;
/// Variables of the shipped dashboards and the dimensions that fill them.
const VARIABLES: [(&str, Dimension); 3] = [
    ("service", Dimension::Service),
    ("provider", Dimension::Provider),
    ("model", Dimension::RequestModel),
];

pub(super) fn links(
    books: &Runbooks,
    bases: &Bases,
    alert: &Alert,
    verdict: &Verdict<'_>,
) -> Links {
    let incident = &alert.incident;
    let traces = match bases.trace.is_empty() {
        true => Vec::new(),
        false => {
            let of =
                |e: &crate::detect::Exemplar| bases.trace.replace("{trace_id}", &hex(&e.trace_id));
            incident.exemplars.iter().take(TRACES_MAX).map(of).collect()
        }
    };
    let providers = incident.scope.get(&Dimension::Provider);
    let provider = providers.and_then(|p| p.first()).map_or("", String::as_str);
    Links {
        dashboard: dashboard(bases, incident),
        traces,
        sql: sql(incident),
        silence: silence(bases, alert),
        runbook: match verdict.runbook_url {
            Some(url) => url.to_owned(),
            None if bases.runbook.is_empty() => String::new(),
            None => format!("{}#{}", bases.runbook, verdict.anchor),
        },
        provider_status: books.status_page(provider).unwrap_or_default().to_owned(),
    }
}

fn dashboard(bases: &Bases, incident: &Incident) -> String {
    if bases.dashboard.is_empty() {
        return String::new();
    }
    let ms = |ns: u64| ns / 1_000_000;
    let from = ms(incident.onset_ns.saturating_sub(MARGIN_NS));
    // An incident that goes on is looked at as it is now.
    let to = match incident.ended_ns {
        Some(end) => ms(end.saturating_add(MARGIN_NS)).to_string(),
        None => "now".to_owned(),
    };
    let glue = if bases.dashboard.contains('?') {
        '&'
    } else {
        '?'
    };
    let plain = format!("{}{glue}from={from}&to={to}", bases.dashboard);
    let mut url = plain.clone();
    for (variable, dimension) in VARIABLES {
        for value in values(incident, dimension) {
            url += &format!("&var-{variable}={}", encoded(&value));
        }
    }
    if url.len() <= URL_BYTES_MAX {
        url
    } else {
        plain
    }
}

fn silence(bases: &Bases, alert: &Alert) -> String {
    if bases.admin.is_empty() {
        return String::new();
    }
    let plain = format!("{}/silence?alert={}", bases.admin, alert.id);
    let mut url = plain.clone();
    for (name, values) in &alert.identity {
        let value = text::cut(&values.join(","), VALUE_CHARS_MAX * VALUES_MAX);
        let matcher = crate::alert::matcher::Matcher::equal(name, &value);
        url += &format!("&matcher={}", encoded(&matcher.to_string()));
    }
    // The form finds the labels of the alert by its id.
    if url.len() <= URL_BYTES_MAX {
        url
    } else {
        plain
    }
}

fn values(incident: &Incident, dimension: Dimension) -> Vec<String> {
    let values = incident.scope.get(&dimension).into_iter().flatten();
    values
        .take(VALUES_MAX)
        .map(|v| text::line(v, VALUE_CHARS_MAX))
        .collect()
}

/// What gives the observed number again; empty where `llm_calls` does not have it.
fn sql(incident: &Incident) -> String {
    let class = literal(&text::line(&incident.failure_class, VALUE_CHARS_MAX));
    let share = |condition: &str| {
        format!("count() AS calls, countIf({condition}) AS hit, round(hit / calls, 4) AS share")
    };
    let columns = match (incident.kind, incident.observed.unit) {
        (Kind::EvalDrop | Kind::QuotaLow | Kind::ContextThrash, _) => return String::new(),
        (Kind::ModelChange, _) => {
            "response_model, count() AS calls, min(timestamp) AS first_seen, max(timestamp) AS last_seen".to_owned()
        }
        (Kind::UnapprovedModel | Kind::ModelDeprecation, _) => {
            "service, request_model, response_model, count() AS calls".to_owned()
        }
        (Kind::RetryStorm, _) => {
            "count() AS attempts, countIf(attempt <= 1) AS calls, round(attempts / calls, 2) AS amplification".to_owned()
        }
        (_, Unit::Ratio) if incident.failure_class.is_empty() => share("failure_class != ''"),
        (_, Unit::Ratio) => share(&format!("failure_class = {class}")),
        (_, Unit::Seconds) => "count() AS calls, quantiles(0.5, 0.95, 0.99)(duration_ns / 1e9) AS seconds".to_owned(),
        (_, Unit::Tokens) => "count() AS calls, avg(input_tokens) AS input_tokens, avg(output_tokens) AS output_tokens".to_owned(),
        (_, Unit::Characters) => "count() AS calls, avg(input_chars) AS input_chars, avg(output_chars) AS output_chars".to_owned(),
        (_, Unit::Usd | Unit::UsdPerHour) => {
            "tenant, feature, count() AS calls, sum(cost_usd) AS usd, countIf(cost_usd IS NULL) AS calls_without_cost".to_owned()
        }
        _ => "count() AS calls, countIf(failure_class != '') AS failed".to_owned(),
    };
    let group = match (incident.kind, incident.observed.unit) {
        (Kind::ModelChange, _) => " GROUP BY response_model ORDER BY first_seen",
        (Kind::UnapprovedModel | Kind::ModelDeprecation, _) => {
            " GROUP BY service, request_model, response_model ORDER BY calls DESC"
        }
        (Kind::RetryStorm, _) => "",
        (_, Unit::Usd | Unit::UsdPerHour) => " GROUP BY tenant, feature ORDER BY usd DESC LIMIT 20",
        _ => "",
    };
    format!(
        "SELECT {columns} FROM llm_calls WHERE {}{group}",
        conditions(incident)
    )
}

/// The calls of the scope and of the window that the number rests on.
fn conditions(incident: &Incident) -> String {
    let window_ns = (incident.observed.window_s.clamp(0.0, 1e7) * 1e9) as u64;
    let from = incident
        .onset_ns
        .min(incident.raised_ns.saturating_sub(window_ns));
    let to = incident.ended_ns.unwrap_or(incident.raised_ns);
    let at = |ns: u64| format!("fromUnixTimestamp64Nano(toInt64({ns}))");
    let mut all = format!(
        "duplicate_of = '' AND timestamp >= {} AND timestamp <= {}",
        at(from),
        at(to)
    );
    for dimension in Dimension::ALL {
        let values: Vec<String> = values(incident, dimension)
            .iter()
            .map(|v| literal(v))
            .collect();
        if !values.is_empty() {
            all += &format!(" AND {} IN ({})", dimension.as_str(), values.join(", "));
        }
    }
    all
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A query parameter: everything but unreserved letters is percent-encoded.
pub(in crate::alert) fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte))
            }
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}
