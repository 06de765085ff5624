//! A PostgreSQL of one story, to be stopped and started. Over TCP it wants the password, over its
//! socket it does not.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The password of the one user.
pub const PASSWORD: &str = "s3cret-of-the-story";

/// Its files; stopped and deleted when the story ends.
pub struct Cluster {
    folder: tempfile::TempDir,
    bin: PathBuf,
    port: u16,
}

impl Cluster {
    /// Makes the files of a cluster; it does not run yet.
    pub fn make() -> Self {
        // Not below TMPDIR: the path of a unix socket ends at 107 bytes.
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        // Nobody else is given this port in the moment until it is used, which is all that can be
        // had: the server must come back at the same one.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let cluster = Self { folder, bin: binaries(), port };
        let password = cluster.folder.path().join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        if rustix::process::getuid().is_root() {
            let mut owned = Command::new("chown");
            owned.args(["-R", "postgres"]).arg(cluster.folder.path());
            assert!(owned.status().unwrap().success());
        }
        cluster.does(
            "initdb",
            &[
                "--username=eye",
                "--auth-local=trust",
                "--auth-host=scram-sha-256",
                "--no-sync",
                &format!("--pwfile={}", password.display()),
            ],
        );
        cluster
    }

    pub fn start(&self) {
        let folder = self.folder.path().display();
        let settings = format!(
            "-c port={} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off",
            self.port
        );
        let log = format!("--log={folder}/log");
        self.does("pg_ctl", &["start", "--wait", &log, "-o", &settings]);
    }

    /// Stops it as a power cut would, connections and all.
    pub fn stop(&self) {
        self.does("pg_ctl", &["stop", "--wait", "--mode=immediate"]);
    }

    pub fn over_tcp(&self, password: &str) -> String {
        format!("postgres://eye:{password}@127.0.0.1:{}/postgres", self.port)
    }

    pub fn over_socket(&self) -> String {
        let folder = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://eye:{PASSWORD}@{folder}:{}/postgres", self.port)
    }

    /// A program of PostgreSQL on the cluster's files; not as root, which it refuses.
    fn command(&self, program: &str, words: &[&str]) -> Command {
        let program = self.bin.join(program);
        let mut command = if rustix::process::getuid().is_root() {
            let mut other = Command::new("setpriv");
            other.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
            other
        } else {
            Command::new(program)
        };
        let data = format!("--pgdata={}", self.folder.path().join("data").display());
        command.args(words).arg(data).current_dir(self.folder.path());
        // A server that is started would keep the pipes of the test open.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn does(&self, program: &str, words: &[&str]) {
        let done = self.command(program, words).status().unwrap();
        assert!(done.success(), "{program} {words:?} failed");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _stopped_already =
            self.command("pg_ctl", &["stop", "--wait", "--mode=immediate"]).status();
    }
}

/// The folder of the newest PostgreSQL: where scripts/with-postgres looks as well.
fn binaries() -> PathBuf {
    if let Some(named) = std::env::var_os("EYEFLEET_TEST_POSTGRES_BIN") {
        return PathBuf::from(named);
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.map(|version| version.path().join("bin")).max();
    newest.unwrap_or_default()
}
