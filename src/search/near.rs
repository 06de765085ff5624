//! The pictures near a vector: in the index, and in the tail where that is newer. Blocking: a
//! library may have a million vectors.

use std::collections::HashSet;
use std::sync::Arc;

use super::rank::Candidate;
use super::tail::{RowsById, Tail};
use crate::generation::{Generation, IndexError, dot};
use crate::names::ImageId;

/// What one search compares with: it changes for nobody who began.
pub(super) struct Near {
    pub generation: Option<Arc<Generation>>,
    pub tail: Tail,
    /// The rows of the generation's index.
    pub indexed: RowsById,
}

impl Near {
    /// The `wanted` pictures nearest to `vector`, nearest first, and after them those of `said`
    /// that are not among them.
    ///
    /// # Errors
    /// `vector` is none that the index can be asked.
    pub fn candidates(
        &self,
        vector: &[f32],
        said: Vec<ImageId>,
        wanted: usize,
    ) -> Result<Vec<Candidate>, IndexError> {
        let mut candidates = self.tail.nearest(vector, wanted);
        if let Some(learned) = &self.generation {
            let is_newest = |image: &str| !self.tail.holds(image);
            let found = learned.index.search(vector, wanted, &is_newest)?;
            let candidate = |(image, similarity)| Candidate { image, similarity };
            candidates.extend(found.into_iter().map(candidate));
        }
        candidates.sort_by(|a, b| {
            b.similarity.total_cmp(&a.similarity).then_with(|| a.image.cmp(&b.image))
        });
        candidates.truncate(wanted);
        let near: HashSet<ImageId> = candidates.iter().map(|near| near.image.clone()).collect();
        for image in said {
            if !near.contains(&image) {
                let similarity = self.similarity(vector, &image);
                candidates.push(Candidate { image, similarity });
            }
        }
        Ok(candidates)
    }

    /// The cosine between `vector` and the newest vector of `image`; 0 where that has none.
    fn similarity(&self, vector: &[f32], image: &ImageId) -> f32 {
        let indexed = || {
            let index = &self.generation.as_ref()?.index;
            self.indexed.vector(index, image.as_str())
        };
        let own = self.tail.vector(image.as_str()).or_else(indexed);
        own.filter(|own| own.len() == vector.len()).map_or(0.0, |own| dot(own, vector))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::{Index, samples};
    use crate::names::GenerationNumber;

    fn image(id: &str) -> ImageId {
        ImageId::new(id).unwrap()
    }

    /// An index with `a`, `b` and `c`; `b` was analyzed again and `d` is new.
    fn near() -> Near {
        let folder = tempfile::tempdir().unwrap();
        let store = samples::published(folder.path(), &[1]);
        let mut generation = store.open(GenerationNumber(1), None).unwrap();
        let vectors = vec![1.0, 0.0, 1.0, 0.0, 0.0, 1.0];
        generation.index = Index::exact(2, vectors, &[image("a"), image("b"), image("c")]);
        let mut near = Near {
            indexed: RowsById::of(&generation.index),
            generation: Some(Arc::new(generation)),
            tail: Tail::default(),
        };
        for (id, vector) in
            [("a", [1.0, 0.0]), ("b", [-1.0, 0.0]), ("c", [0.0, 1.0]), ("d", [0.8, 0.6])]
        {
            let index = &near.generation.as_ref().unwrap().index;
            near.tail.take(&image(id), &vector, near.indexed.vector(index, id));
        }
        near
    }

    fn found(near: &Near, said: &[&str], wanted: usize) -> Vec<(String, f32)> {
        let said = said.iter().map(|id| image(id)).collect();
        let found = near.candidates(&[1.0, 0.0], said, wanted).unwrap();
        found.into_iter().map(|it| (it.image.to_string(), it.similarity)).collect()
    }

    #[test]
    fn the_index_answers_for_what_it_holds_and_the_tail_for_the_rest() {
        let near = near();
        // All four were read from the catalogue; two of them only the index can answer for.
        assert_eq!(["a", "b", "c", "d"].map(|id| near.tail.holds(id)), [false, true, false, true]);
        let expected = [("a", 1.0), ("d", 0.8), ("c", 0.0), ("b", -1.0)];
        assert_eq!(found(&near, &[], 9), expected.map(|(id, score)| (id.to_owned(), score)));
    }

    #[test]
    fn what_the_words_found_is_added_with_its_own_similarity() {
        let expected = [("a", 1.0), ("d", 0.8), ("b", -1.0), ("c", 0.0), ("gone", 0.0)];
        let found = found(&near(), &["b", "a", "c", "gone"], 2);
        assert_eq!(found, expected.map(|(id, score)| (id.to_owned(), score)));
    }

    #[test]
    fn a_vector_of_other_models_is_refused() {
        assert!(near().candidates(&[1.0], Vec::new(), 9).is_err());
    }
}
