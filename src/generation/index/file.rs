//! The index as bytes: written once, read with nothing taken on trust.
//!
//! Little endian: magic, version, kind, dim, count, number of layers, entry, bytes of ids; then
//! vectors, ends of ids, ids; then each layer: number of members (0 on layer 0: all rows),
//! members, number of neighbours, offsets, neighbours. Every length is checked against what is
//! left of the file before memory is asked for it, every row against the count, so that hostile
//! bytes are an error and never a panic.

use std::io::{Read, Write};

use super::{Index, IndexError, Layer};
use crate::names::ImageId;

const MAGIC: &[u8; 8] = b"eyeflat\0";
const VERSION: u32 = 1;
/// More layers than any graph of 32-bit rows needs.
const LAYERS_MAX: u32 = 32;

/// Bytes before the vectors.
pub(super) const HEADER_BYTES: u64 = 36;

/// What stands before the vectors.
pub(super) struct Header {
    pub dim: u32,
    pub count: u32,
    pub layer_count: u32,
    pub entry: u32,
    pub id_bytes: u64,
}

impl Header {
    /// Reads it from the beginning of a file of `size` bytes.
    pub fn read(from: &mut impl Read, size: u64) -> Result<Self, IndexError> {
        let mut from = Source { from, left: size };
        if &from.array::<8>()? != MAGIC {
            return Err(malformed("it does not begin as one"));
        }
        let version = from.number()?;
        if version != VERSION {
            return Err(malformed(format!("its version is {version}, not {VERSION}")));
        }
        Ok(Self {
            dim: from.number()?,
            count: from.number()?,
            layer_count: from.number()?,
            entry: from.number()?,
            id_bytes: u64::from_le_bytes(from.array()?),
        })
    }
}

impl Index {
    /// Writes the index.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write(&self, out: &mut impl Write) -> Result<(), IndexError> {
        out.write_all(MAGIC)?;
        put(out, VERSION)?;
        put(out, self.dim as u32)?;
        put(out, self.len() as u32)?;
        put(out, self.layers.len() as u32)?;
        put(out, self.entry)?;
        out.write_all(&(self.ids.len() as u64).to_le_bytes())?;
        for value in &self.vectors {
            out.write_all(&value.to_le_bytes())?;
        }
        for end in &self.id_ends {
            out.write_all(&end.to_le_bytes())?;
        }
        out.write_all(self.ids.as_bytes())?;
        for layer in &self.layers {
            put(out, layer.members.len() as u32)?;
            put_all(out, &layer.members)?;
            put(out, layer.neighbours.len() as u32)?;
            put_all(out, &layer.offsets)?;
            put_all(out, &layer.neighbours)?;
        }
        Ok(())
    }

    /// Reads an index of `size` bytes.
    ///
    /// # Errors
    /// The bytes are not a sound index, or reading fails.
    pub fn read(from: &mut impl Read, size: u64) -> Result<Self, IndexError> {
        let Header { dim, count, layer_count, entry, id_bytes } = Header::read(from, size)?;
        let mut from = Source { from, left: size - HEADER_BYTES };
        let value_count = u64::from(dim) * u64::from(count);
        let vectors = from.floats(value_count)?;
        let id_ends = from.ends(u64::from(count))?;
        let ids = String::from_utf8(from.bytes(id_bytes)?)
            .map_err(|_| malformed("its ids are not text"))?;
        if layer_count > LAYERS_MAX {
            return Err(malformed(format!("{layer_count} layers")));
        }
        let mut layers = Vec::new();
        for number in 0..layer_count {
            let members = u64::from(from.number()?);
            let members = from.numbers(members)?;
            let edges = u64::from(from.number()?);
            let owners = if number == 0 { u64::from(count) } else { members.len() as u64 };
            let offsets = from.numbers(owners + 1)?;
            let neighbours = from.numbers(edges)?;
            layers.push(Layer { members, offsets, neighbours });
        }
        if from.left > 0 {
            return Err(malformed(format!("{} bytes too many", from.left)));
        }
        let index = Self { dim: dim as usize, vectors, ids, id_ends, layers, entry };
        index.check_content()?;
        index.check_graph()?;
        Ok(index)
    }

    fn check_content(&self) -> Result<(), IndexError> {
        if self.dim == 0 && !self.is_empty() {
            return Err(malformed("its vectors have no values"));
        }
        if self.vectors.iter().any(|value| !value.is_finite()) {
            return Err(malformed("a value is not finite"));
        }
        let mut start = 0;
        for end in &self.id_ends {
            // `get` also refuses an end inside a character.
            let id = usize::try_from(*end).ok().and_then(|end| self.ids.get(start..end));
            let Some(id) = id else { return Err(malformed("an id lies outside the ids")) };
            ImageId::new(id).map_err(|error| malformed(error.to_string()))?;
            start = *end as usize;
        }
        if start != self.ids.len() {
            return Err(malformed("ids without vectors"));
        }
        Ok(())
    }

    /// Whether every layer fits the vectors and the layer below it.
    pub(super) fn check_graph(&self) -> Result<(), IndexError> {
        let count = self.len() as u32;
        if self.layers.is_empty() {
            return if self.entry == 0 { Ok(()) } else { Err(malformed("an entry to nothing")) };
        }
        if self.entry >= count {
            return Err(malformed("its entry is not a row"));
        }
        for (number, layer) in self.layers.iter().enumerate() {
            let wrong = |why: &str| Err(malformed(format!("layer {number}: {why}")));
            if (number == 0) != layer.members.is_empty() {
                return wrong("layer 0 alone names no members");
            }
            let owners = if number == 0 { count as usize } else { layer.members.len() };
            if layer.offsets.len() != owners + 1 || layer.offsets[0] != 0 {
                return wrong("offsets do not fit its members");
            }
            let ascending = layer.members.windows(2).all(|pair| pair[0] < pair[1]);
            if !ascending || layer.members.last().is_some_and(|row| *row >= count) {
                return wrong("members are not rows in order");
            }
            let rising = layer.offsets.windows(2).all(|pair| pair[0] <= pair[1]);
            let end = layer.offsets[owners] as usize;
            if !rising || end != layer.neighbours.len() {
                return wrong("offsets do not fit its neighbours");
            }
            let is_member = |row: &u32| {
                if number == 0 { *row < count } else { layer.members.binary_search(row).is_ok() }
            };
            if !layer.neighbours.iter().all(is_member) {
                return wrong("a neighbour is not on it");
            }
            let is_top = number + 1 == self.layers.len();
            if is_top && !is_member(&self.entry) {
                return wrong("the entry is not on it");
            }
        }
        Ok(())
    }
}

fn malformed(why: impl Into<String>) -> IndexError {
    IndexError::Malformed(why.into())
}

fn put(out: &mut impl Write, number: u32) -> Result<(), IndexError> {
    Ok(out.write_all(&number.to_le_bytes())?)
}

fn put_all(out: &mut impl Write, numbers: &[u32]) -> Result<(), IndexError> {
    numbers.iter().try_for_each(|number| put(out, *number))
}

/// Bytes with a known end. Asks for memory only after checking that the bytes are there.
struct Source<'a, R> {
    from: &'a mut R,
    left: u64,
}

impl<R: Read> Source<'_, R> {
    fn take(&mut self, bytes: Option<u64>) -> Result<usize, IndexError> {
        let bytes = bytes.filter(|bytes| *bytes <= self.left);
        let Some(bytes) = bytes else { return Err(malformed("it is shorter than it says")) };
        self.left -= bytes;
        Ok(bytes as usize)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], IndexError> {
        self.take(Some(N as u64))?;
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn number(&mut self) -> Result<u32, IndexError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn bytes(&mut self, count: u64) -> Result<Vec<u8>, IndexError> {
        let mut bytes = vec![0; self.take(Some(count))?];
        self.from.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads values of `N` bytes in pieces, so that raw bytes and values are never both in memory
    /// as a whole.
    fn values<const N: usize, T>(
        &mut self,
        count: u64,
        convert: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>, IndexError> {
        let mut left = self.take(count.checked_mul(N as u64))?;
        let mut values = Vec::with_capacity(left / N);
        let mut piece = vec![0; left.min(N * 8192)];
        while left > 0 {
            let length = piece.len().min(left);
            let piece = &mut piece[..length];
            self.from.read_exact(piece)?;
            let (chunks, _) = piece.as_chunks::<N>();
            values.extend(chunks.iter().map(|chunk| convert(*chunk)));
            left -= length;
        }
        Ok(values)
    }

    fn numbers(&mut self, count: u64) -> Result<Vec<u32>, IndexError> {
        self.values(count, u32::from_le_bytes)
    }

    fn floats(&mut self, count: u64) -> Result<Vec<f32>, IndexError> {
        self.values(count, f32::from_le_bytes)
    }

    fn ends(&mut self, count: u64) -> Result<Vec<u64>, IndexError> {
        self.values(count, u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::generation::samples::{ids, small_graph, unit_vectors};

    fn bytes_of(index: &Index) -> Vec<u8> {
        let mut bytes = Vec::new();
        index.write(&mut bytes).unwrap();
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Index, IndexError> {
        Index::read(&mut &bytes[..], bytes.len() as u64)
    }

    #[test]
    fn what_was_written_is_read() {
        let exact = Index::exact(5, unit_vectors(1, 9, 5), &ids(9));
        let empty = Index::exact(5, Vec::new(), &[]);
        for index in [exact, empty, small_graph()] {
            assert_eq!(read(&bytes_of(&index)).unwrap(), index);
        }
    }

    #[test]
    fn every_cut_is_an_error() {
        let bytes = bytes_of(&small_graph());
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
        }
        let longer: Vec<u8> = bytes.iter().copied().chain([0]).collect();
        assert!(read(&longer).is_err());
    }

    #[test]
    fn a_header_that_promises_terabytes_gets_none() {
        let mut bytes = bytes_of(&small_graph());
        bytes[12..20].fill(0xff);
        assert!(matches!(read(&bytes), Err(IndexError::Malformed(_))));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn hostile_bytes_are_an_error_or_a_working_index(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let mut bytes = bytes_of(&small_graph());
            for (position, value) in changes {
                let position = position.index(bytes.len());
                bytes[position] = value;
            }
            if let Ok(index) = read(&bytes) {
                let query = vec![0.5; index.dim()];
                let found = index.search(&query, 3, &|_| true).unwrap();
                prop_assert!(found.len() <= 3);
                index.unreachable();
                index.self_retrieval(10);
            }
        }
    }
}
