//! Titles: who is hit, by what, and how much, in one line. Never "error rate high".

use crate::{
    alert::{runbook::Runbooks, text},
    detect::{Confidence, Dimension, Incident, Kind, Unit},
};

const NAME_CHARS_MAX: usize = 60;
const NAMES_MAX: usize = 2;

/// `openai / gpt-4o: quota exhausted (insufficient_quota), 412 of 430 calls in 2 min`.
pub(super) fn title(books: &Runbooks, incident: &Incident) -> String {
    let what = what(incident);
    let says = books.says(incident.kind);
    let tail = match what.is_empty() {
        true => String::new(),
        false => format!(", {what}"),
    };
    let guess = match (incident.kind, incident.confidence) {
        (Kind::QuotaExhausted, Confidence::Medium | Confidence::Low) => "probably ",
        _ => "",
    };
    format!("{}: {guess}{says}{}{tail}", who(incident), code(incident))
}

/// Who is hit, in the words of the kind: provider and model, or tenant, or service.
fn who(incident: &Incident) -> String {
    use Dimension::{Environment, Feature, Provider, Region, RequestModel, Service, Tenant};
    let order: &[Dimension] = match incident.kind {
        Kind::RunawayTenant => &[Tenant, Provider],
        Kind::BudgetExceeded | Kind::CostBurn => {
            &[Tenant, Feature, Service, Provider, RequestModel]
        }
        Kind::TelemetryGap | Kind::RetryStorm | Kind::ToolErrorRise => {
            &[Service, Feature, Provider]
        }
        Kind::EvalDrop => &[Service, Feature, RequestModel],
        Kind::InputShift | Kind::ContextGrowth | Kind::ContextThrash => &[Service, Feature],
        _ => &[Provider, RequestModel, Service, Region],
    };
    let named = |dimension: &Dimension| Some(names(incident.scope.get(dimension)?));
    let parts: Vec<String> = order.iter().filter_map(named).collect();
    let environment = named(&Environment).map(|e| format!(" in {e}"));
    let who = match parts.is_empty() {
        false => parts.join(" / "),
        true => {
            let any = Dimension::ALL
                .iter()
                .filter(|d| **d != Environment)
                .find_map(named);
            any.unwrap_or_else(|| "everything".to_owned())
        }
    };
    who + &environment.unwrap_or_default()
}

fn names(values: &[String]) -> String {
    let shown: Vec<String> = values
        .iter()
        .take(NAMES_MAX)
        .map(|value| text::line(value, NAME_CHARS_MAX))
        .collect();
    match values.len().saturating_sub(NAMES_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn code(incident: &Incident) -> String {
    let code = incident.codes.first();
    code.map_or_else(String::new, |(code, _)| {
        format!(" ({})", text::line(code, NAME_CHARS_MAX))
    })
}

/// The numbers of the title.
fn what(incident: &Incident) -> String {
    let (observed, impact) = (&incident.observed, &incident.impact);
    let window = text::duration(observed.window_s);
    let value = || quantity(observed.unit, observed.value);
    let usually = || {
        format!(
            "{}, usually {}",
            value(),
            quantity(observed.unit, observed.baseline)
        )
    };
    match incident.kind {
        Kind::ModelChange => match incident.changes.iter().find(|c| c.what.contains("model")) {
            Some(delta) => format!(
                "now {} (was {})",
                text::line(&delta.to, NAME_CHARS_MAX),
                text::line(&delta.from, NAME_CHARS_MAX)
            ),
            None => String::new(),
        },
        Kind::UnapprovedModel | Kind::ModelDeprecation => {
            format!("{} calls in {window}", text::count(observed.sample))
        }
        Kind::BudgetExceeded => {
            format!(
                "{} of {}",
                value(),
                quantity(observed.unit, observed.threshold)
            )
        }
        Kind::TelemetryGap => format!(
            "none for {window}, usually {}",
            quantity(observed.unit, observed.baseline)
        ),
        Kind::LatencyShift if observed.unit == Unit::Seconds => format!(
            "{} instead of {}",
            value(),
            quantity(observed.unit, observed.baseline)
        ),
        Kind::QuotaLow if observed.unit == Unit::Ratio => {
            format!("{} of the limit left", text::percent(observed.value))
        }
        Kind::QuotaLow => format!("{} left", value()),
        Kind::RetryStorm => match impact.amplification {
            Some(times) => format!("{times:.1} attempts for each call"),
            None => format!(
                "{} retried, usually {}",
                text::percent(observed.value),
                text::percent(observed.baseline)
            ),
        },
        _ => match observed.unit {
            Unit::Ratio => {
                let hit = (observed.value * observed.sample as f64).round().max(0.0) as u64;
                let (hit, all) = (text::count(hit), text::count(observed.sample));
                format!("{hit} of {all} calls in {window}")
            }
            Unit::None => String::new(),
            _ => usually(),
        },
    }
}

/// A number with its unit.
pub(super) fn quantity(unit: Unit, value: f64) -> String {
    let whole = |value: f64| text::count(value.round().clamp(0.0, 1e18) as u64);
    match unit {
        Unit::Ratio => format!("{} of calls", text::percent(value)),
        Unit::PassRate => format!("{} passed", text::percent(value)),
        Unit::Seconds => text::duration(value),
        Unit::Tokens => format!("{} tokens", whole(value)),
        Unit::Characters => format!("{} characters", whole(value)),
        Unit::Usd => text::dollars(value),
        Unit::UsdPerHour => format!("{} an hour", text::dollars(value)),
        Unit::Calls => format!("{} calls", whole(value)),
        Unit::None => String::new(),
    }
}
