//! The owner removed one image from the library.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::update_image::refused;
use super::{AnalyzeDeps, Attempt, Budget, Done, Job, JobError, Origin};
use crate::catalog::OwnerRemoval;
use crate::fate::Fate;
use crate::names::{ImageId, LibraryId};

/// Remove one image from the library for good; its file is not touched.
/// Safe to repeat: a removal that was carried out takes nothing away that was added after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveImage {
    /// Whose image it is.
    pub library: LibraryId,
    /// Which image.
    pub image: ImageId,
    /// When the owner said so.
    pub said_at: Timestamp,
}

impl RemoveImage {
    /// The job in the form that the queue takes; `request` tells apart those of one library.
    ///
    /// # Errors
    /// When it does not become JSON.
    pub fn queued(&self, request: &str, origin: &Origin) -> Result<fleetq::NewJob, JobError> {
        let id = format!("{}:{}:{request}", Self::NAME, self.library);
        let job = super::queued(self, id, origin)?;
        // The owner looks at the screen.
        Ok(job.in_lane(fleetq::Lane::Interactive))
    }
}

impl Job for RemoveImage {
    const NAME: &'static str = "remove-image";
    const BUDGET: Budget = Budget { attempts: 6, wall_clock: Duration::from_mins(1) };
    type Deps = AnalyzeDeps;

    async fn run(&self, deps: &AnalyzeDeps, _attempt: &Attempt) -> Result<Done, JobError> {
        if deps.catalog.library(&self.library).await?.is_none() {
            return Ok(Done::Skipped("the library is gone"));
        }
        let removal =
            deps.catalog.remove_for_owner(&self.library, &self.image, self.said_at).await?;
        match removal {
            OwnerRemoval::Removed | OwnerRemoval::WasRemoved => Ok(Done::Finished),
            OwnerRemoval::Repeated => Ok(Done::Skipped("it was removed before")),
            OwnerRemoval::Unknown => {
                // Its upload may be on its way through another queue.
                let why = format!("library {} has no such image (yet)", self.library);
                Err(JobError::new(Fate::Transient, why).about(&self.image))
            }
        }
    }

    async fn give_up(
        &self,
        deps: &AnalyzeDeps,
        _attempt: &Attempt,
        reason: &str,
    ) -> Result<(), JobError> {
        refused(deps, &self.library, &self.image, "image-removal-refused", reason).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_is_as_agreed() {
        let text = r#"{"library":"main","image":"4711","said_at":"2026-11-22T13:15:00Z"}"#;
        let job: RemoveImage = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&job).unwrap(), text);
    }
}
