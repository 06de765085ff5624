//! How long the client waits for what, and the pauses between its attempts.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// How to reach Redis. Every wait of the client is set here and none is left to a default of the
/// Redis library.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// How long one attempt to connect may take. Default 2 s.
    pub connection_timeout: Duration,
    /// How long Redis may take to answer one request. Default 5 s.
    pub response_timeout: Duration,
    /// The first pause between two attempts to connect; it doubles. Default 20 ms.
    pub retry_delay_min: Duration,
    /// The longest pause between two attempts to connect. Default 250 ms.
    pub retry_delay_max: Duration,
    /// How long one call keeps trying while Redis is away, before it returns an error. Default 5 s.
    pub patience: Duration,
    /// How long [`connect`](crate::connect) waits for a server that is not there yet. Default 0.
    pub wait_at_open: Duration,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            connection_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(5),
            retry_delay_min: Duration::from_millis(20),
            retry_delay_max: Duration::from_millis(250),
            patience: Duration::from_secs(5),
            wait_at_open: Duration::ZERO,
        }
    }
}

/// Doubling pauses with jitter, so that a fleet does not come back in one instant.
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(options: &ConnectOptions) -> Self {
        let first = options.retry_delay_min.max(Duration::from_millis(1));
        Self { first, longest: options.retry_delay_max.max(first), next: first }
    }

    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }

    pub(crate) async fn pause(&mut self) {
        // A fresh RandomState is the standard library's only source of chance.
        let chance = RandomState::new().build_hasher().finish() % 1024;
        let pause = self.next.mul_f64(0.5 + chance as f64 / 2048.0);
        self.next = (self.next * 2).min(self.longest);
        tokio::time::sleep(pause).await;
    }
}
