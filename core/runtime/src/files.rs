//! Files that are written whole or not at all, so that a reader never sees half of one.

use std::fs::{File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use forethought_api::{Error, Result};

/// How the names of unfinished files end.
const PART: &str = ".part";

/// Opens a file that somebody named.
///
/// # Errors
/// Bad input, if it cannot be opened.
pub(crate) fn open(path: &Path) -> Result<File> {
    File::open(path)
        .map_err(|error| Error::input(format!("{} could not be opened", path.display())).because(error))
}

/// Writes `bytes` beside `path` under a fresh name, then renames: two writers do not disturb each other.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    write_through(path, |file| Ok(file.write_all(bytes)?))
}

/// The same for what is written piece by piece.
pub(crate) fn write_through(path: &Path, write: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    // A link stays a link: what it points to is replaced.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let whole = || {
        let mut file = tempfile::Builder::new()
            .prefix(path.file_name().unwrap_or_default())
            .suffix(PART)
            // As any other new file, and not for its owner alone.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(path.parent().unwrap_or(Path::new(".")))?;
        write(file.as_file_mut())?;
        // Before it gets its name: after a power cut there is the old file or the new one, never an empty one.
        file.as_file().sync_all()?;
        file.persist(&path)?;
        Ok(())
    };
    whole().map_err(|error: Error| error.context(format!("{} could not be written", path.display())))
}

/// Removes what a killed process left unfinished in `folder`, of the files whose names begin with `start`. No other
/// process may be writing there.
pub fn remove_unfinished(folder: &Path, start: &str) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(start) && name.ends_with(PART) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_stays_a_link_and_unfinished_files_follow_none() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["target", "victim"] {
            std::fs::write(at(name), name).unwrap();
        }
        symlink(at("target"), at("link")).unwrap();
        // The name that an unfinished file once had, waiting for a careless writer.
        symlink(at("victim"), at("target.part")).unwrap();
        write_whole(&at("link"), b"new").unwrap();
        let text = |name: &str| std::fs::read_to_string(at(name)).unwrap();
        assert_eq!(
            (text("target"), text("link"), text("victim")),
            ("new".into(), "new".into(), "victim".into())
        );
        assert!(at("link").is_symlink());
    }
}
