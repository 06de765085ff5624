//! Which members a backup may have. A file that came from elsewhere is not trusted: whatever is not
//! one of these names is refused, so no path leaves the folder into which it is unpacked.

use crate::names::LibraryId;
use crate::snapshot::SnapshotId;

pub const MANIFEST: &str = "manifest.json";
pub const SEAL: &str = "seal.sha256";
/// Logs of a library that travel with it.
pub const LOGS: [&str; 2] = ["training.log", "training_history.log"];

/// A member by what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    Manifest,
    Seal,
    /// Rows of a table: its name and the number of the part.
    Part(String, u64),
    /// A file of a library.
    File,
    /// What a pack says of itself.
    Pack,
}

/// The member of this path; `None` where a backup has none such.
pub fn parse(path: &str) -> Option<Member> {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        [MANIFEST] => Some(Member::Manifest),
        [SEAL] => Some(Member::Seal),
        ["catalogue", table, part] => {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            let number = part.strip_suffix(".jsonl.zst")?;
            let digits = number.len() == 6 && number.bytes().all(|byte| byte.is_ascii_digit());
            (!table.is_empty() && table.bytes().all(plain) && digits)
                .then(|| number.parse().ok().map(|it| Member::Part((*table).to_owned(), it)))?
        }
        ["packs", folder, MANIFEST] => is_plain(folder).then_some(Member::Pack),
        ["libraries", library, rest @ ..] => {
            LibraryId::new(*library).ok()?;
            let fits = match rest {
                [log] => LOGS.contains(log),
                ["snapshots", id, file] => SnapshotId::parse(id).is_some() && is_plain(file),
                ["generations", number, file] => {
                    let parsed: Option<i64> = number.parse().ok();
                    parsed.is_some_and(|it| it > 0 && it.to_string() == *number) && is_plain(file)
                }
                _ => false,
            };
            fits.then_some(Member::File)
        }
        _ => None,
    }
}

/// The path of a part.
pub fn part(table: &str, number: u64) -> String {
    format!("catalogue/{table}/{number:06}.jsonl.zst")
}

/// Letters, digits, dots, dashes and underscores, and no dot in front.
pub fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !name.is_empty() && name.len() <= 200 && !name.starts_with('.') && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_names_are_members() {
        for good in [
            "manifest.json",
            "catalogue/images/000000.jsonl.zst",
            "libraries/main/training.log",
            "libraries/main/snapshots/20261122T131500Z-0000000000000099/vectors.f32",
            "libraries/a-b/generations/12/index.flat",
            "packs/starter/manifest.json",
        ] {
            assert!(parse(good).is_some(), "{good} was refused");
        }
        for bad in [
            "",
            "/manifest.json",
            "../manifest.json",
            "./manifest.json",
            "catalogue/../x/000000.jsonl.zst",
            "catalogue/images/0.jsonl.zst",
            "libraries/../training.log",
            "libraries/main/generations/1/../../../x",
            "libraries/main/generations/01/index.flat",
            "libraries/main/generations/1/.hidden",
            "libraries/main/other.txt",
            "libraries/main/generations/1/",
            "packs/../manifest.json",
            "catalog.sqlite",
        ] {
            assert_eq!(parse(bad), None, "{bad:?} was accepted");
        }
        assert_eq!(parse(&part("images", 7)), Some(Member::Part("images".into(), 7)));
    }
}
