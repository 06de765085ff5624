//! What search reads: the texts of images, page by page, and the vectors written since.
//!
//! What must stay true: only the analysis of a living image is read (a removed one has none), and
//! the owner's corrections come with every text.

use jiff::Timestamp;
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, FromQueryResult, JoinType, QueryFilter, QueryOrder,
    QuerySelect, RelationTrait, Select,
};

use super::columns::{Row, time_text, unsigned};
use super::entities::analyses::{Column, Entity, Relation};
use super::entities::images;
use super::images::corrections_of;
use super::{Catalog, Correction, Enriched, ROWS_MAX, Result, Tag};
use crate::names::{GenerationNumber, ImageId, LibraryId, RelativePath, SpaceId};

/// What can be read of an image, without its vector.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageText {
    /// The image.
    pub image: ImageId,
    /// Where its original lies.
    pub path: RelativePath,
    /// One sentence.
    pub description: Option<String>,
    /// A longer description.
    pub detailed_description: Option<String>,
    /// The tags that were asserted.
    pub tags: Vec<Tag>,
    /// The categories of those tags.
    pub categories: Vec<String>,
    /// What a generation added.
    pub enriched: Option<Enriched>,
    /// The owner's corrections; they stand above all of it.
    pub corrections: Vec<Correction>,
    /// When the models' words were last written, or corrected by the owner.
    pub stored_at: Timestamp,
}

/// The vector of one analysis of the tail. Without texts: search reads those of its candidates
/// only, and a tail may be the whole library.
#[derive(Debug, Clone, PartialEq)]
pub struct TailRow {
    /// The image.
    pub image: ImageId,
    /// When its analysis was last written.
    pub stored_at: Timestamp,
    /// The unit vector of the picture.
    pub embedding: Vec<f32>,
}

impl TailRow {
    /// Where the page after this row begins.
    pub fn cursor(&self) -> TailCursor {
        TailCursor { stored_at: self.stored_at, image: self.image.clone() }
    }
}

/// A place in the tail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TailCursor {
    /// When the last row read was written.
    pub stored_at: Timestamp,
    /// Its image.
    pub image: ImageId,
}

/// The columns of an analysis that are text.
#[derive(FromQueryResult)]
struct TextRow {
    library: String,
    image: String,
    path: String,
    description: Option<String>,
    detailed_description: Option<String>,
    tags: String,
    categories: String,
    generation: Option<i64>,
    enriched_description: Option<String>,
    enriched_tags: Option<String>,
    enriched_categories: Option<String>,
    context: Option<String>,
    near_duplicates: Option<String>,
    stored_at: String,
}

impl Catalog {
    /// Analyses in one space written at or after `since`, by time, after `after`.
    ///
    /// On PostgreSQL, or where writers' clocks differ, a row may appear a moment after one with
    /// a later date. Who follows the tail begins each round some seconds before the newest row
    /// of the last: seeing one twice is harmless, missing one is not.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn analyses_since(
        &self,
        library: &LibraryId,
        space: &SpaceId,
        since: Timestamp,
        after: Option<&TailCursor>,
        limit: u64,
    ) -> Result<Vec<TailRow>> {
        let mut tail = Entity::find()
            .select_only()
            .columns([Column::Image, Column::StoredAt, Column::Embedding])
            .filter(Column::Library.eq(library.as_str()))
            .filter(Column::Space.eq(space.as_str()))
            .filter(Column::StoredAt.gte(time_text(since)))
            .order_by_asc(Column::StoredAt)
            .order_by_asc(Column::Image)
            .limit(limit);
        if let Some(after) = after {
            let time = time_text(after.stored_at);
            tail = tail.filter(
                Condition::any().add(Column::StoredAt.gt(time.as_str())).add(
                    Condition::all()
                        .add(Column::StoredAt.eq(time.as_str()))
                        .add(Column::Image.gt(after.image.as_str())),
                ),
            );
        }
        let rows: Vec<(String, String, Vec<u8>)> = tail.into_tuple().all(&self.read).await?;
        let read = |(image, stored_at, embedding): (String, String, Vec<u8>)| {
            let row = Row { table: "analyses", library: library.as_str(), key: &image };
            Ok(TailRow {
                stored_at: row.time(&stored_at)?,
                embedding: row.vector(&embedding)?,
                image: row.name(image.clone())?,
            })
        };
        rows.into_iter().map(read).collect()
    }

    /// How many analyses there are, in all spaces or in one. The index answers for all of them;
    /// for one space every row is read.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn analyses_count(
        &self,
        library: &LibraryId,
        space: Option<&SpaceId>,
    ) -> Result<u64> {
        let mut of_library = Entity::find().filter(Column::Library.eq(library.as_str()));
        if let Some(space) = space {
            of_library = of_library.filter(Column::Space.eq(space.as_str()));
        }
        let counted = of_library.select_only().column_as(Column::Image.count(), "analyses");
        let count: Option<i64> = counted.into_tuple().one(&self.read).await?;
        Ok(unsigned(count.unwrap_or(0)))
    }

    /// The texts of these images, in their order; one without an analysis is left out.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn texts(&self, library: &LibraryId, images: &[ImageId]) -> Result<Vec<ImageText>> {
        let mut found = Vec::with_capacity(images.len());
        for images in images.chunks(ROWS_MAX) {
            let rows = texts_of(library)
                .filter(Column::Image.is_in(images.iter().map(ImageId::as_str)))
                .into_model::<TextRow>()
                .all(&self.read)
                .await?;
            let mut texts = self.read_texts(library, &rows).await?;
            let place = |text: &ImageText| images.iter().position(|image| *image == text.image);
            texts.sort_by_cached_key(place);
            found.extend(texts);
        }
        Ok(found)
    }

    /// The texts of all images by id, after `after`: what a word index is made of.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn words_page(
        &self,
        library: &LibraryId,
        after: Option<&ImageId>,
        limit: u64,
    ) -> Result<Vec<ImageText>> {
        let mut page = texts_of(library).order_by_asc(Column::Image).limit(limit);
        if let Some(after) = after {
            page = page.filter(Column::Image.gt(after.as_str()));
        }
        let rows = page.into_model::<TextRow>().all(&self.read).await?;
        self.read_texts(library, &rows).await
    }

    async fn read_texts(&self, library: &LibraryId, rows: &[TextRow]) -> Result<Vec<ImageText>> {
        let ids: Vec<String> = rows.iter().map(|row| row.image.clone()).collect();
        let mut corrections = corrections_of(&self.read, library, &ids).await?;
        rows.iter()
            .map(|row| row.read(corrections.remove(&row.image).unwrap_or_default()))
            .collect()
    }
}

fn texts_of(library: &LibraryId) -> Select<Entity> {
    Entity::find()
        .select_only()
        .columns([
            Column::Library,
            Column::Image,
            Column::Description,
            Column::DetailedDescription,
            Column::Tags,
            Column::Categories,
            Column::Generation,
            Column::EnrichedDescription,
            Column::EnrichedTags,
            Column::EnrichedCategories,
            Column::Context,
            Column::NearDuplicates,
            Column::StoredAt,
        ])
        .column(images::Column::Path)
        .join(JoinType::InnerJoin, Relation::Image.def())
        .filter(Column::Library.eq(library.as_str()))
}

impl TextRow {
    fn read(&self, corrections: Vec<Correction>) -> Result<ImageText> {
        let row = Row { table: "analyses", library: &self.library, key: &self.image };
        let enriched = match self.generation {
            None => None,
            Some(generation) => Some(Enriched {
                generation: GenerationNumber(generation),
                description: self.enriched_description.clone(),
                tags: row.list(self.enriched_tags.as_deref())?,
                categories: row.list(self.enriched_categories.as_deref())?,
                context: row.list(self.context.as_deref())?,
                near_duplicates: row.list(self.near_duplicates.as_deref())?,
            }),
        };
        Ok(ImageText {
            image: row.name(self.image.clone())?,
            path: row.name(self.path.clone())?,
            description: self.description.clone(),
            detailed_description: self.detailed_description.clone(),
            tags: row.json(&self.tags)?,
            categories: row.json(&self.categories)?,
            enriched,
            corrections,
            stored_at: row.time(&self.stored_at)?,
        })
    }
}
