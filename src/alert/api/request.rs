//! What requests say, checked.

use serde::{Deserialize, de::DeserializeOwned};

use super::Refusal;
use crate::{
    alert::{
        matcher,
        model::{Event, Silence},
        silences, text,
    },
    detect::Kind,
};

/// How long a silence lasts when nothing is said.
const SILENCE_DEFAULT_S: f64 = 7_200.0;
/// Longer than this is a route or a rule, not a silence.
const SILENCE_MAX_S: f64 = 366.0 * 86_400.0;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AckRequest {
    pub by: String,
    #[serde(default)]
    pub comment: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SilenceRequest {
    matchers: Vec<String>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    /// Instead of `ends_at`.
    duration_s: Option<f64>,
    author: String,
    #[serde(default)]
    comment: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TestRequest {
    pub receiver: String,
    kind: Option<String>,
    event: Option<String>,
}

/// The JSON of a request.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::bad(&format!("the body cannot be read: {error}")))
}

/// The values of a query parameter.
pub(super) fn parameters(query: Option<&str>, name: &str) -> Vec<String> {
    // The parser of URLs reads queries too; the host is not looked at.
    let url = reqwest::Url::parse(&format!("http://admin/?{}", query.unwrap_or_default()));
    let Ok(url) = url else { return Vec::new() };
    let pairs = url.query_pairs().filter(|(key, _)| key == name);
    pairs.map(|(_, value)| value.into_owned()).collect()
}

pub(super) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    parameters(query, name).into_iter().next()
}

// === impl SilenceRequest ===

impl SilenceRequest {
    pub fn silence(&self, now_ns: u64) -> Result<Silence, Refusal> {
        let bad = |what: String| Refusal::bad(&what);
        let matchers = matcher::parse_all(self.matchers.iter().map(String::as_str))
            .map_err(|e| bad(e.to_string()))?;
        if self.author.trim().is_empty() {
            return Err(Refusal::bad(
                "author is missing: whoever looks at it later wants to ask somebody",
            ));
        }
        let starts_at_ns = match &self.starts_at {
            Some(at) => silences::time(at).map_err(bad)?,
            None => now_ns,
        };
        let seconds = self.duration_s.unwrap_or(SILENCE_DEFAULT_S);
        if !(seconds > 0.0 && seconds <= SILENCE_MAX_S) {
            return Err(Refusal::bad(
                "duration_s must be above 0 and at most a year",
            ));
        }
        let ends_at_ns = match (&self.ends_at, self.duration_s) {
            (Some(_), Some(_)) => return Err(Refusal::bad("give ends_at or duration_s, not both")),
            (Some(at), None) => silences::time(at).map_err(bad)?,
            (None, _) => starts_at_ns.saturating_add((seconds * 1e9) as u64),
        };
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|e| bad(e.to_string()))?;
        Ok(Silence {
            id: format!("{:016x}", u64::from_le_bytes(random)),
            matchers,
            starts_at_ns,
            ends_at_ns,
            author: text::line(&self.author, 100),
            comment: text::line(&self.comment, 500),
            from_file: false,
        })
    }
}

// === impl TestRequest ===

impl TestRequest {
    pub fn sample(&self) -> Result<(Kind, Event), Refusal> {
        let kind = self.kind.as_deref().unwrap_or("quota_exhausted");
        let kind = kind
            .parse::<Kind>()
            .map_err(|error| Refusal::bad(&error.to_string()))?;
        let event = match self.event.as_deref().unwrap_or("firing") {
            "firing" => Event::Firing,
            "updated" => Event::Updated,
            "resolved" => Event::Resolved,
            _ => return Err(Refusal::bad("event must be firing, updated or resolved")),
        };
        Ok((kind, event))
    }
}
