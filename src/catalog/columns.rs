//! How times, vectors, lists and names become columns, and back.
//!
//! What must stay true: a time has exactly six decimals, so that texts order as times do on both
//! databases; a value that does not read back names its table and row instead of panicking.

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::CatalogError;

/// A time as it is stored: `2026-11-22T13:15:00.123456Z`, cut to microseconds.
pub fn time_text(time: Timestamp) -> String {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
    PRINTER.timestamp_to_string(&time)
}

/// A vector as it is stored: its numbers as little-endian `f32`, one after the other.
pub fn vector_bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// A list or object as JSON text.
pub fn json_text(value: &impl Serialize) -> Result<String, CatalogError> {
    serde_json::to_string(value).map_err(|error| {
        CatalogError::refused("a value", format!("it cannot be written as JSON: {error}"))
    })
}

/// Free text without NUL, which PostgreSQL cannot store.
pub fn plain(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// An unsigned number as the signed one that both databases have; what is too large stays at the
/// largest.
pub fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A count that is never negative.
pub fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// The row that is being read: it gives its name to whatever does not read.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// The table.
    pub table: &'static str,
    /// The library.
    pub library: &'a str,
    /// The rest of the key.
    pub key: &'a str,
}

impl Row<'_> {
    /// Says that this row is damaged.
    fn damaged(&self, cause: impl Into<String>) -> CatalogError {
        CatalogError::Corrupt {
            table: self.table,
            key: format!("{}/{}", self.library, self.key),
            cause: cause.into(),
        }
    }

    /// Reads a time.
    pub fn time(&self, text: &str) -> Result<Timestamp, CatalogError> {
        text.parse().map_err(|error: jiff::Error| self.damaged(error.to_string()))
    }

    /// Reads a time that may be absent.
    pub fn time_if(&self, text: Option<&str>) -> Result<Option<Timestamp>, CatalogError> {
        text.map(|text| self.time(text)).transpose()
    }

    /// Reads a vector.
    pub fn vector(&self, bytes: &[u8]) -> Result<Vec<f32>, CatalogError> {
        let (numbers, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(self.damaged(format!("a vector of {} bytes", bytes.len())));
        }
        Ok(numbers.iter().map(|number| f32::from_le_bytes(*number)).collect())
    }

    /// Reads a list or object.
    pub fn json<T: DeserializeOwned>(&self, text: &str) -> Result<T, CatalogError> {
        serde_json::from_str(text).map_err(|error| self.damaged(error.to_string()))
    }

    /// Reads a list that may be absent, as an empty one.
    pub fn list<T: DeserializeOwned>(&self, text: Option<&str>) -> Result<Vec<T>, CatalogError> {
        text.map_or_else(|| Ok(Vec::new()), |text| self.json(text))
    }

    /// Reads a checked name, a stage or a state.
    pub fn name<T>(&self, text: String) -> Result<T, CatalogError>
    where
        T: TryFrom<String>,
        T::Error: ToString,
    {
        T::try_from(text).map_err(|error| self.damaged(error.to_string()))
    }

    /// Reads a number into a narrower or unsigned type.
    pub fn number<T, N>(&self, number: N) -> Result<T, CatalogError>
    where
        T: TryFrom<N>,
        N: Copy + std::fmt::Display,
    {
        T::try_from(number).map_err(|_| self.damaged(format!("{number} is out of range")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: Row<'static> = Row { table: "analyses", library: "main", key: "7" };

    #[test]
    fn texts_order_as_times_do() {
        let times = [-1_i64, 0, 1, 999_999, 1_000_000, 1_700_000_000_000_000]
            .map(|at| Timestamp::from_microsecond(at).expect("in range"));
        let texts: Vec<String> = times.iter().map(|time| time_text(*time)).collect();
        assert!(texts.is_sorted(), "{texts:?}");
        assert!(texts.iter().all(|text| text.len() == 27), "{texts:?}");
        for (time, text) in times.iter().zip(&texts) {
            assert_eq!(ROW.time(text).unwrap(), *time);
        }
    }

    #[test]
    fn a_vector_survives_and_a_cut_one_names_its_row() {
        let vector = vec![0.5, -1.0, f32::MIN_POSITIVE];
        let bytes = vector_bytes(&vector);
        assert_eq!(ROW.vector(&bytes).unwrap(), vector);
        let error = ROW.vector(&bytes[..5]).unwrap_err().to_string();
        assert!(error.contains("main/7 of table analyses"), "{error}");
    }
}
