//! `eyefleet status`: queues, workers, images, what is learned.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use fleetq::Mode;

use super::args::LibraryArgs;
use super::pause::moment;
use super::queue::{counted, rate, span};
use super::{Client, Exit};
use crate::board::{TrainingProgress, WatchFacts, WatchState};
use crate::catalog::{CatalogError, GenerationState};
use crate::names::LibraryId;
use crate::serve::{FailureAnswer, QueueAnswer, StatusAnswer, TrainingAnswer, status_of};

pub(super) async fn status(
    client: &Client,
    args: &LibraryArgs,
    json: bool,
) -> anyhow::Result<Exit> {
    let known = client.catalog.library(&args.library).await?.is_some();
    if !known && args.library != LibraryId::main() {
        return Err(CatalogError::UnknownLibrary(args.library.clone()).into());
    }
    let (queues, hours) = (client.queues(), &client.config.quiet_hours);
    let status = status_of(&client.catalog, &client.board, &queues, hours, &args.library).await?;
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
    if let Some(details) = counts.stages.get("detail") {
        let of = |state: &str| details.get(state).copied().unwrap_or(0);
        let (done, waiting, failed) = (of("done"), of("waiting"), of("failed"));
        let _ = writeln!(out, "  details     {done} done, {waiting} waiting, {failed} failed");
    }
    let _ = writeln!(out, "  generation  {generation}");
    if let Some(training) = &status.training {
        let _ = writeln!(out, "  training    {}", training_text(training));
    }
    if let Some(hold) = &status.held {
        let (since, until) = (moment(hold.since), moment(hold.until));
        let _ = writeln!(
            out,
            "  held        no backfill and no training from {since} to {until}: {}",
            hold.way_out()
        );
    }
    for (place, training) in status.trainings.iter().enumerate() {
        let name = if place == 0 { "trainings" } else { "" };
        let _ = writeln!(out, "  {name:<11} {}", ended_text(training));
    }
    if let Some(watch) = &status.watch {
        let _ = writeln!(out, "  folder      {} ({})", watch.root, watch_text(watch));
        for reason in &watch.reasons {
            let _ = writeln!(out, "  {:<11} {reason}", "not taken");
        }
    }
    let _ = write!(out, "{}", stages_text(&counts.stages));
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

/// How far the running training is.
fn training_text(training: &TrainingProgress) -> String {
    let mut text = format!("{} ({:.0} %", training.step, training.done * 100.0);
    if let Some(eta) = training.eta_seconds {
        let _ = write!(text, ", about {} left", span(Duration::from_secs_f64(eta)));
    }
    if let Some(since) = training.started_at {
        let _ = write!(text, ", since {since:.0}");
    }
    text + ")"
}

/// How a training ended, in one line.
fn ended_text(training: &TrainingAnswer) -> String {
    let outcome = match training.state {
        GenerationState::Building => "running",
        GenerationState::Published => "published",
        GenerationState::Failed => "failed",
    };
    let mut text = format!("{:>3}  {outcome:<9}  {:.19}", training.generation, training.started_at);
    if let Some(seconds) = training.seconds {
        let _ = write!(text, "  {:>7}", span(Duration::from_secs_f64(seconds.max(0.0))));
    }
    if let Some(images) = training.images {
        let _ = write!(text, "  {}", counted(images, "image"));
    }
    if let Some(reason) = &training.reason {
        let _ = write!(text, "  {reason}");
    }
    text
}

/// Images by stage and state; nothing where all are done, which the first line says already.
fn stages_text(stages: &BTreeMap<String, BTreeMap<String, u64>>) -> String {
    const STATES: [&str; 4] = ["waiting", "done", "skipped", "failed"];
    let of = |states: &BTreeMap<String, u64>, state| states.get(state).copied().unwrap_or(0);
    if stages.values().all(|states| of(states, "done") == states.values().sum::<u64>()) {
        return String::new();
    }
    let mut text = String::from("stages      waiting     done  skipped   failed\n");
    for (stage, states) in stages {
        let _ = write!(text, "  {stage:<8}");
        for state in STATES {
            let _ = write!(text, " {:>8}", of(states, state));
        }
        text.push('\n');
    }
    text
}

/// What is worth a word about a queue: that somebody holds it, and how fast it is worked off.
fn queue_note(name: &str, queue: &QueueAnswer) -> String {
    let mut notes = Vec::new();
    match queue.mode {
        Mode::Running => {}
        Mode::Paused => notes.push(format!("paused: `eyefleet queue resume {name}`")),
        Mode::Draining => notes.push(format!("draining: `eyefleet queue resume {name}`")),
    }
    if !queue.held.is_empty() {
        let lanes: Vec<&str> = queue.held.iter().map(|lane| lane.as_str()).collect();
        notes.push(format!("{} held", lanes.join(" and ")));
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
    use fleetq::Lane;

    use super::*;

    #[test]
    fn trainings_tell_what_is_known_of_them() {
        let running = TrainingProgress {
            step: "index".to_owned(),
            done: 0.456,
            started_at: Some("2026-11-23T03:20:11.123Z".parse().unwrap()),
            eta_seconds: Some(12.4),
        };
        let text = training_text(&running);
        assert_eq!(text, "index (46 %, about 12 s left, since 2026-11-23T03:20:11Z)");
        let guess = TrainingProgress { started_at: None, eta_seconds: None, ..running };
        assert_eq!(training_text(&guess), "index (46 %)");
        let failed = TrainingAnswer {
            generation: 7,
            snapshot: String::new(),
            state: GenerationState::Failed,
            reason: Some("the disk is full".to_owned()),
            images: None,
            started_at: "2026-11-23T03:20:11.123Z".to_owned(),
            seconds: Some(3.21),
        };
        let text = ended_text(&failed);
        assert_eq!(text, "  7  failed     2026-11-23T03:20:11    3.2 s  the disk is full");
    }

    #[test]
    fn stages_are_shown_where_something_is_not_done() {
        let states = |list: &[(&str, u64)]| -> BTreeMap<String, u64> {
            list.iter().map(|(state, count)| ((*state).to_owned(), *count)).collect()
        };
        let mut stages = BTreeMap::from([("embed".to_owned(), states(&[("done", 5)]))]);
        assert_eq!(stages_text(&stages), "");
        stages.insert("tag".to_owned(), states(&[("done", 3), ("waiting", 2)]));
        let text = stages_text(&stages);
        assert_eq!(
            text,
            "stages      waiting     done  skipped   failed\n  \
             embed           0        5        0        0\n  \
             tag             2        3        0        0\n"
        );
    }

    #[test]
    fn a_queue_that_just_runs_is_not_worth_a_word() {
        let running = QueueAnswer {
            ready: 0,
            scheduled: 0,
            claimed: 0,
            dead: 0,
            mode: Mode::Running,
            held: vec![],
            cap: None,
            jobs_per_second: 3.0,
            eta_seconds: Some(0.0),
        };
        assert_eq!(queue_note("analyze", &running), "");
        let busy = QueueAnswer { ready: 30, eta_seconds: Some(10.0), ..running };
        assert_eq!(queue_note("analyze", &busy), "  3.0 jobs/s, about 10 s left");
        let held = QueueAnswer { held: vec![Lane::Backfill], eta_seconds: None, ..busy };
        assert_eq!(queue_note("analyze", &held), "  backfill held");
        let paused = QueueAnswer { mode: Mode::Paused, cap: Some(2), held: vec![], ..held };
        let note = queue_note("analyze", &paused);
        assert_eq!(note, "  paused: `eyefleet queue resume analyze`, 2 at once");
    }
}
