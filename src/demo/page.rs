//! The page of results that a person reads at the end of a demo.

use std::fmt::Write;
use std::path::Path;

use super::Outcome;
use crate::serve::ImageAnswer;

/// The page as text, without the last line.
pub(super) fn page(folder: &Path, report: &Path, outcome: &Outcome) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "\nNew pictures, before and after what was learned");
    for (picture, answer) in &outcome.new_images {
        let _ = writeln!(out, "  {}  (drawn: {})", picture.name, picture.truth.caption);
        let _ = writeln!(out, "    before  {}", before(answer));
        let _ = writeln!(out, "            tags: {}", words(answer.tags.keys()));
        let _ = writeln!(out, "    after   {}", after(answer));
        let _ = writeln!(
            out,
            "            tags: {}",
            words(answer.tags.keys().chain(&answer.related_tags))
        );
    }
    let _ = writeln!(out, "\nSearches");
    for search in &outcome.searches {
        let verdict = if search.ok { "found" } else { "NOT FOUND" };
        let _ = writeln!(out, "  {:?}: {verdict}", search.query);
        for hit in &search.hits {
            let mark = if hit.right { '+' } else { '-' };
            let _ =
                writeln!(out, "    {mark} {:.2}  {}  drawn: {}", hit.score, hit.name, hit.truth);
        }
    }
    let _ = writeln!(out, "\nLearned (generation {})", outcome.generation);
    for line in learned(outcome) {
        let _ = writeln!(out, "  {line}");
    }
    let _ = writeln!(out, "\nTime");
    for (step, took) in &outcome.took {
        let _ = writeln!(out, "  {step:<12} {:>6.1} s", took.as_secs_f64());
    }
    let _ = writeln!(out, "\nFiles");
    let _ = writeln!(out, "  report     {}", report.display());
    let _ = writeln!(out, "  learned    {}", folder.join("data/libraries/main").display());
    let _ = writeln!(out, "  logs       {}", folder.join("data/log").display());
    let _ =
        writeln!(out, "  look on    EYEFLEET_DATA={} eyefleet up\n", folder.join("data").display());
    out
}

/// What the models alone say.
pub(super) fn before(answer: &ImageAnswer) -> &str {
    answer.description.as_deref().unwrap_or("(not sure of anything)")
}

/// What is said with what was learned.
pub(super) fn after(answer: &ImageAnswer) -> &str {
    answer.enriched_description.as_deref().unwrap_or_else(|| before(answer))
}

/// Categories shown with what is typical of them.
const CATEGORIES_SHOWN: usize = 6;
/// Typical tags shown for each.
const TYPICAL_SHOWN: usize = 5;

/// What was learned, a fact a line.
pub(super) fn learned(outcome: &Outcome) -> Vec<String> {
    let Some(learned) = &outcome.learned else { return vec!["nothing".to_owned()] };
    let report = &learned.report;
    let mut lines = vec![
        format!("from {} images with {} tags", report.total_images, report.total_tags),
        format!(
            "{} terms with what goes with them, {} words with related ones, {} groups of faces",
            report.description_patterns, report.vocabulary.with_related, report.faces.clusters
        ),
        format!(
            "an index of {} vectors ({}), of which {:.0} % find themselves",
            report.index.vectors,
            report.index.kind,
            100.0 * report.index.self_retrieval
        ),
    ];
    for top in report.top_categories.iter().take(CATEGORIES_SHOWN) {
        let typical = learned.patterns.get(&top.category);
        let tags = typical.map(|it| it.co_occurring_tags.as_slice()).unwrap_or_default();
        let shown: Vec<&str> = tags.iter().take(TYPICAL_SHOWN).map(String::as_str).collect();
        let shown = if shown.is_empty() { "nothing typical".to_owned() } else { shown.join(", ") };
        lines.push(format!("{} ({} images): {shown}", top.category, top.count));
    }
    lines
}

pub(super) fn words<'a>(words: impl Iterator<Item = &'a String>) -> String {
    let words: Vec<&str> = words.map(String::as_str).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}
