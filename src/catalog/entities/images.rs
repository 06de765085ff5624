//! Rows of `images`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "images")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub library: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub image: String,
    pub path: String,
    pub revision: i64,
    pub bytes: Option<i64>,
    pub content_hash: Option<String>,
    pub source: String,
    pub width: Option<i32>,
    pub height: Option<i32>,
    pub created_at: String,
    pub updated_at: String,
    pub removed_at: Option<String>,
    pub stamp: Option<String>,
    pub owner_removed_at: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
