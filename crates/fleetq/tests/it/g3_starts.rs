//! Guarantee 3: starts are counted at the claim.
//! Failure: a job that is started for ever, one that is quarantined without its cause, another
//! job that has to wait for it.

use fleetq::{Place, Settle};

use crate::harness::{Server, assert_one_place, claim_one, job, let_leases_end, short_lease};

#[tokio::test]
async fn guarantee_3_a_job_that_never_settles_is_quarantined_and_the_others_go_on() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    queue.reap(10).await.unwrap();
    queue.enqueue(job("poison")).await.unwrap();
    for start in 1..=3 {
        let claim = claim_one(&queue, &format!("victim-{start}")).await;
        assert_eq!((claim.id.as_str(), claim.starts, claim.attempts), ("poison", start, 0));
        drop(claim); // The worker died.

        // Others are served while the lease of the dead worker lasts.
        queue.enqueue(job(format!("good-{start}"))).await.unwrap();
        let good = claim_one(&queue, "survivor").await;
        assert_eq!(good.id, format!("good-{start}"));
        good.settle(Settle::Done).await.unwrap();
        let_leases_end(&queue, 1).await;
    }
    assert!(queue.claim("victim-4", 1).await.unwrap().is_empty());

    let dead = queue.dead(10).await.unwrap().remove(0);
    let failure = dead.failure.unwrap();
    assert_eq!((dead.place, dead.starts), (Place::Dead, 3));
    assert_eq!(failure.how, "quarantined");
    assert_eq!(failure.cause, "started 3 times and never settled");
    assert_eq!(failure.worker, "victim-3");
    let totals = queue.depth().await.unwrap().totals;
    assert_eq!((totals.returned, totals.quarantined, totals.done), (2, 1, 3));

    assert!(queue.redrive("poison").await.unwrap());
    assert!(!queue.redrive("poison").await.unwrap());
    assert_eq!(claim_one(&queue, "healer").await.starts, 1);
    assert_one_place(&mut server.raw().await).await;
}

#[tokio::test]
async fn guarantee_3_a_suspect_waits_behind_the_others() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    queue.reap(10).await.unwrap();
    queue.enqueue(job("suspect")).await.unwrap();
    queue.enqueue(job("next")).await.unwrap();
    drop(claim_one(&queue, "w").await);
    let_leases_end(&queue, 1).await;
    let again = claim_one(&queue, "w").await;
    assert_eq!(again.id, "suspect", "after one lost lease it keeps its turn");
    drop(again);
    let_leases_end(&queue, 1).await;
    assert_eq!(claim_one(&queue, "w").await.id, "next", "after two it does not");
}
