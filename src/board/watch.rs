//! What the board says of watched folders: one entry a library, written by its watcher.

use std::path::Path;

use jiff::Timestamp;
use redis::AsyncCommands;
use serde::{Deserialize, Serialize};

use super::{Board, BoardError};
use crate::names::LibraryId;

/// How a watched folder stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchFacts {
    /// The folder.
    pub root: String,
    /// What is going on.
    pub state: WatchState,
    /// Whether the system tells of changes as they happen; else only full looks find them.
    pub live: bool,
    /// Files looked at in the last full look.
    pub files: u64,
    /// Files that somebody seems to be writing still: they are taken when they are left alone.
    pub settling: u64,
    /// Files there are, once they are counted.
    pub total: Option<u64>,
    /// Photos of the last look that were new.
    pub new: u64,
    /// Photos of the last look that had changed.
    pub changed: u64,
    /// Photos of the last look that had moved.
    pub moved: u64,
    /// Photos of the last look that were gone.
    pub removed: u64,
    /// What was not taken since the last full look.
    pub not_taken: u64,
    /// Some of the names that were not taken, each with its reason.
    pub reasons: Vec<String>,
    /// Why nothing goes on, where that is so.
    pub message: Option<String>,
    /// When the last look ended.
    pub looked_at: Option<Timestamp>,
}

/// What is going on in a watched folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WatchState {
    /// Everything is looked at.
    Scanning,
    /// The library is equal to the folder.
    Watching,
    /// Nothing can be said or done: the message says why.
    Held,
}

impl WatchFacts {
    /// Whether they were said by a watcher that runs since `start`, as far as they tell.
    pub fn is_of(&self, start: Timestamp) -> bool {
        self.state != WatchState::Watching || self.looked_at.is_some_and(|at| at >= start)
    }

    /// Nothing is known yet of the folder `root`.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.display().to_string(),
            state: WatchState::Scanning,
            live: false,
            files: 0,
            settling: 0,
            total: None,
            new: 0,
            changed: 0,
            moved: 0,
            removed: 0,
            not_taken: 0,
            reasons: Vec::new(),
            message: None,
            looked_at: None,
        }
    }
}

impl Board {
    /// Says how the watched folder of `library` stands.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn show_watch(
        &self,
        library: &LibraryId,
        facts: &WatchFacts,
    ) -> Result<(), BoardError> {
        let text = serde_json::to_string(facts).expect("strings and numbers are always JSON");
        let mut redis = self.redis.clone();
        redis
            .hset::<_, _, _, ()>(self.key("watching"), library.as_str(), text)
            .await
            .map_err(BoardError::when("show how a watched folder stands"))
    }

    /// How the watched folder of `library` stands, where it is watched.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn watch(&self, library: &LibraryId) -> Result<Option<WatchFacts>, BoardError> {
        let mut redis = self.redis.clone();
        let text: Option<String> = redis
            .hget(self.key("watching"), library.as_str())
            .await
            .map_err(BoardError::when("read how a watched folder stands"))?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// The libraries that are said to have a watched folder.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn watches(&self) -> Result<Vec<LibraryId>, BoardError> {
        let mut redis = self.redis.clone();
        let names: Vec<String> = redis
            .hkeys(self.key("watching"))
            .await
            .map_err(BoardError::when("list the watched folders"))?;
        Ok(names.into_iter().filter_map(|name| LibraryId::new(name).ok()).collect())
    }

    /// Takes back what was said of the watched folder of `library`.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn end_watch(&self, library: &LibraryId) -> Result<(), BoardError> {
        let mut redis = self.redis.clone();
        redis
            .hdel::<_, _, ()>(self.key("watching"), library.as_str())
            .await
            .map_err(BoardError::when("forget a watched folder"))
    }
}
