//! The rounds of the process that leads: a task of its own, so that comparing a million photos holds
//! up nothing else that a leader does.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Bounds, DriftDeps, Kind, Report, Rounds};
use crate::telemetry::metrics;

/// Compares and repairs every `every` while `leading` says so, until `stop`.
pub async fn follow(
    deps: DriftDeps,
    every: Duration,
    mut leading: watch::Receiver<bool>,
    stop: CancellationToken,
) {
    let (mut rounds, mut said) = (Rounds::default(), BTreeMap::new());
    loop {
        let again = async {
            tokio::time::sleep(every).await;
            // What it remembers may be old news to whoever leads again.
            leading.wait_for(|leads| *leads).await.is_ok()
        };
        let leads = tokio::select! {
            leads = again => leads,
            () = stop.cancelled() => return,
        };
        if !leads {
            return;
        }
        let now = deps.clock.now();
        tokio::select! {
            report = rounds.round(&deps, now, &Bounds::ROUND, true) => tell(&report, &mut said),
            // Every repair is one transaction or one script: a round may end anywhere.
            () = stop.cancelled() => return,
        }
    }
}

/// Publishes the counts, and logs those that changed: what stays is for the alert.
fn tell(report: &Report, said: &mut BTreeMap<Kind, u64>) {
    for (kind, found) in report {
        let name = kind.as_str();
        match found {
            Ok(found) => {
                ::metrics::gauge!(metrics::DRIFT, "kind" => name).set(found.count as f64);
                ::metrics::counter!(metrics::DRIFT_REPAIRED_TOTAL, "kind" => name)
                    .increment(found.repaired);
                let before = said.insert(*kind, found.count).unwrap_or(0);
                if found.count > 0 && (found.count != before || found.repaired > 0) {
                    tracing::warn!(
                        kind = name,
                        count = found.count,
                        repaired = found.repaired,
                        examples = found.examples.join(", "),
                        "drift: what is stored does not fit together"
                    );
                }
            }
            Err(error) => {
                tracing::warn!(kind = name, %error, "drift is unknown for now");
            }
        }
    }
}
