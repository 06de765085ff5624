//! The processes of a data folder: the fleet that runs, and who outlived one.
//!
//! A role that `eyefleet up` started ends with it. One whose supervisor is another process or gone
//! works on the same data unwatched. A private Redis may outlive its fleet: the next one adopts it.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Check, Subject};
use crate::supervise::Traces;

/// A process that works on the data folder.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Role {
    pid: u32,
    parent: u32,
    /// Its word on the command line.
    name: String,
    /// Started by `eyefleet up`.
    supervised: bool,
}

pub(super) fn examine(data: &Path, traces: &Traces) -> Vec<Check> {
    let mut checks = vec![supervisor(traces)];
    checks.extend(private_redis(traces));
    let supervisor = traces.fleet.as_ref().map(|fleet| fleet.pid);
    let mut strays = Vec::new();
    let mut alone = Vec::new();
    for role in roles(data) {
        if role.supervised && Some(role.parent) != supervisor {
            strays.push(role);
        } else if !role.supervised {
            alone.push(role);
        }
    }
    // A supervisor that has not yet said who it is may be the parent of any of them.
    if !strays.is_empty() && !traces.silent {
        checks.push(Check::problem(
            Subject::Fleet,
            "strays",
            format!("without their supervisor: {}", list(&strays)),
            kill(strays.iter().map(|role| role.pid)),
        ));
    }
    if !alone.is_empty() {
        let found = format!("started by themselves: {}", list(&alone));
        checks.push(Check::ok(Subject::Fleet, "roles", found));
    }
    let servers = unlocked_redis(data, traces);
    if !servers.is_empty() {
        let found = "a redis-server keeps its data here without the folder's lock: a second one \
             may write the same file";
        checks.push(Check::problem(Subject::Fleet, "redis", found, kill(servers)));
    }
    checks
}

fn supervisor(traces: &Traces) -> Check {
    let name = "supervisor";
    if let Some(fleet) = &traces.fleet {
        let found = format!("pid {}, {} roles", fleet.pid, fleet.roles.len());
        return Check::ok(Subject::Fleet, name, found);
    }
    if traces.silent {
        let found = "an `eyefleet up` is starting";
        return Check::ok(Subject::Fleet, name, found);
    }
    match &traces.stale {
        Some(file) => {
            let found = format!("{} is of a fleet that was killed", file.display());
            Check::warning(Subject::Fleet, name, found, "eyefleet up")
        }
        None => Check::ok(Subject::Fleet, name, "no `eyefleet up` runs on this data folder"),
    }
}

fn private_redis(traces: &Traces) -> Option<Check> {
    let redis = traces.redis.as_ref()?;
    if traces.fleet.is_some() || traces.silent {
        return None;
    }
    let pid = redis.pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string());
    let found = format!(
        "the private Redis (pid {pid}) outlived its fleet: the next `eyefleet up` adopts it, \
         `kill {pid}` ends it"
    );
    Some(Check::ok(Subject::Fleet, "redis", found))
}

fn list(roles: &[Role]) -> String {
    let shown: Vec<_> =
        roles.iter().map(|role| format!("{} (pid {})", role.name, role.pid)).collect();
    shown.join(", ")
}

fn kill(pids: impl IntoIterator<Item = u32>) -> String {
    let pids: Vec<String> = pids.into_iter().map(|pid| pid.to_string()).collect();
    format!("kill {}", pids.join(" "))
}

/// Every process of this machine that may be looked at.
fn pids() -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let names = entries.filter_map(Result::ok).map(|entry| entry.file_name());
    names.filter_map(|name| name.to_str()?.parse().ok()).collect()
}

/// The roles that work on `data` on this machine, each with its process id.
pub fn roles_on(data: &Path) -> Vec<String> {
    roles(data).iter().map(|role| format!("{} (pid {})", role.name, role.pid)).collect()
}

fn roles(data: &Path) -> Vec<Role> {
    let mut found = Vec::new();
    for pid in pids() {
        let read = |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let Some((name, supervised)) = role_of(&read("cmdline")) else { continue };
        let Some(parent) = parent_of(&String::from_utf8_lossy(&read("stat"))) else { continue };
        if names_folder(&read("environ"), data) {
            found.push(Role { pid, parent, name, supervised });
        }
    }
    found.sort_by_key(|role| role.pid);
    found
}

/// The role of `eyefleet run ROLE`, and whether `up` started it: only `up` gives it that flag.
fn role_of(command_line: &[u8]) -> Option<(String, bool)> {
    let mut words = command_line.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let program = words.next()?;
    if Path::new(program.as_ref()).file_name()? != "eyefleet" {
        return None;
    }
    let words: Vec<_> = words.collect();
    let run = words.iter().position(|word| word == "run")?;
    let role = words.get(run + 1)?.clone().into_owned();
    Some((role, words.iter().any(|word| word == "--stop-with-stdin")))
}

/// The parent's number in `/proc/PID/stat`: the second field after the name, which may hold blanks
/// and brackets itself.
fn parent_of(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn names_folder(environment: &[u8], data: &Path) -> bool {
    let mut variables = environment.split(|byte| *byte == 0);
    variables.any(|variable| {
        ["EYEFLEET_PATHS__DATA=", "EYEFLEET_DATA="]
            .iter()
            .any(|name| variable.strip_prefix(name.as_bytes()) == Some(data.as_os_str().as_bytes()))
    })
}

/// Servers that work in the private Redis's folder while nobody holds its lock.
fn unlocked_redis(data: &Path, traces: &Traces) -> Vec<u32> {
    let Ok(home) = std::fs::canonicalize(data.join("redis")) else { return Vec::new() };
    if traces.redis.is_some() {
        return Vec::new();
    }
    let is_server = |pid: &u32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let folder: Option<PathBuf> = std::fs::read_link(format!("/proc/{pid}/cwd")).ok();
        name.trim() == "redis-server" && folder.as_ref() == Some(&home)
    };
    pids().into_iter().filter(is_server).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_told_by_its_command_line() {
        let role = |line: &str| role_of(line.replace(' ', "\0").as_bytes());
        let named = |name: &str, supervised| Some((name.to_owned(), supervised));
        assert_eq!(role("/opt/eyefleet run analyze --stop-with-stdin"), named("analyze", true));
        assert_eq!(role("eyefleet --config x run serve"), named("serve", false));
        assert_eq!(role("eyefleet up"), None);
        assert_eq!(role("vim run eyefleet"), None);
        assert_eq!(role(""), None);
    }

    #[test]
    fn a_parent_is_read_behind_any_name() {
        assert_eq!(parent_of("77 (eye (fleet) x) S 12 77 77 0"), Some(12));
        assert_eq!(parent_of(""), None);
    }

    #[test]
    fn only_the_same_folder_counts() {
        let environment = b"A=1\0EYEFLEET_PATHS__DATA=/srv/eye\0B=2";
        assert!(names_folder(environment, Path::new("/srv/eye")));
        assert!(!names_folder(environment, Path::new("/srv/ey")));
        assert!(!names_folder(b"OTHER=/srv/eye", Path::new("/srv/eye")));
    }
}
