//! What goes into a snapshot, page by page.
//!
//! What must stay true: rows come in the byte order of their image ids, whatever is written
//! meanwhile; only analyzed images that are not removed come, each with the owner's corrections; a
//! page is one moment, so that what does not fit together in it is damage and no race; a damaged row
//! is counted and left out, and the others come.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use sea_orm::sea_query::{Expr, ExprTrait, Query, SelectStatement};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait,
    QueryFilter, QueryOrder, QuerySelect,
};

use super::columns::{Row, time_text};
use super::entities::{analyses, images, stages};
use super::images::{corrections_of, faces_of};
use super::{
    Analysis, Catalog, CatalogError, Correction, Face, ROWS_MAX, Result, Stage, StageState,
};
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
struct ExportBound {
    created_at: Timestamp,
    image: ImageId,
}

/// Which images an export takes; all of them by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportScope {
    bound: Option<ExportBound>,
    /// Only those whose analysis or corrections were written since.
    since: Option<Timestamp>,
}

/// The next images of an export.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExportPage {
    /// Those that can be read, by id.
    pub rows: Vec<ExportRow>,
    /// How many cannot be, by reason.
    pub skipped: BTreeMap<&'static str, u64>,
    /// The id after which the next page begins; `None` after the last.
    pub last: Option<String>,
}

/// Why an image cannot be exported.
const NO_ANALYSIS: &str = "its analysis is missing";
const OTHER_REVISION: &str = "its analysis is of another revision";

impl Catalog {
    /// What an export takes of the `newest` so many most recently recorded images that were analyzed
    /// or corrected `since`; without them, everything.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn export_scope(
        &self,
        library: &LibraryId,
        newest: Option<u64>,
        since: Option<Timestamp>,
    ) -> Result<ExportScope> {
        let mut scope = ExportScope { bound: None, since };
        if let Some(newest) = newest {
            scope.bound = self.export_bound(library, &scope, newest).await?;
        }
        Ok(scope)
    }

    /// Where an export of the `newest` most recently recorded images ends. `None`: there are no
    /// more than that, all of them come. Of two recorded in the same moment, the greater id is
    /// the newer.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    async fn export_bound(
        &self,
        library: &LibraryId,
        scope: &ExportScope,
        newest: u64,
    ) -> Result<Option<ExportBound>> {
        if newest == 0 {
            // Nothing is newer than the end of time.
            let image = ImageId::new("~").expect("a one-letter id is valid");
            return Ok(Some(ExportBound { created_at: Timestamp::MAX, image }));
        }
        let found = images::Entity::find()
            .filter(analyzed(library, scope.since))
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

    /// The next analyzed images by id, after `after`, within `scope`.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn export_page(
        &self,
        library: &LibraryId,
        scope: &ExportScope,
        after: Option<&str>,
        limit: u64,
    ) -> Result<ExportPage> {
        let moment = self.begin_reading().await?;
        let models = next_analyzed(&moment, library, scope, after, limit).await?;
        let last = models.last().map(|model| model.image.clone());
        let mut page = ExportPage { last, ..ExportPage::default() };
        let backend = moment.get_database_backend();
        let may_be_damaged = |seen| may_be_damaged(seen, backend);
        if let Some(seen) = may_be_damaged(Seen::of(&moment, library, &ids(&models)).await)? {
            page.take(models, seen);
            return Ok(page);
        }
        // Some row among them does not read: one by one, so that it costs itself and no other.
        for model in models {
            let image = [model.image.clone()];
            match may_be_damaged(Seen::of(&moment, library, &image).await)? {
                Some(seen) => page.take(vec![model], seen),
                None => page.skip("a row of it is damaged", &model.image),
            }
        }
        Ok(page)
    }
}

async fn next_analyzed(
    moment: &DatabaseTransaction,
    library: &LibraryId,
    scope: &ExportScope,
    after: Option<&str>,
    limit: u64,
) -> Result<Vec<images::Model>> {
    let mut page = images::Entity::find()
        .filter(analyzed(library, scope.since))
        .order_by_asc(images::Column::Image)
        .limit(limit);
    if let Some(after) = after {
        page = page.filter(images::Column::Image.gt(after));
    }
    if let Some(bound) = &scope.bound {
        let time = time_text(bound.created_at);
        page = page.filter(
            Condition::any().add(images::Column::CreatedAt.gt(time.as_str())).add(
                Condition::all()
                    .add(images::Column::CreatedAt.eq(time.as_str()))
                    .add(images::Column::Image.gte(bound.image.as_str())),
            ),
        );
    }
    Ok(page.all(moment).await?)
}

fn ids(models: &[images::Model]) -> Vec<String> {
    models.iter().map(|model| model.image.clone()).collect()
}

/// `None` where a row does not read; a database that is away is another matter. A question that
/// PostgreSQL refuses ends the transaction, and would make every row after it look damaged.
fn may_be_damaged<T>(read: Result<T>, backend: DbBackend) -> Result<Option<T>> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(CatalogError::Corrupt { .. }) => Ok(None),
        Err(CatalogError::Query { .. }) if backend == DbBackend::Sqlite => Ok(None),
        Err(error) => Err(error),
    }
}

/// What an export needs of images beside their own rows.
struct Seen {
    analyses: HashMap<String, Analysis>,
    faces: HashMap<String, Vec<Face>>,
    corrections: HashMap<String, Vec<Correction>>,
}

impl Seen {
    async fn of(
        moment: &DatabaseTransaction,
        library: &LibraryId,
        images: &[String],
    ) -> Result<Self> {
        let mut found = HashMap::with_capacity(images.len());
        for images in images.chunks(ROWS_MAX) {
            let rows = analyses::Entity::find()
                .filter(analyses::Column::Library.eq(library.as_str()))
                .filter(analyses::Column::Image.is_in(images))
                .all(moment)
                .await?;
            for row in rows {
                found.insert(row.image.clone(), Analysis::read(&row)?);
            }
        }
        Ok(Self {
            analyses: found,
            faces: faces_of(moment, library, images).await?,
            corrections: corrections_of(moment, library, images).await?,
        })
    }
}

impl ExportPage {
    fn skip(&mut self, reason: &'static str, image: &str) {
        tracing::warn!(image, reason, "an image is left out of the export");
        *self.skipped.entry(reason).or_default() += 1;
    }

    fn take(&mut self, models: Vec<images::Model>, mut seen: Seen) {
        for model in models {
            match seen.row(&model) {
                Ok(Ok(row)) => self.rows.push(row),
                Ok(Err(reason)) => self.skip(reason, &model.image),
                Err(_) => self.skip("its row is damaged", &model.image),
            }
        }
    }
}

impl Seen {
    /// The image as it is exported, or why it is not.
    fn row(&mut self, model: &images::Model) -> Result<Result<ExportRow, &'static str>> {
        let Some(analysis) = self.analyses.remove(&model.image) else {
            return Ok(Err(NO_ANALYSIS));
        };
        if analysis.revision.0 != model.revision {
            return Ok(Err(OTHER_REVISION));
        }
        let row = Row { table: "images", library: &model.library, key: &model.image };
        Ok(Ok(ExportRow {
            image: row.name(model.image.clone())?,
            path: row.name(model.path.clone())?,
            revision: Revision(model.revision),
            width: model.width.map(|width| row.number(width)).transpose()?,
            height: model.height.map(|height| row.number(height)).transpose()?,
            created_at: row.time(&model.created_at)?,
            analysis,
            faces: self.faces.remove(&model.image).unwrap_or_default(),
            corrections: self.corrections.remove(&model.image).unwrap_or_default(),
        }))
    }
}

/// Images of the library that are not removed and whose vector is done, and was written `since`.
fn analyzed(library: &LibraryId, since: Option<Timestamp>) -> Condition {
    Condition::all()
        .add_option(since.map(|since| Expr::exists(written(library, since))))
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

fn written(library: &LibraryId, since: Timestamp) -> SelectStatement {
    let of_image = Expr::col((analyses::Entity, analyses::Column::Image))
        .equals((images::Entity, images::Column::Image));
    Query::select()
        .expr(Expr::value(1))
        .from(analyses::Entity)
        .and_where(Expr::col((analyses::Entity, analyses::Column::Library)).eq(library.as_str()))
        .and_where(of_image)
        // A correction moves it as well.
        .and_where(analyses::Column::StoredAt.gte(time_text(since)))
        .to_owned()
}
