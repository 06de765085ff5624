//! Figures with a target, for the benches that measure something else than one repeated call.
//! They are printed, and written beside criterion's own results for `scripts/bench-table`.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

/// A figure this many times beyond its target fails the bench. The targets are for an idle
/// machine; a busy one may miss them, a broken promise misses them by more.
const BY_FAR: f64 = 4.0;

/// What one bench found.
#[derive(Default)]
pub struct Figures {
    rows: Vec<Value>,
    missed: bool,
}

impl Figures {
    /// `value` must not be above `most`.
    #[allow(dead_code, reason = "each bench is a crate of its own and uses a part of this")]
    pub fn at_most(&mut self, name: &str, value: f64, most: f64, unit: &str) {
        self.note(name, value, &format!("at most {most} {unit}"), unit, value > most * BY_FAR);
    }

    /// `value` must be above `least`.
    #[allow(dead_code, reason = "each bench is a crate of its own and uses a part of this")]
    pub fn at_least(&mut self, name: &str, value: f64, least: f64, unit: &str) {
        self.note(name, value, &format!("at least {least} {unit}"), unit, value < least / BY_FAR);
    }

    /// What has no target.
    #[allow(dead_code, reason = "each bench is a crate of its own and uses a part of this")]
    pub fn note_only(&mut self, name: &str, value: &str) {
        self.rows.push(json!({ "name": name, "value": value, "target": "" }));
    }

    fn note(&mut self, name: &str, value: f64, target: &str, unit: &str, missed: bool) {
        let text = format!("{} {unit}", short(value));
        let (text, target) = (text.trim_end(), target.trim_end());
        println!("{name}: {text} (target: {target})");
        if missed {
            eprintln!("{name} misses its target by far; is the machine busy, or a promise broken?");
        }
        self.missed |= missed;
        self.rows.push(json!({ "name": name, "value": text, "target": target }));
    }

    /// Writes them under the name of the bench; fails where a target is missed by far.
    pub fn finish(self, bench: &str) -> ExitCode {
        let name = format!("bench-{}-{bench}.json", env!("CARGO_PKG_NAME"));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(path, Value::from(self.rows).to_string()).unwrap();
        if self.missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

fn short(value: f64) -> String {
    let digits = if value >= 100.0 || value.fract() == 0.0 { 0 } else { 2 };
    format!("{value:.digits$}")
}

/// The value below which this share of `values` lies.
#[allow(dead_code, reason = "each bench is a crate of its own and uses a part of this")]
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() as f64 * share).ceil() as usize;
    sorted[at.clamp(1, sorted.len()) - 1]
}

/// The middle one.
#[allow(dead_code, reason = "each bench is a crate of its own and uses a part of this")]
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}
