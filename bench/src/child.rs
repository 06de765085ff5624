//! A measured process of one of the Rust systems; `process.rs` tells what it says and hears.

use std::error::Error;
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::{peer_apalis, peer_fleetq};

pub type Answer = Result<Vec<f64>, Box<dyn Error>>;

/// `words`: system, task, socket, count.
#[tokio::main]
pub async fn run(words: &[String]) -> Result<(), Box<dyn Error>> {
    let [system, task, socket, count] = words else {
        return Err("a child is started by the bench itself".into());
    };
    let count = count.parse()?;
    match system.as_str() {
        "fleetq" => peer_fleetq::run(task, socket, count).await?,
        "apalis-redis" => peer_apalis::run(task, socket, count, true).await?,
        "apalis-redis-unsafe" => peer_apalis::run(task, socket, count, false).await?,
        _ => return Err(format!("no system {system}; see process.rs").into()),
    }
    // Whatever still runs, an idle worker for one, ends with the process.
    std::process::exit(0);
}

/// Tells that everything is ready and waits for the word to go.
pub fn ready() -> Result<(), Box<dyn Error>> {
    say("ready")?;
    hear()
}

/// Tells what was found and waits for the end.
pub fn done(latencies: &[f64]) -> Result<(), Box<dyn Error>> {
    say(&serde_json::to_string(latencies)?)?;
    hear()
}

fn say(line: &str) -> Result<(), Box<dyn Error>> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}")?;
    Ok(output.flush()?)
}

fn hear() -> Result<(), Box<dyn Error>> {
    std::io::stdin().lock().read_line(&mut String::new())?;
    Ok(())
}

/// From the call that enqueues until the handler starts, in µs, each time on an idle worker.
/// `started` brings the moments in which handlers started.
pub async fn pick_ups(
    count: usize,
    started: &mut mpsc::UnboundedReceiver<Instant>,
    mut enqueue: impl AsyncFnMut(usize) -> Result<(), Box<dyn Error>>,
) -> Answer {
    let mut latencies = Vec::with_capacity(count);
    for number in 0..count {
        // The worker becomes idle again, and no system can fall into step with this loop.
        tokio::time::sleep(pause(number)).await;
        let from = Instant::now();
        enqueue(number).await?;
        let at = started.recv().await.ok_or("the worker has ended")?;
        latencies.push(at.saturating_duration_since(from).as_secs_f64() * 1e6);
    }
    Ok(latencies)
}

/// 8 to 18 ms.
fn pause(number: usize) -> Duration {
    Duration::from_micros(8_000 + (number as u64 * 7_919) % 10_000)
}
