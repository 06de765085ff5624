//! Have one image described in detail by Ollama.

use std::io::Cursor;
use std::time::Duration;

use image::ImageFormat;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Attempt, Budget, Done, Job, JobError};
use crate::catalog::{Catalog, Detail, Stored};
use crate::fate::Fate;
use crate::names::{ImageId, LibraryId, RelativePath, Revision};
use crate::ollama::Ollama;
use crate::originals;
use crate::snapshot::durable::hex;
use crate::vision::{Decoder, Photo};

/// Image ids up to this length stand in the job's id as they are.
const IMAGE_IN_ID_MAX: usize = 256;

/// Have one image described in detail by Ollama.
/// Safe to repeat: the text is stored for this revision, fenced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescribeInDetail {
    /// Whose image it is.
    pub library: LibraryId,
    /// Which image.
    pub image: ImageId,
    /// Where its original lies beneath the library's root.
    pub path: RelativePath,
    /// Which content of it.
    pub revision: Revision,
}

impl DescribeInDetail {
    /// The job's id in the queue: the same content of the same image is one job.
    pub fn id(&self) -> String {
        let image = self.image.as_str();
        let image = if image.len() > IMAGE_IN_ID_MAX {
            format!("sha256-{}", hex(&Sha256::digest(image)))
        } else {
            image.to_owned()
        };
        format!("{}:{}:{}:{image}", Self::NAME, self.library, self.revision)
    }
}

/// What a detailed description needs.
pub struct DescribeDeps {
    /// Where it goes.
    pub catalog: Catalog,
    /// Bytes to pixels.
    pub decoder: Decoder,
    /// Who writes it.
    pub ollama: Ollama,
    /// Largest original that is read, in bytes.
    pub original_bytes_max: u64,
}

impl Job for DescribeInDetail {
    const NAME: &'static str = "describe-in-detail";
    /// Longer than `ollama.timeout_seconds` may be: the call's own limit ends it with a reason.
    const BUDGET: Budget = Budget { attempts: 4, wall_clock: Duration::from_mins(15) };
    /// An Ollama that is away is asked ever more seldom; nothing else waits for it.
    const AWAY_PAUSE_MAX: Duration = Duration::from_mins(2);
    type Deps = DescribeDeps;

    async fn run(&self, deps: &DescribeDeps, attempt: &Attempt) -> Result<Done, JobError> {
        let Some(library) = deps.catalog.library(&self.library).await? else {
            return Ok(Done::Skipped("the library is gone"));
        };
        let waits = deps.catalog.is_without_detail(&self.library, &self.image, self.revision);
        if !waits.await? {
            return Ok(Done::Skipped("it does not wait any more"));
        }
        let (path, bytes_max) = (self.path.clone(), deps.original_bytes_max);
        let read = move || originals::read(&library.root, &path, bytes_max);
        let read = tokio::task::spawn_blocking(read).await;
        let read = read.map_err(|panic| self.broke("reading", &panic))?;
        let Some(bytes) = read? else {
            return Ok(Done::Skipped("the original is gone"));
        };
        let photo = deps.decoder.decode(bytes).await;
        let photo = photo.map_err(|error| JobError::from(error).about(&self.path))?;
        let jpeg = tokio::task::spawn_blocking(move || jpeg(&photo)).await;
        let jpeg = jpeg.map_err(|panic| self.broke("encoding", &panic))?;
        let jpeg = jpeg.map_err(|error| {
            JobError::new(Fate::Permanent, format!("it cannot be sent as a JPEG: {error}"))
                .about(&self.path)
        })?;
        let text = deps.ollama.describe(&jpeg).await?;
        self.store(deps, attempt, Ok(text)).await
    }

    async fn give_up(
        &self,
        deps: &DescribeDeps,
        attempt: &Attempt,
        reason: &str,
    ) -> Result<(), JobError> {
        self.store(deps, attempt, Err(reason.to_owned())).await.map(drop)
    }
}

impl DescribeInDetail {
    async fn store(
        &self,
        deps: &DescribeDeps,
        attempt: &Attempt,
        outcome: Result<String, String>,
    ) -> Result<Done, JobError> {
        let detail = Detail { model: deps.ollama.model().to_owned(), outcome };
        let stored = deps
            .catalog
            .store_detail(&self.library, &self.image, self.revision, attempt.fence, &detail)
            .await?;
        match stored {
            Stored::Stored => Ok(Done::Finished),
            Stored::Superseded(why) => Err(JobError::superseded(why)),
        }
    }

    fn broke(&self, what: &str, panic: &tokio::task::JoinError) -> JobError {
        JobError::new(Fate::Poison, format!("{what} it broke: {panic}")).about(&self.path)
    }
}

/// The bounded picture, in the format that every such model reads.
fn jpeg(photo: &Photo) -> image::ImageResult<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    photo.pixels.write_to(&mut bytes, ImageFormat::Jpeg)?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_is_as_agreed() {
        let job = DescribeInDetail {
            library: LibraryId::main(),
            image: ImageId::new("4711").unwrap(),
            path: RelativePath::new("2024/a.jpg").unwrap(),
            revision: Revision(3),
        };
        let text = r#"{"library":"main","image":"4711","path":"2024/a.jpg","revision":3}"#;
        assert_eq!(serde_json::to_string(&job).unwrap(), text);
        assert_eq!(serde_json::from_str::<DescribeInDetail>(text).unwrap(), job);
        assert_eq!(job.id(), "describe-in-detail:main:3:4711");
        let long = DescribeInDetail { image: ImageId::new("x".repeat(512)).unwrap(), ..job };
        assert!(long.id().len() <= 400, "{}", long.id());
    }
}
