//! Assigning faces to persons, decided and written within one transaction.
//!
//! What must stay true: the decision looks at the constraints of that moment, and nobody changes
//! them until it is written. It is not made here: the caller's pure function makes it.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, DatabaseTransaction, EntityTrait, QueryFilter,
};

use super::columns::signed;
use super::constraints::standing_constraints;
use super::entities::faces;
use super::entities::persons::{ActiveModel, Column, Entity};
use super::people::{FaceRef, OwnedFace, Person, PersonId, all_persons, face_number, owned_faces};
use super::{Catalog, Constraint, ROWS_MAX, Result, libraries};
use crate::names::{ImageId, LibraryId};

/// What a decision over persons may look at.
#[derive(Debug, Clone, PartialEq)]
pub struct PeopleNow {
    /// All persons, by id.
    pub persons: Vec<Person>,
    /// All faces with their persons, by image and number.
    pub faces: Vec<OwnedFace>,
    /// The constraints that are not taken back, by number.
    pub constraints: Vec<Constraint>,
}

/// Whose a face is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaceAssignment {
    /// The face.
    pub face: FaceRef,
    /// Its cluster in the current generation.
    pub cluster: Option<i64>,
    /// Its person. One that is not recorded yet is made, without a name.
    pub person: Option<PersonId>,
}

/// A decision over all faces of a library: one that it does not name belongs to nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assignment {
    /// The faces.
    pub faces: Vec<FaceAssignment>,
    /// Persons to forget; one with a name is kept all the same.
    pub retired: Vec<PersonId>,
}

impl Catalog {
    /// Reads persons, faces and constraints, lets `decide` assign the faces, and writes what it
    /// decided, all in one transaction. `decide` must be quick: others wait for the library.
    ///
    /// # Errors
    /// `UnknownLibrary`, or a failure of the database; then nothing was written.
    pub async fn assign_people(
        &self,
        library: &LibraryId,
        decide: impl FnOnce(&PeopleNow) -> Assignment + Send,
    ) -> Result<Assignment> {
        let change = self.begin().await?;
        let now = self.now_text();
        libraries::locked(&change, library).await?;
        let before = PeopleNow {
            persons: all_persons(&change, library).await?,
            faces: owned_faces(&change, library).await?,
            constraints: standing_constraints(&change, library).await?,
        };
        let decided = decide(&before);
        write_assignment(&change, library, &before, &decided, &now).await?;
        change.commit().await?;
        Ok(decided)
    }

    /// Writes an assignment that was decided without looking at the present.
    ///
    /// # Errors
    /// As `assign_people`.
    pub async fn apply_assignment(
        &self,
        library: &LibraryId,
        assignment: &Assignment,
    ) -> Result<()> {
        self.assign_people(library, |_| assignment.clone()).await?;
        Ok(())
    }
}

async fn write_assignment(
    change: &DatabaseTransaction,
    library: &LibraryId,
    before: &PeopleNow,
    decided: &Assignment,
    now: &str,
) -> Result<()> {
    faces::Entity::update_many()
        .col_expr(faces::Column::Cluster, Expr::value(None::<i64>))
        .col_expr(faces::Column::Person, Expr::value(None::<String>))
        .filter(faces::Column::Library.eq(library.as_str()))
        .filter(
            Condition::any()
                .add(faces::Column::Cluster.is_not_null())
                .add(faces::Column::Person.is_not_null()),
        )
        .exec(change)
        .await?;
    // One statement for all faces of one cluster and person: there are far fewer of those.
    let mut groups: BTreeMap<(Option<i64>, Option<&PersonId>), Vec<&FaceRef>> = BTreeMap::new();
    for face in &decided.faces {
        groups.entry((face.cluster, face.person.as_ref())).or_default().push(&face.face);
    }
    for ((cluster, person), members) in groups {
        for members in members.chunks(ROWS_MAX) {
            let keys = members.iter().map(|face| (face.image.to_string(), face_number(face)));
            let key =
                Expr::tuple([Expr::col(faces::Column::Image), Expr::col(faces::Column::Face)]);
            faces::Entity::update_many()
                .col_expr(faces::Column::Cluster, Expr::value(cluster))
                .col_expr(faces::Column::Person, Expr::value(person.map(|id| id.0.clone())))
                .filter(faces::Column::Library.eq(library.as_str()))
                .filter(key.in_tuples(keys))
                .exec(change)
                .await?;
        }
    }
    write_persons(change, library, before, decided, now).await
}

/// Brings the persons in line with the faces as they now are.
async fn write_persons(
    change: &DatabaseTransaction,
    library: &LibraryId,
    before: &PeopleNow,
    decided: &Assignment,
    now: &str,
) -> Result<()> {
    let mut images: BTreeMap<PersonId, BTreeSet<ImageId>> = BTreeMap::new();
    for owned in owned_faces(change, library).await? {
        if let Some(person) = owned.person {
            images.entry(person).or_default().insert(owned.face.image);
        }
    }
    let known = before.persons.iter().map(|person| person.person.clone());
    let named = decided.faces.iter().filter_map(|face| face.person.clone());
    let everybody: BTreeSet<PersonId> = known.chain(named).collect();
    let rows: Vec<ActiveModel> = everybody
        .into_iter()
        .map(|person| {
            let count = images.get(&person).map_or(0, BTreeSet::len);
            ActiveModel {
                library: Set(library.to_string()),
                person: Set(person.0),
                name: Set(None),
                hidden: Set(false),
                image_count: Set(signed(count as u64)),
                created_at: Set(now.to_owned()),
            }
        })
        .collect();
    for rows in rows.chunks(ROWS_MAX) {
        Entity::insert_many(rows.to_vec())
            .on_conflict(
                OnConflict::columns([Column::Library, Column::Person])
                    .update_column(Column::ImageCount)
                    .to_owned(),
            )
            .exec_without_returning(change)
            .await?;
    }
    for retired in decided.retired.chunks(ROWS_MAX) {
        Entity::delete_many()
            .filter(Column::Library.eq(library.as_str()))
            .filter(Column::Person.is_in(retired.iter().map(|person| person.0.as_str())))
            .filter(Column::Name.is_null())
            .filter(Column::ImageCount.eq(0))
            .exec(change)
            .await?;
    }
    Ok(())
}
