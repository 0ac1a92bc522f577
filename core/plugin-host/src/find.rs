//! Finds the library files that a configuration names.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};

use forethought_api::{Error, Result, error::Context};

use crate::{registry::suggestion, settings::PluginPath};

/// The libraries that `path` means: itself, all of a folder, or the first of this name in the folders of `search`.
///
/// # Errors
/// If there is none.
pub fn libraries(path: &PluginPath, search: &[PathBuf]) -> Result<Vec<PathBuf>> {
    if path.is_name() {
        return named(&path.0, search).map(|file| vec![file]);
    }
    let path = Path::new(&path.0);
    if path.is_dir() {
        return match in_folder(path)? {
            none if none.is_empty() => Err(Error::not_found(format!(
                "{} contains no library ({DLL_PREFIX}*{DLL_SUFFIX}); add one, or remove the folder from the \
                 configuration",
                path.display()
            ))),
            libraries => Ok(libraries),
        };
    }
    if path.is_file() {
        return Ok(vec![path.into()]);
    }
    let beside = path.parent().and_then(|folder| in_folder(folder).ok()).unwrap_or_default();
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let near: Vec<_> = beside.iter().map(|file| name(file)).collect();
    let known = match near.is_empty() {
        true => "build it with `cargo build --release`, or correct the path".into(),
        false => suggestion(&name(path), near.iter().map(String::as_str)),
    };
    Err(Error::not_found(format!("there is no library {}; {known}", path.display())))
}

/// All libraries in a folder, by name.
///
/// # Errors
/// If the folder cannot be read.
pub fn in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut libraries = Vec::new();
    for entry in std::fs::read_dir(folder).context(format!("{} cannot be read", folder.display()))? {
        let path = entry?.path();
        if path.is_file() && path.to_string_lossy().ends_with(DLL_SUFFIX) {
            libraries.push(path);
        }
    }
    libraries.sort();
    Ok(libraries)
}

fn named(name: &str, search: &[PathBuf]) -> Result<PathBuf> {
    let file = format!("{DLL_PREFIX}{}{DLL_SUFFIX}", name.replace('-', "_"));
    if let Some(found) = search.iter().map(|folder| folder.join(&file)).find(|path| path.is_file()) {
        return Ok(found);
    }
    let folders: Vec<_> = search.iter().map(|folder| folder.display().to_string()).collect();
    let folders = if folders.is_empty() { "no folder".into() } else { folders.join(", ") };
    Err(Error::not_found(format!(
        "there is no plugin `{name}`: {file} is not in {folders}; put it there, add its folder to [plugins] \
         search or FORETHOUGHT_PLUGIN_PATH, or write a path: ./{file}, or ./{name} for a folder"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: impl Into<String>) -> PluginPath {
        PluginPath(text.into())
    }

    #[test]
    fn folders_are_searched_in_order() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let search = [first.path().to_path_buf(), second.path().to_path_buf()];
        let file = format!("{DLL_PREFIX}tide_pools{DLL_SUFFIX}");
        std::fs::write(second.path().join(&file), "").unwrap();
        assert_eq!(libraries(&path("tide-pools"), &search).unwrap(), [second.path().join(&file)]);
        std::fs::write(first.path().join(&file), "").unwrap();
        assert_eq!(libraries(&path("tide-pools"), &search).unwrap(), [first.path().join(&file)]);
        let message = libraries(&path("drift"), &search).unwrap_err().message;
        assert!(message.contains(&*first.path().to_string_lossy()), "{message}");
        assert!(message.contains("FORETHOUGHT_PLUGIN_PATH"), "{message}");
    }

    #[test]
    fn a_folder_means_all_its_libraries() {
        let folder = tempfile::tempdir().unwrap();
        let whole = path(folder.path().to_string_lossy());
        assert!(libraries(&whole, &[]).unwrap_err().message.contains("contains no library"));
        let [b, a] = ["libb", "liba"].map(|name| folder.path().join(format!("{name}{DLL_SUFFIX}")));
        for file in [&a, &b, &folder.path().join("README.md")] {
            std::fs::write(file, "").unwrap();
        }
        assert_eq!(libraries(&whole, &[]).unwrap(), [a.clone(), b]);
        let wrong = folder.path().join(format!("libaa{DLL_SUFFIX}"));
        let message = libraries(&path(wrong.to_string_lossy()), &[]).unwrap_err().message;
        assert!(message.contains(&format!("the nearest is `liba{DLL_SUFFIX}`")), "{message}");
    }
}
