//! A value that may hold a password and therefore prints masked.

use std::fmt;

/// Parameters that an address may begin its query with although an @ comes later.
const PARAMETERS: &[&str] =
    &["application_name", "dbname", "host", "options", "pass", "password", "sslmode", "user"];

/// An address with credentials in it. `Debug` and `Display` show it without the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The value itself, for the client that needs it; never for a log line.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The value with every password replaced by `***`: before the last `@` and in `pass=`.
    pub fn masked(&self) -> String {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            // No address, and still somebody may have written a password into it.
            return match self.0.rfind('@') {
                Some(at) => format!("***{}", &self.0[at..]),
                None => self.0.clone(),
            };
        };
        // A path has no credentials.
        let is_path = rest.starts_with('/') || scheme == "sqlite";
        let (place, query) =
            if is_path { rest.split_once('?') } else { before_query(rest) }.unwrap_or((rest, ""));
        let mut shown = format!("{scheme}://");
        // The last @ ends the credentials: a password may hold one, and a slash.
        match place.rfind('@').filter(|_| !is_path) {
            Some(at) => {
                shown.push_str(place[..at].split(':').next().unwrap_or(""));
                shown.push_str(":***");
                shown.push_str(&place[at..]);
            }
            None => shown.push_str(place),
        }
        for (number, parameter) in query.split('&').filter(|it| !it.is_empty()).enumerate() {
            shown.push(if number == 0 { '?' } else { '&' });
            match parameter.split_once('=') {
                Some((name, _)) if name.to_lowercase().contains("pass") => {
                    shown.push_str(name);
                    shown.push_str("=***");
                }
                _ => shown.push_str(parameter),
            }
        }
        shown
    }
}

/// Splits at the question mark that begins the query. One with an @ after it may stand in a
/// password, unless the name of a parameter follows: in doubt more is masked than need be.
fn before_query(rest: &str) -> Option<(&str, &str)> {
    let begins_query = |&(at, _): &(usize, &str)| {
        let query = &rest[at + 1..];
        let name = query.split_once('=').map_or("", |(name, _)| name);
        !query.contains('@') || PARAMETERS.contains(&name)
    };
    let (at, _) = rest.match_indices('?').find(begins_query)?;
    Some((&rest[..at], &rest[at + 1..]))
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_never_prints() {
        for (given, shown) in [
            ("redis://:hunter2@host:6379/0", "redis://:***@host:6379/0"),
            ("postgres://me:p@ss@db/eyefleet", "postgres://me:***@db/eyefleet"),
            ("redis://host:6379", "redis://host:6379"),
            ("postgres://u:pa/ss@db/x", "postgres://u:***@db/x"),
            ("redis+unix:///x.sock?user=u&pass=hunter2", "redis+unix:///x.sock?user=u&pass=***"),
            ("sqlite:///a/b@c.sqlite", "sqlite:///a/b@c.sqlite"),
            ("me:hunter2@host:6379", "***@host:6379"),
            ("postgres://u:pa?ss@db/x", "postgres://u:***@db/x"),
            ("postgres://u:p@s?s@db/x", "postgres://u:***@db/x"),
            ("postgres://u:p?a=b?@db/x?sslmode=disable", "postgres://u:***@db/x?sslmode=disable"),
            ("postgres://localhost/x?host=/x@y", "postgres://localhost/x?host=/x@y"),
            (
                "postgres://u:p?@db/x?sslmode=a&host=/x@y",
                "postgres://u:***@db/x?sslmode=a&host=/x@y",
            ),
            ("postgres://db/x?password=p@ss", "postgres://db/x?password=***"),
            ("sqlite://a@b.sqlite?mode=rwc", "sqlite://a@b.sqlite?mode=rwc"),
            ("sqlite:///a?b@c.sqlite", "sqlite:///a?b@c.sqlite"),
        ] {
            assert_eq!(format!("{:?}", Secret::new(given)), shown);
        }
    }
}
