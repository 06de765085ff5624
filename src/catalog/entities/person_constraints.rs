//! Rows of `person_constraints`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "person_constraints")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub library: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub constraint_id: i64,
    pub kind: String,
    pub face_a_image: String,
    pub face_a: i32,
    pub face_b_image: String,
    pub face_b: i32,
    pub created_at: String,
    pub undone_at: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
