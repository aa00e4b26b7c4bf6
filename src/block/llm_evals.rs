//! Evaluations as rows of `llm_eval_results`, the table behind `llm_evals`.

use super::attributes::{Time, time};
use super::native::{Maybe, Text, table};
use crate::call::Evaluation;

table! {
    /// The columns that are sent, in the order of the table.
    Evals {
        timestamp: Time = "timestamp" "DateTime64(9)",
        trace_id: Text = "trace_id" "String",
        span_id: Text = "span_id" "String",
        response_id: Text = "response_id" "String",
        name: Text = "name" "String",
        score: Maybe<8> = "score" "Nullable(Float64)",
        label: Text = "label" "String",
        explanation: Text = "explanation" "String",
        error_type: Text = "error_type" "String",
        convention: Text = "convention" "String",
        service: Text = "service" "String",
        service_version: Text = "service_version" "String",
        environment: Text = "environment" "String",
    }
}

impl Evals {
    /// Appends one row.
    pub(super) fn push(&mut self, eval: &Evaluation<'_>) {
        self.timestamp.push_i64(time(eval.time_ns));
        self.trace_id.push_hex::<16, 32>(Some(&eval.trace_id));
        self.span_id.push_hex::<8, 16>(eval.span_id.as_ref());
        self.response_id.push(eval.response_id);
        self.name.push(eval.name);
        // The bits of a double are what the column holds.
        self.score.push(eval.score.map(f64::to_bits));
        self.label.push(eval.label);
        self.explanation.push(eval.explanation);
        self.error_type.push(eval.error_type);
        self.convention.push(eval.convention);
        self.service.push(eval.service);
        self.service_version.push(eval.service_version);
        self.environment.push(eval.environment);
    }
}
