//! The words in which queues and their jobs are told: spans, moments, numbers of things.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// What stands where a damaged record tells nothing.
pub(super) const UNKNOWN: &str = "unknown";

/// A span of time in the two largest of its units.
pub(in crate::cli) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..10 => format!("{:.1} s", time.as_secs_f64()),
        10..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// How fast: jobs a second, or a minute where it is less than one a second.
pub(in crate::cli) fn rate(per_second: f64) -> String {
    let per_minute = (per_second * 60.0).round();
    if per_second >= 1.0 {
        format!("{per_second:.1} jobs/s")
    } else if per_minute > 1.0 {
        format!("{per_minute} jobs/min")
    } else {
        "1 job/min".to_owned()
    }
}

/// A moment of Redis's time as people read it.
pub(super) fn moment(time: SystemTime) -> String {
    known(time).map_or_else(|| UNKNOWN.to_owned(), |time| format!("{time:.0}"))
}

/// A moment of Redis's time as programs read it, RFC 3339; none where it is not known.
pub(super) fn timestamp(time: SystemTime) -> Option<String> {
    known(time).map(|time| format!("{time:.3}"))
}

/// A moment in ms since 1970.
pub(super) fn at_millis(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// A time that cannot be read from its record reads as 1970.
fn known(time: SystemTime) -> Option<Timestamp> {
    if time == UNIX_EPOCH { None } else { Timestamp::try_from(time).ok() }
}

/// A number of things: `1 start`, `2 starts`.
pub(in crate::cli) fn counted(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// Text that others wrote, in one line of at most `most` characters that no terminal obeys.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let shown: String = text.chars().take(most).flat_map(char::escape_debug).collect();
    let shown = shown.replace("\\\"", "\"").replace("\\'", "'");
    if text.chars().nth(most).is_some() { format!("{shown}…") } else { shown }
}

/// A text that a record holds; none where it holds none.
pub(super) fn filled(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_well() {
        for (millis, text) in [
            (0, "0 ms"),
            (40, "40 ms"),
            (2_340, "2.3 s"),
            (61_000, "61 s"),
            (600_000, "10 min"),
            (7_500_000, "2 h 5 min"),
            (200_000_000, "2 d 7 h"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn a_slow_pace_is_told_by_the_minute() {
        for (per_second, text) in [
            (12.34, "12.3 jobs/s"),
            (1.0, "1.0 jobs/s"),
            (0.2, "12 jobs/min"),
            (1.0 / 60.0, "1 job/min"),
            (1.0 / 80.0, "1 job/min"),
        ] {
            assert_eq!(rate(per_second), text);
        }
    }

    #[test]
    fn what_others_wrote_is_short_and_harmless() {
        assert_eq!(shortened("{\"a\":\"it's\"}", 99), "{\"a\":\"it's\"}");
        assert_eq!(shortened("a\nb\u{1b}[31m", 99), "a\\nb\\u{1b}[31m");
        assert_eq!(shortened("häuser", 3), "häu…");
    }

    #[test]
    fn a_moment_is_told_in_seconds_and_written_in_milliseconds() {
        let time = at_millis(1_700_000_000_123);
        assert_eq!(moment(time), "2023-11-14T22:13:20Z");
        assert_eq!(timestamp(time).as_deref(), Some("2023-11-14T22:13:20.123Z"));
        assert_eq!((moment(at_millis(-5)).as_str(), timestamp(UNIX_EPOCH)), ("unknown", None));
    }

    #[test]
    fn one_thing_is_not_many() {
        assert_eq!(
            (counted(1, "start"), counted(0, "start")),
            ("1 start".into(), "0 starts".into())
        );
    }
}
