//! Matchers in Alertmanager's syntax: `provider="openai"`, `service!="batch"`, `tenant=~"acme-.*"`.
//!
//! Regular expressions are anchored, as there. A label may have several values: a positive matcher
//! holds when all of them match, so that a silence for one provider never hides an incident that
//! also hits another; a negative one is its negation.

use std::fmt;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::labels::{Labels, known_name};

/// Bytes of one compiled expression.
const REGEX_BYTES_MAX: usize = 256 * 1024;
/// Letters of one matcher.
const TEXT_CHARS_MAX: usize = 1_000;

/// One condition on a label.
#[derive(Debug, Clone)]
pub struct Matcher {
    pub name: String,
    pub operator: Operator,
    pub value: String,
    regex: Option<Regex>,
}

/// How the value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Equal,
    NotEqual,
    Matches,
    NotMatches,
}

/// A matcher that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("matcher {text:?} {what}")]
pub struct MatcherError {
    pub text: String,
    pub what: String,
}

// === impl Matcher ===

impl Matcher {
    /// Reads `name<op>value`, the value in quotes or not.
    pub fn parse(text: &str) -> Result<Matcher, MatcherError> {
        let wrong = |what: &str| MatcherError {
            text: super::text::line(text, 200),
            what: what.to_owned(),
        };
        if text.chars().nth(TEXT_CHARS_MAX).is_some() {
            return Err(wrong("is too long"));
        }
        let form = "must look like provider=\"openai\" with =, !=, =~ or !~";
        let at = text.find(['=', '!']).ok_or_else(|| wrong(form))?;
        let (name, rest) = (text[..at].trim(), &text[at..]);
        let (operator, value) = [
            ("=~", Operator::Matches),
            ("!~", Operator::NotMatches),
            ("!=", Operator::NotEqual),
            ("=", Operator::Equal),
        ]
        .into_iter()
        .find_map(|(sign, operator)| Some((operator, rest.strip_prefix(sign)?.trim())))
        .ok_or_else(|| wrong(form))?;
        let name = if name == "alertname" { "kind" } else { name };
        known_name(name).map_err(|what| wrong(&what))?;
        let value = unquoted(value).ok_or_else(|| wrong("has a quote too few or too many"))?;
        Matcher::new(name, operator, &value).map_err(|what| wrong(&what))
    }

    fn new(name: &str, operator: Operator, value: &str) -> Result<Matcher, String> {
        let regex = match operator {
            Operator::Equal | Operator::NotEqual => None,
            Operator::Matches | Operator::NotMatches => Some(
                RegexBuilder::new(&format!("^(?:{value})$"))
                    .size_limit(REGEX_BYTES_MAX)
                    .build()
                    .map_err(|error| format!("is no regular expression: {error}"))?,
            ),
        };
        Ok(Matcher {
            name: name.to_owned(),
            operator,
            value: value.to_owned(),
            regex,
        })
    }

    /// `name="value"`, exactly.
    pub fn equal(name: &str, value: &str) -> Matcher {
        Matcher {
            name: name.to_owned(),
            operator: Operator::Equal,
            value: value.to_owned(),
            regex: None,
        }
    }

    /// Does it hold for these labels? A label that is absent has the empty value.
    pub fn holds(&self, labels: &Labels) -> bool {
        let values = labels.get(&self.name).map_or(&[][..], Vec::as_slice);
        let hit = |value: &str| match &self.regex {
            Some(regex) => regex.is_match(value),
            None => value == self.value,
        };
        let all = match values {
            [] => hit(""),
            values => values.iter().all(|v| hit(v)) || hit(&values.join(",")),
        };
        match self.operator {
            Operator::Equal | Operator::Matches => all,
            Operator::NotEqual | Operator::NotMatches => !all,
        }
    }
}

/// Reads all, or says which one is wrong; an empty list would match everything and is refused.
pub fn parse_all<'t>(
    texts: impl IntoIterator<Item = &'t str>,
) -> Result<Vec<Matcher>, MatcherError> {
    let matchers: Vec<Matcher> = texts
        .into_iter()
        .map(Matcher::parse)
        .collect::<Result<_, _>>()?;
    match matchers.is_empty() {
        false => Ok(matchers),
        true => Err(MatcherError {
            text: String::new(),
            what: "is missing: name at least one, or everything would be silent".to_owned(),
        }),
    }
}

fn unquoted(text: &str) -> Option<String> {
    let Some(inner) = text.strip_prefix('"') else {
        return (!text.contains('"')).then(|| text.to_owned());
    };
    let inner = inner.strip_suffix('"')?;
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return None,
            '\\' => match chars.next()? {
                'n' => out.push('\n'),
                c @ ('"' | '\\') => out.push(c),
                // An escape of a regular expression, such as \d or \.
                c => out.extend(['\\', c]),
            },
            c => out.push(c),
        }
    }
    Some(out)
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.operator {
            Operator::Equal => "=",
            Operator::NotEqual => "!=",
            Operator::Matches => "=~",
            Operator::NotMatches => "!~",
        };
        let value = self
            .value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        write!(f, "{}{sign}\"{value}\"", self.name)
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Matcher) -> bool {
        (&self.name, self.operator, &self.value) == (&other.name, other.operator, &other.value)
    }
}

impl Serialize for Matcher {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Matcher {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Matcher, D::Error> {
        let text = String::deserialize(from)?;
        Matcher::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Labels {
        let label = |name: &str, values: &[&str]| {
            let values = values.iter().map(|v| (*v).to_owned()).collect();
            (name.to_owned(), values)
        };
        Labels::from([
            label("provider", &["anthropic", "openai"]),
            label("service", &["chat"]),
        ])
    }

    #[test]
    fn the_four_operators_on_one_and_on_many_values() {
        for (text, holds) in [
            ("service=chat", true),
            ("service=\"chat\"", true),
            ("service != chat", false),
            ("service=~\"ch.*\"", true),
            ("service=~\"cha\"", false),
            ("service!~batch-.*", true),
            ("provider=openai", false),
            ("provider=~\"openai|anthropic\"", true),
            ("provider!=openai", true),
            ("tenant=\"\"", true),
            ("tenant=acme", false),
        ] {
            let matcher = Matcher::parse(text).unwrap();
            assert_eq!(matcher.holds(&labels()), holds, "{text}");
            let again = Matcher::parse(&matcher.to_string()).unwrap();
            assert_eq!(again, matcher, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_in_words() {
        for (text, want) in [
            ("provider", "must look like"),
            ("colour=red", "alerts have the labels"),
            ("service=~\"(\"", "regular expression"),
            ("service=\"a", "a quote too few"),
        ] {
            let error = Matcher::parse(text).unwrap_err().to_string();
            assert!(error.contains(want), "{text}: {error}");
        }
        assert!(parse_all([]).is_err());
    }
}
