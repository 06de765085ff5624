//! The steps a list is made of. A request that is lost is a step that is not in the list; a process
//! that pauses is one that no step belongs to for a while: it keeps its old leases in its hand and
//! uses them later.

use fleetq::Lane;
use proptest::prelude::*;

pub const PROCESSES: usize = 3;
const IDS: [&str; 6] = ["a1", "a2", "a3", "ab", "b1", "b2"];

#[derive(Debug, Clone)]
pub enum Step {
    /// One call with these jobs.
    Enqueue(Vec<New>),
    /// A process claims, up to so many.
    Claim(usize, usize),
    /// A process renews every lease in its hand, lost ones as well.
    Renew(usize),
    /// A process settles, in one call.
    Settle(usize, Vec<End>),
    /// Somebody reaps, up to so many of each kind.
    Reap(usize),
    /// So many seconds in which nobody reaps.
    Pass(i64),
    /// So many seconds with a reap at the end of each.
    Watch(i64),
    /// The clock of the server goes back by so many seconds.
    SetBack(i64),
    /// A process forgets what it holds.
    Die(usize),
    Redrive(&'static str),
    /// The dead letters with this in their cause; all of them for "".
    RedriveAll(&'static str),
    /// Likewise, forgotten.
    Flush(&'static str),
    Pause,
    Drain,
    Resume,
    /// The whole fleet holds so many at most; 0 for no cap.
    Cap(u32),
    /// Every job whose id begins like this goes.
    Discard(&'static str),
    /// Redis loses everything, its scripts as well, and is back after a second.
    Empty,
    /// The call is carried out and its answer lost. Whoever may repeats it, and hears that answer;
    /// a claim is not repeated and nobody knows of it.
    Unheard(Box<Step>),
}

/// Id, lane, delay in seconds.
#[derive(Debug, Clone, Copy)]
pub struct New(pub &'static str, pub Lane, pub i64);

/// Which lease of a hand, 0 for the latest, and how it ends. Leases stay in the hand.
#[derive(Debug, Clone, Copy)]
pub struct End(pub usize, pub How);

#[derive(Debug, Clone, Copy)]
pub enum How {
    Done,
    /// After so many seconds.
    Retry(i64),
    /// After so many seconds.
    Wait(i64),
    Dead,
    GiveBack,
    Crash,
}

pub fn unheard(step: Step) -> Step {
    Step::Unheard(Box::new(step))
}

/// As it is written in a test.
pub fn as_code(steps: &[Step]) -> String {
    let lines = steps.iter().map(|step| format!("    {step:?},\n"));
    lines.collect::<String>().replace('[', "vec![").replace("Unheard(", "unheard(")
}

pub fn lists(longest: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..=longest)
}

fn step() -> impl Strategy<Value = Step> {
    let call = call().boxed();
    prop_oneof![
        30 => call.clone(),
        3 => call.prop_map(unheard),
        2 => (1_i64..5).prop_map(Step::Pass),
        6 => (1_i64..5).prop_map(Step::Watch),
        1 => (1_i64..6).prop_map(Step::SetBack),
        2 => process().prop_map(Step::Die),
        1 => prop_oneof![4 => Just(Step::Discard("a1")), 1 => Just(Step::Discard("a")), 1 => Just(Step::Empty)],
    ]
}

fn call() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => prop::collection::vec(new(), 1..4).prop_map(Step::Enqueue),
        14 => (process(), 0_usize..5).prop_map(|(process, limit)| Step::Claim(process, limit)),
        2 => process().prop_map(Step::Renew),
        18 => (process(), prop::collection::vec(end(), 1..4))
            .prop_map(|(process, ends)| Step::Settle(process, ends)),
        4 => (0_usize..4).prop_map(Step::Reap),
        2 => id().prop_map(Step::Redrive),
        1 => cause().prop_map(Step::RedriveAll),
        2 => cause().prop_map(Step::Flush),
        1 => Just(Step::Pause),
        1 => Just(Step::Drain),
        4 => Just(Step::Resume),
        2 => (0_u32..4).prop_map(Step::Cap),
    ]
}

fn new() -> impl Strategy<Value = New> {
    let delay = prop_oneof![2 => Just(0_i64), 1 => 1_i64..5];
    (id(), prop::sample::select(&Lane::ALL[..]), delay)
        .prop_map(|(id, lane, delay)| New(id, lane, delay))
}

fn end() -> impl Strategy<Value = End> {
    let how = prop_oneof![
        2 => Just(How::Done),
        2 => (0_i64..4).prop_map(How::Retry),
        1 => (0_i64..4).prop_map(How::Wait),
        3 => Just(How::Dead),
        1 => Just(How::GiveBack),
        2 => Just(How::Crash),
    ];
    (0_usize..3, how).prop_map(|(nth, how)| End(nth, how))
}

fn cause() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "broken", "times", "quarantined"])
}

fn process() -> impl Strategy<Value = usize> {
    prop_oneof![6 => Just(0), 2 => 1..PROCESSES]
}

fn id() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&IDS[..])
}
