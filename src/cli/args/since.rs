//! A moment in the past, as people say it on the command line.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, civil};

/// A moment as a person says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// Itself.
    At(Timestamp),
    /// The beginning of a day, here.
    Day(civil::Date),
    /// So long ago.
    Ago(SignedDuration),
}

impl Since {
    /// The moment that is meant, as of `now`.
    pub fn moment(self, now: Timestamp, zone: TimeZone) -> Timestamp {
        match self {
            Self::At(moment) => moment,
            Self::Day(day) => {
                day.to_zoned(zone).map_or(Timestamp::UNIX_EPOCH, |start| start.timestamp())
            }
            Self::Ago(age) => now.checked_sub(age).unwrap_or(Timestamp::UNIX_EPOCH),
        }
    }
}

/// Reads one, for clap.
pub(super) fn since(text: &str) -> Result<Since, String> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(Since::At(moment));
    }
    if let Ok(day) = text.parse::<civil::Date>() {
        return Ok(Since::Day(day));
    }
    let help = || {
        "give a time (2026-11-22T13:15:00Z), a day (2026-11-22) or an age (90m, 12h, 7d, 2w)"
            .to_owned()
    };
    let unit = text.chars().next_back().ok_or_else(help)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return Err(help()),
    };
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| help())?;
    Ok(Since::Ago(SignedDuration::from_secs(i64::from(number) * seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_a_day_or_an_age() {
        let now: Timestamp = "2026-11-22T13:15:00Z".parse().unwrap();
        for (text, expected) in [
            ("2026-11-20T10:00:00+02:00", "2026-11-20T08:00:00Z"),
            ("2026-11-20", "2026-11-20T00:00:00Z"),
            ("90m", "2026-11-22T11:45:00Z"),
            ("12h", "2026-11-22T01:15:00Z"),
            ("7d", "2026-11-15T13:15:00Z"),
            ("2w", "2026-11-08T13:15:00Z"),
        ] {
            let moment = since(text).unwrap().moment(now, TimeZone::UTC);
            assert_eq!(moment, expected.parse().unwrap(), "{text}");
        }
        for bad in ["", "d", "-7d", "7", "7y", "yesterday", "2026-13-01", "7\u{e4}"] {
            assert!(since(bad).is_err(), "{bad:?}");
        }
    }
}
