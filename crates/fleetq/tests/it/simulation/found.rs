//! Short lists with a name: those that once failed, and those that a person would try first.

use fleetq::Lane::{Backfill, Interactive, Upload};

use super::interpreter::replay;
use super::step::How::{Dead, Done, GiveBack, Retry};
use super::step::Step::{
    Cap, Claim, Die, Discard, Drain, Empty, Enqueue, Flush, Pass, Pause, Reap, Redrive, RedriveAll,
    Renew, Resume, SetBack, Settle, Watch,
};
use super::step::{End, New, unheard};

#[tokio::test]
async fn a_process_that_paused_settles_what_another_holds() {
    replay(vec![
        Reap(1),
        Enqueue(vec![New("a1", Upload, 0)]),
        Claim(0, 1),
        Watch(3),
        Claim(1, 1),
        Renew(0),
        Settle(0, vec![End(0, Done)]),
        Settle(1, vec![End(0, Done)]),
    ])
    .await;
}

#[tokio::test]
async fn a_process_that_paused_gives_back_what_another_gave_back() {
    replay(vec![
        Reap(1),
        Enqueue(vec![New("a1", Upload, 0), New("a2", Upload, 0)]),
        Claim(0, 1),
        Watch(3),
        Claim(1, 1),
        Settle(1, vec![End(0, GiveBack)]),
        Settle(0, vec![End(0, GiveBack)]),
        Claim(1, 2),
    ])
    .await;
}

#[tokio::test]
async fn a_claim_nobody_heard_of_comes_back_when_its_lease_ends() {
    replay(vec![
        Reap(1),
        Enqueue(vec![New("a1", Interactive, 0), New("b1", Interactive, 0)]),
        unheard(Claim(0, 1)),
        Watch(3),
        Claim(0, 2),
    ])
    .await;
}

#[tokio::test]
async fn a_settlement_nobody_heard_of_is_stale_when_repeated() {
    replay(vec![
        unheard(Enqueue(vec![New("a1", Backfill, 0)])),
        Claim(0, 1),
        unheard(Settle(0, vec![End(0, Retry(0))])),
        Claim(1, 1),
    ])
    .await;
}

#[tokio::test]
async fn one_claim_settled_twice_in_one_call_ends_once() {
    replay(vec![
        Enqueue(vec![New("a1", Upload, 0), New("a1", Interactive, 0)]),
        Claim(0, 1),
        Settle(0, vec![End(0, GiveBack), End(0, Dead)]),
    ])
    .await;
}

#[tokio::test]
async fn a_job_that_kills_every_process_dies_and_is_redriven() {
    let crash = [Claim(0, 1), Die(0), Watch(3)];
    let mut steps = vec![Reap(1), Enqueue(vec![New("a1", Upload, 0), New("b1", Upload, 2)])];
    steps.extend(crash.clone().into_iter().chain(crash.clone()).chain(crash));
    steps.extend([Claim(1, 1), Settle(1, vec![End(0, Done)]), Redrive("a1"), Claim(1, 1)]);
    replay(steps).await;
}

#[tokio::test]
async fn holders_get_a_grace_when_nobody_has_reaped() {
    replay(vec![
        Reap(1),
        Enqueue(vec![New("a1", Upload, 0), New("a2", Upload, 0)]),
        Claim(0, 1),
        Claim(1, 1),
        Pass(9),
        Reap(9),
        Renew(1),
        Watch(3),
    ])
    .await;
}

#[tokio::test]
async fn a_clock_set_back_lets_tokens_rise_and_leases_end() {
    replay(vec![
        Reap(1),
        Enqueue(vec![New("a1", Upload, 0), New("a2", Upload, 2)]),
        Claim(0, 1),
        SetBack(8),
        Settle(0, vec![End(0, GiveBack)]),
        Claim(1, 1),
        Watch(12),
        Claim(2, 2),
    ])
    .await;
}

#[tokio::test]
async fn what_was_held_when_redis_was_emptied_is_stale() {
    replay(vec![
        Enqueue(vec![New("a1", Upload, 0)]),
        Claim(0, 1),
        Empty,
        Renew(0),
        Settle(0, vec![End(0, Done)]),
        Enqueue(vec![New("a1", Upload, 0)]),
        Claim(1, 1),
        Settle(0, vec![End(0, Done)]),
    ])
    .await;
}

#[tokio::test]
async fn jobs_of_one_owner_go_from_every_place() {
    replay(vec![
        Reap(1),
        Enqueue(vec![New("a1", Upload, 0), New("a2", Upload, 4), New("ab", Interactive, 0)]),
        Enqueue(vec![New("b1", Upload, 0), New("b2", Upload, 4), New("a3", Backfill, 0)]),
        Claim(0, 3),
        Settle(0, vec![End(0, Dead), End(1, Dead)]),
        Discard("a"),
        Settle(0, vec![End(2, Done)]),
        Watch(4),
        Claim(1, 4),
    ])
    .await;
}

#[tokio::test]
async fn a_reap_of_nothing_leaves_late_leases_to_the_next() {
    replay(vec![
        Enqueue(vec![New("a1", Interactive, 0)]),
        Watch(1),
        Claim(0, 1),
        SetBack(8),
        Reap(0),
        Watch(4),
        Claim(1, 1),
    ])
    .await;
}

#[tokio::test]
async fn letters_from_before_the_clock_went_back_are_all_there() {
    replay(vec![
        Enqueue(vec![New("a1", Interactive, 0), New("b1", Upload, 0)]),
        Claim(0, 2),
        Settle(0, vec![End(0, Dead), End(1, Dead)]),
        SetBack(2),
        RedriveAll(""),
        Claim(0, 1),
        Settle(0, vec![End(0, Dead)]),
        Flush("broken"),
    ])
    .await;
}

#[tokio::test]
async fn a_queue_under_a_cap_that_pauses_and_drains_loses_nothing() {
    replay(vec![
        Enqueue(vec![New("a1", Upload, 0), New("a2", Upload, 1), New("a3", Backfill, 0)]),
        Cap(1),
        Claim(0, 3),
        Claim(1, 3),
        Pause,
        Settle(0, vec![End(0, GiveBack)]),
        Claim(1, 3),
        Drain,
        Enqueue(vec![New("b1", Upload, 0)]),
        Pass(1),
        Claim(1, 3),
        Cap(0),
        Claim(2, 3),
        Resume,
        Enqueue(vec![New("b1", Upload, 0)]),
    ])
    .await;
}

#[tokio::test]
async fn the_lanes_take_their_turns() {
    let mut steps = Vec::new();
    for _ in 0..13 {
        steps.push(Enqueue(vec![New("a1", Interactive, 0), New("a2", Upload, 0)]));
        steps.push(Enqueue(vec![New("a3", Backfill, 0)]));
        steps.extend([Claim(0, 1), Settle(0, vec![End(0, Done)])]);
    }
    replay(steps).await;
}

#[tokio::test]
async fn a_lease_left_over_by_the_limit_is_due_before_a_later_job() {
    replay(vec![
        Enqueue(vec![New("a1", Upload, 0), New("b1", Upload, 9)]),
        Claim(0, 1),
        Pass(4),
        Reap(0),
    ])
    .await;
}

#[tokio::test]
async fn jobs_that_are_given_back_together_stand_as_they_stood() {
    replay(vec![
        Enqueue(vec![New("a1", Interactive, 0), New("b1", Interactive, 0)]),
        Claim(0, 2),
        Settle(0, vec![End(0, GiveBack), End(1, GiveBack)]),
        Claim(1, 1),
    ])
    .await;
}
