//! `eyefleet doctor`: it finds what is wrong, names what mends it, and changes nothing.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Running, Up, eyefleet, run, stderr, stdout, wait_for};

/// Exit code and report.
fn doctor(command: &mut Command) -> (Option<i32>, Value) {
    let output = run(command.args(["doctor", "--json"]));
    assert_eq!(stderr(&output), "", "what is found belongs into the report");
    (output.status.code(), serde_json::from_str(&stdout(&output)).unwrap())
}

fn find<'a>(report: &'a Value, subject: &str, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    let wanted = |check: &&Value| check["subject"] == subject && check["name"] == name;
    checks.iter().find(wanted).unwrap_or_else(|| panic!("no check {subject} {name} in {report}"))
}

/// The one problem of a report: subject, name, what was found, what mends it.
fn only_problem(report: &Value) -> [String; 4] {
    let checks = report["checks"].as_array().unwrap();
    let problems: Vec<_> = checks.iter().filter(|check| check["state"] == "problem").collect();
    assert_eq!((problems.len(), &report["problems"]), (1, &Value::from(1)), "{report}");
    ["subject", "name", "found", "mend"].map(|key| problems[0][key].as_str().unwrap().to_owned())
}

/// Every file beneath `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter();
    entries.map(|entry| entry.unwrap().into_path()).collect()
}

/// A Redis of one test with its own options.
struct Server {
    _process: Running,
    folder: tempfile::TempDir,
}

impl Server {
    fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("redis.sock");
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--dir"]).arg(folder.path());
        command.arg("--unixsocket").arg(&socket).args(options).stdout(Stdio::null());
        let process = Running::start(&mut command);
        wait_for("Redis to answer", || std::os::unix::net::UnixStream::connect(&socket).ok());
        Self { _process: process, folder }
    }

    fn url(&self, query: &str) -> String {
        format!("redis+unix://{}/redis.sock{query}", self.folder.path().display())
    }
}

#[test]
fn without_a_fleet_it_finds_nothing_wrong_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (code, report) = doctor(&mut eyefleet(&data));
    assert_eq!((code, &report["problems"]), (Some(0), &Value::from(0)), "{report}");
    assert!(!data.exists(), "it made the data folder");
    assert!(find(&report, "redis", "server")["found"].as_str().unwrap().contains("none runs"));
    assert!(find(&report, "models", "pack")["found"].as_str().unwrap().contains("licence"));
    for check in report["checks"].as_array().unwrap() {
        let keys: Vec<_> = check.as_object().unwrap().keys().collect();
        assert_eq!(keys.len(), 5, "{check}");
        // How full the disk of this machine is, is not for this test to say.
        if check["name"] != "space" {
            assert!(["ok", "skipped"].contains(&check["state"].as_str().unwrap()), "{check}");
            assert_eq!(check["mend"], Value::Null, "{check}");
        }
    }

    // The same for people.
    let output = run(eyefleet(&data).arg("doctor"));
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    assert!(text.contains("\nno problems, "), "{text}");
    assert!(!text.contains('\u{1b}'), "colours belong on a terminal");
}

#[test]
fn the_fleet_it_looks_at_is_well_and_so_is_what_a_killed_one_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut up = Up::start(&data);
    let (code, report) = doctor(&mut eyefleet(&data));
    assert_eq!((code, &report["problems"]), (Some(0), &Value::from(0)), "{report}");
    assert!(find(&report, "fleet", "supervisor")["found"].as_str().unwrap().contains("6 roles"));
    assert_eq!(find(&report, "redis", "persistence")["found"], "append-only file, fsync always");
    assert_eq!(find(&report, "database", "schema")["found"], "up to date");
    assert_eq!(find(&report, "clock", "redis")["state"], "ok");

    let roles: Vec<i32> = ["analyze-1", "analyze-2", "export-1", "train-1", "intake-1", "serve-1"]
        .map(|role| up.pid(role))
        .into();
    up.process.signal(Signal::KILL);
    up.process.end();
    wait_for("the roles to end", || {
        // What has ended and was not reaped yet has no environment any more.
        let environment = |pid: &i32| std::fs::read(format!("/proc/{pid}/environ"));
        let lives = |pid: &i32| environment(pid).is_ok_and(|text| !text.is_empty());
        (!roles.iter().any(lives)).then_some(())
    });
    let (code, report) = doctor(&mut eyefleet(&data));
    assert_eq!(code, Some(0), "{report}");
    let supervisor = find(&report, "fleet", "supervisor");
    assert_eq!(
        (&supervisor["state"], &supervisor["mend"]),
        (&"warning".into(), &"eyefleet up".into())
    );
    let redis = find(&report, "fleet", "redis");
    assert!(redis["found"].as_str().unwrap().contains("adopts it"), "{redis}");
    assert_eq!(find(&report, "redis", "server")["state"], "ok");

    // Read-only looks leave no journal behind: what is there now is there afterwards.
    let before = files(&data);
    doctor(&mut eyefleet(&data));
    assert_eq!(files(&data), before);
    Up::start(&data).stop();
}

#[test]
fn a_redis_that_may_evict_is_a_problem_that_its_command_mends() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&["--maxmemory-policy", "allkeys-lru", "--appendonly", "yes"]);
    let (code, report) = doctor(eyefleet(folder.path()).env("REDIS_URL", server.url("")));
    assert_eq!(code, Some(1));
    let [subject, name, found, mend] = only_problem(&report);
    assert_eq!((subject.as_str(), name.as_str()), ("redis", "eviction"));
    assert!(found.contains("allkeys-lru"), "{found}");

    let command = mend.split("   ").next().unwrap();
    assert!(run(Command::new("sh").args(["-c", command])).status.success());
    let (code, report) = doctor(eyefleet(folder.path()).env("REDIS_URL", server.url("")));
    assert_eq!((code, &find(&report, "redis", "eviction")["state"]), (Some(0), &"ok".into()));
}

#[test]
fn a_redis_that_keeps_nothing_is_worth_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&["--appendonly", "no"]);
    let (code, report) = doctor(eyefleet(folder.path()).env("REDIS_URL", server.url("")));
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(find(&report, "redis", "persistence")["state"], "warning");
}

#[test]
fn a_wrong_password_is_told_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&["--requirepass", "right"]);
    for query in ["?pass=hunter2", ""] {
        let (code, report) = doctor(eyefleet(folder.path()).env("REDIS_URL", server.url(query)));
        assert_eq!(code, Some(1));
        let [subject, name, found, _] = only_problem(&report);
        assert_eq!((subject.as_str(), name.as_str()), ("redis", "server"));
        assert!(found.contains("does not let this user in"), "{found}");
        assert!(!report.to_string().contains("hunter2"), "{report}");
    }
}

#[test]
fn stores_that_are_away_are_problems_with_masked_addresses() {
    let folder = tempfile::tempdir().unwrap();
    // Bound and closed again: nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = eyefleet(folder.path());
    command.env("REDIS_URL", format!("redis://:hunter2@127.0.0.1:{port}"));
    command.env("DATABASE_URL", format!("postgres://me:hunter2@127.0.0.1:{port}/eyefleet"));
    let (code, report) = doctor(&mut command);
    assert_eq!((code, &report["problems"]), (Some(1), &Value::from(2)), "{report}");
    for store in ["redis", "database"] {
        let server = find(&report, store, "server");
        assert_eq!(server["state"], "problem");
        assert!(server["found"].as_str().unwrap().contains("***@127.0.0.1"), "{server}");
        assert!(server["mend"].as_str().unwrap().contains("_URL"), "{server}");
    }
    assert!(!report.to_string().contains("hunter2"), "{report}");
}

#[test]
fn a_redis_that_hangs_does_not_hold_up_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let (code, report) = doctor(eyefleet(folder.path()).env("REDIS_URL", url));
    assert_eq!(code, Some(1));
    assert_eq!(only_problem(&report)[0], "redis");
    assert_eq!(find(&report, "models", "pack")["state"], "ok");
}

const FAKE_INFO: &str = "redis_version:7.0.0\r\nrole:master\r\nmaxmemory_policy:noeviction\r\n\
                         aof_enabled:1\r\n";

/// Answers like a Redis whose clock is `ahead` seconds before this machine's.
fn redis_with_a_clock(ahead: i64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut answers, _) = listener.accept().unwrap();
        let mut questions = BufReader::new(answers.try_clone().unwrap());
        while let Some(words) = question(&mut questions) {
            let answer = match words[0].to_uppercase().as_str() {
                "INFO" => {
                    let info = FAKE_INFO;
                    format!("${}\r\n{info}\r\n", info.len())
                }
                "TIME" => {
                    let now = eyefleet::clock::Clock::system().now().as_second() + ahead;
                    format!("*2\r\n${}\r\n{now}\r\n$1\r\n0\r\n", now.to_string().len())
                }
                "CONFIG" => "-ERR unknown command\r\n".to_owned(),
                _ => "+OK\r\n".to_owned(),
            };
            answers.write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

/// One command in Redis's protocol: `*2`, then `$3`, `GET` and so on.
fn question(from: &mut impl BufRead) -> Option<Vec<String>> {
    let mut number = |mark: char| {
        let mut line = String::new();
        from.read_line(&mut line).ok()?;
        line.trim().strip_prefix(mark)?.parse::<usize>().ok()
    };
    let count = number('*')?;
    let mut words = Vec::new();
    for _ in 0..count {
        let mut line = String::new();
        from.read_line(&mut line).ok()?;
        let length: usize = line.trim().strip_prefix('$')?.parse().ok()?;
        let mut bytes = vec![0; length + 2];
        from.read_exact(&mut bytes).ok()?;
        words.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
    }
    Some(words)
}

#[test]
fn a_clock_that_is_off_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for (ahead, code, state) in [(0, 0, "ok"), (5, 0, "warning"), (-3600, 1, "problem")] {
        let url = redis_with_a_clock(ahead);
        let (ended, report) = doctor(eyefleet(folder.path()).env("REDIS_URL", url));
        let clock = find(&report, "clock", "redis");
        assert_eq!((ended, clock["state"].as_str().unwrap()), (Some(code), state), "{report}");
    }
}

#[test]
fn a_data_folder_that_cannot_be_used_is_a_problem() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    let (code, report) = doctor(&mut eyefleet(&file.join("data")));
    assert_eq!(code, Some(1));
    assert_eq!(find(&report, "volume", "folder")["state"], "problem");

    // The system's own folders take no file, not even from root.
    let (code, report) = doctor(&mut eyefleet(Path::new("/proc/self")));
    assert_eq!(code, Some(1));
    assert_eq!(find(&report, "volume", "writing")["state"], "problem", "{report}");
}

#[test]
fn an_address_that_no_database_has_says_which_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let (code, report) =
        doctor(eyefleet(folder.path()).env("DATABASE_URL", "mysql://me:x1y2@db/x"));
    assert_eq!(code, Some(1));
    let [subject, name, _, mend] = only_problem(&report);
    assert_eq!((subject.as_str(), name.as_str()), ("database", "server"));
    assert!(mend.contains("sqlite:///") && mend.contains("postgres://"), "{mend}");
    assert!(!report.to_string().contains("x1y2"), "{report}");

    // A file in a folder that nobody makes; its command does.
    let other = folder.path().join("other");
    let url = format!("sqlite://{}/catalog.sqlite", other.display());
    let (_, report) = doctor(eyefleet(folder.path()).env("DATABASE_URL", &url));
    assert_eq!(only_problem(&report)[3], format!("mkdir -p '{}'", other.display()));
    assert!(!other.exists(), "it made the folder");
    std::fs::create_dir(&other).unwrap();
    assert_eq!(doctor(eyefleet(folder.path()).env("DATABASE_URL", &url)).0, Some(0));
}

#[test]
fn a_damaged_catalogue_is_a_problem_and_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let text = "this is a letter and no database, ".repeat(100);
    std::fs::write(folder.path().join("catalog.sqlite"), &text).unwrap();
    // A file is what is damaged here: on SQLite, whatever the other stories run on.
    let (code, report) = doctor(eyefleet(folder.path()).env_remove("DATABASE_URL"));
    assert_eq!(code, Some(1));
    let [subject, _, found, mend] = only_problem(&report);
    assert!(subject == "database" && found.contains("no database"), "{found}");
    assert!(mend.contains("backup"), "{mend}");
    assert_eq!(files(folder.path()).len(), 2, "it made a file");
    assert_eq!(std::fs::read_to_string(folder.path().join("catalog.sqlite")).unwrap(), text);
}

#[test]
fn a_pack_with_a_flipped_byte_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let pack = folder.path().join("packs/starter");
    std::fs::create_dir_all(&pack).unwrap();
    for entry in std::fs::read_dir("models/starter").unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), pack.join(entry.file_name())).unwrap();
        }
    }
    let mut command = eyefleet(&folder.path().join("data"));
    command.env("EYEFLEET_PATHS__PACKS", folder.path().join("packs"));
    assert_eq!(doctor(&mut command).0, Some(0), "the copy is whole");

    let file = pack.join("vocabulary.json");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let mut command = eyefleet(&folder.path().join("data"));
    command.env("EYEFLEET_PATHS__PACKS", folder.path().join("packs"));
    let (code, report) = doctor(&mut command);
    assert_eq!(code, Some(1));
    let [subject, name, found, _] = only_problem(&report);
    assert_eq!((subject.as_str(), name.as_str()), ("models", "pack"));
    assert!(found.contains("vocabulary.json") && found.contains("sha256"), "{found}");
}

#[test]
fn a_missing_runtime_library_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = eyefleet(folder.path());
    command.env("EYEFLEET_PATHS__ONNXRUNTIME", "/nowhere/libonnxruntime.so");
    let (code, report) = doctor(&mut command);
    assert_eq!(code, Some(1));
    let [subject, name, found, mend] = only_problem(&report);
    assert_eq!((subject.as_str(), name.as_str()), ("models", "runtime"));
    assert!(found.contains("/nowhere/libonnxruntime.so"), "{found}");
    assert!(mend.contains("EYEFLEET_PATHS__ONNXRUNTIME"), "{mend}");
}

#[test]
fn a_role_without_its_supervisor_is_a_stray_and_the_command_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    // It waits for a Redis that never comes, and its input stays open: it is there for long.
    let mut command = eyefleet(folder.path());
    command.args(["run", "export", "--stop-with-stdin"]).stdin(Stdio::piped());
    command.env("REDIS_URL", "redis+unix:///nowhere/redis.sock").stderr(Stdio::null());
    let mut stray = Running::start(&mut command);
    let (code, report) = doctor(&mut eyefleet(folder.path()));
    assert_eq!(code, Some(1));
    let [subject, name, found, mend] = only_problem(&report);
    assert_eq!((subject.as_str(), name.as_str()), ("fleet", "strays"));
    assert!(found.contains("export"), "{found}");
    assert_eq!(mend, format!("kill {}", stray.0.id()));
    assert!(run(Command::new("sh").args(["-c", &mend])).status.success());
    stray.end();
    assert_eq!(doctor(&mut eyefleet(folder.path())).0, Some(0));
}
