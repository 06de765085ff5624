//! Many processes start on one empty database, and one of them dies while it makes the schema.
//!
//! What counts as failure: a start that does not succeed, a change that is noted twice or not at
//! all, and a schema of which somebody sees a part. A process is this test binary once more, with
//! `one_start` as its only test.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use eyefleet_migrations::Migrator;
use sea_orm::{DatabaseConnection, DbBackend, Statement};
use sea_orm_migration::MigratorTrait;

use super::*;

const URL: &str = "EYEFLEET_TEST_START_URL";
/// Set where the process is to stop right before it would make its schema visible.
const HALF: &str = "EYEFLEET_TEST_START_HALF";
const HALF_MADE: &str = "the schema is half made";
const STARTS: usize = 8;

fn start_process(url: &str, half: bool) -> Child {
    let mut process = Command::new(std::env::current_exe().unwrap());
    process
        .args(["--exact", "catalog::tests::migrating::one_start", "--nocapture"])
        .env(URL, url)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if half {
        process.env(HALF, "1");
    }
    process.spawn().unwrap()
}

/// An address that makes the file where there is none.
async fn connect(url: &str) -> DatabaseConnection {
    let url = if url.starts_with("sqlite:") { format!("{url}?mode=rwc") } else { url.to_owned() };
    Database::connect(url).await.unwrap()
}

/// The one number that `query` asks for.
async fn number(database: &DatabaseConnection, query: &str) -> i64 {
    let asked = Statement::from_string(database.get_database_backend(), query);
    let row = database.query_one_raw(asked).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

/// How many tables of ours others can see.
async fn tables(database: &DatabaseConnection) -> i64 {
    let query = match database.get_database_backend() {
        DbBackend::Postgres => {
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
        }
        _ => "SELECT count(*) FROM sqlite_master WHERE type = 'table'",
    };
    number(database, query).await
}

async fn assert_made_once(database: &DatabaseConnection) {
    let wanted = i64::try_from(Migrator::migrations().len()).unwrap();
    assert_eq!(number(database, "SELECT count(*) FROM seaql_migrations").await, wanted);
}

#[tokio::test]
async fn one_of_many_makes_the_schema_and_all_succeed() {
    let folder = tempfile::tempdir().unwrap();
    let url = database(folder.path()).await;
    let processes: Vec<_> = (0..STARTS).map(|_| start_process(&url, false)).collect();
    let tasks: Vec<_> = (0..STARTS)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { Catalog::open(&url, Clock::system()).await.map(drop) })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    for process in processes {
        let output = process.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "a start failed: {said}");
    }
    assert_made_once(&connect(&url).await).await;
}

#[tokio::test]
async fn a_process_killed_while_it_migrates_leaves_no_half_made_schema() {
    let folder = tempfile::tempdir().unwrap();
    let url = database(folder.path()).await;
    let mut killed = start_process(&url, true);
    let lines = BufReader::new(killed.stdout.take().unwrap()).lines();
    let reached = lines.map_while(Result::ok).any(|line| line.contains(HALF_MADE));
    assert!(reached, "it ended before it had made anything");

    // It holds the lock with every table made: nobody sees one, and whoever starts now waits.
    let watching = connect(&url).await;
    assert_eq!(tables(&watching).await, 0);
    let next = {
        let url = url.clone();
        tokio::spawn(async move { Catalog::open(&url, Clock::system()).await.map(drop) })
    };
    killed.kill().unwrap();
    killed.wait().unwrap();
    next.await.unwrap().unwrap();
    assert_made_once(&watching).await;
}

#[tokio::test]
async fn one_start() {
    let Ok(url) = std::env::var(URL) else {
        return; // The tests above start it as a process of its own.
    };
    if std::env::var_os(HALF).is_none() {
        let catalog = Catalog::open(&url, Clock::system()).await.unwrap();
        catalog.ensure_library(&LibraryId::main(), Path::new("/photos")).await.unwrap();
        return;
    }
    let _lock = match url.strip_prefix("sqlite://") {
        Some(path) => Some(connect::StartLock::take(Path::new(path)).await.unwrap()),
        None => None,
    };
    let _change = connect::changed(&connect(&url).await, &url).await.unwrap();
    println!("{HALF_MADE}");
    std::future::pending::<()>().await;
}
