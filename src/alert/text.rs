//! Texts from outside, made harmless: bounded, one line, no control characters.
//!
//! Model names and error bodies come from whoever calls a model; they may hold markup, newlines or
//! a megabyte. Escaping for a receiver's own markup is that receiver's business.

/// One line of at most `chars_max` letters.
pub fn line(text: &str, chars_max: usize) -> String {
    let mut out = String::new();
    let mut space = false;
    let mut count = 0;
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() {
            space = !out.is_empty();
            continue;
        }
        if is_invisible(c) {
            continue;
        }
        let width = 1 + usize::from(space);
        if count + width > chars_max.saturating_sub(1) {
            out.push('…');
            return out;
        }
        if std::mem::take(&mut space) {
            out.push(' ');
        }
        out.push(c);
        count += width;
    }
    out
}

/// At most `chars_max` letters of a text that may have lines of its own.
pub fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some(_) => {
            let kept: String = text.chars().take(chars_max.saturating_sub(1)).collect();
            kept + "…"
        }
    }
}

/// Letters that are not seen but change what is: direction overrides and zero widths.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// `1,234,567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `45 s`, `2 min`, `1.5 h`, `3 d`.
pub fn duration(seconds: f64) -> String {
    let short = |value: f64, unit: &str| {
        let text = match value < 9.95 && (value - value.round()).abs() > 0.05 {
            true => format!("{value:.1}"),
            false => format!("{value:.0}"),
        };
        format!("{text} {unit}")
    };
    match seconds {
        s if !s.is_finite() || s < 0.0 => "?".to_owned(),
        s if s < 90.0 => short(s, "s"),
        s if s < 5_400.0 => short(s / 60.0, "min"),
        s if s < 172_800.0 => short(s / 3_600.0, "h"),
        s => short(s / 86_400.0, "days"),
    }
}

/// `$0.004`, `$12.50`, `$1,234`.
pub fn dollars(value: f64) -> String {
    match value {
        v if !v.is_finite() => "?".to_owned(),
        v if v.abs() < 0.095 => format!("${v:.4}"),
        v if v.abs() < 999.5 => format!("${v:.2}"),
        v => format!("${}", count(v.round().clamp(0.0, 1e18) as u64)),
    }
}

/// `95.8 %`, `0.03 %`.
pub fn percent(share: f64) -> String {
    let p = share * 100.0;
    match p {
        p if !p.is_finite() => "?".to_owned(),
        p if p == 0.0 || p >= 10.0 => format!("{p:.0} %"),
        p if p >= 0.95 => format!("{p:.1} %"),
        p => format!("{p:.2} %"),
    }
}

/// RFC 3339 in UTC, to the millisecond.
pub fn time(ns: u64) -> String {
    timestamp(ns).map_or_else(String::new, |t| {
        t.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    })
}

/// `02:14:05 UTC`, for people.
pub fn clock(ns: u64) -> String {
    timestamp(ns).map_or_else(String::new, |t| t.strftime("%H:%M:%S UTC").to_string())
}

fn timestamp(ns: u64) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_nanosecond(i128::from(ns)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_becomes_one_bounded_line() {
        assert_eq!(line("a\r\n\tb\u{0}c\u{202e}d", 80), "a b cd");
        let long = "x".repeat(1 << 20);
        assert_eq!(line(&long, 80).chars().count(), 80);
        assert_eq!(cut(&long, 80).chars().count(), 80);
        assert_eq!(line("exact", 6), "exact");
    }

    #[test]
    fn numbers_read_like_a_person_wrote_them() {
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(
            (duration(45.0), duration(120.0)),
            ("45 s".into(), "2 min".into())
        );
        assert_eq!(duration(5_400.0), "1.5 h");
        assert_eq!(
            (dollars(0.004), dollars(1234.4)),
            ("$0.0040".into(), "$1,234".into())
        );
        assert_eq!(
            (percent(0.958), percent(0.021)),
            ("96 %".into(), "2.1 %".into())
        );
        assert_eq!(time(1_700_000_000_123_000_000), "2023-11-14T22:13:20.123Z");
    }
}
