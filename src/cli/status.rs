//! `eyefleet status`: queues, workers, images, what is learned.

use std::fmt::Write;
use std::time::Duration;

use fleetq::Mode;

use super::args::LibraryArgs;
use super::queue::{rate, span};
use super::{Client, Exit};
use crate::board::{WatchFacts, WatchState};
use crate::catalog::CatalogError;
use crate::names::LibraryId;
use crate::serve::{FailureAnswer, QueueAnswer, StatusAnswer, status_of};

pub(super) async fn status(
    client: &Client,
    args: &LibraryArgs,
    json: bool,
) -> anyhow::Result<Exit> {
    let known = client.catalog.library(&args.library).await?.is_some();
    if !known && args.library != LibraryId::main() {
        return Err(CatalogError::UnknownLibrary(args.library.clone()).into());
    }
    let status = status_of(&client.catalog, &client.board, &client.queues(), &args.library).await?;
    if json {
        say!("{}", serde_json::to_string(&status)?);
    } else {
        say!("{}", text(&status).trim_end());
    }
    Ok(Exit::Done)
}

fn text(status: &StatusAnswer) -> String {
    let mut out = String::new();
    let counts = &status.counts;
    let generation = status.generation.map_or("none yet".to_owned(), |number| number.to_string());
    // Writing to a string cannot fail.
    let _ = writeln!(out, "library {}", status.library);
    let _ = writeln!(
        out,
        "  images      {} ({} analyzed, {} waiting, {} failed)",
        counts.images, counts.analyzed, counts.waiting, counts.failed
    );
    let _ = writeln!(out, "  generation  {generation}");
    if let Some(training) = &status.training {
        let _ = writeln!(out, "  training    {} ({:.0} %)", training.step, training.done * 100.0);
    }
    if let Some(watch) = &status.watch {
        let _ = writeln!(out, "  folder      {} ({})", watch.root, watch_text(watch));
        for reason in &watch.reasons {
            let _ = writeln!(out, "  {:<11} {reason}", "not taken");
        }
    }
    for failure in &counts.failures {
        let FailureAnswer { reason, images, example } = failure;
        let _ = writeln!(out, "  {:<11} {images} x {reason} (`eyefleet show {example}`)", "failed");
    }
    let _ = writeln!(out, "queues        ready  scheduled  claimed  dead");
    for (name, queue) in &status.queues {
        let _ = writeln!(
            out,
            "  {name:<10} {:>6} {:>10} {:>8} {:>5}{}",
            queue.ready,
            queue.scheduled,
            queue.claimed,
            queue.dead,
            queue_note(name, queue)
        );
    }
    let _ = writeln!(out, "workers");
    for worker in &status.workers {
        let serves = worker.serves.get(&status.library);
        let serves = serves.map_or("no generation".to_owned(), |n| format!("generation {n}"));
        let models = worker.models.as_deref().unwrap_or("");
        let _ = writeln!(out, "  {:<8} {:<28} {serves:<14} {models}", worker.role, worker.worker);
    }
    if status.workers.is_empty() {
        let _ = writeln!(out, "  none: start one with `eyefleet up` or `eyefleet run analyze`");
    }
    out
}

/// What is worth a word about a queue: that somebody holds it, and how fast it is worked off.
fn queue_note(name: &str, queue: &QueueAnswer) -> String {
    let mut notes = Vec::new();
    match queue.mode {
        Mode::Running => {}
        Mode::Paused => notes.push(format!("paused: `eyefleet queue resume {name}`")),
        Mode::Draining => notes.push(format!("draining: `eyefleet queue resume {name}`")),
    }
    if let Some(cap) = queue.cap {
        notes.push(format!("{cap} at once"));
    }
    if queue.ready + queue.claimed > 0
        && queue.jobs_per_second > 0.0
        && let Some(eta) = queue.eta_seconds
    {
        let left = span(Duration::from_secs_f64(eta));
        notes.push(format!("{}, about {left} left", rate(queue.jobs_per_second)));
    }
    if notes.is_empty() { String::new() } else { format!("  {}", notes.join(", ")) }
}

/// How a watched folder stands, in a few words.
pub(super) fn watch_text(watch: &WatchFacts) -> String {
    let mut text = match (watch.state, &watch.message) {
        (WatchState::Held, message) => format!("held: {}", message.as_deref().unwrap_or("?")),
        (WatchState::Scanning, _) => match watch.total {
            Some(total) => format!("looking at file {} of {total}", watch.files),
            None => format!("looking at file {}", watch.files),
        },
        (WatchState::Watching, _) if watch.live => "watched".to_owned(),
        (WatchState::Watching, _) => "looked at now and then".to_owned(),
    };
    if watch.settling > 0 {
        let _ = write!(text, ", {} still being written", watch.settling);
    }
    if watch.not_taken > 0 {
        let _ = write!(text, ", {} not taken", watch.not_taken);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_just_runs_is_not_worth_a_word() {
        let running = QueueAnswer {
            ready: 0,
            scheduled: 0,
            claimed: 0,
            dead: 0,
            mode: Mode::Running,
            cap: None,
            jobs_per_second: 3.0,
            eta_seconds: Some(0.0),
        };
        assert_eq!(queue_note("analyze", &running), "");
        let busy = QueueAnswer { ready: 30, eta_seconds: Some(10.0), ..running };
        assert_eq!(queue_note("analyze", &busy), "  3.0 jobs/s, about 10 s left");
        let held = QueueAnswer { mode: Mode::Paused, cap: Some(2), jobs_per_second: 0.0, ..busy };
        let note = queue_note("analyze", &held);
        assert_eq!(note, "  paused: `eyefleet queue resume analyze`, 2 at once");
    }
}
