//! Detailed descriptions by Ollama, in the processes of intake: they wait for another program most of
//! the time, and neither the leader nor an analysis waits for them.

use std::sync::Arc;
use std::time::Duration;

use eyefleet::board::WorkerFacts;
use eyefleet::cli::Client;
use eyefleet::jobs::{DescribeDeps, DescribeInDetail};
use eyefleet::ollama::{Ollama, OllamaError};
use eyefleet::telemetry::metrics;
use eyefleet::vision::{DecodeLimits, Decoder};
use jiff::Timestamp;

use crate::process::Running;

/// Longest side of the picture that is sent.
const LONG_SIDE: u32 = 1024;
/// Time between two looks at whether Ollama is there.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Works on detailed descriptions until the process is to stop; does nothing where no Ollama is named.
pub async fn work(running: &Running) -> anyhow::Result<()> {
    let client = &running.client;
    let Some(ollama) = client.config.ollama() else { return Ok(()) };
    let queue = client.detail.clone();
    let config = &client.config;
    let limits = DecodeLimits {
        bytes_max: config.original_bytes_max,
        pixels_max: config.pixels_max,
        long_side: LONG_SIDE,
        time_max: config.decode_time_max,
    };
    let deps = DescribeDeps {
        catalog: client.catalog.clone(),
        decoder: Decoder::new(1, limits),
        ollama: ollama.clone(),
        original_bytes_max: config.original_bytes_max,
    };
    let watching = tokio::spawn(watch(client.clone(), running.name.clone(), ollama));
    let worked = running
        .work::<DescribeInDetail>("detail", queue, config.ollama_at_once, Arc::new(deps))
        .await;
    watching.abort();
    worked
}

/// Says whether Ollama is there, in the log where that changes, in metrics and to whoever asks for the
/// status.
async fn watch(client: Client, worker: String, ollama: Ollama) {
    let mut away: Option<Timestamp> = None;
    let mut again = tokio::time::interval(LOOK_EVERY);
    loop {
        again.tick().await;
        let seen = ollama.look().await;
        ::metrics::gauge!(metrics::OLLAMA_UP).set(f64::from(u8::from(seen.is_ok())));
        let name = format!("{} of ollama at {}", ollama.model(), ollama.address());
        let models = match &seen {
            Ok(()) => {
                if away.take().is_some() {
                    tracing::info!(model = name, "detailed descriptions go on");
                }
                name
            }
            Err(error) => {
                let since = *away.get_or_insert_with(|| {
                    tracing::warn!(%error, "no detailed descriptions for now; nothing waits for them");
                    client.clock.now()
                });
                let what = match error {
                    OllamaError::NoModel { .. } => "without its model",
                    _ => "away",
                };
                format!("{name}, {what} since {}", since.strftime("%Y-%m-%dT%H:%M:%SZ"))
            }
        };
        let facts = WorkerFacts {
            worker: worker.clone(),
            role: "intake".to_owned(),
            serves: std::collections::BTreeMap::new(),
            models: Some(models),
        };
        if let Err(error) = client.board.report(&facts).await {
            tracing::debug!(%error, "nobody hears of Ollama for now");
        }
    }
}
