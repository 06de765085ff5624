//! What a job fails with: the words of the room that failed, and their fate.

use std::time::Duration;

use crate::fate::Fate;
use crate::originals::OriginalError;

/// Pause of a photo whose library's folder is away: a drive is not mounted again in seconds.
const FOLDER_AWAY_PAUSE: Duration = Duration::from_secs(30);

/// A failure on its way from a room to the runner.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct JobError {
    /// What it means for this job.
    pub fate: Fate,
    /// Input, cause and next step, in the words of the room that failed.
    pub message: String,
    /// The causes below it, outermost first.
    pub chain: Vec<String>,
    /// When to try again, where the failure itself knows.
    pub retry_after: Option<Duration>,
}

impl JobError {
    /// A failure of class `fate` that says `message`.
    pub fn new(fate: Fate, message: impl Into<String>) -> Self {
        Self { fate, message: message.into(), chain: Vec::new(), retry_after: None }
    }

    /// The same failure, with the input that the failing room did not know.
    #[must_use]
    pub fn about(mut self, input: &impl std::fmt::Display) -> Self {
        self.message = format!("{input}: {}", self.message);
        self
    }

    /// Something newer has written: nothing to do any more.
    pub fn superseded(why: impl Into<String>) -> Self {
        Self::new(Fate::Superseded, why)
    }

    fn from_room(fate: Fate, error: &dyn std::error::Error) -> Self {
        let causes = std::iter::successors(error.source(), |cause| cause.source());
        let chain = causes.map(ToString::to_string).take(16).collect();
        Self { chain, ..Self::new(fate, error.to_string()) }
    }
}

/// Lets `?` carry a room's error, with the fate that the room gives it.
macro_rules! carries {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for JobError {
            fn from(error: $error) -> Self {
                Self::from_room(error.fate(), &error)
            }
        })*
    };
}

carries!(
    crate::vision::DecodeError,
    crate::vision::VisionError,
    crate::catalog::CatalogError,
    crate::library_lock::LockError,
    crate::snapshot::SnapshotError,
    crate::learning::LearnError,
    crate::generation::GenerationError,
    crate::board::BoardError,
);

impl From<OriginalError> for JobError {
    fn from(error: OriginalError) -> Self {
        // Every photo of the folder meets it at once: not every few seconds.
        let retry_after = matches!(error, OriginalError::Root { .. }).then_some(FOLDER_AWAY_PAUSE);
        Self { retry_after, ..Self::from_room(error.fate(), &error) }
    }
}

impl From<fleetq::QueueError> for JobError {
    fn from(error: fleetq::QueueError) -> Self {
        // A job meets the queue only to enqueue what follows from it: worth another try.
        Self::from_room(Fate::Away, &error)
    }
}
