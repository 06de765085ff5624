//! What a failure means for the job that met it.
//!
//! Every room's error answers `fate()` by an exhaustive match, so that `?` in a job carries the
//! decision and nobody classifies at the call site. It stands here, and not in `jobs`, because
//! rooms that know nothing of jobs still know whether their input can ever work.

/// The class of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// The world may recover: a timeout, a disk that did not answer. Tried again within a budget.
    Transient,
    /// What the job needs is away: Redis, the database, or the folder of its library's photos. It
    /// says nothing about this job: tried again until that is back, and no attempt is counted.
    Away,
    /// This input can never work. The reason is recorded on the photo; no retry.
    Permanent,
    /// The message harms the worker. Quarantined with its cause.
    Poison,
    /// The worker is stopping. The job is given back and this start is not counted.
    Interrupted,
    /// The lease was lost, or something newer has written. Dropped and counted.
    Superseded,
}

impl Fate {
    /// The word used in logs and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Away => "away",
            Self::Permanent => "permanent",
            Self::Poison => "poison",
            Self::Interrupted => "interrupted",
            Self::Superseded => "superseded",
        }
    }
}
