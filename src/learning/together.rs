//! How often terms come together, and when that means something.
//!
//! Counts alone mislead: what is frequent everywhere goes with everything. A link needs support
//! (enough images), lift (clearly more often together than apart) and certainty (still more often
//! when the numbers are read with caution). Words are never linked with less.

use std::collections::HashMap;

use super::corpus::TermId;
use crate::generation::lower_bound;

/// A link must be this many times more frequent than chance.
pub(super) const LIFT_MIN: f64 = 1.5;

/// Pairs that are counted at once: many times what a library says often. Long descriptions of a large
/// library make more, most of which meet once or twice.
pub(super) const PAIRS_MAX: usize = 4_000_000;

/// Pair -> images with both.
///
/// Of more pairs than fit the rarest so far are forgotten, as in lossy counting (Manku and Motwani,
/// 2002): a pair that is met often is counted a little low, never high.
#[derive(Debug)]
pub(super) struct Together {
    counts: HashMap<(TermId, TermId), u32>,
    pairs_max: usize,
}

impl Default for Together {
    fn default() -> Self {
        Self { counts: HashMap::new(), pairs_max: PAIRS_MAX }
    }
}

impl Together {
    /// Counts one image that has both, with its weight.
    pub fn count(&mut self, first: TermId, second: TermId, weight: u32) {
        *self.counts.entry((first, second)).or_default() += weight;
        if self.counts.len() > self.pairs_max {
            self.forget_the_rarest();
        }
    }

    /// To half of what fits, so that it is not done again at once.
    fn forget_the_rarest(&mut self) {
        let mut rare = 1;
        while self.counts.len() > self.pairs_max / 2 {
            self.counts.retain(|_, count| *count > rare);
            rare *= 2;
        }
    }

    /// Images with both.
    pub fn of(&self, first: TermId, second: TermId) -> u64 {
        self.counts.get(&(first, second)).copied().map_or(0, u64::from)
    }

    /// The counts of each first term, in the order of the numbers.
    pub fn by_first(&self) -> Vec<(TermId, Vec<(TermId, u64)>)> {
        let mut pairs: Vec<((TermId, TermId), u64)> =
            self.counts.iter().map(|(pair, count)| (*pair, u64::from(*count))).collect();
        pairs.sort_unstable();
        let mut grouped: Vec<(TermId, Vec<(TermId, u64)>)> = Vec::new();
        for ((first, second), count) in pairs {
            match grouped.last_mut() {
                Some((last, list)) if *last == first => list.push((second, count)),
                _ => grouped.push((first, vec![(second, count)])),
            }
        }
        grouped
    }
}

/// How a term goes with another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Link {
    /// Images with both.
    pub count: u64,
    /// The share of the first term's images that have the second, 0 to 1.
    pub confidence: f64,
    /// How many times more frequent than in the library as a whole.
    pub lift: f64,
    /// How much of it is certain beyond what the library has anyway; the order of a list.
    pub strength: f64,
}

/// Whether images with the first term have the second remarkably often. `first` and `second`
/// count the images with each, of `images` in all.
pub(super) fn link(count: u64, first: u64, second: u64, images: u64, support: u64) -> Option<Link> {
    if count < support || first == 0 || second == 0 {
        return None;
    }
    let confidence = count as f64 / first as f64;
    let base = second as f64 / images as f64;
    let lift = confidence / base;
    let strength = lower_bound(count, first) - base;
    (lift >= LIFT_MIN && strength > 0.0).then_some(Link { count, confidence, lift, strength })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_pairs_the_frequent_ones_stay() {
        let mut together = Together { counts: HashMap::new(), pairs_max: 100 };
        for round in 0..1000 {
            together.count(1, 2, 1);
            together.count(3, round + 10, 1);
            assert!(together.counts.len() <= 100);
        }
        assert_eq!(together.of(1, 2), 1000);
        let rare = together.by_first().into_iter().find(|(first, _)| *first == 3);
        assert!(rare.is_none_or(|(_, seconds)| seconds.len() < 100));
    }

    #[test]
    fn a_link_needs_support_lift_and_certainty() {
        assert!(link(30, 40, 100, 1000, 3).is_some());
        assert_eq!(link(2, 2, 10, 1000, 3), None, "too few");
        assert_eq!(link(36, 40, 900, 1000, 3), None, "frequent everywhere");
        assert_eq!(link(3, 6, 300, 1000, 3), None, "may be chance");
        assert_eq!(link(0, 0, 0, 10, 0), None);
    }
}
