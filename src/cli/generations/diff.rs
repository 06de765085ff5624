//! `eyefleet generations diff`: what appears, disappears and changes from one to another.

use std::fmt::Write;

use super::super::args::GenerationsDiffArgs;
use super::super::{Client, Exit};
use super::{given_or_current, nothing_learned, open, was_published};
use crate::catalog::{Generation as Recorded, GenerationState};
use crate::generation::{Changed, Changes, Diff};
use crate::names::{GenerationNumber, LibraryId};

pub(super) async fn diff(
    client: &Client,
    library: &LibraryId,
    args: &GenerationsDiffArgs,
    json: bool,
) -> anyhow::Result<Exit> {
    let Some(to) = given_or_current(client, library, args.to).await? else {
        return Ok(nothing_learned(library));
    };
    let all = client.catalog.generations(library, super::RECENT).await?;
    let Some(from) = args.from.or_else(|| published_before(&all, to)) else {
        eprintln!("eyefleet: generation {to} of library {library} has none before it");
        return Ok(Exit::NotFound);
    };
    if !was_published(&all, library, from) || !was_published(&all, library, to) {
        return Ok(Exit::NotFound);
    }
    let (before, after) = (open(client, library, from).await?, open(client, library, to).await?);
    let diff = Diff::between(&before, &after);
    if json {
        say!("{}", serde_json::to_string(&diff)?);
    } else {
        say!("{}", text(&diff, args.limit).trim_end());
    }
    Ok(Exit::Done)
}

/// The newest one with a smaller number that was published.
pub(super) fn published_before(
    all: &[Recorded],
    number: GenerationNumber,
) -> Option<GenerationNumber> {
    let before = all.iter().filter(|it| it.number < number);
    before.filter(|it| it.state == GenerationState::Published).map(|it| it.number).max()
}

fn text(diff: &Diff, most: usize) -> String {
    let mut out = format!("generation {} compared with {}\n", diff.to, diff.from);
    if !diff.same_space {
        out.push_str("  of another model: vectors of the two cannot be compared\n");
    }
    for (name, changes) in [
        ("images in the index", &diff.images),
        ("categories", &diff.categories),
        ("synonyms", &diff.synonyms),
        ("related words", &diff.related_words),
        ("description terms", &diff.description_terms),
        ("groups of faces", &diff.face_clusters),
    ] {
        part(&mut out, name, changes, most);
    }
    for (name, (before, after)) in &diff.quality {
        let figure =
            |figure: &Option<f64>| figure.map_or("-".to_owned(), |figure| format!("{figure:.3}"));
        let name = name.replace('_', " ");
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  {name:<22} {} -> {}", figure(before), figure(after));
    }
    out
}

fn part(out: &mut String, name: &str, changes: &Changes, most: usize) {
    let Changes { before, after, appeared, disappeared, changed } = changes;
    let _ = write!(out, "  {name:<22} {before} -> {after}");
    if changes.is_empty() {
        out.push_str(", the same\n");
        return;
    }
    out.push('\n');
    for (sign, names) in [('+', appeared), ('-', disappeared)] {
        if !names.is_empty() {
            let _ = writeln!(out, "    {sign} {}", listed(names, most));
        }
    }
    for Changed { name, gained, lost } in changed.iter().take(most) {
        let _ = write!(out, "    ~ {name}:");
        for (sign, names) in [('+', gained), ('-', lost)] {
            for name in names {
                let _ = write!(out, " {sign}{name}");
            }
        }
        out.push('\n');
    }
    if changed.len() > most {
        let _ = writeln!(out, "    ~ {} more changed; -n shows more", changed.len() - most);
    }
}

fn listed(names: &[String], most: usize) -> String {
    let mut text = names.iter().take(most).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > most {
        let _ = write!(text, " and {} more", names.len() - most);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_reads_well() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let categories = Changes {
            before: 3,
            after: 4,
            appeared: names(&["harbour", "market"]),
            disappeared: names(&["beach"]),
            changed: vec![Changed {
                name: "forest".to_owned(),
                gained: names(&["fern"]),
                lost: names(&["moss"]),
            }],
        };
        let images = Changes {
            before: 400,
            after: 520,
            appeared: vec!["x".into(); 120],
            ..Changes::default()
        };
        let diff = Diff {
            from: GenerationNumber(3),
            to: GenerationNumber(4),
            same_space: false,
            images,
            categories,
            synonyms: Changes { before: 7, after: 7, ..Changes::default() },
            related_words: Changes::default(),
            description_terms: Changes::default(),
            face_clusters: Changes::default(),
            quality: [("self_retrieval".to_owned(), (None, Some(1.0)))].into(),
        };
        insta::assert_snapshot!(text(&diff, 3));
    }
}
