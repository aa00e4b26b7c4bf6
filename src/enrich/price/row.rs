//! One row of the price table: prices of a model from a day on, for a variant, from a tier on.

use super::COLUMNS;

/// Prices of one start date, variant and tier start.
#[derive(Debug)]
pub(super) struct Row {
    /// Days since the epoch; 0 = always.
    pub from_day: u64,
    /// The same as written.
    pub from: String,
    pub variant: String,
    pub tier_start: u64,
    /// Atto-USD per token: input, output, cache read, cache write,
    /// cache write for an hour, reasoning, sound in the input, sound in the output.
    pub price: [Option<u64>; COLUMNS],
}

/// Where the unit prices stand: most of them, and those of sound, which are the last fields of a row.
const FIRST_PRICE: usize = 6;
const AUDIO: (usize, usize) = (6, 17);

/// Reads a row; says what is wrong with it.
pub(super) fn row(record: &csv::StringRecord) -> Result<Row, String> {
    let field = |i: usize| record.get(i).unwrap_or("").trim();
    let mut price = [None; COLUMNS];
    for (at, slot) in price.iter_mut().enumerate() {
        let place = match at.checked_sub(AUDIO.0) {
            Some(n) => AUDIO.1 + n,
            None => FIRST_PRICE + at,
        };
        *slot = match field(place) {
            "" => None,
            text => Some(
                attos(text)
                    .ok_or_else(|| format!("{text:?} is not a price in USD per million tokens"))?,
            ),
        };
    }
    let from_day = match field(3) {
        "" => 0,
        text => {
            let date: jiff::civil::Date = text
                .parse()
                .map_err(|e| format!("effective_from {text:?}: {e}"))?;
            let since = date
                .duration_since(jiff::civil::date(1970, 1, 1))
                .as_hours()
                / 24;
            u64::try_from(since).map_err(|_| format!("effective_from {text:?} is before 1970"))?
        }
    };
    Ok(Row {
        from_day,
        from: field(3).to_owned(),
        variant: field(4).to_owned(),
        tier_start: field(5)
            .parse()
            .map_err(|_| format!("tier_start {:?} is not a number", field(5)))?,
        price,
    })
}

/// USD per million tokens as atto-USD per token, without floating point; more than twelve decimals
/// are cut off.
fn attos(text: &str) -> Option<u64> {
    const DECIMALS: usize = 12;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{fraction:0<DECIMALS$}");
    let whole: u64 = match whole {
        "" => 0,
        whole => whole.parse().ok()?,
    };
    whole
        .checked_mul(10_u64.pow(DECIMALS as u32))?
        .checked_add(digits.get(..DECIMALS)?.parse().ok()?)
}

/// The same backwards, as short as it can be written.
pub(super) fn attos_text(attos: u64) -> String {
    const UNIT: u64 = 1_000_000_000_000;
    let text = format!("{}.{:012}", attos / UNIT, attos % UNIT);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
