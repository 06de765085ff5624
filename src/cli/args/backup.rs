//! The words of `eyefleet backup` and `eyefleet restore`.

use std::path::PathBuf;

use clap::Args;

/// `eyefleet backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// File to write, a tar; one that is there is replaced when the new one is whole. The photos
    /// themselves are not in it.
    pub file: PathBuf,
}

/// `eyefleet restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// A file that `eyefleet backup` wrote. It is restored into the data folder and the database that
    /// the settings name, be that SQLite or PostgreSQL. Photos are not in it.
    pub file: PathBuf,
    /// Replace what is there.
    #[arg(long)]
    pub force: bool,
}
