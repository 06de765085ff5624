//! What must not be in a catalogue and may be after a restored backup, a repair by hand or a fault of
//! ours: photos that neither wait nor were seen, faces and rows without their photo.
//!
//! What must stay true: a page sees one moment; what is mended was found a second time under the locks
//! of the transaction that mends it.

use std::collections::HashMap;

use jiff::Timestamp;
use sea_orm::sea_query::LockType;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, FromQueryResult, QueryFilter,
    QueryOrder, QuerySelect, Statement,
};

use super::columns::Row;
use super::entities::images::{Column, Entity, Model};
use super::{Catalog, ROWS_MAX, Result, libraries, uploads};
use crate::names::{ImageId, LibraryId, RelativePath, Revision};

/// What is wrong with some images that follow each other by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Damage {
    /// The images that were looked at, all after this one.
    after: Option<ImageId>,
    /// The last one that was looked at; none where there was none any more.
    pub last: Option<ImageId>,
    /// Images that were looked at.
    pub looked_at: u64,
    /// Images that do not wait, and of whose present revision nothing is stored.
    pub lost: Vec<ImageId>,
    /// Images with faces that hang on nothing: they were removed, or nothing was seen of them.
    pub orphan_faces: Vec<ImageId>,
    /// Images with faces of a person that does not exist.
    pub strangers: Vec<ImageId>,
    /// Removed images of which stages or an analysis are left.
    pub remains: Vec<ImageId>,
}

impl Damage {
    /// Whether nothing is wrong.
    pub fn is_none(&self) -> bool {
        let all = [&self.lost, &self.orphan_faces, &self.strangers, &self.remains];
        all.into_iter().all(Vec::is_empty)
    }
}

/// How an image stands, for whoever holds a job about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its present revision.
    pub revision: Revision,
    /// Whether it was removed.
    pub removed: bool,
    /// When its row was last written.
    pub updated_at: Timestamp,
}

#[derive(FromQueryResult)]
struct Found {
    image: String,
}

/// Neither waiting nor seen. A stage that waits for another revision is nobody's: no job takes it.
const LOST: &str = "i.removed_at IS NULL
    AND NOT EXISTS (SELECT 1 FROM stages s WHERE s.library = i.library AND s.image = i.image
        AND s.state = 'waiting' AND s.revision = i.revision)
    AND (NOT EXISTS (SELECT 1 FROM stages s WHERE s.library = i.library AND s.image = i.image
            AND s.stage = 'embed' AND s.revision = i.revision)
        OR (EXISTS (SELECT 1 FROM stages s WHERE s.library = i.library AND s.image = i.image
                AND s.stage = 'embed' AND s.state = 'done')
            AND NOT EXISTS (SELECT 1 FROM analyses a WHERE a.library = i.library
                AND a.image = i.image AND a.revision = i.revision)))";

/// Of a photo that waits, or is about to because it was lost, the next look replaces the faces.
const ORPHAN_FACES: &str = "EXISTS (SELECT 1 FROM faces f WHERE f.library = i.library
        AND f.image = i.image)
    AND (i.removed_at IS NOT NULL
        OR (NOT EXISTS (SELECT 1 FROM analyses a WHERE a.library = i.library
                AND a.image = i.image)
            AND EXISTS (SELECT 1 FROM stages s WHERE s.library = i.library AND s.image = i.image
                AND s.stage = 'embed' AND s.revision = i.revision
                AND s.state IN ('failed', 'skipped'))))";

const STRANGERS: &str = "EXISTS (SELECT 1 FROM faces f WHERE f.library = i.library
    AND f.image = i.image AND f.person IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM persons p WHERE p.library = f.library AND p.person = f.person))";

const REMAINS: &str = "i.removed_at IS NOT NULL
    AND (EXISTS (SELECT 1 FROM stages s WHERE s.library = i.library AND s.image = i.image)
        OR EXISTS (SELECT 1 FROM analyses a WHERE a.library = i.library AND a.image = i.image))";

impl Catalog {
    /// What is wrong with the next `limit` images by id, after `after`, removed ones as well.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn damage(
        &self,
        library: &LibraryId,
        after: Option<&ImageId>,
        limit: u64,
    ) -> Result<Damage> {
        let moment = self.begin_reading().await?;
        let mut page = Entity::find()
            .select_only()
            .column(Column::Image)
            .filter(Column::Library.eq(library.as_str()))
            .order_by_asc(Column::Image)
            .limit(limit);
        if let Some(after) = after {
            page = page.filter(Column::Image.gt(after.as_str()));
        }
        let page: Vec<String> = page.into_tuple().all(&moment).await?;
        let Some(last) = page.last() else { return Ok(Damage::default()) };
        let row = Row { table: "images", library: library.as_str(), key: last };
        let last: ImageId = row.name(last.clone())?;
        let mut damage = damage_between(&moment, library, after, &last).await?;
        damage.looked_at = page.len() as u64;
        moment.commit().await?;
        Ok(damage)
    }

    /// Mends what `found` says and what is still so: lost images wait again, with their stages;
    /// faces and rows that hang on nothing are deleted; faces of unknown persons are nobody's until
    /// the next training. Gives what was mended.
    ///
    /// # Errors
    /// `UnknownLibrary`, or a failure of the database; then nothing was mended.
    pub async fn mend(&self, library: &LibraryId, found: &Damage) -> Result<Damage> {
        let Some(last) = &found.last else { return Ok(Damage::default()) };
        let change = self.begin().await?;
        let now = self.now_text();
        let fence_floor = libraries::locked(&change, library).await?.fence_floor;
        let mut named: Vec<&ImageId> =
            [&found.lost, &found.orphan_faces, &found.strangers, &found.remains]
                .into_iter()
                .flatten()
                .collect();
        named.sort();
        named.dedup();
        // Whoever stores a result locks its image: it is stored before, or refused afterwards.
        let mut rows: HashMap<String, Model> = HashMap::new();
        for ids in named.chunks(ROWS_MAX) {
            let locked = Entity::find()
                .filter(Column::Library.eq(library.as_str()))
                .filter(Column::Image.is_in(ids.iter().map(|image| image.as_str())))
                .order_by_asc(Column::Image)
                .lock(LockType::NoKeyUpdate)
                .all(&change)
                .await?;
            rows.extend(locked.into_iter().map(|row| (row.image.clone(), row)));
        }
        let mut mended = damage_between(&change, library, found.after.as_ref(), last).await?;
        for (still, before) in [
            (&mut mended.lost, &found.lost),
            (&mut mended.orphan_faces, &found.orphan_faces),
            (&mut mended.strangers, &found.strangers),
            (&mut mended.remains, &found.remains),
        ] {
            still.retain(|image| before.contains(image));
        }
        let lost: Vec<&Model> =
            mended.lost.iter().filter_map(|image| rows.get(image.as_str())).collect();
        uploads::wait_again(&change, library, &lost, fence_floor, &now).await?;
        for (statement, images) in [
            ("DELETE FROM faces WHERE library = $1 AND image = $2", &mended.orphan_faces),
            (
                "UPDATE faces SET person = NULL WHERE library = $1 AND image = $2
                   AND person NOT IN (SELECT person FROM persons WHERE library = $1)",
                &mended.strangers,
            ),
            ("DELETE FROM stages WHERE library = $1 AND image = $2", &mended.remains),
            ("DELETE FROM analyses WHERE library = $1 AND image = $2", &mended.remains),
        ] {
            for image in images {
                execute(&change, statement, library, image).await?;
            }
        }
        change.commit().await?;
        Ok(mended)
    }

    /// How these images stand; what is not recorded is left out.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn standing(
        &self,
        library: &LibraryId,
        images: &[ImageId],
    ) -> Result<HashMap<ImageId, Standing>> {
        let mut found = HashMap::with_capacity(images.len());
        for ids in images.chunks(ROWS_MAX) {
            let rows = Entity::find()
                .filter(Column::Library.eq(library.as_str()))
                .filter(Column::Image.is_in(ids.iter().map(ImageId::as_str)))
                .all(&self.read)
                .await?;
            for model in rows {
                let row = Row { table: "images", library: &model.library, key: &model.image };
                let standing = Standing {
                    revision: Revision(model.revision),
                    removed: model.removed_at.is_some(),
                    updated_at: row.time(&model.updated_at)?,
                };
                found.insert(row.name(model.image.clone())?, standing);
            }
        }
        Ok(found)
    }

    /// Where the originals of the next `limit` images by id lie, after `after`; without removed ones.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn paths_page(
        &self,
        library: &LibraryId,
        after: Option<&ImageId>,
        limit: u64,
    ) -> Result<Vec<(ImageId, RelativePath)>> {
        let mut page = Entity::find()
            .select_only()
            .columns([Column::Image, Column::Path])
            .filter(Column::Library.eq(library.as_str()))
            .filter(Column::RemovedAt.is_null())
            .order_by_asc(Column::Image)
            .limit(limit);
        if let Some(after) = after {
            page = page.filter(Column::Image.gt(after.as_str()));
        }
        let rows: Vec<(String, String)> = page.into_tuple().all(&self.read).await?;
        let read = |(image, path): (String, String)| {
            let row = Row { table: "images", library: library.as_str(), key: &image };
            Ok((row.name(image.clone())?, row.name(path)?))
        };
        rows.into_iter().map(read).collect()
    }

    /// Where the originals of these images lie now; a removed one is left out.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn paths_of(
        &self,
        library: &LibraryId,
        images: &[ImageId],
    ) -> Result<Vec<(ImageId, RelativePath)>> {
        let mut found = Vec::with_capacity(images.len());
        for ids in images.chunks(ROWS_MAX) {
            let rows: Vec<(String, String)> = Entity::find()
                .select_only()
                .columns([Column::Image, Column::Path])
                .filter(Column::Library.eq(library.as_str()))
                .filter(Column::RemovedAt.is_null())
                .filter(Column::Image.is_in(ids.iter().map(ImageId::as_str)))
                .order_by_asc(Column::Image)
                .into_tuple()
                .all(&self.read)
                .await?;
            for (image, path) in rows {
                let row = Row { table: "images", library: library.as_str(), key: &image };
                found.push((row.name(image.clone())?, row.name(path)?));
            }
        }
        Ok(found)
    }
}

/// What is wrong with the images after `after` up to and with `last`.
async fn damage_between(
    moment: &DatabaseTransaction,
    library: &LibraryId,
    after: Option<&ImageId>,
    last: &ImageId,
) -> Result<Damage> {
    let of = async |condition: &str| -> Result<Vec<ImageId>> {
        let question = format!(
            "SELECT i.image AS image FROM images i
             WHERE i.library = $1 AND i.image > $2 AND i.image <= $3 AND {condition}
             ORDER BY i.image"
        );
        let values = [library.as_str(), after.map_or("", ImageId::as_str), last.as_str()];
        let backend = moment.get_database_backend();
        let question = Statement::from_sql_and_values(backend, question, values.map(Into::into));
        let rows = Found::find_by_statement(question).all(moment).await?;
        let row = Row { table: "images", library: library.as_str(), key: last.as_str() };
        rows.into_iter().map(|found| row.name(found.image)).collect()
    };
    Ok(Damage {
        after: after.cloned(),
        last: Some(last.clone()),
        looked_at: 0,
        lost: of(LOST).await?,
        orphan_faces: of(ORPHAN_FACES).await?,
        strangers: of(STRANGERS).await?,
        remains: of(REMAINS).await?,
    })
}

async fn execute(
    change: &DatabaseTransaction,
    statement: &str,
    library: &LibraryId,
    image: &ImageId,
) -> Result<()> {
    let values = [library.as_str(), image.as_str()];
    let backend = change.get_database_backend();
    let statement = Statement::from_sql_and_values(backend, statement, values.map(Into::into));
    change.execute_raw(statement).await?;
    Ok(())
}
