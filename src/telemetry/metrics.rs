//! Every metric of the fleet, declared once: name, kind, unit, labels, help.
//!
//! Names begin with `eyefleet_` and end in their base unit; labels come from closed sets, so that
//! neither a library nor an image can grow the number of series. `docs/metrics.md` and the
//! dashboards name nothing that is not here: tests compare them.

use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// What kind of number a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts in buckets.
    Histogram,
}

/// The declaration of one metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Name as Prometheus sees it.
    pub name: &'static str,
    /// Kind of number.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, in one sentence.
    pub help: &'static str,
}

/// Declares a constant for each metric and the list of them all.
macro_rules! metrics {
    ($($constant:ident = $name:literal, $kind:ident, [$($label:literal),*], $help:literal;)*) => {
        $(#[doc = $help] pub const $constant: &str = $name;)*
        /// All metrics, in the order of the documents.
        pub const ALL: &[Metric] = &[
            $(Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help },)*
        ];
    };
}

metrics! {
    BUILD_INFO = "eyefleet_build_info", Gauge, ["version", "role"], "Always 1; carries the version and the role of the process.";
    JOBS_TOTAL = "eyefleet_jobs_total", Counter, ["kind", "outcome"], "Jobs that ended a run, by outcome (`finished`, `skipped`, `retried`, `waited`, `failed`, `quarantined`, `given_back`, `superseded`).";
    JOB_FAILURES_TOTAL = "eyefleet_job_failures_total", Counter, ["kind", "cause"], "Runs of jobs that failed, whatever became of the job, by where the cause lies (`photo`, `picture`, `models`, `catalog`, `queue`, `board`, `volume`, `snapshot`, `learning`, `generation`, `ollama`, `payload`, `panic`, `time`, `other`).";
    JOBS_RUNNING = "eyefleet_jobs_running", Gauge, ["kind"], "Jobs that run in this process now.";
    JOB_RUN_SECONDS = "eyefleet_job_run_seconds", Histogram, ["kind"], "Time from the start of a job's run to its end.";
    JOB_WAIT_SECONDS = "eyefleet_job_wait_seconds", Histogram, ["kind"], "Time from when a job was ready to run to its claim.";
    QUEUE_JOBS = "eyefleet_queue_jobs", Gauge, ["queue", "state", "lane"], "Jobs in a queue, by state (ready, scheduled, claimed, dead) and lane (interactive, upload, backfill).";
    QUEUE_OLDEST_WAIT_SECONDS = "eyefleet_queue_oldest_wait_seconds", Gauge, ["queue", "lane"], "Time that the job at the head of a lane has been ready; 0 where the lane is empty.";
    QUEUE_MODE = "eyefleet_queue_mode", Gauge, ["queue", "mode"], "1 for the mode that a queue is in (running, paused, draining), 0 for the others.";
    QUEUE_CAP = "eyefleet_queue_cap", Gauge, ["queue"], "Most jobs of a queue that the whole fleet may work on at once; 0 where there is no cap.";
    CLAIMS_TOTAL = "eyefleet_claims_total", Counter, ["queue"], "Jobs that this process claimed.";
    SETTLES_TOTAL = "eyefleet_settles_total", Counter, ["queue", "outcome"], "Claims that this process settled, by outcome (`done`, `retried`, `waited`, `dead`, `given_back`, `crashed`).";
    STALE_SETTLES_TOTAL = "eyefleet_stale_settles_total", Counter, ["queue"], "Settlements of this process that came too late and changed nothing: the lease was lost.";
    RESCUES_TOTAL = "eyefleet_rescues_total", Counter, ["queue", "reason"], "Jobs of lost workers that this process took from them: returned to their lane, or quarantined because they were started too often or are broken.";
    LEASES_RENEWED_TOTAL = "eyefleet_leases_renewed_total", Counter, ["queue"], "Leases that this process extended.";
    LEASES_RENEWED_LATE_TOTAL = "eyefleet_leases_renewed_late_total", Counter, ["queue"], "Leases that this process extended with less than a third of their time left.";
    LEASES_LOST_TOTAL = "eyefleet_leases_lost_total", Counter, ["queue"], "Leases that this process lost to others.";
    TIME_LIMITS_TOTAL = "eyefleet_time_limits_total", Counter, ["queue"], "Runs of this process that met their time limit.";
    FAILED_QUEUE_CALLS_TOTAL = "eyefleet_failed_queue_calls_total", Counter, ["queue"], "Calls of this process to Redis that failed and were tried again later.";
    CATALOG_IMAGES = "eyefleet_catalog_images", Gauge, [], "Images in the catalogue, all libraries.";
    CATALOG_STAGES = "eyefleet_catalog_stages", Gauge, ["stage", "state"], "Stages of images in the catalogue, by state (waiting, done, skipped, failed).";
    CATALOG_DETAILS = "eyefleet_catalog_details", Gauge, ["state"], "Detailed descriptions in the catalogue, by state (waiting, done, failed); absent where no Ollama is named.";
    OLLAMA_UP = "eyefleet_ollama_up", Gauge, [], "1 in an intake process that finds its Ollama with the model that it needs, 0 where it does not; absent where none is named.";
    DECODE_SECONDS = "eyefleet_decode_seconds", Histogram, [], "Time to decode one original.";
    LOOK_SECONDS = "eyefleet_look_seconds", Histogram, [], "Time to run the models on one photo, waiting for a batch included.";
    GENERATION_SERVED = "eyefleet_generation_served", Gauge, [], "Number of the generation of library main that this process serves; 0 before the first.";
    LIBRARIES_BEHIND = "eyefleet_libraries_behind", Gauge, [], "Libraries in use whose current generation this process does not serve, because it cannot be loaded; the target is 0.";
    GENERATION_RELOADS_TOTAL = "eyefleet_generation_reloads_total", Counter, ["outcome"], "Generations loaded by this process (applied, failed).";
    EXPORTS_TOTAL = "eyefleet_exports_total", Counter, ["outcome"], "Exports that ended (finished, failed).";
    EXPORT_SECONDS = "eyefleet_export_seconds", Histogram, [], "Time of one export.";
    TRAININGS_TOTAL = "eyefleet_trainings_total", Counter, ["outcome"], "Trainings that ended (finished, failed, superseded).";
    TRAINING_SECONDS = "eyefleet_training_seconds", Histogram, [], "Time of one training.";
    TRAINING_PROGRESS = "eyefleet_training_progress", Gauge, [], "Share of the training in this process that is done, 0 to 1; 0 where none runs.";
    TRAINING_STEP = "eyefleet_training_step", Gauge, ["step"], "1 for the step that the training in this process is at (read, categories, descriptions, words, faces, index, improve), 0 for the others.";
    TRAINING_LEFT_SECONDS = "eyefleet_training_left_seconds", Gauge, [], "Time that the training in this process is expected to take still; 0 where none runs, NaN while that would be a guess.";
    TRAINING_ENDED = "eyefleet_training_ended_timestamp_seconds", Gauge, ["outcome"], "When this process ended its last training of each outcome (finished, failed, superseded), as Unix time.";
    SEARCHES_TOTAL = "eyefleet_searches_total", Counter, ["outcome"], "Searches answered (found, nothing, failed).";
    SEARCH_SECONDS = "eyefleet_search_seconds", Histogram, [], "Time of one search.";
    BACKFILL_HELD = "eyefleet_backfill_held", Gauge, [], "1 while a pause or quiet hours hold backfill and training, as the leading intake process knows it.";
    LEADER = "eyefleet_leader", Gauge, [], "1 in the intake process that holds the leader lease.";
    RECONCILED_TOTAL = "eyefleet_reconciled_total", Counter, [], "Jobs that reconciliation put back into the queue.";
    DRIFT = "eyefleet_drift", Gauge, ["kind"], "What the last look found to differ between catalogue, queue, originals and index, by kind (`image_without_job`, `job_without_image`, `stuck_job`, `lost_analysis`, `orphan_face`, `missing_original`, `index`); the target is 0.";
    DRIFT_REPAIRED_TOTAL = "eyefleet_drift_repaired_total", Counter, ["kind"], "Differences between catalogue, queue and faces that were repaired without anybody being asked.";
    WATCHED_FILES_TOTAL = "eyefleet_watched_files_total", Counter, ["change"], "Photos of watched folders that were recorded, by what happened to them (new, changed, moved, removed).";
    OUTBOX_DELIVERED_TOTAL = "eyefleet_outbox_delivered_total", Counter, [], "Events handed on by the outbox relay.";
}

/// Bucket bounds of every histogram in seconds: from a millisecond to ten minutes.
const SECONDS: [f64; 16] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0,
    600.0,
];

/// Time between two upkeeps of the recorder: without them histograms that nobody scrapes grow.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Installs the recorder of this process, keeps it small, and describes every metric to it.
/// It needs a tokio runtime.
///
/// # Errors
/// When a recorder is installed already.
pub fn install(role: &str) -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .install_recorder()?;
    for metric in ALL {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.help),
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
            Kind::Histogram => metrics::describe_histogram!(metric.name, metric.help),
        }
    }
    let kept = handle.clone();
    tokio::spawn(async move {
        let mut again = tokio::time::interval(UPKEEP_EVERY);
        loop {
            again.tick().await;
            kept.run_upkeep();
        }
    });
    metrics::gauge!(BUILD_INFO, "version" => crate::VERSION, "role" => role.to_owned()).set(1.0);
    Ok(handle)
}

/// Adds `took` to a histogram of seconds without labels.
pub fn observe(name: &'static str, took: Duration) {
    metrics::histogram!(name).record(took.as_secs_f64());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules() {
        for metric in ALL {
            assert!(metric.name.starts_with("eyefleet_"), "{}", metric.name);
            assert_eq!(
                metric.kind == Kind::Counter,
                metric.name.ends_with("_total"),
                "{}",
                metric.name
            );
            let in_seconds = metric.name.ends_with("_seconds");
            assert!(metric.kind != Kind::Histogram || in_seconds, "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
    }

    #[test]
    fn every_metric_is_declared_once() {
        let mut names: Vec<_> = ALL.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
