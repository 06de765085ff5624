//! The words of the command line.

mod backup;
mod export;
mod generations;
mod owner;
mod pause;
mod queue;
mod reprocess;
mod since;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use backup::{BackupArgs, RestoreArgs};
pub use export::{ExportArgs, Limit};
pub use generations::{
    GenerationsArgs, GenerationsCommand, GenerationsDiffArgs, GenerationsListArgs,
};
pub use owner::{CorrectArgs, RemoveArgs};
pub use pause::PauseArgs;
pub use queue::{
    Cap, QueueArgs, QueueCapArgs, QueueCommand, QueueDeadArgs, QueueDrainArgs, QueueFlushArgs,
    QueueName, QueueRedriveArgs, QueueShowArgs, QueueStatusArgs, WhichDead,
};
pub use reprocess::{ReprocessArgs, StageName};
pub use since::Since;

use crate::names::{ImageId, LibraryId};

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 done but some images failed, 130 stopped by Ctrl-C.
Settings: EYEFLEET_DATA, REDIS_URL, DATABASE_URL and every key of config/default.toml as EYEFLEET_<SECTION>__<KEY>.";

/// Self-hosted AI for photo libraries.
#[derive(Debug, Parser)]
#[command(name = "eyefleet", version, about, after_help = EXIT_CODES, propagate_version = true)]
pub struct Cli {
    /// Settings file, laid over the built-in settings.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print data as JSON on standard output.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a whole fleet on this machine: a private Redis and every role, until Ctrl-C.
    Up(UpArgs),
    /// Run one role as a process of a fleet, whose Redis and database the settings name.
    Run(RunArgs),
    /// Add photos: files or folders. What lies outside the library's folder is copied into it.
    Add(AddArgs),
    /// Show queues, workers, images and what is learned.
    Status(LibraryArgs),
    /// Show what is known of one image.
    Show(ShowArgs),
    /// Say what an image shows: tags and description that stay, whatever models say.
    Correct(CorrectArgs),
    /// Remove images from the library for good. Their files are not touched.
    Remove(RemoveArgs),
    /// Bring known images up to date: with what was learned since, what failed, or all anew.
    Reprocess(ReprocessArgs),
    /// Write a snapshot of the library's metadata; training follows unless that is off.
    Export(ExportArgs),
    /// Learn from the newest snapshot.
    Train(TrainArgs),
    /// Search photos by what is in them.
    Search(SearchArgs),
    /// Do no backfill and no training for a while.
    ///
    /// Uploads are analyzed all the same, a training that runs goes on to its end, and one asked for by
    /// hand is done.
    Pause(PauseArgs),
    /// End a pause.
    Resume,
    /// List what was learned, compare it, go back to it.
    Generations(GenerationsArgs),
    /// Write catalogue, snapshots and what was learned into one file, while the fleet works.
    Backup(BackupArgs),
    /// Put back what a backup holds, verified first; no fleet may run meanwhile.
    Restore(RestoreArgs),
    /// Look for what is wrong with Redis, database, volume, runtime and packs, and say what mends it.
    Doctor(DoctorArgs),
    /// Pause, resume and drain queues, look at their jobs, bring dead ones back or forget them.
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Add, list and purge libraries: one tenant's photos each.
    #[command(subcommand)]
    Library(LibraryCommand),
    /// Show the settings.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Draw a sample library and show the whole way from upload to search on it.
    Demo(DemoArgs),
    /// Print shell completions.
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
}

/// A role of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Analyzes photos.
    Analyze,
    /// Writes snapshots.
    Export,
    /// Learns from snapshots.
    Train,
    /// Keeps queue and catalogue together, relays events.
    Intake,
    /// Answers HTTP.
    Serve,
}

impl Role {
    /// The word on the command line, in logs and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Analyze => "analyze",
            Self::Export => "export",
            Self::Train => "train",
            Self::Intake => "intake",
            Self::Serve => "serve",
        }
    }
}

/// Which library.
#[derive(Debug, Clone, Args)]
pub struct LibraryArgs {
    /// Library in question.
    #[arg(long, default_value = "main")]
    pub library: LibraryId,
}

/// `eyefleet up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// Analyze processes to run (default: analyze.replicas).
    #[arg(long)]
    pub replicas: Option<usize>,
    /// Folder of photos to keep the library equal to: what is new, changed, moved or deleted there.
    #[arg(long, value_name = "DIR")]
    pub photos: Option<PathBuf>,
    /// Library that the folder belongs to.
    #[arg(long, default_value = "main")]
    pub library: LibraryId,
}

/// `eyefleet doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// First repair what is safe to repair: photos without a job, jobs without a photo, jobs of lost
    /// workers, analyses that are missing, faces that hang on nothing.
    #[arg(long)]
    pub repair: bool,
}

/// `eyefleet library ...`.
#[derive(Debug, Subcommand)]
pub enum LibraryCommand {
    /// Add a library, or change where its photos lie.
    Add(LibraryAddArgs),
    /// List the libraries.
    List,
    /// Delete a library with everything that is known of it. The photos of a watched folder stay.
    Purge(LibraryPurgeArgs),
}

/// `eyefleet library add`.
#[derive(Debug, Args)]
pub struct LibraryAddArgs {
    /// Its name: small letters, digits and dashes.
    pub name: LibraryId,
    /// Folder of its photos, which is watched (default: a folder beneath the data folder that only
    /// `eyefleet add` fills).
    #[arg(long, value_name = "DIR")]
    pub photos: Option<PathBuf>,
}

/// `eyefleet library purge`.
#[derive(Debug, Args)]
pub struct LibraryPurgeArgs {
    /// Its name.
    pub name: LibraryId,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}

/// `eyefleet config ...`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Every setting with its value and where that comes from.
    Show,
}

/// `eyefleet run ROLE`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Which role.
    pub role: Role,
    /// Write the address of the health pages into this file once they answer.
    #[arg(long, hide = true, value_name = "FILE")]
    pub announce: Option<PathBuf>,
    /// Stop when standard input ends: the supervisor is gone then.
    #[arg(long, hide = true)]
    pub stop_with_stdin: bool,
}

/// `eyefleet add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// Files and folders; folders with everything below them.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Library in question.
    #[arg(long, default_value = "main")]
    pub library: LibraryId,
    /// Wait until all of them are analyzed.
    #[arg(long)]
    pub wait: bool,
}

/// `eyefleet show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The image's id: its path within the library where it was added from files.
    pub image: ImageId,
    /// Library in question.
    #[arg(long, default_value = "main")]
    pub library: LibraryId,
}

/// `eyefleet train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Learn again even when the newest snapshot was learned from already.
    #[arg(long)]
    pub force: bool,
    /// Make it current even where it is a step back (a setting says how far that goes).
    #[arg(long)]
    pub publish_anyway: bool,
    /// Library in question.
    #[arg(long, default_value = "main")]
    pub library: LibraryId,
    /// Wait until the generation is current.
    #[arg(long)]
    pub wait: bool,
}

/// `eyefleet search`.
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// What should be in the picture.
    #[arg(required = true, num_args = 1.., value_name = "TEXT")]
    pub text: Vec<String>,
    /// Most hits to show.
    #[arg(long, short = 'n', default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub limit: u64,
    /// Library in question.
    #[arg(long, default_value = "main")]
    pub library: LibraryId,
}

/// `eyefleet demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Pictures in the sample library; each of the 52 subjects comes equally often.
    #[arg(long, default_value_t = 312, value_parser = clap::value_parser!(u64).range(40..=100_000))]
    pub images: u64,
    /// New pictures that are analyzed after the training.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub new_images: u64,
    /// Folder for everything; must be empty or absent (default: a new temporary folder).
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Seed of the drawings.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Wrong on purpose, to show that the demo notices.
    #[arg(long, hide = true, value_enum)]
    pub sabotage: Option<Sabotage>,
}

/// What the demo can be made to do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sabotage {
    /// Every picture gets another one's vector before the export.
    ShuffledVectors,
    /// Redis is emptied while pictures are analyzed.
    FlushedRedis,
    /// Workers of every kind are killed while they work.
    KilledWorkers,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_is_as_agreed() {
        insta::assert_snapshot!(Cli::command().render_long_help());
    }

    #[test]
    fn the_help_of_queues_is_as_agreed() {
        let mut command = Cli::command();
        // What is global is told above.
        command.build();
        let group = command.find_subcommand_mut("queue").unwrap();
        let mut help = group.render_help().to_string();
        for verb in group.get_subcommands_mut().filter(|verb| verb.get_name() != "help") {
            help.push('\n');
            help.push_str(&verb.render_usage().to_string());
        }
        insta::assert_snapshot!(help);
    }
}
