//! Three searches, judged by what was drawn.

use std::path::PathBuf;

use drawn::Truth;

use super::sample::Sample;
use crate::names::LibraryId;
use crate::search::Searcher;

/// Hits that are looked at.
const TOP: usize = 3;

/// A query and what must be in the picture for a hit to be right.
pub(super) struct Query {
    pub text: &'static str,
    pub is_right: fn(&Truth) -> bool,
}

/// The three searches of the demo.
pub(super) const QUERIES: [Query; 3] = [
    Query { text: "a sailboat on the sea", is_right: |truth| truth.subject == "sailboat" },
    Query { text: "a slice of watermelon", is_right: |truth| truth.subject == "watermelon" },
    Query { text: "a snowman in winter", is_right: |truth| truth.subject == "snowman" },
];

/// A search and whether the truth is in its first hits.
#[derive(Debug)]
pub(super) struct Judged {
    pub query: &'static str,
    pub ok: bool,
    pub hits: Vec<JudgedHit>,
}

/// One hit beside what was drawn.
#[derive(Debug)]
pub(super) struct JudgedHit {
    pub file: PathBuf,
    pub name: String,
    pub score: f32,
    pub truth: String,
    pub right: bool,
}

/// Searches, and looks up what was drawn.
pub(super) async fn judge(
    searcher: &Searcher,
    library: &LibraryId,
    samples: &[&Sample],
) -> anyhow::Result<Vec<Judged>> {
    let mut judged = Vec::new();
    for query in &QUERIES {
        let found = searcher.search(library, query.text, TOP).await?;
        let hits: Vec<JudgedHit> = found
            .hits
            .iter()
            .filter_map(|hit| {
                let picture = samples.iter().find_map(|sample| sample.find(&hit.path))?;
                Some(JudgedHit {
                    file: picture.file.clone(),
                    name: picture.name.clone(),
                    score: hit.score,
                    truth: picture.truth.caption.clone(),
                    right: (query.is_right)(&picture.truth),
                })
            })
            .collect();
        judged.push(Judged { query: query.text, ok: hits.iter().any(|hit| hit.right), hits });
    }
    Ok(judged)
}
