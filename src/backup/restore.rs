//! A restore from its first look to its end: verify, look at the target, unpack aside, place.

use std::path::{Path, PathBuf};

use super::Tell;
use super::archive;
use super::error::BackupError;
use super::journal::{self, Journal, Next};
use super::manifest::BackupManifest;
use super::place::{Placing, staged_database, unpacked};
use super::stage;
use crate::board::Board;
use crate::catalog::dump::{Loading, holds_anything};
use crate::catalog::{Catalog, CatalogError, sqlite_path};
use crate::doctor;
use crate::snapshot::durable;
use crate::supervise::Stillness;

/// What is to be restored where.
pub struct RestoreRequest {
    /// The backup.
    pub file: PathBuf,
    /// The data folder.
    pub data: PathBuf,
    /// The database, `sqlite://` or `postgres://`.
    pub database_url: String,
    /// The board of the Redis that the settings name, if they do.
    pub board: Option<Board>,
    /// Replace what is there.
    pub force: bool,
    /// Hears how far it is.
    pub tell: Tell,
}

/// A restore that came to its end.
#[derive(Debug)]
pub struct Restored {
    /// What was restored.
    pub manifest: BackupManifest,
    /// An earlier start of the same was finished.
    pub resumed: bool,
}

/// Restores a backup. Whatever is wrong with the file or in the way is told before the target is
/// touched; from the first change on, a start that is killed is finished by the next.
///
/// # Errors
/// The file is damaged or too new, a fleet runs, the target is not empty, a store is away, or the
/// disk refuses.
pub async fn restore(request: RestoreRequest) -> Result<Restored, BackupError> {
    let Prepared { mut placing, resumed, over_half, still: _still } = prepare(request).await?;
    let is_fresh = !resumed && !over_half && placing.journal.next == Next::Database;
    if is_fresh && let Err(error) = placing.step().await {
        // A database that refused is as it was before; one that was lost may have committed.
        if !matches!(&error, BackupError::Catalog(CatalogError::Unreachable { .. })) {
            Journal::remove(&placing.data)?;
        }
        return Err(error);
    }
    Ok(Restored { manifest: placing.run().await?, resumed })
}

/// A restore that may touch its target now.
pub(super) struct Prepared {
    pub placing: Placing,
    pub resumed: bool,
    /// Another restore was cut short and is given up for this one: what lies in the target is half.
    pub over_half: bool,
    /// Nobody starts a fleet until this is dropped.
    pub still: Stillness,
}

/// Everything up to the first change, or up to where an earlier start was killed.
pub(super) async fn prepare(request: RestoreRequest) -> Result<Prepared, BackupError> {
    let RestoreRequest { file, data, database_url, board, force, tell } = request;
    let (path, telling) = (file.clone(), tell.clone());
    let (sha256, manifest) = blocking("verification", move || {
        let sha256 = archive::verify(&path, &telling)?;
        Ok((sha256, archive::manifest(&path)?))
    })
    .await?;
    let changes = stage::check(&file, &manifest)?;
    nobody_works(&data, board.as_ref()).await?;
    std::fs::create_dir_all(&data).map_err(BackupError::io("create", &data))?;
    let still = Stillness::hold(&data).await?;

    let unfinished = Journal::read(&data)?;
    let resumed = match &unfinished {
        Some(journal) if journal.sha256 == sha256 => true,
        Some(journal) if !force => {
            return Err(BackupError::Unfinished { file: journal.file.clone(), data });
        }
        _ => false,
    };
    let over_half = unfinished.is_some();
    let journal = match unfinished {
        Some(journal) if resumed && journal.next != Next::Unpack => journal,
        _ => {
            if !force && !over_half {
                nothing_to_lose(&data, &database_url).await?;
            }
            let (data, database_url) = (&*data, &*database_url);
            let staging = Staging { file, data, database_url, tell: &tell, over_half };
            staging.run(&manifest, changes, sha256).await?
        }
    };
    let placing = Placing { journal, manifest, data, database_url, board, tell };
    Ok(Prepared { placing, resumed, over_half, still })
}

/// Processes that would go on with what they have in memory.
async fn nobody_works(data: &Path, board: Option<&Board>) -> Result<(), BackupError> {
    let folder = data.to_owned();
    let roles = blocking("look at processes", move || Ok(doctor::roles_on(&folder))).await?;
    if !roles.is_empty() {
        return Err(BackupError::Running(roles.join(", ")));
    }
    if let Some(board) = board {
        let workers = board.workers().await?;
        if !workers.is_empty() {
            let names: Vec<String> =
                workers.iter().map(|it| format!("{} {}", it.role, it.worker)).collect();
            return Err(BackupError::Running(names.join(", ")));
        }
    }
    Ok(())
}

async fn nothing_to_lose(data: &Path, database_url: &str) -> Result<(), BackupError> {
    let shown = || format!("the catalogue {}", Catalog::masked_url(database_url));
    match holds_anything(database_url).await {
        Ok(false) => {}
        // What is damaged may be all that somebody has.
        Ok(true) | Err(CatalogError::Damaged { .. }) => return Err(BackupError::NotEmpty(shown())),
        Err(error) => return Err(error.into()),
    }
    let shelf = data.join("libraries");
    let files = walkdir::WalkDir::new(&shelf).into_iter().flatten();
    let mut files = files.filter(|entry| entry.file_type().is_file());
    if files.any(|entry| !entry.file_name().to_string_lossy().starts_with('.')) {
        return Err(BackupError::NotEmpty(shelf.display().to_string()));
    }
    Ok(())
}

/// Everything that can fail for a reason in the file happens here, aside.
struct Staging<'a> {
    file: PathBuf,
    data: &'a Path,
    database_url: &'a str,
    tell: &'a Tell,
    over_half: bool,
}

impl Staging<'_> {
    async fn run(
        self,
        manifest: &BackupManifest,
        changes: usize,
        sha256: String,
    ) -> Result<Journal, BackupError> {
        let folder = journal::folder(self.data);
        let mut journal = Journal { file: absolute(&self.file), sha256, next: Next::Unpack };
        if self.over_half {
            // From now on this one is to be finished: at no moment is there none.
            journal.write(self.data)?;
            Journal::clear_beside(self.data)?;
        } else {
            Journal::remove(self.data)?;
        }
        match self.stage(manifest, changes).await {
            Ok(()) => {
                journal.next = Next::Database;
                journal.write(self.data)?;
                Ok(journal)
            }
            Err(error) => {
                // The first error is the one to tell; the next restore removes what is left.
                let _ = if self.over_half {
                    Journal::clear_beside(self.data)
                } else {
                    durable::remove_folder(&folder).map_err(BackupError::io("remove", &folder))
                };
                if let Some(database) = sqlite_path(self.database_url) {
                    let staged = staged_database(&database);
                    for left in [with_journal(&staged), staged] {
                        let _not_there_is_fine = std::fs::remove_file(left);
                    }
                }
                Err(error)
            }
        }
    }

    async fn stage(&self, manifest: &BackupManifest, changes: usize) -> Result<(), BackupError> {
        let folder = unpacked(self.data);
        let (file, described, to) = (self.file.clone(), manifest.clone(), folder.clone());
        let tell = self.tell.clone();
        blocking("unpacking", move || stage::unpack(&file, &described, &to, &tell)).await?;
        // PostgreSQL is loaded in place, in one transaction.
        let Some(database) = sqlite_path(self.database_url) else { return Ok(()) };
        let staged = staged_database(&database);
        let above = database.parent().unwrap_or(self.data);
        std::fs::create_dir_all(above).map_err(BackupError::io("create", above))?;
        for left in [staged.clone(), with_journal(&staged)] {
            if left.exists() {
                std::fs::remove_file(&left).map_err(BackupError::io("remove", &left))?;
            }
        }
        let loading = Loading::into_sqlite(&staged, changes).await?;
        stage::load(loading, &self.file, manifest, &folder, self.data, self.tell).await
    }
}

fn with_journal(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-journal");
    PathBuf::from(name)
}

fn absolute(file: &Path) -> PathBuf {
    std::path::absolute(file).unwrap_or_else(|_| file.to_owned())
}

async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| BackupError::Broke(what))?
}
