//! Rows of `analyses`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "analyses")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub library: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub image: String,
    pub revision: i64,
    pub fence: i64,
    pub space: String,
    pub pack: String,
    pub embedding: Vec<u8>,
    pub tags: String,
    pub categories: String,
    pub description: Option<String>,
    pub detailed_description: Option<String>,
    pub generation: Option<i64>,
    pub enriched_description: Option<String>,
    pub enriched_tags: Option<String>,
    pub enriched_categories: Option<String>,
    pub context: Option<String>,
    pub near_duplicates: Option<String>,
    pub stored_at: String,
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
