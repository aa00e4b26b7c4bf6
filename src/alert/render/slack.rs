//! Slack: blocks for reading, a plain text for the notification on the phone.
//!
//! Limits of incoming webhooks: 50 blocks, 3,000 letters a section, 150 a header, and about 13,000
//! in all. `&`, `<` and `>` are escaped, which also takes the power from `<!channel>`; texts from
//! outside stand in code, where nothing else is markup.

use serde_json::{Value, json};

use super::{
    Told,
    story::{Story, story},
};
use crate::alert::{model::Event, text};

const HEADER_CHARS_MAX: usize = 145;
const SECTION_CHARS_MAX: usize = 2_900;
const FACTS_CHARS_MAX: usize = 2_400;
/// Alerts that are told in full, and those that are told at all.
const FULL_MAX: usize = 1;
const BRIEF_MAX: usize = 10;
const URL_CHARS_MAX: usize = 1_000;

/// Letters of the error that are tried, until the whole fits.
const ERRORS_CHARS: [usize; 3] = [600, 150, 0];
const BODY_CHARS_MAX: usize = 12_000;

pub(super) fn body(told: &[Told<'_>]) -> Value {
    let fits = |body: &Value| body.to_string().chars().count() <= BODY_CHARS_MAX;
    let mut bodies = ERRORS_CHARS
        .into_iter()
        .map(|error_chars| body_with(told, error_chars));
    let smallest = || body_with(told, 0);
    bodies.find(fits).unwrap_or_else(smallest)
}

fn body_with(told: &[Told<'_>], error_chars: usize) -> Value {
    let stories: Vec<Story> = told.iter().map(story).collect();
    let Some(first) = stories.first() else {
        return json!({});
    };
    let headline = match stories.len() {
        1 => format!("{}: {}", first.status, first.title),
        n => format!("{n} alerts. {}: {}", first.status, first.title),
    };
    let mut blocks = vec![json!({
        "type": "header",
        "text": {"type": "plain_text", "text": text::cut(&unmarked(&headline), HEADER_CHARS_MAX), "emoji": false},
    })];
    for story in stories.iter().take(FULL_MAX) {
        blocks.extend(full(story, error_chars));
    }
    let brief = stories.iter().skip(FULL_MAX).take(BRIEF_MAX);
    let lines: Vec<String> = brief
        .map(|s| format!("*{}* {}\n{}", s.status, mark(&s.title), mark(&s.verdict)))
        .collect();
    if !lines.is_empty() {
        blocks.push(section(&lines.join("\n\n")));
    }
    let more = stories.len().saturating_sub(FULL_MAX + BRIEF_MAX);
    if more > 0 {
        blocks.push(section(&format!("and {more} more: `lapwing alert list`")));
    }
    blocks.push(json!({
        "type": "context",
        "elements": [{"type": "mrkdwn", "text": text::cut(&mark(&first.footer), 500)}],
    }));
    json!({
        "text": escaped(&text::cut(&headline, 500)),
        "attachments": [{"color": colour(told), "blocks": blocks}],
    })
}

fn full(story: &Story, error_chars: usize) -> Vec<Value> {
    let mut blocks = vec![section(&format!(
        "*{}* {}",
        mark(&story.verdict),
        mark(&story.clears)
    ))];
    let mut facts = Vec::new();
    let mut fact = |name: &str, text: String| {
        if !text.is_empty() {
            facts.push(format!("*{name}:* {text}"));
        }
    };
    fact("Observed", mark(&story.observed));
    fact("Impact", mark(&story.impact));
    fact("Who is hit", list(&story.who));
    fact("Not affected", mark(&story.not_affected));
    fact("Changed before", list(&story.changes));
    fact("Codes", mark(&story.codes));
    if !facts.is_empty() {
        blocks.push(section(&text::cut(&facts.join("\n"), FACTS_CHARS_MAX)));
    }
    if !story.error.is_empty() && error_chars > 0 {
        blocks.push(section(&format!(
            "```{}```",
            code(&text::cut(&story.error, error_chars))
        )));
    }
    if !story.calls.is_empty() {
        let calls: Vec<String> = story
            .calls
            .iter()
            .map(|call| format!("`{}`", code(call)))
            .collect();
        blocks.push(section(&calls.join("\n")));
    }
    if !story.steps.is_empty() {
        let steps = story
            .steps
            .iter()
            .enumerate()
            .map(|(n, step)| format!("{}. {}", n + 1, mark(step)));
        blocks.push(section(&steps.collect::<Vec<_>>().join("\n")));
    }
    with_links(blocks, story)
}

fn with_links(mut blocks: Vec<Value>, story: &Story) -> Vec<Value> {
    let usable = story
        .links
        .iter()
        .filter(|(_, url)| url.len() <= URL_CHARS_MAX);
    let buttons: Vec<Value> = usable
        .map(|(name, url)| json!({"type": "button", "text": {"type": "plain_text", "text": name}, "url": url}))
        .collect();
    if !buttons.is_empty() {
        blocks.push(json!({"type": "actions", "elements": buttons}));
    }
    blocks
}

fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => mark(one),
        many => many
            .iter()
            .map(|item| format!("\n- {}", mark(item)))
            .collect(),
    }
}

fn section(text: &str) -> Value {
    let cut = text::cut(text, SECTION_CHARS_MAX);
    // A cut must not leave a code block open.
    let open = cut.matches("```").count() % 2 == 1;
    let text = if open { cut + "```" } else { cut };
    json!({"type": "section", "text": {"type": "mrkdwn", "text": text}})
}

/// Text in mrkdwn, with nothing in it that is markup.
fn mark(text: &str) -> String {
    let plain = |c: char| match c {
        // A letter that looks the same and means nothing to Slack.
        '*' => '\u{2217}',
        '`' => '\'',
        '~' => '\u{223c}',
        c => c,
    };
    escaped(&text.chars().map(plain).collect::<String>())
}

fn code(text: &str) -> String {
    escaped(&text.replace('`', "'"))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// A header knows no markup; angle brackets that nobody could mistake for it.
fn unmarked(text: &str) -> String {
    text.replace('<', "\u{2039}").replace('>', "\u{203a}")
}

fn colour(told: &[Told<'_>]) -> &'static str {
    let firing = told.iter().filter(|t| t.event != Event::Resolved);
    let worst = firing.map(|t| t.alert.incident.severity).max();
    match worst {
        None => "#2e7d32",
        Some(crate::detect::Severity::Page) => "#c62828",
        Some(crate::detect::Severity::Ticket) => "#ef6c00",
        Some(crate::detect::Severity::Info) => "#1565c0",
    }
}
