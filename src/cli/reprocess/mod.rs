//! `eyefleet reprocess`: known photos are brought up to date, behind uploads.
//!
//! What must stay true: the catalogue alone remembers how far it is, so that whoever is interrupted asks
//! the same again and goes on; every photo is met once in one run, whatever becomes of it.

mod course;
mod stream;

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::Serialize;

use super::args::{ReprocessArgs, StageName};
use super::{Client, Exit};
use crate::catalog::{CatalogError, Library, Stage};
use crate::reprocess::{Rules, What, Why};
use crate::vision::Pack;
use course::{Course, Ended};
use stream::DueStream;

/// A forced run that began longer ago than this is one that was stopped.
const GOES_ON_AFTER: SignedDuration = SignedDuration::from_secs(5);

/// Photos of one reason.
#[derive(Debug, Serialize)]
struct Reason {
    /// Why they are done again.
    why: String,
    /// In which stages.
    stages: Vec<Stage>,
    /// How many they are.
    photos: u64,
}

/// What was to be done and what came of it, as `--json` gives it.
#[derive(Debug, Serialize)]
struct Answer {
    library: String,
    /// Photos that were to be done again, by reason the most first.
    photos: u64,
    reasons: Vec<Reason>,
    /// Detailed descriptions that failed and that Ollama is asked for again.
    details: u64,
    dry_run: bool,
    /// Photos that were done.
    done: u64,
    /// Photos among them that failed.
    failed: u64,
    /// Whether Ctrl-C ended it.
    interrupted: bool,
}

pub(super) async fn reprocess(
    client: &Client,
    args: &ReprocessArgs,
    json: bool,
) -> anyhow::Result<Exit> {
    let library = client.catalog.library(&args.library).await?;
    let library = library.ok_or_else(|| CatalogError::UnknownLibrary(args.library.clone()))?;
    let details = details(client, args, &library).await?;
    let mut rules = rules(client, args, &library).await?;
    let mut reasons = plan(client, args, &library, &rules).await?;
    if args.force
        && reasons.is_empty()
        && !args.dry_run
        && client.catalog.forced_since(&library.id).await?.is_some()
    {
        // The forced run before this one had come to its end but for saying so.
        client.catalog.set_forced_since(&library.id, None).await?;
        rules.what = What::Forced(client.clock.now());
        reasons = plan(client, args, &library, &rules).await?;
    }
    if let What::Forced(since) = rules.what
        && since < client.clock.now() - GOES_ON_AFTER
    {
        eprintln!(
            "this goes on with the run that began at {since:.0} and was stopped: what was done since is not \
             done again; for all of it, run the same command once more afterwards"
        );
    }
    let photos = reasons.iter().map(|reason| reason.photos).sum();
    let mut answer = Answer {
        library: library.id.to_string(),
        photos,
        reasons,
        details,
        dry_run: args.dry_run,
        done: 0,
        failed: 0,
        interrupted: false,
    };
    if !json {
        tell_plan(&answer, &rules)?;
    }
    if !args.dry_run && photos > 0 {
        if let What::Forced(since) = rules.what {
            client.catalog.set_forced_since(&library.id, Some(since)).await?;
        }
        let is_forced = matches!(rules.what, What::Forced(_));
        let due = DueStream::new(&client.catalog, &library.id, moment(client, args), rules);
        let course = Course::new(client, &library.id, usize::try_from(args.batch)?, photos, json);
        let ended = course.run(due).await?;
        if is_forced && ended.is_whole() {
            client.catalog.set_forced_since(&library.id, None).await?;
        }
        (answer.done, answer.failed) = (ended.done, ended.failed);
        answer.interrupted = !ended.is_whole();
        if !json {
            tell_end(&ended, photos)?;
        }
    }
    if json {
        say!("{}", serde_json::to_string(&answer)?);
    }
    Ok(match answer {
        Answer { interrupted: true, .. } => Exit::Interrupted,
        Answer { failed: 1.., .. } => Exit::SomeFailed,
        _ => Exit::Done,
    })
}

/// Has Ollama asked again for what failed; the fleet offers it by itself from then on.
async fn details(client: &Client, args: &ReprocessArgs, library: &Library) -> anyhow::Result<u64> {
    let asked_for = args.stages.contains(&StageName::Detail);
    if asked_for && !args.only_failed {
        anyhow::bail!(
            "details that are missing are asked for by themselves: give --only-failed for those that \
             failed"
        );
    }
    if !args.only_failed || !(asked_for || args.stages.is_empty()) {
        return Ok(0);
    }
    let (since, again) = (moment(client, args), !args.dry_run);
    Ok(client.catalog.failed_details(&library.id, since, again).await?)
}

fn moment(client: &Client, args: &ReprocessArgs) -> Option<jiff::Timestamp> {
    args.since.map(|since| since.moment(client.clock.now(), jiff::tz::TimeZone::system()))
}

async fn rules(client: &Client, args: &ReprocessArgs, library: &Library) -> anyhow::Result<Rules> {
    let what = if args.force {
        // One that was interrupted goes on where it was.
        let begun = client.catalog.forced_since(&library.id).await?;
        What::Forced(begun.unwrap_or_else(|| client.clock.now()))
    } else if args.only_missing || args.only_failed {
        What::Broken { missing: args.only_missing, failed: args.only_failed }
    } else {
        What::Behind
    };
    let pack = if args.only_missing {
        let (name, folders) = (client.config.pack.clone(), client.config.packs.clone());
        let pack = tokio::task::spawn_blocking(move || Pack::find(&name, &folders)).await??;
        Some((pack.name().to_string(), pack.space().clone()))
    } else {
        None
    };
    Ok(Rules {
        what,
        stages: args.stages.iter().filter_map(|name| name.of_analysis()).collect(),
        pack,
        generation: library.current.map(|current| current.number),
    })
}

/// How many photos there are of each reason, the most first.
async fn plan(
    client: &Client,
    args: &ReprocessArgs,
    library: &Library,
    rules: &Rules,
) -> anyhow::Result<Vec<Reason>> {
    let mut counts: BTreeMap<(Why, Vec<Stage>), u64> = BTreeMap::new();
    if !args.stages.is_empty() && rules.stages.is_empty() {
        return Ok(Vec::new());
    }
    let since = moment(client, args);
    let mut due = DueStream::new(&client.catalog, &library.id, since, rules.clone());
    while let Some((_, due)) = due.next().await? {
        *counts.entry((due.why, due.stages.into_iter().collect())).or_default() += 1;
    }
    let reason = |((why, stages), photos): ((Why, Vec<Stage>), u64)| Reason {
        why: why.to_string(),
        stages,
        photos,
    };
    let mut reasons: Vec<Reason> = counts.into_iter().map(reason).collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.photos));
    Ok(reasons)
}

fn tell_plan(answer: &Answer, rules: &Rules) -> anyhow::Result<()> {
    let library = &answer.library;
    if answer.details > 0 {
        let (details, would) = (answer.details, if answer.dry_run { "would be" } else { "are" });
        say!("library {library}: {details} failed details {would} asked for again");
    }
    if answer.photos == 0 {
        if answer.details > 0 {
            return Ok(());
        }
        match (&rules.what, rules.generation) {
            (What::Behind, None) => say!(
                "library {library}: nothing was learned yet, so there is nothing to apply; \
                 --only-missing, --only-failed and --force choose otherwise"
            ),
            _ => say!("library {library}: nothing is to be done again"),
        }
        return Ok(());
    }
    let verb = match (answer.dry_run, answer.photos) {
        (true, _) => "would be",
        (false, 1) => "is",
        (false, _) => "are",
    };
    say!("library {library}: {} {verb} done again", counted(answer.photos));
    for reason in &answer.reasons {
        let stages: Vec<&str> = reason.stages.iter().map(|stage| stage.as_str()).collect();
        say!("  {:>8}  {}: {}", reason.photos, reason.why, stages.join(", "));
    }
    Ok(())
}

fn tell_end(ended: &Ended, photos: u64) -> anyhow::Result<()> {
    if !ended.is_whole() {
        eprintln!(
            "stopped: {} of {photos} are done, {} more are in the queue and go on; the same command \
             does the rest",
            ended.done, ended.under_way
        );
        return Ok(());
    }
    say!("{} done again, {} failed", counted(ended.done), ended.failed);
    if ended.failed > 0 {
        eprintln!("`eyefleet status` shows why photos failed");
    }
    Ok(())
}

fn counted(photos: u64) -> String {
    if photos == 1 { "1 photo".to_owned() } else { format!("{photos} photos") }
}
