//! Numbers as OTLP/JSON writes them: bare or in quotes, whole or with an exponent.

/// A whole number, exactly: `12`, `-3`, `1e3`, `1.50e2`. `None` when it is none or is beyond what
/// 64 bits hold of either sign.
pub(super) fn integer(text: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(value) = text.parse::<i64>() {
        return Some(i128::from(value));
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    if whole.is_empty() {
        return None;
    }
    // digits x 10^scale
    let mut value: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value
            .checked_mul(10)?
            .checked_add(i128::from(digit - b'0'))?;
    }
    let mut scale = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    while value != 0 && scale < 0 {
        if value % 10 != 0 {
            return None;
        }
        value /= 10;
        scale += 1;
    }
    while value != 0 && scale > 0 {
        value = value.checked_mul(10)?;
        scale -= 1;
    }
    let value = if negative { -value } else { value };
    let range = i128::from(i64::MIN)..=i128::from(u64::MAX);
    range.contains(&value).then_some(value)
}

/// A floating point number, `NaN`, `Infinity` or `-Infinity`.
pub(super) fn double(text: &[u8]) -> Option<f64> {
    match text {
        b"NaN" => Some(f64::NAN),
        b"Infinity" => Some(f64::INFINITY),
        b"-Infinity" => Some(f64::NEG_INFINITY),
        // Rust's own words for infinity (`inf`) are not JSON's.
        [b'-' | b'+' | b'.' | b'0'..=b'9', ..] => std::str::from_utf8(text)
            .ok()
            .filter(|text| !text.contains(['i', 'n', 'I', 'N']))?
            .parse()
            .ok(),
        _ => None,
    }
}
