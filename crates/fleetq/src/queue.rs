//! The queue: every move a job can make, each one call of one script.
//! What must stay true: a job is in exactly one place, and only the holder of its latest token
//! moves it out of a worker's hands (the reaper does when the lease ran out).

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::claim::{Claim, Lease, Settle, Settled};
use crate::connection::{ConnectOptions, Connection, Effort, Request};
use crate::error::QueueError;
use crate::hold::Hold;
use crate::job::Envelope;
use crate::keys::{KEY_TABLE, Keys};
use crate::record::Record;
use crate::scripts;
use crate::settings::QueueSettings;

/// The most jobs one script call adds, claims or renews.
pub(crate) const BATCH_MAX: usize = 250;

/// One named queue. Clones are cheap and share a connection.
#[derive(Debug, Clone)]
pub struct Queue {
    pub(crate) connection: Connection,
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) label: String,
    pub(crate) keys: Keys,
    pub(crate) settings: QueueSettings,
}

/// What one call of [`Queue::reap`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reaped {
    /// Jobs whose lease had run out, now ready again.
    pub returned: usize,
    /// Jobs moved to the dead letters: started too often, or broken.
    pub quarantined: usize,
    /// Scheduled jobs that became due, now ready.
    pub promoted: usize,
    /// How long until the next lease ends or the next job is due; none when there is neither.
    pub next_due: Option<Duration>,
    /// By how much Redis's clock was set back since the last call, if it was.
    pub clock_set_back: Option<Duration>,
}

/// Id, state record and body.
type ClaimRow = (Vec<u8>, Vec<u8>, Vec<u8>);

/// What one claim script brought.
pub(crate) struct Batch {
    pub(crate) claims: Vec<Claim>,
    /// Jobs that were ready, could have been claimed and were not taken.
    pub(crate) left: u64,
    /// How long until the next job is due; asked only where none is left.
    pub(crate) next_due: Option<Duration>,
}

impl Queue {
    /// `namespace:name`.
    pub fn label(&self) -> &str {
        &self.shared.label
    }

    /// The settings it was opened with.
    pub fn settings(&self) -> &QueueSettings {
        &self.shared.settings
    }

    /// Claims up to `limit` ready jobs (250 at most) for `worker`, each under a lease and a token.
    /// These claims are not renewed by anybody; [`FleetBackend`](crate::FleetBackend) renews its
    /// own.
    ///
    /// # Errors
    /// What Redis says. A reply lost on the way leaves the jobs claimed until their lease ends.
    pub async fn claim(&self, worker: &str, limit: usize) -> Result<Vec<Claim>, QueueError> {
        loop {
            let batch = self.claim_batch(worker, limit, limit, Effort::UntilSent).await?;
            // A call looks at so many ids and no more; stray ones may have been all of them.
            if !batch.claims.is_empty() || batch.left == 0 || limit == 0 {
                return Ok(batch.claims);
            }
        }
    }

    /// At most `suspects` among them are jobs with one start left and no run that ended.
    pub(crate) async fn claim_batch(
        &self,
        worker: &str,
        limit: usize,
        suspects: usize,
        effort: Effort,
    ) -> Result<Batch, QueueError> {
        let mut call = self.script(&scripts::CLAIM);
        let settings = &self.shared.settings;
        call.arg(worker).arg(limit.min(BATCH_MAX)).arg(whole_millis(settings.lease));
        call.arg(settings.starts_max).arg(suspects);
        let (now, left, next_due, rows): (i64, u64, i64, Vec<ClaimRow>) =
            self.run("claim jobs", effort, &call).await?;
        let claims = rows.into_iter().map(|row| self.read_claim(now, row)).collect();
        let next_due = u64::try_from(next_due).ok().map(Duration::from_millis);
        Ok(Batch { claims, left, next_due })
    }

    fn read_claim(&self, now: i64, row: ClaimRow) -> Claim {
        let (id, record, body) = row;
        let record = String::from_utf8_lossy(&record);
        let record = Record::read(&record);
        let envelope = Envelope::decode(body);
        let id = String::from_utf8_lossy(&id).into_owned();
        let lease = Lease { id: id.clone(), token: record.token };
        Claim {
            id,
            token: record.token,
            kind: envelope.kind,
            payload: envelope.payload,
            meta: envelope.meta,
            limit: envelope.limit,
            lane: record.lane,
            starts: record.starts,
            attempts: record.attempts,
            enqueued_at: at_millis(record.enqueued),
            waited: Duration::from_millis(u64::try_from(now - record.ready).unwrap_or(0)),
            hold: Hold::unattended(self.clone(), lease.clone()),
            lease,
        }
    }

    /// Extends leases by the lease time from now; tells for each whether it is still ours.
    ///
    /// # Errors
    /// What Redis says.
    pub async fn renew(&self, leases: &[Lease]) -> Result<Vec<bool>, QueueError> {
        let mut results = Vec::with_capacity(leases.len());
        for batch in leases.chunks(BATCH_MAX) {
            let mut call = self.script(&scripts::RENEW);
            call.arg(whole_millis(self.shared.settings.lease));
            for lease in batch {
                call.arg(lease.id.as_str()).arg(lease.token);
            }
            let held: Vec<u8> = self.run_list("renew leases", &call).await?;
            results.extend(held.iter().map(|held| *held == 1));
        }
        Ok(results)
    }

    /// Ends one claim. A stale lease changes nothing.
    ///
    /// # Errors
    /// What Redis says. After a lost reply the call is repeated; then [`Settled::Stale`] may mean
    /// that the first try had been applied.
    pub async fn settle(&self, lease: &Lease, how: Settle) -> Result<Settled, QueueError> {
        Ok(self.settle_many(&[(lease.clone(), how)]).await?[0])
    }

    /// Ends many claims, in script calls of at most 250.
    ///
    /// # Errors
    /// As [`Queue::settle`].
    pub async fn settle_many(
        &self,
        claims: &[(Lease, Settle)],
    ) -> Result<Vec<Settled>, QueueError> {
        let mut results = Vec::with_capacity(claims.len());
        for batch in claims.chunks(BATCH_MAX) {
            let batch = batch.iter().map(|(lease, how)| (lease, how));
            results.extend(self.settle_batch(batch).await?);
        }
        Ok(results)
    }

    /// Notes that these runs are over their time limit, for whoever finds their leases ended.
    pub(crate) async fn blame_limit(&self, leases: &[Lease]) -> Result<(), QueueError> {
        for batch in leases.chunks(BATCH_MAX) {
            let mut call = self.script(&scripts::BLAME);
            call.arg("over-limit").arg(r#"{"cause":"the run was over its time limit"}"#);
            for lease in batch {
                call.arg(lease.id.as_str()).arg(lease.token);
            }
            let _held: u64 = self.run("note a time limit", Effort::UntilAnswered, &call).await?;
        }
        Ok(())
    }

    /// Ends [`BATCH_MAX`] claims at most, in one script call.
    pub(crate) async fn settle_batch(
        &self,
        claims: impl Iterator<Item = (&Lease, &Settle)>,
    ) -> Result<Vec<Settled>, QueueError> {
        let mut call = self.script(&scripts::SETTLE);
        call.arg(self.shared.settings.history_max).arg(self.shared.settings.starts_max);
        for (lease, how) in claims {
            call.arg(lease.id.as_str()).arg(lease.token);
            call.arg(how.verb()).arg(whole_millis(how.delay())).arg(how.note());
        }
        let applied = self.run_list("settle claims", &call).await?;
        let told = |applied| if applied == 1 { Settled::Applied } else { Settled::Stale };
        Ok(applied.into_iter().map(told).collect())
    }

    /// Makes ready what has become due and returns or quarantines what nobody renews any more, up
    /// to `limit` of each (250 at most). Every [`FleetBackend`](crate::FleetBackend) does this by
    /// itself.
    ///
    /// # Errors
    /// What Redis says.
    pub async fn reap(&self, limit: usize) -> Result<Reaped, QueueError> {
        let mut call = self.script(&scripts::REAP);
        let settings = &self.shared.settings;
        call.arg(limit.min(BATCH_MAX)).arg(settings.starts_max);
        call.arg(whole_millis(settings.silence()));
        call.arg(whole_millis(settings.grace()));
        call.arg(whole_millis(settings.lease));
        let (returned, quarantined, promoted, next, set_back): (usize, usize, usize, i64, u64) =
            self.run("reap", Effort::UntilAnswered, &call).await?;
        let next_due = u64::try_from(next).ok().map(Duration::from_millis);
        let clock_set_back = (set_back > 0).then(|| Duration::from_millis(set_back));
        Ok(Reaped { returned, quarantined, promoted, next_due, clock_set_back })
    }

    /// The same queue over a connection of its own.
    pub(crate) fn fork(&self, change: impl FnOnce(&mut ConnectOptions)) -> Self {
        Self { connection: self.connection.fork(change), shared: Arc::clone(&self.shared) }
    }

    pub(crate) fn script<'script>(
        &self,
        script: &'script redis::Script,
    ) -> redis::ScriptInvocation<'script> {
        scripts::call(script, &self.shared.keys)
    }

    pub(crate) async fn run<T: redis::FromRedisValue>(
        &self,
        action: &'static str,
        effort: Effort,
        call: &redis::ScriptInvocation<'_>,
    ) -> Result<T, QueueError> {
        self.request(action, effort, Request::Script(call)).await
    }

    /// Where a key has the wrong type, the error names it.
    pub(crate) async fn request<T: redis::FromRedisValue>(
        &self,
        action: &'static str,
        effort: Effort,
        request: Request<'_>,
    ) -> Result<T, QueueError> {
        match self.connection.run(action, effort, request).await {
            Err(QueueError::WrongType { attempt, found }) if !found.contains(" should hold a ") => {
                let found = self.name_wrong_key().await.unwrap_or(found);
                Err(QueueError::WrongType { attempt, found })
            }
            answer => answer,
        }
    }

    /// Redis does not say which key has the wrong type; none where it cannot be found out.
    async fn name_wrong_key(&self) -> Option<String> {
        for (row, key) in KEY_TABLE.iter().zip(self.shared.keys.all()) {
            let mut command = redis::cmd("TYPE");
            command.arg(key.as_str());
            let request = Request::Command(&command);
            let look = self.connection.run("look for a wrong type", Effort::Once, request);
            let kind: String = look.await.ok()?;
            if kind != row.kind && kind != "none" {
                return Some(format!("{key} holds a {kind} and should hold a {}", row.kind));
            }
        }
        None
    }

    /// `Vec<u8>` would be read as one string, so numbers come as wider ones first.
    async fn run_list(
        &self,
        action: &'static str,
        call: &redis::ScriptInvocation<'_>,
    ) -> Result<Vec<u8>, QueueError> {
        let numbers: Vec<i64> = self.run(action, Effort::UntilAnswered, call).await?;
        Ok(numbers.into_iter().map(|number| u8::from(number == 1)).collect())
    }
}

/// Whole milliseconds, rounded up, so that a delay is never shortened to nothing.
pub(crate) fn whole_millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX).min(MILLIS_MAX)
}

/// A hundred years: beyond it, sums with the time of day would no longer be exact in Lua.
const MILLIS_MAX: u64 = 100 * 366 * 24 * 3600 * 1000;

pub(crate) fn at_millis(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_delay_is_never_rounded_away() {
        assert_eq!(whole_millis(Duration::from_nanos(1)), 1);
        assert_eq!(whole_millis(Duration::from_millis(15)), 15);
        assert_eq!(whole_millis(Duration::MAX), MILLIS_MAX);
    }
}
