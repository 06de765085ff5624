//! The owner thread, with runs that the tests hold in their hands.

use std::sync::mpsc as std_mpsc;
use std::time::{Duration, Instant};

use super::*;

/// A model that doubles numbers, reports each batch it begins and waits to be told to go on.
struct Held {
    model: Arc<Model<i64>>,
    began: std_mpsc::Receiver<Vec<i64>>,
    go_on: std_mpsc::Sender<()>,
}

fn held(batch_max: usize) -> Held {
    let (report, began) = std_mpsc::channel();
    let (go_on, told) = std_mpsc::channel();
    let run = move |rows: &[&[i64]]| {
        report.send(rows.iter().map(|row| row[0]).collect()).expect("the test listens");
        told.recv().expect("the test tells");
        Ok(doubled(rows))
    };
    let model = Arc::new(Model::start("doubler", batch_max, Box::new(run)).unwrap());
    Held { model, began, go_on }
}

fn doubled(rows: &[&[i64]]) -> Vec<Vec<f32>> {
    rows.iter().map(|row| vec![row[0] as f32 * 2.0]).collect()
}

type Running = tokio::task::JoinHandle<Result<Vec<f32>, ModelError>>;

fn start(model: &Arc<Model<i64>>, number: i64) -> Running {
    let model = Arc::clone(model);
    tokio::spawn(async move { model.run(vec![number]).await })
}

async fn until(holds: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < patience, "waited too long");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_goes_together_and_a_lone_request_goes_at_once() {
    let held = held(4);
    let mut tasks = vec![start(&held.model, 0)];
    assert_eq!(held.began.recv(), Ok(vec![0]), "nobody waits for a batch to fill");
    for number in 1..=6 {
        tasks.push(start(&held.model, number));
        until(|| held.model.stats().waiting == number as usize).await;
    }
    for _ in 0..3 {
        held.go_on.send(()).unwrap();
    }
    assert_eq!(held.began.recv(), Ok(vec![1, 2, 3, 4]));
    assert_eq!(held.began.recv(), Ok(vec![5, 6]));
    for (number, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap().unwrap(), [number as f32 * 2.0]);
    }
    let stats = held.model.stats();
    assert_eq!((stats.batches, stats.items, stats.largest_batch), (3, 7, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_left_is_skipped() {
    let held = held(4);
    let first = start(&held.model, 1);
    assert_eq!(held.began.recv(), Ok(vec![1]));
    let second = start(&held.model, 2);
    until(|| held.model.stats().waiting == 1).await;
    second.abort();
    assert!(second.await.unwrap_err().is_cancelled());
    let third = start(&held.model, 3);
    until(|| held.model.stats().waiting == 2).await;
    held.go_on.send(()).unwrap();
    held.go_on.send(()).unwrap();
    assert_eq!(held.began.recv(), Ok(vec![3]));
    assert!(first.await.unwrap().is_ok() && third.await.unwrap().is_ok());
    assert_eq!(held.model.stats().skipped, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_over_the_bound_wait_outside_and_may_leave() {
    let held = held(1);
    let mut tasks: Vec<Running> = (0..5).map(|number| start(&held.model, number)).collect();
    held.began.recv().unwrap();
    until(|| held.model.stats().waiting == 2).await;
    for task in tasks.drain(..) {
        task.abort();
        let _ = task.await;
    }
    held.go_on.send(()).unwrap();
    until(|| held.model.stats().waiting == 0).await;
    let last = start(&held.model, 9);
    assert_eq!(held.began.recv(), Ok(vec![9]));
    held.go_on.send(()).unwrap();
    assert_eq!(last.await.unwrap().unwrap(), [18.0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_row_fails_alone() {
    for panics in [false, true] {
        let (open, gate) = std_mpsc::channel::<()>();
        let run = move |rows: &[&[i64]]| {
            // Closed until the test drops its end, open ever after.
            let _ = gate.recv();
            let poisoned = rows.iter().any(|row| row[0] == 2);
            assert!(!(poisoned && panics), "row 2 makes the library panic");
            if poisoned { Err("row 2 is bad".to_owned()) } else { Ok(doubled(rows)) }
        };
        let model = Arc::new(Model::start("doubler", 4, Box::new(run)).unwrap());
        let mut tasks = vec![start(&model, 0)];
        until(|| model.stats().batches == 1).await;
        tasks.extend((1..5).map(|number| start(&model, number)));
        until(|| model.stats().waiting == 4).await;
        drop(open);
        let mut failed = Vec::new();
        for (number, task) in tasks.into_iter().enumerate() {
            match task.await.unwrap() {
                Ok(vector) => assert_eq!(vector, [number as f32 * 2.0]),
                Err(error) => {
                    assert!(error.to_string().contains("row 2"), "{error}");
                    failed.push(number);
                }
            }
        }
        assert_eq!(failed, [2], "panics: {panics}");
        assert_eq!(model.stats().failed, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_too_large_makes_the_next_ones_smaller_for_a_while() {
    let (report, seen) = std_mpsc::channel();
    let (open, gate) = std_mpsc::channel::<()>();
    let run = move |rows: &[&[i64]]| {
        let _ = gate.recv();
        report.send(rows.len()).expect("the test listens");
        if rows.len() > 3 { Err("out of memory".to_owned()) } else { Ok(doubled(rows)) }
    };
    let model = Arc::new(Model::start("doubler", 8, Box::new(run)).unwrap());
    let lone = start(&model, 0);
    until(|| model.stats().batches == 1).await;
    let tasks: Vec<Running> = (1..=16).map(|number| start(&model, number)).collect();
    until(|| model.stats().waiting == 16).await;
    drop(open);
    for task in tasks.into_iter().chain([lone]) {
        task.await.unwrap().unwrap();
    }
    let sizes: Vec<usize> = seen.try_iter().collect();
    // 1; 8 in vain, one by one; 4 in vain, one by one; then pairs.
    let alone = |rows| std::iter::repeat_n(1, rows);
    let wanted: Vec<usize> =
        [1, 8].into_iter().chain(alone(8)).chain([4]).chain(alone(4)).chain([2, 2]).collect();
    assert_eq!(sizes, wanted);
    assert_eq!(model.stats().failed, 0);
}

#[test]
fn batches_grow_again_up_to_what_was_asked_for() {
    let (_requests, inbox) = mpsc::channel(1);
    let run: RunBatch<i64> = Box::new(|rows| Ok(doubled(rows)));
    let counters = Arc::default();
    let mut owner =
        Owner { name: "doubler", batch_max: 8, bound: 3, succeeded: 0, inbox, run, counters };
    let bounds = std::array::from_fn(|_| {
        (0..GROWS_AFTER).for_each(|_| owner.grow());
        owner.bound
    });
    assert_eq!(bounds, [6, 8, 8]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_loses_rows_is_an_error_and_mixes_nothing_up() {
    let model = Model::<i64>::start("forgetful", 4, Box::new(|_| Ok(Vec::new()))).unwrap();
    let error = model.run(vec![1]).await.unwrap_err();
    assert!(error.to_string().contains("1 rows gave 0 vectors"), "{error}");
}

#[test]
fn dropping_the_model_ends_its_thread() {
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let run = Box::new(move |rows: &[&[i64]]| {
        assert!(Arc::strong_count(&held) > 0, "the thread owns its share");
        Ok(doubled(rows))
    });
    drop(Model::start("doubler", 4, run).unwrap());
    assert_eq!(Arc::strong_count(&alive), 1, "the thread and its session are gone");
}
