//! Code: is a text source code, a query or a configuration, or does it have some?
//!
//! By the shape of its lines, not by its language: what they begin and end with, operators, calls,
//! indentation below a header. Stack traces, logs and JSON are what programs write, not what people
//! do, and are no code unless they are fenced.

mod config;
mod printed;
mod query;
mod statement;

use std::sync::LazyLock;

use foldhash::fast::RandomState;
use hashbrown::HashSet;
use memchr::memmem::Finder;

use self::{
    config::{config_points, markup},
    printed::{is_place, written_by_program},
    query::{PROGRAMS, command, query},
    statement::statement,
};
use super::{
    lines,
    survey::{BLOCK, Blocks},
};

/// Points at which a text has code: a line that can be nothing else has two.
const POINTS_MIN: u32 = 2;
/// Code is looked for up to here.
const CODE_BYTES_MAX: usize = 16 << 10;
/// Bytes of prose to one sign of code.
const SIGNS_SPARSE: usize = 24;
/// A line without any sign of code that may be some.
const SHORT_BYTES_MAX: usize = 100;
/// Words of a line after which it is prose, unless its end says otherwise.
const PROSE_WORDS_MIN: usize = 9;

/// Is the text code, or does it have some?
pub(in crate::enrich) fn has_code(text: &str) -> bool {
    static FENCE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("```"));
    if FENCE.find(text.as_bytes()).is_some() {
        return true;
    }
    let text = text
        .get(..text.floor_char_boundary(CODE_BYTES_MAX))
        .unwrap_or("");
    let blocks = Blocks::<{ CODE_BYTES_MAX / BLOCK + 1 }>::of(text);
    let mut points = 0;
    let mut lines = lines(text);
    let mut seen = Seen::default();
    while let Some((at, line)) = lines.next() {
        let marked = blocks.may_have_marks(at..at + line.len());
        if is_plain(line, marked) {
            seen.keys = 0;
            continue;
        }
        let below = lines.clone().next().map_or("", |(_, line)| line);
        if line.trim_start().starts_with("File \"") {
            // The line of source that a frame of a stack trace shows.
            lines.next();
            continue;
        }
        let found = line_points(line, below, &mut seen);
        if found == 0 || written_by_program(line) || is_place(below) {
            continue;
        }
        points += found;
        if points >= POINTS_MIN {
            return true;
        }
    }
    false
}

/// A line of words and the marks of sentences: most lines there are, so that this has to be quick.
/// `marked`: may it have other marks?
fn is_plain(line: &str, marked: bool) -> bool {
    let words = line.trim_start();
    let small = match words.as_bytes() {
        // `SELECT`, `FROM`, `RUN`: two capitals at the beginning.
        [b'.', ..] | [b'A'..=b'Z', b'A'..=b'Z', ..] => return false,
        [first, ..] => first.is_ascii_lowercase(),
        [] => false,
    };
    // A short line in small letters may be a command, an import or a key; by its first word.
    let short = small && line.len() <= SHORT_BYTES_MAX;
    if !marked {
        return !(short && begins_code(words));
    }
    let (mut kinds, mut signs) = (0u8, 0u32);
    for byte in line.bytes() {
        let kind = KINDS[byte as usize];
        kinds |= kind;
        signs += u32::from(kind & SIGN);
    }
    if signs > 0 {
        // A few signs in many words, and an end as of a sentence.
        let sparse = signs as usize * SIGNS_SPARSE < line.len();
        return sparse && line.trim_end().ends_with(['.', '?', '!', ',']) && !small;
    }
    let touching = kinds & BRACKET != 0 && {
        let bytes = line.as_bytes();
        memchr::memchr_iter(b'(', bytes)
            .any(|at| at > 0 && bytes.get(at - 1).is_some_and(|b| is_name_byte(*b)))
    };
    let key = kinds & COLON != 0 && line.trim_end().ends_with(':') && short;
    let short = short && (kinds & (COLON | OPTION | BRACKET) != 0 || begins_code(words));
    !(touching || short || key)
}

const SIGN: u8 = 1;
const COLON: u8 = 2;
const BRACKET: u8 = 4;
const OPTION: u8 = 8;
const KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut n = 0;
    let signs = b"={};<>$#|[]_\\@&*+`^~\"";
    while n < signs.len() {
        kinds[signs[n] as usize] = SIGN;
        n += 1;
    }
    kinds[b':' as usize] = COLON;
    kinds[b'(' as usize] = BRACKET;
    kinds[b'-' as usize] = OPTION;
    kinds[b'/' as usize] = OPTION;
    kinds
};

/// Is the first word one that code without any sign begins with?
fn begins_code(line: &str) -> bool {
    const OPENINGS: &[&str] = &[
        "await", "begin", "break", "class", "continue", "defer", "do", "done", "else", "end",
        "esac", "except", "fi", "finally", "from", "go", "import", "let", "local", "loop", "my",
        "open", "package", "pass", "raise", "require", "return", "select", "then", "throw", "try",
        "use", "using", "val", "var", "yield",
    ];
    static WORDS: LazyLock<HashSet<&str, RandomState>> =
        LazyLock::new(|| OPENINGS.iter().chain(PROGRAMS).copied().collect());
    let end = memchr::memchr(b' ', line.as_bytes()).unwrap_or(line.len());
    line.get(..end).is_some_and(|first| WORDS.contains(first))
}

/// What earlier lines had that a later one completes.
#[derive(Default)]
struct Seen {
    select: bool,
    /// Lines `key: value` in a row, and whether one of them had others below it.
    keys: u32,
    nested: bool,
}

/// How much a line looks like code: 2 surely, 1 perhaps.
fn line_points(line: &str, below: &str, seen: &mut Seen) -> u32 {
    let indent = line.len() - line.trim_start().len();
    let line = line.trim();
    if line.is_empty() {
        return 0;
    }
    let config = config_points(line, indent, below, seen);
    // Data, and an item of a list that ends like a statement.
    let data = line.contains("\":") || line.starts_with('"');
    let item = line.starts_with(['-', '*', '•']) && !line.contains(['(', '=', '{']);
    if data || item {
        return config;
    }
    let points = header(line, indent, below)
        .max(statement(line))
        .max(query(line, seen))
        .max(command(line))
        .max(markup(line));
    config.max(points)
}

/// What begins a block: `def f(x):`, `fn main() {`, `class A {`, with what stands below it.
fn header(line: &str, indent: usize, below: &str) -> u32 {
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    let deeper = !below.trim().is_empty() && below.len() - below.trim_start().len() > indent;
    let ends_block = line.ends_with([':', '{', '(', '[']);
    let called = rest.split(['(', '<', '{', ':', ' ']).next().unwrap_or("");
    let named = !called.is_empty() && called.bytes().all(is_name_byte);
    match first {
        "def" | "fn" | "func" | "function" | "fun" | "sub" | "async" | "defp" | "proc"
            if rest.contains('(') && (ends_block || rest.ends_with(')') || rest.contains('{')) =>
        {
            2
        }
        "class" | "interface" | "struct" | "enum" | "impl" | "trait" | "namespace" | "module"
        | "object" | "data" | "record" | "union" | "protocol" | "extension"
            if named && line.ends_with(['{', '(', ')']) =>
        {
            2
        }
        "class" if named && line.ends_with(':') && deeper => 2,
        "public" | "private" | "protected" | "static" | "internal" | "export" | "abstract"
        | "override" | "pub" | "final"
            if line.contains(['(', '{', '=']) && line.ends_with([')', '{', ';', '}']) =>
        {
            2
        }
        "for" | "while" | "if" | "elif" | "with" | "unless" | "except" | "switch" | "match"
            if line.ends_with(':') && deeper && is_body(below) =>
        {
            2
        }
        "for" | "while" | "if" | "elif" | "else" | "}" | "switch" | "try" | "loop" | "do"
        | "catch"
            if line.ends_with('{') =>
        {
            2
        }
        "for" | "while" | "if" | "elif" if ends_with_any(line, &["; do", "; then"]) => 2,
        _ if matches!(line, "try:" | "else:" | "finally:") && deeper && is_body(below) => 2,
        _ if matches!(
            line,
            "end" | "done" | "fi" | "esac" | "begin" | "end;" | "}"
        ) =>
        {
            1
        }
        _ => 0,
    }
}

/// Could the line stand below `if x:`, and not below `for example:`?
fn is_body(line: &str) -> bool {
    let line = line.trim();
    let words = [
        "return", "break", "continue", "pass", "raise", "yield", "print", "del",
    ];
    words.contains(&line.split(' ').next().unwrap_or("")) || line.contains(['(', '=', '_', '['])
}

/// Many words, and an end as of a sentence.
fn is_prose(line: &str) -> bool {
    let words = line.split([' ', '\t']).filter(|w| !w.is_empty());
    let plain = words.filter(|w| {
        let w = w.trim_end_matches(['.', ',', ';', ':', '?', '!']);
        w.bytes()
            .all(|b| b.is_ascii_alphabetic() || b == b'\'' || b >= 0x80)
    });
    let plain = plain.count();
    plain >= PROSE_WORDS_MIN || plain >= 4 && line.ends_with(['.', '?', '!'])
}

fn is_name_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

fn ends_with_any(line: &str, ends: &[&str]) -> bool {
    ends.iter().any(|end| line.ends_with(end))
}
