//! Context: is there a place for retrieved texts, with nothing in it?
//!
//! A heading or a tag whose name says that texts follow, and then none. What a text says about
//! contexts or documents is no heading.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::{beginning, survey::Signs};

/// What retrieved texts are called, as the last word of a heading or inside the name of a tag.
const NOUNS: &[&str] = &[
    "context",
    "documents",
    "docs",
    "results",
    "sources",
    "base",
    "passages",
    "background",
    "material",
    "excerpts",
    "chunks",
    "snippets",
    "articles",
    "evidence",
    "information",
    "knowledge",
    "kontext",
    "dokumente",
    "fundstellen",
    "quellen",
    "treffer",
    "contexte",
    "contexto",
    "contesto",
    "documentos",
    "fragmentos",
    "上下文",
    "参考资料",
];
/// Words in a heading: `Relevant documents from the manual`.
const HEADING_WORDS_MAX: usize = 4;
const LABEL_BYTES_MAX: usize = 40;
/// What stands under such a heading when nothing was found.
const NOTHING: &[&str] = &[
    "",
    "[]",
    "{}",
    "none",
    "null",
    "n/a",
    "undefined",
    "nan",
    "no results",
    "no results found",
    "no documents found",
    "no documents",
    "no relevant documents found",
    "no context available",
    "empty",
    "no matches",
    "0 results",
    "0 documents",
    "nothing found",
    "not found",
    "no matching documents",
    "keine treffer",
    "keine ergebnisse",
    "aucun résultat",
    "sin resultados",
    "nessun risultato",
    "nil",
];
/// What the next part of a prompt begins with.
const NEXT: &[&str] = &[
    "question",
    "user question",
    "customer question",
    "query",
    "user query",
    "task",
    "instructions",
    "answer",
    "user",
    "customer",
    "request",
    "frage",
    "pregunta",
    "helpful answer",
    "now answer",
    "please answer",
    "domanda",
    "pergunta",
    "input",
    "q",
    "问题",
];

/// Is there a place for retrieved texts, with nothing in it?
pub(in crate::enrich) fn empty_context(text: &str, signs: Signs) -> bool {
    static FIELD: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"context\""));
    let text = beginning(text);
    (memchr::memchr(b'<', text.as_bytes()).is_some() && tagged_nothing(text))
        || FIELD.find(text.as_bytes()).is_some() && field_nothing(text)
        || headed_nothing(text, signs.announced)
}

/// `<context> </context>`, `<knowledge/>`
fn tagged_nothing(text: &str) -> bool {
    text.split('<').skip(1).any(|rest| {
        let Some((name, inside)) = rest.split_once('>') else {
            return false;
        };
        let closed = name.ends_with('/');
        let name = name.trim_end_matches(['/', ' ']);
        let known = !name.starts_with('/')
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
            && name
                .to_ascii_lowercase()
                .split(['_', '-'])
                .any(|word| NOUNS.contains(&word) || NOUNS.contains(&format!("{word}s").as_str()));
        if !known {
            return false;
        }
        // The next tag is the end of this one.
        let end = text_after(text, inside).strip_prefix(&format!("</{name}>"));
        closed || (end.is_some() && is_nothing(inside))
    })
}

/// What follows a piece of a text.
fn text_after<'t>(text: &'t str, piece: &str) -> &'t str {
    let end = (piece.as_ptr() as usize + piece.len()).saturating_sub(text.as_ptr() as usize);
    text.get(end..).unwrap_or("")
}

/// `"context": ""` in an input that is JSON.
fn field_nothing(text: &str) -> bool {
    text.split("\"context\"").skip(1).any(|rest| {
        let value = rest
            .trim_start()
            .strip_prefix(':')
            .map_or("-", str::trim_start);
        ["\"\"", "[]", "{}", "null"]
            .iter()
            .any(|nothing| value.starts_with(nothing))
    })
}

/// `Context:` and then the next heading, or the end, or a word for nothing.
fn headed_nothing(text: &str, announced: bool) -> bool {
    if !announced && memchr::memchr3(b':', b'=', b'#', text.as_bytes()).is_none() {
        return false;
    }
    let lines: Vec<&str> = super::lines(text).map(|(_, line)| line).collect();
    lines.iter().enumerate().any(|(n, line)| {
        let below = lines.get(n + 1..).unwrap_or_default();
        if announced && announces(line) {
            return gap(below);
        }
        if memchr::memchr3(b':', b'=', b'#', line.as_bytes()).is_none() {
            return false;
        }
        let bare = line.trim().trim_matches(['#', '*', '=', '-', ' ']);
        let split = bare.split_once(':').or_else(|| bare.split_once(" = "));
        let (label, value) = match split {
            Some((label, value)) => (
                label.trim_matches(['*', ' ']),
                value.trim_matches(['*', ' ']),
            ),
            None if line.trim_start().starts_with(['#', '=']) => (bare, ""),
            None => return false,
        };
        if label.len() > LABEL_BYTES_MAX || !is_context(label) {
            return false;
        }
        if !value.is_empty() {
            return is_nothing(value);
        }
        let mut said = below.iter().map(|l| l.trim()).filter(|l| !is_blank(l));
        match said.next() {
            None => true,
            Some(next) => is_nothing(next) || is_heading(next),
        }
    })
}

/// `Retrieved passages`, `Manual excerpts`: a short name for texts.
fn is_context(label: &str) -> bool {
    let label = label.to_lowercase();
    let mut words = label.split_whitespace();
    let last = words.next_back().unwrap_or("");
    let before = words.count();
    NOUNS.contains(&last) && before < HEADING_WORDS_MAX && !label.starts_with("what")
        || label == "context start"
}

/// A sentence that ends in texts that follow it: `Use the following pieces of context ... .`
fn announces(line: &str) -> bool {
    let line = line.trim();
    if !line.ends_with(['.', ':']) || line.len() < 24 {
        return false;
    }
    let lower = line.to_lowercase();
    if !lower.contains("below") && !lower.contains("following") {
        return false;
    }
    let what = ["context", "documents", "passages", "excerpts", "sources"];
    let where_ = [
        "the following ",
        " is below",
        " are below",
        "below is ",
        "below are ",
    ];
    what.iter().any(|w| lower.contains(w)) && where_.iter().any(|w| lower.contains(w))
}

/// Two rules or quotes with nothing between them, or blank lines and then the next part.
fn gap(below: &[&str]) -> bool {
    let mut rules = 0;
    let mut blank = 0;
    for line in below.iter().map(|l| l.trim()) {
        match line {
            "" => blank += 1,
            _ if is_rule(line) || is_quotes(line) => rules += 1,
            _ if rules == 1 => return false,
            _ => return rules >= 2 || blank >= 2 && is_heading(line) || is_nothing(line),
        }
    }
    rules >= 2
}

/// `Question: ...`, `## Task`, `---`: something else begins.
fn is_heading(line: &str) -> bool {
    let label = line
        .trim_matches(['#', '*', '=', ' '])
        .split([':', ':'])
        .next()
        .unwrap_or("");
    let label = label
        .split(" = ")
        .next()
        .unwrap_or("")
        .trim()
        .to_lowercase();
    let known = NEXT.contains(&label.as_str()) || label == "context end";
    known && (line.contains([':', ':', '=']) || line.starts_with('#')) || is_rule(line)
}

fn is_rule(line: &str) -> bool {
    !line.is_empty() && line.bytes().all(|b| b"-=".contains(&b))
}

fn is_quotes(line: &str) -> bool {
    !line.is_empty() && line.bytes().all(|b| b"\"'`".contains(&b))
}

fn is_blank(line: &str) -> bool {
    line.is_empty() || is_quotes(line)
}

fn is_nothing(text: &str) -> bool {
    let plain = text.trim().trim_end_matches('.');
    let plain = plain.trim_start_matches(['-', '*', '•']).trim();
    let plain = plain.trim_matches(['"', '\'', '(', ')']).to_lowercase();
    NOTHING.contains(&plain.as_str())
}
