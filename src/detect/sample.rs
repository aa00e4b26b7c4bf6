//! A call as the detector keeps it until its tick is complete: names are numbers, and of the text
//! only what an incident may show.

use serde::{Deserialize, Serialize};

use super::{
    CallFact,
    names::{Names, Sym},
    signal::{self, Signal},
};
use crate::call::FailureClass;

/// Bytes of an error text that are kept.
const MESSAGE_BYTES_MAX: usize = 240;
const NS: f32 = 1e9;

/// One attempt of a model call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sample {
    pub end_ns: u64,
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    pub leaf: u32,
    pub tenant: Sym,
    /// Signals that its failure hits.
    pub hit: u32,
    pub failed: bool,
    /// The rate limit does not say of what kind it is.
    pub vague: bool,
    pub invites_retry: bool,
    pub answered: bool,
    pub streaming: bool,
    pub used_tools: bool,
    pub attempt: u16,
    pub http_status: u16,
    pub class: Sym,
    pub code: Sym,
    pub tool: Sym,
    pub response_model: Sym,
    /// Version, response model, fingerprint, system prompt, price: what may change.
    pub changeable: [Sym; 5],
    pub seconds: f32,
    pub ttft: Option<f32>,
    pub input: Option<f32>,
    pub user: Option<f32>,
    pub output: Option<f32>,
    /// Dollars.
    pub cost: Option<f32>,
    pub weight: f32,
    pub remaining: Option<(u64, bool)>,
    pub texts: Option<Box<Texts>>,
}

/// The texts of a failed call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Texts {
    pub request_id: String,
    pub message: String,
}

/// What may change, in the order of [`Sample::changeable`].
pub const CHANGEABLE: [&str; 5] = [
    "service_version",
    "response_model",
    "system_fingerprint",
    "system_prompt_hash",
    "price_id",
];

// === impl Sample ===

impl Sample {
    /// Reads a fact.
    pub fn new(call: &CallFact<'_>, leaf: u32, names: &mut Names) -> Sample {
        let class = FailureClass::parse(call.failure_class);
        let hit = class.map_or(0, signal::hits_of);
        let tool_hit = if call.tool.is_empty() {
            0
        } else {
            Signal::Tool.bit()
        };
        let failed = !call.failure_class.is_empty();
        // A refusal, a filtered or a cut answer took its time all the same.
        let made = !failed
            || class.is_some_and(|c| {
                c.as_str().starts_with("llm.output") || c.as_str().starts_with("llm.tool")
            });
        let answered =
            made && class != Some(FailureClass::OutputEmpty) && call.output_tokens != Some(0);
        let number = |v: Option<u64>| v.map(|v| v as f32);
        let prompt = match call.system_prompt_hash {
            0 => 0,
            hash => names.intern(&format!("{hash:016x}")),
        };
        let texts = (failed && (!call.request_id.is_empty() || !call.error_message.is_empty()))
            .then(|| {
                let cut = call.error_message.floor_char_boundary(MESSAGE_BYTES_MAX);
                Box::new(Texts {
                    request_id: call.request_id.to_owned(),
                    message: call.error_message.get(..cut).unwrap_or("").to_owned(),
                })
            });
        let response_model = names.intern(call.response_model);
        let requests = call.remaining_requests.map(|n| (n, false));
        Sample {
            end_ns: call.end_ns,
            trace_id: call.trace_id,
            span_id: call.span_id,
            leaf,
            tenant: names.intern(call.tenant),
            hit: hit | tool_hit,
            failed,
            vague: class == Some(FailureClass::RateLimitUnspecified),
            invites_retry: class.is_some_and(signal::invites_retry),
            answered,
            streaming: call.streaming,
            used_tools: call.used_tools.unwrap_or(true),
            attempt: call.attempt.max(1),
            http_status: call.http_status,
            class: names.intern(call.failure_class),
            code: names.intern(call.error_code),
            tool: names.intern(call.tool),
            response_model,
            changeable: [
                names.intern(call.service_version),
                response_model,
                names.intern(call.system_fingerprint),
                prompt,
                names.intern(call.price_id),
            ],
            seconds: call.duration_ns as f32 / NS,
            ttft: call.ttft_ns.map(|ns| ns as f32 / NS),
            input: number(call.input_tokens.or(call.input_chars)),
            user: number(call.user_chars),
            output: number(call.output_tokens.or(call.output_chars)),
            cost: call.cost_nano_usd.map(|n| n as f32 / NS),
            weight: if call.weight > 0.0 {
                call.weight as f32
            } else {
                1.0
            },
            remaining: requests.or(call.remaining_tokens.map(|n| (n, true))),
            texts,
        }
    }

    /// Input and output together.
    pub fn tokens(&self) -> f32 {
        self.input.unwrap_or(0.0) + self.output.unwrap_or(0.0)
    }
}
