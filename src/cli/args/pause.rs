//! The words of `eyefleet pause`.

use std::time::Duration;

use clap::Args;

/// Longest pause, in days: one that nobody remembers must not last for ever.
const DAYS_MAX: u64 = 30;

/// `eyefleet pause`.
#[derive(Debug, Args)]
pub struct PauseArgs {
    /// For how long: 2h, 90m, 1h30m.
    #[arg(value_parser = span, value_name = "TIME")]
    pub time: Duration,
}

fn span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("give a time such as 2h, 90m or 1h30m, up to {DAYS_MAX} days (720h)");
    let given: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    let given = Duration::try_from(given).map_err(|_| wrong())?;
    let allowed = Duration::from_secs(1)..=Duration::from_hours(24 * DAYS_MAX);
    if allowed.contains(&given) { Ok(given) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_has_a_length_and_an_end() {
        assert_eq!(span("2h"), Ok(Duration::from_hours(2)));
        assert_eq!(span("1h30m"), Ok(Duration::from_mins(90)));
        for wrong in ["", "2", "0s", "-2h", "721h", "soon"] {
            assert!(span(wrong).is_err(), "{wrong:?}");
        }
    }
}
