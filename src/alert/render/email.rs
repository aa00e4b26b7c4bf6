//! E-mail: plain text, so that it is readable everywhere and nothing in it can be markup.
//!
//! Texts from outside reach a header only encoded (RFC 2047) and without line ends. Mails about
//! one alert are a thread.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Told, group_words, story::story};
use crate::alert::{model::Notification, options::Email, text};

const SUBJECT_CHARS_MAX: usize = 180;
/// Letters of one encoded word, so that it stays below 75 bytes whatever they are.
const WORD_CHARS: usize = 10;
/// Bytes of a line of base64 (RFC 2045: 76).
const LINE_BYTES: usize = 76;
const ALERTS_MAX: usize = 20;

pub(super) fn body(mail: &Email, notification: &Notification, told: &[Told<'_>]) -> String {
    let stories: Vec<_> = told.iter().map(story).collect();
    let first = stories
        .first()
        .map_or_else(String::new, |s| format!("[{}] {}", s.status, s.title));
    let subject = match stories.len() {
        1 => first,
        n => format!("{first} and {} more", n - 1),
    };
    let mut content = String::new();
    if stories.len() > 1 {
        content += &format!(
            "{} alerts of {}\n\n",
            stories.len(),
            group_words(&notification.group)
        );
    }
    let rule = format!("\n{}\n\n", "-".repeat(60));
    let shown: Vec<String> = stories.iter().take(ALERTS_MAX).map(|s| s.plain()).collect();
    content += &shown.join(&rule);
    if stories.len() > ALERTS_MAX {
        content += &format!(
            "{rule}and {} more: lapwing alert list\n",
            stories.len() - ALERTS_MAX
        );
    }
    let domain = mail.from.rsplit('@').next().unwrap_or("lapwing");
    let thread = told.first().map_or("", |t| t.alert.id.as_str());
    let created = told.first().map_or("", |t| t.payload.timestamp.as_str());
    let date = created.parse::<jiff::Timestamp>().ok();
    let date =
        date.and_then(|t| jiff::fmt::rfc2822::to_string(&t.to_zoned(jiff::tz::TimeZone::UTC)).ok());
    let headers = [
        ("Date", date.unwrap_or_default()),
        ("From", mail.from.clone()),
        ("To", mail.to.join(", ")),
        ("Subject", encoded(&text::line(&subject, SUBJECT_CHARS_MAX))),
        ("Message-ID", format!("<{}@{domain}>", notification.id)),
        ("References", format!("<lw_{thread}@{domain}>")),
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("MIME-Version", "1.0".to_owned()),
        ("Content-Type", "text/plain; charset=utf-8".to_owned()),
        ("Content-Transfer-Encoding", "base64".to_owned()),
    ];
    let mut out = String::new();
    for (name, value) in headers {
        out += &format!("{name}: {value}\r\n");
    }
    out += "\r\n";
    let encoded = STANDARD.encode(content.replace('\n', "\r\n"));
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE_BYTES));
        out += line;
        out += "\r\n";
        rest = after;
    }
    out
}

/// Encoded words, folded; plain text stays as it is when it fits on its line.
fn encoded(text: &str) -> String {
    let plain =
        text.len() <= 66 && text.bytes().all(|b| (0x20..0x7f).contains(&b)) && !text.contains("=?");
    if plain {
        return text.to_owned();
    }
    let letters: Vec<char> = text.chars().collect();
    let words = letters.chunks(WORD_CHARS).map(|word| {
        let word: String = word.iter().collect();
        format!("=?UTF-8?B?{}?=", STANDARD.encode(word))
    });
    words.collect::<Vec<_>>().join("\r\n ")
}
