//! Where an Ollama answers, in the forms in which people write `OLLAMA_HOST`.

/// The port that Ollama listens on.
const PORT: u16 = 11434;

/// Host and port of an Ollama.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OllamaAddress {
    host: String,
    port: u16,
}

impl OllamaAddress {
    /// Reads `host`, `host:port`, `[::1]:port`, each with `http://` before it or not.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.starts_with("https://") {
            return Err(
                "https:// is not spoken: name the Ollama itself with http://, or a proxy on \
                        this machine that speaks it"
                    .to_owned(),
            );
        }
        let rest = text.strip_prefix("http://").unwrap_or(text);
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').unwrap_or(port))),
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let port = port.map_or(Ok(PORT), str::parse);
        let port = port.map_err(|_| "its port is no number up to 65535".to_owned())?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
        if host.is_empty() || !host.bytes().all(plain) {
            return Err("it names no host: write host or host:port".to_owned());
        }
        // Ollama's own setting of this name says where it listens: everywhere is here as well.
        let host = if host == "0.0.0.0" { "127.0.0.1" } else { host };
        Ok(Self { host: host.to_owned(), port })
    }

    /// What to connect to.
    pub(super) fn target(&self) -> (&str, u16) {
        (&self.host, self.port)
    }
}

impl std::fmt::Display for OllamaAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            return write!(f, "[{}]:{}", self.host, self.port);
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_as_people_write_it() {
        for (written, read) in [
            ("localhost", "localhost:11434"),
            ("http://ollama:8080/", "ollama:8080"),
            (" 10.0.0.2:1 ", "10.0.0.2:1"),
            ("0.0.0.0", "127.0.0.1:11434"),
            ("http://[::1]:7", "[::1]:7"),
            ("[::1]", "[::1]:11434"),
        ] {
            assert_eq!(OllamaAddress::parse(written).unwrap().to_string(), read, "{written}");
        }
        for wrong in ["", "http://", "https://ollama", "a:b", "a:99999", "a b", "a/b", ":1", "::1"]
        {
            assert!(OllamaAddress::parse(wrong).is_err(), "{wrong}");
        }
    }
}
