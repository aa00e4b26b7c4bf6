//! Inhibition: which open incident mutes which other as its symptom (`rules/inhibitions.toml`).

use std::{str::FromStr, sync::LazyLock};

use serde::Deserialize;

use crate::detect::{Dimension, Incident, Kind};

/// A symptom may be seen this much before its cause: onsets are estimates.
const ONSET_TOLERANCE_NS: u64 = 15 * 60 * 1_000_000_000;

const TABLE: &str = include_str!("../../rules/inhibitions.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    inhibit: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    source: Vec<String>,
    mutes: Vec<String>,
    equal: Vec<String>,
}

struct Rule {
    source: Vec<Kind>,
    mutes: Vec<Kind>,
    equal: Vec<Dimension>,
}

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    // The compiled-in table is checked by the tests.
    parse(TABLE).unwrap_or_else(|error| panic!("rules/inhibitions.toml: {error}"))
});

/// Is `symptom` a symptom of `cause`?
pub fn mutes(cause: &Incident, symptom: &Incident) -> bool {
    let in_time = symptom.onset_ns.saturating_add(ONSET_TOLERANCE_NS) >= cause.onset_ns;
    if cause.id == symptom.id || !in_time || symptom.severity > cause.severity {
        return false;
    }
    let fits = |rule: &Rule| {
        rule.source.contains(&cause.kind)
            && rule.mutes.contains(&symptom.kind)
            && rule
                .equal
                .iter()
                .all(|d| cause.scope.contains_key(d) == symptom.scope.contains_key(d))
    };
    RULES.iter().any(fits) && within(cause, symptom)
}

/// Has it symptoms, and is it never one itself? Then there is nothing that it could wait for.
pub fn is_cause(kind: Kind) -> bool {
    RULES.iter().any(|r| r.source.contains(&kind)) && !RULES.iter().any(|r| r.mutes.contains(&kind))
}

/// No dimension that both name contradicts.
fn within(cause: &Incident, symptom: &Incident) -> bool {
    cause.scope.iter().all(|(dimension, values)| {
        let of_symptom = symptom.scope.get(dimension);
        of_symptom.is_none_or(|own| own.iter().all(|value| values.contains(value)))
    })
}

fn parse(text: &str) -> Result<Vec<Rule>, String> {
    let file: File = toml::from_str(text).map_err(|e| e.to_string())?;
    let kinds = |words: &[String]| -> Result<Vec<Kind>, String> {
        words
            .iter()
            .map(|w| Kind::from_str(w).map_err(|e| e.to_string()))
            .collect()
    };
    let dimension = |word: &String| {
        let found = Dimension::ALL.into_iter().find(|d| d.as_str() == word);
        found.ok_or_else(|| format!("{word:?} is no dimension"))
    };
    let rule = |row: &Row| {
        Ok(Rule {
            source: kinds(&row.source)?,
            mutes: kinds(&row.mutes)?,
            equal: row.equal.iter().map(dimension).collect::<Result<_, _>>()?,
        })
    };
    file.inhibit.iter().map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::sample::incident;

    #[test]
    fn an_outage_mutes_its_symptoms_and_nothing_beside_them() {
        let outage = incident(Kind::ProviderOutage);
        let slow = incident(Kind::LatencyShift);
        assert!(mutes(&outage, &slow));
        assert!(!mutes(&slow, &outage), "never the other way");
        let mut other = slow.clone();
        other
            .scope
            .insert(Dimension::Provider, vec!["anthropic".into()]);
        assert!(!mutes(&outage, &other), "another provider");
        let mut wide = slow.clone();
        wide.scope.remove(&Dimension::Provider);
        assert!(!mutes(&outage, &wide), "all providers are slow");
        let mut earlier = slow.clone();
        earlier.onset_ns = outage.onset_ns - 3_600_000_000_000;
        assert!(!mutes(&outage, &earlier), "it was slow before");
        assert!(!mutes(&outage, &incident(Kind::ModelChange)));
    }

    #[test]
    fn no_two_kinds_mute_each_other() {
        for a in Kind::ALL {
            for b in Kind::ALL {
                let one_way = |a, b| {
                    RULES
                        .iter()
                        .any(|r| r.source.contains(&a) && r.mutes.contains(&b))
                };
                assert!(!(one_way(a, b) && one_way(b, a)), "{a:?} and {b:?}");
            }
        }
    }
}
