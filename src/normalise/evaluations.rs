//! Evaluations: what a judge said about an answer, in the words of OpenTelemetry and of frameworks.
//!
//! - `gen_ai.evaluation.result`: span events, and log events (attributes or a structured body);
//! - a span of an evaluator that has the same attributes itself;
//! - `eval.<name>.score`, `.label`, `.explanation` (OpenInference and Phoenix);
//! - pydantic-evals: `scores`, `labels` and `assertions` of a case, JSON by name.
//!
//! Each result is a row by itself and rests on nothing else, so that no memory is needed.

use bumpalo::Bump;

use super::{
    json::Json,
    text::{boolean, number, plain_text, value_to_json},
};
use crate::{
    call::Evaluation,
    decode::{Attribute, Logs, Resource, Traces, Value},
};

const EVENT: &str = "gen_ai.evaluation.result";
const OTEL: &str = "gen_ai.evaluation.";
const OPENINFERENCE: &str = "eval.";
/// Results of one span that are read.
const RESULTS_MAX: usize = 256;

/// The results in a trace request.
pub fn of_traces<'a>(request: &Traces<'a>, arena: &'a Bump) -> Vec<Evaluation<'a>> {
    let mut out = Vec::new();
    for span in &request.spans {
        let base = || {
            let resource = request.resources.get(span.resource as usize);
            Evaluation {
                time_ns: span.end_ns.max(span.start_ns),
                trace_id: span.trace_id,
                span_id: Some(span.span_id),
                ..from(resource, arena)
            }
        };
        for event in span.events.iter().filter(|e| e.name == EVENT) {
            let base = Evaluation {
                time_ns: event.time_ns,
                ..base()
            };
            out.extend(result(base, event.attributes, arena));
        }
        let mut otel = false;
        let mut named: Vec<Evaluation<'a>> = Vec::new();
        for attribute in span.attributes {
            // Nearly all keys of nearly all spans end here.
            let key = attribute.key;
            if key.starts_with(OTEL) {
                otel = true;
            } else if let Some(rest) = key.strip_prefix(OPENINFERENCE) {
                score(&mut named, base(), rest, attribute.value, arena);
            } else if matches!(key, "scores" | "labels" | "assertions") {
                let scope = request.scopes.get(span.scope as usize);
                if scope.is_some_and(|s| s.name == "pydantic-evals") {
                    out.extend(case(&base(), attribute.value, arena));
                }
            }
        }
        if otel {
            out.extend(result(base(), span.attributes, arena));
        }
        out.extend(
            named
                .into_iter()
                .filter(|e| e.score.is_some() || !e.label.is_empty()),
        );
    }
    out
}

/// The results in a log request.
pub fn of_logs<'a>(request: &Logs<'a>, arena: &'a Bump) -> Vec<Evaluation<'a>> {
    let mut out = Vec::new();
    for record in request.records.iter().filter(|r| r.event_name == EVENT) {
        let base = Evaluation {
            time_ns: match record.time_ns {
                0 => record.observed_time_ns,
                time_ns => time_ns,
            },
            trace_id: record.trace_id.unwrap_or_default(),
            span_id: record.span_id,
            ..from(request.resources.get(record.resource as usize), arena)
        };
        let found = result(base, record.attributes, arena);
        out.extend(found.or_else(|| match record.body {
            Value::Kvlist(body) => result(base, body, arena),
            _ => None,
        }));
    }
    out
}

fn from<'a>(resource: Option<&Resource<'a>>, arena: &'a Bump) -> Evaluation<'a> {
    let attributes = resource.map_or(&[][..], |r| r.attributes);
    let text = |keys: &[&str]| {
        let found = attributes.iter().rev().find(|a| keys.contains(&a.key));
        found.map_or("", |a| plain_text(a.value, arena))
    };
    Evaluation {
        service: text(&["service.name"]),
        service_version: text(&["service.version"]),
        environment: text(&["deployment.environment.name", "deployment.environment"]),
        ..Evaluation::default()
    }
}

/// One result in OpenTelemetry's words; `None` without a name.
fn result<'a>(
    base: Evaluation<'a>,
    attributes: &[Attribute<'a>],
    arena: &'a Bump,
) -> Option<Evaluation<'a>> {
    let mut out = Evaluation {
        convention: "otel_gen_ai",
        ..base
    };
    for attribute in attributes {
        let text = || plain_text(attribute.value, arena);
        match attribute.key {
            "gen_ai.evaluation.name" => out.name = text(),
            "gen_ai.evaluation.score.value" | "gen_ai.evaluation.score" => {
                out.score = score_of(attribute.value);
            }
            "gen_ai.evaluation.score.label" | "gen_ai.evaluation.label" => out.label = text(),
            "gen_ai.evaluation.explanation" | "gen_ai.evaluation.reasoning" => {
                out.explanation = text();
            }
            "gen_ai.response.id" => out.response_id = text(),
            "error.type" => out.error_type = text(),
            _ => {}
        }
    }
    (!out.name.is_empty()).then_some(out)
}

/// One attribute of `eval.<name>.<what>`.
fn score<'a>(
    found: &mut Vec<Evaluation<'a>>,
    base: Evaluation<'a>,
    rest: &'a str,
    value: Value<'a>,
    arena: &'a Bump,
) {
    let Some((name, what)) = rest.rsplit_once('.') else {
        return;
    };
    let place = found.iter().position(|e| e.name == name);
    let place = place.unwrap_or_else(|| {
        found.push(Evaluation {
            name,
            convention: "openinference",
            ..base
        });
        found.len() - 1
    });
    let Some(own) = found.get_mut(place).filter(|_| place < RESULTS_MAX) else {
        return;
    };
    match what {
        "score" => own.score = score_of(value),
        "label" => own.label = plain_text(value, arena),
        "explanation" => own.explanation = plain_text(value, arena),
        _ => {}
    }
}

/// The results of a case: `{"name": {"value": 0.9, "reason": "..."}}`.
fn case<'a>(base: &Evaluation<'a>, value: Value<'a>, arena: &'a Bump) -> Vec<Evaluation<'a>> {
    let text = match value {
        Value::Str(text) => text,
        other => value_to_json(other, arena),
    };
    let Some(json) = Json::container(text, arena) else {
        return Vec::new();
    };
    let results = json.entries().iter().take(RESULTS_MAX);
    let results = results.map(|(name, result)| {
        let told = result.get("value").unwrap_or(*result).text(arena);
        let score = score_of(Value::Str(told));
        Evaluation {
            name,
            score,
            label: if score.is_none() || matches!(told, "true" | "false") {
                told
            } else {
                ""
            },
            explanation: result.get("reason").map_or("", |r| r.text(arena)),
            convention: "pydantic_evals",
            ..*base
        }
    });
    results.collect()
}

/// A number; yes and no are 1 and 0.
fn score_of(value: Value<'_>) -> Option<f64> {
    let truth = || boolean(value).map(|yes| f64::from(u8::from(yes)));
    number(value).filter(|n| n.is_finite()).or_else(truth)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{decode, normalise::otlp};

    /// Name, score, label and convention of each result.
    fn found(body: &[u8], logs: bool) -> Vec<(String, Option<f64>, String, &'static str)> {
        let arena = Bump::new();
        let results = if logs {
            of_logs(&decode::logs(body, &arena).expect("logs"), &arena)
        } else {
            of_traces(&decode::traces(body, &arena).expect("traces"), &arena)
        };
        let shown = results
            .iter()
            .map(|e| (e.name.to_owned(), e.score, e.label.to_owned(), e.convention));
        shown.collect()
    }

    #[test]
    fn results_are_read_in_every_convention() {
        let fields = [
            ("gen_ai.evaluation.name", "relevance".into()),
            ("gen_ai.evaluation.score.value", 0.25.into()),
            ("gen_ai.evaluation.score.label", "poor".into()),
        ];
        let row = |name: &str, score, label: &str, convention| {
            (name.to_owned(), score, label.to_owned(), convention)
        };
        let event = otlp::traces(&[otlp::span("chat").event(EVENT, &fields)]);
        let otel = [row("relevance", Some(0.25), "poor", "otel_gen_ai")];
        assert_eq!(found(&event, false), otel);
        let mut log = otlp::log(EVENT);
        for (key, value) in fields.clone() {
            log = log.attr(key, value);
        }
        assert_eq!(found(&otlp::logs(&[log]), true), otel);
        let body = otlp::logs(&[otlp::log(EVENT).body(otlp::map(fields))]);
        assert_eq!(found(&body, true), otel);
        let phoenix = otlp::traces(&[otlp::span("eval")
            .attr("eval.toxicity.score", 1)
            .attr("eval.toxicity.label", "toxic")
            .attr("eval.unscored.explanation", "no result")]);
        let expected = [row("toxicity", Some(1.0), "toxic", "openinference")];
        assert_eq!(found(&phoenix, false), expected);
        let case = otlp::traces(&[otlp::span("case: one")
            .scope("pydantic-evals")
            .attr("scores", r#"{"accuracy":{"value":0.9,"reason":"close"}}"#)
            .attr("assertions", r#"{"polite":{"value":true}}"#)]);
        let expected = [
            row("accuracy", Some(0.9), "", "pydantic_evals"),
            row("polite", Some(1.0), "true", "pydantic_evals"),
        ];
        assert_eq!(found(&case, false), expected);
    }

    #[test]
    fn what_has_no_name_is_no_result() {
        let body = otlp::traces(&[otlp::span("chat")
            .event(EVENT, &[("gen_ai.evaluation.score.value", 1.into())])
            .attr("scores", r#"{"a":1}"#)
            .attr("eval.x", 1)]);
        assert_eq!(found(&body, false), []);
    }
}
