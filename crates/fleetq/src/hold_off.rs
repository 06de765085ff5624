//! A pause in claiming that the handlers ask for: what every job needs is away.
//! What must stay true: it only ever delays, and ends by itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shared by the feeder of a worker and its claims. Clones are cheap.
#[derive(Debug, Clone, Default)]
pub(crate) struct HoldOff {
    until: Arc<Mutex<Option<Instant>>>,
}

impl HoldOff {
    /// Nothing is claimed for `pause` from now. A pause that ends later stands.
    pub(crate) fn pause(&self, pause: Duration) {
        let asked = Instant::now().checked_add(pause);
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = (*until).max(asked);
    }

    /// How long it still lasts; none when it is over.
    pub(crate) fn left(&self) -> Option<Duration> {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let left = until?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_pause_does_not_end_a_longer_one() {
        let hold_off = HoldOff::default();
        assert_eq!(hold_off.left(), None);
        hold_off.pause(Duration::ZERO);
        assert_eq!(hold_off.left(), None);
        hold_off.clone().pause(Duration::from_hours(2));
        hold_off.pause(Duration::from_secs(1));
        assert!(hold_off.left().is_some_and(|left| left > Duration::from_hours(1)));
    }
}
