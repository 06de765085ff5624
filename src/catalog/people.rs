//! Persons, and whose faces are whose.
//!
//! What must stay true: a person's name outlives every new clustering.

use jiff::Timestamp;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};

use super::columns::{Row, plain, unsigned};
use super::entities::faces;
use super::entities::persons::{Column, Entity, Model};
use super::{Catalog, CatalogError, Result};
use crate::names::{ImageId, LibraryId};

/// A person's id within a library; given once, never reused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PersonId(pub String);

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The id.
    pub person: PersonId,
    /// The name that the owner gave.
    pub name: Option<String>,
    /// Whether the owner does not want to see this person.
    pub hidden: bool,
    /// On how many images the person is.
    pub image_count: u64,
    /// When the person was first recorded.
    pub created_at: Timestamp,
}

/// A face, by its image and its number there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FaceRef {
    /// The image.
    pub image: ImageId,
    /// The face's number within it.
    pub face: u32,
}

/// Whose a face is at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedFace {
    /// The face.
    pub face: FaceRef,
    /// Its cluster.
    pub cluster: Option<i64>,
    /// Its person.
    pub person: Option<PersonId>,
}

impl Catalog {
    /// All faces of a library with their persons, by image and number, without their vectors.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn faces_of(&self, library: &LibraryId) -> Result<Vec<OwnedFace>> {
        owned_faces(&self.read, library).await
    }

    /// All persons of a library, by id.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn persons(&self, library: &LibraryId) -> Result<Vec<Person>> {
        all_persons(&self.read, library).await
    }

    /// Gives a person a name, or takes it away, and says whether the person is hidden.
    ///
    /// # Errors
    /// `Refused` where there is no such person; a failure of the database.
    pub async fn set_person(
        &self,
        library: &LibraryId,
        person: &PersonId,
        name: Option<&str>,
        hidden: bool,
    ) -> Result<()> {
        let change = self.begin().await?;
        let written = Entity::update_many()
            .col_expr(Column::Name, Expr::value(name.map(plain)))
            .col_expr(Column::Hidden, Expr::value(hidden))
            .filter(Column::Library.eq(library.as_str()))
            .filter(Column::Person.eq(person.0.as_str()))
            .exec(&change)
            .await?;
        if written.rows_affected == 0 {
            let what = format!("naming person {} of library {library}", person.0);
            return Err(CatalogError::refused(what, "there is no such person; list them first"));
        }
        change.commit().await?;
        Ok(())
    }
}

pub(super) async fn owned_faces(
    database: &impl ConnectionTrait,
    library: &LibraryId,
) -> Result<Vec<OwnedFace>> {
    let rows: Vec<(String, i32, Option<i64>, Option<String>)> = faces::Entity::find()
        .select_only()
        .columns([
            faces::Column::Image,
            faces::Column::Face,
            faces::Column::Cluster,
            faces::Column::Person,
        ])
        .filter(faces::Column::Library.eq(library.as_str()))
        .order_by_asc(faces::Column::Image)
        .order_by_asc(faces::Column::Face)
        .into_tuple()
        .all(database)
        .await?;
    let mut owned = Vec::with_capacity(rows.len());
    for (image, face, cluster, person) in rows {
        let row = Row { table: "faces", library: library.as_str(), key: &image };
        owned.push(OwnedFace {
            face: FaceRef { image: row.name(image.clone())?, face: row.number(face)? },
            cluster,
            person: person.map(PersonId),
        });
    }
    Ok(owned)
}

pub(super) async fn all_persons(
    database: &impl ConnectionTrait,
    library: &LibraryId,
) -> Result<Vec<Person>> {
    let rows = Entity::find()
        .filter(Column::Library.eq(library.as_str()))
        .order_by_asc(Column::Person)
        .all(database)
        .await?;
    rows.into_iter().map(Person::read).collect()
}

/// A face's number as its column; no image has so many faces that it would not fit.
pub(super) fn face_number(face: &FaceRef) -> i32 {
    i32::try_from(face.face).unwrap_or(i32::MAX)
}

impl Person {
    fn read(model: Model) -> Result<Self> {
        let row = Row { table: "persons", library: &model.library, key: &model.person };
        Ok(Self {
            created_at: row.time(&model.created_at)?,
            person: PersonId(model.person),
            name: model.name,
            hidden: model.hidden,
            image_count: unsigned(model.image_count),
        })
    }
}
