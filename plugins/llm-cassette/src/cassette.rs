//! The file: one JSON object a line, first a header, then one line for each answered request.
//!
//! A line is written by one call and only ever appended, so whatever kills the program leaves at most one torn line,
//! the last. It is ignored when the cassette is read, and cut off before the next line is written.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use forethought_sdk::{
    prelude::*,
    serde_json::{self, Value},
};

/// The version of the format that this program writes.
pub const VERSION: u32 = 1;

/// The first line.
#[data]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Header {
    /// The version of the format.
    pub cassette: u32,
    /// What the recorded backend could do.
    pub capabilities: LlmCapabilities,
}

/// Every other line.
#[data]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recorded {
    /// How many equal requests had been made before this one. Lines stand in the order in which the answers came.
    pub nth: u32,
    /// What was asked.
    pub request: ChatRequest,
    /// What was answered.
    pub completion: Completion,
}

/// A cassette as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Cassette {
    /// The version of its format.
    pub version: u32,
    /// What the recorded backend could do.
    pub capabilities: LlmCapabilities,
    /// The answers, each with the number of its line.
    pub recorded: Vec<(usize, Recorded)>,
}

impl Cassette {
    /// The cassette in the file at `path`; `None` where there is no file, or not even a header in it.
    ///
    /// # Errors
    /// A file that cannot be read or is no cassette.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        match std::fs::read(path) {
            Ok(bytes) => Self::parse(&bytes, path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context(format!("reading {}", path.display())),
        }
    }

    /// The cassette that `bytes` are; `path` is for messages.
    ///
    /// # Errors
    /// A line that is none of a cassette, unless it is the last and has no end; a version that is not known.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Option<Self>> {
        let mut cassette: Option<Self> = None;
        for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let place = || format!("{}:{}", path.display(), index + 1);
            let parsed = match &mut cassette {
                _ if line.trim_ascii().is_empty() => Ok(()),
                Some(cassette) => {
                    serde_json::from_slice(line).map(|recorded| cassette.recorded.push((index + 1, recorded)))
                }
                None => serde_json::from_slice(line).map(|Header { cassette: version, capabilities }| {
                    cassette = Some(Self { version, capabilities, recorded: Vec::new() });
                }),
            };
            match parsed {
                Ok(()) => {}
                Err(error) if line.ends_with(b"\n") => {
                    return Err(
                        Error::input(format!("{}: this is no line of a cassette", place())).because(error)
                    );
                }
                Err(_) => tracing::warn!(place = place(), "the last line is torn and is ignored"),
            }
            if let Some(version) =
                cassette.as_ref().map(|it| it.version).filter(|version| *version != VERSION)
            {
                return Err(Error::input(format!(
                    "{}: the cassette is of version {version}; this program knows version {VERSION}",
                    path.display()
                )));
            }
        }
        Ok(cassette)
    }
}

/// What makes two requests the same: all that a backend is told, however its JSON is ordered, and not why it is asked.
pub fn key(request: &ChatRequest) -> String {
    comparable(request).to_string()
}

/// The same as a value.
pub(crate) fn comparable(request: &ChatRequest) -> Value {
    let mut value = serde_json::to_value(request).unwrap_or_default();
    if let Some(request) = value.as_object_mut() {
        request.remove("purpose");
    }
    sorted(value)
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let map: BTreeMap<_, _> = map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            map.into_iter().collect()
        }
        Value::Array(list) => list.into_iter().map(sorted).collect(),
        other => other,
    }
}

/// Appends a line to the cassette at `path`, which becomes one if it is none yet. Several may do so at once.
pub(crate) fn append(path: &Path, header: &Header, recorded: &Recorded) -> Result<()> {
    let write = || -> Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = File::options().create(true).read(true).append(true).open(path)?;
        file.lock()?;
        mend(&mut file, path)?;
        let mut lines = Vec::new();
        if file.metadata()?.len() == 0 {
            serde_json::to_writer(&mut lines, header)?;
            lines.push(b'\n');
        }
        serde_json::to_writer(&mut lines, recorded)?;
        lines.push(b'\n');
        Ok(file.write_all(&lines)?)
    };
    write().context(format!("writing {}", path.display()))
}

/// Ends the last line, or cuts it off if it is torn.
fn mend(file: &mut File, path: &Path) -> Result<()> {
    let length = file.metadata()?.len();
    let mut last = [b'\n'];
    if length > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    if last == [b'\n'] {
        return Ok(());
    }
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    let start = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    if serde_json::from_slice::<Value>(&bytes[start..]).is_ok() {
        // Whole, as an editor may leave it that ends no last line.
        return Ok(file.write_all(b"\n")?);
    }
    tracing::warn!(path = %path.display(), "the last line is torn and is cut off");
    Ok(file.set_len(start as u64)?)
}
