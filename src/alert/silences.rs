//! The silences file: silences that are kept beside the configuration.
//!
//! TOML, one `[[silence]]` each, with `matchers`, `ends_at`, and optionally `starts_at`, `author`
//! and `comment`. A silence is recognised by its content, so reading the file again changes nothing.

use std::path::Path;

use serde::Deserialize;

use super::{matcher, model::Silence, text};

/// A silences file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {what}")]
pub struct SilencesError {
    file: String,
    what: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    silence: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    matchers: Vec<String>,
    starts_at: Option<String>,
    ends_at: String,
    #[serde(default)]
    author: String,
    #[serde(default)]
    comment: String,
}

/// Reads the file; none is no silence.
pub fn load(path: Option<&Path>, now_ns: u64) -> Result<Vec<Silence>, SilencesError> {
    let Some(path) = path else {
        return Ok(Vec::new());
    };
    let file = path.display().to_string();
    let wrong = |what: String| SilencesError {
        file: file.clone(),
        what,
    };
    let text = std::fs::read_to_string(path).map_err(|e| wrong(format!("cannot be read: {e}")))?;
    parse(&text, now_ns).map_err(wrong)
}

fn parse(text: &str, now_ns: u64) -> Result<Vec<Silence>, String> {
    let file: File = toml::from_str(text).map_err(|e| e.message().to_owned())?;
    let silence = |(n, row): (usize, Row)| {
        let wrong = |what: String| format!("silence {}: {what}", n + 1);
        let matchers = matcher::parse_all(row.matchers.iter().map(String::as_str))
            .map_err(|e| wrong(e.to_string()))?;
        let starts_at_ns = match &row.starts_at {
            Some(at) => time(at).map_err(wrong)?,
            None => 0,
        };
        let ends_at_ns = time(&row.ends_at).map_err(wrong)?;
        if ends_at_ns <= starts_at_ns {
            return Err(wrong("must end after it begins".to_owned()));
        }
        let key = format!("{:?} {starts_at_ns} {ends_at_ns}", row.matchers);
        Ok(Silence {
            id: format!(
                "file{:016x}",
                twox_hash::XxHash3_64::oneshot(key.as_bytes())
            ),
            matchers,
            starts_at_ns,
            ends_at_ns,
            author: text::line(&row.author, 100),
            comment: text::line(&row.comment, 500),
            from_file: true,
        })
    };
    let all: Result<Vec<Silence>, String> =
        file.silence.into_iter().enumerate().map(silence).collect();
    Ok(all?.into_iter().filter(|s| s.ends_at_ns > now_ns).collect())
}

/// RFC 3339.
pub fn time(text: &str) -> Result<u64, String> {
    let at: Option<jiff::Timestamp> = text.parse().ok();
    let ns = at.and_then(|at| u64::try_from(at.as_nanosecond()).ok());
    ns.ok_or_else(|| format!("{text:?} is no time: write 2026-11-21T02:00:00Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_silences() {
        let text = "[[silence]]\nmatchers = ['kind=latency_shift', 'service=~\"batch-.*\"']\nends_at = \"2030-01-01T00:00:00Z\"\n";
        let silences = parse(text, 0).unwrap();
        assert_eq!(silences[0].matchers.len(), 2);
        assert_eq!(silences, parse(text, 0).unwrap(), "the same id again");
        assert!(parse(text, u64::MAX).unwrap().is_empty(), "over");
        let error = parse(
            "[[silence]]\nmatchers = []\nends_at = \"2030-01-01T00:00:00Z\"\n",
            0,
        )
        .unwrap_err();
        assert!(error.contains("silence 1"), "{error}");
    }
}
