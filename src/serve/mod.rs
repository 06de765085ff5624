//! HTTP: health and metrics of every role, and the API of `serve`.

mod api;
mod health;
mod status;

use std::net::SocketAddr;
use std::path::Path;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use api::{Api, ImageAnswer};
pub use health::{Health, health_routes};
pub use status::{FailureAnswer, QueueAnswer, StatusAnswer, TrainingAnswer, status_of};

/// A bound address, not yet answering.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

/// Binds `listen` (`host:port`, port 0 for a free one).
///
/// # Errors
/// When the address is taken or is none, with the setting's name.
pub async fn bind(listen: &str, setting: &str) -> anyhow::Result<Bound> {
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| anyhow::anyhow!("cannot listen on {listen} ({setting}): {error}"))?;
    let address = listener.local_addr()?;
    Ok(Bound { listener, address })
}

impl Bound {
    /// The address as a client writes it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Writes the address into a file for the supervisor, whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn announce(&self, path: &Path) -> anyhow::Result<()> {
        let aside = path.with_extension("new");
        std::fs::write(&aside, self.url())?;
        std::fs::rename(&aside, path)?;
        Ok(())
    }

    /// Answers until `stop`, then lets running requests finish.
    ///
    /// # Errors
    /// When the listener breaks.
    pub async fn answer(self, routes: Router, stop: CancellationToken) -> anyhow::Result<()> {
        axum::serve(self.listener, routes)
            .with_graceful_shutdown(async move { stop.cancelled().await })
            .await?;
        Ok(())
    }
}
