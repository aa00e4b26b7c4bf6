//! YAML as a tree that remembers where everything stands.
//!
//! Plain data: maps, lists and texts with line and column. What a text means is decided by the key
//! it belongs to, so that `no` is not a boolean where a country is asked for. `${env:NAME}` and
//! `${env:NAME:-default}` are replaced inside texts, `$$` is a dollar.

use granit_parser::{Event, Parser, Span};

use super::report::{At, Problem};

/// Maps inside maps that are followed.
const DEPTH_MAX: usize = 32;

/// One value of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub at: At,
    pub value: Value,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Name, Node)>),
}

/// A key of a map.
#[derive(Debug, Clone, PartialEq)]
pub struct Name {
    pub at: At,
    pub text: String,
}

/// Looks environment variables up; tests pass their own.
pub type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// Parses a document. An empty one is an empty map.
pub fn parse(text: &str, environment: Environment<'_>, problems: &mut Vec<Problem>) -> Node {
    let mut reader = Reader {
        events: Parser::new_from_str(text),
        environment,
        problems,
    };
    let empty = Node {
        at: At { line: 1, column: 1 },
        value: Value::Map(Vec::new()),
    };
    let root = reader.first();
    if root.is_some() {
        reader.nothing_more();
    }
    match root {
        Some(Node {
            value: Value::Null, ..
        })
        | None => empty,
        Some(node) => node,
    }
}

struct Reader<'t, 'e, I> {
    events: I,
    environment: Environment<'e>,
    problems: &'t mut Vec<Problem>,
}

fn at(span: &Span) -> At {
    At {
        line: span.start.line(),
        column: span.start.col() + 1,
    }
}

impl<'i, I> Reader<'_, '_, I>
where
    I: Iterator<Item = Result<(Event<'i>, Span), granit_parser::ScanError>>,
{
    /// The root of the first document.
    fn first(&mut self) -> Option<Node> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(..) => {}
                Event::StreamEnd | Event::DocumentEnd => return None,
                event => return self.node(event, &span, 0),
            }
        }
    }

    /// A second document would be passed over in silence.
    fn nothing_more(&mut self) {
        while let Some((event, span)) = self.next() {
            if let Event::DocumentStart(..) = event {
                let text = "a second document begins here: write everything in one";
                self.problems
                    .push(Problem::new(at(&span), "", text.to_owned()));
                return;
            }
        }
    }

    /// The next event that is data; a syntax error ends the file.
    fn next(&mut self) -> Option<(Event<'i>, Span)> {
        loop {
            match self.events.next()? {
                Ok((Event::Comment(..) | Event::Anchor(..), _)) => {}
                Ok(event) => return Some(event),
                Err(error) => {
                    let at = At {
                        line: error.marker().line(),
                        column: error.marker().col() + 1,
                    };
                    self.problems
                        .push(Problem::new(at, "", format!("not YAML: {}", error.info())));
                    return None;
                }
            }
        }
    }

    fn node(&mut self, event: Event<'i>, span: &Span, depth: usize) -> Option<Node> {
        let at = at(span);
        if depth > DEPTH_MAX {
            self.problems.push(Problem::new(
                at,
                "",
                format!("nested deeper than {DEPTH_MAX} levels"),
            ));
            return None;
        }
        let value = match event {
            Event::Scalar(text, style, ..) => {
                let plain = matches!(style, granit_parser::ScalarStyle::Plain);
                if plain && matches!(&*text, "" | "~" | "null") {
                    Value::Null
                } else {
                    Value::Text(self.expand(&text, at))
                }
            }
            Event::SequenceStart(..) => Value::List(self.list(depth)?),
            Event::MappingStart(..) => Value::Map(self.map(depth)?),
            _ => {
                self.problems.push(Problem::new(
                    at,
                    "",
                    "aliases are not supported: write the value out",
                ));
                Value::Null
            }
        };
        Some(Node { at, value })
    }

    fn list(&mut self, depth: usize) -> Option<Vec<Node>> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Some(items);
            }
            items.push(self.node(event, &span, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Option<Vec<(Name, Node)>> {
        let mut entries: Vec<(Name, Node)> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let text = match event {
                Event::MappingEnd => return Some(entries),
                Event::Scalar(text, ..) => text.into_owned(),
                _ => {
                    self.problems
                        .push(Problem::new(at(&span), "", "a key must be a plain text"));
                    return None;
                }
            };
            let name = Name {
                at: at(&span),
                text,
            };
            if let Some((first, _)) = entries.iter().find(|(other, _)| other.text == name.text) {
                let line = first.at.line;
                let text = format!("is given twice, first in line {line}: keep one");
                self.problems.push(Problem::new(name.at, &name.text, text));
            }
            let (event, span) = self.next()?;
            let node = self.node(event, &span, depth + 1)?;
            entries.push((name, node));
        }
    }

    /// Replaces `${env:...}`.
    fn expand(&mut self, text: &str, at: At) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(dollar) = rest.find('$') {
            out.push_str(&rest[..dollar]);
            rest = &rest[dollar..];
            if let Some(after) = rest.strip_prefix("$$") {
                out.push('$');
                rest = after;
                continue;
            }
            let variable = rest
                .strip_prefix("${")
                .and_then(|inner| inner.split_once('}'));
            let Some((inside, after)) = variable else {
                out.push('$');
                rest = &rest[1..];
                continue;
            };
            out.push_str(&self.variable(inside, at));
            rest = after;
        }
        out.push_str(rest);
        out
    }

    fn variable(&mut self, inside: &str, at: At) -> String {
        let Some(name) = inside.strip_prefix("env:") else {
            let text = format!(
                "`${{{inside}}}` is not known: write `${{env:NAME}}`, or `$$` for a dollar"
            );
            self.problems.push(Problem::new(at, "", text));
            return String::new();
        };
        let (name, default) = match name.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (name, None),
        };
        // As in a shell, `:-` also replaces an empty value.
        match (
            (self.environment)(name).filter(|v| !v.is_empty() || default.is_none()),
            default,
        ) {
            (Some(value), _) => value,
            (None, Some(default)) => default.to_owned(),
            (None, None) => {
                let text = format!(
                    "environment variable {name} is not set: set it, or write `${{env:{name}:-default}}`"
                );
                self.problems.push(Problem::new(at, "", text));
                String::new()
            }
        }
    }
}
