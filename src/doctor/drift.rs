//! Whether catalogue, queue, originals and index fit together. Nothing is repaired here: that is
//! `eyefleet doctor --repair`, and the leader's daily business.

use std::time::Duration;

use super::{Check, Subject, queues};
use crate::catalog::{self, Catalog};
use crate::clock::Clock;
use crate::config::Config;
use crate::reconcile::drift::{Bounds, DriftDeps, Found, Kind, Rounds};
use crate::supervise::Traces;

/// Time for each of the looks, so that all of them fit into a subject's time. A large library is seen
/// in part then, which is said.
const LOOK_MAX: Duration = Duration::from_millis(600);

pub(super) async fn examine(config: &Config, traces: &Traces, clock: &Clock) -> Vec<Check> {
    let url = config.database_url.expose();
    if catalog::sqlite_path(url).is_some_and(|file| !file.exists()) {
        return vec![Check::ok(Subject::Drift, "stores", "nothing is stored yet")];
    }
    // What keeps it from being read is the database's to say, and said there.
    let Ok(seen) = catalog::inspect(url).await else { return Vec::new() };
    if seen.missing() > 0 || !seen.unknown().is_empty() {
        let found = "the schema is of another version: compared after the next start";
        return vec![Check::skipped(Subject::Drift, "stores", found)];
    }
    let Ok(catalog) = Catalog::open_to_look(url, clock.clone()).await else { return Vec::new() };
    let queues = queues::open_all(config, traces).await.unwrap_or_default();
    let without_queues = queues.is_empty();
    let (data, clock) = (config.data.clone(), clock.clone());
    let now = clock.now();
    let deps = DriftDeps { catalog: catalog.clone(), queues, data, clock };
    let report = Rounds::default().round(&deps, now, &Bounds::within(LOOK_MAX), false).await;
    let mut checks: Vec<Check> = Vec::new();
    for (kind, found) in report {
        let name = kind.as_str();
        checks.push(match found {
            Ok(found) => judge(kind, &found),
            Err(error) => Check::skipped(Subject::Drift, name, error),
        });
    }
    if without_queues {
        let found = "no queue to compare with: no fleet runs, or nothing was enqueued yet";
        checks.push(Check::skipped(Subject::Drift, "queues", found));
    }
    // Where it does not close, the process ends soon.
    if let Err(error) = catalog.close().await {
        tracing::debug!(%error, "the catalogue did not close");
    }
    checks
}

fn judge(kind: Kind, found: &Found) -> Check {
    let name = kind.as_str();
    let part = if found.whole { "" } else { ", of a part: the whole takes longer" };
    if found.count == 0 {
        return Check::ok(Subject::Drift, name, format!("none{part}"));
    }
    let examples = found.examples.join(", ");
    let told = format!("{} {}{part}: {examples}", found.count, says(kind, found.count));
    Check::warning(Subject::Drift, name, told, mend(kind))
}

/// What so many of a kind are.
fn says(kind: Kind, count: u64) -> &'static str {
    let (one, many) = match kind {
        Kind::ImageWithoutJob => ("photo waits without a job", "photos wait without a job"),
        Kind::JobWithoutImage => {
            ("job waits whose photo is gone", "jobs wait whose photos are gone")
        }
        Kind::StuckJob => {
            ("job is held by a worker that is gone", "jobs are held by workers that are gone")
        }
        Kind::LostAnalysis => {
            ("photo neither waits nor was analyzed", "photos neither wait nor were analyzed")
        }
        Kind::OrphanFace => (
            "photo has faces or rows that hang on nothing",
            "photos have faces or rows that hang on nothing",
        ),
        Kind::MissingOriginal => ("original is gone", "originals are gone"),
        Kind::Index => ("fault of a search index", "faults of search indexes"),
    };
    if count == 1 { one } else { many }
}

fn mend(kind: Kind) -> &'static str {
    match kind {
        Kind::MissingOriginal => {
            "put the files back, from a backup or the camera: `eyefleet show IMAGE` names the path; \
             what is known of the photos stays"
        }
        Kind::Index => "eyefleet export: the training that follows makes a new one",
        _ => "eyefleet doctor --repair; a fleet that runs does it by itself within minutes",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn drift_is_told_with_examples_and_what_mends_it() {
        for kind in Kind::ALL {
            let none = judge(kind, &Found { whole: true, ..Found::default() });
            assert_eq!((none.state, none.found.as_str()), (State::Ok, "none"));
            let examples = vec!["main/a".to_owned()];
            let two = judge(kind, &Found { count: 2, examples, ..Found::default() });
            assert_eq!(two.state, State::Warning);
            assert!(two.found.starts_with("2 ") && two.found.ends_with(": main/a"), "{two:?}");
            let repairs = two.mend.unwrap().contains("doctor --repair");
            assert_eq!(repairs, kind.is_repaired(), "{kind:?}");
        }
    }
}
