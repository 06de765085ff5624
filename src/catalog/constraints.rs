//! The owner's word on faces: which are one person, which are two.
//!
//! What must stay true: a word stands until the owner takes it back, whatever becomes of clusters;
//! nothing is deleted, so that every word can be traced.

use jiff::Timestamp;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder,
};

use super::columns::Row;
use super::entities::person_constraints::{ActiveModel, Column, Entity, Model};
use super::people::{FaceRef, face_number};
use super::words::words;
use super::{Catalog, Result, libraries};
use crate::names::LibraryId;

words! {
    /// What the owner says of two faces.
    ConstraintKind {
        /// They are one person.
        MustLink = "must_link",
        /// They are two persons.
        CannotLink = "cannot_link",
    }
}

/// The owner's word on two faces, not yet recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConstraint {
    /// What is said.
    pub kind: ConstraintKind,
    /// One face.
    pub a: FaceRef,
    /// The other face.
    pub b: FaceRef,
}

/// The owner's word on two faces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    /// Its number within the library.
    pub id: i64,
    /// What is said.
    pub said: NewConstraint,
    /// When it was said.
    pub created_at: Timestamp,
    /// When it was taken back.
    pub undone_at: Option<Timestamp>,
}

impl Catalog {
    /// The constraints that are not taken back, by number.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn constraints(&self, library: &LibraryId) -> Result<Vec<Constraint>> {
        standing_constraints(&self.read, library).await
    }

    /// Records the owner's word on two faces and gives its number. The same word while it stands
    /// is one word: its number is given again.
    ///
    /// # Errors
    /// `UnknownLibrary`, or a failure of the database.
    pub async fn add_constraint(&self, library: &LibraryId, said: &NewConstraint) -> Result<i64> {
        let change = self.begin().await?;
        let now = self.now_text();
        libraries::locked(&change, library).await?;
        let standing = standing_constraints(&change, library).await?;
        let same = |known: &&Constraint| {
            let there = &known.said;
            let straight = (&there.a, &there.b) == (&said.a, &said.b);
            let crossed = (&there.a, &there.b) == (&said.b, &said.a);
            there.kind == said.kind && (straight || crossed)
        };
        if let Some(known) = standing.iter().find(same) {
            return Ok(known.id);
        }
        let newest = Entity::find()
            .filter(Column::Library.eq(library.as_str()))
            .order_by_desc(Column::ConstraintId)
            .one(&change)
            .await?;
        let id = newest.map_or(1, |newest| newest.constraint_id + 1);
        Entity::insert(ActiveModel {
            library: Set(library.to_string()),
            constraint_id: Set(id),
            kind: Set(said.kind.as_str().to_owned()),
            face_a_image: Set(said.a.image.to_string()),
            face_a: Set(face_number(&said.a)),
            face_b_image: Set(said.b.image.to_string()),
            face_b: Set(face_number(&said.b)),
            created_at: Set(now),
            undone_at: Set(None),
        })
        .exec_without_returning(&change)
        .await?;
        change.commit().await?;
        Ok(id)
    }

    /// Takes the owner's word back; says whether it stood until now.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn undo_constraint(&self, library: &LibraryId, id: i64) -> Result<bool> {
        let change = self.begin().await?;
        let now = self.now_text();
        let written = Entity::update_many()
            .col_expr(Column::UndoneAt, Expr::value(now))
            .filter(Column::Library.eq(library.as_str()))
            .filter(Column::ConstraintId.eq(id))
            .filter(Column::UndoneAt.is_null())
            .exec(&change)
            .await?;
        change.commit().await?;
        Ok(written.rows_affected > 0)
    }
}

pub(super) async fn standing_constraints(
    database: &impl ConnectionTrait,
    library: &LibraryId,
) -> Result<Vec<Constraint>> {
    let rows = Entity::find()
        .filter(Column::Library.eq(library.as_str()))
        .filter(Column::UndoneAt.is_null())
        .order_by_asc(Column::ConstraintId)
        .all(database)
        .await?;
    rows.iter().map(Constraint::read).collect()
}

impl Constraint {
    fn read(model: &Model) -> Result<Self> {
        let key = model.constraint_id.to_string();
        let row = Row { table: "person_constraints", library: &model.library, key: &key };
        let face = |image: &str, face: i32| -> Result<FaceRef> {
            Ok(FaceRef { image: row.name(image.to_owned())?, face: row.number(face)? })
        };
        Ok(Self {
            id: model.constraint_id,
            said: NewConstraint {
                kind: row.name(model.kind.clone())?,
                a: face(&model.face_a_image, model.face_a)?,
                b: face(&model.face_b_image, model.face_b)?,
            },
            created_at: row.time(&model.created_at)?,
            undone_at: row.time_if(model.undone_at.as_deref())?,
        })
    }
}
