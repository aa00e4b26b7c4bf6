//! Errors of forty providers, gateways and libraries in the forms in which telemetry carries them,
//! each with its class, phase and retry advice.
//!
//! All but `rules` were written from what the providers say of their errors, not from the rules, and
//! all but `first` were first measured before any rule was changed for them (`docs/captures.md`).
//! `rules` holds what is needed so that every rule decides for something.

use lapwing::enrich::{Rules, classify_lines};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// The columns that are the answer.
const LABELS: [&str; 4] = ["class", "phase", "retry", "rule"];
const FILES: [&str; 9] = [
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "rules",
];

fn read(folder: &str, file: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(root.join(folder).join(file)).expect(file)
}

/// Question and answer, line by line, over the door of `lapwing classify`.
fn ask(questions: &[Value], explain: bool) -> Vec<Value> {
    let mut input = String::new();
    for question in questions {
        let mut question = question.clone();
        let columns = question.as_object_mut().expect("an object");
        columns.retain(|name, _| !LABELS.contains(&name.as_str()));
        input.push_str(&question.to_string());
        input.push('\n');
    }
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    classify_lines(
        Rules::builtin(),
        explain,
        input.as_bytes(),
        &mut output,
        &mut errors,
    )
    .expect("all lines can be read");
    let lines = String::from_utf8(output).expect("UTF-8");
    let answers: Vec<Value> = lines
        .lines()
        .map(|l| serde_json::from_str(l).expect("JSON"))
        .collect();
    assert_eq!(answers.len(), questions.len());
    answers
}

fn corpus(name: &str) -> Vec<Value> {
    let text = read("tests/fixtures/errors", &format!("{name}.jsonl"));
    text.lines()
        .map(|l| serde_json::from_str(l).expect("a JSON line"))
        .collect()
}

/// Is it one of the classes that hide behind a 429, with its cause told?
fn is_429(class: &str) -> bool {
    ["llm.rate_limit.", "llm.billing.", "llm.capacity."]
        .iter()
        .any(|p| class.starts_with(p))
        && class != "llm.rate_limit.unspecified"
}

#[test]
fn errors_come_to_their_class_phase_and_retry_advice() {
    for name in FILES {
        let truth = corpus(name);
        let answers = ask(&truth, false);
        let mut classes: HashMap<&str, [u32; 2]> = HashMap::new();
        let (mut right, mut phase, mut retry, mut told) = (0_u32, 0_u32, 0_u32, [0_u32; 2]);
        let mut wrong = Vec::new();
        for (want, got) in truth.iter().zip(&answers) {
            let class = want["class"].as_str().expect("a class");
            let hit = u32::from(got["class"] == want["class"]);
            let tally = classes.entry(class).or_default();
            *tally = [tally[0] + hit, tally[1] + 1];
            right += hit;
            phase += u32::from(got["phase"] == want["phase"]);
            retry += u32::from(got["retry"] == want["retry"]);
            if is_429(class) {
                let family = |v: &Value| {
                    v.as_str()
                        .and_then(|c| c.split('.').nth(1).map(str::to_owned))
                };
                told[0] += u32::from(family(&got["class"]) == family(&want["class"]));
                told[1] += 1;
            }
            if hit == 0 {
                wrong.push(format!("{want}\n    got {got}"));
            }
        }
        let share = |part: u32, whole: u32| f64::from(part) / f64::from(whole);
        let all = u32::try_from(truth.len()).expect("few");
        let of_class: f64 = classes.values().map(|[a, b]| share(*a, *b)).sum();
        let figures = [
            ("class", share(right, all), 0.97),
            ("macro", of_class / classes.len() as f64, 0.95),
            ("of the 429", share(told[0], told[1]), 0.98),
            ("phase", share(phase, all), 0.95),
            ("retry", share(retry, all), 0.90),
        ];
        for (what, reached, least) in figures {
            println!("{name:8} {what:12} {reached:.3} (at least {least})");
            assert!(
                reached >= least,
                "{name}: {what} {reached}\n{}",
                wrong.join("\n")
            );
        }
    }
}

#[test]
fn every_rule_decides_for_some_error() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/failures");
    let mut questions: Vec<Value> = FILES.iter().flat_map(|f| corpus(f)).collect();
    for entry in std::fs::read_dir(folder).expect("fixtures") {
        let text = std::fs::read_to_string(entry.expect("entry").path()).expect("text");
        questions.extend(
            text.lines()
                .map(|l| serde_json::from_str::<Value>(l).expect("JSON")),
        );
    }
    let answers = ask(&questions, false);
    let deciding = |a: &Value| {
        a["evidence"]
            .as_str()
            .and_then(|e| e.split(':').next().map(str::to_owned))
    };
    let decided: HashSet<String> = answers.iter().filter_map(deciding).collect();
    let mut rules = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/failures");
    for entry in std::fs::read_dir(root).expect("rules") {
        let text = std::fs::read_to_string(entry.expect("entry").path()).expect("text");
        let table: toml::Table = text.parse().expect("TOML");
        let rows = table["rule"].as_array().expect("rows").clone();
        rules.extend(
            rows.iter()
                .map(|r| r["id"].as_str().expect("an id").to_owned()),
        );
    }
    let idle: Vec<&String> = rules.iter().filter(|r| !decided.contains(*r)).collect();
    assert!(idle.is_empty(), "no fixture reaches {idle:?}");
}

#[test]
fn a_rule_of_a_fixture_is_the_one_that_decides() {
    let truth = corpus("rules");
    for (want, got) in truth.iter().zip(ask(&truth, true)) {
        assert_eq!(
            got["because"][0]["rule"], want["rule"],
            "{want}\n  got {got}"
        );
    }
}

#[test]
fn an_explanation_names_what_matched_and_what_lost() {
    let question = serde_json::json!({
        "provider": "openai", "http_status": 429, "exception_type": "RateLimitError",
        "message": "You exceeded your current quota, please check your plan.",
    });
    let answer = ask(&[question], true).remove(0);
    let because = answer["because"].as_array().expect("reasons");
    assert_eq!(because[0]["rule"], "text.no_money");
    assert_eq!(because[0]["matched"], "exceeded your current quota");
    let losers: Vec<&str> = because
        .iter()
        .skip(1)
        .filter_map(|r| r["rule"].as_str())
        .collect();
    assert!(losers.contains(&"exception.rate"), "{losers:?}");
    assert!(losers.contains(&"status.429"), "{losers:?}");
}
