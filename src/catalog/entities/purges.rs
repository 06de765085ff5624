//! The one row of `purges`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "purges")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub only_row: i32,
    pub fence: i64,
    pub train_fence: i64,
    pub generation_change: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
