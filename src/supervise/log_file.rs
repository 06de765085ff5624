//! The log files of the processes of a fleet: kept bounded, and quoted where a process failed.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes from which a log is put aside when its process is started. One older log is kept.
const KEPT_MAX: u64 = 32 << 20;
/// Bytes at the end of a log in which its last line is looked for.
const TAIL_MAX: u64 = 64 << 10;

/// Puts a log that has grown large aside as `NAME.1`, in the place of the one before. Only for a
/// log that nobody writes: its process is about to be started.
pub(super) fn rotate(log: &Path) {
    if std::fs::metadata(log).is_ok_and(|facts| facts.len() > KEPT_MAX) {
        let mut older = log.as_os_str().to_owned();
        older.push(".1");
        if let Err(error) = std::fs::rename(log, &older) {
            tracing::warn!(log = %log.display(), %error, "a large log could not be put aside");
        }
    }
}

/// The last thing that a process said, for the message of its failure.
pub(super) fn last_line(log: &Path) -> String {
    let text = tail(log).unwrap_or_default();
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    let line = line.unwrap_or("it said nothing");
    // The message names its role already.
    line.strip_prefix("eyefleet: ").unwrap_or(line).chars().take(500).collect()
}

fn tail(log: &Path) -> std::io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_MAX)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_found_in_the_tail_alone() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("role.log");
        assert_eq!(last_line(&log), "it said nothing");
        std::fs::write(&log, "first\neyefleet: the cause\n\n").unwrap();
        assert_eq!(last_line(&log), "the cause");
        // Larger than what is read, and cut in the middle of a letter.
        std::fs::write(&log, format!("{}\nthe end\n", "ä".repeat(TAIL_MAX as usize))).unwrap();
        assert_eq!(last_line(&log), "the end");
        assert!(tail(&log).unwrap().len() as u64 <= TAIL_MAX + 8);
    }

    #[test]
    fn a_large_log_is_put_aside_and_a_small_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (log, older) = (folder.path().join("role.log"), folder.path().join("role.log.1"));
        std::fs::write(&older, "older still").unwrap();
        std::fs::write(&log, "small").unwrap();
        rotate(&log);
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "small");
        File::create(&log).unwrap().set_len(KEPT_MAX + 1).unwrap();
        rotate(&log);
        assert!(!log.exists());
        assert_eq!(std::fs::metadata(&older).unwrap().len(), KEPT_MAX + 1);
    }
}
