//! Files that are replaced whole or not at all.

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// Replaces the file at `path` by these pieces, one after the other: a reader sees the old file or the new one. Not synced
/// to the disk, so a power cut may leave part of it.
///
/// # Errors
/// If it cannot be written; the old file then stays.
pub fn replace(path: &Path, pieces: &[&[u8]]) -> io::Result<()> {
    let mut name = path.to_owned().into_os_string();
    name.push(format!(".{}.part", std::process::id()));
    let part = PathBuf::from(name);
    remove(&part)?;
    let written = fs::File::create_new(&part)
        .and_then(|mut file| pieces.iter().try_for_each(|piece| file.write_all(piece)));
    written.and_then(|()| fs::rename(&part, path)).inspect_err(|_| drop(remove(&part)))
}

/// Removes a file that need not exist.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
