//! The figures as a table in Markdown.

use std::fmt::Write;

use crate::figures::Figures;
use crate::process::System;

const COLUMNS: [(&str, &str); 10] = [
    ("consume 20,000", "work 20000"),
    ("consume 50,000", "work 50000"),
    ("worker CPU a job", "worker µs 50000"),
    ("Redis CPU a job", "redis µs 50000"),
    ("enqueue one by one", "single"),
    ("enqueue in bulk", "bulk 50000"),
    ("pick-up p50", "pickup p50"),
    ("pick-up p99", "pickup p99"),
    ("idle worker CPU", "idle worker %"),
    ("idle Redis CPU", "idle redis %"),
];

pub fn markdown(figures: &Figures, rounds: usize) -> String {
    let mut text = String::from("| system |");
    for (title, _) in COLUMNS {
        let _ = write!(text, " {title} |");
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(COLUMNS.len()));
    text.push('\n');
    for system in System::ALL {
        let _ = write!(text, "| {} |", title(system));
        for (_, name) in COLUMNS {
            let cell = figures.median(system, name).map(|value| cell(name, value));
            let _ = write!(text, " {} |", cell.unwrap_or_default());
        }
        text.push('\n');
    }
    let _ = writeln!(text, "\nMedians of {rounds} rounds in which the systems took turns.");
    text
}

fn title(system: System) -> &'static str {
    match system {
        System::Fleetq => "fleetq",
        System::ApalisRedis => "apalis-redis 1.0",
        System::ApalisRedisUnsafe => "apalis-redis 1.0, no locks, no acks",
        System::BullMq => "BullMQ 5",
    }
}

fn cell(name: &str, value: f64) -> String {
    if name.contains('%') {
        format!("{value:.2} %")
    } else if name.contains("µs") {
        format!("{value:.1} µs")
    } else if name.contains("pickup") {
        format!("{value:.2} ms")
    } else {
        format!("{value:.0} /s")
    }
}
