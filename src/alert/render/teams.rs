//! Microsoft Teams by a workflow: an adaptive card.
//!
//! Limit: 28 KB, seen refused from 21 KB on. Text blocks are Markdown, so texts from outside are
//! escaped; a fact set shows them as they are.

use serde_json::{Value, json};

use super::{
    Told,
    story::{Story, story},
};
use crate::alert::{model::Event, text};

/// Alerts beside the first that are named.
const BRIEF_MAX: usize = 8;
/// Letters of one text that are tried, until the whole fits.
const TEXTS_CHARS: [usize; 3] = [1_200, 400, 150];
const BODY_BYTES_MAX: usize = 20_000;
const URL_CHARS_MAX: usize = 1_000;
const ERROR_CHARS_MAX: usize = 500;

pub(super) fn body(told: &[Told<'_>]) -> Value {
    let fits = |body: &Value| body.to_string().len() <= BODY_BYTES_MAX;
    let mut bodies = TEXTS_CHARS.into_iter().map(|chars| body_with(told, chars));
    let smallest = || body_with(told, 60);
    bodies.find(fits).unwrap_or_else(smallest)
}

fn body_with(told: &[Told<'_>], chars_max: usize) -> Value {
    let block = |text: &str, more: Value| block(text, more, chars_max);
    let stories: Vec<Story> = told.iter().map(story).collect();
    let Some((first, event)) = stories.first().zip(told.first().map(|t| t.event)) else {
        return json!({});
    };
    let mut blocks = vec![
        block(
            &first.status,
            json!({"weight": "Bolder", "color": colour(event), "spacing": "None"}),
        ),
        block(&first.title, json!({"size": "Large", "weight": "Bolder"})),
        block(&format!("{} {}", first.verdict, first.clears), json!({})),
    ];
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: &str| {
        if !value.is_empty() {
            facts.push(json!({"title": name, "value": escaped(&text::cut(value, chars_max))}));
        }
    };
    fact("Observed", &first.observed);
    fact("Impact", &first.impact);
    fact("Who is hit", &first.who.join("; "));
    fact("Not affected", &first.not_affected);
    fact("Changed before", &first.changes.join("; "));
    fact("Codes", &first.codes);
    if event != Event::Resolved {
        fact("Error", &text::cut(&first.error, ERROR_CHARS_MAX));
        first.calls.iter().for_each(|call| fact("Call", call));
    }
    blocks.push(json!({"type": "FactSet", "facts": facts}));
    if event != Event::Resolved {
        for (n, step) in first.steps.iter().enumerate() {
            blocks.push(block(
                &format!("{}. {step}", n + 1),
                json!({"spacing": "Small"}),
            ));
        }
    }
    for story in stories.iter().skip(1).take(BRIEF_MAX) {
        blocks.push(block(
            &format!("{}: {}", story.status, story.title),
            json!({"separator": true}),
        ));
    }
    let more = stories.len().saturating_sub(1 + BRIEF_MAX);
    if more > 0 {
        blocks.push(block(&format!("and {more} more"), json!({})));
    }
    blocks.push(block(
        &first.footer,
        json!({"isSubtle": true, "size": "Small"}),
    ));
    let usable = first
        .links
        .iter()
        .filter(|(_, url)| url.len() <= URL_CHARS_MAX);
    let actions: Vec<Value> = usable
        .map(|(name, url)| json!({"type": "Action.OpenUrl", "title": name, "url": url}))
        .collect();
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": blocks,
                "actions": actions,
                "msteams": {"width": "full"},
            },
        }],
    })
}

fn block(text: &str, more: Value, chars_max: usize) -> Value {
    let mut block =
        json!({"type": "TextBlock", "wrap": true, "text": escaped(&text::cut(text, chars_max))});
    if let (Some(block), Value::Object(more)) = (block.as_object_mut(), more) {
        block.extend(more);
    }
    block
}

/// Markdown of a card: emphasis, links and lists.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '*' | '[' | ']' | '`' | '<' | '>' | '#' | '~') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn colour(event: Event) -> &'static str {
    match event {
        Event::Resolved => "Good",
        _ => "Attention",
    }
}
