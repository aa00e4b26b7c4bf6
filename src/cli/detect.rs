//! `lapwing detect FILE`: a stream of calls and evaluations to the incidents in it.
//!
//! The detector of the server, run over a file in event time. Alerts go to standard output, one
//! JSON object a line, when they are raised.

mod events;

use std::{
    fs,
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};

use crate::{
    call::FailureClass,
    detect::{Change, Detector, DetectorConfig, Scope, State},
    enrich::{Rules, classify},
};
use events::Event;

/// Bytes of a line; longer ones are refused.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// A stream that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("line {line}: {problem}; every line is a call or an evaluation as a JSON object")]
    Line { line: u64, problem: String },
    #[error("cannot write to stdout: {0}")]
    Write(#[from] io::Error),
}

/// What to do with the stream.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Work the class out even where a line tells it.
    pub strip_class: bool,
}

/// Reads the stream (`-` is standard input) and prints the alerts.
pub fn run(
    file: &Path,
    options: Options,
    config: DetectorConfig,
    rules: &Rules,
    out: &mut dyn Write,
) -> Result<(), DetectError> {
    let read = |source| DetectError::Read {
        path: file.to_owned(),
        source,
    };
    let mut input: Box<dyn BufRead> = match file.to_str() {
        Some("-") => Box::new(io::stdin().lock()),
        _ => Box::new(io::BufReader::with_capacity(
            1 << 20,
            fs::File::open(file).map_err(read)?,
        )),
    };
    let mut detector = Detector::new(config);
    let (mut line, mut changes, mut number) = (Vec::new(), Vec::new(), 0);
    loop {
        line.clear();
        let mut limited = io::Read::take(&mut input, LINE_BYTES_MAX);
        if limited.read_until(b'\n', &mut line).map_err(read)? == 0 {
            return Ok(());
        }
        number += 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let wrong = |problem: String| DetectError::Line {
            line: number,
            problem,
        };
        let event: Event<'_> = serde_json::from_slice(&line).map_err(|e| wrong(e.to_string()))?;
        let told = event
            .told_class()
            .map_err(|word| wrong(format!("`{word}` is no class")))?;
        let class = match told {
            Some(class) if !options.strip_class => class,
            _ => event.work_out(rules),
        };
        detector.observe(&event.fact(class, number), &mut changes);
        for change in changes.drain(..) {
            if change.state == State::Opened {
                writeln!(out, "{}", alert(&change))?;
            }
        }
    }
}

/// An alert line.
pub(super) fn alert(change: &Change) -> Value {
    let incident = &change.incident;
    let observed = &incident.observed;
    json!({
        "kind": incident.kind.as_str(),
        "labels": labels(&incident.scope),
        "starts_at": incident.raised_ns,
        "ends_at": incident.ended_ns,
        "onset": incident.onset_ns,
        "severity": incident.severity.as_str(),
        "rule": incident.rule,
        "failure_class": incident.failure_class,
        "observed": {"value": observed.value, "baseline": observed.baseline, "unit": observed.unit,
            "sample": observed.sample, "window_s": observed.window_s},
        "confidence": incident.confidence,
    })
}

fn labels(scope: &Scope) -> Map<String, Value> {
    let value = |values: &Vec<String>| match &values[..] {
        [one] => json!(one),
        many => json!(many),
    };
    scope
        .iter()
        .map(|(dimension, values)| (dimension.as_str().to_owned(), value(values)))
        .collect()
}

impl Event<'_> {
    /// The class by the collector's own classifier.
    fn work_out(&self, rules: &Rules) -> Option<FailureClass> {
        let interrupted = self.error_type == "stream_interrupted";
        let messages = [&*self.error_body];
        let evidence = classify::Evidence {
            provider: &self.provider,
            is_error: !self.error_body.is_empty() && self.http_status >= 400
                || self.http_status == 0,
            http_status: (self.http_status != 0).then_some(self.http_status),
            error_type: &self.error_type,
            messages: &messages,
            finish: &self.finish_reason,
            streaming: self.stream,
            ..classify::Evidence::default()
        };
        let told = classify::classify(rules, &evidence).map(|f| f.class);
        match told {
            // It broke after the answer had begun.
            Some(_) if interrupted && self.http_status == 200 => {
                Some(FailureClass::StreamInterrupted)
            }
            Some(class) => Some(class),
            None if self.refusal => Some(FailureClass::OutputRefusal),
            None if !self.validation_error.is_empty() => Some(FailureClass::OutputSchemaViolation),
            None if self.finish_reason == "length" => Some(FailureClass::OutputTruncated),
            None if self.is_call() && self.output_tokens == Some(0) => {
                Some(FailureClass::OutputEmpty)
            }
            None => None,
        }
    }
}
