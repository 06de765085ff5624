//! When backfill and training are held: quiet hours of the settings, and a pause that somebody asked
//! for.
//!
//! What must stay true: the catalogue and the settings decide, and what stands in Redis is a copy of
//! their word, made true again in every round of the leader. So a pause outlives an emptied Redis, and
//! its end needs nobody who remembers it.

use fleetq::{Lane, Queue};
use jiff::civil::Time;
use jiff::{Timestamp, ToSpan, Zoned};
use serde::Serialize;

use crate::catalog::{Catalog, Pause};
use crate::jobs::JobError;

/// Spans of the day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuietHours {
    spans: Vec<(Time, Time)>,
}

/// Who holds backfill and training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldBy {
    /// `eyefleet pause`.
    Pause,
    /// `fleet.quiet_hours`.
    QuietHours,
}

/// Backfill and training are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Hold {
    /// By whom; where it is both, by the one that ends later.
    pub by: HeldBy,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

impl Hold {
    /// How to end it, for people.
    pub fn way_out(&self) -> &'static str {
        match self.by {
            HeldBy::Pause => "`eyefleet resume` ends it",
            HeldBy::QuietHours => "the setting fleet.quiet_hours",
        }
    }
}

impl QuietHours {
    /// Reads `"08:00-18:00, 22:00-06:00"`; an empty text is none.
    ///
    /// # Errors
    /// What is wrong with the first span that cannot be read.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let spans = text.split(',').map(|span| {
            let span = span.trim();
            let (from, to) =
                span.split_once('-').ok_or_else(|| format!("{span:?} is no span of two times"))?;
            let (from, to) = (time(from)?, time(to)?);
            if from == to { Err(format!("{span:?} has no length")) } else { Ok((from, to)) }
        });
        Ok(Self { spans: spans.collect::<Result<_, _>>()? })
    }

    /// The span that `now` lies in, with those that follow it without a gap; none where none does.
    /// Hours that leave no gap at all are told a day ahead or more.
    fn around(&self, now: &Zoned) -> Option<(Timestamp, Timestamp)> {
        let &(from, _) = self.spans.iter().find(|span| lies_in(now.time(), **span))?;
        let days = i32::from(from > now.time());
        let since = now.date().saturating_sub(days.days()).to_datetime(from);
        let since = since.to_zoned(now.time_zone().clone()).ok()?.timestamp();
        let mut end = now.clone();
        for _ in 0..=self.spans.len() {
            let Some(&(_, to)) = self.spans.iter().find(|span| lies_in(end.time(), **span)) else {
                break;
            };
            let days = i32::from(to <= end.time());
            let next = end.date().saturating_add(days.days()).to_datetime(to);
            end = next.to_zoned(now.time_zone().clone()).ok()?;
        }
        Some((since, end.timestamp()))
    }
}

fn time(text: &str) -> Result<Time, String> {
    let wrong = || format!("{:?} is no time of the day from 00:00 to 24:00", text.trim());
    let (hours, minutes) = text.trim().split_once(':').ok_or_else(wrong)?;
    let whole = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<i8>().ok()).flatten()
    };
    match (whole(hours), whole(minutes)) {
        (Some(24), Some(0)) => Ok(Time::midnight()),
        (Some(hours), Some(minutes)) => Time::new(hours, minutes, 0, 0).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

fn lies_in(time: Time, (from, to): (Time, Time)) -> bool {
    if from < to { from <= time && time < to } else { time >= from || time < to }
}

/// What holds backfill and training at `now`, if anything does.
pub fn hold(hours: &QuietHours, pause: Option<Pause>, now: &Zoned) -> Option<Hold> {
    let paused = pause.filter(|pause| pause.until > now.timestamp()).map(|pause| Hold {
        by: HeldBy::Pause,
        since: pause.since,
        until: pause.until,
    });
    let quiet =
        hours.around(now).map(|(since, until)| Hold { by: HeldBy::QuietHours, since, until });
    paused.into_iter().chain(quiet).max_by_key(|hold| hold.until)
}

/// Makes every queue hand out its backfill lane, or not, as catalogue and settings say at `now`; the
/// jobs of backfill, and exports and trainings that nobody asked for by hand, are in that lane.
/// Answers what holds it.
///
/// # Errors
/// When a store is away; the next call repeats it.
pub async fn apply(
    catalog: &Catalog,
    queues: &[(&'static str, Queue)],
    hours: &QuietHours,
    now: &Zoned,
) -> Result<Option<Hold>, JobError> {
    let hold = hold(hours, catalog.pause().await?, now);
    let wanted: &[Lane] = if hold.is_some() { &[Lane::Backfill] } else { &[] };
    for (_, queue) in queues {
        if queue.depth().await?.held != wanted {
            queue.hold_lanes(wanted).await?;
        }
    }
    Ok(hold)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(text: &str) -> QuietHours {
        QuietHours::parse(text).unwrap()
    }

    fn at(text: &str) -> Zoned {
        format!("2026-11-22T{text}[Europe/Berlin]").parse().unwrap()
    }

    fn held(text: &str, now: &str) -> Option<(String, String)> {
        let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
        let local = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%d %H:%M").to_string();
        hold(&hours(text), None, &at(now)).map(|hold| (local(hold.since), local(hold.until)))
    }

    #[test]
    fn a_span_of_the_day_begins_at_its_first_minute_and_ends_before_its_last() {
        let day = Some(("22 08:00".to_owned(), "22 18:00".to_owned()));
        for (now, wanted) in
            [("07:59:59", None), ("08:00:00", day.clone()), ("17:59:59", day), ("18:00:00", None)]
        {
            assert_eq!(held("08:00-18:00", now), wanted, "{now}");
        }
        assert_eq!(held("", "12:00:00"), None);
    }

    #[test]
    fn a_span_may_go_over_midnight_and_join_the_next() {
        let told = |since: &str, until: &str| Some((since.to_owned(), until.to_owned()));
        assert_eq!(held("22:00-06:00", "23:00:00"), told("22 22:00", "23 06:00"));
        assert_eq!(held("22:00-06:00", "05:00:00"), told("21 22:00", "22 06:00"));
        assert_eq!(held("22:00-06:00", "06:00:00"), None);
        assert_eq!(held("08:00-24:00", "09:00:00"), told("22 08:00", "23 00:00"));
        assert_eq!(held("12:00-13:00, 08:00-12:00", "09:00:00"), told("22 08:00", "22 13:00"));
        // No gap at all: it must come to an end all the same.
        assert!(held("00:00-12:00, 12:00-24:00", "09:00:00").is_some());
    }

    #[test]
    fn what_is_no_span_is_refused_by_name() {
        for wrong in
            ["8-18", "08:00", "08:00-25:00", "08:60-09:00", "+8:00-09:00", "08:00-08:00", "a,"]
        {
            assert!(QuietHours::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_later_end_of_pause_and_quiet_hours_counts() {
        let now = at("09:00:00");
        let pause =
            |until: &str| Some(Pause { since: now.timestamp(), until: at(until).timestamp() });
        let by = |pause| hold(&hours("08:00-18:00"), pause, &now).unwrap().by;
        assert_eq!(by(pause("17:00:00")), HeldBy::QuietHours);
        assert_eq!(by(pause("19:00:00")), HeldBy::Pause);
        assert_eq!(hold(&QuietHours::default(), pause("08:59:00"), &now), None, "it is over");
    }
}
