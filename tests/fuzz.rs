//! The fuzz targets of `fuzz/` without a fuzzer: recorded texts, broken at random.
//!
//! Blind to coverage, unlike `cargo fuzz`, but needs no other compiler and runs with every test. Each
//! target gets `LAPWING_FUZZ_SECONDS` (half a second unless told otherwise):
//!
//!     LAPWING_FUZZ_SECONDS=600 cargo test --test main fuzz -- --nocapture
//!
//! A failure prints the text; the sequence is the same in every run.

use std::time::{Duration, Instant};

use lapwing::{
    enrich::{Evidence, Rules, classify::classify},
    normalise::fuzzing,
};

const SECONDS: f64 = 0.5;
/// Bytes of a text.
const TEXT_BYTES_MAX: usize = 4096;
/// What readers of JSON, of Python's repr and of error texts trip over.
const PIECES: &[&str] = &[
    "\"",
    "'",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\\u",
    "\\ud800",
    "\\x",
    "\0",
    "\n",
    "\u{2019}",
    "é",
    "日",
    "🦀",
    "None",
    "nan",
    "-",
    "1e999",
    "0x",
    "{\"a\":",
    "{'a': ",
    "[[",
    "\"role\":",
    "\"parts\":",
    "\"content\":",
    "Error code: 429 - ",
    "<html",
    "try again in 1m2s",
    "request_id",
];

/// Marsaglia's xorshift: the same texts in every run.
struct Random(u64);

// === impl Random ===

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).expect("small")
    }
}

/// Recorded errors and conversations, and small beginnings.
fn seeds() -> Vec<String> {
    let errors = [
        include_str!("fixtures/errors/rules.jsonl"),
        include_str!("fixtures/errors/sixth.jsonl"),
    ];
    let lines = errors.iter().flat_map(|text| text.lines());
    let values = lines.clone().filter_map(|line| {
        let value: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(value["message"].as_str()?.to_owned())
    });
    let conversations = [
        r#"[{"role":"user","parts":[{"type":"text","content":"hi"}]},{"role":"assistant","parts":[{"type":"tool_call","id":"c","name":"f","arguments":{"a":[1,2.5,null,true]}}]}]"#,
        r#"[{"role": "system", "content": "be brief"}, {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]}]"#,
        r#"{'messages': [{'role': 'tool', 'tool_call_id': 'c', 'content': "it's \u00e9"}], 'n': None, 'ok': True}"#,
        r#"[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}]"#,
        "",
    ];
    let conversations = conversations.iter().map(|text| (*text).to_owned());
    lines
        .map(str::to_owned)
        .chain(values)
        .chain(conversations)
        .collect()
}

/// A text with some damage.
fn broken(seeds: &[String], random: &mut Random) -> String {
    let pick = |random: &mut Random| seeds[random.below(seeds.len())].as_bytes();
    let mut text = pick(random).to_vec();
    for _ in 0..=random.below(6) {
        let at = random.below(text.len() + 1);
        let to = at + random.below((text.len() - at).min(64) + 1);
        match random.below(7) {
            0 => text.truncate(at),
            1 => drop(text.drain(at..to)),
            2 => {
                let piece = PIECES[random.below(PIECES.len())];
                text.splice(at..at, piece.bytes());
            }
            3 => {
                let other = pick(random);
                let from = random.below(other.len() + 1);
                text.splice(at..to, other[from..].iter().copied());
            }
            4 => {
                let again = text[at..to].repeat(1 + random.below(40));
                text.splice(at..at, again);
            }
            5 => {
                if let Some(byte) = text.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            _ => text.reverse(),
        }
        text.truncate(TEXT_BYTES_MAX);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Feeds a target until its time is over.
fn feed(name: &str, seed: u64, target: impl Fn(&[String; 3])) {
    let told = std::env::var("LAPWING_FUZZ_SECONDS").ok();
    let seconds = told.and_then(|s| s.parse().ok()).unwrap_or(SECONDS);
    let (seeds, mut random) = (seeds(), Random(seed));
    let (begin, mut texts) = (Instant::now(), 0_u64);
    while begin.elapsed() < Duration::from_secs_f64(seconds) {
        let three = [(); 3].map(|()| broken(&seeds, &mut random));
        let shown = three.clone();
        let held = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| target(&three)));
        assert!(held.is_ok(), "{name} fails on {shown:?}");
        texts += 3;
    }
    println!(
        "{name:10} {texts} texts in {:.0} s",
        begin.elapsed().as_secs_f64()
    );
}

#[test]
fn any_text_is_an_error_with_a_failure() {
    feed("classify", 0x1ab_0001, |[message, code, body]| {
        let code = code.get(..code.floor_char_boundary(40)).unwrap_or("");
        let evidence = Evidence {
            provider: "openai",
            is_error: true,
            http_status: [None, Some(429), Some(500)][message.len() % 3],
            error_code: code,
            messages: &[message],
            body,
            ..Evidence::default()
        };
        let failure = classify(Rules::builtin(), &evidence).expect("an error has a failure");
        assert!(failure.message.len() <= 1024 && failure.request_id.len() <= 128);
        // The same question has the same answer.
        assert_eq!(classify(Rules::builtin(), &evidence), Some(failure));
    });
}

#[test]
fn any_text_is_read_as_messages() {
    feed("messages", 0x1ab_0002, |texts| {
        texts.iter().for_each(|text| fuzzing::messages(text));
    });
}

#[test]
fn any_text_is_read_as_a_value() {
    feed("values", 0x1ab_0003, |texts| {
        texts.iter().for_each(|text| fuzzing::values(text));
    });
}
