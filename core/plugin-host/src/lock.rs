//! `plugins.lock`: libraries that were inspected, with their hashes and descriptions.
//!
//! `forethought plugin add FILE` writes it. A library in it is loaded only if its bytes are still the same, and is not
//! asked for its description again.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use forethought_api::{Error, Result, error::Context, module::Description, text::unmarked};
use serde::{Deserialize, Serialize};

use super::{metadata::Metadata, policy::refused};

/// Name of the file.
pub const NAME: &str = "plugins.lock";

/// A library that was inspected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Locked {
    /// The file, relative to the lock's folder if it is below that.
    pub path: PathBuf,
    /// SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
    /// Its metadata.
    pub metadata: Vec<Metadata>,
    /// Its own description, with the schemas of its components.
    pub description: Description,
}

/// The content of a `plugins.lock`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Lock {
    /// The libraries, by path.
    pub plugins: Vec<Locked>,
}

impl Lock {
    /// The lock in `folder`; an empty one if there is none. Its paths are absolute.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Error::config(format!("{} cannot be read: {error}", path.display()))),
        };
        let mut lock: Self = serde_json::from_str(unmarked(&text)).map_err(|error| {
            Error::config(format!(
                "{} is malformed: {error}; delete it, and add its plugins again with `forethought plugin add FILE`",
                path.display()
            ))
        })?;
        lock.plugins.iter_mut().for_each(|plugin| plugin.path = folder.join(&plugin.path));
        Ok(lock)
    }

    /// Writes this lock into `folder`; gives the file's path.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(mut self, folder: &Path) -> Result<PathBuf> {
        for plugin in &mut self.plugins {
            if let Ok(below) = plugin.path.strip_prefix(folder) {
                plugin.path = below.into();
            }
        }
        self.plugins.sort_by(|a, b| a.path.cmp(&b.path));
        let path = folder.join(NAME);
        let text = serde_json::to_string_pretty(&self)? + "\n";
        write_whole(&path, &text, 0o666).context(format!("{} cannot be written", path.display()))?;
        Ok(path)
    }

    /// Adds a library, replacing the entry of the same path.
    pub fn add(&mut self, plugin: Locked) {
        self.plugins.retain(|known| !same(&known.path, &plugin.path));
        self.plugins.push(plugin);
    }

    /// The entry of the library `file`, whose bytes have this hash.
    ///
    /// # Errors
    /// If other bytes of this file were locked.
    pub fn find(&self, file: &Path, sha256: &str) -> Result<Option<&Locked>> {
        if let Some(known) = self.plugins.iter().find(|known| same(&known.path, file))
            && known.sha256 != sha256
        {
            return Err(refused(
                file,
                format!("its SHA-256 is {sha256}, and {NAME} knows it as {}", known.sha256),
                format!(
                    "if it was changed on purpose, inspect it again with `forethought plugin add {}`",
                    file.display()
                ),
            ));
        }
        Ok(self.plugins.iter().find(|known| known.sha256 == sha256))
    }
}

/// Atomic: another program that reads it sees the old file or the new one, which has these permissions.
pub(crate) fn write_whole(path: &Path, text: &str, mode: u32) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(path.file_name().unwrap_or_default())
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn same(a: &Path, b: &Path) -> bool {
    a == b || a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
}

#[cfg(test)]
mod tests {
    use forethought_api::{error::Code, module::Described};

    use super::*;
    use crate::testing::metadata;

    fn locked(path: PathBuf, sha256: &str) -> Locked {
        let tide = Described {
            interface: "forethought.environment/1".into(),
            kind: "tide".into(),
            summary: "rises and falls".into(),
            // TOML has no null.
            schema: serde_json::json!({ "properties": { "map": { "type": "string", "default": null } } }),
        };
        let description = Description::new("tide-pools", "0.1.0", vec![tide]);
        Locked { path, sha256: sha256.into(), metadata: vec![metadata("environment", "tide")], description }
    }

    #[test]
    fn a_lock_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Lock::read(folder.path()).unwrap(), Lock::default());
        let mut lock = Lock::default();
        lock.add(locked(folder.path().join("plugins/libtide.so"), "aa"));
        lock.add(locked("/opt/libdrift.so".into(), "bb"));
        let path = lock.clone().write(folder.path()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        // A folder can be moved together with its plugins.
        assert!(text.contains("\"plugins/libtide.so\"") && text.contains("\"/opt/libdrift.so\""), "{text}");
        // As some editors save it.
        std::fs::write(path, format!("\u{feff}{text}")).unwrap();
        let again = Lock::read(folder.path()).unwrap();
        let tide = again.find(&folder.path().join("plugins/libtide.so"), "aa").unwrap().unwrap();
        assert_eq!(*tide, lock.plugins[0]);
    }

    #[test]
    fn other_bytes_are_refused_and_the_same_bytes_are_known_at_any_path() {
        let mut lock = Lock::default();
        lock.add(locked("/plugins/libtide.so".into(), "aa"));
        let error = lock.find(Path::new("/plugins/libtide.so"), "bb").unwrap_err();
        assert_eq!(error.code, Code::Plugin);
        assert!(error.message.contains("forethought plugin add /plugins/libtide.so"), "{error}");
        assert!(lock.find(Path::new("/elsewhere/libtide.so"), "aa").unwrap().is_some());
        assert!(lock.find(Path::new("/elsewhere/libtide.so"), "bb").unwrap().is_none());
        lock.add(locked("/plugins/libtide.so".into(), "bb"));
        assert_eq!(lock.plugins.len(), 1);
    }

    #[test]
    fn the_error_of_a_malformed_lock_says_how_to_replace_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(NAME), "{").unwrap();
        let error = Lock::read(folder.path()).unwrap_err();
        assert_eq!(error.code, Code::Config);
        assert!(error.message.contains("delete it"), "{error}");
    }
}
