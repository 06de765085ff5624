//! Everything a queue has in Redis, as it lies there, and the clock of the list.
//!
//! Time does not pass by waiting. The scripts ask Redis for the time and nothing else does, so an
//! hour passes for a queue when every time that it has stored lies an hour further back, tokens
//! included, and its clock is set back when they lie further ahead. What really passes meanwhile, a few ms a step, is
//! taken out again: times are rounded down to whole [`GRID`]s of the list. A step that took longer
//! than [`LATE`] says nothing and its list is run again.

use std::collections::BTreeMap;

use fleetq::KEY_TABLE;
use redis::aio::MultiplexedConnection;

use super::state::Millis;

/// All times of a list are multiples of this.
const GRID: Millis = 1_000;
/// Far below a grid and the quarter of a silence that the reaper looks for.
const LATE: Millis = 300;

type Hash = BTreeMap<String, String>;

/// By what follows `{test:work}:` in the name of the key.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// The time of the server, in ms.
    time: Millis,
    pub hashes: BTreeMap<&'static str, Hash>,
    pub lists: BTreeMap<&'static str, Vec<String>>,
    pub sets: BTreeMap<&'static str, Vec<(String, Millis)>>,
}

/// Ties the time of the list to that of the server.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    /// The server's time at the start of the list.
    start: Millis,
    now: Millis,
}

fn key(suffix: &str) -> String {
    format!("{{test:work}}:{suffix}")
}

impl Stored {
    pub async fn read(line: &mut MultiplexedConnection) -> Self {
        let mut pipe = redis::pipe();
        pipe.atomic().cmd("TIME");
        for row in &KEY_TABLE {
            match row.kind {
                "hash" => pipe.cmd("HGETALL").arg(key(row.suffix)),
                "list" => pipe.cmd("LRANGE").arg(key(row.suffix)).arg(0).arg(-1),
                "zset" => pipe.cmd("ZRANGE").arg(key(row.suffix)).arg(&[0, -1]).arg("WITHSCORES"),
                kind => panic!("nobody looks into keys of type {kind}"),
            };
        }
        let mut replies: Vec<redis::Value> = pipe.query_async(line).await.unwrap();
        let rest = replies.split_off(1);
        let (seconds, micros): (i64, i64) = redis::from_redis_value(replies.remove(0)).unwrap();
        let mut stored = Self { time: seconds * 1000 + micros / 1000, ..Self::default() };
        for (row, reply) in KEY_TABLE.iter().zip(rest) {
            match row.kind {
                "hash" => {
                    stored.hashes.insert(row.suffix, redis::from_redis_value(reply).unwrap());
                }
                "list" => {
                    stored.lists.insert(row.suffix, redis::from_redis_value(reply).unwrap());
                }
                _ => {
                    stored.sets.insert(row.suffix, redis::from_redis_value(reply).unwrap());
                }
            }
        }
        stored
    }

    /// Every time in it becomes another, but for tokens.
    fn map_times(&mut self, map: impl Fn(Millis) -> Millis) {
        let map_text = |text: &str| map(text.parse().unwrap()).to_string();
        for (_, score) in self.sets.values_mut().flatten() {
            *score = map(*score);
        }
        for note in self.hashes.get_mut("notes").unwrap().values_mut() {
            let (at, rest) = note.split_once('\n').unwrap();
            *note = format!("{}\n{rest}", map_text(at));
        }
        for line in self.lists.get_mut("history").unwrap() {
            let parts: Vec<&str> = line.splitn(4, '\n').collect();
            *line = [parts[0], parts[1], &map_text(parts[2]), parts[3]].join("\n");
        }
        for name in ["reaped", "grace"] {
            if let Some(time) = self.hashes.get_mut("meta").unwrap().get_mut(name) {
                *time = map_text(time);
            }
        }
        self.change_records(|fields| {
            fields[5] = map_text(&fields[5]);
            fields[6] = map_text(&fields[6]);
        });
    }

    /// Tokens are times as well, in microseconds, and keep their last digit.
    fn shift_tokens(&mut self, micros: i64) {
        let shifted = |text: &str| (text.parse::<i64>().unwrap() + micros).to_string();
        self.change_records(|fields| {
            if fields[4] != "0" {
                fields[4] = shifted(&fields[4]);
            }
        });
        if let Some(token) = self.hashes.get_mut("meta").unwrap().get_mut("token") {
            *token = shifted(token);
        }
    }

    /// Those of the jobs, and those in the history.
    fn change_records(&mut self, change: impl Fn(&mut [String])) {
        let changed = |record: &str| {
            let mut fields: Vec<String> = record.splitn(8, ' ').map(str::to_owned).collect();
            change(&mut fields);
            fields.join(" ")
        };
        for record in self.hashes.get_mut("state").unwrap().values_mut() {
            *record = changed(record);
        }
        for line in self.lists.get_mut("history").unwrap() {
            let (rest, record) = line.rsplit_once('\n').unwrap();
            *line = format!("{rest}\n{}", changed(record));
        }
    }

    /// Puts the times of all this in the place of those in Redis.
    async fn write_times(&self, line: &mut MultiplexedConnection) {
        let mut pipe = redis::pipe();
        pipe.atomic();
        for (suffix, members) in self.sets.iter().filter(|(_, members)| !members.is_empty()) {
            pipe.cmd("ZADD").arg(key(suffix));
            for (member, score) in members {
                pipe.arg(*score).arg(member);
            }
        }
        for (suffix, fields) in self.hashes.iter().filter(|(_, fields)| !fields.is_empty()) {
            if *suffix != "jobs" {
                pipe.cmd("HSET").arg(key(suffix)).arg(fields);
            }
        }
        for (place, entry) in self.lists["history"].iter().enumerate() {
            pipe.cmd("LSET").arg(key("history")).arg(place).arg(entry);
        }
        if pipe.cmd_iter().next().is_some() {
            pipe.exec_async(line).await.unwrap();
        }
    }
}

impl Clock {
    pub fn start(stored: &Stored) -> Self {
        Self { start: stored.time, now: 0 }
    }

    pub fn now(&self) -> Millis {
        self.now
    }

    /// A token of the server as one of the list.
    pub fn token_of_list(&self, token: i64) -> i64 {
        token - self.start * 1000
    }

    pub fn token_of_server(&self, token: i64) -> i64 {
        token + self.start * 1000
    }

    /// The same with times of the list; nothing where the step took too long to tell.
    pub fn read(self, mut stored: Stored) -> Option<Stored> {
        if stored.time - self.start - self.now >= LATE {
            return None;
        }
        stored.map_times(|time| (time - self.start).div_euclid(GRID) * GRID);
        stored.shift_tokens(-self.start * 1000);
        Some(stored)
    }

    /// Makes it `now` for a queue whose times were read as `stored`.
    pub async fn set(&mut self, now: Millis, stored: &Stored, line: &mut MultiplexedConnection) {
        let mut stored = stored.clone();
        *self = Self { start: stored.time - now, now };
        stored.map_times(|time| time + self.start);
        stored.shift_tokens(self.start * 1000);
        stored.write_times(line).await;
    }
}
