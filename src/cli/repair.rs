//! `eyefleet doctor --repair`: what the leader of a running fleet does by itself, at once and over
//! everything.

use serde::Serialize;

use super::Client;
use crate::config::Config;
use crate::reconcile::drift::{Bounds, DriftDeps, Rounds};

/// What became of one kind of drift.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    /// Which.
    kind: &'static str,
    /// How many there were.
    found: u64,
    /// How many of them are repaired.
    repaired: u64,
    /// Some of them.
    examples: Vec<String>,
    /// Why it could not be looked at, where that is so.
    error: Option<String>,
}

/// Compares everything and repairs what is safe to repair. It answers what it found; nothing is in
/// it where nothing was found.
///
/// # Errors
/// No fleet to be found, or one of its stores away: with the next step.
pub(super) async fn repair(config: Config) -> anyhow::Result<Vec<Outcome>> {
    let client = Client::open(config).await?;
    let queues = client.queues().into_iter().map(|(_, queue)| queue).collect();
    let deps = DriftDeps {
        catalog: client.catalog.clone(),
        queues,
        data: client.config.data.clone(),
        clock: client.clock.clone(),
    };
    let now = client.clock.now();
    let report = Rounds::default().round(&deps, now, &Bounds::ALL, true).await;
    client.catalog.close().await?;
    let mut all = Vec::new();
    for (kind, found) in report.into_iter().filter(|(kind, _)| kind.is_repaired()) {
        match found {
            Ok(found) if found.count == 0 => {}
            Ok(found) => all.push(Outcome {
                kind: kind.as_str(),
                found: found.count,
                repaired: found.repaired,
                examples: found.examples,
                error: None,
            }),
            Err(error) => all.push(Outcome {
                kind: kind.as_str(),
                found: 0,
                repaired: 0,
                examples: Vec::new(),
                error: Some(error),
            }),
        }
    }
    Ok(all)
}

/// The same for people, a line for each kind.
pub(super) fn text(repaired: &[Outcome]) -> String {
    if repaired.is_empty() {
        return "repair: nothing to repair\n".to_owned();
    }
    let lines = repaired.iter().map(|one| match &one.error {
        Some(error) => format!("repair: {} could not be looked at: {error}\n", one.kind),
        None => format!(
            "repair: {}: {} found, {} repaired: {}\n",
            one.kind,
            one.found,
            one.repaired,
            one.examples.join(", ")
        ),
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::drift::Kind;

    #[test]
    fn what_was_repaired_is_said() {
        assert_eq!(text(&[]), "repair: nothing to repair\n");
        let one = Outcome {
            kind: Kind::LostAnalysis.as_str(),
            found: 2,
            repaired: 2,
            examples: vec!["main/a".to_owned(), "main/b".to_owned()],
            error: None,
        };
        let away = Outcome {
            kind: "stuck_job",
            found: 0,
            repaired: 0,
            examples: Vec::new(),
            error: Some("redis is away".to_owned()),
        };
        assert_eq!(
            text(&[one, away]),
            "repair: lost_analysis: 2 found, 2 repaired: main/a, main/b\n\
             repair: stuck_job could not be looked at: redis is away\n"
        );
    }
}
