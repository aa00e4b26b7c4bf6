//! What must not slip in the sources: the direction of the stages, what files open with, their size.

use std::path::{Path, PathBuf};

/// Which modules of the crate each may name. Whoever is not listed may name all.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("call", &[]),
    ("proto", &[]),
    ("decode", &["receive"]),
    ("redact", &["decode"]),
    ("normalise", &["call", "decode"]),
    ("enrich", &["call"]),
    ("block", &["call", "decode"]),
    ("receive", &["proto"]),
    ("store", &["block"]),
    ("alert", &["call", "detect", "enrich", "store"]),
    ("journal", &["block", "pipeline", "store"]),
    ("detect", &["call"]),
    ("past", &["call", "detect", "normalise", "store"]),
    ("watch", &["alert", "detect", "journal", "past", "store"]),
    ("forward", &["block", "call", "decode", "journal", "proto"]),
    (
        "config",
        &["alert", "detect", "forward", "journal", "redact", "store"],
    ),
    ("admin", &[]),
    (
        "pipeline",
        &[
            "block",
            "call",
            "decode",
            "detect",
            "enrich",
            "forward",
            "normalise",
            "receive",
            "redact",
        ],
    ),
    (
        "telemetry",
        &[
            "block", "forward", "journal", "pipeline", "receive", "watch",
        ],
    ),
];
/// The pure stages: nothing of the outside world.
const PURE: &[&str] = &["call", "decode", "redact", "normalise", "enrich", "detect"];
const OUTSIDE: &[&str] = &[
    "tokio::",
    "std::fs",
    "std::net",
    "SystemTime",
    "Instant::now",
    "async fn",
];
/// A file that is longer usually holds two things.
const LINES_MAX: usize = 600;

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                files.push((path.strip_prefix(&root).unwrap().to_owned(), text));
            }
        }
    }
    assert!(files.len() > 100, "found the sources");
    files
}

/// The module of the crate that a file belongs to.
fn module(path: &Path) -> String {
    let first = path
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_string_lossy()
        .into_owned();
    first.trim_end_matches(".rs").to_owned()
}

fn is_test(path: &Path) -> bool {
    path.components()
        .any(|c| c.as_os_str().to_string_lossy().starts_with("tests"))
}

/// The sources without their inline tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or(text)
}

/// Does the code name a module of the crate, by a path or in a list of imports?
fn names(code: &str, module: &str) -> bool {
    let path = format!("crate::{module}::");
    let lists = code
        .split("use crate::{")
        .skip(1)
        .filter_map(|rest| rest.split("};").next());
    let entry = format!("{module}::");
    let listed = |list: &str| {
        list.split([',', '\n', '{'])
            .any(|item| item.trim().starts_with(&entry))
    };
    code.contains(&path) || lists.into_iter().any(listed)
}

#[test]
fn no_stage_names_a_later_one() {
    let all: Vec<&str> = MAY_NAME
        .iter()
        .map(|(name, _)| *name)
        .chain(["cli"])
        .collect();
    for (path, text) in sources().iter().filter(|(path, _)| !is_test(path)) {
        let own = module(path);
        let Some((_, allowed)) = MAY_NAME.iter().find(|(name, _)| *name == own) else {
            continue;
        };
        for other in all
            .iter()
            .filter(|other| **other != own && !allowed.contains(other))
        {
            assert!(
                !names(without_tests(text), other),
                "src/{} names `{other}`, which comes later",
                path.display()
            );
        }
    }
}

#[test]
fn the_pure_stages_know_nothing_of_the_outside() {
    for (path, text) in sources().iter().filter(|(path, _)| !is_test(path)) {
        if !PURE.contains(&module(path).as_str()) || path.ends_with("lines.rs") {
            continue;
        }
        for word in OUTSIDE {
            assert!(
                !without_tests(text).contains(word),
                "src/{} has `{word}`",
                path.display()
            );
        }
    }
}

#[test]
fn every_module_says_what_it_is_for() {
    for (path, text) in sources().iter().filter(|(path, _)| !is_test(path)) {
        assert!(
            text.starts_with("//!"),
            "src/{} does not open with `//!`",
            path.display()
        );
    }
}

#[test]
fn no_file_grows_two_jobs() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(
            lines <= LINES_MAX,
            "src/{} has {lines} lines",
            path.display()
        );
    }
}

#[test]
fn unsafe_code_stays_in_the_binding_of_the_engine() {
    for (path, text) in sources() {
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let has = code
            .into_iter()
            .any(|line| line.contains("unsafe {") || line.contains("unsafe impl"));
        assert!(
            !has || path.ends_with("store/embedded/ffi.rs"),
            "src/{}",
            path.display()
        );
    }
}
