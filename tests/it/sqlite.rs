//! Places in which SQLite cannot work are refused with the reason and the next step.
//!
//! These stories stay on SQLite wherever the others run. What the binary sees is arranged in a mount
//! namespace of its own, for root as for anybody where the machine allows it; where it does not, the
//! story says so and proves nothing.

use std::path::Path;
use std::process::Command;

use crate::support::{eyefleet, run, stderr};

/// A shell that runs `script` in a mount namespace of its own; none where that is not allowed.
fn in_namespace(script: &str) -> Option<Command> {
    let namespace = |script: &str| {
        let flags = if rustix::process::getuid().is_root() { "-m" } else { "-Urm" };
        let mut command = Command::new("unshare");
        command.args([flags, "sh", "-ec", script, "sh"]);
        command
    };
    let probe = namespace("mount --bind /dev/null /proc/$$/mountinfo").output();
    if probe.is_ok_and(|probe| probe.status.success()) {
        return Some(namespace(script));
    }
    eprintln!("SKIPPED: this machine gives no mount namespace (unshare), so nothing was tested");
    None
}

/// `eyefleet status` on a database in `data`, with the words that `namespace` runs it with.
fn status(data: &Path, mut namespace: Command, words: &[&Path]) -> String {
    let settings = eyefleet(data);
    namespace.args(words).arg(settings.get_program()).arg("status");
    for (name, value) in settings.get_envs() {
        match value {
            Some(value) => namespace.env(name, value),
            None => namespace.env_remove(name),
        };
    }
    let database = format!("sqlite://{}", data.join("catalog.sqlite").display());
    namespace.env("DATABASE_URL", database).env("REDIS_URL", "redis://127.0.0.1:1");
    let output = run(&mut namespace);
    assert_eq!(output.status.code(), Some(1));
    stderr(&output)
}

#[test]
fn a_network_file_system_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("photos of all");
    std::fs::create_dir(&data).unwrap();
    // The kernel's word on this process alone is another one: no server of NFS is needed.
    let script = r#"mount --bind "$1" /proc/$$/mountinfo; shift; exec "$@""#;
    let told = |kind: &str| {
        let real = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let place = data.display().to_string().replace(' ', "\\040");
        let mounts = folder.path().join("mountinfo");
        let text = format!("{real}999 1 0:99 / {place} rw,relatime - {kind} nas:/x rw\n");
        std::fs::write(&mounts, text).unwrap();
        Some(status(&data, in_namespace(script)?, &[&mounts]))
    };

    for kind in ["nfs4", "cifs", "fuse.sshfs"] {
        let Some(said) = told(kind) else { return };
        let place = data.display().to_string();
        for words in [kind, &place, "network file system", "DATABASE_URL=postgres://"] {
            assert!(said.contains(words), "{words} is missing: {said}");
        }
        assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0, "something was written");
    }
    // The same arrangement with a disk: only its Redis is missing.
    let said = told("ext4").unwrap();
    assert!(said.contains("127.0.0.1:1") && !said.contains("network file system"), "{said}");
    assert!(data.join("catalog.sqlite").exists());
}

#[test]
fn what_may_not_be_written_names_its_next_step() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let read_only = r#"mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"; shift; exec "$@""#;
    let assert_told = |said: &str| {
        for words in ["catalog.sqlite", "cannot be written", "give its file and its folder"] {
            assert!(said.contains(words), "{words} is missing: {said}");
        }
    };

    // The folder, with nothing in it.
    let Some(namespace) = in_namespace(read_only) else { return };
    assert_told(&status(&data, namespace, &[&data]));

    // The file alone, made by a start that could.
    let made = status(&data, in_namespace(r#"exec "$@""#).unwrap(), &[]);
    assert!(made.contains("127.0.0.1:1"), "{made}");
    let file = data.join("catalog.sqlite");
    assert_told(&status(&data, in_namespace(read_only).unwrap(), &[&file]));
}

#[test]
fn a_folder_that_does_not_exist_is_named_with_its_next_step() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent/catalog.sqlite");
    let output = run(eyefleet(folder.path())
        .arg("status")
        .env("DATABASE_URL", format!("sqlite://{}", absent.display()))
        .env("REDIS_URL", "redis://127.0.0.1:1"));
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("absent/catalog.sqlite") && said.contains("create it first"), "{said}");
}
