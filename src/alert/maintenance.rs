//! Maintenance windows: times of the week in which some alerts are not sent.

use jiff::{Timestamp, civil::Time, civil::Weekday, tz::TimeZone};

use super::{labels::Labels, matcher::Matcher};

/// A weekly window. One that ends before it begins goes over midnight and belongs to the day it
/// began on.
#[derive(Debug, Clone)]
pub struct Window {
    pub name: String,
    /// What is not sent; empty = everything.
    pub matchers: Vec<Matcher>,
    /// Empty = every day.
    pub days: Vec<Weekday>,
    pub from: Time,
    pub to: Time,
    pub zone: TimeZone,
}

impl Window {
    /// Is it open now, for these labels?
    pub fn holds(&self, labels: &Labels, now_ns: u64) -> bool {
        let Ok(now) = Timestamp::from_nanosecond(i128::from(now_ns)) else {
            return false;
        };
        let local = self.zone.to_datetime(now);
        let (time, today) = (local.time(), local.date().weekday());
        let on = |day: Weekday| self.days.is_empty() || self.days.contains(&day);
        let open = match self.from <= self.to {
            true => on(today) && self.from <= time && time < self.to,
            false => (on(today) && time >= self.from) || (on(today.previous()) && time < self.to),
        };
        open && self.matchers.iter().all(|matcher| matcher.holds(labels))
    }
}

/// `mon` to `sun`.
pub fn weekday(word: &str) -> Option<Weekday> {
    let days = [
        ("mon", Weekday::Monday),
        ("tue", Weekday::Tuesday),
        ("wed", Weekday::Wednesday),
        ("thu", Weekday::Thursday),
        ("fri", Weekday::Friday),
        ("sat", Weekday::Saturday),
        ("sun", Weekday::Sunday),
    ];
    days.into_iter()
        .find(|(name, _)| *name == word)
        .map(|(_, day)| day)
}

/// `02:30`; `24:00` is the end of the day.
pub fn time(text: &str) -> Option<Time> {
    if text == "24:00" {
        return Some(Time::MAX);
    }
    let (hours, minutes) = text.split_once(':')?;
    Time::new(hours.parse().ok()?, minutes.parse().ok()?, 0, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_it_began_on() {
        let window = Window {
            name: "backup".into(),
            matchers: vec![],
            days: vec![Weekday::Friday],
            from: time("23:00").unwrap(),
            to: time("01:30").unwrap(),
            zone: TimeZone::UTC,
        };
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_nanosecond() as u64;
        let holds = |text: &str| window.holds(&Labels::new(), at(text));
        // 2026-11-20 is a Friday.
        assert!(holds("2026-11-20T23:30:00Z"));
        assert!(holds("2026-11-21T01:00:00Z"));
        assert!(!holds("2026-11-21T02:00:00Z"));
        assert!(!holds("2026-11-21T23:30:00Z"));
        assert!(!holds("2026-11-20T01:00:00Z"), "began on Thursday");
    }
}
