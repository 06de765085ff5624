//! A timetable: a cron expression of five fields, read in the time of a place.

use std::sync::Arc;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// When something happens, again and again. Clones are cheap.
#[derive(Debug, Clone)]
pub struct Timetable(Arc<Cron>);

impl Timetable {
    /// `minute hour day month weekday`, or a nickname such as `@weekly`.
    ///
    /// # Errors
    /// What is wrong with the expression; also where it names no moment at all, such as a 30th of
    /// February.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parser =
            CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|error| error.to_string())?;
        let any = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
        cron.find_next_occurrence(&any, true).map_err(|_| "there is no such moment".to_owned())?;
        Ok(Self(Arc::new(cron)))
    }

    /// Whether one of its moments lies after `last` and not after `now`.
    pub fn passed(&self, last: Timestamp, now: Timestamp, zone: &TimeZone) -> bool {
        self.next(last, zone).is_some_and(|next| next <= now)
    }

    /// Its first moment after `last`.
    pub fn next(&self, last: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let last = last.to_zoned(zone.clone());
        // It fails only beyond the years that a calendar knows.
        Some(self.0.find_next_occurrence(&last, false).ok()?.timestamp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn moments_are_those_of_the_place() {
        let table = Timetable::parse("30 3 * * 0").unwrap();
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        // A Saturday; in winter Berlin is an hour ahead.
        let saturday = at("2026-11-21T12:00:00Z");
        assert_eq!(table.next(saturday, &TimeZone::UTC), Some(at("2026-11-22T03:30:00Z")));
        assert_eq!(table.next(saturday, &berlin), Some(at("2026-11-22T02:30:00Z")));
        assert!(!table.passed(saturday, at("2026-11-22T02:29:59Z"), &berlin));
        assert!(table.passed(saturday, at("2026-11-22T02:30:00Z"), &berlin));
        assert!(table.passed(saturday, at("2027-02-01T00:00:00Z"), &berlin));
        assert!(!table.passed(at("2026-11-22T02:30:00Z"), at("2026-11-22T04:00:00Z"), &berlin));
    }

    #[test]
    fn an_hour_that_is_left_out_or_comes_twice_brings_one_run() {
        let table = Timetable::parse("30 2 * * *").unwrap();
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        for (before, after) in [
            // 02:30 does not exist on the first day and comes twice on the second.
            ("2026-03-29T00:00:00Z", "2026-03-29T12:00:00Z"),
            ("2026-10-24T23:00:00Z", "2026-10-25T12:00:00Z"),
        ] {
            let mut runs = 0;
            let (mut last, now) = (at(before), at(after));
            while table.passed(last, now, &berlin) {
                last = table.next(last, &berlin).unwrap();
                runs += 1;
            }
            assert_eq!(runs, 1, "{before}");
        }
    }

    #[test]
    fn what_is_no_timetable_is_refused() {
        for text in ["", "often", "* * * *", "61 * * * *", "0 0 30 2 *", "0 0 0 1 1 * 2030"] {
            assert!(Timetable::parse(text).is_err(), "{text}");
        }
        for text in ["@weekly", "*/15 8-17 * * mon-fri", "0 3 1 * *", "0 3 L * *"] {
            Timetable::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }
}
