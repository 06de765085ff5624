//! Opening a queue: its name, what Redis lets this program do, and the layout of its keys.
//! What must stay true: a queue that was opened can be worked with; one whose keys this program would
//! misread is refused, and none is left half-way between two layouts.

use std::sync::Arc;

use crate::connection::{Connection, Effort};
use crate::error::QueueError;
use crate::keys::{Keys, LAYOUT, LAYOUT_BEFORE};
use crate::queue::{BATCH_MAX, Queue, Shared};
use crate::scripts;
use crate::settings::QueueSettings;

impl Queue {
    /// Opens a queue; its first job creates it. A queue with the key layout before this program's is
    /// brought to it: first stop the programs that wrote it.
    ///
    /// `namespace` and `name` become part of every key: 1 to 64 characters of `a-z A-Z 0-9 . _ -`.
    ///
    /// # Errors
    /// [`QueueError::BadName`], [`QueueError::BadSetting`], [`QueueError::LayoutUnknown`] when a
    /// newer fleetq has written the keys, and what Redis says.
    pub async fn open(
        connection: &Connection,
        namespace: &str,
        name: &str,
        settings: QueueSettings,
    ) -> Result<Self, QueueError> {
        check_key_part("namespace", namespace)?;
        check_key_part("queue name", name)?;
        settings.check()?;
        let shared = Shared {
            label: format!("{namespace}:{name}"),
            keys: Keys::new(namespace, name),
            settings,
        };
        let connection = connection.of_queue(&shared.label);
        let queue = Self { connection, shared: Arc::new(shared) };
        queue.probe().await?;
        match queue.look_at_layout().await {
            Err(QueueError::LayoutUnknown { found, .. }) if found == LAYOUT_BEFORE => {
                tracing::info!(
                    queue = queue.label(),
                    to = LAYOUT,
                    "bringing the queue to this layout"
                );
            }
            looked => looked?,
        }
        queue.migrate().await?;
        queue.look_at_layout().await?;
        Ok(queue)
    }

    async fn look_at_layout(&self) -> Result<(), QueueError> {
        let call = self.script(&scripts::OPEN);
        let _found: String = self.run("open the queue", Effort::UntilAnswered, &call).await?;
        Ok(())
    }

    /// Whether Redis takes new jobs now: it is neither full nor a read-only replica.
    ///
    /// # Errors
    /// [`QueueError::Full`], [`QueueError::ReadOnly`], and what else Redis says.
    pub async fn check_writable(&self) -> Result<(), QueueError> {
        let mut call = self.script(&scripts::OPEN);
        call.arg("write");
        let _found: String = self.run("write to the queue", Effort::UntilAnswered, &call).await?;
        Ok(())
    }

    /// Moves what layout 1 had in other keys, and what a program of that layout has left there since.
    /// A server that takes no writes can be looked at all the same.
    async fn migrate(&self) -> Result<(), QueueError> {
        let mut call = self.script(&scripts::MIGRATE);
        for key in self.shared.keys.of_layout_before() {
            call.key(key.as_str());
        }
        call.arg(BATCH_MAX);
        loop {
            match self.run("migrate the queue", Effort::UntilAnswered, &call).await {
                Ok(0_u64) | Err(QueueError::ReadOnly { .. } | QueueError::Full { .. }) => {
                    return Ok(());
                }
                Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

pub(crate) fn check_key_part(what: &'static str, value: &str) -> Result<(), QueueError> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
    if value.is_empty() || value.len() > 64 || !value.chars().all(allowed) {
        return Err(QueueError::BadName {
            what,
            value: value.chars().take(64).collect(),
            why: "1 to 64 characters of a-z A-Z 0-9 . _ - are allowed",
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_leave_the_hash_slot_are_refused() {
        for name in ["", "a}b", "a{b", "a:b", "a b", &"x".repeat(65)] {
            assert!(check_key_part("queue name", name).is_err(), "{name}");
        }
        assert!(check_key_part("queue name", "analyze-image_2.0").is_ok());
    }
}
