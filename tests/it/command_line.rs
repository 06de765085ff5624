//! What the command line promises without a fleet: usage, completions, errors that help.

use crate::support::{eyefleet, run, stderr, stdout};

#[test]
fn wrong_usage_and_missing_fleets_have_their_exit_codes() {
    let data = tempfile::tempdir().unwrap();
    assert_eq!(run(eyefleet(data.path()).arg("fly")).status.code(), Some(2));
    assert_eq!(run(eyefleet(data.path()).args(["export", "--limit", "0"])).status.code(), Some(2));
    let none = run(eyefleet(data.path()).args(["search", "a", "cat"]));
    assert_eq!(none.status.code(), Some(1));
    assert!(stderr(&none).contains("eyefleet up"), "{}", stderr(&none));
}

#[test]
fn a_redis_that_is_away_is_named_without_its_password() {
    let data = tempfile::tempdir().unwrap();
    let away =
        run(eyefleet(data.path()).arg("status").env("REDIS_URL", "redis://:hunter2@127.0.0.1:1/0"));
    assert_eq!(away.status.code(), Some(1));
    let said = stderr(&away);
    assert!(said.contains("127.0.0.1:1"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn a_redis_url_that_is_none_is_told_once_with_what_to_write() {
    let data = tempfile::tempdir().unwrap();
    let wrong = run(eyefleet(data.path()).args(["queue", "status"]).env("REDIS_URL", "foo"));
    assert_eq!(wrong.status.code(), Some(1));
    let said = stderr(&wrong);
    assert_eq!(said.matches("did not parse").count(), 1, "{said}");
    assert!(said.contains("write redis://host:port/db"), "{said}");
}

#[test]
fn every_problem_in_the_settings_is_told_at_once() {
    let data = tempfile::tempdir().unwrap();
    let wrong = run(eyefleet(data.path())
        .arg("status")
        .env("EYEFLEET_QUEUE__LEASE_SECONDS", "0")
        .env("EYEFLEET_ANALYZE__REPLICAS", "0"));
    let said = stderr(&wrong);
    assert!(said.contains("queue.lease_seconds") && said.contains("analyze.replicas"), "{said}");
}

#[test]
fn completions_are_printed_for_the_common_shells() {
    let data = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let printed = run(eyefleet(data.path()).args(["completions", shell]));
        assert!(printed.status.success());
        assert!(stdout(&printed).contains("generations"), "{shell}");
    }
}

#[test]
fn a_pack_that_is_not_there_is_named_with_the_places_looked_in() {
    let data = tempfile::tempdir().unwrap();
    let dir = data.path().join("demo");
    let absent = run(eyefleet(data.path())
        .args(["demo", "--images", "40", "--dir"])
        .arg(&dir)
        .env("EYEFLEET_VISION__PACK", "nowhere"));
    assert_eq!(absent.status.code(), Some(1));
    let said = stderr(&absent);
    assert!(said.contains("did not come up") && said.contains("nowhere"), "{said}");
}
