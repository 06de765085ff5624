//! How fast a queue is worked off, from what the settle script counts in spans of ten seconds.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

const SPAN_MS: i64 = 10_000;
/// The spans that the pace is taken from: the one that runs and five before it.
const SPANS: i64 = 6;

/// Jobs done in the last minute, or since the queue was paused, resumed, drained or capped last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Pace {
    /// Jobs done.
    pub done: u64,
    /// In this time, which ends now: 50 to 60 s, less where nothing was done before.
    pub within: Duration,
}

impl Pace {
    /// Jobs done a second; 0 where none was.
    pub fn per_second(&self) -> f64 {
        if self.done == 0 { 0.0 } else { self.done as f64 / self.within.as_secs_f64() }
    }

    /// From the fields `pace0` to `pace29` of `meta`, each `span count`, and `steered`, a time in ms;
    /// spans are counted since 1970, and those of another time are left out.
    pub(crate) fn read(now_ms: i64, meta: &BTreeMap<String, String>) -> Self {
        let current = now_ms.div_euclid(SPAN_MS);
        let steered = meta.get("steered").and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
        let (mut done, mut first) = (0, current);
        for (field, value) in meta {
            if !field.starts_with("pace") {
                continue;
            }
            let Some((span, count)) = value.split_once(' ') else { continue };
            let (Ok(span), Ok(count)) = (span.parse::<i64>(), count.parse::<u64>()) else {
                continue;
            };
            let since_steered = span >= steered.div_euclid(SPAN_MS);
            if span <= current && span > current - SPANS && since_steered {
                done += count;
                first = first.min(span);
            }
        }
        let within = now_ms - steered.clamp(first * SPAN_MS, now_ms);
        Self { done, within: Duration::from_millis(u64::try_from(within).unwrap_or(0).max(1)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_minute_counts() {
        let mut meta = BTreeMap::new();
        meta.insert("layout".to_owned(), "2.0".to_owned());
        for (field, value) in
            [("pace0", "100 60"), ("pace1", "101 30"), ("pace2", "94 5000"), ("pace3", "102 9")]
        {
            meta.insert(field.to_owned(), value.to_owned());
        }
        let pace = Pace::read(1_015_000, &meta);
        assert_eq!(pace, Pace { done: 90, within: Duration::from_secs(15) });
        assert!((pace.per_second() - 6.0).abs() < 1e-9);
        assert!(Pace::read(9_000_000, &meta).per_second().abs() < 1e-9);
        // Paused until 2 s ago.
        meta.insert("steered".to_owned(), "1013000".to_owned());
        let pace = Pace::read(1_015_000, &meta);
        assert_eq!(pace, Pace { done: 30, within: Duration::from_secs(2) });
    }
}
