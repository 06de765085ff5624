//! The words of `eyefleet queue`.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use clap::{Args, Subcommand, ValueEnum};

/// `eyefleet queue ...`.
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// Show what queues hold, how fast they are worked off and how long that will take.
    Status(QueueStatusArgs),
    /// Give out no more jobs until `resume`. Running jobs go on, new ones are taken and wait.
    Pause(QueueArgs),
    /// End a pause or a drain.
    Resume(QueueArgs),
    /// Take no new jobs until `resume`, and wait until those that are there are done.
    Drain(QueueDrainArgs),
    /// List the newest dead letters: jobs that were given up because they harm their worker.
    Dead(QueueDeadArgs),
    /// Show everything known of one job.
    Show(QueueShowArgs),
    /// Bring dead letters back: they are tried again as if they were new.
    Redrive(QueueRedriveArgs),
    /// Forget dead letters for good. Photos among them stay failed.
    Flush(QueueFlushArgs),
    /// Limit the jobs that the whole fleet works on at once.
    Cap(QueueCapArgs),
}

/// A queue of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum QueueName {
    /// Photos to analyze.
    Analyze,
    /// Snapshots to write.
    Export,
    /// Generations to learn.
    Train,
    /// Photos to describe in detail.
    Detail,
}

impl QueueName {
    /// All queues, in the order of the fleet.
    pub const ALL: [Self; 4] = [Self::Analyze, Self::Export, Self::Train, Self::Detail];

    /// The name, as in Redis.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Analyze => "analyze",
            Self::Export => "export",
            Self::Train => "train",
            Self::Detail => "detail",
        }
    }
}

impl std::fmt::Display for QueueName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Which queue.
#[derive(Debug, Clone, Args)]
pub struct QueueArgs {
    /// Queue in question.
    pub queue: QueueName,
}

/// `eyefleet queue status`.
#[derive(Debug, Args)]
pub struct QueueStatusArgs {
    /// Queue in question (default: all).
    pub queue: Option<QueueName>,
    /// Also show the last N runs that ended.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = runs, allow_negative_numbers = true)]
    pub history: u64,
}

/// `eyefleet queue drain`.
#[derive(Debug, Args)]
pub struct QueueDrainArgs {
    /// Queue in question.
    pub queue: QueueName,
    /// Do not wait for the end.
    #[arg(long)]
    pub no_wait: bool,
}

/// `eyefleet queue dead`.
#[derive(Debug, Args)]
pub struct QueueDeadArgs {
    /// Queue in question.
    pub queue: QueueName,
    /// Most dead letters to show.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20, value_parser = letters, allow_negative_numbers = true)]
    pub limit: u64,
    /// Count all of them by cause.
    #[arg(long, conflicts_with = "limit")]
    pub by_cause: bool,
}

/// `eyefleet queue show`.
#[derive(Debug, Args)]
pub struct QueueShowArgs {
    /// Queue in question.
    pub queue: QueueName,
    /// Id of the job.
    pub id: String,
}

/// Which dead letters.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct WhichDead {
    /// Id of one of them.
    pub id: Option<String>,
    /// All of them.
    #[arg(long)]
    pub all: bool,
    /// Those whose cause contains this text, or that died this way: dead, quarantined, broken.
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub cause: Option<String>,
}

/// `eyefleet queue redrive`.
// Written by hand: the generated line would put the queue last.
#[derive(Debug, Args)]
#[command(override_usage = "eyefleet queue redrive [OPTIONS] <QUEUE> <ID|--all|--cause <TEXT>>")]
pub struct QueueRedriveArgs {
    /// Queue in question.
    pub queue: QueueName,
    /// Which dead letters.
    #[command(flatten)]
    pub which: WhichDead,
}

/// `eyefleet queue flush`.
#[derive(Debug, Args)]
#[command(override_usage = "eyefleet queue flush [OPTIONS] <QUEUE> <ID|--all|--cause <TEXT>>")]
pub struct QueueFlushArgs {
    /// Queue in question.
    pub queue: QueueName,
    /// Which dead letters.
    #[command(flatten)]
    pub which: WhichDead,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}

/// `eyefleet queue cap`.
#[derive(Debug, Args)]
pub struct QueueCapArgs {
    /// Queue in question.
    pub queue: QueueName,
    /// Most jobs at once, or `none`: no limit but the workers' slots.
    #[arg(value_parser = cap, value_name = "N|none", allow_negative_numbers = true)]
    pub cap: Cap,
}

/// The most jobs at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap(pub Option<NonZeroU32>);

fn cap(text: &str) -> Result<Cap, String> {
    let range = format!("give a whole number from 1 to {}, or none for no limit", u32::MAX);
    match text.parse::<u32>().map(NonZeroU32::new) {
        Ok(Some(jobs)) => Ok(Cap(Some(jobs))),
        Ok(None) => Err(format!(
            "a cap of 0 is a pause: `eyefleet queue pause QUEUE` does that; else {range}"
        )),
        Err(_) if text == "none" => Ok(Cap(None)),
        Err(_) => Err(range),
    }
}

fn runs(text: &str) -> Result<u64, String> {
    number(text, 0..=1000)
}

fn letters(text: &str) -> Result<u64, String> {
    number(text, 1..=1000)
}

fn number(text: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("give a whole number from {} to {}", range.start(), range.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_is_a_number_or_none() {
        assert_eq!(cap("none"), Ok(Cap(None)));
        assert_eq!(cap("12"), Ok(Cap(NonZeroU32::new(12))));
        assert!(cap("0").unwrap_err().contains("pause"));
        for bad in ["-1", "all", "", "4294967296"] {
            assert!(cap(bad).unwrap_err().contains("from 1 to 4294967295"), "{bad:?}");
        }
    }

    #[test]
    fn a_number_out_of_its_range_is_told_the_range() {
        assert_eq!((runs("0"), letters("1000")), (Ok(0), Ok(1000)));
        for bad in ["x", "-1", "1001", ""] {
            assert_eq!(runs(bad).unwrap_err(), "give a whole number from 0 to 1000", "{bad:?}");
        }
        assert_eq!(letters("0").unwrap_err(), "give a whole number from 1 to 1000");
    }

    #[test]
    fn the_names_are_those_of_the_fleets_queues() {
        assert_eq!(QueueName::ALL.map(QueueName::as_str), crate::cli::client::QUEUES);
    }
}
