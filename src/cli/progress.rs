//! Progress with rate and remaining time: a bar on a terminal, a line every few seconds elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(3);

/// One bar, on standard error.
pub struct Progress {
    bar: ProgressBar,
    label: String,
    unit: &'static str,
    lines: bool,
    started: Instant,
    last_line: Instant,
}

impl Progress {
    /// A bar from 0 to `total` in `unit`; silent when `quiet` (JSON output has no bars beside it).
    pub fn new(label: &str, unit: &'static str, total: u64, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal && !quiet {
            ProgressDrawTarget::stderr_with_hz(8)
        } else {
            ProgressDrawTarget::hidden()
        };
        let style = ProgressStyle::with_template(
            "{prefix:>10} [{bar:32}] {human_pos}/{human_len} {msg} {per_sec:.dim} eta {eta}",
        )
        .expect("the template is constant and parses")
        .progress_chars("=> ");
        let bar = ProgressBar::with_draw_target(Some(total), target).with_style(style);
        bar.set_prefix(label.to_owned());
        bar.set_message(unit);
        let now = Instant::now();
        let lines = !terminal && !quiet;
        Self { bar, label: label.to_owned(), unit, lines, started: now, last_line: now }
    }

    /// `done` of the total is done now.
    pub fn set(&mut self, done: u64) {
        self.bar.set_position(done);
        if self.lines && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            eprintln!(
                "{}",
                line(&self.label, self.unit, done, self.total(), self.started.elapsed())
            );
        }
    }

    /// The total turned out to be another.
    pub fn set_total(&mut self, total: u64) {
        self.bar.set_length(total);
    }

    /// A line for a person to read, above the bar.
    pub fn note(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }

    fn total(&self) -> u64 {
        self.bar.length().unwrap_or_default()
    }

    /// Ends the bar and leaves one line that says how it went.
    pub fn finish(self) {
        let done = self.bar.position();
        self.bar.finish_and_clear();
        if self.lines || std::io::stderr().is_terminal() && !self.bar.is_hidden() {
            let took = self.started.elapsed().as_secs_f64();
            let rate = if took > 0.0 { done as f64 / took } else { 0.0 };
            let unit = if done == 1 { self.unit.trim_end_matches('s') } else { self.unit };
            eprintln!("{:>10} {done} {unit} in {took:.1} s ({rate:.0}/s)", self.label);
        }
    }
}

fn line(label: &str, unit: &str, done: u64, total: u64, took: Duration) -> String {
    let rate = done as f64 / took.as_secs_f64().max(0.001);
    let left = total.saturating_sub(done) as f64;
    let eta = if rate > 0.0 { format!("{:.0} s", left / rate) } else { "unknown".to_owned() };
    format!("{label:>10} {done}/{total} {unit} ({rate:.0}/s, eta {eta})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_rate_and_remaining_time() {
        let text = line("analyze", "images", 100, 300, Duration::from_secs(10));
        assert_eq!(text, "   analyze 100/300 images (10/s, eta 20 s)");
        assert!(line("analyze", "images", 0, 300, Duration::from_secs(1)).contains("unknown"));
    }
}
