//! The words of `eyefleet generations`.

use clap::{Args, Subcommand};

use crate::names::{GenerationNumber, LibraryId};

/// `eyefleet generations ...`.
#[derive(Debug, Args)]
pub struct GenerationsArgs {
    /// Library in question.
    #[arg(long, default_value = "main", global = true)]
    pub library: LibraryId,
    /// What to do with them; without it they are listed.
    #[command(subcommand)]
    pub command: Option<GenerationsCommand>,
    /// How the list is made where no command is given.
    #[command(flatten)]
    pub list: GenerationsListArgs,
}

/// What to do with generations.
#[derive(Debug, Subcommand)]
pub enum GenerationsCommand {
    /// List what was learned, newest first (also without this word).
    List(GenerationsListArgs),
    /// Show how one was learned and what it holds.
    Show {
        /// Its number (default: the current one).
        #[arg(value_parser = number, allow_negative_numbers = true)]
        number: Option<GenerationNumber>,
    },
    /// Show what appears, disappears and changes from one to another.
    Diff(GenerationsDiffArgs),
    /// Make an earlier one current again. Workers apply it at once; the next training goes on from
    /// there.
    Rollback {
        /// Its number (default: the newest published one before the current).
        #[arg(value_parser = number, allow_negative_numbers = true)]
        number: Option<GenerationNumber>,
    },
    /// Keep the files of one however old it is.
    Pin {
        /// Its number.
        #[arg(value_parser = number, allow_negative_numbers = true)]
        number: GenerationNumber,
    },
    /// End that.
    Unpin {
        /// Its number.
        #[arg(value_parser = number, allow_negative_numbers = true)]
        number: GenerationNumber,
    },
}

/// `eyefleet generations list`.
#[derive(Debug, Clone, Args)]
pub struct GenerationsListArgs {
    /// Most generations to show.
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub limit: u64,
}

/// `eyefleet generations diff`.
#[derive(Debug, Args)]
pub struct GenerationsDiffArgs {
    /// The one to compare with (default: the one before the other).
    #[arg(value_parser = number, allow_negative_numbers = true)]
    pub from: Option<GenerationNumber>,
    /// The one whose differences are shown (default: the current one).
    #[arg(value_parser = number, allow_negative_numbers = true)]
    pub to: Option<GenerationNumber>,
    /// Names shown of each kind of difference.
    #[arg(long, short = 'n', default_value_t = 10)]
    pub limit: usize,
}

fn number(text: &str) -> Result<GenerationNumber, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(GenerationNumber(number)),
        _ => Err("give the number of a generation, from 1".to_owned()),
    }
}
