//! Rows of `stages`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "stages")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub library: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub image: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub stage: String,
    pub state: String,
    pub reason: Option<String>,
    pub revision: i64,
    pub fence: i64,
    pub attempts: i32,
    pub updated_at: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::images::Entity",
        from = "(Column::Library, Column::Image)",
        to = "(super::images::Column::Library, super::images::Column::Image)"
    )]
    Image,
}

impl ActiveModelBehavior for ActiveModel {}
