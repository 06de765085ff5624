//! Purging one of two libraries, beside workers that are busy with it and after a death.

use eyefleet::fate::Fate;
use eyefleet::library_lock;
use rustix::process::Signal;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};

use super::*;
use crate::support::{Redis, Running, photos, stderr, wait_for};

async fn database(data: &Path) -> DatabaseConnection {
    Database::connect(database_url(&data.join("catalog.sqlite"))).await.unwrap()
}

async fn ask(database: &DatabaseConnection, sql: &str) -> Vec<String> {
    let statement = Statement::from_string(database.get_database_backend(), sql);
    let rows = database.query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

/// Every row of every table as text, by table.
async fn dump(database: &DatabaseConnection, only: &str) -> BTreeMap<String, Vec<String>> {
    let postgres = database.get_database_backend() == DbBackend::Postgres;
    let tables = if postgres {
        "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
    } else {
        "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
    };
    let mut all = BTreeMap::new();
    for table in ask(database, tables).await {
        let columns = if postgres {
            format!(
                "SELECT column_name::text FROM information_schema.columns
                 WHERE table_name = '{table}' ORDER BY ordinal_position"
            )
        } else {
            format!("SELECT name FROM pragma_table_info('{table}')")
        };
        let columns = ask(database, &columns).await;
        if !only.is_empty() && !columns.iter().any(|column| column == "library") {
            continue;
        }
        // Blobs as hex digits.
        let quote = |column: &String| {
            if postgres {
                format!("quote_nullable({column}::text)")
            } else {
                format!("quote({column})")
            }
        };
        let quoted: Vec<String> = columns.iter().map(quote).collect();
        let row = quoted.join(" || ");
        // The order of rows is nobody's promise.
        let mut rows = ask(database, &format!("SELECT {row} FROM {table} {only}")).await;
        rows.sort();
        all.insert(table.clone(), rows);
    }
    all
}

/// Names and values of all keys.
fn redis_text(url: &str) -> String {
    let mut redis = redis::Client::open(url).unwrap().get_connection().unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut redis).unwrap();
    let mut text = String::new();
    for key in keys {
        let kind: String = redis::cmd("TYPE").arg(&key).query(&mut redis).unwrap();
        let mut read = match kind.as_str() {
            "string" => redis::cmd("GET"),
            "hash" => redis::cmd("HGETALL"),
            "list" => redis::cmd("LRANGE"),
            "zset" => redis::cmd("ZRANGE"),
            "none" => continue,
            other => panic!("{key} is a {other}: say here how it is read"),
        };
        read.arg(&key);
        if matches!(kind.as_str(), "list" | "zset") {
            read.arg(0).arg(-1);
        }
        let value: redis::Value = read.query(&mut redis).unwrap();
        let mut words = vec![value];
        text.push_str(&key);
        while let Some(value) = words.pop() {
            match value {
                redis::Value::Array(values) => words.extend(values),
                redis::Value::BulkString(bytes) => {
                    text.push('\n');
                    text.push_str(&String::from_utf8_lossy(&bytes));
                }
                redis::Value::Nil | redis::Value::Int(_) => {}
                other => panic!("{key} holds {other:?}: say here how it is read"),
            }
        }
        text.push('\n');
    }
    text
}

/// Answers, hits, rows and files.
type Standing = (Value, Vec<String>, BTreeMap<String, Vec<String>>, BTreeMap<PathBuf, Vec<u8>>);

/// What the other library has, in every store.
async fn standing(up: &Up, database: &DatabaseConnection) -> Standing {
    let (_, mut status) = answer(up, &format!("/v1/status?library={KEPT}"));
    let status = json!([status["counts"].take(), status["generation"].take()]);
    let rows = dump(database, &format!("WHERE library = '{KEPT}'")).await;
    let files = files(&up.data.join("libraries").join(KEPT));
    (status, found(up, KEPT, KEPT_WORD), rows, files)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purged_library_is_gone_from_every_store() {
    let folder = tempfile::tempdir().unwrap();
    let (up, catalog) = two_libraries(folder.path()).await;
    let database = database(&up.data).await;
    let facts = crate::support::fleet_file(&up.data).unwrap();
    let redis = facts["redis_url"].as_str().unwrap().to_owned();
    // Served, so that processes have it in their memory.
    assert_eq!(found(&up, PURGED, PURGED_WORD).len(), IMAGES);
    let before = standing(&up, &database).await;

    // Workers are in the middle of it.
    let more = folder.path().join(PURGED_WORD);
    photos(&more, 80);
    for entry in std::fs::read_dir(&more).unwrap().flatten() {
        let renamed = format!("{PURGED_WORD}-{}", entry.file_name().to_string_lossy());
        std::fs::rename(entry.path(), more.join(renamed)).unwrap();
    }
    let added = run(eyefleet(&up.data).args(["add", "--library", PURGED]).arg(&more));
    assert_eq!(added.status.code(), Some(0));
    wait_for("a worker to be busy with it", || {
        let (_, status) = answer(&up, &format!("/v1/status?library={PURGED}"));
        (status["queues"]["analyze"]["claimed"].as_u64()? > 0).then_some(())
    });
    assert!(redis_text(&redis).contains(PURGED_TRACE));
    let asked = run(eyefleet(&up.data).args(["library", "purge", PURGED]));
    assert_eq!(asked.status.code(), Some(2), "nobody was asked");
    let purged = run(eyefleet(&up.data).args(["library", "purge", PURGED, "--yes", "--json"]));
    assert_eq!(purged.status.code(), Some(0), "{}", stderr(&purged));
    let purged: Value = serde_json::from_str(&stdout(&purged)).unwrap();
    assert_eq!(purged["rows"]["images"], IMAGES + 80, "{purged}");
    assert!(purged["jobs_being_worked_on"].as_u64().unwrap() > 0, "{purged}");
    let notes = purged["notes"].to_string();
    assert!(notes.contains("logs") && !notes.contains("Redis"), "{notes}");

    // Every table, and every byte of the database's files.
    for (table, rows) in dump(&database, "").await {
        let hex = eyefleet::snapshot::durable::hex(PURGED_TRACE.as_bytes());
        let is_left =
            |row: &String| row.contains(PURGED_TRACE) || row.to_lowercase().contains(&hex);
        assert!(!rows.iter().any(is_left), "in table {table}");
    }
    assert_eq!(catalog.library(&name(PURGED)).await.unwrap(), None);
    // Every key and value of Redis.
    let text = redis_text(&redis);
    assert!(text.contains("generations") && !text.contains(PURGED_TRACE), "{text}");
    // Every file below the data folder, by name and content, but for the logs, which is said.
    let mut left = files_with(&up.data, PURGED_TRACE);
    left.retain(|path| !path.starts_with(up.data.join("log")));
    assert_eq!(left, Vec::<PathBuf>::new());
    // The answers.
    for path in ["search?q=river&", "status?", "images/numbatine-000?"] {
        assert_eq!(answer(&up, &format!("/v1/{path}library={PURGED}")).0, 404, "{path}");
    }
    assert_eq!(found(&up, KEPT, PURGED_WORD), Vec::<String>::new());
    let gone = run(eyefleet(&up.data).args(["library", "purge", PURGED, "--yes"]));
    assert_eq!(gone.status.code(), Some(3), "{}", stderr(&gone));
    // The other one is as it was, byte for byte.
    assert!(standing(&up, &database).await == before, "the other library changed");

    // The name is free, and begins with nothing; nobody's late work comes in.
    assert_eq!(run(eyefleet(&up.data).args(["library", "add", PURGED])).status.code(), Some(0));
    let added = run(eyefleet(&up.data).args(["add", "--wait", "--library", PURGED]).arg(&more));
    assert_eq!(added.status.code(), Some(0));
    let (_, status) = answer(&up, &format!("/v1/status?library={PURGED}"));
    assert_eq!(status["counts"]["analyzed"], 80, "{status}");
    assert_eq!(status["generation"], Value::Null);
    learn(&up.data, PURGED);
    wait_for("the new library's generation to be served", || {
        let (code, answer) = answer(&up, &format!("/v1/search?q=river&library={PURGED}"));
        (code == 200 && answer["generation"] == 1).then_some(())
    });
    assert_eq!(found(&up, PURGED, PURGED_WORD), Vec::<String>::new(), "words of the purged one");
    up.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_that_was_killed_is_repeated() {
    const WAITING: usize = 12_000;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    let redis = Redis::start();
    let catalog = catalog(&data).await;
    let connection =
        fleetq::connect(&redis.url(), fleetq::ConnectOptions::default()).await.unwrap();
    let queue =
        fleetq::Queue::open(&connection, "eyefleet", "analyze", fleetq::QueueSettings::default())
            .await
            .unwrap();
    for (library, word, images) in [(KEPT, KEPT_WORD, 700), (PURGED, PURGED_WORD, WAITING)] {
        let library = name(library);
        let own = data.join("originals").join(library.as_str());
        std::fs::create_dir_all(&own).unwrap();
        std::fs::write(own.join(format!("{word}.jpg")), word).unwrap();
        catalog.ensure_library(&library, &own).await.unwrap();
        let upload = |number| Upload {
            image: ImageId::new(format!("{word}-{number}")).unwrap(),
            path: RelativePath::new(format!("{word}-{number}.jpg")).unwrap(),
            bytes: None,
            content_hash: None,
            stamp: None,
            source: "story".to_owned(),
        };
        let uploads: Vec<Upload> = (0..images).map(upload).collect();
        catalog.record_uploads(&library, &uploads).await.unwrap();
        let job = |number| {
            fleetq::NewJob::new(
                format!("analyze-image:{library}:1:{word}-{number}"),
                "analyze-image",
                "{}",
            )
        };
        queue.enqueue_many((0..images).map(job).collect()).await.unwrap();
    }
    let purge = || {
        let mut command = eyefleet(&data);
        command.env("REDIS_URL", redis.url()).args(["library", "purge", PURGED, "--yes"]);
        command
    };
    let mut killed = Running::start(&mut purge());
    let database = database(&data).await;
    let left = async || {
        let sql = format!("SELECT CAST(COUNT(*) AS TEXT) FROM images WHERE library = '{PURGED}'");
        ask(&database, &sql).await[0].parse::<usize>().unwrap()
    };
    while left().await == WAITING {
        assert!(killed.0.try_wait().unwrap().is_none(), "the purge ended too early");
        tokio::task::yield_now().await;
    }
    killed.signal(Signal::KILL);
    killed.end();
    let rest = left().await;
    assert!(rest > 0, "killed too late to be in the middle");
    assert_eq!(catalog.half_purged().await.unwrap(), [name(PURGED)]);

    // Closed meanwhile, and said so.
    let mut command = eyefleet(&data);
    let add = run(command.env("REDIS_URL", redis.url()).args(["library", "add", PURGED]));
    assert_eq!(add.status.code(), Some(1));
    assert!(stderr(&add).contains("purge"), "{}", stderr(&add));
    let mut command = eyefleet(&data);
    let list = run(command.env("REDIS_URL", redis.url()).args(["library", "list"]));
    assert!(stdout(&list).contains("half purged"), "{}", stdout(&list));

    let again = run(&mut purge());
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    assert!(stdout(&again).contains(&format!("{rest} images")), "{}", stdout(&again));
    assert!(stdout(&again).contains("Redis is not this fleet's own"), "{}", stdout(&again));
    assert!(!redis_text(&redis.url()).contains(PURGED_TRACE));
    assert_eq!(files_with(&data, PURGED_TRACE), Vec::<PathBuf>::new());
    let depth = queue.depth().await.unwrap();
    assert_eq!(depth.unfinished(), 700, "jobs of another library are missing");
    assert_eq!(catalog.counts(&name(KEPT)).await.unwrap().waiting, 700);
    assert!(data.join("originals").join(KEPT).join(format!("{KEPT_WORD}.jpg")).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_waits_for_whoever_writes_into_its_folders() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    let redis = Redis::start();
    let (catalog, library) = (catalog(&data).await, name(PURGED));
    catalog.ensure_library(&library, &data.join("originals").join(PURGED)).await.unwrap();
    plant(&catalog, &library, PURGED_WORD).await;
    // As an export that began before the purge and does not see that its job was taken away.
    let writing = library_lock::hold(&catalog, &data, &library).await.unwrap();
    let mut command = eyefleet(&data);
    command.env("REDIS_URL", redis.url()).args(["library", "purge", PURGED, "--yes"]);
    let mut purging = Running::start(&mut command);
    while catalog.half_purged().await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    // Whoever comes now finds it closed.
    let late = library_lock::hold(&catalog, &data, &library).await.unwrap_err();
    assert_eq!(late.fate(), Fate::Superseded, "{late}");
    let snapshots = data.join("libraries").join(PURGED).join("snapshots");
    std::fs::create_dir_all(snapshots.join(PURGED_WORD)).unwrap();
    assert!(purging.0.try_wait().unwrap().is_none(), "the purge did not wait");
    drop(writing);
    assert_eq!(purging.end(), Some(0));
    assert_eq!(files_with(&data, PURGED_TRACE), Vec::<PathBuf>::new());
}
