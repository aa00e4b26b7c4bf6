//! Statements: what a line of a program has, whatever its language: assignments, calls, operators,
//! imports.

use std::sync::LazyLock;

use super::{is_name_byte, is_prose};
use crate::words::Words;

/// What only code has.
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
/// What code has, and now and then a sentence.
const PERHAPS: &[&str] = &[
    " == ", " != ", " && ", " || ", "self.", "this.", " -> ", "::", "=> ", " += ", "++", "->",
    " <- ", "lambda ", "await ", "return ", "print(", "import ", "null;", "!(", "[0]", "$_",
];

/// Assignments, calls, operators and ends of statements.
pub(super) fn statement(line: &str) -> u32 {
    // Most lines have none of them: one search instead of one for each.
    static MARKS: LazyLock<Words> =
        LazyLock::new(|| Words::new(SURE.iter().chain(PERHAPS).copied()));
    const BINDS: &[&str] = &[
        "let ", "const ", "var ", "val ", "my ", "local ", "final ", "mut ",
    ];
    let prose = is_prose(line);
    let marked = MARKS.are_in(line);
    let sure = marked && SURE.iter().any(|mark| line.contains(mark));
    if line.starts_with("#!/") || (sure && !prose) {
        return 2;
    }
    let ends = line.ends_with([';', '{', '}']) && line.len() > 1;
    let calls = calls(line);
    let assigns =
        assigns(line) || BINDS.iter().any(|word| line.starts_with(word)) && line.contains(" = ");
    let marks = match marked {
        true => PERHAPS.iter().filter(|mark| line.contains(**mark)).count(),
        false => 0,
    };
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
    // Few lines begin like one: the rest is not looked at.
    const BEGINS: &[&str] = &[
        "from ", "import ", "use ", "using ", "package ", "require", "open ", "library(",
    ];
    if !BEGINS.iter().any(|word| line.starts_with(word)) {
        return 0;
    }
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
        name > 1 && (joined || ends && after != b's')
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
