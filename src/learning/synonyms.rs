//! Which words stand for each other, from three witnesses.
//!
//! Synonyms keep the same company, hardly ever meet, and where pictures have vectors, look alike:
//! company alone would make synonyms of day and night, of dog and cat.

use std::collections::{BTreeMap, HashMap};

use super::corpus::{Corpus, TermId};
use super::together::{Together, link};
use super::words::{Vocabulary, neighbour, share_a_word, strongest};
use crate::generation::{Neighbour, dot};

const SYNONYMS_MAX: usize = 5;

/// A synonym needs this many images at least.
const SYNONYM_SUPPORT_MIN: u64 = 5;
/// The company that a term is compared by: its strongest links.
const COMPANY_MAX: usize = 50;
/// How alike the company of synonyms is (cosine), and how many companions they share at least.
const COMPANY_COSINE_MIN: f64 = 0.5;
const COMPANIONS_SHARED_MIN: u32 = 3;
/// The same where no vectors tell how the pictures look: company alone must then say more.
const UNSEEN_COSINE_MIN: f64 = 0.75;
const UNSEEN_SHARED_MIN: u32 = 5;
/// Synonyms meet in at most this share of the images of the rarer one.
const MEETING_SHARE_MAX: f64 = 0.1;
/// How alike the pictures of synonyms look: cosine between the means of their vectors, seen from
/// the mean of the library.
const LOOKS_COSINE_MIN: f32 = 0.6;

/// Term -> terms with the same company that hardly ever meet it.
pub(super) type Candidates = BTreeMap<TermId, Vec<Candidate>>;

/// What may be a synonym of a term.
pub(super) struct Candidate {
    other: TermId,
    /// Between the companies of both.
    cosine: f64,
    /// Companions of both.
    shared: u32,
}

pub(super) fn candidates(
    corpus: &Corpus,
    vocabulary: &Vocabulary,
    together: &Together,
    met: &BTreeMap<TermId, Vec<(TermId, u64)>>,
) -> Candidates {
    let support = corpus.support_min().max(SYNONYM_SUPPORT_MIN);
    let company: BTreeMap<TermId, Vec<(TermId, f64)>> = met
        .iter()
        .filter(|(term, _)| vocabulary.counts[term] >= support)
        .map(|(term, met)| (*term, company_of(corpus, vocabulary, *term, met)))
        .collect();
    let mut kept_by: BTreeMap<TermId, Vec<(TermId, f64)>> = BTreeMap::new();
    for (term, companions) in &company {
        for (companion, weight) in companions {
            kept_by.entry(*companion).or_default().push((*term, *weight));
        }
    }
    let mut candidates = Candidates::new();
    for (term, companions) in &company {
        let mut alike: BTreeMap<TermId, (f64, u32)> = BTreeMap::new();
        for (companion, weight) in companions {
            for (other, other_weight) in &kept_by[companion] {
                let entry = alike.entry(*other).or_default();
                entry.0 += weight * other_weight;
                entry.1 += 1;
            }
        }
        for (other, (cosine, shared)) in alike {
            let rarer = vocabulary.counts[term].min(vocabulary.counts[&other]);
            let meetings = together.of(*term, other) as f64;
            let rarely_together = meetings <= rarer as f64 * MEETING_SHARE_MAX;
            let same_company = cosine >= COMPANY_COSINE_MIN && shared >= COMPANIONS_SHARED_MIN;
            let distinct = *term != other && !share_a_word(corpus, *term, other);
            if distinct && same_company && rarely_together {
                candidates.entry(*term).or_default().push(Candidate { other, cosine, shared });
            }
        }
    }
    candidates
}

/// The strongest companions of a term with their weights, as a unit vector.
fn company_of(
    corpus: &Corpus,
    vocabulary: &Vocabulary,
    term: TermId,
    met: &[(TermId, u64)],
) -> Vec<(TermId, f64)> {
    let (images, count) = (corpus.totals.weight, vocabulary.counts[&term]);
    let mut companions: Vec<(TermId, f64)> = Vec::new();
    for (other, both) in met {
        // Chance companions would make anything alike: only certain ones count.
        let link = link(*both, count, vocabulary.counts[other], images, corpus.support_min());
        companions.extend(link.map(|link| (*other, link.lift.ln())));
    }
    companions.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    companions.truncate(COMPANY_MAX);
    let norm = companions.iter().map(|(_, weight)| weight * weight).sum::<f64>().sqrt();
    for (_, weight) in &mut companions {
        *weight /= norm.max(f64::MIN_POSITIVE);
    }
    companions
}

pub(super) fn chosen(
    corpus: &Corpus,
    term: TermId,
    candidates: &[Candidate],
    looks: &Looks,
) -> Vec<Neighbour> {
    let mut found = Vec::new();
    for candidate in candidates {
        let stands_for_it = match looks.compare(term, candidate.other) {
            Some(cosine) => cosine >= LOOKS_COSINE_MIN,
            None => candidate.cosine >= UNSEEN_COSINE_MIN && candidate.shared >= UNSEEN_SHARED_MIN,
        };
        if stands_for_it {
            found.push(neighbour(corpus, candidate.other, candidate.cosine));
        }
    }
    strongest(found, SYNONYMS_MAX)
}

/// How the pictures of a term look on average, seen from the mean of the library.
pub(super) struct Looks(HashMap<TermId, Vec<f32>>);

impl Looks {
    pub fn of(
        corpus: &Corpus,
        vocabulary: &Vocabulary,
        candidates: &Candidates,
        vectors: &[f32],
        dim: usize,
    ) -> Self {
        let mut sums: HashMap<TermId, (Vec<f32>, u64)> =
            candidates.keys().map(|term| (*term, (vec![0.0; dim], 0))).collect();
        let mut mean = vec![0.0_f32; dim];
        let mut rows = vectors.chunks_exact(dim.max(1));
        let mut row_count = 0_u64;
        for image in corpus.images().filter(|image| corpus.has_vector(*image)) {
            let Some(row) = rows.next() else { break };
            row_count += 1;
            add(&mut mean, row);
            for term in vocabulary.of(corpus, image) {
                if let Some((sum, count)) = sums.get_mut(&term) {
                    add(sum, row);
                    *count += 1;
                }
            }
        }
        for value in &mut mean {
            *value /= row_count.max(1) as f32;
        }
        let seen_often = sums.into_iter().filter(|(_, (_, count))| *count >= SYNONYM_SUPPORT_MIN);
        let centred = seen_often.map(|(term, (mut sum, count))| {
            for (value, mean) in sum.iter_mut().zip(&mean) {
                *value = *value / count as f32 - mean;
            }
            (term, sum)
        });
        Self(centred.collect())
    }

    /// The cosine between two looks; none where one of them was never seen.
    fn compare(&self, first: TermId, second: TermId) -> Option<f32> {
        let (first, second) = (self.0.get(&first)?, self.0.get(&second)?);
        let norms = (dot(first, first) * dot(second, second)).sqrt();
        Some(dot(first, second) / norms.max(f32::MIN_POSITIVE))
    }
}

fn add(sum: &mut [f32], row: &[f32]) {
    sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
}
