//! Delays in the words of providers.

/// Reads `9.8s`, `644ms`, `7m12s`, `1h`, `60 seconds`, `25` (seconds) in milliseconds.
pub(in crate::enrich::classify) fn duration_ms(after: &str) -> Option<u64> {
    let mut rest = after.trim_start_matches([' ', '"', '\'', '(', ':', '=', '~']);
    rest = rest.strip_prefix("about ").unwrap_or(rest);
    let mut total = 0.0_f64;
    let mut any = false;
    loop {
        let end = rest
            .find(|c: char| !(c.is_ascii_digit() || c == '.'))
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let Ok(number) = number.trim_end_matches('.').parse::<f64>() else {
            break;
        };
        let after = after.trim_start();
        let end = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        let known = unit_ms(unit);
        total += number * known.unwrap_or(1000.0);
        any = true;
        if known.is_none() || !next.starts_with(|c: char| c.is_ascii_digit()) {
            break;
        }
        rest = next;
    }
    // A year is no delay but a date that was read as one.
    (any && total.is_finite() && total < 366.0 * 86_400_000.0).then_some(total.round() as u64)
}

fn unit_ms(unit: &str) -> Option<f64> {
    Some(match unit {
        "ms" | "millisecond" | "milliseconds" => 1.0,
        "s" | "sec" | "secs" | "second" | "seconds" => 1000.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60_000.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600_000.0,
        "d" | "day" | "days" => 86_400_000.0,
        _ => return None,
    })
}
