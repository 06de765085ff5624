//! The words of `eyefleet reprocess`.

use clap::{Args, ValueEnum};

use super::since::{Since, since};
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
    /// whole. `detail` is what Ollama writes: with --only-failed it is asked again.
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
    /// The detailed description.
    Detail,
}

impl StageName {
    /// The stage of an analysis; none for what comes from elsewhere.
    pub fn of_analysis(self) -> Option<Stage> {
        match self {
            Self::Embed => Some(Stage::Embed),
            Self::Tag => Some(Stage::Tag),
            Self::Describe => Some(Stage::Describe),
            Self::Faces => Some(Stage::Faces),
            Self::Enrich => Some(Stage::Enrich),
            Self::Detail => None,
        }
    }
}
