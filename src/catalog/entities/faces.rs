//! Rows of `faces`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "faces")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub library: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub image: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub face: i32,
    pub bbox: String,
    pub landmarks: String,
    pub score: f64,
    pub space: String,
    pub embedding: Vec<u8>,
    pub cluster: Option<i64>,
    pub person: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
