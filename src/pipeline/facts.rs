//! Facts: what the detector is told of the rows of a request.
//!
//! Written beside the blocks, into the same journal record, so that a crash loses neither or both.
//! One fact for a call that counts, when its first row is written; what takes a row back, or writes
//! it again after late evidence, is marked as a correction.

use crate::{
    call::{Call, Enrichment, Evaluation, Finish},
    detect::{CallFact, ERROR_BYTES_MAX, EvalFact, Fact, passed},
    normalise::memory::Change,
};

/// Appends the fact of a row, if it has one.
pub fn push_call(
    facts: &mut Vec<u8>,
    change: &Change<'_>,
    enrichment: &Enrichment,
    failed_tool: &str,
) {
    let call = &change.call;
    if change.sign < 0 || call.duplicate_of.is_some() {
        return;
    }
    let fact = CallFact {
        tool: failed_tool,
        corrected: change.version > 1,
        ..of_call(call, enrichment)
    };
    Fact::Call(fact).append_to(facts);
}

/// Appends the fact of an evaluation.
pub fn push_evaluation(facts: &mut Vec<u8>, evaluation: &Evaluation<'_>) {
    let fact = EvalFact {
        end_ns: evaluation.time_ns,
        service: evaluation.service,
        environment: evaluation.environment,
        suite: evaluation.name,
        passed: passed(evaluation.label),
        score: evaluation.score,
        ..EvalFact::default()
    };
    Fact::Eval(fact).append_to(facts);
}

fn of_call<'a>(call: &Call<'a>, enrichment: &'a Enrichment) -> CallFact<'a> {
    let failure = enrichment.failure.as_ref();
    let status = failure.and_then(|f| f.http_status);
    let profile = &enrichment.profile;
    CallFact {
        end_ns: call.start_ns.saturating_add(call.duration_ns),
        duration_ns: call.duration_ns,
        ttft_ns: call.ttft_ns,
        trace_id: call.trace_id,
        span_id: call.span_id,
        request_id: match (call.request_id, failure) {
            ("", Some(failure)) => &failure.request_id,
            (told, _) => told,
        },
        tenant: call.tenant,
        service: call.service,
        environment: call.environment,
        region: call.region,
        feature: call.feature,
        provider: call.provider,
        request_model: call.request_model,
        service_version: call.service_version,
        response_model: call.response_model,
        system_fingerprint: call.system_fingerprint,
        system_prompt_hash: profile.system_prompt_hash,
        price_id: &enrichment.cost.price_id,
        failure_class: failure.map_or("", |f| f.class.as_str()),
        http_status: status.or(call.errors.http_status).unwrap_or(0),
        error_code: failure.map_or("", |f| f.error_code.as_str()),
        error_message: failure.map_or("", |f| shortened(&f.message)),
        retry_after_ms: failure
            .and_then(|f| f.retry_after_ms)
            .or(call.errors.retry_after_ms),
        streaming: call.streaming.unwrap_or(false),
        attempt: call.attempt,
        tool: "",
        used_tools: Some(call.finish == Finish::ToolCalls || !profile.tool_names.is_empty()),
        input_tokens: call.usage.input_tokens,
        output_tokens: call.usage.output_tokens,
        cost_nano_usd: enrichment.cost.total_usd.map(nano_dollars),
        input_chars: told(call.input.recorded, profile.input_chars),
        user_chars: told(call.input.recorded, profile.user_chars),
        output_chars: told(call.output.recorded, profile.output_chars),
        remaining_requests: None,
        remaining_tokens: None,
        weight: call.sample_weight,
        corrected: false,
    }
}

fn told(recorded: bool, chars: u32) -> Option<u64> {
    recorded.then_some(u64::from(chars))
}

fn nano_dollars(usd: f64) -> u64 {
    // A cost is finite and not negative; `as` saturates.
    (usd * 1e9).round() as u64
}

fn shortened(text: &str) -> &str {
    text.get(..text.floor_char_boundary(ERROR_BYTES_MAX))
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Failure, FailureClass, FaultDomain, Phase, RetryAdvice};

    const START_NS: u64 = 1_795_000_000_000_000_000;

    fn change(sign: i8, version: u32, duplicate_of: Option<[u8; 8]>) -> Change<'static> {
        Change {
            call: Call {
                start_ns: START_NS,
                duration_ns: 5,
                provider: "openai",
                duplicate_of,
                attempt: 1,
                ..Call::default()
            },
            sign,
            version,
        }
    }

    fn facts(changes: &[Change<'_>], enrichment: &Enrichment) -> Vec<u8> {
        let mut facts = Vec::new();
        for change in changes {
            push_call(&mut facts, change, enrichment, "");
        }
        facts
    }

    #[test]
    fn a_call_that_counts_is_a_fact_and_its_correction_says_that_it_is_one() {
        let changes = [
            change(1, 1, None),
            change(1, 1, Some([1; 8])),
            change(-1, 1, None),
            change(1, 2, None),
        ];
        let bytes = facts(&changes, &Enrichment::default());
        let read: Vec<Fact<'_>> = Fact::read_all(&bytes).map(Result::unwrap).collect();
        let corrected: Vec<bool> = read
            .iter()
            .map(|fact| matches!(fact, Fact::Call(call) if call.corrected))
            .collect();
        assert_eq!(corrected, [false, true]);
    }

    #[test]
    fn a_failure_is_told_with_its_class_and_a_short_text() {
        let enrichment = Enrichment {
            failure: Some(Failure {
                class: FailureClass::RateLimitTokens,
                phase: Phase::BeforeGeneration,
                fault_domain: FaultDomain::Ours,
                retry: RetryAdvice::AfterDelay,
                retry_after_ms: Some(20_000),
                http_status: Some(429),
                error_code: "rate_limit_exceeded".into(),
                request_id: "req_1".into(),
                message: "é".repeat(ERROR_BYTES_MAX),
                evidence: String::new(),
            }),
            ..Enrichment::default()
        };
        let bytes = facts(&[change(1, 1, None)], &enrichment);
        let Some(Ok(Fact::Call(fact))) = Fact::read_all(&bytes).next() else {
            panic!("a fact");
        };
        assert_eq!(fact.failure_class, "llm.rate_limit.tokens");
        assert_eq!((fact.http_status, fact.request_id), (429, "req_1"));
        assert_eq!(fact.error_message.len(), ERROR_BYTES_MAX);
    }
}
