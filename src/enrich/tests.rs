//! Scenarios over whole calls.

use super::*;
use crate::call::{
    Content, CostStatus, Errors, FailureClass, Finish, Message, Part, PartKind, Role, Usage,
};

/// 2026-11-20 in nanoseconds.
const NOW_NS: u64 = 1_795_132_800_000_000_000;

fn good<'a>(provider: &'a str, model: &'a str, input: u64, output: u64) -> Call<'a> {
    Call {
        provider,
        response_model: model,
        start_ns: NOW_NS,
        finish: Finish::Stop,
        finish_reason: "stop",
        usage: Usage {
            input_tokens: Some(input),
            output_tokens: Some(output),
            ..Usage::default()
        },
        ..Call::default()
    }
}

#[test]
fn a_good_call_has_a_price_and_no_failure() {
    let done = enrich(
        Rules::builtin(),
        &good("openai", "gpt-4o-2024-08-06", 1_000_000, 100_000),
    );
    assert_eq!(done.failure, None);
    assert_eq!(done.cost.status, CostStatus::Priced);
    // 1 M at 2.5 and 0.1 M at 10 USD per million.
    assert_eq!(done.cost.total_usd, Some(3.5));
    assert_eq!(done.cost.price_id, "openai/gpt-4o");
}

#[test]
fn cached_tokens_cost_less_and_dates_and_lanes_decide() {
    let mut call = good("openai", "gpt-4o", 1000, 0);
    call.usage.cache_read_tokens = Some(400);
    // 600 x 2.5 + 400 x 1.25 = 2000 micro-USD.
    assert_eq!(enrich(Rules::builtin(), &call).cost.total_usd, Some(0.002));
    let mut batch = good("openai", "gpt-4o", 1_000_000, 0);
    batch.lane = "batch";
    assert_eq!(enrich(Rules::builtin(), &batch).cost.total_usd, Some(1.25));
    let mut early = good("openai", "o3", 1_000_000, 0);
    early.start_ns = 1_746_000_000_000_000_000; // April 2025, before the price was cut
    assert_eq!(enrich(Rules::builtin(), &early).cost.total_usd, Some(10.0));
    assert_eq!(
        enrich(Rules::builtin(), &good("openai", "o3", 1_000_000, 0))
            .cost
            .total_usd,
        Some(2.0)
    );
}

#[test]
fn the_highest_tier_holds_for_the_whole_request() {
    let small = enrich(Rules::builtin(), &good("openai", "gpt-5.5", 272_000, 0));
    let large = enrich(Rules::builtin(), &good("openai", "gpt-5.5", 272_001, 0));
    assert_eq!(small.cost.total_usd, Some(1.36));
    assert_eq!(large.cost.total_usd, Some(2.72001));
}

#[test]
fn sound_has_a_price_of_its_own() {
    let mut call = good("openai", "gpt-audio", 1_000_000, 100_000);
    // All of it words: 1 M at 2.5 and 0.1 M at 10 USD per million.
    assert_eq!(enrich(Rules::builtin(), &call).cost.total_usd, Some(3.5));
    call.usage.input_audio_tokens = Some(400_000);
    call.usage.output_audio_tokens = Some(50_000);
    // 0.6 x 2.5 + 0.4 x 32, 0.05 x 10 + 0.05 x 64.
    let cost = enrich(Rules::builtin(), &call).cost;
    assert_eq!((cost.input_usd, cost.output_usd), (Some(14.3), Some(3.7)));
    // Where sound has no price of its own it costs what words do.
    let mut plain = good("openai", "gpt-4o-2024-08-06", 1_000_000, 0);
    plain.usage.input_audio_tokens = Some(1_000_000);
    assert_eq!(enrich(Rules::builtin(), &plain).cost.total_usd, Some(2.5));
}

#[test]
fn an_unknown_price_is_none_and_never_zero() {
    let done = enrich(Rules::builtin(), &good("openai", "no-such-model", 10, 10));
    assert_eq!(
        (done.cost.status, done.cost.total_usd),
        (CostStatus::NoPrice, None)
    );
}

#[test]
fn a_quota_is_not_a_rate_limit_and_costs_nothing() {
    let call = Call {
        provider: "openai",
        errors: Errors {
            is_error: true,
            error_type: "RateLimitError",
            messages: &[
                "Error code: 429 - You exceeded your current quota, please check your plan and billing details.",
            ],
            ..Errors::default()
        },
        ..Call::default()
    };
    let done = enrich(Rules::builtin(), &call);
    assert_eq!(
        done.failure.map(|f| (f.class, f.http_status)),
        Some((FailureClass::BillingQuotaExhausted, Some(429)))
    );
    assert_eq!(done.cost.status, CostStatus::NotBilled);
}

#[test]
fn delay_and_request_id_are_read_from_the_text() {
    let text = "Error code: 429 - {'error': {'message': 'Rate limit reached on tokens per min (TPM): Limit 100. \
                Please try again in 1m2.5s.'}, 'request_id': 'req_011Cab'}";
    let call = Call {
        errors: Errors {
            is_error: true,
            messages: &[text],
            ..Errors::default()
        },
        ..Call::default()
    };
    let failure = enrich(Rules::builtin(), &call).failure.unwrap();
    assert_eq!(
        (failure.retry_after_ms, failure.request_id.as_str()),
        (Some(62_500), "req_011Cab")
    );
}

#[test]
fn an_empty_answer_is_a_failure_only_when_content_is_recorded() {
    let mut call = good("openai", "gpt-4o", 10, 5);
    assert_eq!(enrich(Rules::builtin(), &call).failure, None);
    let parts = [Part {
        kind: PartKind::Text,
        text: " ",
        ..Part::default()
    }];
    let messages = [Message {
        role: Role::Assistant,
        parts: &parts,
    }];
    call.output = Content {
        recorded: true,
        text: "",
        messages: &messages,
    };
    let failure = enrich(Rules::builtin(), &call).failure;
    assert_eq!(failure.map(|f| f.class), Some(FailureClass::OutputEmpty));
}

#[test]
fn bad_lines_are_told_and_the_others_answered() {
    let input =
        "{\"id\":1,\"http_status\":529}\nnot json\n{\"id\":2,\"message\":\"Request timed out.\"}\n";
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let result = classify_lines(
        Rules::builtin(),
        false,
        input.as_bytes(),
        &mut out,
        &mut err,
    );
    assert!(result.is_err());
    assert!(String::from_utf8(err).unwrap().contains("line 2"));
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains("llm.capacity.overloaded") && out.contains("llm.network.timeout"));
}

#[test]
fn a_mistake_in_a_users_file_names_file_and_line() {
    let own = |text: &str| Overrides {
        failures: vec![RuleFile {
            name: "own.toml".into(),
            text: text.into(),
        }],
        ..Overrides::default()
    };
    let wrong = Rules::load(&own(
        "\n[[rule]]\nid = \"x\"\nclass = \"llm.nonsense\"\nstatus = [418]\n",
    ));
    assert!(
        wrong
            .unwrap_err()
            .to_string()
            .starts_with("own.toml:4: unknown class")
    );
}

#[test]
fn a_cut_text_keeps_its_class_and_no_cut_panics() {
    let texts = [
        "Error code: 429 - {'error': {'message': 'You exceeded your current quota, please check your plan and billing \
         details. For more information on this error, read the docs.', 'type': 'insufficient_quota'}}",
        "400 {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"prompt is too long: 250000 \
         tokens > 200000 maximum\"},\"request_id\":\"req_1\"}",
        "错误: 账户余额不足 “请充值” ’后重试",
    ];
    let class = |text: &str| {
        let errors = Errors {
            is_error: true,
            messages: &[text],
            ..Errors::default()
        };
        enrich(
            Rules::builtin(),
            &Call {
                errors,
                ..Call::default()
            },
        )
        .failure
        .map(|f| f.class)
    };
    for text in texts {
        for end in (0..=text.len()).filter(|e| text.is_char_boundary(*e)) {
            assert!(class(&text[..end]).is_some());
        }
        assert_eq!(class(text), class(&text[..text.floor_char_boundary(128)]));
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in ".{0,300}", code in "[a-zA-Z_.0-9]{0,20}") {
        let errors = Errors { is_error: true, error_code: &code, messages: &[&text], ..Errors::default() };
        let call = Call { errors, ..Call::default() };
        proptest::prop_assert!(enrich(Rules::builtin(), &call).failure.is_some());
    }
}
