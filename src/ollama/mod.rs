//! A client of Ollama, which runs language models that see: richer descriptions, never required.
//!
//! What must stay true: every call has a time limit and its answer a largest size; that an Ollama is
//! away or lacks its model is told from an answer that is nonsense, and from none by one that is well
//! otherwise, because only those say something about the photo. It knows no jobs and no catalogue.

mod address;
mod answer;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

pub use address::OllamaAddress;

use crate::fate::Fate;

/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Time for a look at which models there are.
const LOOK_MAX: Duration = Duration::from_secs(2);
/// What is asked of each photo.
const PROMPT: &str = "Describe this photo in three to five plain sentences: what is seen, where and \
                      when it may have been taken, colours and mood. Describe only what is there.";

/// Why there is no description.
#[derive(Debug, thiserror::Error)]
pub enum OllamaError {
    /// Nobody answers, or with a failure of its own, whatever is asked.
    #[error(
        "ollama at {address} is away: {cause}; start it with `ollama serve`, or correct OLLAMA_HOST"
    )]
    Away {
        /// Where.
        address: OllamaAddress,
        /// What was seen.
        cause: String,
    },
    /// It does not have the model.
    #[error(
        "ollama at {address} has no model {model:?}: run `ollama pull {model}`, or correct ollama.model"
    )]
    NoModel {
        /// Where.
        address: OllamaAddress,
        /// The model that was asked for.
        model: String,
    },
    /// Its answer is no description, or it has none for this photo alone.
    #[error("ollama at {address} did not describe the photo: {cause}")]
    Nonsense {
        /// Where.
        address: OllamaAddress,
        /// What is wrong with the answer.
        cause: String,
    },
}

impl OllamaError {
    /// What it means for the photo.
    pub fn fate(&self) -> Fate {
        match self {
            Self::Away { .. } | Self::NoModel { .. } => Fate::Away,
            Self::Nonsense { .. } => Fate::Transient,
        }
    }
}

/// A client. Every call has a connection of its own: a description takes seconds.
#[derive(Debug, Clone)]
pub struct Ollama {
    address: OllamaAddress,
    model: String,
    time_max: Duration,
}

#[derive(Deserialize)]
struct Tags {
    models: Vec<Tagged>,
}

#[derive(Deserialize)]
struct Tagged {
    name: String,
}

impl Ollama {
    /// Asks the Ollama at `address` for `model`, and waits for each answer up to `time_max`.
    pub fn new(address: OllamaAddress, model: impl Into<String>, time_max: Duration) -> Self {
        Self { address, model: model.into(), time_max }
    }

    /// Where it is.
    pub fn address(&self) -> &OllamaAddress {
        &self.address
    }

    /// Who is asked.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Has a picture described, given as the bytes of a JPEG.
    ///
    /// # Errors
    /// Each case of `OllamaError`.
    pub async fn describe(&self, jpeg: &[u8]) -> Result<String, OllamaError> {
        let question = serde_json::json!({
            "model": self.model,
            "prompt": PROMPT,
            "images": [STANDARD.encode(jpeg)],
            "stream": false,
        });
        let body = question.to_string();
        let asked = self.call(Method::POST, "/api/generate", body, self.time_max).await;
        let failed = match asked {
            Ok((StatusCode::OK, answer)) => {
                return answer::read(&answer).map_err(|cause| self.nonsense(cause));
            }
            Ok((StatusCode::NOT_FOUND, _)) => return Err(self.no_model()),
            Ok((refused, _)) if refused.is_client_error() => {
                return Err(self.nonsense(format!("it answers {refused}")));
            }
            Ok((broken, _)) => self.away(format!("it answers {broken}")),
            Err(error) => error,
        };
        // One photo on which a model breaks, or never ends, must not hold up all the others for ever:
        // where everything else is well, it is this photo.
        match (failed, self.look().await) {
            (OllamaError::Away { cause, .. }, Ok(())) => {
                Err(self.nonsense(format!("{cause}, though it is there with its model")))
            }
            (failed, _) => Err(failed),
        }
    }

    fn nonsense(&self, cause: String) -> OllamaError {
        OllamaError::Nonsense { address: self.address.clone(), cause }
    }

    /// Whether it answers and has the model.
    ///
    /// # Errors
    /// `Away` or `NoModel`.
    pub async fn look(&self) -> Result<(), OllamaError> {
        let (status, answer) = self.call(Method::GET, "/api/tags", String::new(), LOOK_MAX).await?;
        if status != StatusCode::OK {
            return Err(self.away(format!("it answers {status}")));
        }
        let tags: Tags = serde_json::from_slice(&answer)
            .map_err(|error| self.away(format!("it does not answer as Ollama does: {error}")))?;
        // A name without a tag means the one called latest.
        let latest = format!("{}:latest", self.model);
        let has_it = |tagged: &Tagged| tagged.name == self.model || tagged.name == latest;
        if tags.models.iter().any(has_it) { Ok(()) } else { Err(self.no_model()) }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: String,
        time_max: Duration,
    ) -> Result<(StatusCode, Bytes), OllamaError> {
        let asked = tokio::time::timeout(time_max, self.exchange(method, path, body)).await;
        match asked {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(cause)) => Err(self.away(cause)),
            Err(_) => Err(self.away(format!("no answer within {} s", time_max.as_secs_f64()))),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<(StatusCode, Bytes), String> {
        let stream = TcpStream::connect(self.address.target()).await.map_err(|e| e.to_string())?;
        let (mut line, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.address.to_string())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| error.to_string())?;
        let asking = async {
            let answer = line.send_request(request).await.map_err(|error| error.to_string())?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            Ok((status, body.map_err(|error| error.to_string())?.to_bytes()))
        };
        // Nothing is read or written but while the connection is polled; dropped, it closes.
        tokio::pin!(asking);
        tokio::select! {
            answer = &mut asking => answer,
            ended = connection => match ended {
                // What has been read until then may be the whole answer.
                Ok(()) => asking.await,
                Err(error) => Err(error.to_string()),
            },
        }
    }

    fn away(&self, cause: String) -> OllamaError {
        OllamaError::Away { address: self.address.clone(), cause }
    }

    fn no_model(&self) -> OllamaError {
        OllamaError::NoModel { address: self.address.clone(), model: self.model.clone() }
    }
}
