//! The opposite of a fleet: nobody starts one on a data folder while somebody holds it still.

use std::fs::File;
use std::path::Path;

use super::redis_home::RedisHome;
use super::{SuperviseError, lock};

/// The locks of a fleet and of its private Redis, held until it is dropped.
#[derive(Debug)]
pub struct Stillness {
    _up: File,
    _redis: Option<File>,
}

impl Stillness {
    /// Takes the locks of `data`, which must be there.
    ///
    /// # Errors
    /// A fleet runs on it, its private Redis outlived it, or the folder cannot be used.
    pub async fn hold(data: &Path) -> Result<Self, SuperviseError> {
        let run = data.join("run");
        std::fs::create_dir_all(&run).map_err(SuperviseError::file("create", &run))?;
        let up = lock(data, &run).await?;
        let mut redis = None;
        // Where there is none, only an `eyefleet up` would begin one.
        if data.join("redis").is_dir() {
            let home = RedisHome::open(data)?;
            redis = home.try_lock()?;
            if redis.is_none() {
                let (data, pid) = (data.to_owned(), home.holder());
                return Err(SuperviseError::RedisOutlived { data, pid });
            }
        }
        Ok(Self { _up: up, _redis: redis })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_is_held_still_by_one_and_not_where_its_redis_runs() {
        let folder = tempfile::tempdir().unwrap();
        let still = Stillness::hold(folder.path()).await.unwrap();
        let second = Stillness::hold(folder.path()).await.unwrap_err();
        assert!(matches!(second, SuperviseError::AlreadyRunning { .. }), "{second}");
        drop(still);
        let home = RedisHome::open(folder.path()).unwrap();
        let held = home.try_lock().unwrap();
        let error = Stillness::hold(folder.path()).await.unwrap_err();
        assert!(matches!(error, SuperviseError::RedisOutlived { .. }), "{error}");
        drop(held);
        Stillness::hold(folder.path()).await.unwrap();
    }
}
