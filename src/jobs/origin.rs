//! Who asks for a job, and as part of which trace: what stands beside every payload.
//!
//! What must stay true: a trace id that is none is left out. It comes from outside, and the queue
//! would refuse the job for it.

use fleetq::NewJob;

/// Who asks for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A person at the command line.
    Cli,
    /// A watched folder.
    Watch,
    /// Reconciliation: the job was missing.
    Reconcile,
    /// The leader's schedule.
    Schedule,
    /// An export that has ended.
    Export,
}

impl Source {
    /// The word in the job's metadata and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cli => "cli",
            Self::Watch => "watch",
            Self::Reconcile => "reconcile",
            Self::Schedule => "schedule",
            Self::Export => "export",
        }
    }
}

/// Who asks for a job, and as part of which trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    source: Source,
    traceparent: Option<String>,
}

impl Origin {
    /// Asked for by `source`, outside of any trace.
    pub fn new(source: Source) -> Self {
        Self { source, traceparent: None }
    }

    /// The same, as part of the trace that a W3C `traceparent` names; anything else is left out.
    #[must_use]
    pub fn traced(mut self, traceparent: Option<&str>) -> Self {
        let known = traceparent.filter(|text| trace_id(text).is_some());
        self.traceparent = known.map(str::to_owned);
        self
    }

    /// A command: its trace is the environment's `TRACEPARENT`, as build and job systems set it.
    pub fn command() -> Self {
        let named = std::env::var("TRACEPARENT").ok();
        Self::new(Source::Cli).traced(named.as_deref())
    }

    /// `job` with this beside its payload.
    #[must_use]
    pub fn of(&self, job: NewJob) -> NewJob {
        let job = job.from_source(self.source.as_str());
        match &self.traceparent {
            Some(traceparent) => job.with_traceparent(traceparent),
            None => job,
        }
    }
}

/// The trace that a `traceparent` of version 00 names, as
/// <https://www.w3.org/TR/trace-context/#traceparent-header> has it; none where it is not one.
pub(super) fn trace_id(traceparent: &str) -> Option<&str> {
    let parts: Vec<&str> = traceparent.split('-').collect();
    let ["00", trace, parent, flags] = parts[..] else { return None };
    let is_hex = |part: &str, digits: usize| {
        part.len() == digits && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_blank = |part: &str| part.bytes().all(|byte| byte == b'0');
    let well_formed = is_hex(trace, 32) && is_hex(parent, 16) && is_hex(flags, 2);
    (well_formed && !is_blank(trace) && !is_blank(parent)).then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_job_says_who_asked_and_in_which_trace() {
        let origin = Origin::new(Source::Watch).traced(Some(GIVEN));
        let job = origin.of(NewJob::new("1", "see", ""));
        assert_eq!(job.meta["source"], "watch");
        assert_eq!(job.meta["traceparent"], GIVEN);
        assert_eq!(trace_id(GIVEN), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    }

    #[test]
    fn a_traceparent_that_is_none_is_left_out() {
        let blank = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        let upper = GIVEN.to_uppercase();
        for wrong in ["", "x", "00-1-2-3", "01-1", &blank, &upper, &format!("{GIVEN}-x")] {
            let origin = Origin::new(Source::Cli).traced(Some(wrong));
            assert_eq!(origin, Origin::new(Source::Cli), "{wrong}");
        }
    }
}
