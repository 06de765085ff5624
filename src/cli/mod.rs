//! The command line: its words, its output, its exit codes.

/// Prints a line of a command's output. An output that was closed (`eyefleet status | head -1`) is
/// an error to hand up, not a panic.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::cli::print_line(format_args!($($text)*))?
    };
}

mod add;
pub mod args;
mod backup;
mod client;
mod correct;
mod doctor;
mod export;
mod follow_folder;
mod generations;
pub mod library;
mod pause;
mod progress;
mod purge;
mod queue;
mod queued;
mod remove;
mod repair;
mod reprocess;
mod search;
mod settings;
mod show;
mod status;
mod train;

use std::process::ExitCode;

pub use args::{Cli, Command, Role};
pub use client::Client;
pub use progress::Progress;

/// Exit codes, also listed by `eyefleet --help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Something failed; the message says what.
    Failed = 1,
    /// The command line itself is wrong (clap uses the same number).
    Usage = 2,
    /// What was asked for does not exist, or the search found nothing.
    NotFound = 3,
    /// Done, but some of the images failed.
    SomeFailed = 4,
    /// Ctrl-C ended the wait; what was asked for holds (the shell's number for SIGINT).
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Writes one line to standard output.
pub(crate) fn print_line(line: std::fmt::Arguments<'_>) -> std::io::Result<()> {
    use std::io::Write;
    writeln!(std::io::stdout().lock(), "{line}")
}

/// Runs a command that needs a fleet's stores and no process of its own.
///
/// # Errors
/// What the command failed with, for `main` to print.
pub async fn run(client: Client, command: Command, json: bool) -> anyhow::Result<Exit> {
    match command {
        Command::Add(args) => add::add(&client, &args, json).await,
        Command::Status(args) => status::status(&client, &args, json).await,
        Command::Show(args) => show::show(&client, &args, json).await,
        Command::Export(args) => export::export(&client, &args, json).await,
        Command::Train(args) => train::train(&client, &args, json).await,
        Command::Search(args) => search::search(&client, &args, json).await,
        Command::Pause(args) => pause::pause(&client, &args, json).await,
        Command::Resume => pause::resume(&client, json).await,
        Command::Generations(args) => generations::generations(&client, &args, json).await,
        Command::Queue(command) => queue::queue(&client, &command, json).await,
        Command::Library(command) => library::library(&client, &command, json).await,
        Command::Reprocess(args) => reprocess::reprocess(&client, &args, json).await,
        Command::Correct(args) => correct::correct(&client, &args, json).await,
        Command::Remove(args) => remove::remove(&client, &args, json).await,
        Command::Run(_)
        | Command::Up(_)
        | Command::Demo(_)
        | Command::Doctor(_)
        | Command::Backup(_)
        | Command::Restore(_)
        | Command::Config(_)
        | Command::Completions { .. } => {
            anyhow::bail!("this command is not one of a client")
        }
    }
}

pub use add::{Added, add_files};
pub use backup::{backup, restore};
pub use doctor::doctor;
pub use export::export_and_wait;
pub use follow_folder::follow_folder;
pub use library::attach;
pub use search::{open_follower_and_encoder, open_searcher};
pub use settings::config;
pub use train::{How, train_and_wait};
