//! The built-in plugins and environments as libraries, for `[plugins] load` and `--plugin`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// Builds every member of `plugins/` and `environments/` with a cdylib, and copies the libraries to `out`.
pub(crate) fn build(release: bool, out: Option<PathBuf>) -> Result<(), Box<dyn Error>> {
    let packages = packages()?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(crate::root()).args(["build", "--lib", "--message-format=json-render-diagnostics"]);
    cargo.args(packages.iter().flat_map(|package| ["--package", package]));
    if release {
        cargo.arg("--release");
    }
    let output = cargo.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err("the libraries could not be built; see cargo's output above".into());
    }

    let out = out.unwrap_or_else(|| crate::root().join("target/plugins"));
    std::fs::create_dir_all(&out)?;
    println!("{:<28}{:>10}  FILE", "PLUGIN", "MB");
    for line in output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let message = serde_json::from_slice(line)?;
        let Some((name, built)) = library(&message) else { continue };
        if !packages.iter().any(|package| package.replace('-', "_") == name) {
            continue;
        }
        let file = out.join(built.file_name().expect("a library has a name"));
        // Copied next to it, then renamed: a program that has the old file open keeps it intact.
        let part = file.with_extension("part");
        let bytes = std::fs::copy(built, &part)?;
        std::fs::rename(&part, &file)?;
        println!("{:<28}{:>10.1}  {}", name, bytes as f64 / 1e6, file.display());
    }
    Ok(())
}

/// Names of the packages that can be loaded.
fn packages() -> Result<Vec<String>, Box<dyn Error>> {
    let mut found = Vec::new();
    for group in ["plugins", "environments"] {
        for entry in std::fs::read_dir(crate::root().join(group))? {
            let path = entry?.path().join("Cargo.toml");
            // The Python kit is no crate.
            if !path.is_file() {
                continue;
            }
            let text =
                std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let manifest: toml::Table =
                text.parse().map_err(|error| format!("{}: {error}", path.display()))?;
            found.extend(loadable(&manifest).map(str::to_owned));
        }
    }
    found.sort();
    Ok(found)
}

/// The package's name, if it has a cdylib.
fn loadable(manifest: &toml::Table) -> Option<&str> {
    let types = manifest.get("lib")?.get("crate-type")?.as_array()?;
    types.iter().any(|kind| kind.as_str() == Some("cdylib")).then_some(())?;
    manifest.get("package")?.get("name")?.as_str()
}

/// Crate and file of a dynamic library, if cargo's message describes one.
fn library(message: &Value) -> Option<(&str, &Path)> {
    let target = message.get("target")?;
    target["crate_types"].as_array()?.contains(&"cdylib".into()).then_some(())?;
    let mut files = message["filenames"].as_array()?.iter().filter_map(Value::as_str).map(Path::new);
    let file =
        files.find(|file| file.extension().is_some_and(|end| end == std::env::consts::DLL_EXTENSION))?;
    Some((target["name"].as_str()?, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plugin_and_environment_can_be_loaded() {
        let packages = packages().unwrap();
        let folders = ["plugins", "environments"]
            .map(|group| std::fs::read_dir(crate::root().join(group)).unwrap().count());
        // `plugins/candle` and `plugins/strips` are what plugins share; `plugins/python` is a Python package.
        assert_eq!(packages.len() + 3, folders.iter().sum::<usize>(), "{packages:?}");
        assert!(packages.contains(&"forethought-webshop".to_owned()), "{packages:?}");
    }

    #[test]
    fn a_package_without_a_cdylib_cannot_be_loaded() {
        let manifest = "[package]\nname = 'a'\n[lib]\ncrate-type = ['rlib']".parse().unwrap();
        assert_eq!(loadable(&manifest), None);
    }

    #[test]
    fn a_library_is_found_in_the_output_of_cargo() {
        let file = format!("/t/liba.{}", std::env::consts::DLL_EXTENSION);
        let message = serde_json::json!({
            "reason": "compiler-artifact",
            "target": { "name": "a", "crate_types": ["rlib", "cdylib"] },
            "filenames": ["/t/liba.rlib", file],
        });
        assert_eq!(library(&message), Some(("a", Path::new(&file))));
        assert_eq!(library(&serde_json::json!({ "reason": "build-finished" })), None);
    }
}
