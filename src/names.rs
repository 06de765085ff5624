//! The names by which everything else speaks of libraries, images and versions.
//!
//! A value of one of these types has been checked: whoever holds a `RelativePath` need not look
//! for `..` again. Reading one from JSON checks it as well.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {given:?} is not valid: {why}")]
pub struct NameError {
    kind: &'static str,
    given: String,
    why: &'static str,
}

fn refuse(kind: &'static str, given: &str, why: &'static str) -> NameError {
    // A hostile name may be a megabyte: the message carries its beginning only.
    let given = given.chars().take(80).collect();
    NameError { kind, given, why }
}

/// Declares a checked string: constructor, reading access, serde and `Display`.
macro_rules! checked_string {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks and wraps `text`.
            ///
            /// # Errors
            /// `NameError` says which rule the text breaks.
            pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
                let text = text.into();
                $check(&text)?;
                Ok(Self(text))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// Declares a number that must not be mixed up with other numbers.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

checked_string!(
    /// One tenant's photos: `[a-z0-9][a-z0-9-]{0,62}`. It is a folder name and part of keys.
    LibraryId,
    check_library
);
checked_string!(
    /// One photo, by the application's own id: 1 to 512 bytes without control characters.
    ImageId,
    check_image
);
checked_string!(
    /// Where an original lies beneath its library's root: `/`-separated, never absolute, no `..`.
    RelativePath,
    check_path
);
checked_string!(
    /// Which model, preprocessing and tokenizer made a vector: 16 hex digits. Vectors of
    /// different spaces are never compared.
    SpaceId,
    check_space
);

number!(
    /// Which content of an image is meant; rises when the original changes.
    Revision
);
number!(
    /// The number of a generation of learned data within its library; the first is 1.
    GenerationNumber
);
number!(
    /// A fencing token in microseconds; a write with an older one than the stored is refused.
    Fence
);

impl LibraryId {
    /// The library of those who never named one.
    pub fn main() -> Self {
        Self("main".to_owned())
    }
}

impl RelativePath {
    /// The last part of the path.
    pub fn filename(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

fn check_library(text: &str) -> Result<(), NameError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let right_length = (1..=63).contains(&text.len());
    if !right_length || text.starts_with('-') || !text.bytes().all(allowed) {
        return Err(refuse(
            "library",
            text,
            "use 1 to 63 small letters, digits and dashes, not starting with a dash",
        ));
    }
    Ok(())
}

fn check_image(text: &str) -> Result<(), NameError> {
    if text.is_empty() || text.len() > 512 {
        return Err(refuse("image id", text, "it must have 1 to 512 bytes"));
    }
    if text.chars().any(char::is_control) {
        return Err(refuse("image id", text, "it holds a control character; rename it"));
    }
    Ok(())
}

fn check_path(text: &str) -> Result<(), NameError> {
    if text.is_empty() || text.len() > 4096 {
        return Err(refuse("path", text, "it must have 1 to 4096 bytes"));
    }
    if text.starts_with('/') || text.contains('\\') || text.contains("://") {
        return Err(refuse(
            "path",
            text,
            "it must be relative to the library's root, with / between its parts",
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(refuse("path", text, "it holds a control character; rename it"));
    }
    let bad_part = |part: &str| part.is_empty() || part == "." || part == ".." || part.len() > 255;
    if text.split('/').any(bad_part) {
        return Err(refuse(
            "path",
            text,
            "a part of it is empty, '.', '..' or longer than 255 bytes; name the file beneath the \
             library's root",
        ));
    }
    Ok(())
}

fn check_space(text: &str) -> Result<(), NameError> {
    if text.len() != 16 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(refuse("embedding space", text, "it must be 16 hex digits"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_leave_its_root() {
        for bad in [
            "",
            "/etc/passwd",
            "a/../../b",
            "..",
            "a//b",
            "./a",
            "a\\b",
            "http://x/y",
            "a\0b",
            "a\nb",
        ] {
            assert!(RelativePath::new(bad).is_err(), "{bad:?} was accepted");
        }
        for good in ["a.jpg", "2024/Größe_日本.jpg", "a b/c..d.png"] {
            assert!(RelativePath::new(good).is_ok(), "{good:?} was refused");
        }
    }

    #[test]
    fn a_library_is_a_safe_folder_name() {
        for bad in ["", "-a", "A", "a/b", "a.b", "ü", &"a".repeat(64)] {
            assert!(LibraryId::new(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(LibraryId::new("main").is_ok());
    }

    #[test]
    fn reading_json_checks_the_name() {
        assert!(serde_json::from_str::<RelativePath>("\"../x\"").is_err());
        assert!(serde_json::from_str::<ImageId>("\"4711\"").is_ok());
    }

    #[test]
    fn a_message_never_carries_a_whole_hostile_name() {
        let error = ImageId::new("x".repeat(1_000_000)).unwrap_err().to_string();
        assert!(error.len() < 200, "{} bytes", error.len());
    }
}
