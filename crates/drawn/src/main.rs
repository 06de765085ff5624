//! `draw`: writes a library of drawn pictures with their truth, for the training script of the
//! starter pack and for trying things out.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use drawn::{Generator, Truth};
use serde::Serialize;

/// Draw sample pictures and write what each shows to truth.jsonl.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Which generator draws
    #[arg(long, value_enum)]
    generator: Hand,
    /// The seed of the library
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many pictures
    #[arg(long, default_value_t = 300)]
    count: u64,
    /// The folder to write to; it is made when missing
    #[arg(long)]
    out: PathBuf,
    /// JPEG files, PNG files, or one file pictures.rgb with all pixels in a row
    #[arg(long, value_enum, default_value_t = Format::Jpeg)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Hand {
    First,
    Second,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Jpeg,
    Png,
    Raw,
}

/// One line of truth.jsonl.
#[derive(Serialize)]
struct Line<'a> {
    index: u64,
    file: &'a str,
    width: u32,
    height: u32,
    #[serde(flatten)]
    truth: &'a Truth,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let generator = match args.generator {
        Hand::First => Generator::First,
        Hand::Second => Generator::Second,
    };
    let create = |name: &str| {
        let path = args.out.join(name);
        File::create(&path)
            .map(BufWriter::new)
            .with_context(|| format!("cannot write {}", path.display()))
    };
    fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot make the folder {}", args.out.display()))?;
    let mut truths = create("truth.jsonl")?;
    let mut pixels = if args.format == Format::Raw { Some(create("pictures.rgb")?) } else { None };
    for index in 0..args.count {
        let drawing = drawn::draw(generator, args.seed, index);
        let name = match args.format {
            Format::Raw => "pictures.rgb".to_owned(),
            Format::Jpeg => format!("{index:06}.jpg"),
            Format::Png => format!("{index:06}.png"),
        };
        match args.format {
            Format::Raw => {
                if let Some(pixels) = &mut pixels {
                    pixels.write_all(&drawing.rgb)?;
                }
            }
            Format::Jpeg => fs::write(args.out.join(&name), drawing.to_jpeg(90)?)?,
            Format::Png => fs::write(args.out.join(&name), drawing.to_png()?)?,
        }
        let line = Line {
            index,
            file: &name,
            width: drawing.width,
            height: drawing.height,
            truth: &drawing.truth,
        };
        serde_json::to_writer(&mut truths, &line)?;
        truths.write_all(b"\n")?;
    }
    truths.flush()?;
    if let Some(mut pixels) = pixels {
        pixels.flush()?;
    }
    Ok(())
}
