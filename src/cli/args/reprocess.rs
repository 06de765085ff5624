//! The words of `eyefleet reprocess`.

use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::catalog::Stage;
use crate::names::LibraryId;

/// `eyefleet reprocess`.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
#[derive(Debug, Args)]
#[command(
    group = clap::ArgGroup::new("kind").multiple(true).args(["only_missing", "only_failed", "force"]),
    after_help = "Without --only-missing, --only-failed or --force: images that another generation than the current \
                  one has enriched, or none. Only what was learned is applied to them, no model runs and no original \
                  is read. Uploads go first, and a few batches wait at a time. Ctrl-C leaves everything consistent: \
                  what is in the queue is done, and the same command does the rest."
)]
pub struct ReprocessArgs {
    /// Images handed to the workers at once; four such batches wait at most.
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub batch: u64,
    /// What was skipped for a reason that is gone, and what another pack than the one in use has seen.
    #[arg(long)]
    pub only_missing: bool,
    /// What failed.
    #[arg(long)]
    pub only_failed: bool,
    /// Everything: the models look at every image again.
    #[arg(long, conflicts_with_all = ["only_missing", "only_failed"])]
    pub force: bool,
    /// Only this stage; may be given several times. Where one of them needs the models, they run as a
    /// whole.
    #[arg(long = "stage", value_name = "STAGE", requires = "kind")]
    pub stages: Vec<StageName>,
    /// Only images that were recorded since then: a date, a time (RFC 3339), or how long ago (30m, 12h,
    /// 7d, 2w).
    #[arg(long, value_name = "WHEN", value_parser = since)]
    pub since: Option<Since>,
    /// Say how many images it would be and why, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Library in question.
    #[arg(long, default_value = "main")]
    pub library: LibraryId,
}

/// A stage by its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StageName {
    /// The vector.
    Embed,
    /// Tags and categories.
    Tag,
    /// The description.
    Describe,
    /// Faces.
    Faces,
    /// What was learned.
    Enrich,
}

impl From<StageName> for Stage {
    fn from(name: StageName) -> Self {
        match name {
            StageName::Embed => Self::Embed,
            StageName::Tag => Self::Tag,
            StageName::Describe => Self::Describe,
            StageName::Faces => Self::Faces,
            StageName::Enrich => Self::Enrich,
        }
    }
}

/// A moment, as a person names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// That moment.
    At(Timestamp),
    /// So long ago.
    Ago(SignedDuration),
}

impl Since {
    /// The moment, seen from `now`.
    pub fn moment(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(moment) => moment,
            Self::Ago(span) => now.checked_sub(span).unwrap_or(Timestamp::MIN),
        }
    }
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(Since::At(moment));
    }
    if let Ok(date) = text.parse::<jiff::civil::Date>()
        && let Ok(morning) = date.to_zoned(TimeZone::system())
    {
        return Ok(Since::At(morning.timestamp()));
    }
    ago(text).map(Since::Ago).ok_or_else(|| {
        "give a date (2026-11-22), a time (2026-11-22T13:15:00Z) or how long ago (30m, 12h, 7d, 2w)"
            .to_owned()
    })
}

fn ago(text: &str) -> Option<SignedDuration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let hours = match unit {
        "m" => return Some(SignedDuration::from_mins(digits.parse::<u32>().ok()?.into())),
        "h" => 1,
        "d" => 24,
        "w" => 24 * 7,
        _ => return None,
    };
    Some(SignedDuration::from_hours(i64::from(digits.parse::<u32>().ok()?) * hours))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_date_a_time_or_how_long_ago() {
        let now: Timestamp = "2026-11-22T13:15:00Z".parse().unwrap();
        let moment = |text| since(text).map(|since| since.moment(now).to_string());
        assert_eq!(moment("2026-11-01T10:00:00Z").unwrap(), "2026-11-01T10:00:00Z");
        assert_eq!(moment("7d").unwrap(), "2026-11-15T13:15:00Z");
        assert_eq!(moment("90m").unwrap(), "2026-11-22T11:45:00Z");
        assert_eq!(moment("1w").unwrap(), moment("168h").unwrap());
        assert!(moment("2026-11-01").unwrap().starts_with("202"));
        for bad in ["", "d", "7", "-7d", "7y", "yesterday", "2026-13-01", "ü"] {
            assert!(since(bad).is_err(), "{bad:?}");
        }
        let ever = since("4000000000w").unwrap().moment(now);
        assert!(ever <= now, "so long ago that there is no such time");
    }
}
