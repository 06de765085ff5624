//! What the models saw of an image, stored fenced and in one piece.
//!
//! What must stay true: the analysis, its faces, the states of its stages and the event that
//! tells of it are written in one transaction or not at all; an older token or another revision
//! writes nothing; the same token again changes nothing and tells nobody twice.

use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query};
use sea_orm::{ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter};

use super::columns::{json_text, plain, vector_bytes};
use super::entities::analyses::{ActiveModel, Column, Entity};
use super::entities::{faces, images};
use super::fenced::Write;
use super::{Catalog, Enriched, Event, NewAnalysis, NewFace, Outcome, Result, Stage, Stored};
use crate::names::{Fence, ImageId, LibraryId, Revision};

impl Catalog {
    /// Stores what was seen of an image, where `revision` is its present one and no stage among
    /// the outcomes, nor `embed`, carries a newer fence.
    ///
    /// # Errors
    /// A failure of the database; then nothing was written.
    pub async fn store_analysis(
        &self,
        library: &LibraryId,
        image: &ImageId,
        revision: Revision,
        fence: Fence,
        new: &NewAnalysis,
    ) -> Result<Stored> {
        let change = self.begin_result().await?;
        let now = self.now_text();
        let write = Write { library, image, revision, fence, now: &now };
        // The vector belongs to `embed` even when no outcome names it.
        let mut touched = vec![Stage::Embed];
        touched.extend(new.outcomes.iter().map(|outcome| outcome.stage));
        let row = new_row(&write, new)?;
        let standing = match write.standing(&change, &touched).await? {
            Ok(standing) => standing,
            Err(newer) => return Ok(Stored::Superseded(newer)),
        };
        measure(&change, &write, new).await?;
        match &new.faces {
            Some(found) => replace_faces(&change, &write, found).await?,
            None => drop_faces_of_older_revisions(&change, &write).await?,
        }
        upsert(&change, row).await?;
        write.settle(&change, &standing, &new.outcomes).await?;
        write.tell(&change, &standing, new.event.as_ref()).await?;
        change.commit().await?;
        Ok(Stored::Stored)
    }

    /// Replaces what a generation added to the analysis of an image and settles its stage
    /// `enrich`; what the models saw stays, and with it the time at which that was stored: it is not
    /// news to whoever learns or follows the vectors.
    ///
    /// # Errors
    /// A failure of the database; then nothing was written.
    pub async fn store_enrichment(
        &self,
        library: &LibraryId,
        image: &ImageId,
        revision: Revision,
        fence: Fence,
        enriched: &Enriched,
        event: Option<&Event>,
    ) -> Result<Stored> {
        let change = self.begin_result().await?;
        let now = self.now_text();
        let write = Write { library, image, revision, fence, now: &now };
        let mut row = ActiveModel::default();
        set_enriched(&mut row, Some(enriched))?;
        let standing = match write.standing(&change, &[Stage::Enrich]).await? {
            Ok(standing) => standing,
            Err(newer) => return Ok(Stored::Superseded(newer)),
        };
        let written = Entity::update_many()
            .set(row)
            .filter(Column::Library.eq(library.as_str()))
            .filter(Column::Image.eq(image.as_str()))
            .filter(Column::Revision.eq(revision.0))
            .exec(&change)
            .await?;
        if written.rows_affected == 0 {
            let why = format!("image {image} has no analysis of revision {revision} to enrich");
            return Ok(Stored::Superseded(why));
        }
        write.settle(&change, &standing, &[Outcome::done(Stage::Enrich)]).await?;
        write.tell(&change, &standing, event).await?;
        change.commit().await?;
        Ok(Stored::Stored)
    }
}

fn new_row(write: &Write<'_>, new: &NewAnalysis) -> Result<ActiveModel> {
    let mut row = ActiveModel {
        library: Set(write.library.to_string()),
        image: Set(write.image.to_string()),
        revision: Set(write.revision.0),
        fence: Set(write.fence.0),
        space: Set(new.space.to_string()),
        pack: Set(plain(&new.pack)),
        embedding: Set(vector_bytes(&new.embedding)),
        tags: Set(json_text(&new.tags)?),
        categories: Set(json_text(&new.categories)?),
        description: Set(new.description.as_deref().map(plain)),
        detailed_description: Set(new.detailed_description.as_deref().map(plain)),
        stored_at: Set(write.now.to_owned()),
        ..ActiveModel::default()
    };
    set_enriched(&mut row, new.enriched.as_ref())?;
    Ok(row)
}

fn set_enriched(row: &mut ActiveModel, enriched: Option<&Enriched>) -> Result<()> {
    row.generation = Set(enriched.map(|enriched| enriched.generation.0));
    row.enriched_description =
        Set(enriched.and_then(|enriched| enriched.description.as_deref().map(plain)));
    row.enriched_tags = Set(enriched.map(|enriched| json_text(&enriched.tags)).transpose()?);
    row.enriched_categories =
        Set(enriched.map(|enriched| json_text(&enriched.categories)).transpose()?);
    row.context = Set(enriched.map(|enriched| json_text(&enriched.context)).transpose()?);
    row.near_duplicates =
        Set(enriched.map(|enriched| json_text(&enriched.near_duplicates)).transpose()?);
    Ok(())
}

async fn upsert(change: &DatabaseTransaction, row: ActiveModel) -> Result<()> {
    let key = [Column::Library, Column::Image];
    let replaced = [
        Column::Revision,
        Column::Fence,
        Column::Space,
        Column::Pack,
        Column::Embedding,
        Column::Tags,
        Column::Categories,
        Column::Description,
        Column::Generation,
        Column::EnrichedDescription,
        Column::EnrichedTags,
        Column::EnrichedCategories,
        Column::Context,
        Column::NearDuplicates,
        Column::StoredAt,
    ];
    // Details come from elsewhere and later: those of the same content stay.
    let detail = Expr::cust(
        "CASE WHEN analyses.revision = excluded.revision
            THEN coalesce(excluded.detailed_description, analyses.detailed_description)
            ELSE excluded.detailed_description END",
    );
    let mut conflict = OnConflict::columns(key);
    conflict.update_columns(replaced).value(Column::DetailedDescription, detail);
    Entity::insert(row).on_conflict(conflict).exec_without_returning(change).await?;
    Ok(())
}

async fn measure(change: &DatabaseTransaction, write: &Write<'_>, new: &NewAnalysis) -> Result<()> {
    let pixels = |length: u32| i32::try_from(length).unwrap_or(i32::MAX);
    let mut measured = images::Entity::update_many();
    if let Some(hash) = &new.content_hash {
        measured = measured.col_expr(images::Column::ContentHash, Expr::value(hash.as_str()));
    }
    measured
        .col_expr(images::Column::Width, Expr::value(pixels(new.width)))
        .col_expr(images::Column::Height, Expr::value(pixels(new.height)))
        .col_expr(images::Column::UpdatedAt, Expr::value(write.now))
        .filter(images::Column::Library.eq(write.library.as_str()))
        .filter(images::Column::Image.eq(write.image.as_str()))
        .exec(change)
        .await?;
    Ok(())
}

/// Replaces the faces of an image. One that is found again where it was, with its number, keeps
/// its person: a second look must not take a name away.
async fn replace_faces(
    change: &DatabaseTransaction,
    write: &Write<'_>,
    found: &[NewFace],
) -> Result<()> {
    let before = faces::Entity::find()
        .filter(faces::Column::Library.eq(write.library.as_str()))
        .filter(faces::Column::Image.eq(write.image.as_str()))
        .all(change)
        .await?;
    if !before.is_empty() {
        faces::Entity::delete_many()
            .filter(faces::Column::Library.eq(write.library.as_str()))
            .filter(faces::Column::Image.eq(write.image.as_str()))
            .exec(change)
            .await?;
    }
    let mut rows = Vec::with_capacity(found.len());
    for (number, face) in (0_i32..).zip(found) {
        let bbox = json_text(&face.bbox)?;
        let known = before.iter().find(|row| row.face == number && row.bbox == bbox);
        rows.push(faces::ActiveModel {
            library: Set(write.library.to_string()),
            image: Set(write.image.to_string()),
            face: Set(number),
            bbox: Set(bbox),
            landmarks: Set(json_text(&face.landmarks)?),
            score: Set(f64::from(face.score)),
            space: Set(face.space.to_string()),
            embedding: Set(vector_bytes(&face.embedding)),
            cluster: Set(known.and_then(|row| row.cluster)),
            person: Set(known.and_then(|row| row.person.clone())),
        });
    }
    for rows in rows.chunks(super::ROWS_MAX) {
        faces::Entity::insert_many(rows.to_vec()).exec_without_returning(change).await?;
    }
    Ok(())
}

/// Faces carry no revision: the analysis that is about to be replaced knows theirs.
async fn drop_faces_of_older_revisions(
    change: &DatabaseTransaction,
    write: &Write<'_>,
) -> Result<()> {
    let older = Query::select()
        .column(Column::Image)
        .from(Entity)
        .and_where(Column::Library.eq(write.library.as_str()))
        .and_where(Column::Image.eq(write.image.as_str()))
        .and_where(Column::Revision.ne(write.revision.0))
        .to_owned();
    faces::Entity::delete_many()
        .filter(faces::Column::Library.eq(write.library.as_str()))
        .filter(Expr::col(faces::Column::Image).in_subquery(older))
        .exec(change)
        .await?;
    Ok(())
}
