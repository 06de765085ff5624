//! Rows of `details`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "details")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub library: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub image: String,
    pub revision: i64,
    pub fence: i64,
    pub state: String,
    pub reason: Option<String>,
    pub written_by: String,
    pub updated_at: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
