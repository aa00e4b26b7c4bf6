//! Labels: what an alert is routed, silenced, grouped and recognised by.
//!
//! A label may have several values, because a blast radius may. Identity is the kind and the scope
//! at the opening, never a measured value: the fingerprint stays while severity and scope grow.

use std::collections::BTreeMap;

use crate::detect::{Incident, Kind, Severity};

/// Name to values, sorted by name; the values are sorted, too.
pub type Labels = BTreeMap<String, Vec<String>>;

/// Labels that are no dimension of a scope.
pub const OWN_LABELS: [&str; 4] = ["kind", "severity", "failure_class", "fault_domain"];
/// Letters of a label's value.
const VALUE_CHARS_MAX: usize = 200;
/// Values of one label.
const VALUES_MAX: usize = 20;
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// The scope as labels; values are cut to a length that every receiver takes.
pub fn scope(incident: &Incident) -> Labels {
    let clean = |values: &Vec<String>| {
        let mut values: Vec<String> = values
            .iter()
            .take(VALUES_MAX)
            .map(|value| super::text::line(value, VALUE_CHARS_MAX))
            .collect();
        values.sort();
        values.dedup();
        values
    };
    let named = |(dimension, values): (&crate::detect::Dimension, _)| {
        (dimension.as_str().to_owned(), clean(values))
    };
    incident.scope.iter().map(named).collect()
}

/// What an alert is recognised by: its kind and the scope it opened with.
pub fn identity(incident: &Incident) -> Labels {
    let mut labels = scope(incident);
    labels.insert("kind".to_owned(), vec![incident.kind.as_str().to_owned()]);
    labels
}

/// Everything that can be matched.
pub fn all(incident: &Incident, fault_domain: &str) -> Labels {
    let mut labels = identity(incident);
    let mut put = |name: &str, value: &str| {
        labels.insert(name.to_owned(), vec![value.to_owned()]);
    };
    put("severity", incident.severity.as_str());
    put("failure_class", &incident.failure_class);
    put("fault_domain", fault_domain);
    labels
}

/// 16 hexadecimal digits: FNV-1a (64 bits) over the sorted labels, each part ended by 0xFF, as
/// Prometheus does it.
pub fn fingerprint(labels: &Labels) -> String {
    let mut hash = FNV_OFFSET;
    let mut eat = |text: &str| {
        for byte in text.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
        }
    };
    for (name, values) in labels {
        eat(name);
        eat(&values.join(","));
    }
    format!("{hash:016x}")
}

/// One text for a label, for receivers that know one value a label.
pub fn joined(labels: &Labels) -> BTreeMap<String, String> {
    labels
        .iter()
        .map(|(name, values)| (name.clone(), values.join(",")))
        .collect()
}

/// Says what is wrong with a label and value that a route asks for.
pub fn check(name: &str, value: &str) -> Result<(), String> {
    let known = |words: &mut dyn Iterator<Item = &'static str>| {
        let words: Vec<&str> = words.collect();
        match words.contains(&value) {
            true => Ok(()),
            false => Err(format!("is {value:?}: must be one of {}", words.join(", "))),
        }
    };
    match name {
        "severity" => known(
            &mut [Severity::Page, Severity::Ticket, Severity::Info]
                .into_iter()
                .map(Severity::as_str),
        ),
        "kind" => known(&mut Kind::ALL.into_iter().map(Kind::as_str)),
        "fault_domain" => known(&mut ["ours", "provider", "unknown"].into_iter()),
        "failure_class" => known(
            &mut crate::call::FailureClass::ALL
                .into_iter()
                .map(crate::call::FailureClass::as_str),
        ),
        _ => known_name(name),
    }
}

/// Is there such a label?
pub fn known_name(name: &str) -> Result<(), String> {
    let names = || {
        let dimensions = crate::detect::Dimension::ALL.into_iter();
        OWN_LABELS
            .into_iter()
            .chain(dimensions.map(crate::detect::Dimension::as_str))
    };
    match names().any(|known| known == name) {
        true => Ok(()),
        false => Err(format!(
            "asks for {name:?}: alerts have the labels {}",
            names().collect::<Vec<_>>().join(", ")
        )),
    }
}
