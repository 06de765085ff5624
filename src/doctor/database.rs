//! The catalogue's database: there, of this build's schema, writable, on a disk of this machine.

use std::path::Path;

use super::{Check, Subject, clock};
use crate::catalog::{self, CatalogError, DatabaseKind, Inspected};
use crate::clock::Clock;
use crate::config::Config;
use crate::filesystem::{self, Filesystem};

pub(super) async fn examine(config: &Config, clock: &Clock) -> Vec<Check> {
    let url = &config.database_url;
    let file = catalog::sqlite_path(url.expose());
    let mut checks = Vec::new();
    if let Some(file) = &file {
        let look = {
            let file = file.clone();
            let folder = file.parent().map(Path::to_owned).unwrap_or_default();
            move || (file.exists(), folder.is_dir(), filesystem::of(&file))
        };
        // Where the thread itself fails, the file counts as there: opening it tells more.
        let (exists, has_folder, disk) = tokio::task::spawn_blocking(look)
            .await
            .unwrap_or_else(|error| (true, true, Err(std::io::Error::other(error))));
        if let Ok(disk) = disk {
            checks.extend(shared_disk(&disk));
        }
        if !exists {
            // `eyefleet up` makes the data folder, and nobody makes another.
            let folder = file.parent().filter(|folder| !has_folder && *folder != config.data);
            if let Some(folder) = folder {
                let found = format!("{} lies in a folder that does not exist", file.display());
                let mend = format!("mkdir -p '{}'", folder.display());
                checks.insert(0, Check::problem(Subject::Database, "server", found, mend));
                return checks;
            }
            let found = format!("{} is not there yet: the first start makes it", file.display());
            checks.insert(0, Check::ok(Subject::Database, "server", found));
            return checks;
        }
    }
    let asked = clock::seconds(clock);
    match catalog::inspect(url.expose()).await {
        Ok(seen) => {
            let answered = clock::seconds(clock);
            let mut all = judge(&seen, &url.masked());
            all.extend(checks);
            if let Some(theirs) = seen.seconds {
                all.push(clock::judge("postgres", theirs, asked, answered));
            }
            all
        }
        Err(error) => {
            checks.insert(0, refused(&error, &url.masked()));
            checks
        }
    }
}

fn refused(error: &CatalogError, address: &str) -> Check {
    let (found, mend) = match error {
        CatalogError::Unreachable { cause, .. } => (
            format!("{address} cannot be reached: {cause}"),
            "start that server, or correct address, user and password in DATABASE_URL",
        ),
        CatalogError::Damaged { cause, .. } => (
            format!("{address} is damaged or no database: {cause}"),
            "stop the fleet and restore the file from a backup, or name another in DATABASE_URL",
        ),
        CatalogError::Query { cause } => (
            format!("{address} does not answer what it is asked: {cause}"),
            "where rights are missing, as the tables' owner: `grant all on all tables in schema \
             public to <user>`",
        ),
        other => (
            format!("{address} cannot be used: {other}"),
            "use sqlite:///absolute/path/catalog.sqlite or postgres://user:password@host/name \
             in DATABASE_URL",
        ),
    };
    Check::problem(Subject::Database, "server", found, mend)
}

fn shared_disk(disk: &Filesystem) -> Option<Check> {
    disk.network.then(|| {
        let found = format!(
            "the file lies on {} at {}: SQLite's locks cannot be trusted there",
            disk.kind,
            disk.mounted_at.display()
        );
        let mend = "move the file to a disk of this machine and set \
             DATABASE_URL=sqlite:///there/catalog.sqlite, or use PostgreSQL";
        Check::problem(Subject::Database, "disk", found, mend)
    })
}

fn judge(seen: &Inspected, address: &str) -> Vec<Check> {
    let kind = match seen.kind {
        DatabaseKind::Sqlite => "SQLite",
        DatabaseKind::Postgres => "PostgreSQL",
    };
    let server = format!("{address}, {kind} {}", seen.version);
    let mut checks = vec![Check::ok(Subject::Database, "server", server)];
    let (missing, unknown) = (seen.missing(), seen.unknown());
    let name = "schema";
    checks.push(if let Some(newest) = unknown.last() {
        let found = format!(
            "made by a newer eyefleet ({newest}): this one, {}, cannot use it",
            crate::VERSION
        );
        let mend = "install the eyefleet that made it, or restore the backup from before";
        Check::problem(Subject::Database, name, found, mend)
    } else if seen.applied.is_empty() {
        Check::ok(Subject::Database, name, "none yet: the first start makes it")
    } else if missing > 0 {
        let steps = if missing == 1 { "change" } else { "changes" };
        let found = format!("older by {missing} {steps}: brought up to date at the next start");
        Check::ok(Subject::Database, name, found)
    } else {
        Check::ok(Subject::Database, name, "up to date")
    });
    checks.push(match &seen.refuses_writes {
        None => Check::ok(Subject::Database, "writing", "allowed"),
        Some(why) => {
            let mend = match seen.kind {
                DatabaseKind::Sqlite => {
                    "run as the user that owns it, or `sudo chown` file and \
                     folder to this user"
                }
                DatabaseKind::Postgres => {
                    "name the primary in DATABASE_URL, or as its owner: \
                     `grant all on schema public to <user>; grant all on all tables in schema \
                     public to <user>`"
                }
            };
            Check::problem(Subject::Database, "writing", why.clone(), mend)
        }
    });
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    fn seen(applied: &[&str]) -> Inspected {
        Inspected {
            kind: DatabaseKind::Postgres,
            version: "15.3".to_owned(),
            applied: applied.iter().map(|name| (*name).to_owned()).collect(),
            refuses_writes: None,
            seconds: None,
        }
    }

    #[test]
    fn a_schema_is_new_old_or_of_another_build() {
        let first = "m20261122_000001_catalogue";
        for (applied, state, words) in [
            (&[][..], State::Ok, "none yet"),
            (&[first][..], State::Ok, "at the next start"),
            (&[first, "m2999_later"][..], State::Problem, "m2999_later"),
        ] {
            let checks = judge(&seen(applied), "postgres://db/eyefleet");
            let schema = checks.iter().find(|check| check.name == "schema").unwrap();
            assert_eq!(schema.state, state, "{schema:?}");
            assert!(schema.found.contains(words), "{schema:?}");
        }
    }

    #[test]
    fn a_database_that_refuses_writes_is_a_problem() {
        let refusing = Inspected { refuses_writes: Some("a standby".to_owned()), ..seen(&[]) };
        let checks = judge(&refusing, "postgres://db/eyefleet");
        assert_eq!(checks.last().unwrap().state, State::Problem);
        assert!(checks.last().unwrap().mend.is_some());
    }

    #[test]
    fn a_file_on_a_network_is_a_problem() {
        let mut disk = Filesystem {
            kind: "nfs4".to_owned(),
            mounted_at: "/mnt/nas".into(),
            network: true,
            free_bytes: 1,
            total_bytes: 1,
        };
        assert_eq!(shared_disk(&disk).unwrap().state, State::Problem);
        disk.network = false;
        assert_eq!(shared_disk(&disk), None);
    }
}
