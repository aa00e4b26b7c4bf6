//! What the detector is told: the outcome of one model call, or of one evaluation.
//!
//! A fact holds names and numbers, never prompts or answers; the only text is the error message,
//! which is redacted before it comes here. It borrows from the call or the journal record it was
//! made of and can be written to the journal (`serde`).

use serde::{Deserialize, Serialize};

/// Bytes of an error's text that a fact has: enough to recognise it.
pub const ERROR_BYTES_MAX: usize = 300;

/// Something that happened.
///
/// Facts are told one at a time and not kept, so a small one may be as large as a large one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "a fact is read in place, one at a time"
)]
pub enum Fact<'a> {
    #[serde(borrow)]
    Call(CallFact<'a>),
    Eval(EvalFact<'a>),
}

/// One attempt of a model call. Empty strings and `None` mean "not known".
///
/// Times are nanoseconds since the Unix epoch, durations are nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CallFact<'a> {
    /// End of the call: the event time that the detector runs on.
    pub end_ns: u64,
    pub duration_ns: u64,
    pub ttft_ns: Option<u64>,
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    pub request_id: &'a str,

    // Whose call: the dimensions of a scope.
    pub tenant: &'a str,
    pub service: &'a str,
    pub environment: &'a str,
    pub region: &'a str,
    pub feature: &'a str,
    pub provider: &'a str,
    pub request_model: &'a str,

    // What may have changed.
    pub service_version: &'a str,
    pub response_model: &'a str,
    pub system_fingerprint: &'a str,
    /// Hash of the system prompt; 0 = not known.
    pub system_prompt_hash: u64,
    pub price_id: &'a str,

    // How it ended.
    /// Text form of [`crate::call::FailureClass`]; empty = good.
    pub failure_class: &'a str,
    /// 0 = no response.
    pub http_status: u16,
    pub error_code: &'a str,
    /// Redacted, at most [`ERROR_BYTES_MAX`].
    pub error_message: &'a str,
    pub retry_after_ms: Option<u64>,
    pub streaming: bool,
    /// 1 for the first attempt.
    pub attempt: u16,
    /// Tool that the call is about, when a tool failed.
    pub tool: &'a str,
    /// Did the call have to do with tools? They are what the share of failed tools is taken of;
    /// `None` = not known, then it is taken of all calls.
    pub used_tools: Option<bool>,

    // How much.
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    /// Nano-dollars.
    pub cost_nano_usd: Option<u64>,
    pub input_chars: Option<u64>,
    pub user_chars: Option<u64>,
    pub output_chars: Option<u64>,
    /// Remaining requests and tokens as the provider's headers told them.
    pub remaining_requests: Option<u64>,
    pub remaining_tokens: Option<u64>,
    /// 1 when all calls are sent; 10 when the sender keeps one in ten.
    pub weight: f64,
    /// The call was told before and this is its corrected form (late evidence).
    pub corrected: bool,
}

/// The result of one case of an evaluation run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EvalFact<'a> {
    pub end_ns: u64,
    pub service: &'a str,
    pub environment: &'a str,
    pub feature: &'a str,
    pub provider: &'a str,
    pub request_model: &'a str,
    /// Name of the evaluation or suite.
    pub suite: &'a str,
    /// Which run of it; empty when not told.
    pub run_id: &'a str,
    pub passed: Option<bool>,
    pub score: Option<f64>,
}

/// Bytes of a journal record that are no facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("facts cannot be read from byte {offset} on")]
pub struct BadFacts {
    pub offset: usize,
}

/// What the label of an evaluation says, where it is one of the words in use.
pub fn passed(label: &str) -> Option<bool> {
    const PASS: [&str; 6] = ["pass", "passed", "true", "correct", "yes", "good"];
    const FAIL: [&str; 6] = ["fail", "failed", "false", "incorrect", "no", "bad"];
    let is = |words: &[&str]| words.iter().any(|word| label.eq_ignore_ascii_case(word));
    if is(&PASS) {
        return Some(true);
    }
    is(&FAIL).then_some(false)
}

// === impl Fact ===

impl<'a> Fact<'a> {
    /// Appends the compact form that journal records carry.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        // Writing to a Vec cannot fail, and every type here has a length.
        if let Ok(longer) = postcard::to_extend(self, std::mem::take(out)) {
            *out = longer;
        }
    }

    /// Reads facts that were appended one after the other; ends at the first that is none.
    pub fn read_all(bytes: &'a [u8]) -> impl Iterator<Item = Result<Fact<'a>, BadFacts>> {
        let mut rest = bytes;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            match postcard::take_from_bytes(rest) {
                Ok((fact, after)) => {
                    rest = after;
                    Some(Ok(fact))
                }
                Err(_) => {
                    let offset = bytes.len() - rest.len();
                    rest = &[];
                    Some(Err(BadFacts { offset }))
                }
            }
        })
    }
}
