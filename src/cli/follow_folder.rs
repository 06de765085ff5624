//! What `eyefleet up --photos` shows while it runs: how far the look at the folder is, then how far
//! the analysis is, then silence until something happens.

use std::time::Duration;

use super::status::watch_text;
use super::{Client, Progress};
use crate::board::{WatchFacts, WatchState};
use crate::names::LibraryId;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Shows how far `library` is with its folder, until it is dropped.
pub async fn follow_folder(client: &Client, library: &LibraryId) {
    let mut shown = Shown::default();
    let started = client.clock.now();
    loop {
        // A store that is away is the roles' to report: here nothing moves meanwhile. What the
        // fleet before this one said of the folder is old.
        if let Ok(now) = look(client, library).await
            && now.watch.as_ref().is_some_and(|watch| watch.is_of(started))
        {
            shown.show(&now);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

struct Now {
    watch: Option<WatchFacts>,
    waiting: u64,
    analyzed: u64,
    failed: u64,
    /// What the queue is held by, and the command that ends it.
    held: Option<String>,
}

async fn look(client: &Client, library: &LibraryId) -> anyhow::Result<Now> {
    let watch = client.board.watch(library).await?;
    let waiting = client.catalog.waiting_count(library).await?;
    // Counting everything is for the end: it grows with the library.
    let (analyzed, failed) = if waiting == 0 {
        let counts = client.catalog.counts(library).await?;
        (counts.analyzed, counts.failed)
    } else {
        (0, 0)
    };
    let held = if waiting == 0 { None } else { held(client).await? };
    Ok(Now { watch, waiting, analyzed, failed, held })
}

async fn held(client: &Client) -> anyhow::Result<Option<String>> {
    let mode = client.analyze.depth().await?.mode;
    let is_held = mode != fleetq::Mode::Running;
    Ok(is_held.then(|| {
        format!("queue analyze is {}: `eyefleet queue resume analyze` ends that", mode.as_str())
    }))
}

/// What stands on the screen.
#[derive(Default)]
struct Shown {
    scan: Option<Progress>,
    analysis: Option<(Progress, u64)>,
    held: Option<String>,
    last_line: String,
}

impl Shown {
    fn show(&mut self, now: &Now) {
        let Some(watch) = &now.watch else { return };
        if watch.state == WatchState::Scanning {
            let scan = self.scan.get_or_insert_with(|| Progress::new("look", "files", 0, false));
            scan.set_total(watch.total.unwrap_or(watch.files));
            scan.set(watch.files);
            return;
        }
        if let Some(mut scan) = self.scan.take() {
            scan.set(watch.files);
            scan.finish();
        }
        if now.held != self.held {
            if let Some(held) = &now.held {
                eprintln!("  {held}");
            }
            self.held.clone_from(&now.held);
        }
        if now.waiting > 0 && now.held.is_some() {
            return;
        }
        if now.waiting > 0 {
            let (analysis, most) = self
                .analysis
                .get_or_insert_with(|| (Progress::new("analyze", "photos", now.waiting, false), 0));
            *most = (*most).max(now.waiting);
            analysis.set_total(*most);
            analysis.set(*most - now.waiting);
            return;
        }
        if let Some((mut analysis, most)) = self.analysis.take() {
            analysis.set(most);
            analysis.finish();
        }
        let line = line(now, watch);
        if line != self.last_line {
            eprintln!("{line}");
            self.last_line = line;
        }
    }
}

fn line(now: &Now, watch: &WatchFacts) -> String {
    let failed = match now.failed {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    let more = if now.failed + watch.not_taken > 0 { "; `eyefleet status` says why" } else { "" };
    format!(
        "  {} photos analyzed{failed}; {} is {}{more}",
        now.analyzed,
        watch.root,
        watch_text(watch)
    )
}
