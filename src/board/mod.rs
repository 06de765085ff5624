//! The notice board: short-lived facts that processes of a fleet tell each other through Redis.
//!
//! Everything here can be lost and is said again: the version key of each library is a copy of the
//! catalogue's, the rest expires by itself. All keys lie in one hash slot (`{<namespace>}`).
//!
//! | key | type | content | lifetime |
//! |---|---|---|---|
//! | `{ns}:generations` | hash | library -> `change:number` of the current generation | rewritten by the leader, removed with the library |
//! | `{ns}:epoch` | string | `begun` or `stands`; missing means that Redis was emptied | for ever |
//! | `{ns}:seen` | sorted set | worker -> when it reported last (Redis time, seconds) | pruned after an hour |
//! | `{ns}:workers` | hash | worker -> what it reported, JSON | pruned with `seen` |
//! | `{ns}:training:<library>` | string | step and share of the running training, JSON | 30 s |
//! | `{ns}:watching` | hash | library -> how its watched folder stands, JSON | rewritten at every look |
//! | `{ns}:leader:intake` | hash | the leader's lease (kept by `fleetq`) | for ever, one key |
//! | `{ns}:events` | channel | events of the outbox, JSON | not stored |

mod forget;
mod restored;
mod watch;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands, Script};
use serde::{Deserialize, Serialize};

pub use watch::{WatchFacts, WatchState};

use crate::fate::Fate;
use crate::names::{GenerationNumber, LibraryId};

/// A worker that has not reported for this long is not shown any more.
const WORKER_SILENT_MAX: Duration = Duration::from_secs(15);
/// Lifetime of a training's progress: it is said again every second.
const PROGRESS_LIFETIME_SECONDS: u64 = 30;

/// The board could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("Redis could not be asked to {doing}: {cause}")]
pub struct BoardError {
    doing: &'static str,
    cause: redis::RedisError,
}

impl BoardError {
    fn when(doing: &'static str) -> impl FnOnce(redis::RedisError) -> Self {
        move |cause| Self { doing, cause }
    }

    fn broken(doing: &'static str, why: &'static str) -> Self {
        Self { doing, cause: redis::RedisError::from((redis::ErrorKind::Io, why)) }
    }

    /// What this means for the job that met it.
    pub fn fate(&self) -> Fate {
        Fate::Away
    }
}

/// How far the epoch of a Redis has come: the time since it was last found empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Epoch {
    /// It was emptied: the queues know nothing.
    None,
    /// A leader is putting what waits into the queues.
    Begun,
    /// Everything that waited at its beginning is in the queues.
    Stands,
}

const EPOCH_BEGUN: &str = "begun";
const EPOCH_STANDS: &str = "stands";

/// Which generation is current. `change` rises with every publication and every rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Counts the changes of the current generation.
    pub change: i64,
    /// The number that is current.
    pub number: GenerationNumber,
}

/// What a process says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerFacts {
    /// Name of the process, unique for each start.
    pub worker: String,
    /// Its role.
    pub role: String,
    /// Generation served for each library it has touched.
    pub serves: BTreeMap<LibraryId, GenerationNumber>,
    /// Pack and execution provider, where it runs models.
    pub models: Option<String>,
}

/// How far a training is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingProgress {
    /// The step at work.
    pub step: String,
    /// Share of the whole that is done, 0 to 1.
    pub done: f32,
    /// When it began.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// How long it still takes, in seconds; none while that is a mere guess.
    #[serde(default)]
    pub eta_seconds: Option<f64>,
}

/// The board of one fleet. Cheap to clone; reconnects by itself.
#[derive(Clone)]
pub struct Board {
    redis: ConnectionManager,
    namespace: String,
}

impl std::fmt::Debug for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Board").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Board {
    /// Opens the board of the fleet `namespace` on the Redis at `url`. Lazy: a Redis that is away
    /// is an error of the first question, not of this call.
    ///
    /// # Errors
    /// When the address is no address.
    pub fn open(url: &str, namespace: &str) -> Result<Self, BoardError> {
        let settings = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(5)))
            .set_response_timeout(Some(Duration::from_secs(5)))
            .set_min_delay(Duration::from_millis(50))
            .set_max_delay(Duration::from_millis(500))
            .set_number_of_retries(3);
        let client = redis::Client::open(url).map_err(BoardError::when("connect"))?;
        let redis = ConnectionManager::new_lazy_with_config(client, settings)
            .map_err(BoardError::when("connect"))?;
        Ok(Self { redis, namespace: namespace.to_owned() })
    }

    fn key(&self, name: &str) -> String {
        format!("{{{}}}:{name}", self.namespace)
    }

    /// Whether Redis answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), BoardError> {
        let mut redis = self.redis.clone();
        redis.ping::<()>().await.map_err(BoardError::when("answer"))
    }

    /// The versions that are announced; a library may be missing: ask the catalogue then.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn versions(&self) -> Result<BTreeMap<LibraryId, Version>, BoardError> {
        let mut redis = self.redis.clone();
        let pairs: Vec<(String, String)> = redis
            .hgetall(self.key("generations"))
            .await
            .map_err(BoardError::when("read the current generations"))?;
        let readable = pairs.iter().filter_map(|(library, text)| {
            let (change, number) = text.split_once(':')?;
            let number = GenerationNumber(number.parse().ok()?);
            let version = Version { change: change.parse().ok()?, number };
            Some((LibraryId::new(library.as_str()).ok()?, version))
        });
        Ok(readable.collect())
    }

    /// Announces the current generation of `library`, unless a later change is announced already.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn announce(&self, library: &LibraryId, version: Version) -> Result<(), BoardError> {
        // Two leaders may overlap for a moment: the older one must not turn the board back.
        let script = Script::new(
            "local old = redis.call('HGET', KEYS[1], ARGV[1])
             local change = old and tonumber(string.match(old, '^%d+'))
             if change and change > tonumber(ARGV[2]) then return 0 end
             redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ':' .. ARGV[3])
             return 1",
        );
        let mut redis = self.redis.clone();
        script
            .key(self.key("generations"))
            .arg(library.as_str())
            .arg(version.change)
            .arg(version.number.0)
            .invoke_async::<()>(&mut redis)
            .await
            .map_err(BoardError::when("announce the current generation"))
    }

    /// How far the epoch of this Redis has come.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn epoch(&self) -> Result<Epoch, BoardError> {
        let mut redis = self.redis.clone();
        let text: Option<String> =
            redis.get(self.key("epoch")).await.map_err(BoardError::when("read the epoch"))?;
        Ok(match text.as_deref() {
            None => Epoch::None,
            Some(EPOCH_STANDS) => Epoch::Stands,
            Some(_) => Epoch::Begun,
        })
    }

    /// Notes that the walk of a new epoch has begun.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn begin_epoch(&self) -> Result<(), BoardError> {
        let mut redis = self.redis.clone();
        redis
            .set::<_, _, ()>(self.key("epoch"), EPOCH_BEGUN)
            .await
            .map_err(BoardError::when("begin an epoch"))
    }

    /// Notes that everything that waits in the catalogue is in the queues; `false` where Redis was
    /// emptied since `begin_epoch`.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn complete_epoch(&self) -> Result<bool, BoardError> {
        let mut redis = self.redis.clone();
        // Set only where it exists: an emptied Redis has lost what was offered before.
        let set: Option<String> = redis::cmd("SET")
            .arg(self.key("epoch"))
            .arg(EPOCH_STANDS)
            .arg("XX")
            .query_async(&mut redis)
            .await
            .map_err(BoardError::when("complete an epoch"))?;
        Ok(set.is_some())
    }

    /// Says what this process serves. To be repeated more often than every 15 s.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn report(&self, facts: &WorkerFacts) -> Result<(), BoardError> {
        let script = Script::new(
            "local now = tonumber(redis.call('TIME')[1])
             redis.call('ZADD', KEYS[1], now, ARGV[1])
             redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
             local old = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - 3600, 'LIMIT', 0, 100)
             for _, worker in ipairs(old) do
               redis.call('ZREM', KEYS[1], worker)
               redis.call('HDEL', KEYS[2], worker)
             end",
        );
        let text = serde_json::to_string(facts).expect("strings and numbers are always JSON");
        let mut redis = self.redis.clone();
        script
            .key(self.key("seen"))
            .key(self.key("workers"))
            .arg(&facts.worker)
            .arg(text)
            .invoke_async::<()>(&mut redis)
            .await
            .map_err(BoardError::when("note a worker"))
    }

    /// The processes that reported lately, at most a thousand.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn workers(&self) -> Result<Vec<WorkerFacts>, BoardError> {
        let script = Script::new(
            "local now = tonumber(redis.call('TIME')[1])
             local names = redis.call('ZRANGEBYSCORE', KEYS[1], now - ARGV[1], '+inf', 'LIMIT', 0, 1000)
             if #names == 0 then return {} end
             return redis.call('HMGET', KEYS[2], unpack(names))",
        );
        let mut redis = self.redis.clone();
        let texts: Vec<Option<String>> = script
            .key(self.key("seen"))
            .key(self.key("workers"))
            .arg(WORKER_SILENT_MAX.as_secs())
            .invoke_async(&mut redis)
            .await
            .map_err(BoardError::when("list the workers"))?;
        let mut workers: Vec<WorkerFacts> =
            texts.iter().flatten().filter_map(|text| serde_json::from_str(text).ok()).collect();
        workers.sort_by(|a, b| (&a.role, &a.worker).cmp(&(&b.role, &b.worker)));
        Ok(workers)
    }

    /// Takes this process off the list: it is stopping.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn leave(&self, worker: &str) -> Result<(), BoardError> {
        let mut redis = self.redis.clone();
        redis
            .zrem::<_, _, ()>(self.key("seen"), worker)
            .await
            .map_err(BoardError::when("take a worker off the list"))
    }

    /// Says how far the training of `library` is.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn show_training(
        &self,
        library: &LibraryId,
        progress: &TrainingProgress,
    ) -> Result<(), BoardError> {
        let text = serde_json::to_string(progress).expect("strings and numbers are always JSON");
        let mut redis = self.redis.clone();
        redis
            .set_ex::<_, _, ()>(self.training_key(library), text, PROGRESS_LIFETIME_SECONDS)
            .await
            .map_err(BoardError::when("show a training's progress"))
    }

    /// How far the running training of `library` is, if one runs.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn training(
        &self,
        library: &LibraryId,
    ) -> Result<Option<TrainingProgress>, BoardError> {
        let mut redis = self.redis.clone();
        let text: Option<String> = redis
            .get(self.training_key(library))
            .await
            .map_err(BoardError::when("read a training's progress"))?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Takes the progress away: the training has ended.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn end_training(&self, library: &LibraryId) -> Result<(), BoardError> {
        let mut redis = self.redis.clone();
        redis
            .del::<_, ()>(self.training_key(library))
            .await
            .map_err(BoardError::when("end a training's progress"))
    }

    fn training_key(&self, library: &LibraryId) -> String {
        self.key(&format!("training:{library}"))
    }

    /// Publishes an event to whoever listens; nobody listening is fine.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn publish(&self, event: &str) -> Result<(), BoardError> {
        let mut redis = self.redis.clone();
        redis
            .publish::<_, _, ()>(self.key("events"), event)
            .await
            .map_err(BoardError::when("publish an event"))
    }
}
