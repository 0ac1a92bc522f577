//! Which files are read, and how much of them: they may be somebody else's.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::Value;

use crate::json;

/// The most bytes of one document: a file, a line, or an entry of an archive.
pub(crate) const DOCUMENT: u64 = 1 << 30;
/// Folders below the one that is named.
const DEPTH: usize = 8;
/// Files that are looked at in a folder.
const FILES: usize = 1_000_000;

/// The file, or all files of the folder and those below it whose name the format uses, sorted. Links are not followed.
pub(crate) fn files(path: &Path, fits: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let metadata = fs::metadata(path).context(format!("{} cannot be read", path.display()))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let (mut found, mut looked, mut folders) = (Vec::new(), 0, vec![(path.to_owned(), 0)]);
    while let Some((folder, depth)) = folders.pop() {
        let failed = || format!("{} cannot be listed", folder.display());
        for entry in fs::read_dir(&folder).context(failed())? {
            let entry = entry.context(failed())?;
            let kind = entry.file_type().context(failed())?;
            looked += 1;
            if looked > FILES {
                return Err(Error::input(format!("{} has more than {FILES} files", path.display())));
            }
            if kind.is_dir() && depth < DEPTH {
                folders.push((entry.path(), depth + 1));
            } else if kind.is_file() && entry.file_name().to_str().is_some_and(&fits) {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    if found.is_empty() {
        return Err(Error::input(format!("{} has no file of this format", path.display())));
    }
    Ok(found)
}

/// A file's bytes.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>> {
    let failed = || format!("{} cannot be read", path.display());
    limited(File::open(path).context(failed())?, DOCUMENT).context(failed())
}

/// All bytes, or an error if there are more than `most`.
pub(crate) fn limited(reader: impl Read, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(Error::input(format!("it has more than {most} bytes")));
    }
    Ok(bytes)
}

/// The documents of a file of JSON Lines, one by one; blank lines are skipped.
pub(crate) struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    /// The line that was read last.
    pub(crate) number: u64,
    /// Bytes that were read, and those of the file; of a pipe there are always more.
    pub(crate) read: u64,
    size: u64,
}

impl Lines {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).context(format!("{} cannot be read", path.display()))?;
        let size = file.metadata().map_or(0, |found| found.len());
        Ok(Self { path: path.to_owned(), reader: BufReader::new(file), number: 0, read: 0, size })
    }

    /// The next document.
    ///
    /// # Errors
    /// A line that is too long or not JSON, with its place.
    pub(crate) fn next(&mut self) -> Result<Option<Value>> {
        loop {
            self.number += 1;
            let mut line = Vec::new();
            let read = (&mut self.reader).take(DOCUMENT + 1).read_until(b'\n', &mut line);
            self.read += read.context(self.place())? as u64;
            if line.len() as u64 > DOCUMENT {
                return Err(self.at(Error::input(format!("it has more than {DOCUMENT} bytes"))));
            }
            if line.is_empty() {
                return Ok(None);
            }
            if !line.trim_ascii().is_empty() {
                return json::parse(&line).map(Some).map_err(|error| self.at(error));
            }
        }
    }

    /// Bytes to be read.
    pub(crate) fn total(&self) -> u64 {
        self.size.max(self.read + u64::from(self.size == 0))
    }

    /// The error with the place of the last line.
    pub(crate) fn at(&self, error: Error) -> Error {
        at(self.place(), error)
    }

    fn place(&self) -> String {
        format!("{}, line {}", self.path.display(), self.number)
    }
}

/// The error with the place where it is.
pub(crate) fn at(place: impl std::fmt::Display, mut error: Error) -> Error {
    error.message = format!("{place}: {}", error.message);
    error
}

/// A file's name without its ending.
pub(crate) fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
