//! The history of exports: which began, which are complete, what they left out.
//!
//! What must stay true: the newest worker alone writes an export's end, and an export that its
//! worker left behind does not look as if it were still running.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::columns::{Row, json_text, plain, signed, time_text, unsigned};
use super::entities::exports::{ActiveModel, Column, Entity, Model};
use super::words::words;
use super::{Catalog, Result, Stored, libraries};
use crate::names::{Fence, LibraryId};

words! {
    /// What became of an export.
    ExportState {
        /// Its worker is at work, or died.
        Running = "running",
        /// Its snapshot is complete.
        Done = "done",
        /// It was given up, for the reason given.
        Failed = "failed",
    }
}

/// An export as recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Its id, which is its snapshot's.
    pub export: String,
    /// How many images it holds; 0 until it is done.
    pub images: u64,
    /// How many it left out, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// How many images were asked for; `None` for all.
    pub limit: Option<u64>,
    /// Only what was analyzed or corrected since; `None` for all.
    pub since: Option<Timestamp>,
    /// What became of it.
    pub state: ExportState,
    /// Why it failed.
    pub reason: Option<String>,
    /// The token of its worker.
    pub fence: Fence,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was done or given up.
    pub finished_at: Option<Timestamp>,
}

impl Catalog {
    /// Records that an export of everything or of the newest so many begins; see
    /// [`Catalog::begin_export_since`].
    ///
    /// # Errors
    /// `UnknownLibrary`, or a failure of the database.
    pub async fn begin_export(
        &self,
        library: &LibraryId,
        fence: Fence,
        export: &str,
        limit: Option<u64>,
    ) -> Result<Stored> {
        self.begin_export_since(library, fence, export, limit, None).await
    }

    /// Records that an export begins. Those that older tokens left running are given up.
    ///
    /// # Errors
    /// `UnknownLibrary`, or a failure of the database.
    pub async fn begin_export_since(
        &self,
        library: &LibraryId,
        fence: Fence,
        export: &str,
        limit: Option<u64>,
        since: Option<Timestamp>,
    ) -> Result<Stored> {
        let change = self.begin().await?;
        let now = self.now_text();
        libraries::locked(&change, library).await?;
        let of_library = Column::Library.eq(library.as_str());
        let newer = Entity::find()
            .filter(of_library.clone())
            .filter(Column::Fence.gt(fence.0))
            .one(&change)
            .await?;
        if let Some(newer) = newer {
            return Ok(Stored::Superseded(format!("export {} began after {fence}", newer.export)));
        }
        let known = Entity::find_by_id((library.to_string(), export.to_owned()));
        if known.one(&change).await?.is_some() {
            return Ok(Stored::Stored);
        }
        Entity::update_many()
            .set(ActiveModel {
                state: Set(ExportState::Failed.as_str().to_owned()),
                reason: Set(Some(format!("a newer export began with token {fence}"))),
                finished_at: Set(Some(now.clone())),
                ..ActiveModel::default()
            })
            .filter(of_library)
            .filter(Column::State.eq(ExportState::Running.as_str()))
            .exec(&change)
            .await?;
        Entity::insert(ActiveModel {
            library: Set(library.to_string()),
            export: Set(export.to_owned()),
            images: Set(0),
            skipped: Set("{}".to_owned()),
            limit_rows: Set(limit.map(signed)),
            since: Set(since.map(time_text)),
            state: Set(ExportState::Running.as_str().to_owned()),
            reason: Set(None),
            fence: Set(fence.0),
            started_at: Set(now),
            finished_at: Set(None),
        })
        .exec_without_returning(&change)
        .await?;
        change.commit().await?;
        Ok(Stored::Stored)
    }

    /// Records that the snapshot of an export is complete.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn finish_export(
        &self,
        library: &LibraryId,
        fence: Fence,
        export: &str,
        images: u64,
        skipped: &BTreeMap<String, u64>,
    ) -> Result<Stored> {
        let outcome = ActiveModel {
            state: Set(ExportState::Done.as_str().to_owned()),
            images: Set(signed(images)),
            skipped: Set(json_text(skipped)?),
            ..ActiveModel::default()
        };
        self.end_export(library, fence, export, outcome).await
    }

    /// Records that an export was given up.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn fail_export(
        &self,
        library: &LibraryId,
        fence: Fence,
        export: &str,
        reason: &str,
    ) -> Result<Stored> {
        let outcome = ActiveModel {
            state: Set(ExportState::Failed.as_str().to_owned()),
            reason: Set(Some(plain(reason))),
            ..ActiveModel::default()
        };
        self.end_export(library, fence, export, outcome).await
    }

    async fn end_export(
        &self,
        library: &LibraryId,
        fence: Fence,
        export: &str,
        mut outcome: ActiveModel,
    ) -> Result<Stored> {
        outcome.finished_at = Set(Some(self.now_text()));
        let target = outcome.state.clone().into_value();
        let change = self.begin().await?;
        let key = (library.to_string(), export.to_owned());
        let Some(found) = Entity::find_by_id(key).one(&change).await? else {
            return Ok(Stored::Superseded(format!("export {export} is not recorded")));
        };
        if found.fence != fence.0 {
            let newer = found.fence;
            return Ok(Stored::Superseded(format!("export {export} belongs to token {newer}")));
        }
        if target == Some(found.state.clone().into()) {
            return Ok(Stored::Stored);
        }
        if found.state != ExportState::Running.as_str() {
            return Ok(Stored::Superseded(format!("export {export} is {}", found.state)));
        }
        Entity::update_many()
            .set(outcome)
            .filter(Column::Library.eq(library.as_str()))
            .filter(Column::Export.eq(export))
            .exec(&change)
            .await?;
        change.commit().await?;
        Ok(Stored::Stored)
    }

    /// The newest exports, the newest first.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn exports(&self, library: &LibraryId, limit: u64) -> Result<Vec<Export>> {
        let rows = Entity::find()
            .filter(Column::Library.eq(library.as_str()))
            .order_by_desc(Column::StartedAt)
            .order_by_desc(Column::Export)
            .limit(limit)
            .all(&self.read)
            .await?;
        rows.iter().map(Export::read).collect()
    }

    /// The newest export that is complete.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn latest_export(&self, library: &LibraryId) -> Result<Option<Export>> {
        let found = Entity::find()
            .filter(Column::Library.eq(library.as_str()))
            .filter(Column::State.eq(ExportState::Done.as_str()))
            .order_by_desc(Column::StartedAt)
            .order_by_desc(Column::Export)
            .one(&self.read)
            .await?;
        found.as_ref().map(Export::read).transpose()
    }
}

impl Export {
    fn read(model: &Model) -> Result<Self> {
        let row = Row { table: "exports", library: &model.library, key: &model.export };
        Ok(Self {
            export: model.export.clone(),
            images: unsigned(model.images),
            skipped: row.json(&model.skipped)?,
            limit: model.limit_rows.map(unsigned),
            since: row.time_if(model.since.as_deref())?,
            state: row.name(model.state.clone())?,
            reason: model.reason.clone(),
            fence: Fence(model.fence),
            started_at: row.time(&model.started_at)?,
            finished_at: row.time_if(model.finished_at.as_deref())?,
        })
    }
}
