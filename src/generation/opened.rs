//! A generation in memory, after every file was found to be what its writer wrote.
//!
//! Each file is read once: the bytes whose hash was checked are the bytes that are used.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::Path;

use serde::de::DeserializeOwned;

use super::clusters::Clusters;
use super::error::GenerationError;
use super::index::{Index, IndexKind};
use super::language;
use super::manifest::{GenerationManifest, SCHEMA_VERSION};
use super::patterns::{CategoryPatterns, DescriptionPatterns, completeness};
use super::words::Words;
use crate::names::{GenerationNumber, SpaceId};
use crate::snapshot::FileEntry;
use crate::snapshot::durable::{self, HashedReader};

/// The names of the files of a generation.
pub mod files {
    /// Written last.
    pub const MANIFEST: &str = "manifest.json";
    /// Category -> what is typical of it.
    pub const CATEGORY_PATTERNS: &str = "category_patterns.json";
    /// Term -> what goes with it.
    pub const DESCRIPTION_PATTERNS: &str = "description_patterns.json";
    /// Synonyms and related words.
    pub const SEARCH_INDEX: &str = "search_index.json";
    /// Groups of faces.
    pub const FACE_CLUSTERS: &str = "face_clusters.json";
    /// The same for tools that read the old name; the fleet never reads it.
    pub const FACE_CLUSTERS_PICKLE: &str = "face_clusters.pkl";
    /// Image -> enriched description.
    pub const IMPROVED_DESCRIPTIONS: &str = "improved_descriptions.json";
    /// How training went.
    pub const TRAINING_REPORT: &str = "training_report.json";
    /// The vectors of images.
    pub const INDEX: &str = "index.flat";
    /// The centre of each group of faces; row 0 is cluster 1.
    pub const FACES: &str = "faces.flat";
}

/// Vectors that are asked for themselves when a generation is loaded.
const SAMPLE: usize = 64;
/// The share of them that must find themselves.
const SAMPLE_FOUND_MIN: f64 = 0.95;

/// What was learned, ready to be used. Unchangeable.
#[derive(Debug)]
pub struct Generation {
    /// Its number.
    pub number: GenerationNumber,
    /// What it says of itself.
    pub manifest: GenerationManifest,
    /// Category -> what is typical of it.
    pub patterns: CategoryPatterns,
    /// Term -> what goes with it.
    pub description_patterns: DescriptionPatterns,
    /// The share of the tags that are always there that the models name; see
    /// [`super::patterns::completeness`].
    pub completeness: f64,
    /// Synonyms and related words.
    pub words: Words,
    /// Groups of faces.
    pub clusters: Clusters,
    /// The vectors of images.
    pub index: Index,
    /// The centres of the groups of faces, in the order of `clusters`.
    pub faces: Index,
}

impl Generation {
    /// Opens the generation in `folder`: every size and checksum, its embedding space where
    /// `wanted` names one, and whether a sample of its vectors finds itself.
    ///
    /// # Errors
    /// It is not there, a file is damaged, it is of another space, or its index is blind.
    pub fn open(
        folder: &Path,
        number: GenerationNumber,
        wanted: Option<&SpaceId>,
    ) -> Result<Self, GenerationError> {
        let manifest = read_manifest(folder, number)?;
        if let Some(wanted) = wanted.filter(|wanted| **wanted != manifest.space) {
            return Err(GenerationError::OtherSpace {
                number,
                found: manifest.space.to_string(),
                wanted: wanted.to_string(),
            });
        }
        let shelf = Shelf { folder, manifest: &manifest };
        let description_patterns: DescriptionPatterns = shelf.json(files::DESCRIPTION_PATTERNS)?;
        let generation = Self {
            number,
            patterns: shelf.json(files::CATEGORY_PATTERNS)?,
            completeness: completeness(&description_patterns),
            description_patterns,
            words: shelf.json(files::SEARCH_INDEX)?,
            clusters: shelf.json(files::FACE_CLUSTERS)?,
            index: shelf.index(files::INDEX)?,
            faces: shelf.index(files::FACES)?,
            manifest: {
                shelf.verify_the_rest()?;
                manifest
            },
        };
        generation.check_dimensions(folder)?;
        generation.check_sight()?;
        Ok(generation)
    }

    fn check_dimensions(&self, folder: &Path) -> Result<(), GenerationError> {
        if self.index.dim() != self.manifest.dim {
            let why = format!(
                "its vectors have {} values, the manifest says {}",
                self.index.dim(),
                self.manifest.dim
            );
            return Err(GenerationError::damaged(&folder.join(files::INDEX), why));
        }
        if self.faces.len() != self.clusters.clusters.len() {
            let why = "it has not one centre for each cluster";
            return Err(GenerationError::damaged(&folder.join(files::FACES), why));
        }
        Ok(())
    }

    fn check_sight(&self) -> Result<(), GenerationError> {
        // An exact search cannot miss; a few questions still tell that the vectors are vectors.
        let sample = if self.index.kind() == IndexKind::Exact { 4 } else { SAMPLE };
        let (found, asked) = self.index.self_retrieval(sample);
        if (found as f64) < asked as f64 * SAMPLE_FOUND_MIN {
            return Err(GenerationError::Blind { number: self.number, found, asked });
        }
        Ok(())
    }
}

/// Reads and checks the manifest of the generation in `folder`.
pub(super) fn read_manifest(
    folder: &Path,
    number: GenerationNumber,
) -> Result<GenerationManifest, GenerationError> {
    let path = folder.join(files::MANIFEST);
    let text = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(GenerationError::Missing { number, folder: folder.to_owned() });
        }
        other => other.map_err(GenerationError::io("read", &path))?,
    };
    let manifest: GenerationManifest = serde_json::from_slice(&text)
        .map_err(|error| GenerationError::damaged(&path, error.to_string()))?;
    let damaged = |why: String| Err(GenerationError::damaged(&path, why));
    if manifest.schema_version != SCHEMA_VERSION {
        return damaged(format!("its format is {}, not {SCHEMA_VERSION}", manifest.schema_version));
    }
    if manifest.generation != number {
        return damaged(format!("it is of generation {}", manifest.generation));
    }
    if manifest.language_rules != language::RULES {
        let rules = manifest.language_rules;
        return damaged(format!("its words were cut by rules {rules}, not {}", language::RULES));
    }
    Ok(manifest)
}

/// The files of one generation with what the manifest says of them.
struct Shelf<'a> {
    folder: &'a Path,
    manifest: &'a GenerationManifest,
}

impl Shelf<'_> {
    fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, GenerationError> {
        let path = self.folder.join(name);
        let mut text = Vec::new();
        let mut file = self.reader(name)?;
        file.read_to_end(&mut text).map_err(GenerationError::io("read", &path))?;
        self.compare(name, &file.finish().map_err(GenerationError::io("read", &path))?)?;
        serde_json::from_slice(&text)
            .map_err(|error| GenerationError::damaged(&path, error.to_string()))
    }

    fn index(&self, name: &str) -> Result<Index, GenerationError> {
        let path = self.folder.join(name);
        let mut file = self.reader(name)?;
        let read = Index::read(&mut file, self.expected(name)?.size);
        // The checksum first: "altered" explains more than where the altered bytes led.
        self.compare(name, &file.finish().map_err(GenerationError::io("read", &path))?)?;
        read.map_err(|error| GenerationError::index(&path, error))
    }

    fn verify_the_rest(&self) -> Result<(), GenerationError> {
        let read_already = [
            files::CATEGORY_PATTERNS,
            files::DESCRIPTION_PATTERNS,
            files::SEARCH_INDEX,
            files::FACE_CLUSTERS,
            files::INDEX,
            files::FACES,
        ];
        for name in self.manifest.files.keys() {
            if name.contains(['/', '\\']) || name == ".." {
                let path = self.folder.join(files::MANIFEST);
                return Err(GenerationError::damaged(&path, "it names a file in another folder"));
            }
            if !read_already.contains(&name.as_str()) {
                self.reader(name)?;
                let path = self.folder.join(name);
                let found = durable::measure(&path).map_err(GenerationError::io("read", &path))?;
                self.compare(name, &found)?;
            }
        }
        Ok(())
    }

    fn expected(&self, name: &str) -> Result<&FileEntry, GenerationError> {
        self.manifest.files.get(name).ok_or_else(|| {
            GenerationError::damaged(&self.folder.join(name), "the manifest does not name it")
        })
    }

    /// Opens a file whose size is right already: nothing reads further than the manifest says.
    fn reader(&self, name: &str) -> Result<HashedReader<BufReader<File>>, GenerationError> {
        let path = self.folder.join(name);
        let expected = self.expected(name)?.size;
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(GenerationError::damaged(&path, "it is missing"));
            }
            other => other.map_err(GenerationError::io("open", &path))?,
        };
        let found = file.metadata().map_err(GenerationError::io("read", &path))?.len();
        if found != expected {
            let why = format!("{found} bytes instead of {expected}");
            return Err(GenerationError::damaged(&path, why));
        }
        Ok(HashedReader::new(BufReader::with_capacity(1 << 18, file)))
    }

    fn compare(&self, name: &str, found: &FileEntry) -> Result<(), GenerationError> {
        if self.expected(name)? == found {
            return Ok(());
        }
        let path = self.folder.join(name);
        Err(GenerationError::damaged(&path, "its checksum differs from the manifest's"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fate::Fate;
    use crate::generation::samples;

    #[test]
    fn what_was_published_is_opened() {
        let library = tempfile::tempdir().unwrap();
        let store = samples::published(library.path(), &[1]);
        let generation = store.open(GenerationNumber(1), Some(&samples::space())).unwrap();
        assert_eq!(generation.number, GenerationNumber(1));
        assert_eq!(generation.index.len(), 6);
        assert_eq!(generation.patterns["landscape"].count, 1);
    }

    #[test]
    fn any_harm_to_any_file_is_refused_by_name_with_the_next_step() {
        let library = tempfile::tempdir().unwrap();
        let store = samples::published(library.path(), &[1]);
        let number = GenerationNumber(1);
        let names: Vec<String> = store.manifest(number).unwrap().files.into_keys().collect();
        assert_eq!(names.len(), 9);
        for name in names {
            let path = store.folder(number).join(&name);
            let sound = fs::read(&path).unwrap();
            let mut altered = sound.clone();
            let middle = altered.len() / 2;
            altered[middle] ^= 0x20;
            for (harm, bytes) in
                [("altered", Some(&altered[..])), ("cut", Some(&sound[1..])), ("lost", None)]
            {
                match bytes {
                    Some(bytes) => fs::write(&path, bytes).unwrap(),
                    None => fs::remove_file(&path).unwrap(),
                }
                let error = store.open(number, None).unwrap_err();
                let text = error.to_string();
                assert!(text.contains(&name) && text.contains("eyefleet train"), "{harm}: {text}");
                assert_eq!(error.fate(), Fate::Permanent);
            }
            fs::write(&path, &sound).unwrap();
        }
        assert!(store.open(number, None).is_ok());
    }

    #[test]
    fn another_embedding_space_is_refused() {
        let library = tempfile::tempdir().unwrap();
        let store = samples::published(library.path(), &[1]);
        let other = SpaceId::new("ffffffffffffffff").unwrap();
        let error = store.open(GenerationNumber(1), Some(&other)).unwrap_err();
        assert!(matches!(error, GenerationError::OtherSpace { .. }), "{error}");
    }

    #[test]
    fn a_generation_that_is_not_there_says_what_to_do() {
        let library = tempfile::tempdir().unwrap();
        let store = samples::published(library.path(), &[1]);
        let error = store.open(GenerationNumber(2), None).unwrap_err().to_string();
        assert!(
            error.contains("generation 2") && error.contains("eyefleet generations"),
            "{error}"
        );
    }
}
