//! The event format of `lapwing detect`: one JSON object a line, a call or an evaluation.
//!
//! Plain names for what a call fact holds, for logs that never were OTLP. Nothing else in the
//! program knows these names.

use serde::Deserialize;

use crate::{
    call::FailureClass,
    detect::{CallFact, EvalFact, Fact},
};

/// One line.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Event<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    timestamp_ns: u64,
    id: Option<u64>,
    #[serde(borrow)]
    tenant: Text<'a>,
    #[serde(borrow)]
    service: Text<'a>,
    #[serde(borrow)]
    environment: Text<'a>,
    #[serde(borrow)]
    region: Text<'a>,
    #[serde(borrow)]
    feature: Text<'a>,
    #[serde(borrow)]
    pub provider: Text<'a>,
    #[serde(borrow)]
    request_model: Text<'a>,
    #[serde(borrow)]
    response_model: Text<'a>,
    pub stream: Option<bool>,
    #[serde(borrow)]
    pub class: Option<Text<'a>>,
    pub http_status: u16,
    #[serde(borrow)]
    pub error_type: Text<'a>,
    #[serde(borrow)]
    pub error_body: Text<'a>,
    #[serde(borrow)]
    pub finish_reason: Text<'a>,
    #[serde(borrow)]
    pub validation_error: Text<'a>,
    pub refusal: bool,
    input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    input_chars: Option<u64>,
    user_chars: Option<u64>,
    pub output_chars: Option<u64>,
    latency_ms: f64,
    ttft_ms: Option<f64>,
    retry_count: u16,
    cost_usd: Option<f64>,
    #[serde(borrow)]
    tool: Text<'a>,
    #[serde(borrow)]
    tool_status: Text<'a>,
    #[serde(borrow)]
    suite: Text<'a>,
    #[serde(borrow)]
    run_id: Text<'a>,
    passed: Option<bool>,
    score: Option<f64>,
}

/// A text, borrowed unless it had to be unescaped.
pub type Text<'a> = std::borrow::Cow<'a, str>;

/// The class words of the format; `ok` is no failure.
const CLASSES: [(&str, Option<FailureClass>); 15] = {
    use FailureClass::*;
    [
        ("ok", None),
        ("rate_limit", Some(RateLimitRequests)),
        ("quota_exhausted", Some(BillingQuotaExhausted)),
        ("timeout", Some(NetworkTimeout)),
        ("server_error", Some(ProviderServerError)),
        ("overloaded", Some(CapacityOverloaded)),
        ("empty", Some(OutputEmpty)),
        ("truncated", Some(OutputTruncated)),
        ("schema_violation", Some(OutputSchemaViolation)),
        ("refusal", Some(OutputRefusal)),
        ("content_filter", Some(OutputContentFiltered)),
        ("stream_interrupted", Some(StreamInterrupted)),
        ("invalid_request", Some(RequestInvalid)),
        ("auth", Some(AuthInvalidKey)),
        ("context_length", Some(RequestContextLength)),
    ]
};

// === impl Event ===

impl<'a> Event<'a> {
    /// The class that the line tells; `Err` with the word when it is none of the format's.
    pub fn told_class(&self) -> Result<Option<Option<FailureClass>>, String> {
        let Some(word) = &self.class else {
            return Ok(None);
        };
        match CLASSES.iter().find(|(name, _)| name == word) {
            Some((_, class)) => Ok(Some(*class)),
            None => Err(word.to_string()),
        }
    }

    /// Is it a call?
    pub fn is_call(&self) -> bool {
        self.kind != "eval"
    }

    /// The fact that the line tells; `class` is the failure, if any.
    pub fn fact(&self, class: Option<FailureClass>, number: u64) -> Fact<'_> {
        if !self.is_call() {
            return Fact::Eval(EvalFact {
                end_ns: self.timestamp_ns,
                service: &self.service,
                environment: &self.environment,
                feature: &self.feature,
                provider: &self.provider,
                request_model: &self.request_model,
                suite: &self.suite,
                run_id: &self.run_id,
                passed: self.passed,
                score: self.score,
            });
        }
        let id = self.id.unwrap_or(number);
        let mut trace_id = [0; 16];
        trace_id[8..].copy_from_slice(&id.to_be_bytes());
        let tool_failed = self.tool_status == "error";
        let class = class.or(tool_failed.then_some(FailureClass::ToolExecutionFailed));
        let ms = |ms: f64| (ms.max(0.0) * 1e6) as u64;
        Fact::Call(CallFact {
            end_ns: self.timestamp_ns,
            duration_ns: ms(self.latency_ms),
            ttft_ns: self.ttft_ms.map(ms),
            trace_id,
            span_id: id.to_be_bytes(),
            tenant: &self.tenant,
            service: &self.service,
            environment: &self.environment,
            region: &self.region,
            feature: &self.feature,
            provider: &self.provider,
            request_model: &self.request_model,
            response_model: &self.response_model,
            failure_class: class.map_or("", FailureClass::as_str),
            http_status: self.http_status,
            error_message: &self.error_body,
            streaming: self.stream.unwrap_or(false),
            attempt: self.retry_count.saturating_add(1),
            tool: if tool_failed { &self.tool } else { "" },
            used_tools: Some(!self.tool.is_empty()),
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            cost_nano_usd: self.cost_usd.map(|usd| (usd.max(0.0) * 1e9) as u64),
            input_chars: self.input_chars,
            user_chars: self.user_chars,
            output_chars: self.output_chars,
            weight: 1.0,
            ..CallFact::default()
        })
    }
}
