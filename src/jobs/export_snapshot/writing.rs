//! The half of an export that blocks on the disk: rows of the catalogue into the files of a snapshot.

use std::path::PathBuf;
use std::sync::Arc;

use crate::catalog::{ExportPage, ExportRow};
use crate::clock::Clock;
use crate::jobs::left_out::{self, too_much};
use crate::library_lock::LibraryLock;
use crate::names::{Fence, LibraryId, SpaceId};
use crate::snapshot::durable;
use crate::snapshot::{
    self, Snapshot, SnapshotError, SnapshotFace, SnapshotId, SnapshotImage, SnapshotManifest,
    SnapshotTag, SnapshotWriter,
};

/// Snapshots kept: the newest, and a few to compare with.
const SNAPSHOTS_KEPT: usize = 5;

/// The blocking half of an export.
pub(super) struct Writing {
    pub(super) folder: PathBuf,
    pub(super) data: PathBuf,
    pub(super) id: SnapshotId,
    pub(super) library: LibraryId,
    pub(super) space: SpaceId,
    pub(super) dim: usize,
    pub(super) clock: Clock,
    pub(super) fence: Fence,
    pub(super) skipped_max_share: f64,
    /// This thread may outlive the job that began it.
    pub(super) _lock: Arc<LibraryLock>,
}

impl Writing {
    /// `None` where the feed broke off: half a snapshot is not published.
    pub(super) fn write(
        self,
        mut pages: tokio::sync::mpsc::Receiver<ExportPage>,
    ) -> Result<Option<SnapshotManifest>, SnapshotError> {
        // First, so that what a killed export left behind does not fill the disk for ever.
        snapshot::collect(&self.folder, SNAPSHOTS_KEPT, &[], self.fence)?;
        let mut writer = SnapshotWriter::create(
            &self.folder,
            self.id.clone(),
            self.library.clone(),
            self.space.clone(),
            self.dim,
            self.clock.now(),
        )?;
        loop {
            let Some(page) = pages.blocking_recv() else { return Ok(None) };
            for (reason, images) in page.skipped {
                if images > 0 {
                    writer.skip_many(reason, images);
                }
            }
            for row in page.rows {
                push(&mut writer, row, &self.space)?;
            }
            if page.last.is_none() {
                break;
            }
        }
        if let Some(why) = too_much(writer.so_far(), self.skipped_max_share) {
            return Err(SnapshotError::TooMuchLeftOut { id: self.id.to_string(), why });
        }
        let manifest = writer.finish(self.clock.now())?;
        let folder = snapshot::path_of(&self.folder, &self.id);
        let readable = Snapshot::open(&folder)
            .and_then(|snapshot| snapshot::write_readable(&snapshot, &self.folder));
        if let Err(error) = readable {
            // Nobody was told of it. Each further try would leave another one on a full disk.
            let _ = durable::remove_folder(&folder);
            return Err(error);
        }
        snapshot::collect(&self.folder, SNAPSHOTS_KEPT, &[], self.fence)?;
        if self.library == LibraryId::main()
            && let Err(error) = crate::generation::link_root(&self.data)
        {
            // The links are a convenience for people; the snapshot is whole without them.
            tracing::warn!(%error, "the links at the root of the data folder are not up to date");
        }
        Ok(Some(manifest))
    }
}

/// One image of the catalogue into the snapshot, with the owner's word above the models'.
fn push(writer: &mut SnapshotWriter, row: ExportRow, space: &SpaceId) -> Result<(), SnapshotError> {
    let analysis = row.analysis;
    if analysis.space != *space {
        // Vectors of different spaces are never compared; a later analysis brings this one back.
        writer.skip(left_out::OTHER_PACK);
        return Ok(());
    }
    let (faces, vectors): (Vec<_>, Vec<_>) = row
        .faces
        .into_iter()
        .map(|face| {
            let described =
                SnapshotFace { face: i64::from(face.face), bounds: face.seen.bbox, row: 0 };
            (described, face.seen.embedding)
        })
        .unzip();
    let mut image = SnapshotImage {
        filename: row.path.filename().to_owned(),
        image: row.image,
        path: row.path,
        revision: row.revision,
        description: analysis.description,
        detailed_description: analysis.detailed_description,
        tags: analysis
            .tags
            .into_iter()
            .map(|tag| SnapshotTag { name: tag.name, score: tag.score })
            .collect(),
        categories: analysis.categories,
        created_at: row.created_at,
        face_count: faces.len() as u32,
        corrected: !row.corrections.is_empty(),
        vector: None,
        faces,
    };
    for correction in row.corrections {
        correct(&mut image, &correction.field, correction.value);
    }
    match writer.push(image, Some(&analysis.embedding), &vectors) {
        Err(SnapshotError::BadRow { image, why }) => {
            tracing::warn!(image, why, "an image is left out of the export");
            writer.skip("its row cannot be written");
            Ok(())
        }
        other => other,
    }
}

/// The owner's word replaces the models'. Fields that a snapshot does not hold change nothing.
fn correct(image: &mut SnapshotImage, field: &str, value: serde_json::Value) {
    match field {
        "description" => image.description = value.as_str().map(str::to_owned),
        "tags" => {
            let said: Vec<String> = serde_json::from_value(value).unwrap_or_default();
            image.tags = said.into_iter().map(|name| SnapshotTag { name, score: 1.0 }).collect();
        }
        _ => {}
    }
}
