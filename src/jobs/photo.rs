//! The kinds of jobs in the queue `analyze`: everything that is done to one photo.
//!
//! Corrections and removals lie beside the analyses, and not in a queue of their own, because the same
//! workers have all they need: the catalogue and the generation to enrich with. They go first, in the
//! interactive lane.

use std::sync::Arc;

use fleetq::Claim;

use super::{AnalyzeDeps, AnalyzeImage, Away, Job, RemoveImage, UpdateImage, read_job, run_claim};

/// Runs a claimed job of the queue `analyze`, whichever kind it is.
pub async fn run_photo_claim(claim: Claim, deps: Arc<AnalyzeDeps>, away: Arc<Away>) {
    match claim.kind.as_str() {
        UpdateImage::NAME => run_claim::<UpdateImage>(claim, deps, away).await,
        RemoveImage::NAME => run_claim::<RemoveImage>(claim, deps, away).await,
        // One of no known kind is a dead letter there.
        _ => run_claim::<AnalyzeImage>(claim, deps, away).await,
    }
}

/// Whether a worker of the queue `analyze` can read this job.
pub fn is_photo_job(kind: &str, payload: &[u8]) -> bool {
    match kind {
        UpdateImage::NAME => read_job::<UpdateImage>(kind, payload).is_ok(),
        RemoveImage::NAME => read_job::<RemoveImage>(kind, payload).is_ok(),
        _ => read_job::<AnalyzeImage>(kind, payload).is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_reads_its_own_payload_only() {
        let analysis = br#"{"library":"main","image":"1","path":"a.jpg","revision":3}"#;
        let owners = br#"{"library":"main","image":"1","said_at":"2026-11-22T13:15:00Z"}"#;
        for kind in [UpdateImage::NAME, RemoveImage::NAME] {
            assert!(is_photo_job(kind, owners) && !is_photo_job(kind, analysis), "{kind}");
        }
        assert!(is_photo_job(AnalyzeImage::NAME, analysis));
        assert!(!is_photo_job(AnalyzeImage::NAME, owners));
        assert!(!is_photo_job("export-snapshot", owners));
    }
}
