//! The role that looks at photos, and carries out what their owner says of them.

use std::sync::Arc;

use eyefleet::board::WorkerFacts;
use eyefleet::follow::Follower;
use eyefleet::jobs::{AnalyzeDeps, AnalyzeImage, Job, run_photo_claim};
use eyefleet::vision::{DecodeLimits, Decoder, Pack, Runtime, Vision, VisionOptions};

use crate::process::Process;

/// Longest side of decoded pixels that are kept: enough for the embedding models of all packs,
/// which see 384 pixels at most.
const LONG_SIDE: u32 = 448;

pub async fn run(process: Process) -> anyhow::Result<()> {
    let config = process.client.config.clone();
    let vision = tokio::task::spawn_blocking(move || load(&config)).await??;
    let running = process.answer_health()?;
    let client = &running.client;
    let config = &client.config;
    let learned = Follower::new(
        config.data.clone(),
        vision.space().clone(),
        client.catalog.clone(),
        client.board.clone(),
    );
    let facts = WorkerFacts {
        worker: running.name.clone(),
        role: "analyze".to_owned(),
        serves: std::collections::BTreeMap::new(),
        models: Some(format!("{} on {}", vision.pack(), vision.provider())),
    };
    let following =
        tokio::spawn(learned.clone().follow(config.reload_every, facts, running.stop.clone()));
    let limits = DecodeLimits {
        bytes_max: config.original_bytes_max,
        pixels_max: config.pixels_max,
        long_side: LONG_SIDE,
        time_max: config.decode_time_max,
    };
    let deps = AnalyzeDeps {
        catalog: client.catalog.clone(),
        decoder: Decoder::new(config.model_threads, limits),
        vision,
        learned,
        original_bytes_max: config.original_bytes_max,
    };
    let deps = Arc::new(deps);
    let run = move |claim, away| run_photo_claim(claim, Arc::clone(&deps), away);
    let (queue, rest) = (client.analyze.clone(), AnalyzeImage::AWAY_PAUSE_MAX);
    running.work_claims("analyze", queue, config.slots, rest, run).await?;
    following.await?;
    running.end().await
}

fn load(config: &eyefleet::config::Config) -> anyhow::Result<Vision> {
    let runtime = Runtime::open(config.onnxruntime.as_deref())?;
    let pack = Pack::find(&config.pack, &config.packs)?;
    let options = VisionOptions { threads: config.model_threads, batch_max: config.batch_max };
    Ok(Vision::load(&runtime, &pack, options)?)
}
