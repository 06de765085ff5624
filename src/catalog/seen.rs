//! What is known of a picture once it was looked at: tags, faces, vectors, enrichment.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::columns::Row;
use super::entities::analyses::Model;
use super::entities::faces;
use super::people::PersonId;
use super::{Outcome, Result};
use crate::names::{Fence, GenerationNumber, ImageId, Revision, SpaceId};

/// A tag and how sure whoever gave it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tag {
    /// The tag.
    pub name: String,
    /// The group of the vocabulary it belongs to; empty where it has none.
    #[serde(default)]
    pub group: String,
    /// From 0 to 1.
    pub score: f32,
}

/// A face that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct NewFace {
    /// Left, top, width and height in pixels of the oriented original.
    pub bbox: [f32; 4],
    /// Points of the face in the order of its model, in the same pixels.
    pub landmarks: Vec<[f32; 2]>,
    /// The detector's score.
    pub score: f32,
    /// The space of `embedding`.
    pub space: SpaceId,
    /// The unit vector of the face.
    pub embedding: Vec<f32>,
}

/// A face as stored. Its number counts from 0 within its image.
#[derive(Debug, Clone, PartialEq)]
pub struct Face {
    /// Its number within the image.
    pub face: u32,
    /// What was found.
    pub seen: NewFace,
    /// Its cluster in the current generation.
    pub cluster: Option<i64>,
    /// The person it was assigned to.
    pub person: Option<PersonId>,
}

/// What a generation added to an analysis. It stands apart from the models' own words, so that
/// it can be made anew and is never learned from.
#[derive(Debug, Clone, PartialEq)]
pub struct Enriched {
    /// The generation that added it.
    pub generation: GenerationNumber,
    /// The description with what was learned after it.
    pub description: Option<String>,
    /// Related tags.
    pub tags: Vec<Tag>,
    /// Suggested categories.
    pub categories: Vec<String>,
    /// Words of context.
    pub context: Vec<String>,
    /// Images that are nearly the same.
    pub near_duplicates: Vec<ImageId>,
}

/// An event for the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What happened, such as `image-analyzed`.
    pub kind: String,
    /// What to tell of it.
    pub payload: serde_json::Value,
}

/// What is to be stored of one look at an image.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAnalysis {
    /// Width of the oriented original in pixels.
    pub width: u32,
    /// Height of the oriented original in pixels.
    pub height: u32,
    /// The sha256 of the original that was seen, in hex; `None` leaves the recorded one.
    pub content_hash: Option<String>,
    /// The space of `embedding`.
    pub space: SpaceId,
    /// The unit vector of the picture.
    pub embedding: Vec<f32>,
    /// The pack that saw it, `id@version`.
    pub pack: String,
    /// The tags it asserts.
    pub tags: Vec<Tag>,
    /// The categories of those tags.
    pub categories: Vec<String>,
    /// One sentence, where the models give one.
    pub description: Option<String>,
    /// A longer description, where a model gives one.
    pub detailed_description: Option<String>,
    /// What the loaded generation added.
    pub enriched: Option<Enriched>,
    /// The faces; `None` where no face model looked: those of the same revision then stay.
    pub faces: Option<Vec<NewFace>>,
    /// What came of each stage.
    pub outcomes: Vec<Outcome>,
    /// The event to leave in the outbox.
    pub event: Option<Event>,
}

/// An analysis as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    /// The revision it saw.
    pub revision: Revision,
    /// The token it was written with.
    pub fence: Fence,
    /// The space of `embedding`.
    pub space: SpaceId,
    /// The pack that saw it, `id@version`.
    pub pack: String,
    /// The unit vector of the picture.
    pub embedding: Vec<f32>,
    /// The tags it asserts.
    pub tags: Vec<Tag>,
    /// The categories of those tags.
    pub categories: Vec<String>,
    /// One sentence.
    pub description: Option<String>,
    /// A longer description.
    pub detailed_description: Option<String>,
    /// What a generation added.
    pub enriched: Option<Enriched>,
    /// When what was seen was last written, or corrected by the owner.
    pub stored_at: Timestamp,
}

impl Analysis {
    pub(super) fn read(model: &Model) -> Result<Self> {
        let row = Row { table: "analyses", library: &model.library, key: &model.image };
        Ok(Self {
            revision: Revision(model.revision),
            fence: Fence(model.fence),
            space: row.name(model.space.clone())?,
            pack: model.pack.clone(),
            embedding: row.vector(&model.embedding)?,
            tags: row.json(&model.tags)?,
            categories: row.json(&model.categories)?,
            description: model.description.clone(),
            detailed_description: model.detailed_description.clone(),
            enriched: Enriched::read(&row, model)?,
            stored_at: row.time(&model.stored_at)?,
        })
    }
}

impl Enriched {
    pub(super) fn read(row: &Row<'_>, model: &Model) -> Result<Option<Self>> {
        let Some(generation) = model.generation else { return Ok(None) };
        Ok(Some(Self {
            generation: GenerationNumber(generation),
            description: model.enriched_description.clone(),
            tags: row.list(model.enriched_tags.as_deref())?,
            categories: row.list(model.enriched_categories.as_deref())?,
            context: row.list(model.context.as_deref())?,
            near_duplicates: row.list(model.near_duplicates.as_deref())?,
        }))
    }
}

impl Face {
    pub(super) fn read(model: &faces::Model) -> Result<Self> {
        let key = format!("{}/{}", model.image, model.face);
        let row = Row { table: "faces", library: &model.library, key: &key };
        Ok(Self {
            face: row.number(model.face)?,
            seen: NewFace {
                bbox: row.json(&model.bbox)?,
                landmarks: row.json(&model.landmarks)?,
                score: model.score as f32,
                space: row.name(model.space.clone())?,
                embedding: row.vector(&model.embedding)?,
            },
            cluster: model.cluster,
            person: model.person.clone().map(PersonId),
        })
    }
}
