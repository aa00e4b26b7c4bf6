//! Rows of the store as the facts that the journal told of them when they were new.
//!
//! Not here: in which portions they are asked for.

use clickhouse::Row;
use serde::Deserialize;

use crate::{
    call::Finish,
    detect::{CallFact, ERROR_BYTES_MAX, EvalFact, passed},
    normalise,
    store::{Store, schema::identifier},
};

/// Calls are found by their start; longer ones are not found.
const CALL_MAX_NS: u64 = 3_600_000_000_000;

/// A call as [`calls_sql`] gives it; the order is that of the columns.
#[derive(Debug, Row, Deserialize)]
pub(super) struct StoredCall {
    pub end_ns: u64,
    duration_ns: u64,
    ttft_ns: Option<u64>,
    trace_id: String,
    span_id: String,
    request_id: String,
    tenant: String,
    service: String,
    environment: String,
    region: String,
    feature: String,
    provider: String,
    request_model: String,
    service_version: String,
    response_model: String,
    system_fingerprint: String,
    system_prompt_hash: u64,
    price_id: String,
    failure_class: String,
    http_status: u16,
    error_code: String,
    error_message: String,
    retry_after_ms: Option<u64>,
    streaming: bool,
    attempt: u16,
    finish_reason: String,
    has_tool_names: bool,
    failed_tool: String,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cost_nano_usd: Option<u64>,
    recorded: bool,
    input_chars: u32,
    user_chars: u32,
    output_chars: u32,
    sample_weight: f64,
}

/// An evaluation as [`evals_sql`] gives it.
#[derive(Debug, Row, Deserialize)]
pub(super) struct StoredEval {
    pub end_ns: u64,
    service: String,
    environment: String,
    name: String,
    label: String,
    score: Option<f64>,
}

/// Calls that count and ended in `from_ns..to_ns`, in the order in which they ended.
pub(super) fn calls_sql(store: &Store, from_ns: u64, to_ns: u64) -> String {
    // The bounds of the start are what partitions and the primary key know. The failed tool is the
    // first of the answer, and an answer is in few rows: few are joined. Counts of characters are 0
    // where content was not recorded, too: then they are not known.
    format!(
        "SELECT toUInt64(toUnixTimestamp64Nano(timestamp)) + duration_ns AS end_ns, duration_ns, ttft_ns, \
         trace_id, span_id, request_id, tenant, service, environment, region, feature, provider, \
         request_model, service_version, response_model, system_fingerprint, system_prompt_hash, price_id, \
         failure_class, ifNull(http_status, 0) AS http_status, error_code, \
         substringUTF8(error_message, 1, {ERROR_BYTES_MAX}) AS error_message, retry_after_ms, \
         ifNull(streaming, false) AS streaming, attempt, finish_reason, notEmpty(tool_names) AS has_tool_names, \
         failed_tool, input_tokens, output_tokens, \
         CAST(round(toFloat64(cost_usd) * 1e9), 'Nullable(UInt64)') AS cost_nano_usd, \
         message_count > 0 AS recorded, input_chars, user_chars, output_chars, sample_weight \
         FROM {database}.llm_calls LEFT ANY JOIN ( \
           SELECT trace_id, span_id, argMin(toString(name), (tool_index, attempt)) AS failed_tool \
           FROM {database}.llm_tool_calls \
           WHERE timestamp >= {start} AND timestamp < {end} AND failed_layer != '' GROUP BY trace_id, span_id \
         ) AS failed USING (trace_id, span_id) \
         WHERE timestamp >= {start} AND timestamp < {end} AND duplicate_of = '' \
         AND end_ns >= {from_ns} AND end_ns < {to_ns} ORDER BY end_ns, span_id \
         SETTINGS prefer_column_name_to_alias = 1, join_use_nulls = 0",
        database = identifier(store.database()),
        start = time(from_ns.saturating_sub(CALL_MAX_NS)),
        end = time(to_ns),
    )
}

/// Evaluations of `from_ns..to_ns`, in order.
pub(super) fn evals_sql(store: &Store, from_ns: u64, to_ns: u64) -> String {
    format!(
        "SELECT toUInt64(toUnixTimestamp64Nano(timestamp)) AS end_ns, service, environment, name, label, score \
         FROM {}.llm_evals WHERE timestamp >= {} AND timestamp < {} ORDER BY end_ns, span_id",
        identifier(store.database()),
        time(from_ns),
        time(to_ns),
    )
}

/// A point in time as SQL.
pub(super) fn time(ns: u64) -> String {
    format!("fromUnixTimestamp64Nano(toInt64({ns}))")
}

// === impl StoredCall ===

impl StoredCall {
    pub(super) fn fact(&self) -> CallFact<'_> {
        let told =
            |chars: u32, or: bool| (self.recorded || chars > 0 || or).then(|| u64::from(chars));
        let called_tools = normalise::finish(&self.finish_reason) == Finish::ToolCalls;
        let message = &self.error_message;
        CallFact {
            end_ns: self.end_ns,
            duration_ns: self.duration_ns,
            ttft_ns: self.ttft_ns,
            trace_id: id(&self.trace_id),
            span_id: id(&self.span_id),
            request_id: &self.request_id,
            tenant: &self.tenant,
            service: &self.service,
            environment: &self.environment,
            region: &self.region,
            feature: &self.feature,
            provider: &self.provider,
            request_model: &self.request_model,
            service_version: &self.service_version,
            response_model: &self.response_model,
            system_fingerprint: &self.system_fingerprint,
            system_prompt_hash: self.system_prompt_hash,
            price_id: &self.price_id,
            failure_class: &self.failure_class,
            http_status: self.http_status,
            error_code: &self.error_code,
            error_message: message
                .get(..message.floor_char_boundary(ERROR_BYTES_MAX))
                .unwrap_or(message),
            retry_after_ms: self.retry_after_ms,
            streaming: self.streaming,
            attempt: self.attempt,
            tool: &self.failed_tool,
            used_tools: Some(called_tools || self.has_tool_names),
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            cost_nano_usd: self.cost_nano_usd,
            input_chars: told(self.input_chars, false),
            user_chars: told(self.user_chars, false),
            output_chars: told(self.output_chars, self.has_tool_names),
            remaining_requests: None,
            remaining_tokens: None,
            weight: self.sample_weight,
            corrected: false,
        }
    }
}

// === impl StoredEval ===

impl StoredEval {
    pub(super) fn fact(&self) -> EvalFact<'_> {
        EvalFact {
            end_ns: self.end_ns,
            service: &self.service,
            environment: &self.environment,
            suite: &self.name,
            passed: passed(&self.label),
            score: self.score,
            ..EvalFact::default()
        }
    }
}

/// Bytes of an id in hex; zeros where it is none.
fn id<const N: usize>(hex: &str) -> [u8; N] {
    let mut bytes = [0; N];
    let pairs = hex.as_bytes().chunks_exact(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    for (byte, read) in bytes.iter_mut().zip(pairs) {
        let Some(read) = read else { return [0; N] };
        *byte = read;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_bytes_again() {
        assert_eq!(id::<2>("0aff"), [10, 255]);
        assert_eq!(id::<2>("zz00"), [0, 0]);
        assert_eq!(id::<2>(""), [0, 0]);
    }
}
