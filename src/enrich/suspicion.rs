//! Suspicion: marks of an input that was broken before it reached the model, and of an answer that
//! ran in a circle.
//!
//! Prompts about code and templates are common, and are not what is meant: what stands in code, or
//! in a text that speaks of templates, is passed over. Pure functions of texts; the words are tables.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::words::Words;

/// Texts are looked at up to here: what a template leaves is near the beginning or not alone.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// A name in a placeholder.
const NAME_BYTES_MAX: usize = 40;
/// What a label in front of a value has at most: `Customer name: undefined`.
const LABEL_BYTES_MAX: usize = 40;

/// Words of texts that are about templates or code.
const ABOUT_TEMPLATES: &[&str] = &[
    "template",
    "jinja",
    "handlebars",
    "mustache",
    "placeholder",
    "f-string",
    "format string",
    "curly",
    "braces",
    "helm",
    "jsx",
    "liquid",
    "regex",
    "latex",
    "javascript",
    "typescript",
    "python",
    "printf",
    "syntax",
    "variable",
    "string interpolation",
    "snippet",
    "html",
    "vue",
    "angular",
    "react",
    "terraform",
    "yaml",
    "json",
    "function",
    "sql",
    "code",
    "bash",
    "script",
    "console",
    "compile",
    "set notation",
    "endpoint",
    "api route",
];
/// What programs print where a value is missing.
const MISSING: &[&str] = &[
    "undefined",
    "null",
    "None",
    "NaN",
    "[object Object]",
    "nil",
    "<nil>",
];
/// How letters begin.
const GREETINGS: &[&str] = &[
    "hi ",
    "hello ",
    "dear ",
    "hey ",
    "hallo ",
    "bonjour ",
    "hola ",
    "good morning ",
];
/// Headings under which retrieved texts stand.
const CONTEXTS: &[&str] = &[
    "context",
    "retrieved context",
    "documents",
    "retrieved documents",
    "search results",
    "sources",
    "knowledge base",
    "passages",
    "relevant documents",
    "retrieved passages",
    "background",
    "reference material",
    "excerpts",
    "relevant passages",
    "chunks",
    "retrieved chunks",
    "snippets",
    "articles",
    "evidence",
    "kontext",
    "dokumente",
    "contexte",
    "contexto",
    "contesto",
];
/// A heading ends within this much of its line.
const HEADING_BYTES_MAX: usize = 80;
/// What stands under such a heading when nothing was found.
const NOTHING: &[&str] = &[
    "",
    "[]",
    "{}",
    "none",
    "null",
    "n/a",
    "\"\"",
    "''",
    "undefined",
    "nan",
    "no results",
    "no results found",
    "no documents found",
    "no documents",
    "no relevant documents found",
    "()",
    "no context available",
    "(none)",
    "(empty)",
    "no matches",
    "0 results",
    "nothing found",
    "not found",
];
/// Bytes of a loop that make it one, and how often its unit comes.
const LOOP_BYTES_MIN: usize = 120;
const LOOP_TIMES_MIN: usize = 6;
const LOOP_UNIT_BYTES_MAX: usize = 120;
/// Places of a text at which a loop is looked for.
const LOOP_STEP_BYTES: usize = 480;

/// Did a template reach the model with its holes?
pub(super) fn unfilled(text: &str) -> bool {
    let text = text
        .get(..text.floor_char_boundary(TEXT_BYTES_MAX))
        .unwrap_or("");
    let whole = text.trim();
    if MISSING.contains(&whole) || hole_end(whole) == Some(whole.len()) {
        return true;
    }
    // Holes are rare: without a sign of one nothing else is looked at.
    static NOTHING_THERE: LazyLock<Words> = LazyLock::new(|| Words::new(MISSING.iter().copied()));
    let signs =
        memchr::memchr3(b'{', b'%', b'[', text.as_bytes()).is_some() || NOTHING_THERE.are_in(text);
    if !signs {
        return false;
    }
    let prose = without_code(text);
    if prose.lines().any(slot) {
        return true;
    }
    let about = || {
        let lower = prose.to_lowercase();
        ABOUT_TEMPLATES.iter().any(|word| lower.contains(word))
    };
    prose.lines().any(holes) && !about()
}

/// `Label: value` or a greeting, with what programs print for nothing in the place of the value.
fn slot(line: &str) -> bool {
    let line = line.trim().trim_start_matches(['-', '*', '#', ' ']);
    let missing = |value: &str| {
        let value = value.trim().trim_end_matches(['.', ',', '!', '?']).trim();
        let value = value.trim_matches(['"', '\'']);
        MISSING.contains(&value)
            || (hole_end(value) == Some(value.len()) && !value.starts_with('<'))
    };
    let lower = line.to_lowercase();
    let greeted = GREETINGS
        .iter()
        .find(|greeting| lower.starts_with(*greeting));
    if let Some(name) = greeted.and_then(|greeting| line.get(greeting.len()..)) {
        return missing(name.split([',', '!', '.']).next().unwrap_or(name));
    }
    line.split_once(':').is_some_and(|(label, value)| {
        let words = label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b" _-/()'".contains(&b));
        let is_label = !label.is_empty() && label.len() <= LABEL_BYTES_MAX && words;
        is_label && label.starts_with(|c: char| c.is_uppercase()) && missing(value)
    })
}

/// `{{name}}`, `{name}`, `${name}`, `%s` among words.
fn holes(line: &str) -> bool {
    // Lines of code and data have these; prose with a hole does not.
    if line.contains(['=', ';', '\\']) || line.contains("=>") || line.contains("\":") {
        return false;
    }
    line.char_indices().any(|(at, c)| {
        let begins = match c {
            '{' | '$' | '%' => {
                let before = line.get(..at).and_then(|t| t.chars().next_back());
                before.is_none_or(|b| !b.is_alphanumeric() && b != '{' && b != '\\' && b != '/')
            }
            _ => false,
        };
        begins && line.get(at..).and_then(hole_end).is_some()
    })
}

/// Where a hole that begins the text ends.
fn hole_end(text: &str) -> Option<usize> {
    let shapes = [
        ("{{", "}}"),
        ("${", "}"),
        ("{", "}"),
        ("<%=", "%>"),
        ("%(", ")s"),
    ];
    let named = shapes.iter().find_map(|(open, close)| {
        let inside = text.strip_prefix(open)?;
        let length = inside.find(close)?;
        let name = inside.get(..length)?.trim();
        let fits = !name.is_empty()
            && name.len() <= NAME_BYTES_MAX
            && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        fits.then_some(open.len() + length + close.len())
    });
    named.or_else(|| {
        let rest = text
            .strip_prefix("%s")
            .or_else(|| text.strip_prefix("%d"))?;
        rest.chars()
            .next()
            .is_none_or(|c| !c.is_alphanumeric())
            .then_some(2)
    })
}

/// The text without fenced blocks and without what stands in backticks.
fn without_code(text: &str) -> String {
    let mut prose = String::with_capacity(text.len());
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            for (n, piece) in line.split('`').enumerate() {
                prose.push_str(if n % 2 == 0 { piece } else { " " });
            }
            prose.push('\n');
        }
    }
    prose
}

/// Is there a place for retrieved texts, with nothing in it?
pub(super) fn empty_context(text: &str) -> bool {
    let text = text
        .get(..text.floor_char_boundary(TEXT_BYTES_MAX))
        .unwrap_or("");
    (text.contains('<') && tagged_nothing(text)) || headed_nothing(text)
}

/// `<context> </context>`
fn tagged_nothing(text: &str) -> bool {
    let tags = [
        "context",
        "documents",
        "document",
        "sources",
        "search_results",
        "retrieved_context",
    ];
    tags.iter().any(|tag| {
        let Some((_, rest)) = text.split_once(&format!("<{tag}>")) else {
            return text.contains(&format!("<{tag}/>"));
        };
        let inside = rest.split_once(&format!("</{tag}>"));
        inside.is_some_and(|(inside, _)| is_nothing(inside))
    })
}

/// `Context:` and then the next heading, or the end, or a word for nothing.
fn headed_nothing(text: &str) -> bool {
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if heads_nothing(line, lines.clone()) {
            return true;
        }
    }
    false
}

fn heads_nothing<'t>(line: &'t str, below: impl Iterator<Item = &'t str>) -> bool {
    // A heading and its decoration are short; a paragraph is no heading.
    let head = line.trim_start();
    let colon = memchr::memchr(
        b':',
        head.as_bytes()
            .get(..HEADING_BYTES_MAX)
            .unwrap_or(head.as_bytes()),
    );
    if colon.is_none() && !head.starts_with('#') {
        return false;
    }
    let bare = line.trim().trim_matches(['#', '*', '=', '-', ' ']);
    let (label, value) = match bare.split_once(':') {
        Some((label, value)) => (
            label.trim_matches(['*', ' ']),
            value.trim_matches(['*', ' ']),
        ),
        None if head.starts_with('#') => (bare, ""),
        None => return false,
    };
    if !CONTEXTS.contains(&label.to_lowercase().as_str()) {
        return false;
    }
    if !value.is_empty() {
        return is_nothing(value);
    }
    let mut said = below.map(str::trim).filter(|l| !l.is_empty());
    match said.next() {
        None => true,
        Some(next) => is_nothing(next) && !next.is_empty() || is_heading(next),
    }
}

/// `Question: ...`, `## Task`, `---`: something else begins.
fn is_heading(line: &str) -> bool {
    const NEXT: &[&str] = &[
        "question",
        "user question",
        "query",
        "user query",
        "task",
        "instructions",
        "answer",
        "user",
        "request",
        "frage",
        "pregunta",
        "helpful answer",
        "now answer",
        "domanda",
        "input",
    ];
    let label = line
        .trim_matches(['#', '*', ' '])
        .split(':')
        .next()
        .unwrap_or("");
    let known = NEXT.contains(&label.trim().to_lowercase().as_str());
    known && (line.contains(':') || line.starts_with('#'))
        || line.bytes().all(|b| b"-=".contains(&b))
}

fn is_nothing(text: &str) -> bool {
    let plain = text.trim().trim_end_matches('.').to_lowercase();
    NOTHING.contains(&plain.as_str())
}

/// Does the text end in, or have, a unit that comes again and again?
pub(super) fn repeats(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() < LOOP_BYTES_MIN {
        return false;
    }
    let ends = (LOOP_BYTES_MIN..bytes.len()).step_by(LOOP_STEP_BYTES);
    ends.chain([bytes.len()])
        .any(|end| bytes.get(..end).is_some_and(ends_in_loop))
}

fn ends_in_loop(bytes: &[u8]) -> bool {
    let tail = bytes.len();
    let last = bytes.last();
    (1..=LOOP_UNIT_BYTES_MAX.min(tail / 2)).any(|unit| {
        // Nearly every unit ends here.
        if bytes.get(tail.wrapping_sub(unit + 1)) != last {
            return false;
        }
        let needed = LOOP_BYTES_MIN.max(unit * LOOP_TIMES_MIN);
        let Some(from) = tail.checked_sub(needed) else {
            return false;
        };
        let (Some(now), Some(before)) = (bytes.get(from + unit..), bytes.get(from..tail - unit))
        else {
            return false;
        };
        // Rules, tables and rows of numbers repeat by their nature; E2 begins signs and lines.
        let said = || {
            now.iter()
                .take(unit)
                .any(|b| b.is_ascii_alphabetic() || matches!(b, 0xC3..=0xE1 | 0xE3..=0xF4))
        };
        now == before && said()
    })
}

/// Is the text code, or does it have some?
pub(super) fn has_code(text: &str) -> bool {
    static QUIET_CODE: LazyLock<Words> = LazyLock::new(|| Words::new(["SELECT ", "Traceback"]));
    static FENCE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("```"));
    if FENCE.find(text.as_bytes()).is_some() {
        return true;
    }
    // Code has these; most prose has none.
    if memchr::memchr3(b'(', b'{', b';', text.as_bytes()).is_none()
        && memchr::memchr3(b'=', b'<', b'$', text.as_bytes()).is_none()
        && !QUIET_CODE.are_in(text)
    {
        return false;
    }
    let text = text
        .get(..text.floor_char_boundary(TEXT_BYTES_MAX))
        .unwrap_or("");
    let score: u32 = text.lines().map(code_line).sum();
    score >= 2
}

/// Marks of code in a line. A link of Markdown and an aside in brackets are prose.
const SURE: &[&str] = &[
    "();",
    "=> {",
    ") {",
    "#include <",
    "def __",
    "console.log(",
    "System.out",
    "fn main",
    "print(",
    "});",
    "</div>",
    "</p>",
    "</html>",
    "&&",
    "||",
    "!= ",
    " == ",
    "Traceback (most",
    "SELECT * ",
    "std::",
    "self.",
    "this.",
    "i++",
    "\", line ",
    "):",
    "import numpy",
    "lambda ",
    " := ",
    "println!",
];

/// How much a line looks like code: 2 surely, 1 perhaps.
fn code_line(line: &str) -> u32 {
    const BEGINS: &[&str] = &[
        "def ",
        "class ",
        "import ",
        "from ",
        "function ",
        "const ",
        "let ",
        "var ",
        "public ",
        "private ",
        "return ",
        "#include",
        "fn ",
        "func ",
        "package ",
        "async ",
        "export ",
        "if (",
        "for (",
        "while (",
        "} else",
        "elif ",
        "try:",
        "except ",
        "SELECT ",
        "INSERT INTO ",
        "UPDATE ",
        "CREATE TABLE ",
        "#!/",
        "@",
        "<?php",
        "</",
        "struct ",
        "impl ",
        "use ",
        "$ ",
        "Traceback (most recent",
        "File \"",
        "at ",
        "echo ",
        "curl ",
        "docker ",
        "pip ",
        "npm ",
        "for ",
        "if ",
        "<div",
        "<html",
    ];
    let line = line.trim();
    // An item of a list may end like a statement.
    let item = line.starts_with("- ") && !line.contains(['(', '=', '{']);
    if line.is_empty() || item {
        return 0;
    }
    let ends = line.ends_with([';', '{', '}']) && line.len() > 1;
    let begins = BEGINS.iter().any(|word| line.starts_with(word));
    static SURE_MARKS: LazyLock<Words> = LazyLock::new(|| Words::new(SURE.iter().copied()));
    let sure = SURE_MARKS.are_in(line);
    let query = line.starts_with("SELECT ") && line.contains(" FROM ");
    let assigns = line.split_once(" = ").is_some_and(|(name, _)| {
        !name.contains(' ')
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_.[]\"'".contains(&b))
    });
    let shape = line.contains(['(', '{', ';', '<', '=', ':']);
    if query || (begins && sure) || (sure && ends) || (assigns && (begins || line.contains('('))) {
        2
    } else {
        u32::from(ends) + u32::from(sure) + u32::from(assigns) + u32::from(begins && shape && ends)
    }
}
