//! `eyefleet pause` and `eyefleet resume`: no backfill and no training for a while.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::args::PauseArgs;
use super::{Client, Exit};
use crate::catalog::Pause;
use crate::quiet::{self, HeldBy, Hold};

pub(super) async fn pause(client: &Client, args: &PauseArgs, json: bool) -> anyhow::Result<Exit> {
    let since = client.clock.now();
    let until = since + SignedDuration::try_from(args.time)?;
    client.catalog.set_pause(Pause { since, until }).await?;
    let hold = apply(client).await?;
    if json {
        say!("{}", json!({ "held": hold }));
        return Ok(Exit::Done);
    }
    say!("backfill and training are paused until {}", moment(until));
    say!("  uploads are analyzed, and a training that runs goes on to its end");
    say!("  `eyefleet resume` ends it");
    if let Some(hold) = hold.filter(|hold| hold.by == HeldBy::QuietHours) {
        say!("  quiet hours (fleet.quiet_hours) last longer: until {}", moment(hold.until));
    }
    Ok(Exit::Done)
}

pub(super) async fn resume(client: &Client, json: bool) -> anyhow::Result<Exit> {
    let was_paused = client.catalog.end_pause().await?;
    let hold = apply(client).await?;
    if json {
        say!("{}", json!({ "was_paused": was_paused, "held": hold }));
        return Ok(Exit::Done);
    }
    match hold {
        Some(hold) => say!(
            "quiet hours hold backfill and training until {}: change fleet.quiet_hours to end them",
            moment(hold.until)
        ),
        None if was_paused => say!("backfill and training go on"),
        None => say!("nothing was paused"),
    }
    Ok(Exit::Done)
}

/// At once, so that it holds also before the leader's next round.
async fn apply(client: &Client) -> anyhow::Result<Option<Hold>> {
    let now = client.clock.now().to_zoned(TimeZone::system());
    let hours = &client.config.quiet_hours;
    Ok(quiet::apply(&client.catalog, &client.queues(), hours, &now).await?)
}

/// A moment as people on this machine read it.
pub(super) fn moment(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}
