//! The profile of inputs and outputs on labelled texts: how often it is right.
//!
//! `tests/fixtures/profile.toml` and `languages.toml` hold the texts, `traffic.toml` those that were
//! written without a look at the detectors. What a detector says is held against the labels; the
//! table is printed (`cargo test --test main profile -- --nocapture`).

/// Flags of conversations: what is told of several messages together.
mod conversations;
/// Flags of tool calls.
mod tools;

use std::collections::BTreeMap;

use lapwing::{
    call::{Call, Content, Message, Part, PartKind, Profile, Role},
    enrich::{self, Rules},
    redact::Redactor,
};

const PRECISION_MIN: f64 = 0.95;
const RECALL_MIN: f64 = 0.90;
const TEXTS_MIN: usize = 20;

#[derive(serde::Deserialize)]
struct Labelled {
    hit: Vec<String>,
    miss: Vec<String>,
}

/// What a detector made of its labelled cases.
struct Tally {
    name: String,
    hits: usize,
    misses: usize,
    missed: Vec<String>,
    wrong: Vec<String>,
}

// === impl Tally ===

impl Tally {
    /// Asks about every case of both kinds.
    fn of<T: std::fmt::Debug>(
        name: &str,
        hit: &[T],
        miss: &[T],
        says: impl Fn(&T) -> bool,
    ) -> Tally {
        let shown = |case: &&T| format!("{case:?}");
        Tally {
            name: name.to_owned(),
            hits: hit.len(),
            misses: miss.len(),
            missed: hit.iter().filter(|c| !says(c)).map(|c| shown(&c)).collect(),
            wrong: miss.iter().filter(|c| says(c)).map(|c| shown(&c)).collect(),
        }
    }

    /// Prints its line of the table; is it good enough?
    fn print(&self) -> bool {
        let found = (self.hits - self.missed.len()) as f64;
        let precision = found / (found + self.wrong.len() as f64);
        let recall = found / self.hits as f64;
        let (hits, misses) = (self.hits, self.misses);
        println!(
            "{:34} {hits:5} {misses:5} {precision:10.3} {recall:7.3}",
            self.name
        );
        for case in &self.missed {
            println!("    missed: {case}");
        }
        for case in &self.wrong {
            println!("    wrong:  {case}");
        }
        let enough = hits >= TEXTS_MIN && misses >= TEXTS_MIN;
        enough && precision >= PRECISION_MIN && recall >= RECALL_MIN
    }
}

/// Prints the table and fails if a detector is not good enough.
fn judge(tallies: &[Tally]) {
    println!(
        "{:34} {:>5} {:>5} {:>10} {:>7}",
        "detector", "hits", "miss", "precision", "recall"
    );
    let bad = tallies.iter().filter(|t| !t.print());
    let bad: Vec<&str> = bad.map(|t| t.name.as_str()).collect();
    assert!(bad.is_empty(), "{bad:?}");
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

/// Does the detector of this name say so of the text? Secrets are gone when the profile is made,
/// so that a text goes through the redactor first; `~` keeps made-up ones from looking like real
/// ones to whoever scans this repository.
fn says(detector: &str, text: &str) -> bool {
    match detector {
        "code" => profile(text, "ok").has_code,
        "repeated_tokens" => {
            let flags = profile("x", &repeated(text)).output_flags;
            flags.contains(&"repeated_tokens")
        }
        "secret" | "personal_data" => {
            let text = text.replace('~', "");
            let clean = Redactor::default().text(&text).into_owned();
            profile(&clean, "ok").input_flags.contains(&detector)
        }
        flag => profile(text, "ok").input_flags.contains(&flag),
    }
}

#[test]
fn flags_are_right_on_labelled_texts() {
    let mut tallies = Vec::new();
    for (file, text) in [
        ("profile", include_str!("fixtures/profile.toml")),
        ("traffic", include_str!("fixtures/traffic.toml")),
    ] {
        let labelled: BTreeMap<String, Labelled> = toml::from_str(text).expect("fixtures");
        for (name, texts) in &labelled {
            let whole = format!("{file}: {name}");
            let tally = Tally::of(&whole, &texts.hit, &texts.miss, |t| says(name, t));
            tallies.push(tally);
        }
    }
    judge(&tallies);
}

#[derive(serde::Deserialize)]
struct Languages {
    languages: BTreeMap<String, Vec<String>>,
    traffic: BTreeMap<String, Vec<String>>,
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
    for (language, texts) in labelled.languages.iter().chain(&labelled.traffic) {
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
        "{:34} {all:5} {:5} {precision:10.3} {recall:7.3}",
        "language",
        labelled.unsure.texts.len()
    );
    assert!(precision >= PRECISION_MIN && recall >= RECALL_MIN);
}
