//! What queues and their workers count, as metrics.
//!
//! The leader publishes what queues hold; every worker publishes what it did itself. What must stay
//! true: each series is there from the first look, zeros included, so that neither an old value
//! stays nor a first event is missed by `increase()`.

use fleetq::{Depth, Mode, Stats};

use super::metrics;

/// What a queue holds, for the process that leads.
pub fn publish_depth(queue: &'static str, depth: &Depth) {
    for lane in &depth.lanes {
        let (name, oldest) = (lane.lane.as_str(), lane.oldest_wait.unwrap_or_default());
        for (state, jobs) in [
            ("ready", lane.ready),
            ("scheduled", lane.scheduled),
            ("claimed", lane.claimed),
            ("dead", lane.dead),
        ] {
            let labels = [("queue", queue), ("state", state), ("lane", name)];
            ::metrics::gauge!(metrics::QUEUE_JOBS, &labels).set(jobs as f64);
        }
        let labels = [("queue", queue), ("lane", name)];
        ::metrics::gauge!(metrics::QUEUE_OLDEST_WAIT_SECONDS, &labels).set(oldest.as_secs_f64());
    }
    for mode in [Mode::Running, Mode::Paused, Mode::Draining] {
        let labels = [("queue", queue), ("mode", mode.as_str())];
        let is_it = f64::from(u8::from(mode == depth.mode));
        ::metrics::gauge!(metrics::QUEUE_MODE, &labels).set(is_it);
    }
    ::metrics::gauge!(metrics::QUEUE_CAP, "queue" => queue).set(f64::from(depth.cap.unwrap_or(0)));
}

/// What this process did with the jobs of a queue. The numbers are those since its start, so a look
/// that is missed is made up for by the next.
pub fn publish_stats(queue: &'static str, stats: &Stats) {
    let count = |name: &'static str, total: u64| {
        ::metrics::counter!(name, "queue" => queue).absolute(total);
    };
    count(metrics::CLAIMS_TOTAL, stats.claimed);
    count(metrics::STALE_SETTLES_TOTAL, stats.stale);
    count(metrics::LEASES_RENEWED_TOTAL, stats.renewed);
    count(metrics::LEASES_RENEWED_LATE_TOTAL, stats.renewed_late);
    count(metrics::LEASES_LOST_TOTAL, stats.leases_lost);
    count(metrics::TIME_LIMITS_TOTAL, stats.over_limit);
    count(metrics::FAILED_QUEUE_CALLS_TOTAL, stats.redis_errors);
    for (outcome, total) in [
        ("done", stats.done),
        ("retried", stats.retried),
        ("waited", stats.waited),
        ("dead", stats.died),
        ("given_back", stats.given_back),
        ("crashed", stats.crashed),
    ] {
        let labels = [("queue", queue), ("outcome", outcome)];
        ::metrics::counter!(metrics::SETTLES_TOTAL, &labels).absolute(total);
    }
    for (reason, total) in [("returned", stats.returned), ("quarantined", stats.quarantined)] {
        let labels = [("queue", queue), ("reason", reason)];
        ::metrics::counter!(metrics::RESCUES_TOTAL, &labels).absolute(total);
    }
}
