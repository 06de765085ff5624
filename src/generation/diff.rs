//! What one generation has that another has not.
//!
//! Names are compared, not the figures behind them: every training counts anew, and a list of all
//! counts would hide what a person wants to see.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::Serialize;

use super::clusters::{Cluster, Clusters};
use super::index::Index;
use super::opened::Generation;
use crate::names::GenerationNumber;

/// What is different in `to`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diff {
    /// The one that is compared with.
    pub from: GenerationNumber,
    /// The one whose differences are told.
    pub to: GenerationNumber,
    /// Whether their vectors can be compared with each other.
    pub same_space: bool,
    /// Images that search finds by their vectors.
    pub images: Changes,
    /// Categories with their common words and tags.
    pub categories: Changes,
    /// Words with their synonyms.
    pub synonyms: Changes,
    /// Words with those that go with them.
    pub related_words: Changes,
    /// Terms of descriptions with what they are enriched by.
    pub description_terms: Changes,
    /// Groups of faces. One is the same where more than half of the faces of either are.
    pub face_clusters: Changes,
    /// Figures of quality, each 0 to 1, before and after.
    pub quality: BTreeMap<String, (Option<f64>, Option<f64>)>,
}

/// How a set of named things differs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// How many there were.
    pub before: usize,
    /// How many there are.
    pub after: usize,
    /// New ones, in order.
    pub appeared: Vec<String>,
    /// Those that are gone, in order.
    pub disappeared: Vec<String>,
    /// Those that are in both and hold something else, in order.
    pub changed: Vec<Changed>,
}

/// How one thing differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Its name.
    pub name: String,
    /// What it holds now and did not.
    pub gained: Vec<String>,
    /// What it held.
    pub lost: Vec<String>,
}

impl Changes {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.appeared.is_empty() && self.disappeared.is_empty() && self.changed.is_empty()
    }
}

impl Diff {
    /// Compares two generations of one library.
    pub fn between(from: &Generation, to: &Generation) -> Self {
        Self {
            from: from.number,
            to: to.number,
            same_space: from.manifest.space == to.manifest.space,
            images: images(&from.index, &to.index),
            categories: by_name(&from.patterns, &to.patterns, |pattern| {
                pattern.common_words.iter().chain(&pattern.co_occurring_tags).cloned().collect()
            }),
            synonyms: by_name(&from.words.words, &to.words.words, |entry| {
                entry.synonyms.iter().map(|other| other.word.clone()).collect()
            }),
            related_words: by_name(&from.words.words, &to.words.words, |entry| {
                entry.related.iter().map(|other| other.word.clone()).collect()
            }),
            description_terms: by_name(
                &from.description_patterns,
                &to.description_patterns,
                |pattern| pattern.associated.iter().map(|other| other.term.clone()).collect(),
            ),
            face_clusters: clusters(&from.clusters, &to.clusters),
            quality: quality(&from.manifest.quality, &to.manifest.quality),
        }
    }
}

/// What holds nothing is not there: a word is known, with no synonyms.
fn by_name<T>(
    from: &BTreeMap<String, T>,
    to: &BTreeMap<String, T>,
    held: impl Fn(&T) -> BTreeSet<String>,
) -> Changes {
    let holding = |map: &BTreeMap<String, T>| -> BTreeMap<String, BTreeSet<String>> {
        let all = map.iter().map(|(name, entry)| (name.clone(), held(entry)));
        all.filter(|(_, held)| !held.is_empty()).collect()
    };
    let (from, to) = (holding(from), holding(to));
    let missing = |these: &BTreeMap<String, BTreeSet<String>>,
                   those: &BTreeMap<String, BTreeSet<String>>| {
        these.keys().filter(|name| !those.contains_key(*name)).cloned().collect()
    };
    let changed = to.iter().filter_map(|(name, after)| {
        let before = from.get(name).filter(|before| *before != after)?;
        Some(Changed {
            name: name.clone(),
            gained: after.difference(before).cloned().collect(),
            lost: before.difference(after).cloned().collect(),
        })
    });
    Changes {
        before: from.len(),
        after: to.len(),
        appeared: missing(&to, &from),
        disappeared: missing(&from, &to),
        changed: changed.collect(),
    }
}

fn images(from: &Index, to: &Index) -> Changes {
    let ids = |index: &Index| -> BTreeSet<String> {
        (0..index.len() as u32).map(|row| index.id(row).to_owned()).collect()
    };
    let (before, after) = (ids(from), ids(to));
    Changes {
        before: before.len(),
        after: after.len(),
        appeared: after.difference(&before).cloned().collect(),
        disappeared: before.difference(&after).cloned().collect(),
        changed: Vec::new(),
    }
}

fn clusters(from: &Clusters, to: &Clusters) -> Changes {
    let of_face: HashMap<i64, usize> = from
        .clusters
        .iter()
        .enumerate()
        .flat_map(|(at, cluster)| cluster.faces.iter().map(move |face| (face.face, at)))
        .collect();
    let mut kept = HashSet::new();
    let mut appeared = Vec::new();
    for cluster in &to.clusters {
        let mut shared: HashMap<usize, usize> = HashMap::new();
        for face in &cluster.faces {
            if let Some(at) = of_face.get(&face.face) {
                *shared.entry(*at).or_default() += 1;
            }
        }
        // At most one can share more than half of the faces of both.
        let same = shared.into_iter().find(|(at, shared)| {
            shared * 2 > cluster.faces.len().max(from.clusters[*at].faces.len())
        });
        match same {
            Some((at, _)) => drop(kept.insert(at)),
            None => appeared.push(told(cluster)),
        }
    }
    let gone = from.clusters.iter().enumerate().filter(|(at, _)| !kept.contains(at));
    Changes {
        before: from.clusters.len(),
        after: to.clusters.len(),
        appeared,
        disappeared: gone.map(|(_, cluster)| told(cluster)).collect(),
        changed: Vec::new(),
    }
}

fn told(cluster: &Cluster) -> String {
    let images = if cluster.image_count == 1 { "image" } else { "images" };
    format!("{}: {} {images}", cluster.name, cluster.image_count)
}

fn quality(
    from: &BTreeMap<String, f64>,
    to: &BTreeMap<String, f64>,
) -> BTreeMap<String, (Option<f64>, Option<f64>)> {
    let names: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
    let both = |name: &String| (from.get(name).copied(), to.get(name).copied());
    names.into_iter().map(|name| (name.clone(), both(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::{CategoryPattern, MemberFace, samples};
    use crate::names::ImageId;

    fn pattern(words: &[&str]) -> CategoryPattern {
        let common_words = words.iter().map(|&word| word.to_owned()).collect();
        CategoryPattern { count: 1, common_words, co_occurring_tags: Vec::new() }
    }

    fn cluster(name: &str, faces: &[i64]) -> Cluster {
        let member = |face: &i64| MemberFace { image: ImageId::new("a.jpg").unwrap(), face: *face };
        Cluster {
            cluster: 1,
            name: name.to_owned(),
            image_count: 1,
            face_count: faces.len() as u64,
            images: Vec::new(),
            faces: faces.iter().map(member).collect(),
        }
    }

    #[test]
    fn what_appears_disappears_and_changes_is_told_by_name() {
        let map = |entries: &[(&str, &[&str])]| -> BTreeMap<String, CategoryPattern> {
            entries.iter().map(|(name, words)| ((*name).to_owned(), pattern(words))).collect()
        };
        let from = map(&[
            ("beach", &["sand"]),
            ("empty", &[]),
            ("forest", &["tree", "moss"]),
            ("sky", &["blue"]),
        ]);
        let to = map(&[
            ("empty", &["full"]),
            ("forest", &["tree", "fern"]),
            ("harbour", &["boat"]),
            ("sky", &["blue"]),
        ]);
        let changes = by_name(&from, &to, |it| it.common_words.iter().cloned().collect());
        assert_eq!((changes.before, changes.after), (3, 4));
        assert_eq!(changes.appeared, ["empty", "harbour"]);
        assert_eq!(changes.disappeared, ["beach"]);
        let forest = Changed {
            name: "forest".to_owned(),
            gained: vec!["fern".to_owned()],
            lost: vec!["moss".to_owned()],
        };
        assert_eq!(changes.changed, [forest]);
    }

    #[test]
    fn a_group_of_faces_is_the_same_where_most_of_it_is() {
        let groups = |clusters| Clusters { clusters, unclustered_faces: 0 };
        let from = groups(vec![cluster("Person 1", &[1, 2, 3, 4]), cluster("Person 2", &[5, 6])]);
        // The first one grew, half of the second one went to a new one.
        let to = groups(vec![cluster("Person 1", &[1, 2, 3, 7]), cluster("Person 2", &[5, 8])]);
        let changes = clusters(&from, &to);
        assert_eq!((changes.before, changes.after), (2, 2));
        assert_eq!(changes.appeared, ["Person 2: 1 image"]);
        assert_eq!(changes.disappeared, ["Person 2: 1 image"]);
        assert!(clusters(&from, &from).is_empty());
    }

    #[test]
    fn a_generation_does_not_differ_from_itself() {
        let library = tempfile::tempdir().unwrap();
        let store = samples::published(library.path(), &[1, 2]);
        let open = |number| store.open(GenerationNumber(number), None).unwrap();
        let diff = Diff::between(&open(1), &open(2));
        assert_eq!((diff.from, diff.to), (GenerationNumber(1), GenerationNumber(2)));
        assert!(diff.same_space && diff.images.is_empty() && diff.categories.is_empty());
        assert_eq!((diff.images.before, diff.images.after), (6, 6));
    }
}
