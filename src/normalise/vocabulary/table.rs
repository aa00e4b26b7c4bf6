//! `rules/vocabulary.toml`, ready to look words up in.

use crate::call::{Finish, Operation};
use hashbrown::HashMap;
use serde::Deserialize;
use std::sync::LazyLock;

/// A longer word is none of ours.
pub(super) const WORD_BYTES_MAX: usize = 48;

pub(super) struct Table {
    pub finish: HashMap<Vec<u8>, Finish>,
    pub operation: HashMap<Vec<u8>, Operation>,
    pub provider: Vec<Starts>,
    pub not_provider: Vec<String>,
    pub model: Vec<Starts>,
    pub host: Vec<Host>,
}

/// Names that begin so belong to a provider.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Starts {
    id: String,
    starts: Vec<String>,
}

/// Hosts whose name has this part belong to a provider.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Host {
    pub id: String,
    pub part: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    finish: std::collections::HashMap<String, Vec<String>>,
    operation: std::collections::HashMap<String, Vec<String>>,
    provider: Vec<Starts>,
    not_provider: Vec<String>,
    model: Vec<Starts>,
    host: Vec<Host>,
}

pub(super) static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let text = include_str!("../../../rules/vocabulary.toml");
    // The compiled-in table is read by every test of this module.
    Table::parse(text).unwrap_or_else(|e| panic!("rules/vocabulary.toml: {e}"))
});

/// The id of the first row one of whose starts a name has, without regard to case.
pub(super) fn start_of<'t>(rows: &'t [Starts], name: &str) -> Option<&'t str> {
    let begins = |start: &String| {
        let head = name.as_bytes().get(..start.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(start.as_bytes()))
    };
    let row = rows.iter().find(|row| row.starts.iter().any(begins));
    row.map(|row| row.id.as_str())
}

// === impl Table ===

impl Table {
    fn parse(text: &str) -> Result<Table, String> {
        let file: File = toml::from_str(text).map_err(|e| e.to_string())?;
        Ok(Table {
            finish: words(file.finish, finish)?,
            operation: words(file.operation, operation)?,
            provider: file.provider,
            not_provider: file.not_provider,
            model: file.model,
            host: file.host,
        })
    }
}

/// Every word with what its key means; a word in two places is a mistake.
fn words<T: Copy>(
    table: std::collections::HashMap<String, Vec<String>>,
    meaning: fn(&str) -> Option<T>,
) -> Result<HashMap<Vec<u8>, T>, String> {
    let mut all = HashMap::new();
    for (key, words) in table {
        let meant = meaning(&key).ok_or_else(|| format!("unknown key {key:?}"))?;
        for word in words {
            if word.len() > WORD_BYTES_MAX || all.insert(word.as_bytes().to_vec(), meant).is_some()
            {
                return Err(format!("{word:?} is too long or there twice"));
            }
        }
    }
    Ok(all)
}

fn finish(key: &str) -> Option<Finish> {
    Some(match key {
        "stop" => Finish::Stop,
        "length" => Finish::Length,
        "tool_calls" => Finish::ToolCalls,
        "content_filter" => Finish::ContentFilter,
        "refusal" => Finish::Refusal,
        "error" => Finish::Error,
        "interrupted" => Finish::Interrupted,
        "cancelled" => Finish::Cancelled,
        _ => return None,
    })
}

fn operation(key: &str) -> Option<Operation> {
    Some(match key {
        "chat" => Operation::Chat,
        "text_completion" => Operation::TextCompletion,
        "generate_content" => Operation::GenerateContent,
        "embeddings" => Operation::Embeddings,
        "rerank" => Operation::Rerank,
        "image" => Operation::Image,
        "audio" => Operation::Audio,
        _ => return None,
    })
}
