//! Placeholders: did a template reach the model with its holes, or with what programs print for
//! nothing in them?
//!
//! Shapes of all common template languages, told apart by what a hole is named. What stands in
//! code, and what a text says about templates or code, is passed over.

pub(super) mod words;

use self::words::{
    ABOUT_FORMS, ABOUT_TEMPLATES, BRACKETED, FIELDS, GREETINGS, MARKS, MISSING, SPOKEN_OF,
};
use super::{beginning, survey::Signs};

/// A name in a placeholder.
const NAME_BYTES_MAX: usize = 40;
/// What a label in front of a value has at most: `Customer name: undefined`.
const LABEL_BYTES_MAX: usize = 40;

/// Did a template reach the model with its holes?
pub(in crate::enrich) fn unfilled(text: &str, signs: Signs) -> bool {
    let text = beginning(text);
    let whole = text.trim();
    if MISSING.contains(&whole) || hole_end(whole) == Some(whole.len()) {
        return true;
    }
    // Holes are rare: without the beginning of one nothing else is looked at.
    if !signs.missing && !has_beginning(text.as_bytes()) {
        return false;
    }
    let prose = without_code(text);
    if prose.lines().any(|line| slot(line) || alone(line)) {
        return true;
    }
    let hole = prose.lines().any(|line| holes(line) || missing_word(line));
    let named = || named_holes(&prose);
    if !hole && !named() {
        return false;
    }
    let lower = prose.to_lowercase();
    let about = |words: &[&str]| words.iter().any(|word| speaks_of(&lower, word));
    !about(ABOUT_TEMPLATES) && (hole || !about(ABOUT_FORMS))
}

/// Is there a sign with which a hole begins, and behind it what a hole has?
fn has_beginning(text: &[u8]) -> bool {
    let next = |at: usize| text.get(at + 1).copied().unwrap_or(b' ');
    let in_braces = memchr::memchr2_iter(b'{', b'%', text).any(|at| match text.get(at) {
        Some(b'{') => !matches!(next(at), b'"' | b'\'' | b'\n' | b'}' | b'\\'),
        _ => matches!(next(at), b's' | b'd' | b'('),
    });
    in_braces
        || memchr::memchr2_iter(b'[', b'<', text).any(|at| {
            let name = text.get(at + 1..).unwrap_or_default();
            let name = name
                .get(..name.len().min(NAME_BYTES_MAX))
                .unwrap_or_default();
            let end = memchr::memchr2(b']', b'>', name).unwrap_or(0);
            let name = name.get(..end).unwrap_or_default();
            let named = |b: &u8| b.is_ascii_uppercase() || b" _".contains(b);
            name.len() > 1 && name.iter().any(named)
        })
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
    let greeted = GREETINGS.iter().find(|greeting| {
        let head = line.as_bytes().get(..greeting.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(greeting.as_bytes()))
    });
    if let Some(name) = greeted.and_then(|greeting| line.get(greeting.len()..)) {
        return missing(name.split([',', '!', '.']).next().unwrap_or(name));
    }
    line.split_once(':').is_some_and(|(label, value)| {
        let words = label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b" _-/()'".contains(&b));
        let is_label = !label.is_empty() && label.len() <= LABEL_BYTES_MAX && words;
        let titled = label.starts_with(|c: char| c.is_uppercase()) || FIELDS.contains(&label);
        is_label && titled && missing(value)
    })
}

/// Is it there as words of their own? `transcript` is no script.
fn speaks_of(text: &str, words: &str) -> bool {
    memchr::memmem::find_iter(text.as_bytes(), words).any(|at| {
        let before = text.get(..at).and_then(|t| t.chars().next_back());
        let after = text.get(at + words.len()..).and_then(|t| t.chars().next());
        let inside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        !inside(before) && !inside(after)
    })
}

/// A line that is nothing but `{context}` or `[object Object]`, or some of them.
fn alone(line: &str) -> bool {
    let line = line.trim();
    let braces = line.starts_with('{') || line.starts_with("${");
    let object = line.starts_with("[object Object]");
    (braces
        && line.contains(|c: char| c.is_ascii_lowercase())
        && hole_end(line) == Some(line.len()))
        || (object
            && line
                .replace("[object Object]", "")
                .chars()
                .all(|c| c == ',' || c == ' '))
}

/// `{{name}}`, `{name}`, `${name}`, `{% if x %}`, `%s`, `[object Object]` among words.
fn holes(line: &str) -> bool {
    // Lines of code and data have these; prose with a hole does not.
    if line.contains([';', '\\']) || line.contains("=>") || line.contains("\":") {
        return false;
    }
    let statement = line.contains("{% ") && line.contains(" %}");
    if statement || line.contains("[object Object]") {
        return true;
    }
    if line.contains('=') {
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

/// `<COMPANY>`, `<first_name>`, `<<Name>>`, `[AGENT NAME]`, `[INSERT NAME HERE]`.
fn named_holes(prose: &str) -> bool {
    prose.lines().any(|line| {
        if line.contains([';', '=', '\\']) {
            return false;
        }
        let inside = |open: char, close: char| {
            line.split(open)
                .skip(1)
                .filter_map(move |rest| rest.split_once(close))
        };
        let in_angles = inside('<', '>').any(|(name, after)| {
            let doubled = after.starts_with('>') && line.contains(&format!("<<{name}>>"));
            is_plain(name)
                && (doubled || is_order(name) || is_variable(name))
                && !prose.contains(&format!("</{name}>"))
        });
        let in_brackets = inside('[', ']').any(|(name, after)| {
            let link = after.starts_with('(');
            let by_itself = line.trim().len() == name.len() + 2;
            let words = name.split(' ').count();
            let capitals = name.len() > 3
                && name
                    .bytes()
                    .all(|b| b.is_ascii_uppercase() || b == b' ' || b == b'_');
            let first = name.split([' ', '_']).next().unwrap_or("");
            let named = capitals && (words > 1 || name.contains('_') || BRACKETED.contains(&name));
            !link && (is_order(name) || named && !by_itself && !MARKS.contains(&first))
        });
        in_angles || in_brackets
    })
}

/// `INSERT NAME HERE`, `your company`, `enter text`
fn is_order(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let order = ["insert ", "insert_", "your ", "your_", "enter ", "add "];
    name.len() <= NAME_BYTES_MAX && order.iter().any(|word| lower.starts_with(word))
}

/// `FIRMENNAME`, `first_name`: as programs name what they fill in.
fn is_variable(name: &str) -> bool {
    let capitals = name
        .bytes()
        .all(|b| b.is_ascii_uppercase() || b == b'_' || b == b' ');
    let snake = name.contains('_') && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    name.len() >= 4 && (capitals || snake) && !MARKS.contains(&name)
}

fn is_plain(name: &str) -> bool {
    (2..=NAME_BYTES_MAX).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b" _-".contains(&b))
}

/// A missing value where prose has a word: `candidate null`, `in NaN`, `$undefined`.
fn missing_word(line: &str) -> bool {
    if !MISSING.iter().any(|word| line.contains(word)) {
        return false;
    }
    if line.contains(['=', ';', '{', '"', '`', '(']) {
        return false;
    }
    let mut before = "";
    let mut words = line.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let bare = word.trim_end_matches(['.', ',', '!', '?', ':']);
        let bare = bare.trim_start_matches(['$', '€', '£', '#', '@']);
        let after = words.peek().copied().unwrap_or("");
        let lower = before.to_lowercase();
        let field = FIELDS.contains(&lower.as_str());
        let glued = bare.len() < word.len() && word.starts_with(['$', '€', '£', '#', '@']);
        let spoken = SPOKEN_OF.contains(&lower.as_str())
            || ["and", "or", "values", "value", "of", "in"].contains(&after);
        let inside =
            before.starts_with(|c: char| c.is_lowercase()) && !before.ends_with([':', '.']);
        match bare {
            "undefined" | "null" | "nil" if glued || field => return true,
            "None" | "NaN" if field || glued || (inside && !spoken) => return true,
            _ => {}
        }
        before = word.trim_end_matches(',');
    }
    false
}

/// Where a hole that begins the text ends.
fn hole_end(text: &str) -> Option<usize> {
    let shapes = [
        ("{{{", "}}}"),
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
