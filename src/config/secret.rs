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

    /// The value with the password replaced by `***`.
    pub fn masked(&self) -> String {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return self.0.clone();
        };
        // The last @ before the path ends the credentials: a password may hold one itself.
        let authority_end = rest.find('/').unwrap_or(rest.len());
        let Some(at) = rest[..authority_end].rfind('@') else {
            return self.0.clone();
        };
        let user = rest[..at].split(':').next().unwrap_or("");
        format!("{scheme}://{user}:***{}", &rest[at..])
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
            ("sqlite:///a/b@c.sqlite", "sqlite:///a/b@c.sqlite"),
        ] {
            assert_eq!(format!("{:?}", Secret::new(given)), shown);
        }
    }
}
