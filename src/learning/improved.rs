//! `improved_descriptions.json`: every described image of the snapshot with what goes with it.
//!
//! Made by the same function that enriches new photos, streamed. What the owner changed is left as
//! the owner wrote it.

use std::io::Write;
use std::path::Path;

use super::error::LearnError;
use super::{Tick, write_file};
use crate::enrich::{associate, enriched_text, own_words};
use crate::generation::{DescriptionPatterns, files};
use crate::snapshot::{Snapshot, SnapshotImage};

/// Writes the file; answers how many descriptions gained something.
pub(super) fn write(
    snapshot: &Snapshot,
    folder: &Path,
    patterns: &DescriptionPatterns,
    tick: &mut Tick<'_>,
) -> Result<u64, LearnError> {
    let path = folder.join(files::IMPROVED_DESCRIPTIONS);
    let mut gained = 0;
    let mut stopped = None;
    let written = write_file(folder, files::IMPROVED_DESCRIPTIONS, |file| {
        match write_entries(snapshot, &path, patterns, file, tick) {
            Ok(count) => gained = count,
            Err(error) => stopped = Some(error),
        }
        Ok(())
    });
    // Why the writing ended early explains more than the file that it left.
    stopped.map_or(written, Err)?;
    Ok(gained)
}

fn write_entries(
    snapshot: &Snapshot,
    path: &Path,
    patterns: &DescriptionPatterns,
    file: &mut impl Write,
    tick: &mut Tick<'_>,
) -> Result<u64, LearnError> {
    let io = |source| LearnError::io(path.to_owned())(source);
    let all = snapshot.manifest().images.max(1) as f32;
    let mut gained = 0;
    let mut separator = "{\n";
    for (number, image) in snapshot.images()?.enumerate() {
        let image = image?;
        if let Some(own) = image.description.as_deref().map(own_words) {
            let text = improved(&image, own, patterns);
            gained += u64::from(text.is_some());
            let (key, text) = (image.image.as_str(), text.as_deref().unwrap_or(own));
            let entry = |text: &str| serde_json::to_string(text).map_err(|error| io(error.into()));
            write!(file, "{separator}{}: {}", entry(key)?, entry(text)?).map_err(io)?;
            separator = ",\n";
        }
        if number % 256 == 0 {
            tick(number as f32 / all)?;
        }
    }
    let opening = if separator == "{\n" { "{" } else { "\n" };
    writeln!(file, "{opening}}}").map_err(io)?;
    Ok(gained)
}

fn improved(image: &SnapshotImage, own: &str, patterns: &DescriptionPatterns) -> Option<String> {
    if image.corrected {
        return None;
    }
    let tags: Vec<String> = image.tags.iter().map(|tag| tag.name.clone()).collect();
    enriched_text(own, &associate(own, &tags, &image.categories, &[], patterns))
}
