//! The footer of a Parquet file, checked before the `parquet` crate reads it: that crate counts through a list of flags
//! in an unknown field without reading a byte for each, so a few bytes could keep it busy for hours.
//!
//! The footer is written in Thrift's compact protocol; only its sizes matter here.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

/// Deeper than any footer nests its values.
const DEPTH: u8 = 32;

/// Whether the lists of the footer have no more elements than the footer has bytes. What is no footer at all is fine:
/// the reader says so better.
pub(super) fn plausible(mut file: &File) -> io::Result<bool> {
    let size = file.seek(SeekFrom::End(0))?;
    let Some(end) = size.checked_sub(8) else { return Ok(true) };
    file.seek(SeekFrom::Start(end))?;
    let mut length = [0; 4];
    file.read_exact(&mut length)?;
    let length = u64::from(u32::from_le_bytes(length));
    let Some(start) = end.checked_sub(length) else { return Ok(true) };
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    file.rewind()?;
    let elements = bytes.len() as u64;
    Ok(Walk { bytes: &bytes, elements }.value(12, DEPTH).is_some())
}

struct Walk<'a> {
    bytes: &'a [u8],
    /// How many further elements of lists are plausible.
    elements: u64,
}

impl Walk<'_> {
    /// Skips a value of this type; `None` if it is malformed or has too many elements.
    fn value(&mut self, kind: u8, depth: u8) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match kind {
            // A flag is in the byte that gives its type.
            1 | 2 => Some(()),
            3 => self.skip(1),
            4..=6 => self.number().map(|_| ()),
            7 => self.skip(8),
            8 => {
                let length = self.number()?;
                self.skip(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.number()? } else { u64::from(head >> 4) };
                self.values(count, &[head & 15], depth)
            }
            11 => match self.number()? {
                0 => Some(()),
                count => {
                    let kinds = self.byte()?;
                    self.values(count, &[kinds >> 4, kinds & 15], depth)
                }
            },
            12 => loop {
                let head = self.byte()?;
                if head & 15 == 0 {
                    return Some(());
                }
                if head >> 4 == 0 {
                    self.number()?; // The field's own number, where it is far from the one before.
                }
                self.value(head & 15, depth)?;
            },
            13 => self.skip(16),
            _ => None,
        }
    }

    fn values(&mut self, count: u64, kinds: &[u8], depth: u8) -> Option<()> {
        self.elements = self.elements.checked_sub(count)?;
        for _ in 0..count {
            for kind in kinds {
                self.value(*kind, depth)?;
            }
        }
        Some(())
    }

    fn skip(&mut self, length: u64) -> Option<()> {
        self.bytes = self.bytes.get(usize::try_from(length).ok()?..)?;
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use crate::trajectories::{read, tests::simple, write};

    #[test]
    fn a_footer_with_more_elements_than_bytes_is_malformed_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.parquet");
        write(&path, &[simple("one", 2)]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let end = bytes.len() - 8;
        let length = u32::from_le_bytes(bytes[end..end + 4].try_into().unwrap());
        // Unknown fields before the end of the outermost value, each a list of 2^31 - 1 flags.
        let lists = [0xf9, 0xf1, 0xff, 0xff, 0xff, 0xff, 0x07].repeat(2);
        let mut crafted = bytes[..end - 1].to_vec();
        crafted.extend(&lists);
        crafted.push(0);
        crafted.extend((length + lists.len() as u32).to_le_bytes());
        crafted.extend(b"PAR1");
        std::fs::write(&path, crafted).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("data.parquet is malformed"), "{error}");
    }
}
