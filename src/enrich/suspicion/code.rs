//! Code: is a text source code, a query or a configuration, or does it have some?
//!
//! By the shape of its lines, not by its language: what they begin and end with, operators, calls,
//! indentation below a header. Stack traces, logs and JSON are what programs write, not what people
//! do, and are no code unless they are fenced.

use super::beginning;

/// Points at which a text has code: a line that can be nothing else has two.
const POINTS_MIN: u32 = 2;
/// Words of a line after which it is prose, unless its end says otherwise.
const PROSE_WORDS_MIN: usize = 9;

/// Is the text code, or does it have some?
pub(in crate::enrich) fn has_code(text: &str) -> bool {
    if memchr::memmem::find(text.as_bytes(), b"```").is_some() {
        return true;
    }
    let text = beginning(text);
    // One line of words and no more: most questions.
    let signs = |b: &u8| b"(){};=<>$#|:[]-\n".contains(b);
    if !text.bytes().any(|b| signs(&b)) && !text.starts_with("SELECT ") {
        return false;
    }
    let mut points = 0;
    let mut lines = text.lines().peekable();
    let mut seen = Seen::default();
    while let Some(line) = lines.next() {
        if written_by_program(line) {
            // The frame's own line of source, or the place below the name of its function.
            if line.trim_start().starts_with("File \"") {
                lines.next();
            }
            continue;
        }
        let below = lines.peek().copied().unwrap_or("");
        if is_place(below) {
            continue;
        }
        points += line_points(line, below, &mut seen);
        if points >= POINTS_MIN {
            return true;
        }
    }
    false
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

/// Assignments, calls, operators and ends of statements.
fn statement(line: &str) -> u32 {
    const SURE: &[&str] = &[
        "=> {",
        "});",
        "();",
        "#include <",
        "#include \"",
        "<?php",
        "?>",
        "console.log(",
        "System.out",
        "std::",
        "println!",
        " := ",
        " === ",
        " !== ",
        "{ |",
        "%>%",
        "$this->",
        "@Override",
        "__init__",
        "let rec ",
        " |> ",
        ".then(",
        "printf(",
    ];
    const PERHAPS: &[&str] = &[
        " == ", " != ", " && ", " || ", "self.", "this.", " -> ", "::", "=> ", " += ", "++", "->",
        " <- ", "lambda ", "await ", "return ", "print(", "import ", "null;", "!(", "[0]", "$_",
    ];
    const BINDS: &[&str] = &[
        "let ", "const ", "var ", "val ", "my ", "local ", "final ", "mut ",
    ];
    let prose = is_prose(line);
    let sure = SURE.iter().any(|mark| line.contains(mark));
    if line.starts_with("#!/") || (sure && !prose) {
        return 2;
    }
    let ends = line.ends_with([';', '{', '}']) && line.len() > 1;
    let calls = calls(line);
    let assigns =
        assigns(line) || BINDS.iter().any(|word| line.starts_with(word)) && line.contains(" = ");
    let marks = PERHAPS.iter().filter(|mark| line.contains(**mark)).count();
    let imports = imports(line);
    if imports == 2 {
        return 2;
    }
    if prose && !ends {
        return 0;
    }
    let aside = line.contains(" (");
    let strong_end = ends && !aside && line.contains(['(', '=', '{', '.', '<', '"', '*']);
    // `let us see;` ends like a statement and is none.
    let words_alone = line.contains(' ')
        && line
            .bytes()
            .all(|b| b.is_ascii_alphabetic() || b" ;',-".contains(&b) || b >= 0x80);
    let points = u32::from(strong_end || (ends && !words_alone && line.len() < 40))
        + u32::from(calls)
        + u32::from(assigns)
        + u32::from(marks > 0)
        + u32::from(marks > 2)
        + imports;
    // A lone statement of arithmetic, such as `x = 3`, is mathematics as well.
    if points >= 2
        && !(ends || calls || marks > 0 || imports > 0 || line.contains(['"', '\'', '[']))
    {
        1
    } else {
        points.min(2)
    }
}

/// `import x from 'y'`, `from x import y`, `use a::b;`, `using X;`, `require("x")`, `library(x)`
fn imports(line: &str) -> u32 {
    let words = line.split_whitespace().count();
    let from_import = line.starts_with("from ") && line.contains(" import ") && words <= 12;
    let from_text = line.starts_with("import ")
        && (line.contains(" from '") || line.contains(" from \"") || line.contains('{'));
    let quoted = line.starts_with("import \"") || line.starts_with("import (");
    let used = ["use ", "using ", "package ", "import "]
        .iter()
        .any(|word| line.starts_with(word))
        && line.ends_with(';');
    if from_import || from_text || quoted || used || line.starts_with("require(") {
        return 2;
    }
    let alone = ["import ", "package ", "require ", "open "]
        .iter()
        .any(|word| line.starts_with(word))
        && (words == 2 || line.contains(" as ") && words == 4);
    u32::from(alone || line.starts_with("library("))
}

/// `name(…)` or `a.b(…)` where a program would write it: the bracket touches the name, and the
/// line goes on or ends as one of code.
fn calls(line: &str) -> bool {
    let bytes = line.as_bytes();
    memchr::memchr_iter(b'(', bytes).any(|at| {
        let before = bytes.get(..at).unwrap_or_default();
        let name = before
            .iter()
            .rev()
            .take_while(|b| is_name_byte(**b))
            .count();
        let dotted = before
            .get(..before.len() - name)
            .is_some_and(|b| b.ends_with(b"."));
        let after = bytes.get(at + 1).copied().unwrap_or(b' ');
        let joined = dotted
            || before
                .get(before.len() - name..)
                .is_some_and(|n| n.contains(&b'_'));
        let ends = line.ends_with([')', ';', '{', ',', '[', '(', ']', '}']);
        // `user(s)` and `f(x)` are not.
        name > 1 && (joined || ends) && after != b's' || name > 1 && joined
    })
}

/// `name = …`, `a.b[0] = …`: one name and then the sign.
fn assigns(line: &str) -> bool {
    let Some((name, value)) = line.split_once('=') else {
        return false;
    };
    let name = name
        .trim_end()
        .trim_end_matches(['+', '-', '*', ':', '|', '?']);
    let name = name.trim();
    // A type before the name: `int *p`, `std::vector<int> v`, `auto x`.
    let last = name.rsplit([' ', '*', '&']).next().unwrap_or(name);
    let plain = |n: &str| {
        !n.is_empty()
            && n.bytes()
                .all(|b| is_name_byte(b) || b".[]\"'$@<>:*&,".contains(&b))
    };
    plain(last)
        && name.split(' ').count() <= 3
        && name.split(' ').all(plain)
        && !value.trim().is_empty()
        && !value.starts_with('=')
}

/// SQL and its like: verbs in capitals with what belongs to them.
fn query(line: &str, seen: &mut Seen) -> u32 {
    let upper = line.trim_start_matches('(');
    if upper.starts_with("SELECT ") || upper == "SELECT" {
        seen.select = true;
        return if line.contains(" FROM ") { 2 } else { 1 };
    }
    let after_select = seen.select && line.starts_with("FROM ");
    let whole = [
        ("INSERT INTO ", ""),
        ("UPDATE ", " SET "),
        ("DELETE FROM ", ""),
        ("CREATE TABLE ", ""),
        ("CREATE INDEX ", ""),
        ("CREATE VIEW ", ""),
        ("CREATE OR REPLACE ", ""),
        ("ALTER TABLE ", ""),
        ("DROP TABLE ", ""),
        ("MATCH (", ")"),
        ("select * from ", ""),
        ("select count(", "from"),
        ("insert into ", "values"),
        ("WITH ", " AS ("),
    ];
    let told = whole
        .iter()
        .any(|(begin, then)| line.starts_with(begin) && line.contains(then));
    if after_select || told { 2 } else { 0 }
}

/// A line for a shell: a known program with an option, a path or a pipe.
fn command(line: &str) -> u32 {
    const PROGRAMS: &[&str] = &[
        "docker",
        "curl",
        "kubectl",
        "git",
        "npm",
        "npx",
        "yarn",
        "pnpm",
        "pip",
        "pip3",
        "apt",
        "apt-get",
        "brew",
        "sudo",
        "export",
        "echo",
        "cat",
        "grep",
        "sed",
        "awk",
        "ssh",
        "scp",
        "chmod",
        "chown",
        "mkdir",
        "rm",
        "cp",
        "mv",
        "ls",
        "tar",
        "gzip",
        "unzip",
        "systemctl",
        "helm",
        "terraform",
        "cargo",
        "go",
        "make",
        "python",
        "python3",
        "node",
        "wget",
        "psql",
        "mysql",
        "find",
        "xargs",
        "head",
        "tail",
        "set",
        "source",
        "conda",
        "uv",
        "openssl",
        "rsync",
        "journalctl",
        "aws",
        "gcloud",
        "az",
        "cd",
    ];
    let line = line
        .strip_prefix("$ ")
        .map_or(line, |rest| rest.trim_start());
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    if !PROGRAMS.contains(&first) || line.ends_with(['?', '.', ',']) {
        return 0;
    }
    let option = rest.split_whitespace().any(|word| {
        let name = word.trim_start_matches('-');
        let dashes = word.len() - name.len();
        (1..=2).contains(&dashes) && name.starts_with(|c: char| c.is_ascii_alphanumeric())
    });
    let path = rest.split_whitespace().any(|word| {
        word.contains('/')
            || word.contains("*.")
            || word.starts_with('$')
            || word.starts_with("\"$")
    });
    let piped = rest.contains(" | ") || rest.contains(" > ") || rest.contains(" && ");
    let short = rest.split_whitespace().count() <= 4;
    match (option || piped, path) {
        (true, _) if !is_prose(line) || piped => 2,
        (_, true) => 1,
        _ => u32::from(short && matches!(first, "git" | "npm" | "pip" | "docker" | "kubectl")),
    }
}

/// Tags of HTML and of components; tags that only structure a prompt are not among them.
fn markup(line: &str) -> u32 {
    const TAGS: &[&str] = &[
        "div", "span", "html", "body", "head", "script", "style", "template", "button", "ul", "ol",
        "li", "table", "tr", "td", "form", "input", "img", "svg", "nav", "section", "footer",
        "header", "link", "meta", "p", "a", "h1", "h2", "h3",
    ];
    let Some(rest) = line.strip_prefix('<') else {
        return 0;
    };
    let rest = rest.trim_start_matches('/');
    let name = rest.split([' ', '>', '/']).next().unwrap_or("");
    let component = name.starts_with(|c: char| c.is_uppercase()) && line.ends_with("/>");
    if line.starts_with("<!DOCTYPE") || line.starts_with("<?xml") {
        return 2;
    }
    if !TAGS.contains(&name) && !component {
        return 0;
    }
    let has_attribute = line.contains("=\"") || line.contains("={");
    1 + u32::from(has_attribute)
}

/// Lines of configurations: nested `key: value`, sections, directives in capitals, `key: value;`.
fn config_points(line: &str, indent: usize, below: &str, seen: &mut Seen) -> u32 {
    const DIRECTIVES: &[&str] = &[
        "FROM",
        "RUN",
        "COPY",
        "WORKDIR",
        "CMD",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "ARG",
        "VOLUME",
    ];
    if line.starts_with("apiVersion: ") {
        return 2;
    }
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    if DIRECTIVES.contains(&first) && !rest.is_empty() && rest.split(' ').count() <= 8 {
        return 1;
    }
    // `[section]` with `key = value` below it.
    if line.starts_with('[') && line.ends_with(']') && below.contains(" = ") {
        return 2;
    }
    // `metric{label="value"}`
    if line.contains("=\"") && line.contains("\"}") && !line.starts_with('<') {
        return 2;
    }
    // `resource "a" "b" {`
    if line.ends_with('{') && rest.starts_with('"') && first.bytes().all(is_name_byte) {
        return 2;
    }
    // `padding: 8px 12px;`
    if let Some((property, value)) = line.split_once(": ")
        && property.bytes().all(|b| is_name_byte(b) || b == b'-')
        && value.ends_with(';')
        && value.split(' ').count() <= 6
    {
        return 1;
    }
    let key = line.trim_start_matches("- ");
    let (key, value) = key.split_once(':').unwrap_or(("", ""));
    let is_key = !key.is_empty()
        && key.starts_with(|c: char| c.is_ascii_lowercase())
        && key.bytes().all(|b| is_name_byte(b) || b"-.".contains(&b))
        && (value.is_empty() || value.starts_with(' '));
    if !is_key {
        seen.keys = 0;
        seen.nested = false;
        return 0;
    }
    let deeper = below.len() - below.trim_start().len() > indent;
    seen.keys += 1;
    seen.nested |= value.is_empty() && deeper;
    if seen.keys >= 3 && seen.nested { 2 } else { 0 }
}

/// Frames of stack traces, and lines of logs.
fn written_by_program(line: &str) -> bool {
    const BEGINS: &[&str] = &[
        "at ",
        "File \"",
        "Traceback (",
        "Caused by:",
        "goroutine ",
        "Exception in thread",
        "panic:",
        "thread '",
        "stack backtrace",
        "... ",
        "[ERROR]",
        "[INFO]",
        "[WARN",
        "[DEBUG",
        "ERROR ",
        "INFO ",
        "WARN ",
        "DEBUG ",
    ];
    let line = line.trim_start().trim_start_matches('[');
    let digits = |from: usize, to: usize| {
        line.get(from..to)
            .is_some_and(|part| part.bytes().all(|b| b.is_ascii_digit()))
    };
    let dated =
        digits(0, 4) && line.get(4..5).is_some_and(|c| c == "-" || c == "/") && digits(5, 7);
    let timed = digits(0, 2) && line.get(2..3) == Some(":") && digits(3, 5);
    dated || timed || BEGINS.iter().any(|word| line.starts_with(word)) || is_error(line)
}

/// `ValueError: bad`, `com.shop.CartException: empty`
fn is_error(line: &str) -> bool {
    let name = line.split([':', ' ']).next().unwrap_or("");
    (name.ends_with("Error") || name.ends_with("Exception"))
        && name.len() > 9
        && !line.contains('{')
}

/// `	/tmp/x.go:8 +0x1d`: where the function of the line above was called.
fn is_place(line: &str) -> bool {
    let place = line.trim_start();
    let numbered = || {
        place
            .split(':')
            .nth(1)
            .is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()))
    };
    line.starts_with(['\t', ' ']) && place.starts_with('/') && numbered()
}

/// Many words, and an end as of a sentence.
fn is_prose(line: &str) -> bool {
    let words = line.split_whitespace();
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
