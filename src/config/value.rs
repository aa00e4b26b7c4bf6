//! The types of values: how each is written, and what is wrong with one that is not.

use std::{net::SocketAddr, time::Duration};

use super::report::nearest;

/// How a key's value is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Text,
    /// Letters, digits and underscores: goes into SQL.
    Name,
    /// Shown nowhere.
    Secret,
    /// A path to a file with a secret.
    SecretFile,
    Path,
    Url,
    Address,
    Size,
    Duration,
    /// A duration of whole days.
    Days,
    /// A level, or a filter by module.
    LogFilter,
    Count,
    Boolean,
    OneOf(&'static [&'static str]),
    /// A list of texts; in a variable, separated by commas.
    Texts,
    /// Names with texts.
    TextMap,
}

// === impl Kind ===

impl Kind {
    /// For the reference.
    pub fn name(self) -> String {
        match self {
            Kind::OneOf(words) => words.join(" \\| "),
            Kind::SecretFile => "path".to_owned(),
            Kind::Days => "whole days".to_owned(),
            Kind::LogFilter => "level or filter".to_owned(),
            Kind::Texts => "list".to_owned(),
            Kind::TextMap => "map".to_owned(),
            other => format!("{other:?}").to_lowercase(),
        }
    }

    /// Says what is wrong with a value, and what would be right.
    pub fn check(self, text: &str) -> Result<(), String> {
        match self {
            Kind::Text | Kind::Secret | Kind::Path | Kind::SecretFile if text.is_empty() => {
                Err("must not be empty".to_owned())
            }
            Kind::Text | Kind::Secret | Kind::Path | Kind::SecretFile => Ok(()),
            Kind::Texts | Kind::TextMap => Ok(()),
            Kind::Name => {
                let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                let fits = plain && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
                fits.then_some(())
                    .ok_or_else(|| format!("is {text:?}: use letters, digits and `_`"))
            }
            Kind::Url => url(text),
            Kind::Address => address(text).map(|_| ()),
            Kind::Size => size(text).map(|_| ()),
            Kind::Duration => duration(text).map(|_| ()),
            Kind::Days => days(text).map(|_| ()),
            Kind::LogFilter => log_filter(text),
            Kind::Count => count(text).map(|_| ()),
            Kind::Boolean => boolean(text).map(|_| ()),
            Kind::OneOf(words) => one_of(text, words),
        }
    }
}

fn one_of(text: &str, words: &[&str]) -> Result<(), String> {
    if words.contains(&text) {
        return Ok(());
    }
    let hint = nearest(text, words.iter().copied())
        .map_or(String::new(), |word| format!(", did you mean `{word}`?"));
    Err(format!(
        "is {text:?}: must be one of {}{hint}",
        words.join(", ")
    ))
}

fn url(text: &str) -> Result<(), String> {
    let host = text
        .strip_prefix("http://")
        .or(text.strip_prefix("https://"));
    match host {
        Some(rest) if !rest.is_empty() && !rest.starts_with(['/', ':']) => Ok(()),
        // The text is not repeated: a URL may hold a password.
        _ => Err("is no URL: write it as https://host:port".to_owned()),
    }
}

/// `127.0.0.1:4317`, `[::1]:4317`, `localhost:4317`, or `:4317` for all interfaces.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong =
        || format!("is {text:?}: write an address as 127.0.0.1:4317, or :4317 for all interfaces");
    let full = match text.split_once(':') {
        Some(("", port)) => format!("0.0.0.0:{port}"),
        Some(("localhost", port)) => format!("127.0.0.1:{port}"),
        _ => text.to_owned(),
    };
    full.parse().map_err(|_| wrong())
}

/// `64MiB`, `8GiB`, `500MB`, or plain bytes.
pub fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 9] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("B", 1),
    ];
    let wrong = || format!("is {text:?}: write a size as 64MiB, 8GiB or a number of bytes");
    let (number, unit) = UNITS
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?.trim(), *factor)))
        .unwrap_or((text, 1));
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number
        .checked_mul(unit)
        .filter(|n| *n > 0 && *n <= i64::MAX as u64)
        .ok_or_else(wrong)
}

/// `200ms`, `5s`, `1m30s`, `72h`, `30d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, u64); 6] = [
        ("ms", 1),
        ("us", 0),
        ("s", 1_000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
    ];
    let wrong = || format!("is {text:?}: write a duration as 200ms, 5s, 1m30s, 72h or 30d");
    let mut rest = text.trim();
    let mut total_ms: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let (unit, factor) = UNITS
            .iter()
            .find(|(unit, factor)| *factor > 0 && rest.starts_with(unit))
            .ok_or_else(wrong)?;
        rest = &rest[unit.len()..];
        let part = number.checked_mul(*factor).ok_or_else(wrong)?;
        total_ms = total_ms.checked_add(part).ok_or_else(wrong)?;
    }
    if text.trim().is_empty() {
        Err(wrong())
    } else {
        Ok(Duration::from_millis(total_ms))
    }
}

/// `30d`, `72h`: data is dropped by the day.
pub fn days(text: &str) -> Result<u32, String> {
    const DAY_S: u64 = 86_400;
    let seconds = duration(text)?.as_secs();
    let days = u32::try_from(seconds / DAY_S).ok().filter(|days| *days > 0);
    days.filter(|_| seconds % DAY_S == 0)
        .ok_or_else(|| format!("is {text:?}: write whole days, such as 30d or 72h"))
}

fn log_filter(text: &str) -> Result<(), String> {
    const LEVELS: &[&str] = &["trace", "debug", "info", "warn", "error", "off"];
    for directive in text.split(',') {
        let level = directive.rsplit('=').next().unwrap_or(directive).trim();
        one_of(&level.to_ascii_lowercase(), LEVELS)?;
    }
    Ok(())
}

/// A number of things, at least one.
pub fn count(text: &str) -> Result<usize, String> {
    let wrong = || format!("is {text:?}: write a whole number above 0");
    text.replace('_', "")
        .parse()
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(wrong)
}

/// `true` or `false`.
pub fn boolean(text: &str) -> Result<bool, String> {
    text.parse()
        .map_err(|_| format!("is {text:?}: write true or false"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_of_all_spellings() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        assert!(duration("5").is_err());
        assert!(duration("99999999999999999999d").is_err());
        assert_eq!(size("8GiB"), Ok(8 << 30));
        assert_eq!(size("500MB"), Ok(500_000_000));
        assert!(size("many").is_err());
        assert!(size("99999999999TiB").is_err());
    }

    #[test]
    fn addresses_as_in_the_collector() {
        assert_eq!(
            address(":4317").map(|a| a.to_string()),
            Ok("0.0.0.0:4317".to_owned())
        );
        assert_eq!(
            address("localhost:1").map(|a| a.to_string()),
            Ok("127.0.0.1:1".to_owned())
        );
        assert_eq!(
            address("[::1]:9").map(|a| a.to_string()),
            Ok("[::1]:9".to_owned())
        );
        assert!(address("4317").is_err());
    }
}
