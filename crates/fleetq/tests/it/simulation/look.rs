//! Reads what Redis holds as a [`State`], and refuses what no state can be: a job in two places or
//! in none, a record that says something else than the place, leftovers of a job that is gone.

use std::collections::{BTreeMap, BTreeSet};

use fleetq::{Depth, LAYOUT, Lane, Mode, Place};
use serde_json::Value;

use super::state::{Ending, Failure, Job, Millis, State, Whereabouts};
use super::stored::Stored;

/// `tokens` in the order in which they were given out.
pub fn look(stored: &Stored, tokens: &[i64], depth: &Depth) -> Result<State, String> {
    let meta = &stored.hashes["meta"];
    let number = |name: &str| meta.get(name).map(|text| text.parse::<i64>().unwrap());
    let found = whereabouts(stored)?;
    let mut jobs = BTreeMap::new();
    for (id, record) in &stored.hashes["state"] {
        let Some((lane, whereabouts)) = found.get(id) else {
            return Err(format!("job {id} is nowhere, its record is {record:?}"));
        };
        let job = read_job(stored, id, record, *whereabouts, tokens)?;
        if lane.is_some_and(|lane| lane != job.lane) {
            return Err(format!("job {id} is in {lane:?}, its record is {record:?}"));
        }
        jobs.insert(id.clone(), job);
    }
    let known: BTreeSet<&String> = jobs.keys().collect();
    for (what, ids) in [
        ("place", found.keys().collect::<BTreeSet<_>>()),
        ("body", stored.hashes["jobs"].keys().collect()),
    ] {
        if ids != known {
            return Err(format!("of {known:?} a {what} have {ids:?}"));
        }
    }
    if let Some(id) = stored.hashes["notes"].keys().find(|id| !known.contains(id)) {
        return Err(format!("a note is left of job {id}"));
    }
    let layout = meta.get("layout").map(String::as_str);
    if !jobs.is_empty() && layout != Some(LAYOUT) {
        return Err(format!("there are jobs and the layout is {layout:?}"));
    }
    let lanes =
        Lane::ALL.map(|lane| stored.lists[format!("ready:{}", lane.as_str()).as_str()].clone());
    let cap = number("cap").map(|cap| cap as u32);
    let held = found.values().filter(|(_, at)| at.place() == Place::Claimed).count();
    let room = cap.is_none_or(|cap| held < cap as usize);
    let is_open = room && meta.get("mode").is_none_or(|mode| mode != "paused");
    let wakers = stored.lists["wake"].len();
    if wakers > 16 || (wakers == 0 && is_open && lanes.iter().any(|lane| !lane.is_empty())) {
        return Err(format!("{lanes:?} wait and {wakers} wake-ups lie there"));
    }
    Ok(State {
        jobs,
        lanes,
        history: stored.lists["history"].iter().map(|line| read_ending(line)).collect(),
        totals: depth.totals,
        turn: number("turn").unwrap_or(0) as usize,
        mode: match meta.get("mode").map(String::as_str) {
            None => Mode::Running,
            Some("paused") => Mode::Paused,
            Some("draining") => Mode::Draining,
            Some(mode) => return Err(format!("there is no mode {mode:?}")),
        },
        cap,
        reaped: number("reaped"),
        grace_until: number("grace"),
        pulling: number("pull") == Some(1),
    })
}

/// Where the ids lie; with the lane where the place has one.
fn whereabouts(stored: &Stored) -> Result<BTreeMap<String, (Option<Lane>, Whereabouts)>, String> {
    let lane_of = |suffix: &str| {
        let name = suffix.split_once(':').map(|(_, lane)| lane);
        Lane::ALL.into_iter().find(|lane| Some(lane.as_str()) == name)
    };
    let ready = stored.lists.iter().filter(|(suffix, _)| suffix.starts_with("ready:"));
    let ready = ready.flat_map(|(suffix, ids)| ids.iter().map(move |id| (*suffix, id, 0)));
    let timed = stored.sets.iter();
    let timed =
        timed.flat_map(|(suffix, ids)| ids.iter().map(move |(id, time)| (*suffix, id, *time)));
    let mut found = BTreeMap::new();
    for (suffix, id, time) in ready.chain(timed) {
        let whereabouts = match suffix.split(':').next().unwrap() {
            "ready" => Whereabouts::Ready,
            "scheduled" => Whereabouts::Scheduled { due: time },
            "claimed" => Whereabouts::Claimed { until: time },
            _ => Whereabouts::Dead { since: time },
        };
        if let Some((_, other)) = found.insert(id.clone(), (lane_of(suffix), whereabouts)) {
            return Err(format!("job {id} is in two places, {other:?} and {whereabouts:?}"));
        }
    }
    Ok(found)
}

fn read_job(
    stored: &Stored,
    id: &str,
    record: &str,
    whereabouts: Whereabouts,
    tokens: &[i64],
) -> Result<Job, String> {
    let fields: Vec<&str> = record.splitn(8, ' ').collect();
    let number = |place: usize| fields[place].parse::<i64>().unwrap();
    let place = match whereabouts {
        Whereabouts::Ready => "r",
        Whereabouts::Scheduled { .. } => "s",
        Whereabouts::Claimed { .. } => "c",
        Whereabouts::Dead { .. } => "d",
    };
    if fields[0] != place {
        return Err(format!("job {id} is {whereabouts:?}, its record is {record:?}"));
    }
    let claim = match number(4) {
        0 => 0,
        // From the end: a clock set back and an emptied Redis could bring a token twice.
        token => match tokens.iter().rposition(|known| *known == token) {
            Some(place) => place + 1,
            None => return Err(format!("job {id} has token {token}, which nobody was given")),
        },
    };
    let body = stored.hashes["jobs"].get(id).map_or("", String::as_str);
    Ok(Job {
        payload: body.split_once('\n').map_or("", |(_, payload)| payload).to_owned(),
        lane: match fields[1] {
            "i" => Lane::Interactive,
            "u" => Lane::Upload,
            _ => Lane::Backfill,
        },
        whereabouts,
        starts: number(2) as u32,
        attempts: number(3) as u32,
        claim,
        enqueued: number(5) as Millis,
        ready: number(6) as Millis,
        worker: fields[7].to_owned(),
        failure: stored.hashes["notes"].get(id).map(|note| read_failure(note)),
    })
}

fn read_failure(note: &str) -> Failure {
    let lines: Vec<&str> = note.splitn(4, '\n').collect();
    let text: Value = serde_json::from_str(lines[3]).unwrap();
    Failure {
        at: lines[0].parse().unwrap(),
        how: lines[1].to_owned(),
        worker: lines[2].to_owned(),
        cause: text["cause"].as_str().unwrap().to_owned(),
    }
}

/// `id\nhow\nat\nrecord before`. The times between lie a few ms beside whole seconds.
fn read_ending(line: &str) -> Ending {
    let lines: Vec<&str> = line.splitn(4, '\n').collect();
    let fields: Vec<&str> = lines[3].splitn(8, ' ').collect();
    let number = |text: &str| text.parse::<i64>().unwrap();
    let (at, claimed) = (number(lines[2]), number(fields[4]).div_euclid(1000));
    let whole_seconds = |millis: Millis| (millis.max(0) + 500) / 1000 * 1000;
    Ending {
        id: lines[0].to_owned(),
        how: lines[1].to_owned(),
        at,
        worker: fields[7].to_owned(),
        attempts: number(fields[3]) as u32 + u32::from(matches!(lines[1], "retry" | "dead")),
        wait: whole_seconds(claimed - number(fields[6])),
        run: whole_seconds(at - claimed),
    }
}
