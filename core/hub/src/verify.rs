//! Digests of files, and the record of which files of a snapshot were verified.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use forethought_api::{Result, error::Context};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// The digest in an etag of the hub, in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Digest {
    /// The SHA-256 of a large file's content.
    Sha256(String),
    /// The git blob hash of a small file.
    GitBlob(String),
}

impl Digest {
    /// The digest in an etag; `None` if it is not a digest.
    pub(super) fn parse(etag: &str) -> Option<Self> {
        let hex = etag.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match etag.len() {
            64 if hex => Some(Self::Sha256(etag.to_owned())),
            40 if hex => Some(Self::GitBlob(etag.to_owned())),
            _ => None,
        }
    }

    /// In hexadecimal, as in the names of locks and blobs.
    pub(super) fn hex(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::GitBlob(hex) => hex,
        }
    }

    /// The SHA-256 of what is read.
    pub(super) fn sha256(content: &mut impl Read) -> std::io::Result<Self> {
        hash(Sha256::new(), content).map(Self::Sha256)
    }

    /// The git blob hash of `size` bytes that are read.
    pub(super) fn git_blob(size: u64, content: &mut impl Read) -> std::io::Result<Self> {
        hash(Sha1::new_with_prefix(format!("blob {size}\0")), content).map(Self::GitBlob)
    }

    /// The digest of the file at `path`, of the same kind as this one.
    pub(super) fn of_file(&self, path: &Path) -> Result<Self> {
        let reading = || format!("reading {}", path.display());
        let mut file = File::open(path).context(reading())?;
        let digest = match self {
            Self::Sha256(_) => Self::sha256(&mut file),
            Self::GitBlob(_) => {
                let size = file.metadata().context(reading())?.len();
                Self::git_blob(size, &mut file)
            }
        };
        digest.context(reading())
    }
}

fn hash(mut hasher: impl sha2::Digest, file: &mut impl Read) -> std::io::Result<String> {
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What is known about a snapshot's files, kept next to them in the cache.
///
/// Hashing hundreds of megabytes at every start would be slow, so a file whose size and modification time have not
/// changed since it was verified counts as verified. Other files are hashed again.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    known: Known,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Known {
    files: BTreeMap<String, Verified>,
    absent: BTreeSet<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Verified {
    digest: Digest,
    size: u64,
    modified_ns: u128,
}

impl Record {
    /// The record at `path`; empty if it is missing or unreadable, because it only saves work.
    pub(super) fn open(path: PathBuf) -> Self {
        let known = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self { path, known: known.unwrap_or_default() }
    }

    /// The file's digest when it was verified.
    pub(super) fn digest(&self, name: &str) -> Option<Digest> {
        self.known.files.get(name).map(|verified| verified.digest.clone())
    }

    /// Whether the file at `path` is unchanged since it was verified.
    pub(super) fn holds(&self, name: &str, path: &Path) -> Result<bool> {
        let Some(verified) = self.known.files.get(name) else { return Ok(false) };
        Ok(stamp(path)? == (verified.size, verified.modified_ns))
    }

    pub(super) fn note_sound(&mut self, name: &str, path: &Path, digest: Digest) -> Result<()> {
        let (size, modified_ns) = stamp(path)?;
        self.known.absent.remove(name);
        self.known.files.insert(name.to_owned(), Verified { digest, size, modified_ns });
        self.save();
        Ok(())
    }

    pub(super) fn is_absent(&self, name: &str) -> bool {
        self.known.absent.contains(name)
    }

    pub(super) fn note_absent(&mut self, name: &str) {
        if self.known.absent.insert(name.to_owned()) {
            self.save();
        }
    }

    pub(super) fn forget(&mut self, name: &str) {
        if self.known.files.remove(name).is_some() {
            self.save();
        }
    }

    /// A cache that cannot be written can still be read.
    fn save(&self) {
        let write = || write_whole(&self.path, &serde_json::to_vec_pretty(&self.known)?);
        if let Err(error) = write() {
            let path = self.path.display();
            tracing::debug!(%path, %error, "the verification cannot be saved; it will be done again");
        }
    }
}

/// Writes a file atomically: another process may be reading it.
pub(super) fn write_whole(path: &Path, content: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(content)?;
    file.persist(path)?;
    Ok(())
}

fn stamp(path: &Path) -> Result<(u64, u128)> {
    let metadata = std::fs::metadata(path)?;
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok((metadata.len(), modified.as_nanos()))
}
