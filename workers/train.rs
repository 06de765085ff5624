//! The role that learns.

use std::sync::Arc;

use eyefleet::jobs::{TrainDeps, TrainGeneration};
use eyefleet::vision::Pack;

use crate::process::Process;

/// Steps of niceness: beside processes at 0 that are busy, a training gets about a tenth of a core.
const NICE: i32 = 10;

/// Nobody waits for a training, while somebody may wait for a search or a description. The system's
/// schedulers of disks take their order from the same number.
pub fn let_others_go_first() {
    // A host that forbids even this has its own reasons; the training goes on.
    if let Err(error) = rustix::process::nice(NICE) {
        eprintln!("eyefleet: trainings cannot give way to others here: {error}");
    }
}

/// Bytes of memory that this process could use: the machine's, or what its control group allows.
fn memory_here() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.as_deref().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    });
    // Version 2, as containers see their own; "max" is no number and no limit.
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let group = group.and_then(|text| text.trim().parse::<u64>().ok());
    [machine, group].into_iter().flatten().min()
}

pub async fn run(process: Process) -> anyhow::Result<()> {
    let (name, folders) = (process.client.config.pack.clone(), process.client.config.packs.clone());
    let pack = tokio::task::spawn_blocking(move || Pack::find(&name, &folders)).await??;
    let running = process.answer_health()?;
    let client = &running.client;
    let deps = TrainDeps {
        catalog: client.catalog.clone(),
        board: client.board.clone(),
        clock: client.clock.clone(),
        data: client.config.data.clone(),
        exact_search_max: client.config.exact_search_max,
        memory_max: client.config.train_memory.or_else(|| memory_here().map(|all| all / 2)),
        space: pack.space().clone(),
        shrink_max: client.config.train_shrink_max,
        generations_kept: client.config.generations_kept,
    };
    running.work::<TrainGeneration>("train", client.train.clone(), 1, Arc::new(deps)).await?;
    running.end().await
}
