//! The owner changed tags or description of one image, or takes such a change back.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AnalyzeDeps, AnalyzeImage, Attempt, Budget, Done, Job, JobError, Origin};
use crate::catalog::{Event, Stage};
use crate::fate::Fate;
use crate::names::{ImageId, LibraryId};
use crate::owners_word::Said;

/// Record what the owner says of one image and enrich the image anew.
/// Safe to repeat, and to come late: what was said of the same last, by `said_at`, counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateImage {
    /// Whose image it is.
    pub library: LibraryId,
    /// Which image.
    pub image: ImageId,
    /// All of its tags; without it they stay as they are.
    #[serde(default)]
    pub tags: Option<Vec<String>>,
    /// Its description, blank for none; without it that stays as it is.
    #[serde(default)]
    pub description: Option<String>,
    /// Takes back what the owner said until then, and sets nothing.
    #[serde(default)]
    pub undo: bool,
    /// When the owner said so.
    pub said_at: Timestamp,
}

impl UpdateImage {
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

    fn said(&self) -> Result<Said, JobError> {
        let said = Said::checked(self.tags.as_deref(), self.description.as_deref())
            .map_err(|why| JobError::new(Fate::Permanent, why).about(&self.image))?;
        if said.is_nothing() && !self.undo {
            let why = "nothing is said of it: give tags, description or undo";
            return Err(JobError::new(Fate::Permanent, why).about(&self.image));
        }
        Ok(said)
    }
}

impl Job for UpdateImage {
    const NAME: &'static str = "update-image";
    const BUDGET: Budget = Budget { attempts: 6, wall_clock: Duration::from_mins(1) };
    type Deps = AnalyzeDeps;

    async fn run(&self, deps: &AnalyzeDeps, attempt: &Attempt) -> Result<Done, JobError> {
        let said = self.said()?;
        if deps.catalog.library(&self.library).await?.is_none() {
            return Ok(Done::Skipped("the library is gone"));
        }
        let corrected = if self.undo {
            deps.catalog.undo_corrections(&self.library, &self.image, self.said_at).await?
        } else {
            deps.catalog.correct(&self.library, &self.image, &said, self.said_at).await?
        };
        let Some(corrected) = corrected else {
            // Its upload may be on its way through another queue.
            let why = format!("library {} has no such image (yet)", self.library);
            return Err(JobError::new(Fate::Transient, why).about(&self.image));
        };
        let image = corrected.image;
        let waiting =
            deps.catalog.waiting_stages(&self.library, &self.image, image.revision).await?;
        if waiting.iter().eq([&Stage::Enrich]) {
            let again = AnalyzeImage {
                library: self.library.clone(),
                image: image.image,
                path: image.path,
                revision: image.revision,
            };
            // The word stands. The stage waits, so a failure of this is mended by reconciliation, and
            // is not told to the owner as a refusal.
            if let Err(error) = again.run(deps, attempt).await {
                tracing::warn!(image = %self.image, %error, "a corrected photo is enriched later");
            }
        }
        Ok(Done::Finished)
    }

    async fn give_up(
        &self,
        deps: &AnalyzeDeps,
        _attempt: &Attempt,
        reason: &str,
    ) -> Result<(), JobError> {
        refused(deps, &self.library, &self.image, "image-update-refused", reason).await
    }
}

/// Whoever asked is told: there may be no image on which the reason could be recorded.
pub(super) async fn refused(
    deps: &AnalyzeDeps,
    library: &LibraryId,
    image: &ImageId,
    kind: &str,
    reason: &str,
) -> Result<(), JobError> {
    if deps.catalog.library(library).await?.is_none() {
        return Ok(());
    }
    let payload = serde_json::json!({ "image": image, "reason": reason });
    deps.catalog.tell(library, &Event { kind: kind.to_owned(), payload }).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_is_as_agreed() {
        let text = r#"{"library":"main","image":"4711","tags":["oma"],"description":"Oma","undo":false,"said_at":"2026-11-22T13:15:00Z"}"#;
        let job: UpdateImage = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&job).unwrap(), text);
        let least = r#"{"library":"main","image":"4711","said_at":"2026-11-22T13:15:00Z"}"#;
        let least: UpdateImage = serde_json::from_str(least).unwrap();
        let error = least.said().unwrap_err();
        assert_eq!(error.fate, Fate::Permanent);
        assert!(error.message.starts_with("4711: "), "{error}");
        assert!(UpdateImage { undo: true, ..least }.said().unwrap().is_nothing());
    }

    #[test]
    fn it_goes_before_uploads() {
        let said_at = "2026-11-22T13:15:00Z".parse().unwrap();
        let (library, image) = (LibraryId::main(), ImageId::new("4711").unwrap());
        let job =
            UpdateImage { library, image, tags: None, description: None, undo: true, said_at };
        let queued = job.queued("r1", &Origin::new(super::super::Source::Cli)).unwrap();
        assert_eq!(queued.lane, fleetq::Lane::Interactive);
        assert_eq!(queued.id, "update-image:main:r1");
    }
}
