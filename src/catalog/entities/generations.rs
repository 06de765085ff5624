//! Rows of `generations`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "generations")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub library: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i64,
    pub parent: Option<i64>,
    pub snapshot: String,
    pub fence: i64,
    pub state: String,
    pub reason: Option<String>,
    pub space: Option<String>,
    pub images: Option<i64>,
    pub report: Option<String>,
    pub created_at: String,
    pub published_at: Option<String>,
    pub pinned: bool,
    pub ended_at: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
