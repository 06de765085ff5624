//! What a photo is said to be, and a generation that it is enriched with: in the course of an analysis,
//! or from what an earlier one stored, without the original and without models.
//!
//! What must stay true: the owner's word goes in, in the place of the models', and what the owner took
//! away does not come out.

use super::analyze_image::{AnalyzeDeps, AnalyzeImage, done, enriched_row};
use super::{Attempt, Done, JobError};
use crate::catalog::{Correction, Event, ImageRecord, Outcome, Stage, Stored, Tag, WaitingImage};
use crate::enrich::{Analysis, Enrichment, enrich};
use crate::fate::Fate;
use crate::generation::Generation;
use crate::names::{ImageId, SpaceId};
use crate::owners_word::OwnersWord;

/// Why the stage `enrich` was skipped.
pub(super) const NOTHING_LEARNED: &str = "nothing was learned yet";

/// What the models said of a photo.
pub(super) struct Looked<'a> {
    pub description: Option<&'a str>,
    pub tags: Vec<Tag>,
    pub categories: &'a [String],
    pub space: &'a SpaceId,
    pub embedding: &'a [f32],
}

/// Applies `generation` to what is said of a photo. Compares with up to 50,000 vectors: call it away
/// from the async threads.
pub(super) fn apply(
    image: &ImageId,
    looked: Looked<'_>,
    owner: &OwnersWord,
    generation: &Generation,
) -> Enrichment {
    let declined = owner.declined(&looked.tags);
    let description = owner.description(looked.description.map(str::to_owned));
    let tags: Vec<String> = owner.tags(looked.tags).into_iter().map(|tag| tag.name).collect();
    let analysis = Analysis {
        image,
        description: description.as_deref(),
        tags: &tags,
        categories: looked.categories,
        declined: &declined,
        space: looked.space,
        embedding: Some(looked.embedding),
    };
    let mut enrichment = enrich(&analysis, generation);
    if owner.has_described() {
        enrichment.description = None;
    }
    enrichment
}

impl AnalyzeImage {
    /// Applies what was learned to what an earlier analysis of this content stored. None where there
    /// is none: then the photo is to be looked at.
    pub(super) async fn enrich_stored(
        &self,
        deps: &AnalyzeDeps,
        attempt: &Attempt,
    ) -> Result<Option<Done>, JobError> {
        let record = deps.catalog.image(&self.library, &self.image).await?;
        let Some(record) = record.filter(|record| record.revision == self.revision) else {
            return Ok(None);
        };
        let Some(seen) = record.analysis.as_ref().filter(|seen| seen.revision == self.revision)
        else {
            return Ok(None);
        };
        let said = record.corrections.clone();
        let owner = OwnersWord::of(&said);
        let description = owner.description(seen.description.clone());
        let tags: Vec<String> =
            owner.tags(seen.tags.clone()).into_iter().map(|tag| tag.name).collect();
        let Some(generation) = deps.learned.newest(&self.library).await? else {
            let skipped = [Outcome::skipped(Stage::Enrich, NOTHING_LEARNED)];
            let stored = deps
                .catalog
                .settle_stages(
                    &self.library,
                    &self.image,
                    self.revision,
                    attempt.fence,
                    &skipped,
                    None,
                )
                .await?;
            return done(stored).map(Some);
        };
        let work = tokio::task::spawn_blocking(move || enrich_record(&record, &owner, &generation));
        let enrichment = work.await.map_err(|panic| {
            let why = format!("enriching it broke: {panic}");
            JobError::new(Fate::Poison, why).about(&self.path)
        })?;
        let Some(enriched) = enrichment.and_then(enriched_row) else { return Ok(None) };
        let event = Event {
            kind: "image-enriched".to_owned(),
            payload: serde_json::json!({
                "image": self.image,
                "revision": self.revision,
                "description": description,
                "tags": tags,
                "generation": enriched.generation,
            }),
        };
        let stored = deps
            .catalog
            .store_enrichment(
                &self.library,
                &self.image,
                self.revision,
                attempt.fence,
                &enriched,
                Some(&event),
            )
            .await?;
        self.unless_said_meanwhile(deps, &said, stored).await.map(Some)
    }

    /// Ends the job, except where the owner has said something since `said` was read: what was made of
    /// that is out of date, and the photo is enriched once more. The owner's own job was refused while
    /// this one ran.
    pub(super) async fn unless_said_meanwhile(
        &self,
        deps: &AnalyzeDeps,
        said: &[Correction],
        stored: Stored,
    ) -> Result<Done, JobError> {
        let ended = done(stored)?;
        let image = WaitingImage {
            image: self.image.clone(),
            path: self.path.clone(),
            revision: self.revision,
        };
        if !deps.catalog.enrich_again_if_corrected(&self.library, image, said).await? {
            return Ok(ended);
        }
        let why = "its owner said something of it meanwhile: it is enriched once more";
        Err(JobError::new(Fate::Transient, why).about(&self.path))
    }
}

fn enrich_record(
    record: &ImageRecord,
    owner: &OwnersWord,
    generation: &Generation,
) -> Option<Enrichment> {
    let seen = record.analysis.as_ref()?;
    let looked = Looked {
        description: seen.description.as_deref(),
        tags: seen.tags.clone(),
        categories: &seen.categories,
        space: &seen.space,
        embedding: &seen.embedding,
    };
    Some(apply(&record.image, looked, owner, generation))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::generation::{Association, DescriptionPattern, TermKind, samples};
    use crate::names::GenerationNumber;

    /// What a generation that knows that boats go with harbours, and harbours with ropes, adds to a
    /// photo of which models say "a boat" and "harbour", and its owner the rest.
    fn added(said: &[(&str, serde_json::Value)]) -> (Option<String>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let store = samples::published(folder.path(), &[1]);
        let mut generation = store.open(GenerationNumber(1), None).unwrap();
        let goes_with = |term: &str| DescriptionPattern {
            count: 100,
            associated: vec![Association {
                term: term.to_owned(),
                kind: TermKind::Tag,
                count: 90,
                confidence: 0.9,
                lift: 5.0,
            }],
            rarely_with: Vec::new(),
        };
        generation.description_patterns =
            [("boat".to_owned(), goes_with("harbour")), ("harbour".to_owned(), goes_with("rope"))]
                .into();
        let corrections = said.iter().map(|(field, value)| Correction {
            field: (*field).to_owned(),
            value: value.clone(),
            created_at: Timestamp::UNIX_EPOCH,
        });
        let owner = OwnersWord::of(&corrections.collect::<Vec<_>>());
        let tag = Tag { name: "harbour".to_owned(), group: String::new(), score: 0.9 };
        let looked = Looked {
            description: Some("a boat"),
            tags: vec![tag],
            categories: &[],
            space: &samples::space(),
            embedding: generation.index.vector(0),
        };
        let image = ImageId::new("new").unwrap();
        let enrichment = apply(&image, looked, &owner, &generation);
        (enrichment.description, enrichment.tags.into_iter().map(|(tag, _)| tag).collect())
    }

    #[test]
    fn the_owners_word_goes_in_and_what_was_taken_away_does_not_come_out() {
        let (description, tags) = added(&[]);
        assert_eq!(description.as_deref(), Some("a boat, commonly associated with rope"));
        assert_eq!(tags, ["rope"]);
        // The models said it and the owner does not: it does not come back by what goes with boats.
        let (description, tags) = added(&[("tags", json!(["oma"]))]);
        assert_eq!((description, tags.len()), (None, 0));
        let (_, tags) = added(&[("tags", json!(["harbour"])), ("declined", json!(["rope"]))]);
        assert_eq!(tags, Vec::<String>::new());
        let (description, tags) = added(&[("description", json!("a boat of ours"))]);
        assert_eq!((description, tags), (None, vec!["rope".to_owned()]));
    }
}
