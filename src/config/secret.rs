//! A value that may hold a password and therefore prints masked.

use std::fmt;

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
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut shown = format!("{scheme}://");
        // A path has no credentials. The last @ ends them: a password may hold one, and a slash.
        match place.rfind('@').filter(|_| !place.starts_with('/')) {
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
        ] {
            assert_eq!(format!("{:?}", Secret::new(given)), shown);
        }
    }
}
