//! fleetq beside apalis-redis and `BullMQ`: the same work, the same machine, the same Redis settings.
//! What must stay true: the systems take turns within each round, every figure is a median over
//! the rounds, and the clock of every system runs in this process, never in its own.
//! Run by `scripts/bench-peers`; by itself it prints the table.

mod child;
mod figures;
mod peer_apalis;
mod peer_fleetq;
mod process;
mod server;
mod table;

use std::error::Error;

use figures::Figures;
use process::{System, Task, measure};
use server::Server;

const ROUNDS: usize = 5;
/// Consumed from a backlog of this many.
const BACKLOGS: [usize; 2] = [20_000, 50_000];
const SINGLE: usize = 30_000;
const PICKUPS: usize = 500;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "child") {
        return child::run(&words[1..]);
    }
    let rounds = words.first().map_or(Ok(ROUNDS), |word| word.parse())?;
    let mut figures = Figures::default();
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        for system in System::ALL {
            run_round(system, &mut figures)?;
        }
        idle_together(&mut figures)?;
    }
    print!("{}", table::markdown(&figures, rounds));
    Ok(())
}

fn run_round(system: System, figures: &mut Figures) -> Result<(), Box<dyn Error>> {
    let server = Server::start()?;
    if system.has_own_enqueue() {
        let single = measure(system, Task::EnqueueOne, &server, SINGLE)?;
        figures.add(system, "single", single.rate(SINGLE));
    }
    server.empty()?;
    for backlog in BACKLOGS {
        let bulk = measure(system, Task::EnqueueMany, &server, backlog)?;
        let work = measure(system, Task::Work, &server, backlog)?;
        figures.add(system, &format!("bulk {backlog}"), bulk.rate(backlog));
        figures.add(system, &format!("work {backlog}"), work.rate(backlog));
        figures.add(system, &format!("worker µs {backlog}"), work.worker_micros(backlog));
        figures.add(system, &format!("redis µs {backlog}"), work.redis_micros(backlog));
        eprintln!(
            "  {}: {backlog} added at {:.0}/s, consumed at {:.0}/s",
            system.name(),
            bulk.rate(backlog),
            work.rate(backlog)
        );
        server.empty()?;
    }
    if system.has_own_enqueue() {
        let pickup = measure(system, Task::PickUp, &server, PICKUPS)?;
        figures.add(system, "pickup p50", pickup.latency(0.50));
        figures.add(system, "pickup p99", pickup.latency(0.99));
    }
    Ok(())
}

/// Idle workers hardly touch each other, so they are watched at the same time.
fn idle_together(figures: &mut Figures) -> Result<(), Box<dyn Error>> {
    let mut idle = Vec::new();
    for system in System::ALL {
        if system.has_own_enqueue() {
            let server = Server::start()?;
            idle.push((system, process::start_idle(system, &server)?, server));
        }
    }
    let spans = process::watch_idle(&idle)?;
    for ((system, ..), (worker, redis)) in idle.iter().zip(spans) {
        figures.add(*system, "idle worker %", worker);
        figures.add(*system, "idle redis %", redis);
    }
    Ok(())
}
