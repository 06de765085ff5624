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
    /// Where the cause lies, in one word of a closed set: for the metrics.
    pub room: &'static str,
    /// Input, cause and next step, in the words of the room that failed.
    pub message: String,
    /// The input that [`JobError::about`] put in front of the message.
    pub(super) input: Option<String>,
    /// The causes below it, outermost first.
    pub chain: Vec<String>,
    /// When to try again, where the failure itself knows. With [`Fate::Away`] it says as well that
    /// only this library meets it: see `JobError::is_of_one_library`.
    pub retry_after: Option<Duration>,
}

impl JobError {
    /// A failure of class `fate` that says `message`.
    pub fn new(fate: Fate, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { fate, room: "other", message, input: None, chain: Vec::new(), retry_after: None }
    }

    /// The same failure, with its cause in `room`.
    #[must_use]
    pub(super) fn of(self, room: &'static str) -> Self {
        Self { room, ..self }
    }

    /// The same failure, with the input that the failing room did not know.
    #[must_use]
    pub fn about(mut self, input: &impl std::fmt::Display) -> Self {
        let input = input.to_string();
        self.message = format!("{input}: {}", self.message);
        self.input = Some(input);
        self
    }

    /// The message without the input: for a dead letter, which names its input itself, so that
    /// those of the same cause read the same.
    pub(super) fn without_input(&self) -> &str {
        let input = self.input.as_deref();
        let rest = input.and_then(|input| self.message.strip_prefix(input)?.strip_prefix(": "));
        rest.unwrap_or(&self.message)
    }

    /// Something newer has written: nothing to do any more.
    pub fn superseded(why: impl Into<String>) -> Self {
        Self::new(Fate::Superseded, why)
    }

    /// Whether what is away is one library's own, its folder, and no store that all jobs share: the
    /// others go on then. Only such a failure knows when to try again.
    pub(super) fn is_of_one_library(&self) -> bool {
        self.fate == Fate::Away && self.retry_after.is_some()
    }

    fn from_room(room: &'static str, fate: Fate, error: &dyn std::error::Error) -> Self {
        let causes = std::iter::successors(error.source(), |cause| cause.source());
        let chain = causes.map(ToString::to_string).take(16).collect();
        Self { room, chain, ..Self::new(fate, error.to_string()) }
    }
}

/// Lets `?` carry a room's error, with the fate that the room gives it.
macro_rules! carries {
    ($($room:literal: $error:ty),* $(,)?) => {
        $(impl From<$error> for JobError {
            fn from(error: $error) -> Self {
                Self::from_room($room, error.fate(), &error)
            }
        })*
    };
}

carries!(
    "picture": crate::vision::DecodeError,
    "models": crate::vision::VisionError,
    "catalog": crate::catalog::CatalogError,
    "volume": crate::library_lock::LockError,
    "snapshot": crate::snapshot::SnapshotError,
    "learning": crate::learning::LearnError,
    "generation": crate::generation::GenerationError,
    "board": crate::board::BoardError,
    "ollama": crate::ollama::OllamaError,
);

impl From<OriginalError> for JobError {
    fn from(error: OriginalError) -> Self {
        // Every photo of the folder meets it at once: not every few seconds.
        let retry_after = matches!(error, OriginalError::Root { .. }).then_some(FOLDER_AWAY_PAUSE);
        Self { retry_after, ..Self::from_room("photo", error.fate(), &error) }
    }
}

impl From<fleetq::QueueError> for JobError {
    fn from(error: fleetq::QueueError) -> Self {
        // Redis may come back; what it or the queue refuses for good is refused the next time too.
        let fate = if error.is_transient() { Fate::Away } else { Fate::Permanent };
        Self::from_room("queue", fate, &error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_folder_that_is_away_is_of_one_library() {
        let root = std::path::PathBuf::from("/photos");
        let cause = std::io::Error::from(std::io::ErrorKind::NotFound);
        let folder = JobError::from(OriginalError::Root { root, cause });
        assert!(folder.is_of_one_library(), "{folder}");
        let database = crate::catalog::CatalogError::Busy { cause: "x".into() };
        assert!(!JobError::from(database).is_of_one_library());
    }

    #[test]
    fn a_failure_reads_the_same_for_every_input() {
        let slow = JobError::new(Fate::Poison, "decoding took longer than 30 s");
        assert_eq!(slow.without_input(), "decoding took longer than 30 s");
        let slow = slow.about(&"2024/a.jpg");
        assert_eq!(slow.message, "2024/a.jpg: decoding took longer than 30 s");
        assert_eq!(slow.without_input(), "decoding took longer than 30 s");
    }

    #[test]
    fn a_refusal_of_the_queue_is_not_waited_out() {
        let refused =
            fleetq::QueueError::PayloadTooLarge { id: "1".into(), bytes: 2, bytes_max: 1 };
        assert_eq!(JobError::from(refused).fate, Fate::Permanent);
        let left = fleetq::QueueError::StillMoving { prefix: "a".into(), left: 1 };
        assert_eq!(JobError::from(left).fate, Fate::Away);
    }
}
