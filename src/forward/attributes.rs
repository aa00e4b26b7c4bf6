//! What was worked out about a call, as attributes of its span.
//!
//! `lapwing.` and the name of the column of `llm_calls` that holds the same: one vocabulary for the
//! table and for the other side. What is not known is not written.

use crate::{
    call::{Call, Enrichment},
    decode::rewrite::{put, put_varint},
};

/// `Span.attributes`.
const SPAN_ATTRIBUTE: u32 = 9;

/// The fields to append to the encoded span of this call.
pub fn of_call(call: &Call<'_>, enrichment: &Enrichment) -> Vec<u8> {
    let mut out = Attributes(Vec::with_capacity(1024));
    out.text("convention", call.convention);
    out.text("operation", call.operation.as_str());
    out.text("provider", call.provider);
    out.text("request_model", call.request_model);
    out.text("response_model", call.response_model);
    out.text(
        "duplicate_of",
        &call.duplicate_of.map_or(String::new(), hex),
    );
    for (name, text) in [
        ("tenant", call.tenant),
        ("feature", call.feature),
        ("environment", call.environment),
        ("region", call.region),
        ("user_id", call.user_id),
        ("session_id", call.session_id),
    ] {
        out.text(name, text);
    }
    out.count("attempt", Some(u64::from(call.attempt)));
    out.text("stream_outcome", enrichment.stream_outcome);
    out.failure(call, enrichment);
    out.usage(call, enrichment);
    out.profile(call, enrichment);
    out.0
}

struct Attributes(Vec<u8>);

// === impl Attributes ===

impl Attributes {
    fn failure(&mut self, call: &Call<'_>, enrichment: &Enrichment) {
        let failure = enrichment.failure.as_ref();
        let status = failure.and_then(|f| f.http_status);
        let status = status.or(call.errors.http_status);
        self.count("http_status", status.map(u64::from));
        let Some(failure) = failure else { return };
        self.text("failure_class", failure.class.as_str());
        self.text("failure_phase", failure.phase.as_str());
        self.text("fault_domain", failure.fault_domain.as_str());
        self.text("retry_advice", failure.retry.as_str());
        self.text("class_evidence", &failure.evidence);
        self.text("error_code", &failure.error_code);
        self.text("error_message", &failure.message);
        self.text("request_id", &failure.request_id);
        let wait = failure.retry_after_ms.or(call.errors.retry_after_ms);
        self.count("retry_after_ms", wait);
    }

    fn usage(&mut self, call: &Call<'_>, enrichment: &Enrichment) {
        let (usage, cost) = (&call.usage, &enrichment.cost);
        self.count("input_tokens", usage.input_tokens);
        self.count("output_tokens", usage.output_tokens);
        self.count("cache_read_tokens", usage.cache_read_tokens);
        self.count("cache_write_tokens", usage.cache_write_tokens);
        self.count("reasoning_tokens", usage.reasoning_tokens);
        self.text("tokens_source", usage.source.as_str());
        self.amount("cost_usd", cost.total_usd);
        self.amount("cost_input_usd", cost.input_usd);
        self.amount("cost_output_usd", cost.output_usd);
        self.text("cost_status", cost.status.as_str());
        self.text("price_id", &cost.price_id);
    }

    fn profile(&mut self, call: &Call<'_>, enrichment: &Enrichment) {
        let profile = &enrichment.profile;
        let told = |recorded: bool, n: u32| recorded.then_some(u64::from(n));
        self.count(
            "input_chars",
            told(call.input.recorded, profile.input_chars),
        );
        self.count(
            "output_chars",
            told(call.output.recorded, profile.output_chars),
        );
        self.text("language", profile.language);
        self.texts("input_flags", &profile.input_flags);
        self.texts("output_flags", &profile.output_flags);
        self.texts("tool_flags", &profile.tool_flags);
    }

    fn text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            let mut value = Vec::with_capacity(text.len() + 4);
            put(&mut value, 1, text.as_bytes());
            self.value(name, &value);
        }
    }

    fn texts(&mut self, name: &str, texts: &[&'static str]) {
        if texts.is_empty() {
            return;
        }
        let mut list = Vec::new();
        for text in texts {
            let mut value = Vec::new();
            put(&mut value, 1, text.as_bytes());
            put(&mut list, 1, &value);
        }
        let mut value = Vec::new();
        put(&mut value, 5, &list);
        self.value(name, &value);
    }

    fn count(&mut self, name: &str, count: Option<u64>) {
        // An `int_value` is signed.
        if let Some(count) = count.filter(|n| i64::try_from(*n).is_ok()) {
            let mut value = vec![3 << 3];
            put_varint(&mut value, count);
            self.value(name, &value);
        }
    }

    fn amount(&mut self, name: &str, amount: Option<f64>) {
        if let Some(amount) = amount {
            let mut value = vec![4 << 3 | 1];
            value.extend_from_slice(&amount.to_le_bytes());
            self.value(name, &value);
        }
    }

    /// `value` is an encoded `AnyValue`.
    fn value(&mut self, name: &str, value: &[u8]) {
        let mut pair = Vec::with_capacity(value.len() + 40);
        put(&mut pair, 1, format!("lapwing.{name}").as_bytes());
        put(&mut pair, 2, value);
        put(&mut self.0, SPAN_ATTRIBUTE, &pair);
    }
}

fn hex(id: [u8; 8]) -> String {
    format!("{:016x}", u64::from_be_bytes(id))
}
