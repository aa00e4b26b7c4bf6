//! Model calls as rows of `llm_call_versions`, the table behind `llm_calls`.
//!
//! A row that turned out to be incomplete is not changed. It is taken back by a row of sign -1 with
//! the same version and measures, and replaced by a row of sign +1 with the next version; sums of
//! `sign * measure` are right at every moment.

use super::attributes::{Attributes, Time, time};
use super::native::{List, Map, Maybe, Number, Text, table};
use crate::call::{Call, Cost, Enrichment, Failure, Profile};
use crate::decode::{Attribute, Value};

/// Which version of a call's row, and whether it is written or taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// +1 writes the version, -1 takes it back.
    pub sign: i8,
    /// Counted from 1.
    pub version: u32,
}

/// Steps of the money columns in one USD: `Decimal(18, 12)`, so that a row taken back leaves
/// exactly 0 in the sums, which floating point would not.
const MONEY_SCALE: f64 = 1e12;

table! {
    /// The columns that are sent, in the order of the table.
    Calls {
        timestamp: Time = "timestamp" "DateTime64(9)",
        duration_ns: Number<8> = "duration_ns" "UInt64",
        ttft_ns: Maybe<8> = "ttft_ns" "Nullable(UInt64)",
        trace_id: Text = "trace_id" "String",
        span_id: Text = "span_id" "String",
        parent_span_id: Text = "parent_span_id" "String",
        span_name: Text = "span_name" "String",
        duplicate_of: Text = "duplicate_of" "String",
        tenant: Text = "tenant" "String",
        service: Text = "service" "String",
        service_version: Text = "service_version" "String",
        environment: Text = "environment" "String",
        region: Text = "region" "String",
        feature: Text = "feature" "String",
        user_id: Text = "user_id" "String",
        session_id: Text = "session_id" "String",
        schema_version: Text = "schema_version" "String",
        dimensions: Map = "dimensions" "Map(String, String)",
        instrumentation: Text = "instrumentation" "String",
        instrumentation_version: Text = "instrumentation_version" "String",
        convention: Text = "convention" "String",
        operation: Text = "operation" "String",
        endpoint: Text = "endpoint" "String",
        lane: Text = "lane" "String",
        provider: Text = "provider" "String",
        server_address: Text = "server_address" "String",
        request_model: Text = "request_model" "String",
        response_model: Text = "response_model" "String",
        system_fingerprint: Text = "system_fingerprint" "String",
        service_tier: Text = "service_tier" "String",
        response_id: Text = "response_id" "String",
        request_id: Text = "request_id" "String",
        streaming: Maybe<1> = "streaming" "Nullable(Bool)",
        stream_outcome: Text = "stream_outcome" "String",
        failure_class: Text = "failure_class" "String",
        failure_phase: Text = "failure_phase" "String",
        fault_domain: Text = "fault_domain" "String",
        retry_advice: Text = "retry_advice" "String",
        class_evidence: Text = "class_evidence" "String",
        http_status: Maybe<2> = "http_status" "Nullable(UInt16)",
        error_type: Text = "error_type" "String",
        error_code: Text = "error_code" "String",
        error_message: Text = "error_message" "String",
        retry_after_ms: Maybe<8> = "retry_after_ms" "Nullable(UInt64)",
        attempt: Number<2> = "attempt" "UInt16",
        input_tokens: Maybe<8> = "input_tokens" "Nullable(UInt64)",
        output_tokens: Maybe<8> = "output_tokens" "Nullable(UInt64)",
        cache_read_tokens: Maybe<8> = "cache_read_tokens" "Nullable(UInt64)",
        cache_write_tokens: Maybe<8> = "cache_write_tokens" "Nullable(UInt64)",
        reasoning_tokens: Maybe<8> = "reasoning_tokens" "Nullable(UInt64)",
        tokens_source: Text = "tokens_source" "String",
        cost_usd: Maybe<8> = "cost_usd" "Nullable(Decimal(18, 12))",
        cost_input_usd: Maybe<8> = "cost_input_usd" "Nullable(Decimal(18, 12))",
        cost_output_usd: Maybe<8> = "cost_output_usd" "Nullable(Decimal(18, 12))",
        cost_status: Text = "cost_status" "String",
        price_id: Text = "price_id" "String",
        finish_reason: Text = "finish_reason" "String",
        max_tokens: Maybe<8> = "max_tokens" "Nullable(UInt64)",
        message_count: Number<4> = "message_count" "UInt32",
        input_chars: Number<4> = "input_chars" "UInt32",
        input_words: Number<4> = "input_words" "UInt32",
        user_chars: Number<4> = "user_chars" "UInt32",
        system_prompt_hash: Number<8> = "system_prompt_hash" "UInt64",
        prompt_hash: Number<8> = "prompt_hash" "UInt64",
        has_code: Number<1> = "has_code" "Bool",
        language: Text = "language" "String",
        context_documents: Number<2> = "context_documents" "UInt16",
        input_flags: List<Text> = "input_flags" "Array(String)",
        output_chars: Number<4> = "output_chars" "UInt32",
        output_flags: List<Text> = "output_flags" "Array(String)",
        tool_names: List<Text> = "tool_names" "Array(String)",
        tool_flags: List<Text> = "tool_flags" "Array(String)",
        input_content: Text = "input_content" "String",
        output_content: Text = "output_content" "String",
        sample_weight: Number<8> = "sample_weight" "Float64",
        sign: Number<1> = "sign" "Int8",
        version: Number<4> = "version" "UInt32",
    }
}

/// USD as a decimal of 12 places. Not-a-number is unknown; what does not fit is cut to the limit.
fn money(usd: Option<f64>) -> Option<i64> {
    let usd = usd.filter(|usd| !usd.is_nan())?;
    // Below 10^18, the precision of the type. Conversion from float saturates.
    const LIMIT: i64 = 999_999_999_999_999_999;
    Some(((usd * MONEY_SCALE).round() as i64).clamp(-LIMIT, LIMIT))
}

impl Calls {
    /// Appends one row.
    pub(super) fn push(
        &mut self,
        text: &mut Attributes,
        call: &Call<'_>,
        enrichment: &Enrichment,
        version: Version,
    ) {
        self.identity(call);
        self.asker(text, call);
        self.request(call);
        self.response(call, enrichment);
        self.failure(call, enrichment.failure.as_ref());
        self.usage(call, &enrichment.cost);
        self.profile(&enrichment.profile);
        // A row that is taken back repeats what is counted, not what was said.
        let content = version.sign > 0;
        let said = |text| if content { text } else { "" };
        self.input_content.push(said(call.input.text));
        self.output_content.push(said(call.output.text));
        self.sample_weight.push_f64(call.sample_weight);
        self.sign.push_i8(version.sign);
        self.version.push(version.version);
    }

    fn identity(&mut self, call: &Call<'_>) {
        self.timestamp.push_i64(time(call.start_ns));
        self.duration_ns.push(call.duration_ns);
        self.ttft_ns.push(call.ttft_ns);
        self.trace_id.push_hex::<16, 32>(Some(&call.trace_id));
        self.span_id.push_hex::<8, 16>(Some(&call.span_id));
        let parent = call.parent_span_id.as_ref();
        self.parent_span_id.push_hex::<8, 16>(parent);
        self.span_name.push(call.span_name);
        let original = call.duplicate_of.as_ref();
        self.duplicate_of.push_hex::<8, 16>(original);
    }

    fn asker(&mut self, text: &mut Attributes, call: &Call<'_>) {
        self.tenant.push(call.tenant);
        self.service.push(call.service);
        self.service_version.push(call.service_version);
        self.environment.push(call.environment);
        self.region.push(call.region);
        self.feature.push(call.feature);
        self.user_id.push(call.user_id);
        self.session_id.push(call.session_id);
        self.schema_version.push(call.schema_version);
        let dimensions: Vec<Attribute<'_>> = call
            .dimensions
            .iter()
            .map(|(key, value)| Attribute {
                key,
                value: Value::Str(value),
            })
            .collect();
        text.map(&mut self.dimensions, &dimensions, &[]);
        self.instrumentation.push(call.instrumentation);
        self.instrumentation_version
            .push(call.instrumentation_version);
        self.convention.push(call.convention);
    }

    fn request(&mut self, call: &Call<'_>) {
        self.operation.push(call.operation.as_str());
        self.endpoint.push(call.endpoint);
        self.lane.push(call.lane);
        self.provider.push(call.provider);
        self.server_address.push(call.server_address);
        self.request_model.push(call.request_model);
        self.max_tokens.push(call.max_tokens);
        self.streaming.push_bool(call.streaming);
        self.attempt.push(call.attempt);
    }

    fn response(&mut self, call: &Call<'_>, enrichment: &Enrichment) {
        self.response_model.push(call.response_model);
        self.system_fingerprint.push(call.system_fingerprint);
        self.service_tier.push(call.service_tier);
        self.response_id.push(call.response_id);
        self.finish_reason.push(call.finish_reason);
        self.stream_outcome.push(enrichment.stream_outcome);
    }

    fn failure(&mut self, call: &Call<'_>, failure: Option<&Failure>) {
        let word = |of: fn(&Failure) -> &str| failure.map_or("", of);
        self.failure_class.push(word(|f| f.class.as_str()));
        self.failure_phase.push(word(|f| f.phase.as_str()));
        self.fault_domain.push(word(|f| f.fault_domain.as_str()));
        self.retry_advice.push(word(|f| f.retry.as_str()));
        self.class_evidence.push(word(|f| &f.evidence));
        self.error_message.push(word(|f| &f.message));
        self.error_type.push(call.errors.error_type);

        // What the classifier read from the text completes what was recorded apart.
        let found = failure.and_then(|f| f.http_status);
        self.http_status.push(found.or(call.errors.http_status));
        let found = failure.and_then(|f| f.retry_after_ms);
        let wait = found.or(call.errors.retry_after_ms);
        self.retry_after_ms.push(wait);
        let found = word(|f| &f.error_code);
        self.error_code
            .push(first_of(found, call.errors.error_code));
        let found = word(|f| &f.request_id);
        self.request_id.push(first_of(call.request_id, found));
    }

    fn usage(&mut self, call: &Call<'_>, cost: &Cost) {
        let usage = &call.usage;
        self.input_tokens.push(usage.input_tokens);
        self.output_tokens.push(usage.output_tokens);
        self.cache_read_tokens.push(usage.cache_read_tokens);
        self.cache_write_tokens.push(usage.cache_write_tokens);
        self.reasoning_tokens.push(usage.reasoning_tokens);
        self.tokens_source.push(usage.source.as_str());
        self.cost_usd.push_i64(money(cost.total_usd));
        self.cost_input_usd.push_i64(money(cost.input_usd));
        self.cost_output_usd.push_i64(money(cost.output_usd));
        self.cost_status.push(cost.status.as_str());
        self.price_id.push(&cost.price_id);
    }

    fn profile(&mut self, profile: &Profile) {
        self.message_count.push(profile.message_count);
        self.input_chars.push(profile.input_chars);
        self.input_words.push(profile.input_words);
        self.user_chars.push(profile.user_chars);
        self.system_prompt_hash.push(profile.system_prompt_hash);
        self.prompt_hash.push(profile.prompt_hash);
        self.has_code.push(u8::from(profile.has_code));
        self.language.push(profile.language);
        self.context_documents.push(profile.context_documents);
        self.input_flags.push(&profile.input_flags);
        self.output_chars.push(profile.output_chars);
        self.output_flags.push(&profile.output_flags);
        self.tool_names.push(&profile.tool_names);
        self.tool_flags.push(&profile.tool_flags);
    }
}

/// The first text that is not empty.
fn first_of<'a>(one: &'a str, other: &'a str) -> &'a str {
    if one.is_empty() { other } else { one }
}
