//! The `classify` command: errors in as JSON lines, verdicts out as JSON lines.
//!
//! Takes any reader and writer, so that the command line and the tests share it.

use super::{Candidate, Evidence, explain};
use crate::enrich::Rules;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::io::{self, BufRead, Write};

/// Why the command did not end well.
#[derive(Debug, thiserror::Error)]
pub enum LinesError {
    #[error("cannot read the input or write the answer: {0}")]
    Io(#[from] io::Error),
    /// The others were answered.
    #[error("{0} lines could not be read as JSON objects and have no answer")]
    BadLines(usize),
}

/// One error, as asked. Null and absent are the same.
#[derive(Deserialize)]
struct Question<'a> {
    #[serde(default)]
    id: Value,
    #[serde(default, borrow)]
    provider: Option<Cow<'a, str>>,
    /// Where the text came from; nothing depends on it so far.
    #[serde(default)]
    #[allow(dead_code, reason = "documented input column")]
    source_kind: Value,
    #[serde(default)]
    http_status: Value,
    #[serde(default)]
    error_type: Value,
    #[serde(default)]
    error_code: Value,
    #[serde(default, borrow)]
    exception_type: Option<Cow<'a, str>>,
    #[serde(default)]
    message: Value,
    #[serde(default)]
    body: Value,
    #[serde(default)]
    finish_reason: Value,
}

#[derive(Serialize)]
struct Answer<'a> {
    id: Value,
    class: &'a str,
    phase: &'a str,
    retry: &'a str,
    fault_domain: &'a str,
    evidence: &'a str,
    /// Only when asked to explain: what decided, then what would have decided without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<Vec<Reason<'a>>>,
}

#[derive(Serialize)]
struct Reason<'a> {
    rule: &'a str,
    class: &'a str,
    matched: &'a str,
}

/// Answers one line per readable line of `input`; a line that cannot be read is told on `errors`
/// with its number, and makes the whole run fail at its end.
///
/// With `explaining`, an answer names all rules that hold, the one that decided first.
pub fn classify_lines(
    rules: &Rules,
    explaining: bool,
    mut input: impl BufRead,
    mut output: impl Write,
    mut errors: impl Write,
) -> Result<(), LinesError> {
    let (mut line, mut bad) = (Vec::new(), 0_usize);
    for number in 1_usize.. {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice::<Question<'_>>(&line) {
            Ok(question) => {
                answer(rules, explaining, question, &mut output)?;
                output.write_all(b"\n")?;
            }
            Err(e) => {
                bad += 1;
                writeln!(errors, "line {number}: not a JSON object as expected: {e}")?;
            }
        }
    }
    output.flush()?;
    match bad {
        0 => Ok(()),
        bad => Err(LinesError::BadLines(bad)),
    }
}

fn answer(
    rules: &Rules,
    explaining: bool,
    q: Question<'_>,
    output: &mut impl Write,
) -> io::Result<()> {
    let [error_type, error_code, message, body, finish] = [
        &q.error_type,
        &q.error_code,
        &q.message,
        &q.body,
        &q.finish_reason,
    ]
    .map(text);
    let status = match &q.http_status {
        Value::String(s) => s.parse().ok(),
        other => other.as_u64().and_then(|n| u16::try_from(n).ok()),
    };
    let told = [&error_type, &error_code, &message, &body]
        .iter()
        .any(|t| !t.is_empty())
        || q.exception_type.is_some()
        || status.is_some_and(|s| s >= 400)
        || finish.is_empty();
    let (failure, candidates) = explain(
        rules,
        &Evidence {
            provider: q.provider.as_deref().unwrap_or(""),
            is_error: told,
            http_status: status,
            error_type: &error_type,
            error_code: &error_code,
            exception_type: q.exception_type.as_deref().unwrap_or(""),
            messages: &[&message],
            body: &body,
            finish: &finish,
            ..Evidence::default()
        },
    );
    let because = explaining.then(|| candidates.iter().map(Reason::of).collect());
    let answer = match &failure {
        Some(f) => Answer {
            id: q.id,
            class: f.class.as_str(),
            phase: f.phase.as_str(),
            retry: f.retry.as_str(),
            fault_domain: f.fault_domain.as_str(),
            evidence: &f.evidence,
            because,
        },
        // Only a finish reason was given, and it tells no failure.
        None => Answer {
            id: q.id,
            class: "",
            phase: "",
            retry: "",
            fault_domain: "",
            evidence: "",
            because,
        },
    };
    serde_json::to_writer(output, &answer).map_err(io::Error::from)
}

impl<'a> Reason<'a> {
    fn of(candidate: &'a Candidate) -> Reason<'a> {
        Reason {
            rule: &candidate.rule,
            class: candidate.class.as_str(),
            matched: &candidate.matched,
        }
    }
}

/// A JSON value as text: strings as they are, null as nothing, others as JSON.
fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => "".into(),
        Value::String(s) => s.as_str().into(),
        other => other.to_string().into(),
    }
}
