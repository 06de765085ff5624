//! Rows of `libraries`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "libraries")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub library: String,
    pub root: String,
    pub created_at: String,
    pub current_generation: Option<i64>,
    pub generation_change: i64,
    pub train_fence: i64,
    pub watched: bool,
    pub mounts: String,
    pub purging: bool,
    pub fence_floor: i64,
    pub forced_since: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
