//! What goes into a snapshot, page by page.
//!
//! What must stay true: rows come in the byte order of their image ids, whatever is written
//! meanwhile; only analyzed images that are not removed come, each with the owner's corrections.

use std::collections::HashMap;

use jiff::Timestamp;
use sea_orm::sea_query::{Expr, ExprTrait, Query, SelectStatement};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::columns::{Row, time_text};
use super::entities::{analyses, images, stages};
use super::images::{corrections_of, faces_of};
use super::{Analysis, Catalog, Correction, Face, ROWS_MAX, Result, Stage, StageState};
use crate::names::{ImageId, LibraryId, RelativePath, Revision};

/// An analyzed image with everything that an export needs of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportRow {
    /// The image.
    pub image: ImageId,
    /// Where its original lies.
    pub path: RelativePath,
    /// Its present revision, which is the analysis's.
    pub revision: Revision,
    /// Width of the oriented original in pixels.
    pub width: Option<u32>,
    /// Height of the oriented original in pixels.
    pub height: Option<u32>,
    /// When the image was first recorded.
    pub created_at: Timestamp,
    /// What was seen.
    pub analysis: Analysis,
    /// Its faces by number.
    pub faces: Vec<Face>,
    /// The owner's corrections by field.
    pub corrections: Vec<Correction>,
}

/// The oldest image that an export of the newest N still takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportBound {
    created_at: Timestamp,
    image: ImageId,
}

impl Catalog {
    /// Where an export of the `newest` most recently recorded images ends. `None`: there are no
    /// more than that, all of them come. Of two recorded in the same moment, the greater id is
    /// the newer.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn export_bound(
        &self,
        library: &LibraryId,
        newest: u64,
    ) -> Result<Option<ExportBound>> {
        if newest == 0 {
            // Nothing is newer than the end of time.
            let image = ImageId::new("~").expect("a one-letter id is valid");
            return Ok(Some(ExportBound { created_at: Timestamp::MAX, image }));
        }
        let found = images::Entity::find()
            .filter(analyzed(library))
            .order_by_desc(images::Column::CreatedAt)
            .order_by_desc(images::Column::Image)
            .offset(newest - 1)
            .limit(1)
            .one(&self.read)
            .await?;
        let Some(model) = found else { return Ok(None) };
        let row = Row { table: "images", library: &model.library, key: &model.image };
        let created_at = row.time(&model.created_at)?;
        Ok(Some(ExportBound { created_at, image: row.name(model.image.clone())? }))
    }

    /// The next analyzed images by id, after `after`, within `bound`. An empty page is the end.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn export_page(
        &self,
        library: &LibraryId,
        bound: Option<&ExportBound>,
        after: Option<&ImageId>,
        limit: u64,
    ) -> Result<Vec<ExportRow>> {
        let after = after.map(ImageId::as_str);
        let mut rows = self.next_analyzed(library, bound, after, limit).await?;
        while let Some(last) = rows.last() {
            let last = last.image.clone();
            let page = self.complete(library, rows).await?;
            if !page.is_empty() {
                return Ok(page);
            }
            // Every image of this page was changed or removed just now: the end is further on.
            rows = self.next_analyzed(library, bound, Some(&last), limit).await?;
        }
        Ok(Vec::new())
    }

    async fn next_analyzed(
        &self,
        library: &LibraryId,
        bound: Option<&ExportBound>,
        after: Option<&str>,
        limit: u64,
    ) -> Result<Vec<images::Model>> {
        let mut page = images::Entity::find()
            .filter(analyzed(library))
            .order_by_asc(images::Column::Image)
            .limit(limit);
        if let Some(after) = after {
            page = page.filter(images::Column::Image.gt(after));
        }
        if let Some(bound) = bound {
            let time = time_text(bound.created_at);
            page = page.filter(
                Condition::any().add(images::Column::CreatedAt.gt(time.as_str())).add(
                    Condition::all()
                        .add(images::Column::CreatedAt.eq(time.as_str()))
                        .add(images::Column::Image.gte(bound.image.as_str())),
                ),
            );
        }
        Ok(page.all(&self.read).await?)
    }

    /// Adds to each image what else an export needs of it.
    async fn complete(
        &self,
        library: &LibraryId,
        rows: Vec<images::Model>,
    ) -> Result<Vec<ExportRow>> {
        let ids: Vec<String> = rows.iter().map(|row| row.image.clone()).collect();
        let mut analyses = self.analyses_of(library, &ids).await?;
        let mut faces = faces_of(&self.read, library, &ids).await?;
        let mut corrections = corrections_of(&self.read, library, &ids).await?;
        let mut found = Vec::with_capacity(rows.len());
        for model in rows {
            // A new upload or a removal may come between the queries: then the image is not
            // analyzed any more and this export leaves it out.
            let Some(analysis) = analyses.remove(&model.image) else { continue };
            if analysis.revision.0 != model.revision {
                continue;
            }
            let row = Row { table: "images", library: &model.library, key: &model.image };
            found.push(ExportRow {
                image: row.name(model.image.clone())?,
                path: row.name(model.path.clone())?,
                revision: Revision(model.revision),
                width: model.width.map(|width| row.number(width)).transpose()?,
                height: model.height.map(|height| row.number(height)).transpose()?,
                created_at: row.time(&model.created_at)?,
                analysis,
                faces: faces.remove(&model.image).unwrap_or_default(),
                corrections: corrections.remove(&model.image).unwrap_or_default(),
            });
        }
        Ok(found)
    }

    async fn analyses_of(
        &self,
        library: &LibraryId,
        images: &[String],
    ) -> Result<HashMap<String, Analysis>> {
        let mut found = HashMap::with_capacity(images.len());
        for images in images.chunks(ROWS_MAX) {
            let rows = analyses::Entity::find()
                .filter(analyses::Column::Library.eq(library.as_str()))
                .filter(analyses::Column::Image.is_in(images))
                .all(&self.read)
                .await?;
            for row in rows {
                found.insert(row.image.clone(), Analysis::read(&row)?);
            }
        }
        Ok(found)
    }
}

/// Images of the library that are not removed and whose vector is done.
fn analyzed(library: &LibraryId) -> Condition {
    Condition::all()
        .add(images::Column::Library.eq(library.as_str()))
        .add(images::Column::RemovedAt.is_null())
        .add(Expr::exists(embedded(library)))
}

fn embedded(library: &LibraryId) -> SelectStatement {
    let of_image = Expr::col((stages::Entity, stages::Column::Image))
        .equals((images::Entity, images::Column::Image));
    Query::select()
        .expr(Expr::value(1))
        .from(stages::Entity)
        .and_where(Expr::col((stages::Entity, stages::Column::Library)).eq(library.as_str()))
        .and_where(of_image)
        .and_where(stages::Column::Stage.eq(Stage::Embed.as_str()))
        .and_where(stages::Column::State.eq(StageState::Done.as_str()))
        .to_owned()
}
