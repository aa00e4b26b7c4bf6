//! Match clauses: which model names a price row means.
//!
//! Words joined by blanks, any of which may hold: `=equals ^starts $ends *contains ~regex`, with
//! `&` between parts that must all hold and `!` for "not". Names are compared in lower case.

use regex::Regex;

/// One part of a clause.
#[derive(Debug)]
pub(super) enum Test {
    Equals(String),
    Starts(String),
    Ends(String),
    Contains(String),
    Matches(Regex),
    Not(Box<Test>),
}

// === impl Test ===

impl Test {
    pub(super) fn holds(&self, name: &str) -> bool {
        match self {
            Test::Equals(t) => name == t,
            Test::Starts(t) => name.starts_with(t.as_str()),
            Test::Ends(t) => name.ends_with(t.as_str()),
            Test::Contains(t) => name.contains(t.as_str()),
            Test::Matches(r) => r.is_match(name),
            Test::Not(t) => !t.holds(name),
        }
    }

    fn parse(text: &str) -> Result<Test, String> {
        let rest = text.get(1..).unwrap_or("");
        let lower = rest.to_lowercase();
        Ok(match text.chars().next() {
            Some('=') => Test::Equals(lower),
            Some('^') => Test::Starts(lower),
            Some('$') => Test::Ends(lower),
            Some('*') => Test::Contains(lower),
            Some('~') => {
                // Names are ASCII in lower case: without Unicode's tables a pattern is small.
                let mut pattern = regex::RegexBuilder::new(rest);
                pattern.case_insensitive(true).unicode(false);
                Test::Matches(pattern.build().map_err(|e| e.to_string())?)
            }
            Some('!') => Test::Not(Box::new(Test::parse(rest)?)),
            _ => {
                return Err(format!(
                    "match clause {text:?} must begin with one of = ^ $ * ~ !"
                ));
            }
        })
    }
}

/// Reads the clauses of a row.
pub(super) fn clauses(text: &str) -> Result<Vec<Vec<Test>>, String> {
    text.split_whitespace()
        .map(|c| c.split('&').map(Test::parse).collect())
        .collect()
}
