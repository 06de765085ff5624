//! When an export leaves out too much to be of use.
//!
//! Photos that wait or failed are known for what they are and come with a later export; what should
//! be in a snapshot and cannot be is damage. A library that learned from the rest would unlearn what
//! is merely damaged, so beyond a share of it nothing is published.

use crate::snapshot::SnapshotManifest;

/// Counted, and no damage: their stages say why.
pub(super) const WAITING: &str = "not analyzed yet";
/// The same of those that can never be.
pub(super) const FAILED: &str = "analysis failed";
/// Its vectors mean nothing beside the others'.
pub(super) const OTHER_PACK: &str = "analyzed by another pack";
/// The image is there without what search needs.
const NO_VECTOR: &str = "vector left out";
/// A face costs the image a face.
const NO_FACE: &str = "face left out";

/// Why the snapshot is not to be published: more than `share_max` of the images that should be in it
/// cannot be used.
pub(super) fn too_much(manifest: &SnapshotManifest, share_max: f64) -> Option<String> {
    let is_damage =
        |reason: &str| reason != WAITING && reason != FAILED && !reason.starts_with(NO_FACE);
    let damage = manifest.skipped.iter().filter(|(reason, _)| is_damage(reason));
    let damage: Vec<(&str, u64)> =
        damage.map(|(reason, count)| (reason.as_str(), *count)).collect();
    let unusable: u64 = damage.iter().map(|(_, count)| count).sum();
    let absent = damage.iter().filter(|(reason, _)| !reason.starts_with(NO_VECTOR));
    let all = manifest.images + absent.map(|(_, count)| count).sum::<u64>();
    let share = unusable as f64 / all.max(1) as f64;
    if share <= share_max {
        return None;
    }
    let counts: Vec<String> =
        damage.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    let foreign = damage.iter().any(|(reason, _)| *reason == OTHER_PACK);
    let broken = damage.iter().any(|(reason, _)| *reason != OTHER_PACK);
    let mut steps = Vec::new();
    if foreign {
        steps.push("have the photos of the other pack analyzed again (`eyefleet reprocess --only-missing`), or set vision.pack to it");
    }
    if broken {
        steps.push(
            "`eyefleet doctor` looks at the catalogue, `eyefleet restore` brings a backup back",
        );
    }
    Some(format!(
        "{unusable} of {all} images ({:.0} %) cannot be used, more than export.skipped_max_share \
         ({share_max}) allows: {}; {}",
        share * 100.0,
        counts.join(", "),
        steps.join("; ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(images: u64, skipped: &[(&str, u64)]) -> SnapshotManifest {
        let skipped: serde_json::Map<_, _> =
            skipped.iter().map(|(reason, count)| ((*reason).to_owned(), (*count).into())).collect();
        serde_json::from_value(serde_json::json!({
            "schema_version": 1, "id": "20261122T131500Z-0000000000000001", "library": "main",
            "space": "0123456789abcdef", "dim": 2, "face_dim": null, "images": images, "vectors": 0,
            "faces": 0, "skipped": skipped, "started_at": "2026-11-22T13:15:00Z",
            "finished_at": "2026-11-22T13:15:00Z", "files": {},
        }))
        .unwrap()
    }

    #[test]
    fn waiting_and_failed_photos_and_faces_are_no_damage() {
        let known = [(WAITING, 900), (FAILED, 50), ("face left out: zero", 70)];
        assert_eq!(too_much(&manifest(10, &known), 0.0), None);
        assert_eq!(too_much(&manifest(0, &[]), 0.0), None);
    }

    #[test]
    fn more_than_the_share_is_too_much_and_the_counts_are_named() {
        let skipped = [(OTHER_PACK, 1), ("its row is damaged", 1), ("vector left out: zero", 1)];
        // Eight are in it, one of them without its vector; two are not.
        assert_eq!(too_much(&manifest(8, &skipped), 0.3), None);
        let why = too_much(&manifest(8, &skipped), 0.29).unwrap();
        for words in [
            "3 of 10 images (30 %)",
            "1 analyzed by another pack",
            "1 its row is damaged",
            "doctor",
        ] {
            assert!(why.contains(words), "{why}");
        }
    }
}
