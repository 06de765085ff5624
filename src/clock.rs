//! The one source of wall-clock time, so that tests can hold it still.
//!
//! Leases and tokens never use it: their time is Redis's. It dates rows, files and logs.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// Answers what time it is. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    held: Option<Arc<Mutex<Timestamp>>>,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands at `start` until it is advanced.
    pub fn held_at(start: Timestamp) -> Self {
        Self { held: Some(Arc::new(Mutex::new(start))) }
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        match &self.held {
            Some(held) => *held.lock().unwrap_or_else(PoisonError::into_inner),
            #[expect(
                clippy::disallowed_methods,
                reason = "this is the one place that may ask the machine"
            )]
            None => Timestamp::now(),
        }
    }

    /// Moves a held clock forward by `step`; the machine's clock stays as it is.
    pub fn advance(&self, step: SignedDuration) {
        if let Some(held) = &self.held {
            let mut now = held.lock().unwrap_or_else(PoisonError::into_inner);
            *now += step;
        }
    }
}
