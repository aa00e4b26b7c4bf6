//! Past: the facts of calls and evaluations that are in the store, in the order in which they
//! ended, so that the detector can be run over the past.
//!
//! They are what the journal told when they were new; late evidence is in them already. Not here:
//! what is made of them.

mod rows;

use clickhouse::Row;
use serde::Deserialize;

use crate::{
    detect::Fact,
    store::{Store, WriteError, schema::identifier},
};
use rows::{StoredCall, StoredEval};

/// Rows that are asked for at a time: what is sorted there fits into little memory, and few
/// questions are asked of a store with little traffic.
const SLICE_ROWS: u64 = 200_000;
const HOUR_NS: u64 = 3_600_000_000_000;

/// What there is of the past, hour by hour: known before anything of it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Past {
    /// Hours with rows, in order: their begin, Unix nanoseconds, and how many rows.
    hours: Vec<(u64, u64)>,
    from_ns: u64,
    to_ns: u64,
}

/// Looks how much began in `from_ns..to_ns` (Unix nanoseconds).
pub async fn survey(store: &Store, from_ns: u64, to_ns: u64) -> Result<Past, WriteError> {
    #[derive(Row, Deserialize)]
    struct Hour {
        begin_s: u64,
        rows: u64,
    }
    let part = |table: &str| {
        format!(
            "SELECT timestamp FROM {}.{table} WHERE timestamp >= {} AND timestamp < {}",
            identifier(store.database()),
            rows::time(from_ns),
            rows::time(to_ns),
        )
    };
    let sql = format!(
        "SELECT intDiv(toUInt64(toUnixTimestamp64Nano(timestamp)), {HOUR_NS}) * 3600 AS begin_s, count() AS rows \
         FROM ({} UNION ALL {}) GROUP BY begin_s ORDER BY begin_s",
        part("llm_call_versions"),
        part("llm_evals"),
    );
    let mut found = store.rows::<Hour>(&sql)?;
    let mut hours = Vec::new();
    while let Some(hour) = found.next().await? {
        hours.push((hour.begin_s.saturating_mul(1_000_000_000), hour.rows));
    }
    Ok(Past {
        hours,
        from_ns,
        to_ns,
    })
}

/// Tells every fact of the past that ended in its bounds; gives their number.
pub async fn tell(
    store: &Store,
    past: &Past,
    mut see: impl FnMut(&Fact<'_>),
) -> Result<u64, WriteError> {
    let mut told = 0;
    for (from_ns, to_ns) in past.slices() {
        told += slice(store, from_ns, to_ns, &mut see).await?;
    }
    Ok(told)
}

async fn slice(
    store: &Store,
    from_ns: u64,
    to_ns: u64,
    see: &mut impl FnMut(&Fact<'_>),
) -> Result<u64, WriteError> {
    let mut evals = store.rows::<StoredEval>(&rows::evals_sql(store, from_ns, to_ns))?;
    let mut calls = store.rows::<StoredCall>(&rows::calls_sql(store, from_ns, to_ns))?;
    let mut told = 0;
    let mut eval = evals.next().await?;
    while let Some(call) = calls.next().await? {
        while let Some(earlier) = eval.take_if(|eval| eval.end_ns <= call.end_ns) {
            see(&Fact::Eval(earlier.fact()));
            told += 1;
            eval = evals.next().await?;
        }
        see(&Fact::Call(call.fact()));
        told += 1;
    }
    while let Some(rest) = eval {
        see(&Fact::Eval(rest.fact()));
        told += 1;
        eval = evals.next().await?;
    }
    Ok(told)
}

// === impl Past ===

impl Past {
    /// The newest part of it: whole hours with at most so many rows, at least the last one.
    pub fn newest(mut self, rows_max: u64) -> Past {
        let mut rows = 0_u64;
        let fits = self.hours.iter().rev().take_while(|(_, own)| {
            let is_first = rows == 0;
            rows = rows.saturating_add(*own);
            is_first || rows <= rows_max
        });
        let first = self.hours.len() - fits.count();
        self.hours.drain(..first);
        if first > 0
            && let Some((begin_ns, _)) = self.hours.first()
        {
            self.from_ns = *begin_ns;
        }
        self
    }

    /// Is nothing there?
    pub fn is_empty(&self) -> bool {
        self.hours.is_empty()
    }

    /// Where it begins, Unix nanoseconds.
    pub fn from_ns(&self) -> u64 {
        self.from_ns
    }

    /// Stretches of some [`SLICE_ROWS`] each, without a gap from the first row to the end.
    fn slices(&self) -> Vec<(u64, u64)> {
        let (mut slices, mut rows) = (Vec::new(), 0);
        let Some((first_ns, _)) = self.hours.first() else {
            return slices;
        };
        let mut begin_ns = self.from_ns.max(*first_ns);
        let mut cut = |begin_ns: &mut u64, end_ns: u64| {
            if *begin_ns < end_ns {
                slices.push((*begin_ns, end_ns));
                *begin_ns = end_ns;
            }
        };
        for (hour_ns, own) in &self.hours {
            rows += own;
            if rows <= SLICE_ROWS {
                continue;
            }
            cut(&mut begin_ns, *hour_ns);
            let parts = own.div_ceil(SLICE_ROWS);
            for part in 1..parts {
                let end_ns = hour_ns.saturating_add(HOUR_NS / parts * part);
                cut(&mut begin_ns, end_ns.min(self.to_ns));
            }
            rows = own / parts;
        }
        cut(&mut begin_ns, self.to_ns);
        slices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(rows: &[u64]) -> Past {
        Past {
            hours: (10..)
                .map(|hour| hour * HOUR_NS)
                .zip(rows.iter().copied())
                .collect(),
            from_ns: 0,
            to_ns: 100 * HOUR_NS,
        }
    }

    #[test]
    fn slices_leave_no_gap_and_hold_few_rows() {
        for rows in [
            &[5, 5, 5][..],
            &[150_000; 8],
            &[10, 2_000_000, 10],
            &[600_000],
            &[7],
        ] {
            let slices = past(rows).slices();
            assert_eq!(slices.first().map(|s| s.0), Some(10 * HOUR_NS), "{rows:?}");
            assert_eq!(slices.last().map(|s| s.1), Some(100 * HOUR_NS), "{rows:?}");
            for pair in slices.windows(2) {
                assert_eq!(pair[0].1, pair[1].0, "{rows:?}");
            }
            let total: u64 = rows.iter().sum();
            let fewest = total.div_ceil(SLICE_ROWS) as usize;
            assert!(
                (fewest..=2 * fewest + 1).contains(&slices.len()),
                "{rows:?}: {slices:?}"
            );
        }
        assert!(past(&[]).slices().is_empty());
    }

    #[test]
    fn the_newest_part_is_whole_hours_that_fit() {
        let all = past(&[50, 40, 30, 20]);
        assert_eq!(all.clone().newest(1000), all);
        assert_eq!(
            all.clone().newest(60).hours,
            [(12 * HOUR_NS, 30), (13 * HOUR_NS, 20)]
        );
        assert_eq!(all.clone().newest(60).from_ns(), 12 * HOUR_NS);
        // One hour at least, however large it is.
        assert_eq!(all.newest(1).hours, [(13 * HOUR_NS, 20)]);
    }
}
