//! A disk that is really full: a small tmpfs that only those see who enter it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What a tmpfs gives out.
const PAGE: u64 = 4096;

/// A small file system at one place, in a mount namespace of its own. It lives as long as the
/// process that holds the namespace.
pub struct SmallDisk {
    holder: Child,
    place: PathBuf,
    enter: Vec<String>,
}

impl SmallDisk {
    /// `None` where this machine lets us mount nothing.
    pub fn at(place: &Path, mib: u32) -> Option<Self> {
        std::fs::create_dir_all(place).unwrap();
        for (namespaces, enter) in [("-m", "-m"), ("-Urm", "-Um")] {
            let mut holder = Command::new("unshare")
                .args([namespaces, "sh", "-c"])
                .arg("mount -t tmpfs -o size=$1m,mode=755 none \"$0\" && echo mounted && exec cat")
                .arg(place)
                .arg(mib.to_string())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .ok()?;
            let mut said = [0; 8];
            let heard = std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut said);
            if heard.is_ok() {
                let pid = holder.id().to_string();
                let mut enter = vec!["nsenter".to_owned(), "-t".to_owned(), pid, enter.to_owned()];
                if namespaces.contains('U') {
                    enter.push("--preserve-credentials".to_owned());
                }
                return Some(Self { holder, place: place.to_owned(), enter });
            }
            holder.wait().unwrap();
        }
        eprintln!("SKIPPED: this machine allows no mount namespace, so no disk can be full");
        None
    }

    /// The place as it looks from within.
    pub fn inside(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.place.strip_prefix("/").unwrap())
    }

    /// The place as processes see it that were started with [`SmallDisk::enter`].
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// The words in front of a command that sees this disk.
    pub fn enter(&self) -> Vec<String> {
        self.enter.clone()
    }

    /// Leaves room for that many pages, and for nothing more.
    pub fn leave(&self, pages: u64) {
        self.fill();
        let ballast = self.inside().join("ballast");
        let ballast = std::fs::File::options().write(true).open(ballast).unwrap();
        let full = ballast.metadata().unwrap().len();
        // The last page may be a part of one.
        ballast.set_len((full.div_ceil(PAGE) - pages) * PAGE).unwrap();
    }

    pub fn fill(&self) {
        let mut ballast = std::fs::File::create(self.inside().join("ballast")).unwrap();
        for size in [1 << 16, 1 << 12] {
            while ballast.write_all(&vec![1; size]).is_ok() {}
        }
    }

    pub fn empty(&self) {
        std::fs::remove_file(self.inside().join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _reaped = self.holder.wait();
    }
}
