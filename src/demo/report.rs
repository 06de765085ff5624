//! The same results as a page for a browser, with the pictures in it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use askama::Template;
use base64::Engine;

use super::{Outcome, page};

/// The page: one file that needs nothing beside it.
#[derive(Template)]
#[template(path = "demo/report.html")]
struct Report {
    line: String,
    well: bool,
    searches: Vec<SearchRow>,
    pictures: Vec<PictureRow>,
    learned: Vec<String>,
    took: Vec<(&'static str, String)>,
}

struct SearchRow {
    query: &'static str,
    ok: bool,
    hits: Vec<HitRow>,
}

struct HitRow {
    picture: String,
    score: String,
    truth: String,
    right: bool,
}

struct PictureRow {
    picture: String,
    truth: String,
    before: String,
    before_tags: String,
    after: String,
    after_tags: String,
}

/// Writes `report.html` into `folder` and returns its path.
pub(super) fn write(folder: &Path, outcome: &Outcome) -> anyhow::Result<PathBuf> {
    let mut searches = Vec::new();
    for search in &outcome.searches {
        let mut hits = Vec::new();
        for hit in &search.hits {
            hits.push(HitRow {
                picture: inline(&hit.file)?,
                score: format!("{:.2}", hit.score),
                truth: hit.truth.clone(),
                right: hit.right,
            });
        }
        searches.push(SearchRow { query: search.query, ok: search.ok, hits });
    }
    let mut pictures = Vec::new();
    for (picture, answer) in &outcome.new_images {
        pictures.push(PictureRow {
            picture: inline(&picture.file)?,
            truth: picture.truth.caption.clone(),
            before: page::before(answer).to_owned(),
            before_tags: page::words(answer.tags.keys()),
            after: page::after(answer).to_owned(),
            after_tags: page::words(answer.tags.keys().chain(&answer.related_tags)),
        });
    }
    let took = outcome.took.iter();
    let took = took.map(|(step, took)| (*step, format!("{:.1} s", took.as_secs_f64())));
    let report = Report {
        line: outcome.line(),
        well: outcome.all_well(),
        searches,
        pictures,
        learned: page::learned(outcome),
        took: took.collect(),
    };
    let path = folder.join("report.html");
    std::fs::write(&path, report.render()?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// A picture as a data address.
fn inline(file: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    Ok(format!("data:image/jpeg;base64,{text}"))
}
