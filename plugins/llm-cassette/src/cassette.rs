//! The file: one JSON object per line, first a header, then one line per answered request.
//!
//! Each line is appended by a single write, so a killed program leaves at most one torn line, the last. It is ignored
//! when the cassette is read, and cut off before the next line is written.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use forethought_sdk::{
    api::text::unmarked_bytes,
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
    /// Number of equal requests made before this one. Lines are in the order in which the answers arrived.
    pub nth: u32,
    /// The request.
    pub request: ChatRequest,
    /// The answer.
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
    /// The cassette at `path`; `None` if there is no file, or not even a header in it.
    ///
    /// # Errors
    /// A file that cannot be read or is not a cassette.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        match std::fs::read(path) {
            Ok(bytes) => Self::parse(&bytes, path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context(format!("reading {}", path.display())),
        }
    }

    /// The cassette in `bytes`; `path` is for messages.
    ///
    /// # Errors
    /// A line that is not part of a cassette, unless it is the last and has no end; an unknown version.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Option<Self>> {
        let mut cassette: Option<Self> = None;
        for (index, line) in unmarked_bytes(bytes).split_inclusive(|byte| *byte == b'\n').enumerate() {
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
                    return Err(Error::input(format!("{}: not a line of a cassette", place())).because(error));
                }
                Err(_) => tracing::warn!(place = place(), "the last line is torn and is ignored"),
            }
            if let Some(version) =
                cassette.as_ref().map(|it| it.version).filter(|version| *version != VERSION)
            {
                return Err(Error::input(format!(
                    "{}: the cassette has format version {version}; this program supports version {VERSION}",
                    path.display()
                )));
            }
        }
        Ok(cassette)
    }
}

/// Equal for equal requests: all that a backend is given, regardless of the purpose and of the order of JSON keys.
pub fn key(request: &ChatRequest) -> String {
    comparable(request).to_string()
}

/// The key as a value.
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

/// Appends a line to the cassette at `path`, which is created if it does not exist. Safe to call concurrently.
pub(crate) fn append(path: &Path, header: &Header, recorded: &Recorded) -> Result<()> {
    let write = || -> Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = File::options().create(true).read(true).append(true).open(path)?;
        file.lock()?;
        repair(&mut file, path)?;
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
fn repair(file: &mut File, path: &Path) -> Result<()> {
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
        // Complete; some editors do not end the last line.
        return Ok(file.write_all(b"\n")?);
    }
    tracing::warn!(path = %path.display(), "the last line is torn and is cut off");
    Ok(file.set_len(start as u64)?)
}
