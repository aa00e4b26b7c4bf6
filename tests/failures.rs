//! Errors as providers word them, and the class, the rule and the redaction they come to.

use lapwing::call::Failure;
use lapwing::enrich::{Evidence, Rules, classify::classify};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/failures");
    let entries = std::fs::read_dir(root).expect("fixtures");
    entries.map(|e| e.expect("entry").path()).collect()
}

fn failure(provider: &str, status: Option<u16>, error_type: &str, message: &str) -> Failure {
    let evidence = Evidence {
        provider,
        is_error: true,
        http_status: status,
        error_type,
        messages: &[message],
        ..Evidence::default()
    };
    classify(Rules::builtin(), &evidence).expect("an error has a failure")
}

#[test]
fn fixtures_have_their_class_and_rule() {
    let mut wrong = Vec::new();
    for path in files() {
        for line in std::fs::read_to_string(&path).expect("fixture").lines() {
            let row: Value = serde_json::from_str(line).expect("a JSON line");
            let text = |key: &str| row[key].as_str().unwrap_or("");
            let status = row["http_status"].as_u64().map(|s| s as u16);
            let got = failure(
                text("provider"),
                status,
                text("error_type"),
                text("message"),
            );
            let class = got.class.as_str();
            let right = match text("class").strip_prefix('!') {
                Some(not) => !class.starts_with(not),
                None => class == text("class"),
            };
            let rule = got.evidence.split(':').next().unwrap_or("");
            if !right || !text("rule").is_empty() && rule != text("rule") {
                wrong.push(format!("{line}\n  got {class} by {}", got.evidence));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// One provider's error, its class, and the texts in which frameworks pass it on.
const INNER: [(&str, u16, &str, &str); 5] = [
    (
        "openai",
        429,
        "You exceeded your current quota",
        "llm.billing.quota_exhausted",
    ),
    (
        "openai",
        401,
        "Incorrect API key provided: sk-abc123",
        "llm.auth.invalid_key",
    ),
    (
        "openai",
        429,
        "Rate limit reached on tokens per min (TPM): Limit 10",
        "llm.rate_limit.tokens",
    ),
    (
        "anthropic",
        400,
        "prompt is too long: 210000 tokens > 200000 maximum",
        "llm.request.context_length",
    ),
    (
        "anthropic",
        400,
        "Your credit balance is too low",
        "llm.billing.quota_exhausted",
    ),
];

#[test]
fn wrappers_keep_the_class() {
    for (provider, status, inner, class) in INNER {
        for text in [
            inner.to_owned(),
            format!("Error code: {status} - {{'error': {{'message': '{inner}', 'code': None}}}}"),
            format!("{status} {{\"type\":\"error\",\"error\":{{\"message\":\"{inner}\"}}}}"),
            format!("litellm.BadRequestError: {provider} error - {inner}"),
            format!("Failed after 3 attempts. Last error: {inner}"),
            format!("Error raised by the chat model in a chain: {inner}"),
        ] {
            assert_eq!(
                failure(provider, Some(status), "", &text).class.as_str(),
                class,
                "{text}"
            );
            for cut in [128, 256] {
                let short = &text[..text.floor_char_boundary(cut)];
                let got = failure(provider, Some(status), "", short).class.as_str();
                assert_eq!(got, class, "{short}");
            }
        }
    }
}

#[test]
fn no_secret_survives_in_what_is_stored() {
    for (text, secret) in [
        (
            "Incorrect API key provided: sk-proj-Abc123Def456.",
            "Abc123Def456",
        ),
        (
            "invalid x-api-key sk-ant-api03-Zyx987Wvu654",
            "Zyx987Wvu654",
        ),
        (
            "The security token AKIAABCDEFGHIJKLMNOP is invalid",
            "ABCDEFGHIJKLMNOP",
        ),
        (
            "API key not valid: AIzaSyA1234567890abcdefghijk",
            "A1234567890",
        ),
        (
            "headers {'Authorization': 'Bearer abc.def-ghi_jkl123'} were refused",
            "abc.def-ghi_jkl123",
        ),
        (
            "{\"authorization\":\"Basic dXNlcjpwYXNzd29yZA==\"} 401",
            "dXNlcjpwYXNzd29yZA",
        ),
        (
            "jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl expired",
            "c2lnbmF0dXJl",
        ),
        (
            "no access for jane.doe@example.com to this model",
            "jane.doe",
        ),
        (
            "prompt was flagged: card 4111 1111 1111 1111 in the text",
            "1111 1111 1111",
        ),
    ] {
        let got = failure("openai", Some(401), "", text);
        let stored = format!("{} {}", got.message, got.evidence);
        assert!(!stored.contains(secret), "{stored}");
    }
}
