//! Groups of faces that look alike: the shape of `face_clusters.json`.
//!
//! A cluster is not a person. Clusters are recomputed with every generation; persons, with their
//! names and the owner's merges and splits, live in the catalogue and are matched to these.

use serde::{Deserialize, Serialize};

use crate::names::ImageId;

/// All groups of a generation, the one with most images first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clusters {
    /// The groups.
    pub clusters: Vec<Cluster>,
    /// Faces that belong to none.
    pub unclustered_faces: u64,
}

/// Faces that look alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its number within this generation, from 1; also its row in the generation's `faces.flat`.
    pub cluster: u32,
    /// "Person 1", until the owner names somebody.
    pub name: String,
    /// Images with at least one of its faces.
    pub image_count: u64,
    /// Its faces.
    pub face_count: u64,
    /// The images, in the order of their ids.
    pub images: Vec<ImageId>,
    /// The faces, in the order of the snapshot.
    pub faces: Vec<MemberFace>,
}

/// A face of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberFace {
    /// The image that shows it.
    pub image: ImageId,
    /// The catalogue's id of the face.
    pub face: i64,
}
