//! The queue as a machine of states: lists of steps, each run by one interpreter against a plain
//! model of the queue and against the crate on a real Redis.
//!
//! Failure: any difference after any step, in what a call answers or in what Redis holds: where
//! each job is and the order of each line, starts, attempts, times to the second, causes, history,
//! counters, the turn of the lanes; a token that is not above all before it; a job in two places
//! or in none; leftovers of a job that is gone; jobs that wait with no wake-up for anybody.
//!
//! Not failure: a job that runs twice, when its process died, paused or never heard of it; a
//! duplicate or a stale answer to a call that was repeated; tokens that fall when Redis was emptied
//! and its clock set back as well.
//!
//! Lists are generated and shrunk; one that fails is printed as code and belongs into `found.rs`,
//! with a name.

mod found;
mod interpreter;
mod look;
mod model;
mod real;
mod state;
mod step;
mod stored;

use std::cell::RefCell;

use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};

use crate::harness::Server;
use interpreter::{Counted, run};
use step::lists;

/// Runs as many generated lists, up to so long, and answers what happened in all of them. A fixed
/// seed makes the same lists each time.
fn generated(cases: u32, longest: usize, rng_seed: RngSeed) -> Counted {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::start());
    let counted = RefCell::new(Counted::new());
    let config = Config {
        cases,
        rng_seed,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&lists(longest), |steps| {
        match runtime.block_on(run(&server, &steps)) {
            Ok(totals) => {
                for (name, count) in totals {
                    *counted.borrow_mut().entry(name).or_default() += count;
                }
                Ok(())
            }
            Err(why) => Err(TestCaseError::fail(why)),
        }
    });
    match outcome {
        Ok(()) => counted.into_inner(),
        Err(TestError::Fail(why, _)) => panic!("{why}"),
        Err(error) => panic!("{error}"),
    }
}

/// Lists in which nothing happens would prove nothing.
fn assert_all_happened(totals: &Counted, often: u64) {
    println!("{totals:?}");
    for (name, count) in totals {
        if name == "orphans" {
            assert_eq!(*count, 0, "an id was where its job was not");
            continue;
        }
        assert!(*count >= often, "{name} happened {count} times of {often}: {totals:?}");
    }
}

#[test]
fn the_queue_does_what_its_model_does() {
    assert_all_happened(&generated(200, 80, RngSeed::Fixed(1)), 3);
}

mod slow {
    use super::{RngSeed, assert_all_happened, generated};

    #[test]
    fn the_queue_does_what_its_model_does_in_long_lists() {
        assert_all_happened(&generated(1_000, 300, RngSeed::Random), 200);
    }
}
