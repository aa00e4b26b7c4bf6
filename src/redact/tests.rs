//! What goes and what stays, and that nothing else of a request changes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::*;
use crate::normalise::otlp;

#[derive(serde::Deserialize)]
struct Fixture {
    hit: Vec<String>,
    miss: Vec<String>,
}

fn fixtures() -> BTreeMap<String, Fixture> {
    toml::from_str(include_str!("../../tests/fixtures/redaction.toml")).expect("fixtures")
}

/// A fixture's text and the part that has to go.
fn parts(fixture: &str) -> (String, Range<usize>) {
    let text = fixture.replace('~', "");
    let (before, rest) = text.split_once('⟦').expect("a beginning");
    let (secret, after) = rest.split_once('⟧').expect("an end");
    let range = before.len()..before.len() + secret.len();
    (format!("{before}{secret}{after}"), range)
}

#[test]
fn every_kind_goes_as_a_whole_and_nothing_beside_it() {
    let redactor = Redactor::default();
    for (id, fixture) in fixtures() {
        for hit in &fixture.hit {
            let (text, range) = parts(hit);
            let clean = redactor.text(&text);
            let gone: Vec<bool> = text
                .bytes()
                .zip(clean.bytes())
                .map(|(a, b)| a != b)
                .collect();
            assert_eq!(text.len(), clean.len(), "{id}: {text} became {clean}");
            assert!(
                gone[range.clone()].iter().filter(|g| **g).count() * 10 >= range.len() * 8,
                "{id}: {text} became {clean}"
            );
            let outside = gone.iter().enumerate().filter(|(i, _)| !range.contains(i));
            assert!(
                outside.clone().all(|(_, gone)| !gone),
                "{id}: {text} became {clean}"
            );
            if range.len() > MARK.len() + id.len() {
                assert!(
                    clean.contains(&format!("{MARK}{id}]")),
                    "{id}: {text} became {clean}"
                );
            }
        }
        for miss in &fixture.miss {
            assert_eq!(redactor.text(miss), *miss, "{id}");
        }
    }
}

#[test]
fn every_row_of_the_table_has_fixtures_of_both_kinds() {
    let fixtures = fixtures();
    for token in rules::tokens() {
        let own = fixtures
            .get(&token.id)
            .unwrap_or_else(|| panic!("{} has no fixture", token.id));
        assert!(!own.hit.is_empty() && !own.miss.is_empty(), "{}", token.id);
    }
    for category in Category::ALL {
        assert!(fixtures.contains_key(category.as_str()), "{category:?}");
    }
}

/// The same secrets wherever they stand in a request, at every alignment.
#[test]
fn a_request_is_cleaned_wherever_its_texts_lie() {
    let redactor = Redactor::default();
    for (id, fixture) in fixtures() {
        for hit in &fixture.hit {
            let (text, range) = parts(hit);
            let secret = &text[range];
            for pad in 0..20 {
                let name = "n".repeat(pad);
                let body = otlp::traces(&[otlp::span(&name)
                    .attr("a", text.as_str())
                    .attr("list", [text.as_str(), "b"])
                    .attr("map", otlp::map([("k", text.as_str().into())]))
                    .event("e", &[("x", text.as_str().into())])
                    .failed(&text)]);
                let (clean, count) = redactor.traces(Cow::Borrowed(&body));
                assert_eq!(clean.len(), body.len());
                assert!(count >= 5, "{id}: {count} of {text}");
                assert!(
                    memchr::memmem::find(&clean, secret.as_bytes()).is_none(),
                    "{id}: {text}"
                );
                let arena = bumpalo::Bump::new();
                let spans = crate::decode::traces(&clean, &arena).expect("still a request");
                assert_eq!(spans.spans.len(), 1);
                let log = otlp::logs(&[otlp::log("e")
                    .body(text.as_str())
                    .attr(&name, text.as_str())]);
                let (clean, count) = redactor.logs(Cow::Borrowed(&log));
                assert!(count >= 2, "{id}: {count} of {text}");
                assert!(
                    memchr::memmem::find(&clean, secret.as_bytes()).is_none(),
                    "{id}: {text}"
                );
            }
        }
    }
}

#[test]
fn an_attribute_with_a_telling_name_is_emptied_as_a_whole() {
    let redactor = Redactor::default();
    for key in [
        "http.request.header.authorization",
        "http.request.header.x-api-key",
        "app.config.db_password",
        "X-Api-Key",
        "clientSecret",
        "cookie",
    ] {
        let body = otlp::traces(&[otlp::span("s")
            .attr(key, "opaque value")
            .attr("k", "opaque value")]);
        let (clean, count) = redactor.traces(Cow::Borrowed(&body));
        assert_eq!(count, 1, "{key}");
        let left = memchr::memmem::find_iter(&clean, b"opaque value").count();
        assert_eq!(left, 1, "{key}");
    }
}

#[test]
fn a_clean_request_is_not_copied() {
    let body = otlp::traces(&[otlp::span("chat gpt-4o")
        .attr("gen_ai.usage.input_tokens", 12)
        .attr(
            "input.value",
            "How many tokens has this password-free text? 1780000000000",
        )]);
    let (clean, count) = Redactor::default().traces(Cow::Borrowed(&body));
    assert!(matches!(clean, Cow::Borrowed(_)) && count == 0);
}

#[test]
fn categories_can_be_left_out_and_patterns_added() {
    let options = Options {
        categories: vec![Category::Email],
        patterns: vec![(
            "employee".to_owned(),
            Regex::new(r"EMP-\d{6}").expect("pattern"),
        )],
    };
    let redactor = Redactor::new(options);
    let text = "a@b.de, card 4111111111111111, EMP-123456";
    assert_eq!(
        redactor.text(text),
        "******, card 4111111111111111, [employee]"
    );
    let body = otlp::traces(&[otlp::span("EMP-123456 and EMP-654321").attr("k", "plain")]);
    let (clean, count) = redactor.traces(Cow::Borrowed(&body));
    assert_eq!(count, 2);
    assert!(memchr::memmem::find(&clean, b"EMP-").is_none());
}

#[test]
fn any_bytes_are_survived() {
    let redactor = Redactor::default();
    let (body, _) = parts("x ⟦sk-~proj-abcDEF1234567890⟧ @ +1 (415) 555-2671 eyJ");
    let body = otlp::traces(&[otlp::span(&body).attr("api_key", "a@b.co")]);
    for cut in 0..body.len() {
        let (clean, _) = redactor.traces(Cow::Borrowed(&body[..cut]));
        assert_eq!(clean.len(), cut);
        let text = String::from_utf8_lossy(&body[..cut]).into_owned();
        assert_eq!(redactor.text(&text).len(), text.len());
    }
}
