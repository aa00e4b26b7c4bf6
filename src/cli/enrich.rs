//! `lapwing enrich FILE...`: OTLP bodies to one JSON line per model call, without a server.
//!
//! The same stages as the server's, on one memory for all files, so that the log events of one
//! file meet the spans of another. What is printed is the state after the last file.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use bumpalo::Bump;
use serde_json::{Map, Value, json};

use crate::{
    call::{Call, Enrichment},
    decode,
    enrich::{self, Rules},
    normalise::{
        AttributeTable,
        memory::{Changes, Memory, MemoryLimits, observe_all},
    },
    redact::Redactor,
};

/// A body is read whole; larger files are refused.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EnrichError {
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: neither OTLP traces nor logs, in protobuf or JSON: {problem}", path.display())]
    NotOtlp { path: PathBuf, problem: String },
    #[error("cannot write to stdout: {0}")]
    Write(#[from] io::Error),
}

/// Rows by trace and span, as JSON, in the order of the first writing.
#[derive(Default)]
struct Rows {
    order: Vec<([u8; 16], [u8; 8])>,
    lines: BTreeMap<([u8; 16], [u8; 8]), Value>,
}

/// Reads the files in order and prints the calls, without what the redactor takes out.
pub fn run(
    files: &[PathBuf],
    table: &AttributeTable,
    rules: &Rules,
    redactor: &Redactor,
    out: &mut dyn Write,
) -> Result<(), EnrichError> {
    let limits = MemoryLimits {
        bytes_max: usize::MAX,
        age_max_ns: u64::MAX,
    };
    let mut memory = Memory::new(limits);
    let mut rows = Rows::default();
    for path in files {
        let body = read(path)?;
        for body in bodies(path, &body)? {
            let body = body.clean(redactor);
            let arena = Bump::new();
            let changes = take_in(path, &body, table, &mut memory, &arena)?;
            rows.apply(path, changes, rules);
        }
    }
    for key in &rows.order {
        if let Some(line) = rows.lines.get(key) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, EnrichError> {
    let failed = |source| EnrichError::Read {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut inflated = Vec::new();
        flate2::read::MultiGzDecoder::new(&bytes[..])
            .take(FILE_BYTES_MAX)
            .read_to_end(&mut inflated)
            .map_err(failed)?;
        bytes = inflated;
    }
    Ok(bytes)
}

/// The binary bodies of a file: itself, or its JSON documents transcoded.
fn bodies(path: &Path, body: &[u8]) -> Result<Vec<Body>, EnrichError> {
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let first = text.iter().find(|b| !b.is_ascii_whitespace());
    if first != Some(&b'{') {
        return Ok(vec![Body::Unknown(body.to_vec())]);
    }
    let not_otlp = |problem: String| EnrichError::NotOtlp {
        path: path.to_owned(),
        problem,
    };
    let mut out = Vec::new();
    for document in
        serde_json::Deserializer::from_slice(text).into_iter::<&serde_json::value::RawValue>()
    {
        let document = document.map_err(|e| not_otlp(e.to_string()))?.get();
        let is_logs = document.contains("\"resourceLogs\"");
        let body = if is_logs {
            decode::json::logs_to_proto(document.as_bytes()).map(Body::Logs)
        } else {
            decode::json::traces_to_proto(document.as_bytes()).map(Body::Traces)
        };
        out.push(body.map_err(|e| not_otlp(e.to_string()))?);
    }
    Ok(out)
}

enum Body {
    Traces(Vec<u8>),
    Logs(Vec<u8>),
    /// Protobuf does not say what it is; the two have different wire types in their first fields.
    Unknown(Vec<u8>),
}

// === impl Body ===

impl Body {
    fn clean(self, redactor: &Redactor) -> Body {
        let traces = |bytes: Vec<u8>| redactor.traces(bytes.into()).0.into_owned();
        let logs = |bytes: Vec<u8>| redactor.logs(bytes.into()).0.into_owned();
        match self {
            Body::Traces(bytes) => Body::Traces(traces(bytes)),
            Body::Logs(bytes) => Body::Logs(logs(bytes)),
            Body::Unknown(bytes) => {
                let arena = Bump::new();
                let spans = decode::traces(&bytes, &arena).map_or(0, |t| t.spans.len());
                let records = decode::logs(&bytes, &arena).map_or(0, |l| l.records.len());
                match records > spans {
                    true => Body::Logs(logs(bytes)),
                    false => Body::Unknown(traces(bytes)),
                }
            }
        }
    }
}

fn take_in<'a>(
    path: &Path,
    body: &'a Body,
    table: &AttributeTable,
    memory: &mut Memory,
    arena: &'a Bump,
) -> Result<Changes<'a>, EnrichError> {
    let (Body::Traces(bytes) | Body::Logs(bytes) | Body::Unknown(bytes)) = body;
    let traces = decode::traces(bytes, arena);
    let logs = decode::logs(bytes, arena);
    let spans = traces.as_ref().map_or(0, |t| t.spans.len());
    let records = logs.as_ref().map_or(0, |l| l.records.len());
    let as_logs =
        matches!(body, Body::Logs(_)) || (matches!(body, Body::Unknown(_)) && records > spans);
    let malformed = |e: decode::Malformed| EnrichError::NotOtlp {
        path: path.to_owned(),
        problem: e.to_string(),
    };
    if as_logs {
        let logs = logs.map_err(malformed)?;
        return Ok(memory.logs(table, &logs, arena, 0));
    }
    let traces = match traces {
        Ok(traces) => traces,
        Err(_) if logs.is_ok() => return Ok(Changes::default()),
        Err(e) => return Err(malformed(e)),
    };
    let observed = observe_all(table, &traces, arena);
    Ok(memory.spans(table, &traces, &observed, arena, 0))
}

// === impl Rows ===

impl Rows {
    fn apply(&mut self, path: &Path, changes: Changes<'_>, rules: &Rules) {
        for change in changes.rows {
            let key = (change.call.trace_id, change.call.span_id);
            if change.sign < 0 {
                self.lines.remove(&key);
                continue;
            }
            let enrichment = enrich::enrich(rules, &change.call);
            let mut line = row(&change.call, &enrichment);
            line.insert("file".to_owned(), json!(path.to_string_lossy()));
            if !self.order.contains(&key) {
                self.order.push(key);
            }
            self.lines.insert(key, Value::Object(line));
        }
    }
}

/// The columns of `llm_calls` as JSON; absent values are null or empty as in the table.
fn row(call: &Call<'_>, found: &Enrichment) -> Map<String, Value> {
    let failure = found.failure.as_ref();
    let profile = &found.profile;
    let text = |get: &dyn Fn(&crate::call::Failure) -> String| failure.map(get).unwrap_or_default();
    let dimensions: Map<String, Value> = call
        .dimensions
        .iter()
        .map(|(k, v)| ((*k).to_owned(), json!(v)))
        .collect();
    let who = json!({
        "timestamp": call.start_ns, "duration_ns": call.duration_ns, "ttft_ns": call.ttft_ns,
        "trace_id": hex(&call.trace_id), "span_id": hex(&call.span_id),
        "parent_span_id": call.parent_span_id.map(|id| hex(&id)).unwrap_or_default(),
        "span_name": call.span_name,
        "duplicate_of": call.duplicate_of.map(|id| hex(&id)).unwrap_or_default(),
        "tenant": call.tenant, "service": call.service, "service_version": call.service_version,
        "environment": call.environment, "region": call.region, "feature": call.feature,
        "user_id": call.user_id, "session_id": call.session_id,
        "schema_version": call.schema_version, "dimensions": dimensions,
        "instrumentation": call.instrumentation,
        "instrumentation_version": call.instrumentation_version, "convention": call.convention,
    });
    let answer = json!({
        "operation": call.operation.as_str(), "endpoint": call.endpoint, "lane": call.lane,
        "provider": call.provider, "server_address": call.server_address,
        "request_model": call.request_model, "response_model": call.response_model,
        "system_fingerprint": call.system_fingerprint, "service_tier": call.service_tier,
        "response_id": call.response_id,
        "request_id": if call.request_id.is_empty() { text(&|f| f.request_id.clone()) } else { call.request_id.to_owned() },
        "streaming": call.streaming, "stream_outcome": found.stream_outcome,
        "attempt": call.attempt,
        "input_tokens": call.usage.input_tokens, "output_tokens": call.usage.output_tokens,
        "cache_read_tokens": call.usage.cache_read_tokens,
        "cache_write_tokens": call.usage.cache_write_tokens,
        "reasoning_tokens": call.usage.reasoning_tokens,
        "tokens_source": call.usage.source.as_str(),
        "cost_usd": found.cost.total_usd, "cost_input_usd": found.cost.input_usd,
        "cost_output_usd": found.cost.output_usd, "cost_status": found.cost.status.as_str(),
        "price_id": found.cost.price_id,
        "finish_reason": call.finish_reason, "max_tokens": call.max_tokens,
        "input_content": call.input.text, "output_content": call.output.text,
        "sample_weight": call.sample_weight,
    });
    let verdict = json!({
        "failure_class": failure.map_or("", |f| f.class.as_str()),
        "failure_phase": failure.map_or("", |f| f.phase.as_str()),
        "fault_domain": failure.map_or("", |f| f.fault_domain.as_str()),
        "retry_advice": failure.map_or("", |f| f.retry.as_str()),
        "class_evidence": text(&|f| f.evidence.clone()),
        "http_status": failure.and_then(|f| f.http_status).or(call.errors.http_status),
        "error_type": call.errors.error_type,
        "error_code": text(&|f| f.error_code.clone()),
        "error_message": text(&|f| f.message.clone()),
        "retry_after_ms": failure.and_then(|f| f.retry_after_ms),
    });
    let measured = json!({
        "message_count": profile.message_count, "input_chars": profile.input_chars,
        "input_words": profile.input_words, "user_chars": profile.user_chars,
        "system_prompt_hash": profile.system_prompt_hash, "prompt_hash": profile.prompt_hash,
        "has_code": profile.has_code, "language": profile.language,
        "context_documents": profile.context_documents, "input_flags": profile.input_flags,
        "output_chars": profile.output_chars, "output_flags": profile.output_flags,
        "tool_names": profile.tool_names, "tool_flags": profile.tool_flags,
    });
    [who, answer, verdict, measured]
        .into_iter()
        .filter_map(|v| {
            if let Value::Object(map) = v {
                Some(map)
            } else {
                None
            }
        })
        .flatten()
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut out, byte| {
        _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::{Category, Options};

    #[test]
    fn the_configured_redactor_is_the_one_that_redacts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("traces.json");
        let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{
        "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "name": "chat gpt-4o",
        "startTimeUnixNano": "1795132800000000000", "endTimeUnixNano": "1795132801000000000",
        "attributes": [
            {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
            {"key": "gen_ai.request.model", "value": {"stringValue": "gpt-4o"}},
            {"key": "gen_ai.input.messages", "value": {"stringValue":
                "[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"ann@shop.example, case EMP-0042\"}]}]"}},
        ]}]}]}]});
        std::fs::write(&file, body.to_string()).unwrap();
        let printed = |redactor: &Redactor| {
            let mut out = Vec::new();
            let files = [file.clone()];
            let table = AttributeTable::builtin();
            run(&files, &table, Rules::builtin(), redactor, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let own = Redactor::new(Options {
            categories: vec![Category::Secret],
            patterns: vec![(
                "employee".to_owned(),
                regex::bytes::Regex::new(r"EMP-\d{4}").unwrap(),
            )],
        });
        let (default, own) = (printed(&Redactor::default()), printed(&own));
        assert!(
            !default.contains("ann@shop.example") && default.contains("EMP-0042"),
            "{default}"
        );
        assert!(
            own.contains("ann@shop.example") && !own.contains("EMP-0042"),
            "{own}"
        );
    }
}
