//! `eyefleet demo`: the whole way from upload to search on drawn pictures, whose truth is known.
//!
//! Every step is the product's own: a fleet of processes, the same functions as the command line.
//! The demo only draws, watches, and judges. It ends well only when every step did.

mod judge;
mod page;
mod report;
mod sabotage;
mod sample;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use crate::cli::args::{DemoArgs, Sabotage};
use crate::cli::{self, Client, Exit, Progress};
use crate::clock::Clock;
use crate::config::Config;
use crate::generation::{CategoryPatterns, files};
use crate::learning::TrainingReport;
use crate::names::{GenerationNumber, ImageId, LibraryId};
use crate::serve::ImageAnswer;
use crate::supervise::{Fleet, RoleSpec};
use crate::volume;

use judge::Judged;
use sample::Sample;

/// Time between two looks at how far things are.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Time that the analysis may stand still before the demo says that it hangs.
const STANDSTILL_MAX: Duration = Duration::from_mins(2);
/// Time that workers get to serve the new generation.
const RELOAD_MAX: Duration = Duration::from_secs(30);

/// What was learned, read from the files where a person finds them.
#[derive(Debug)]
struct Learned {
    report: TrainingReport,
    patterns: CategoryPatterns,
}

impl Learned {
    fn read(data: &Path) -> anyhow::Result<Self> {
        let folder = volume::library_dir(data, &LibraryId::main());
        let text = |name| {
            let path = folder.join(name);
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        Ok(Self {
            report: serde_json::from_slice(&text(files::TRAINING_REPORT)?)?,
            patterns: serde_json::from_slice(&text(files::CATEGORY_PATTERNS)?)?,
        })
    }
}

/// What the demo did and saw.
#[derive(Debug, Default)]
struct Outcome {
    images: u64,
    analyzed: u64,
    failed: u64,
    generation: i64,
    reloaded: usize,
    workers: usize,
    searches: Vec<Judged>,
    learned: Option<Learned>,
    new_images: Vec<(sample::Picture, ImageAnswer)>,
    took: Vec<(&'static str, Duration)>,
}

impl Outcome {
    fn searches_ok(&self) -> usize {
        self.searches.iter().filter(|search| search.ok).count()
    }

    /// Whether every step did what it should.
    fn all_well(&self) -> bool {
        self.images > 0
            && self.analyzed == self.images
            && self.failed == 0
            && self.generation == 1
            && self.workers > 0
            && self.reloaded == self.workers
            && self.searches.len() == judge::QUERIES.len()
            && self.searches.iter().all(|search| search.ok)
            && !self.new_images.is_empty()
            && self.new_images.iter().all(|(_, answer)| answer.generation == Some(1))
    }

    /// The same for programs.
    fn json(&self, folder: &Path) -> serde_json::Value {
        let took: serde_json::Map<String, serde_json::Value> = self
            .took
            .iter()
            .map(|(step, took)| ((*step).to_owned(), took.as_secs_f64().into()))
            .collect();
        serde_json::json!({
            "images": self.images,
            "analyzed": self.analyzed,
            "failed": self.failed,
            "generation": self.generation,
            "reloaded": self.reloaded,
            "searches_ok": self.searches_ok(),
            "well": self.all_well(),
            "seconds": took,
            "report": folder.join("report.html"),
        })
    }

    /// The line that scripts read.
    fn line(&self) -> String {
        format!(
            "demo: images={} analyzed={} failed={} generation={} reloaded={} searches_ok={}",
            self.images,
            self.analyzed,
            self.failed,
            self.generation,
            self.reloaded,
            self.searches_ok()
        )
    }
}

/// Runs the demo and prints its page; the last line is for scripts.
///
/// # Errors
/// When a step could not be carried out at all.
pub async fn demo(
    mut config: Config,
    args: &DemoArgs,
    json: bool,
    stop: CancellationToken,
) -> anyhow::Result<Exit> {
    let folder = folder(args.dir.as_deref())?;
    config.data = folder.join("data");
    config.redis_url = None;
    let database = config.data.join("catalog.sqlite");
    config.database_url = crate::config::Secret::new(format!("sqlite://{}", database.display()));
    "127.0.0.1:0".clone_into(&mut config.serve_listen);
    config.reload_every = Duration::from_millis(250);

    let mut outcome = Outcome::default();
    let result = steps(config, args, &folder, &mut outcome, json, &stop).await;
    let well = result.is_ok() && outcome.all_well();
    if let Err(error) = result {
        eprintln!("demo: {error:#}");
        eprintln!("demo: logs and files are in {}", folder.display());
    } else {
        let written = report::write(&folder, &outcome)?;
        if !json {
            print!("{}", page::page(&folder, &written, &outcome));
        }
    }
    if json {
        println!("{}", outcome.json(&folder));
    } else {
        println!("{}", outcome.line());
    }
    Ok(if well { Exit::Done } else { Exit::Failed })
}

/// The folder of this run: the named one, which must be empty, or a new temporary one.
fn folder(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    let Some(named) = named else {
        return Ok(tempfile::Builder::new().prefix("eyefleet-demo-").tempdir()?.keep());
    };
    std::fs::create_dir_all(named).with_context(|| format!("cannot use {}", named.display()))?;
    let mut entries = std::fs::read_dir(named)?;
    anyhow::ensure!(
        entries.next().is_none(),
        "{} is not empty: the demo wants a folder of its own",
        named.display()
    );
    Ok(std::fs::canonicalize(named)?)
}

async fn steps(
    config: Config,
    args: &DemoArgs,
    folder: &Path,
    outcome: &mut Outcome,
    quiet: bool,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut watch = Stopwatch { since: Instant::now() };
    let drawing = async {
        let (seed, images) = (args.seed, args.images);
        let library = Sample::draw(&folder.join("pictures"), seed, 0, images, quiet).await?;
        let fresh = Sample::draw(&folder.join("new"), seed, images, args.new_images, quiet).await?;
        anyhow::Ok((library, fresh))
    };
    let (library, fresh) = tokio::select! {
        drawn = drawing => drawn?,
        () = stop.cancelled() => anyhow::bail!("stopped by a signal"),
    };
    outcome.took.push(("draw", watch.lap()));

    let replicas = config.replicas;
    let program = std::env::current_exe()?;
    let fleet = tokio::select! {
        fleet = Fleet::start(config, &program, RoleSpec::whole_fleet(replicas)) => fleet?,
        () = stop.cancelled() => anyhow::bail!("stopped by a signal"),
    };
    outcome.took.push(("start", watch.lap()));
    let result = tokio::select! {
        result = with_fleet(&fleet, args, &library, &fresh, outcome, &mut watch, quiet) => result,
        () = stop.cancelled() => Err(anyhow::anyhow!("stopped by a signal")),
    };
    fleet.stop().await;
    outcome.took.push(("stop", watch.lap()));
    result
}

async fn with_fleet(
    fleet: &Fleet,
    args: &DemoArgs,
    library: &Sample,
    fresh: &Sample,
    outcome: &mut Outcome,
    watch: &mut Stopwatch,
    quiet: bool,
) -> anyhow::Result<()> {
    let client = Client::connect(fleet.config().clone(), Clock::system(), Duration::ZERO).await?;
    let main = LibraryId::main();

    let mischief = sabotage::begin(args.sabotage, fleet, &client);
    analyze(&client, &main, library, outcome, quiet).await?;
    mischief.end().await?;
    outcome.took.push(("analyze", watch.lap()));

    if args.sabotage == Some(Sabotage::ShuffledVectors) {
        sabotage::shuffle_vectors(&client).await?;
    }
    let mischief = sabotage::begin_later(args.sabotage, fleet, &client);
    cli::export_and_wait(&client, &main, None, quiet).await?;
    outcome.took.push(("export", watch.lap()));

    let generation = cli::train_and_wait(&client, &main, cli::How::default(), quiet).await?;
    mischief.end().await?;
    outcome.generation = generation.number.0;
    outcome.learned = Some(Learned::read(&client.config.data)?);
    outcome.took.push(("train", watch.lap()));

    outcome.workers = fleet.config().replicas;
    outcome.reloaded = reloaded(&client, &main, generation.number, outcome.workers).await?;
    outcome.took.push(("reload", watch.lap()));

    sabotage::once_more(args.sabotage, fleet).await?;
    analyze(&client, &main, fresh, outcome, quiet).await?;
    outcome.new_images = answers(&client, &main, fresh).await?;
    outcome.took.push(("analyze new", watch.lap()));

    let searcher = cli::open_searcher(&client).await?;
    outcome.searches = judge::judge(&searcher, &main, &[library, fresh]).await?;
    outcome.took.push(("search", watch.lap()));
    Ok(())
}

/// Adds the pictures of `sample` as uploads and waits until nothing waits any more.
async fn analyze(
    client: &Client,
    library: &LibraryId,
    sample: &Sample,
    outcome: &mut Outcome,
    quiet: bool,
) -> anyhow::Result<()> {
    let added =
        cli::add_files(client, library, std::slice::from_ref(&sample.folder), quiet).await?;
    anyhow::ensure!(added.refused.is_empty(), "pictures were refused: {:?}", added.refused);
    let before = outcome.analyzed;
    let total = sample.pictures.len() as u64;
    let mut progress = Progress::new("analyze", "images", total, quiet);
    let mut last_step = Instant::now();
    loop {
        let counts = client.catalog.counts(library).await?;
        let was = outcome.analyzed + outcome.failed;
        (outcome.images, outcome.analyzed, outcome.failed) =
            (counts.images, counts.analyzed, counts.failed);
        progress.set(counts.analyzed.saturating_sub(before));
        if counts.waiting == 0 {
            progress.finish();
            return Ok(());
        }
        if outcome.analyzed + outcome.failed != was {
            last_step = Instant::now();
        }
        anyhow::ensure!(
            last_step.elapsed() < STANDSTILL_MAX,
            "{} images wait and none was analyzed for {} s: see the logs of the analyze roles",
            counts.waiting,
            STANDSTILL_MAX.as_secs()
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits until `wanted` analyze workers serve `number`; returns how many do.
async fn reloaded(
    client: &Client,
    library: &LibraryId,
    number: GenerationNumber,
    wanted: usize,
) -> anyhow::Result<usize> {
    let deadline = Instant::now() + RELOAD_MAX;
    loop {
        let workers = client.board.workers().await?;
        let serving = workers
            .iter()
            .filter(|it| it.role == "analyze" && it.serves.get(library) == Some(&number))
            .count();
        if serving >= wanted || Instant::now() > deadline {
            return Ok(serving);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn answers(
    client: &Client,
    library: &LibraryId,
    sample: &Sample,
) -> anyhow::Result<Vec<(sample::Picture, ImageAnswer)>> {
    let mut answers = Vec::new();
    for picture in &sample.pictures {
        let image = ImageId::new(format!("added/{}", picture.name))?;
        let record = client.catalog.image(library, &image).await?;
        let record = record.with_context(|| format!("image {image} is not in the catalogue"))?;
        answers.push((picture.clone(), ImageAnswer::from(record)));
    }
    Ok(answers)
}

struct Stopwatch {
    since: Instant,
}

impl Stopwatch {
    fn lap(&mut self) -> Duration {
        let took = self.since.elapsed();
        self.since = Instant::now();
        took
    }
}
