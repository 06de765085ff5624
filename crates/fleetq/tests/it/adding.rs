//! The two scripts that add jobs, one for a single job and one for many.
//! Failure: a difference between them in what they write, answer or refuse.

use std::collections::BTreeMap;

use fleetq::KEY_TABLE;
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, Script, Value};

use crate::harness::{Server, keys, short_lease};

/// The script for many jobs, as the crate sends it.
pub fn many() -> Script {
    Script::new(concat!(
        include_str!("../../src/lua/head.lua"),
        include_str!("../../src/lua/moves.lua"),
        include_str!("../../src/lua/enqueue.lua")
    ))
}

pub fn key(suffix: &str) -> String {
    format!("{{test:work}}:{suffix}")
}

/// What is there beforehand; commands as one would type them.
const BEFORE: [(&str, &[&str]); 16] = [
    ("an open queue", &[]),
    ("Redis was emptied", &["FLUSHALL"]),
    ("paused", &["HSET {test:work}:meta mode paused cap 3"]),
    ("draining", &["HSET {test:work}:meta mode draining"]),
    ("a newer layout", &["HSET {test:work}:meta layout 3.0"]),
    ("a layout of two digits", &["HSET {test:work}:meta layout 20.1"]),
    ("a newer minor layout", &["HSET {test:work}:meta layout 2.7"]),
    ("no token to be left", &["RPUSH {test:work}:wake 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"]),
    ("one token to be left", &["RPUSH {test:work}:wake 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"]),
    ("the id is there", &["HSET {test:work}:state a c,i,1,0,7,1,1,w"]),
    ("foreign jobs", &["SET {test:work}:jobs x"]),
    ("foreign state", &["SET {test:work}:state x"]),
    ("foreign wake", &["SET {test:work}:wake x"]),
    ("foreign ready", &["SET {test:work}:ready:upload x", "SET {test:work}:ready:backfill x"]),
    ("foreign scheduled", &["SET {test:work}:scheduled:upload x"]),
    ("foreign meta", &["SET {test:work}:meta x"]),
];

async fn type_in(line: &mut MultiplexedConnection, command: &str) {
    let mut words = command.split(' ');
    let mut typed = redis::cmd(words.next().unwrap());
    // A record has blanks where the command would end a word.
    typed.arg(words.map(|word| word.replace(',', " ")).collect::<Vec<_>>());
    typed.exec_async(line).await.unwrap();
}

/// All that is there as text, times as their distance to the earliest.
async fn everything(line: &mut MultiplexedConnection) -> String {
    let mut found = BTreeMap::new();
    for (name, kind) in keys(line).await {
        let (command, rest): (_, &[&str]) = match kind.as_str() {
            "hash" => ("HGETALL", &[]),
            "list" => ("LRANGE", &["0", "-1"]),
            "zset" => ("ZRANGE", &["0", "-1", "WITHSCORES"]),
            _ => ("GET", &[]),
        };
        let value: Value =
            redis::cmd(command).arg(&name).arg(rest).query_async(line).await.unwrap();
        let fields: Vec<String> = match redis::from_redis_value(value.clone()) {
            Ok(fields) => fields,
            Err(_) => vec![redis::from_redis_value(value).unwrap()],
        };
        found.insert(name, if kind == "hash" { sorted_pairs(&fields) } else { fields });
    }
    let text = format!("{found:#?}");
    let is_time = |word: &&str| word.len() == 13 && word.bytes().all(|byte| byte.is_ascii_digit());
    let words = || text.split([' ', '"']);
    let first: Option<u64> = words().filter(is_time).filter_map(|time| time.parse().ok()).min();
    words().filter(is_time).fold(text.clone(), |text, time| {
        let since = time.parse::<u64>().unwrap() - first.unwrap();
        text.replace(time, &format!("+{since}"))
    })
}

fn sorted_pairs(fields: &[String]) -> Vec<String> {
    let mut pairs: Vec<String> = fields.chunks(2).map(|pair| pair.join(" = ")).collect();
    pairs.sort();
    pairs
}

#[tokio::test]
async fn one_job_is_added_as_it_would_be_among_many() {
    let server = Server::start().await;
    let mut line = server.raw().await;
    let (many, one) = (many(), Script::new(include_str!("../../src/lua/enqueue_one.lua")));
    let mut refused = 0;
    for (before, commands) in BEFORE {
        for (lane, suffix, delay) in [
            ("u", "ready:upload", 0),
            ("u", "scheduled:upload", 1),
            ("b", "ready:backfill", 0),
            ("i", "scheduled:interactive", 2_500),
            ("i", "scheduled:interactive", 2_501),
            ("b", "scheduled:backfill", 3_162_240_000_000_u64),
        ] {
            let mut seen = Vec::new();
            for script in [&many, &one] {
                redis::cmd("FLUSHALL").exec_async(&mut line).await.unwrap();
                drop(server.queue(short_lease()).await);
                for command in commands {
                    type_in(&mut line, command).await;
                }
                let untouched = everything(&mut line).await;
                let mut call = script.prepare_invoke();
                if std::ptr::eq(script, &raw const one) {
                    for first in ["meta", "jobs", "state", "wake", suffix] {
                        call.key(key(first));
                    }
                } else {
                    for row in KEY_TABLE {
                        call.key(key(row.suffix));
                    }
                }
                call.arg("a").arg(lane).arg(delay).arg("{}\nbody");
                let answer = match call.invoke_async::<Value>(&mut line).await {
                    Ok(Value::Array(only)) => Ok(only[0].clone()),
                    Ok(answer) => Ok(answer),
                    Err(error) => {
                        assert_ne!(error.kind(), ErrorKind::Io, "{error}");
                        assert_eq!(everything(&mut line).await, untouched, "{before}: {error}");
                        refused += 1;
                        Err(error.code().map(str::to_owned))
                    }
                };
                seen.push((answer, everything(&mut line).await));
            }
            assert_eq!(seen[0], seen[1], "{before}, lane {lane}, delay {delay}");
        }
    }
    // Draining, two layouts, jobs, state, wake and meta refuse all six; ready two; scheduled one.
    assert_eq!(refused, 2 * (7 * 6 + 3));
}
