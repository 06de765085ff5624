//! What goes into a queue and what can be read back about it.
//! An envelope always decodes: whatever a body holds, a worker gets a claim it can settle.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::error::QueueError;
use crate::lane::{Lane, Place};
use crate::queue::whole_millis;

pub(crate) const ID_BYTES_MAX: usize = 512;
const KIND_BYTES_MAX: usize = 128;
const META_BYTES_MAX: usize = 16 * 1024;
/// The metadata entry that says who added a job.
const SOURCE: &str = "source";
/// The metadata entry that makes a job part of a trace.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// A job to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// Names the job while it lives; 1 to 512 bytes without control characters.
    pub id: String,
    /// What kind of job it is; 1 to 128 bytes without control characters.
    pub kind: String,
    /// What the job needs to know, as JSON by convention. The queue never reads it.
    pub payload: String,
    /// The line it waits in.
    pub lane: Lane,
    /// How long it must wait before it may start, in Redis's time.
    pub delay: Option<Duration>,
    /// The wall-clock limit of each run; none leaves it to the worker. When it passes, the lease is
    /// no longer renewed and the handler is told to stop.
    pub limit: Option<Duration>,
    /// Short facts beside the payload: source, `traceparent`. At most 16 KiB together.
    pub meta: BTreeMap<String, String>,
}

impl NewJob {
    /// A job for [`Lane::Upload`], without delay and metadata.
    pub fn new(id: impl Into<String>, kind: impl Into<String>, payload: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            kind: kind.into(),
            payload: payload.into(),
            lane: Lane::Upload,
            delay: None,
            limit: None,
            meta: BTreeMap::new(),
        }
    }

    /// The same job in another lane.
    #[must_use]
    pub fn in_lane(mut self, lane: Lane) -> Self {
        self.lane = lane;
        self
    }

    /// The same job, not before `delay` has passed.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// The same job, whose runs may each take no longer than `limit`.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The same job, noting who added it (metadata `source`).
    #[must_use]
    pub fn from_source(self, source: impl Into<String>) -> Self {
        self.with_meta(SOURCE, source)
    }

    /// The same job as part of a trace: the value of a W3C `traceparent` header, which the worker
    /// finds in [`Claim::traceparent`](crate::Claim::traceparent).
    #[must_use]
    pub fn with_traceparent(self, traceparent: impl Into<String>) -> Self {
        self.with_meta(TRACEPARENT, traceparent)
    }

    /// The same job with one more metadata entry.
    #[must_use]
    pub fn with_meta(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.meta.insert(name.into(), value.into());
        self
    }

    pub(crate) fn meta_bytes(&self) -> usize {
        self.meta.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    pub(crate) fn check(&self, payload_bytes_max: usize) -> Result<(), QueueError> {
        check_name("job id", &self.id, ID_BYTES_MAX)?;
        check_name("job kind", &self.kind, KIND_BYTES_MAX)?;
        let bytes = self.payload.len();
        if bytes > payload_bytes_max {
            let id = self.id.clone();
            return Err(QueueError::PayloadTooLarge { id, bytes, bytes_max: payload_bytes_max });
        }
        if self.meta_bytes() > META_BYTES_MAX {
            return Err(QueueError::BadName {
                what: "metadata of job",
                value: self.id.clone(),
                why: "names and values may have 16 KiB together",
            });
        }
        match self.meta.get(TRACEPARENT) {
            Some(value) if !is_traceparent(value) => Err(QueueError::BadName {
                what: "traceparent",
                value: value.chars().take(64).collect(),
                why: "it must be 00-<32 hex digits>-<16 hex digits>-<2 hex digits>",
            }),
            _ => Ok(()),
        }
    }
}

/// As <https://www.w3.org/TR/trace-context/#traceparent-header> has it for version 00.
fn is_traceparent(value: &str) -> bool {
    let parts: Vec<&str> = value.split('-').collect();
    let hex = |part: &str, digits: usize| {
        part.len() == digits
            && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let blank = |part: &str| part.bytes().all(|byte| byte == b'0');
    match parts[..] {
        ["00", trace, parent, flags] => {
            hex(trace, 32) && hex(parent, 16) && hex(flags, 2) && !blank(trace) && !blank(parent)
        }
        _ => false,
    }
}

pub(crate) fn check_name(
    what: &'static str,
    value: &str,
    bytes_max: usize,
) -> Result<(), QueueError> {
    let why = if value.is_empty() {
        "it is empty"
    } else if value.len() > bytes_max {
        "it is too long"
    } else if value.chars().any(char::is_control) {
        "it has control characters"
    } else {
        return Ok(());
    };
    Err(QueueError::BadName { what, value: value.chars().take(64).collect(), why })
}

/// What became of a job that was to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enqueued {
    /// It is in the queue now.
    Added,
    /// A job with this id lives already, in this place; nothing was changed. A dead letter counts
    /// as alive: [`redrive`](crate::Queue::redrive) it.
    Duplicate(Place),
}

/// How a job failed last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// `failed` (to be retried), `dead` (given up by its worker), `lost` (the lease ran out),
    /// `over-limit` (it is over its time limit), `crashed` (its run broke down), `quarantined` (started too often without being settled) or `broken` (its record was).
    pub how: String,
    /// The error in one line.
    pub cause: String,
    /// The errors behind it, outermost first.
    pub chain: Vec<String>,
    /// The worker that held it.
    pub worker: String,
    /// When, in Redis's time.
    pub at: SystemTime,
}

/// All that is known of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobState {
    /// Its id.
    pub id: String,
    /// Its kind; empty when the envelope was broken.
    pub kind: String,
    /// Its metadata.
    pub meta: BTreeMap<String, String>,
    /// Its payload, as it was added.
    pub payload: Vec<u8>,
    /// Where it is.
    pub place: Place,
    /// Its lane.
    pub lane: Lane,
    /// Starts since it was last settled.
    pub starts: u32,
    /// Failures that were settled.
    pub attempts: u32,
    /// The last token handed out for it; 0 when it never started.
    pub token: i64,
    /// The worker that holds or last held it; empty when it never started.
    pub worker: String,
    /// When it was added, in Redis's time.
    pub enqueued_at: SystemTime,
    /// Since when it was ready last, or will be where it is scheduled.
    pub ready_at: SystemTime,
    /// Scheduled: when it is due. Claimed: when the lease ends. Dead: when it died.
    pub until: Option<SystemTime>,
    /// The wall-clock limit of each run, where the job has its own.
    pub limit: Option<Duration>,
    /// How it failed last, if it did.
    pub failure: Option<Failure>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    meta: BTreeMap<String, String>,
}

/// A job as it lies in Redis: one line of JSON, then the payload as it came.
pub(crate) struct Envelope {
    pub(crate) kind: String,
    pub(crate) limit: Option<Duration>,
    pub(crate) meta: BTreeMap<String, String>,
    pub(crate) payload: Vec<u8>,
}

impl Envelope {
    pub(crate) fn encode(job: &NewJob) -> Vec<u8> {
        let limit_ms = job.limit.map(whole_millis);
        let header = Header { kind: job.kind.clone(), limit_ms, meta: job.meta.clone() };
        let mut body = serde_json::to_vec(&header).expect("strings and maps of strings are JSON");
        body.push(b'\n');
        body.extend_from_slice(job.payload.as_bytes());
        body
    }

    /// Never fails: a body without a readable header has no kind and is payload as a whole.
    pub(crate) fn decode(body: Vec<u8>) -> Self {
        let parts = body.iter().position(|byte| *byte == b'\n').and_then(|end| {
            let header = serde_json::from_slice::<Header>(&body[..end]).ok()?;
            Some((header, body[end + 1..].to_vec()))
        });
        match parts {
            Some((header, payload)) => Self {
                kind: header.kind,
                limit: header.limit_ms.map(Duration::from_millis),
                meta: header.meta,
                payload,
            },
            None => Self { kind: String::new(), limit: None, meta: BTreeMap::new(), payload: body },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_comes_back_as_it_went_in() {
        let job = NewJob::new("1", "see", "{\"a\":\n1}")
            .with_meta("source", "cli\nx")
            .within(Duration::from_secs(7));
        let envelope = Envelope::decode(Envelope::encode(&job));
        assert_eq!(envelope.kind, "see");
        assert_eq!(envelope.meta["source"], "cli\nx");
        assert_eq!(envelope.limit, Some(Duration::from_secs(7)));
        assert_eq!(envelope.payload, b"{\"a\":\n1}");
    }

    #[test]
    fn a_lane_is_read_by_its_name() {
        for lane in Lane::ALL {
            assert_eq!(lane.to_string().parse::<Lane>().unwrap(), lane);
        }
        let error = "urgent".parse::<Lane>().unwrap_err().to_string();
        assert!(error.contains("urgent") && error.contains("interactive"), "{error}");
    }

    #[test]
    fn a_traceparent_must_be_one() {
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(NewJob::new("1", "see", "").with_traceparent(given).check(10).is_ok());
        let blank = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        for wrong in ["", "00-1-2-3", blank.as_str(), &given.to_uppercase(), &format!("{given}-x")]
        {
            let error = NewJob::new("1", "see", "").with_traceparent(wrong).check(10).unwrap_err();
            assert!(error.to_string().starts_with("traceparent"), "{wrong}: {error}");
        }
    }

    #[test]
    fn any_bytes_decode() {
        for body in [&b""[..], b"\n", b"\xff\xfe\n\xff", b"{\"kind\":1}\n{}", b"{}"] {
            let envelope = Envelope::decode(body.to_vec());
            assert_eq!(envelope.kind, "");
            assert_eq!(envelope.payload, body);
        }
    }

    #[test]
    fn refused_inputs_are_named() {
        let long = "x".repeat(513);
        for (id, why) in [("", "empty"), (long.as_str(), "too long"), ("a\nb", "control")] {
            let error = NewJob::new(id, "see", "").check(10).unwrap_err().to_string();
            assert!(error.starts_with("job id") && error.contains(why), "{error}");
        }
        let error = NewJob::new("7", "see", "0123456789a").check(10).unwrap_err().to_string();
        assert_eq!(error, "the payload of job 7 has 11 bytes and the limit is 10");
    }
}
