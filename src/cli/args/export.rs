//! The words of `eyefleet export`.

use clap::Args;

use super::since::{Since, since};
use crate::names::LibraryId;

/// `eyefleet export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The newest so many images, or `all` (default: export.limit). An export of another size is not
    /// learned from by itself: `eyefleet train` does.
    #[arg(long, value_parser = limit, value_name = "N|all")]
    pub limit: Option<Limit>,
    /// Only what was analyzed or corrected since: a time (2026-11-22T13:15:00Z), a day (2026-11-22)
    /// or an age (90m, 12h, 7d, 2w). Such a part is not learned from by itself either.
    #[arg(long, value_parser = since, value_name = "WHEN")]
    pub since: Option<Since>,
    /// Library in question.
    #[arg(long, default_value = "main")]
    pub library: LibraryId,
    /// Wait until it is written.
    #[arg(long)]
    pub wait: bool,
    /// Write nothing: list the exports so far, the newest first.
    #[arg(long, conflicts_with_all = ["limit", "since", "wait"])]
    pub history: bool,
}

/// A number of rows or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Everything.
    All,
    /// The newest so many.
    Rows(u64),
}

fn limit(text: &str) -> Result<Limit, String> {
    match text.parse() {
        Ok(0) => Err("an export of 0 images is none: give a number from 1, or all".to_owned()),
        Ok(rows) => Ok(Limit::Rows(rows)),
        Err(_) if text == "all" => Ok(Limit::All),
        Err(_) => Err("give a number from 1, or all".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_or_all() {
        assert_eq!(limit("all"), Ok(Limit::All));
        assert_eq!(limit("12"), Ok(Limit::Rows(12)));
        for bad in ["0", "-1", "none", ""] {
            assert!(limit(bad).is_err(), "{bad:?}");
        }
    }
}
