//! The keys of `content`, `redaction` and `dimensions`: what is kept of prompts and answers, what
//! never is, and by which attributes calls are told apart.

use regex::bytes::Regex;

use super::Reader;
use crate::redact::{self, Category, ContentPolicy, Keep};

impl Reader<'_> {
    pub(super) fn content(&mut self) -> ContentPolicy {
        let keep = match self.text("content.policy") {
            "truncated" => Keep::Truncated {
                bytes_max: self.bytes("content.truncate_at"),
            },
            "hash" => Keep::Hash,
            "none" => Keep::None,
            _ => Keep::Full,
        };
        let in_traces = self.text("content.in_traces") == "true";
        if in_traces && keep != Keep::Full {
            let policy = self.text("content.policy").to_owned();
            let text = format!(
                "asks for all content in the traces, but `content.policy` is `{policy}`: leave one of them out"
            );
            self.wrong("content.in_traces", text);
        }
        ContentPolicy { keep, in_traces }
    }

    pub(super) fn redaction(&mut self) -> redact::Options {
        let mut categories = Vec::new();
        for name in self.items("redaction.categories") {
            let known = Category::ALL.iter().find(|c| c.as_str() == name);
            match known {
                Some(category) => categories.push(*category),
                None => {
                    let all: Vec<_> = Category::ALL.iter().map(|c| c.as_str()).collect();
                    let text = format!("has {name:?}; there are {}", all.join(", "));
                    self.wrong("redaction.categories", text);
                }
            }
        }
        let mut patterns = Vec::new();
        for item in self.items("redaction.patterns") {
            let Some((name, pattern)) = item.split_once('=') else {
                continue;
            };
            match Regex::new(pattern) {
                Ok(regex) => patterns.push((name.to_owned(), regex)),
                Err(error) => {
                    let text = format!("`{name}` is no regular expression: {error}");
                    self.wrong("redaction.patterns", text);
                }
            }
        }
        if self.text("redaction.enabled") == "false" {
            return redact::Options {
                categories: Vec::new(),
                patterns: Vec::new(),
            };
        }
        redact::Options {
            categories,
            patterns,
        }
    }

    /// The attributes of the user's for each dimension that has a column.
    pub(super) fn dimensions(&mut self) -> Vec<(String, Vec<String>)> {
        let prefix = "dimensions.";
        let keys = super::keys::fixed().filter_map(|key| key.path.strip_prefix(prefix));
        let named = keys.filter(|name| *name != "custom");
        let lists = named.map(|name| (name.to_owned(), self.items(&format!("{prefix}{name}"))));
        lists.filter(|(_, names)| !names.is_empty()).collect()
    }

    /// The user's labels.
    pub(super) fn labels(&mut self) -> Vec<(String, String)> {
        let items = self.items("dimensions.custom");
        let pairs = items.iter().filter_map(|item| item.split_once('='));
        pairs
            .map(|(label, name)| (label.to_owned(), name.to_owned()))
            .collect()
    }
}
