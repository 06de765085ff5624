//! Taking a purged library off the board, and out of the log that Redis keeps of it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use redis::Script;

use super::{Board, BoardError};
use crate::names::LibraryId;

/// Time that a rewrite of the log may take.
const REWRITE_MAX: Duration = Duration::from_mins(1);
/// Time between two looks at it.
const LOOK_EVERY: Duration = Duration::from_millis(100);

impl Board {
    /// Removes the announcements of `library`: workers ask the catalogue then, and let go of it.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn withdraw(&self, library: &LibraryId) -> Result<(), BoardError> {
        let mut redis = self.redis.clone();
        redis::pipe()
            .hdel(self.key("generations"), library.as_str())
            .ignore()
            .hdel(self.key("watching"), library.as_str())
            .ignore()
            .del(self.training_key(library))
            .ignore()
            .query_async::<()>(&mut redis)
            .await
            .map_err(BoardError::when("withdraw a library"))
    }

    /// Withdraws what is announced of libraries that are not among `standing`: one may have been
    /// announced while it was purged. `announced` was read before `standing`.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn withdraw_others(
        &self,
        announced: impl IntoIterator<Item = LibraryId>,
        standing: &BTreeSet<LibraryId>,
    ) -> Result<(), BoardError> {
        for library in announced {
            if !standing.contains(&library) {
                self.withdraw(&library).await?;
            }
        }
        Ok(())
    }

    /// Removes everything that the board says of `library`. Workers that say they serve it, dead
    /// ones as well, are off the list until they report again.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn forget(&self, library: &LibraryId) -> Result<(), BoardError> {
        self.withdraw(library).await?;
        let script = Script::new(
            "local all = redis.call('HGETALL', KEYS[1])
             for n = 1, #all, 2 do
               local read, facts = pcall(cjson.decode, all[n + 1])
               if read and facts.serves and facts.serves[ARGV[1]] then
                 redis.call('HDEL', KEYS[1], all[n])
               end
             end",
        );
        let mut redis = self.redis.clone();
        script
            .key(self.key("workers"))
            .arg(library.as_str())
            .invoke_async::<()>(&mut redis)
            .await
            .map_err(BoardError::when("forget a library"))
    }

    /// Has Redis write its append-only file anew, without what was deleted, and waits for that.
    /// `false`: it keeps none.
    ///
    /// # Errors
    /// When Redis is away, forbids it, or does not come to an end within a minute.
    pub async fn rewrite_log(&self) -> Result<bool, BoardError> {
        let began = Instant::now();
        let mut asked = false;
        loop {
            let facts = self.persistence().await?;
            let is = |name: &str, value: &str| {
                facts.lines().any(|line| line == format!("{name}:{value}"))
            };
            if !is("aof_enabled", "1") {
                return Ok(false);
            }
            let busy = is("aof_rewrite_in_progress", "1") || is("aof_rewrite_scheduled", "1");
            if !busy && asked {
                if is("aof_last_bgrewrite_status", "ok") {
                    return Ok(true);
                }
                return Err(BoardError::broken(
                    "rewrite its log",
                    "the rewrite failed; see Redis's own log",
                ));
            }
            if !busy {
                // One that ran before may have begun before the deletion.
                let mut redis = self.redis.clone();
                redis::cmd("BGREWRITEAOF")
                    .query_async::<()>(&mut redis)
                    .await
                    .map_err(BoardError::when("rewrite its log"))?;
                asked = true;
            }
            if began.elapsed() > REWRITE_MAX {
                return Err(BoardError::broken("rewrite its log", "it takes longer than a minute"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn persistence(&self) -> Result<String, BoardError> {
        let mut redis = self.redis.clone();
        redis::cmd("INFO")
            .arg("persistence")
            .query_async(&mut redis)
            .await
            .map_err(BoardError::when("say how it keeps its log"))
    }
}
