//! A bad line to Redis: a unix socket that passes everything on a millisecond late, and now and then
//! closes in the middle of a request or of a reply.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use super::chance::Chance;

const LATENCY: Duration = Duration::from_millis(1);

/// Ends with the test.
pub struct Proxy {
    folder: TempDir,
    serving: JoinHandle<()>,
    faults: Arc<Faults>,
}

#[derive(Default)]
struct Faults {
    ended: AtomicBool,
    cuts: AtomicU64,
}

impl Proxy {
    pub fn start(target: PathBuf, chance: Chance) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("line.sock")).unwrap();
        let faults = Arc::new(Faults::default());
        let serving = tokio::spawn(serve(listener, target, chance, Arc::clone(&faults)));
        Self { folder, serving, faults }
    }

    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.folder.path().join("line.sock").display())
    }

    /// From now on it is only slow.
    pub fn end_cuts(&self) {
        self.faults.ended.store(true, Ordering::SeqCst);
    }

    /// Connections closed within a request or a reply.
    pub fn cuts(&self) -> u64 {
        self.faults.cuts.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: UnixListener, target: PathBuf, mut chance: Chance, faults: Arc<Faults>) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let (target, faults) = (target.clone(), Arc::clone(&faults));
        // The replies break twice as often as the requests: they are the ones that blur.
        let break_after = 10 + chance.roll(150);
        let (requests, replies) = match chance.roll(3) {
            0 => (break_after, u64::MAX),
            _ => (u64::MAX, break_after),
        };
        tokio::spawn(async move {
            // Nobody there: the client sees its connection closed, as behind any balancer.
            let Ok(server) = UnixStream::connect(&target).await else { return };
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::select! {
                () = pass(from_client, to_server, requests, &faults) => {}
                () = pass(from_server, to_client, replies, &faults) => {}
            }
        });
    }
}

/// Until one side closes, or until `pieces` have passed: of the next one only half gets through.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut pieces: u64,
    faults: &Faults,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(bytes) = from.read(&mut buffer).await {
        if bytes == 0 {
            return;
        }
        tokio::time::sleep(LATENCY).await;
        if pieces == 0 && !faults.ended.load(Ordering::SeqCst) {
            let _ = to.write_all(&buffer[..bytes / 2]).await;
            faults.cuts.fetch_add(1, Ordering::SeqCst);
            return;
        }
        pieces = pieces.saturating_sub(1);
        if to.write_all(&buffer[..bytes]).await.is_err() {
            return;
        }
    }
}
