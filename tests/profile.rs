//! The profile of inputs and outputs on labelled texts: how often it is right.
//!
//! `tests/fixtures/profile.toml` and `languages.toml` hold the texts. What a detector says is held
//! against the labels; the table is printed (`cargo test --test main profile -- --nocapture`).

use std::collections::BTreeMap;

use lapwing::{
    call::{Call, Content, Message, Part, PartKind, Profile, Role},
    enrich::{self, Rules},
};

const PRECISION_MIN: f64 = 0.95;
const RECALL_MIN: f64 = 0.90;
const TEXTS_MIN: usize = 20;

#[derive(serde::Deserialize)]
struct Labelled {
    hit: Vec<String>,
    miss: Vec<String>,
}

/// The profile of a call with one question and one answer.
fn profile(question: &str, answer: &str) -> Profile {
    let part = |text| {
        [Part {
            kind: PartKind::Text,
            text,
            ..Part::default()
        }]
    };
    let (asked, said) = (part(question), part(answer));
    let message = |role, parts| [Message { role, parts }];
    let (input, output) = (message(Role::User, &asked), message(Role::Assistant, &said));
    let call = Call {
        input: Content {
            recorded: true,
            text: question,
            messages: &input,
        },
        output: Content {
            recorded: true,
            text: answer,
            messages: &output,
        },
        ..Call::default()
    };
    enrich::enrich(Rules::builtin(), &call).profile
}

/// `unit×times`, with `\n` for a line break.
fn repeated(text: &str) -> String {
    let (text, times) = text.rsplit_once('×').expect("unit×times");
    let text = text.replace("\\n", "\n");
    let (before, unit) = match text.split_once(": now") {
        Some((before, _)) => (before.to_owned() + ": ", "now now ".to_owned()),
        None => (String::new(), text),
    };
    before + &unit.repeat(times.parse().expect("a number"))
}

#[test]
fn flags_are_right_on_labelled_texts() {
    let labelled: BTreeMap<String, Labelled> =
        toml::from_str(include_str!("fixtures/profile.toml")).expect("fixtures");
    let mut bad = Vec::new();
    println!(
        "{:24} {:>5} {:>5} {:>10} {:>7}",
        "detector", "hits", "miss", "precision", "recall"
    );
    for (name, texts) in &labelled {
        let says = |text: &str| match name.as_str() {
            "code" => profile(text, "ok").has_code,
            "repeated_tokens" => {
                let flags = profile("x", &repeated(text)).output_flags;
                flags.contains(&"repeated_tokens")
            }
            flag => profile(text, "ok").input_flags.contains(&flag),
        };
        let missed: Vec<_> = texts.hit.iter().filter(|t| !says(t)).collect();
        let wrong: Vec<_> = texts.miss.iter().filter(|t| says(t)).collect();
        let found = (texts.hit.len() - missed.len()) as f64;
        let precision = found / (found + wrong.len() as f64);
        let recall = found / texts.hit.len() as f64;
        let (hits, misses) = (texts.hit.len(), texts.miss.len());
        println!("{name:24} {hits:5} {misses:5} {precision:10.3} {recall:7.3}");
        for text in &missed {
            println!("    missed: {text:?}");
        }
        for text in &wrong {
            println!("    wrong:  {text:?}");
        }
        assert!(
            hits >= TEXTS_MIN && misses >= TEXTS_MIN,
            "{name} has too few texts"
        );
        if precision < PRECISION_MIN || recall < RECALL_MIN {
            bad.push(name);
        }
    }
    assert!(bad.is_empty(), "{bad:?}");
}

#[derive(serde::Deserialize)]
struct Languages {
    languages: BTreeMap<String, Vec<String>>,
    unsure: Unsure,
}

#[derive(serde::Deserialize)]
struct Unsure {
    texts: Vec<String>,
}

#[test]
fn languages_are_told_or_left_open() {
    let labelled: Languages =
        toml::from_str(include_str!("fixtures/languages.toml")).expect("fixtures");
    let (mut told, mut right, mut all) = (0.0, 0.0, 0.0);
    for (language, texts) in &labelled.languages {
        for text in texts {
            let said = profile(text, "ok").language;
            all += 1.0;
            told += f64::from(u8::from(!said.is_empty()));
            right += f64::from(u8::from(said == language));
            if said != language {
                println!("    {language} taken for {said:?}: {text}");
            }
        }
    }
    for text in &labelled.unsure.texts {
        let said = profile(text, "ok").language;
        told += f64::from(u8::from(!said.is_empty()));
        if !said.is_empty() {
            println!("    told {said:?}: {text}");
        }
    }
    let (precision, recall) = (right / told, right / all);
    println!(
        "language {all:5} {:5} {precision:10.3} {recall:7.3}",
        labelled.unsure.texts.len()
    );
    assert!(precision >= PRECISION_MIN && recall >= RECALL_MIN);
}
