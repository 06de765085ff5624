//! TLS to a server whose certificate comes from a private authority.
//! Failure: a server that is believed without its authority being named, an error that does not say
//! what to do about it, a queue that lives differently over TLS.

use std::path::{Path, PathBuf};
use std::process::Command;

use fleetq::{ConnectOptions, Queue, connect};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::life::{settings, whole_life};
use crate::servers::TcpServer;

/// An authority and a certificate of it for `localhost` alone, as PEM files.
struct Papers {
    folder: TempDir,
}

impl Papers {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().unwrap();
        let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let server_pem = server.signed_by(&key, &issuer).unwrap().pem();
        let papers = Self { folder };
        std::fs::write(papers.path("authority.pem"), authority_pem).unwrap();
        std::fs::write(papers.path("server.pem"), server_pem).unwrap();
        std::fs::write(papers.path("server.key"), key.serialize_pem()).unwrap();
        papers
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn server(&self) -> TcpServer {
        let path = |name| self.path(name).display().to_string();
        let (certificate, key, authority) =
            (path("server.pem"), path("server.key"), path("authority.pem"));
        TcpServer::start(&[
            "--tls-port",
            "PORT",
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &authority,
            "--tls-auth-clients",
            "no",
        ])
        .await
    }
}

/// What a program says that trusts the authorities in `trusted` and no others: the environment of
/// a process cannot be changed from within, so this test binary is started once more.
fn told_by_program(url: &str, trusted: &Path) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tls::program", "--nocapture", "--test-threads=1"])
        .env("FLEETQ_TLS_URL", url)
        .env("SSL_CERT_FILE", trusted)
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn program() {
    let Ok(url) = std::env::var("FLEETQ_TLS_URL") else { return };
    match connect(&url, ConnectOptions::default()).await {
        Ok(redis) => {
            let queue = Queue::open(&redis, "test", "work", settings()).await.unwrap();
            whole_life(&queue).await;
            println!("lived");
        }
        Err(error) => {
            assert!(!error.is_transient(), "{error:?}");
            println!("refused {error:?} told {error}");
        }
    }
}

#[tokio::test]
async fn a_private_authority_is_named_in_the_environment_and_all_works() {
    let papers = Papers::new();
    let server = papers.server().await;
    let url = format!("rediss://localhost:{}/", server.port);
    let told = told_by_program(&url, &papers.path("authority.pem"));
    assert!(told.contains("lived"), "{told}");
}

#[tokio::test]
async fn an_unknown_authority_and_a_wrong_host_are_refused_with_the_next_step() {
    let papers = Papers::new();
    let server = papers.server().await;
    let port = server.port;
    let others = Papers::new();
    for (url, trusted) in [
        (format!("rediss://:secret@localhost:{port}/"), others.path("authority.pem")),
        (format!("rediss://:secret@127.0.0.1:{port}/"), papers.path("authority.pem")),
        (format!("rediss+cluster://:secret@localhost:{port}"), others.path("authority.pem")),
    ] {
        let told = told_by_program(&url, &trusted);
        for expected in ["refused Untrusted", &port.to_string(), "SSL_CERT_FILE"] {
            assert!(told.contains(expected), "{url}: {told}");
        }
        assert!(!told.contains("secret"), "{told}");
    }
}
