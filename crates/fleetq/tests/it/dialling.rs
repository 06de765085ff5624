//! A Redis that accepts connections and says nothing, as behind a dead network.
//! Failure: callers that wait for one another's attempts and so beyond their patience.

use std::time::{Duration, Instant};

use fleetq::{ConnectOptions, connect};
use futures_util::future::join_all;

use crate::harness::Server;

#[tokio::test]
async fn who_comes_while_somebody_dials_has_that_answer() {
    const CALLERS: usize = 40;
    let attempt = Duration::from_millis(300);
    let server = Server::start().await;
    let options = ConnectOptions {
        connection_timeout: attempt,
        response_timeout: Duration::from_millis(50),
        patience: Duration::ZERO,
        ..ConnectOptions::default()
    };
    let connection = connect(&server.url(), options).await.unwrap();
    let pause = server.paused();
    let error = connection.ping().await.unwrap_err();
    assert!(error.is_transient(), "the line is dropped: {error}");

    let began = Instant::now();
    for answer in join_all((0..CALLERS).map(|_| connection.ping())).await {
        assert!(answer.unwrap_err().is_transient());
    }
    let took = began.elapsed();
    assert!(
        took < attempt * 10,
        "{CALLERS} callers waited {took:?} for one attempt of {attempt:?}"
    );
    drop(pause);
    crate::harness::until("it answers again", || async { connection.ping().await.is_ok() }).await;
}
