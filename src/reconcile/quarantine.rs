//! What the catalogue says of photos whose job is a dead letter.
//!
//! What must stay true: while a photo waits, reconciliation offers it; so one whose job is
//! quarantined is failed with the cause, and waits again only when its job is brought back.

use fleetq::{DeadFilter, JobState, Queue};

use super::analyze_job;
use crate::catalog::{Catalog, Stage, StageState, Stored, WaitingImage};
use crate::jobs::{AnalyzeImage, Job, JobError, Origin, offer};
use crate::names::{Fence, ImageId, LibraryId, Revision};

/// Records on the photo of this dead letter that it was quarantined, where it still waits: a worker
/// that was killed by it told nobody. Answers whether that is recorded now.
///
/// # Errors
/// When the catalogue is away.
pub async fn tell(catalog: &Catalog, letter: &JobState) -> Result<bool, JobError> {
    let Some(photo) = photo_of(letter) else { return Ok(false) };
    if !catalog.is_waiting(&photo.library, &photo.image, photo.revision).await? {
        return Ok(false);
    }
    fail(catalog, &photo.library, &photo.image, photo.revision, letter).await
}

/// Puts the failed stages of this dead letter's photo back to waiting, where it still has the
/// content that the job is about. Answers whether there were any.
///
/// # Errors
/// When the catalogue is away.
pub async fn reopen(catalog: &Catalog, letter: &JobState) -> Result<bool, JobError> {
    let Some(job) = photo_of(letter) else { return Ok(false) };
    let Some(photo) = catalog.image(&job.library, &job.image).await? else { return Ok(false) };
    if photo.revision != job.revision {
        return Ok(false);
    }
    let failed = photo.stages.iter().filter(|stage| stage.state == StageState::Failed);
    let failed: Vec<Stage> = failed.map(|stage| stage.stage).collect();
    if failed.is_empty() {
        return Ok(false);
    }
    let reset = catalog.reset_stages(&job.library, &[job.image], &failed).await?;
    Ok(reset > 0)
}

/// Gives the photo of this dead letter a new job, made from what the catalogue knows, and forgets the
/// letter: for one whose own job cannot be read any more. Answers whether it did; it does not where
/// the photo has other content meanwhile, or nothing of it is left to do.
///
/// # Errors
/// When the catalogue or Redis is away. Once the letter is gone the photo waits without a job, and
/// reconciliation offers it.
pub async fn replace(
    catalog: &Catalog,
    queue: &Queue,
    letter: &JobState,
    origin: &Origin,
) -> Result<bool, JobError> {
    let Some(job) = photo_of(letter) else { return Ok(false) };
    reopen(catalog, letter).await?;
    if !catalog.is_waiting(&job.library, &job.image, job.revision).await? {
        return Ok(false);
    }
    let Some(photo) = catalog.image(&job.library, &job.image).await? else { return Ok(false) };
    let waiting = WaitingImage { image: job.image, path: photo.path, revision: job.revision };
    let new = analyze_job(&job.library, &waiting, letter.lane, origin);
    // It holds the id that the new job needs.
    queue.flush(&DeadFilter::Id(letter.id.clone())).await?;
    // A queue that is being drained takes it later, from reconciliation.
    offer(queue, vec![new]).await?;
    Ok(true)
}

/// Records that this image's job was quarantined; `false` where something newer has written.
pub(super) async fn fail(
    catalog: &Catalog,
    library: &LibraryId,
    image: &ImageId,
    revision: Revision,
    letter: &JobState,
) -> Result<bool, JobError> {
    let cause = letter.failure.as_ref().map_or("", |failure| &failure.cause);
    let reason = format!("its analysis was quarantined: {cause}");
    let fence = Fence(letter.token);
    // What was done before stands.
    let waiting = catalog.waiting_stages(library, image, revision).await?;
    let stages: Vec<Stage> = waiting.into_iter().collect();
    if stages.is_empty() {
        return Ok(false);
    }
    let stored = catalog.fail_image(library, image, revision, fence, &reason, &stages).await?;
    Ok(stored == Stored::Stored)
}

/// The photo that a dead letter is about, with the revision of its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterPhoto {
    pub(super) library: LibraryId,
    pub(super) image: ImageId,
    pub(super) revision: Revision,
}

/// Which photo a dead letter is about: as its payload says, or as its id does where the payload is
/// broken. None where neither tells; a long image id stands in the job's id as a hash only.
pub fn photo_of(letter: &JobState) -> Option<LetterPhoto> {
    if let Ok(job) = serde_json::from_slice::<AnalyzeImage>(&letter.payload) {
        return Some(LetterPhoto {
            library: job.library,
            image: job.image,
            revision: job.revision,
        });
    }
    let rest = letter.id.strip_prefix(AnalyzeImage::NAME)?.strip_prefix(':')?;
    let mut parts = rest.splitn(3, ':');
    let library = parts.next()?.parse().ok()?;
    let revision = Revision(parts.next()?.parse().ok()?);
    let image = parts.next()?;
    let is_hash = image.strip_prefix("sha256-").is_some_and(|hash| hash.len() == 64);
    if is_hash {
        return None;
    }
    Some(LetterPhoto { library, image: image.parse().ok()?, revision })
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use fleetq::{Lane, Place};

    use super::*;

    fn letter(id: &str, payload: &str) -> JobState {
        JobState {
            id: id.to_owned(),
            kind: String::new(),
            meta: std::collections::BTreeMap::new(),
            payload: payload.as_bytes().to_vec(),
            limit: None,
            place: Place::Dead,
            lane: Lane::Upload,
            starts: 1,
            attempts: 1,
            token: 1,
            worker: "w".to_owned(),
            enqueued_at: UNIX_EPOCH,
            ready_at: UNIX_EPOCH,
            until: None,
            failure: None,
        }
    }

    #[test]
    fn a_letter_with_a_broken_payload_names_its_photo_by_its_id() {
        let job = AnalyzeImage {
            library: "main".parse().unwrap(),
            image: "a:b.png".parse().unwrap(),
            path: "a:b.png".parse().unwrap(),
            revision: Revision(7),
        };
        let whole = photo_of(&letter(&job.id(), &serde_json::to_string(&job).unwrap()));
        assert_eq!(whole.as_ref().map(|photo| photo.revision), Some(Revision(7)));
        assert_eq!(photo_of(&letter(&job.id(), "{\"lib")), whole);
        assert_eq!(photo_of(&letter(&job.id(), "")), whole);
        let long = AnalyzeImage { image: "x".repeat(300).parse().unwrap(), ..job };
        assert_eq!(photo_of(&letter(&long.id(), "")), None, "its id is a hash");
        for id in
            ["analyze-image", "analyze-image:main", "analyze-image:main:x:a", "other:main:1:a"]
        {
            assert_eq!(photo_of(&letter(id, "")), None, "{id}");
        }
    }
}
