//! The drawn pictures of a demo and the truth about each.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use drawn::{Generator, Truth};

use crate::cli::Progress;

/// JPEG quality of the pictures.
const QUALITY: u8 = 88;

/// Pictures in a folder.
#[derive(Debug)]
pub(super) struct Sample {
    pub folder: PathBuf,
    pub pictures: Vec<Picture>,
}

/// One drawn picture.
#[derive(Debug, Clone)]
pub(super) struct Picture {
    /// Its file's name: a number, so that no search finds it by its name.
    pub name: String,
    pub file: PathBuf,
    pub truth: Truth,
}

impl Sample {
    /// Draws `count` pictures from number `first` into `folder`, with the generator that the pack
    /// was not trained on.
    pub async fn draw(
        folder: &Path,
        seed: u64,
        first: u64,
        count: u64,
        quiet: bool,
    ) -> anyhow::Result<Self> {
        let folder = folder.to_owned();
        tokio::task::spawn_blocking(move || draw_all(folder, seed, first, count, quiet)).await?
    }

    /// The picture behind a path of the catalogue.
    pub fn find(&self, path: &str) -> Option<&Picture> {
        let name = path.rsplit('/').next()?;
        self.pictures.iter().find(|picture| picture.name == name)
    }
}

fn draw_all(
    folder: PathBuf,
    seed: u64,
    first: u64,
    count: u64,
    quiet: bool,
) -> anyhow::Result<Sample> {
    std::fs::create_dir_all(&folder)?;
    let mut progress = Progress::new("draw", "pictures", count, quiet);
    let mut pictures = Vec::new();
    let mut truths = String::new();
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let mut next = first;
    while next < first + count {
        let batch: Vec<u64> = (next..(first + count).min(next + threads)).collect();
        next += batch.len() as u64;
        let drawn = std::thread::scope(|scope| {
            let drawing: Vec<_> =
                batch.iter().map(|index| scope.spawn(|| draw_one(&folder, seed, *index))).collect();
            let joined = drawing.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|_| anyhow::bail!("a drawing thread panicked"))
            });
            joined.collect::<anyhow::Result<Vec<_>>>()
        })?;
        for picture in drawn {
            writeln!(truths, "{}\t{}", picture.name, picture.truth.caption)?;
            pictures.push(picture);
        }
        progress.set(pictures.len() as u64);
    }
    std::fs::write(folder.join("truth.tsv"), truths)?;
    progress.finish();
    Ok(Sample { folder, pictures })
}

fn draw_one(folder: &Path, seed: u64, index: u64) -> anyhow::Result<Picture> {
    let drawing = drawn::draw(Generator::Second, seed, index);
    let bytes = drawing.to_jpeg(QUALITY).context("encoding a drawing")?;
    let name = format!("{index:05}.jpg");
    let file = folder.join(&name);
    std::fs::write(&file, bytes).with_context(|| format!("writing {}", file.display()))?;
    Ok(Picture { name, file, truth: drawing.truth })
}
