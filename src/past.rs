//! Past: the facts of calls and evaluations that are in the store, in the order in which they
//! ended, so that the detector can be run over the past.
//!
//! They are what the journal told when they were new, with two differences: late evidence is in
//! them already, and the name of a failed tool is not. Not here: what is made of them.

use clickhouse::Row;
use serde::Deserialize;

use crate::{
    detect::{CallFact, EvalFact, Fact, passed},
    store::{Store, WriteError, schema::identifier},
};

/// Part of the past that is asked for at a time: what is sorted there fits into little memory.
const SLICE_NS: u64 = 600_000_000_000;
/// Calls are found by their start; longer ones are not found.
const CALL_MAX_NS: u64 = 3_600_000_000_000;

/// Tells every fact that ended in `from_ns..to_ns` (Unix nanoseconds); gives their number.
pub async fn tell(
    store: &Store,
    (from_ns, to_ns): (u64, u64),
    mut see: impl FnMut(&Fact<'_>),
) -> Result<u64, WriteError> {
    let (mut told, mut begin) = (0, from_ns);
    while begin < to_ns {
        let end = begin.saturating_add(SLICE_NS).min(to_ns);
        told += slice(store, begin, end, &mut see).await?;
        begin = end;
    }
    Ok(told)
}

/// When the first call of the store began; `None` when there is none.
pub async fn begins(store: &Store) -> Result<Option<u64>, WriteError> {
    let sql = format!(
        "SELECT toUInt64(ifNull(toUnixTimestamp64Nano(minOrNull(timestamp)), 0)) FROM {}.llm_call_versions",
        identifier(store.database())
    );
    let first: u64 = store.rows::<u64>(&sql)?.next().await?.unwrap_or(0);
    Ok((first > 0).then_some(first))
}

async fn slice(
    store: &Store,
    from_ns: u64,
    to_ns: u64,
    see: &mut impl FnMut(&Fact<'_>),
) -> Result<u64, WriteError> {
    let mut evals = store.rows::<StoredEval>(&evals_sql(store, from_ns, to_ns))?;
    let mut calls = store.rows::<StoredCall>(&calls_sql(store, from_ns, to_ns))?;
    let mut told = 0;
    let mut eval = evals.next().await?;
    while let Some(call) = calls.next().await? {
        while let Some(earlier) = eval.take_if(|eval| eval.end_ns <= call.end_ns) {
            see(&Fact::Eval(earlier.fact()));
            told += 1;
            eval = evals.next().await?;
        }
        see(&Fact::Call(call.fact()));
        told += 1;
    }
    while let Some(rest) = eval {
        see(&Fact::Eval(rest.fact()));
        told += 1;
        eval = evals.next().await?;
    }
    Ok(told)
}

/// A call as the query gives it.
#[derive(Debug, Row, Deserialize)]
struct StoredCall {
    end_ns: u64,
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
    used_tools: bool,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cost_nano_usd: Option<u64>,
    recorded: bool,
    input_chars: u32,
    user_chars: u32,
    output_chars: u32,
    sample_weight: f64,
}

/// An evaluation as the query gives it.
#[derive(Debug, Row, Deserialize)]
struct StoredEval {
    end_ns: u64,
    service: String,
    environment: String,
    name: String,
    label: String,
    score: Option<f64>,
}

fn calls_sql(store: &Store, from_ns: u64, to_ns: u64) -> String {
    // The bounds of the start are what partitions and the primary key know. Counts of characters
    // are 0 where content was not recorded, too: then they are not known.
    format!(
        "SELECT toUInt64(toUnixTimestamp64Nano(timestamp)) + duration_ns AS end_ns, duration_ns, ttft_ns, \
         trace_id, span_id, request_id, tenant, service, environment, region, feature, provider, \
         request_model, service_version, response_model, system_fingerprint, system_prompt_hash, price_id, \
         failure_class, ifNull(http_status, 0) AS http_status, error_code, \
         substringUTF8(error_message, 1, 300) AS error_message, retry_after_ms, \
         ifNull(streaming, false) AS streaming, attempt, \
         notEmpty(tool_names) OR finish_reason IN ('tool_calls', 'tool_use', 'function_call') AS used_tools, \
         input_tokens, output_tokens, CAST(round(toFloat64(cost_usd) * 1e9), 'Nullable(UInt64)') AS cost_nano_usd, \
         message_count > 0 AS recorded, input_chars, user_chars, output_chars, sample_weight \
         FROM {database}.llm_calls \
         WHERE timestamp >= {start} AND timestamp < {end} AND duplicate_of = '' \
         AND end_ns >= {from_ns} AND end_ns < {to_ns} ORDER BY end_ns, span_id \
         SETTINGS prefer_column_name_to_alias = 1",
        database = identifier(store.database()),
        start = time(from_ns.saturating_sub(CALL_MAX_NS)),
        end = time(to_ns),
    )
}

fn evals_sql(store: &Store, from_ns: u64, to_ns: u64) -> String {
    format!(
        "SELECT toUInt64(toUnixTimestamp64Nano(timestamp)) AS end_ns, service, environment, name, label, score \
         FROM {}.llm_evals WHERE timestamp >= {} AND timestamp < {} ORDER BY end_ns, span_id",
        identifier(store.database()),
        time(from_ns),
        time(to_ns),
    )
}

fn time(ns: u64) -> String {
    format!("fromUnixTimestamp64Nano(toInt64({ns}))")
}

// === impl StoredCall ===

impl StoredCall {
    fn fact(&self) -> CallFact<'_> {
        let told = |chars: u32| self.recorded.then_some(u64::from(chars));
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
            error_message: &self.error_message,
            retry_after_ms: self.retry_after_ms,
            streaming: self.streaming,
            attempt: self.attempt,
            tool: "",
            used_tools: Some(self.used_tools),
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            cost_nano_usd: self.cost_nano_usd,
            input_chars: told(self.input_chars),
            user_chars: told(self.user_chars),
            output_chars: told(self.output_chars),
            remaining_requests: None,
            remaining_tokens: None,
            weight: self.sample_weight,
            corrected: false,
        }
    }
}

// === impl StoredEval ===

impl StoredEval {
    fn fact(&self) -> EvalFact<'_> {
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
