//! What a reap does: leases end, late ones are pulled nearer, jobs that are due become ready.

use fleetq::{Lane, Place};

use super::{GRACE, LEASE, Model, NEVER_SETTLED, SILENCE, STARTS_MAX, due, lease_end};
use crate::simulation::state::{Millis, Reaping, Time, Whereabouts};

impl Model {
    /// Up to so many of each kind in each lane.
    pub fn reap(&mut self, limit: usize) -> Reaping {
        let clock_set_back = self.note_the_reaper();
        self.pull(limit);
        let (returned, quarantined) = self.end_leases(limit);
        let promoted = self.promote(limit);
        let lease = self.state.first(lease_end);
        let lease = lease.map(|end| self.grace().map_or(end, |grace| end.max(grace)));
        let next = lease.into_iter().chain(self.state.first(due)).min();
        let next_due = next.map(|time| (time - self.now).max(0));
        Reaping { returned, quarantined, promoted, next_due, clock_set_back }
    }

    /// One that lies further away than it can was given before the clock went back.
    fn grace(&self) -> Option<Millis> {
        self.state.grace_until.filter(|until| *until <= self.now + GRACE)
    }

    fn end_leases(&mut self, limit: usize) -> (usize, usize) {
        let (mut returned, mut quarantined) = (0, 0);
        if self.grace().is_some_and(|until| until > self.now) {
            return (0, 0);
        }
        for id in self.over(lease_end, limit) {
            if self.job(&id).starts >= STARTS_MAX {
                self.quarantine(&id, NEVER_SETTLED);
                quarantined += 1;
                continue;
            }
            self.fail(&id, "lost", "the lease ran out unsettled");
            if self.job(&id).starts == 1 {
                self.put_first(&id);
            } else {
                self.put_last(&id);
            }
            returned += 1;
        }
        self.state.totals.returned += returned as u64;
        (returned, quarantined)
    }

    pub(super) fn quarantine(&mut self, id: &str, cause: &str) {
        self.fail(id, "quarantined", cause);
        self.job(id).whereabouts = Whereabouts::Dead { since: self.now };
        self.state.totals.quarantined += 1;
    }

    pub(super) fn promote(&mut self, limit: usize) -> usize {
        let due = self.over(due, limit);
        for id in &due {
            self.put_last(id);
        }
        self.state.totals.promoted += due.len() as u64;
        due.len()
    }

    /// Leases from before the clock went back end within one lease, over as many reaps as it takes.
    fn pull(&mut self, limit: usize) {
        let latest = self.now + LEASE;
        if !self.state.pulling {
            return;
        }
        let far = |model: &Self, lane| {
            let mut ends = model.state.in_order(lane, lease_end);
            ends.retain(|(end, _)| *end > latest);
            ends
        };
        if limit > 0 {
            self.state.pulling = Lane::ALL.iter().any(|lane| !far(self, *lane).is_empty());
        }
        for lane in Lane::ALL {
            for (_, id) in far(self, lane).into_iter().take(limit) {
                self.job(&id).whereabouts = Whereabouts::Claimed { until: latest };
            }
        }
    }

    /// Holders of leases get a grace where nobody has reaped for long. Answers by how much the clock
    /// went back, where that was more than a second.
    fn note_the_reaper(&mut self) -> Option<Millis> {
        let since = self.state.reaped.map(|last| self.now - last);
        let seen_its_end = self.grace().is_none_or(|end| Some(end) <= self.state.reaped);
        let silence = since.is_some_and(|since| since > SILENCE) && seen_its_end;
        if silence && self.state.count(Place::Claimed) > 0 {
            self.state.grace_until = Some(self.now + GRACE);
        }
        // Not written anew each time when several processes reap.
        if since.is_none_or(|since| since.abs() >= SILENCE / 4) {
            self.state.reaped = Some(self.now);
        }
        let set_back = since.filter(|since| *since < -1000).map(|since| -since);
        if set_back.is_some() {
            self.state.pulling = true;
            self.state.totals.clock_set_back += 1;
        }
        set_back
    }

    /// The first so many of each lane whose time has come.
    fn over(&self, time: Time, limit: usize) -> Vec<String> {
        let mut ids = Vec::new();
        for lane in Lane::ALL {
            let all = self.state.in_order(lane, time).into_iter();
            let over = all.filter(|(time, _)| *time <= self.now).take(limit);
            ids.extend(over.map(|(_, id)| id));
        }
        ids
    }
}
