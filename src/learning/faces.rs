//! Groups of faces that look alike.
//!
//! linfa's DBSCAN over the exact graph of close pairs. Groups are numbered by how many images they
//! show, so "Person 1" is whom the library shows most. Faces that fit nowhere stay without a group:
//! a wrong group hurts more than none.

use std::collections::BTreeMap;

use linfa::traits::Transformer;
use linfa_clustering::Dbscan;
use linfa_nn::distance::L2Dist;
use ndarray16::Array2;

use super::Tick;
use super::eps_graph::EpsGraph;
use super::error::LearnError;
use crate::generation::{Cluster, Clusters, Index, MemberFace};
use crate::names::ImageId;
use crate::snapshot::Snapshot;

/// When faces are of one group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaceOptions {
    /// The Euclidean distance between unit vectors up to which two faces are alike; belongs to
    /// the recognition model and comes from its pack.
    pub distance: f32,
    /// The fewest faces of a group, at least 2.
    pub faces_min: usize,
}

impl Default for FaceOptions {
    /// `SFace`'s distance, three faces.
    fn default() -> Self {
        Self { distance: 0.91, faces_min: 3 }
    }
}

/// The groups and their centres, row for row.
#[derive(Debug)]
pub(super) struct FaceGroups {
    pub clusters: Clusters,
    pub centres: Index,
}

/// Groups the faces of a snapshot; `members` names them, row for row.
pub(super) fn learn(
    snapshot: &Snapshot,
    members: &[MemberFace],
    options: FaceOptions,
    tick: &mut Tick<'_>,
) -> Result<FaceGroups, LearnError> {
    let dim = snapshot.manifest().face_dim.unwrap_or(0);
    group(snapshot.read_faces()?, dim, members, options, tick)
}

fn group(
    vectors: Vec<f32>,
    dim: usize,
    members: &[MemberFace],
    options: FaceOptions,
    tick: &mut Tick<'_>,
) -> Result<FaceGroups, LearnError> {
    if members.is_empty() {
        let centres = Index::exact(dim, Vec::new(), &[]);
        return Ok(FaceGroups { clusters: Clusters::default(), centres });
    }
    let rows = Array2::from_shape_vec((members.len(), dim), vectors)
        .map_err(|error| LearnError::Faces(error.to_string()))?;
    let graph = EpsGraph::new(rows.view(), options.distance, tick)?;
    let labels = Dbscan::params_with(options.faces_min, L2Dist, graph)
        .tolerance(options.distance)
        .transform(&rows)
        .map_err(|error| LearnError::Faces(error.to_string()))?;
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (row, label) in labels.iter().enumerate() {
        if let Some(label) = label {
            groups.entry(*label).or_default().push(row);
        }
    }
    let mut groups: Vec<(Vec<ImageId>, Vec<usize>)> =
        groups.into_values().map(|rows| (images_of(&rows, members), rows)).collect();
    groups.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then(a.1.cmp(&b.1)));

    let clustered: usize = groups.iter().map(|(_, rows)| rows.len()).sum();
    let mut clusters =
        Clusters { clusters: Vec::new(), unclustered_faces: (members.len() - clustered) as u64 };
    let (mut centres, mut names) = (Vec::new(), Vec::new());
    for (number, (images, group)) in (1..).zip(groups) {
        centres.extend(centre(&rows, &group));
        names.push(ImageId::new(format!("{number}")).expect("digits are a valid id"));
        clusters.clusters.push(Cluster {
            cluster: number,
            name: format!("Person {number}"),
            image_count: images.len() as u64,
            face_count: group.len() as u64,
            images,
            faces: group.iter().map(|row| members[*row].clone()).collect(),
        });
    }
    Ok(FaceGroups { clusters, centres: Index::exact(dim, centres, &names) })
}

/// The images of these faces, each once, in the order of their ids.
fn images_of(rows: &[usize], members: &[MemberFace]) -> Vec<ImageId> {
    let mut images: Vec<ImageId> = rows.iter().map(|row| members[*row].image.clone()).collect();
    images.sort();
    images.dedup();
    images
}

/// The direction in which these faces lie together.
fn centre(rows: &Array2<f32>, group: &[usize]) -> Vec<f32> {
    let mut sum = vec![0.0_f32; rows.ncols()];
    for row in group {
        sum.iter_mut().zip(rows.row(*row)).for_each(|(sum, value)| *sum += value);
    }
    let norm = sum.iter().map(|value| value * value).sum::<f32>().sqrt();
    if norm < 1e-6 {
        // Faces that cancel out have no common direction; the first one stands for them.
        return rows.row(group[0]).to_vec();
    }
    sum.iter().map(|value| value / norm).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::samples::{grouped_vectors, ids, unit_vectors};

    /// Forty faces of each of `people`, mixed, and `strangers` seen once.
    fn planted(people: usize, strangers: usize, dim: usize) -> (Vec<f32>, Vec<MemberFace>) {
        let known = people * 40;
        let mut vectors = grouped_vectors(11, known, dim, people, 0.45);
        vectors.extend(unit_vectors(99, strangers, dim));
        let images = ids(known + strangers);
        let members = (0..).zip(images).map(|(face, image)| MemberFace { image, face });
        (vectors, members.collect())
    }

    #[test]
    fn planted_people_are_found_and_strangers_left_out() {
        let (people, strangers) = (8, 60);
        let (vectors, members) = planted(people, strangers, 64);
        let options = FaceOptions::default();
        let groups = group(vectors, 64, &members, options, &mut |_| Ok(())).unwrap();
        let mut label = vec![None; members.len()];
        for cluster in &groups.clusters.clusters {
            for face in &cluster.faces {
                label[face.face as usize] = Some(cluster.cluster);
            }
        }
        let truth = |row: usize| (row < people * 40).then_some(row % people);
        let (mut both, mut found, mut real) = (0.0, 0.0, 0.0);
        for a in 0..members.len() {
            for b in 0..a {
                let is_found = label[a].is_some() && label[a] == label[b];
                let is_real = truth(a).is_some() && truth(a) == truth(b);
                found += f64::from(u8::from(is_found));
                real += f64::from(u8::from(is_real));
                both += f64::from(u8::from(is_found && is_real));
            }
        }
        let f1 = 2.0 * both / (found + real);
        assert!(f1 > 0.98, "pairwise F1 {f1}");
        let grouped_strangers = label[people * 40..].iter().flatten().count();
        assert!(grouped_strangers <= 1, "{grouped_strangers} strangers were grouped");
        assert_eq!(groups.clusters.clusters.len(), people);
        assert_eq!(groups.centres.len(), people);
        let first = &groups.clusters.clusters[0];
        assert_eq!((first.name.as_str(), first.image_count), ("Person 1", 40));
    }

    #[test]
    fn no_faces_and_useless_settings() {
        let none = group(Vec::new(), 0, &[], FaceOptions::default(), &mut |_| Ok(())).unwrap();
        assert_eq!(none.clusters, Clusters::default());
        let (vectors, members) = planted(2, 0, 8);
        let useless = FaceOptions { distance: -1.0, faces_min: 3 };
        assert!(group(vectors, 8, &members, useless, &mut |_| Ok(())).is_err());
    }
}
