//! Rows of `exports`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "exports")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub library: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub export: String,
    pub images: i64,
    pub skipped: String,
    pub limit_rows: Option<i64>,
    pub state: String,
    pub reason: Option<String>,
    pub fence: i64,
    pub started_at: String,
    pub finished_at: Option<String>,
    pub since: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
