//! What the board forgets when the catalogue was replaced by a backup of it.

use super::{Board, BoardError};

impl Board {
    /// Forgets what it says of the catalogue, which is another one now: its change counters may be
    /// lower than those announced, and what waits in it is not in the queues. The next leader
    /// announces what is current and offers what waits.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn forget_catalogue(&self) -> Result<(), BoardError> {
        let mut redis = self.redis.clone();
        redis::pipe()
            .del(self.key("generations"))
            .ignore()
            .del(self.key("watching"))
            .ignore()
            .del(self.key("epoch"))
            .ignore()
            .query_async::<()>(&mut redis)
            .await
            .map_err(BoardError::when("forget the replaced catalogue"))
    }
}
