//! Which Python runs a component, by which command, and what is missing if it does not run.

use std::path::{Path, PathBuf};

use forethought_sdk::prelude::*;

use crate::config::PythonConfig;

/// The command that serves the module.
///
/// # Errors
/// If there is no interpreter or no such file, with what was looked for and the way out.
pub(crate) fn command(config: &PythonConfig) -> Result<Vec<String>> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let folder = config.folder.as_deref().unwrap_or(Path::new("."));
    let python = find(config.python.as_deref(), folder, variable)?;
    let module = config.module.0.clone();
    if !config.module.is_file() {
        return Ok(vec![python, "-m".into(), module]);
    }
    let file = folder.join(&module);
    if !file.is_file() {
        return Err(Error::config(format!(
            "`module`: there is no file {}; correct the path, which is relative to the folder of the configuration, or \
             name a module without `.py`",
            file.display()
        )));
    }
    Ok(vec![python, module])
}

/// The interpreter.
fn find(given: Option<&str>, folder: &Path, variable: impl Fn(&str) -> Option<PathBuf>) -> Result<String> {
    let path = variable("PATH").unwrap_or_default();
    let in_path =
        |name: &str| std::env::split_paths(&path).map(|one| one.join(name)).find(|one| one.is_file());
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let Some(given) = given else {
        let active = variable("VIRTUAL_ENV").map(|environment| environment.join("bin/python"));
        let beside = folder.join(".venv/bin/python");
        let beside = std::path::absolute(&beside).unwrap_or(beside);
        let found = active.into_iter().chain([beside]).find(|python| python.is_file());
        let found = found.or_else(|| in_path("python3")).or_else(|| in_path("python"));
        return found.map(text).ok_or_else(|| {
            Error::config(format!(
                "there is no Python: no virtual environment is active, {} has no .venv, and PATH has no python3; install \
                 Python 3.10 or later, or name one with `python = \"...\"`",
                folder.display()
            ))
        });
    };
    let found = match given.contains('/') {
        true => Some(folder.join(given)).filter(|python| python.is_file()),
        false => in_path(given),
    };
    found.map(text).ok_or_else(|| {
        let place =
            if given.contains('/') { folder.join(given).display().to_string() } else { "PATH".into() };
        Error::config(format!("`python`: there is no interpreter `{given}` (looked for in {place})"))
    })
}

/// `error`, with the command that installs what Python did not find.
pub(crate) fn explain(error: Error, config: &PythonConfig, python: &str) -> Error {
    let said = error.to_string();
    let Some(missing) = missing(&said) else { return error };
    let module = &config.module.0;
    let top = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    let what = if top(missing) == "forethought_kit" {
        if missing == "forethought_kit" {
            format!(
                "{python} does not have the package forethought-kit; install it: {python} -m pip install \
                 forethought-kit, or from a checkout: {python} -m pip install CHECKOUT/plugins/python"
            )
        } else {
            format!(
                "`module`: the forethought-kit of {python} has no module {missing}; update it, or correct the name"
            )
        }
    } else if !config.module.is_file() && top(missing) == top(module) {
        let folder = config.folder.as_deref().unwrap_or(Path::new("."));
        format!(
            "`module`: {python} finds no module `{missing}`, neither among its packages nor in {}; install its package, \
             or correct the name",
            folder.display()
        )
    } else {
        format!(
            "{module} needs the Python package `{missing}`; install it: {python} -m pip install {missing}"
        )
    };
    Error::config(what).because(error)
}

/// The module that Python's last words say is missing.
fn missing(said: &str) -> Option<&str> {
    let (_, rest) = said.rsplit_once("No module named ")?;
    let rest = rest.trim_start_matches('\'');
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')).unwrap_or(rest.len());
    Some(rest[..end].trim_end_matches('.')).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: PathBuf) -> String {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "").unwrap();
        path.to_string_lossy().into_owned()
    }

    #[test]
    fn the_closest_interpreter_is_taken() {
        let here = tempfile::tempdir().unwrap();
        let variables = |name: &str| match name {
            "PATH" => Some(here.path().join("bin")),
            "VIRTUAL_ENV" => Some(here.path().join("active")),
            _ => None,
        };
        let find = |given: Option<&str>| find(given, &here.path().join("project"), variables);
        let said = find(None).unwrap_err().message;
        assert!(said.contains("there is no Python") && said.contains("`python = \"...\"`"), "{said}");
        let system = file(here.path().join("bin/python3"));
        assert_eq!(find(None).unwrap(), system);
        let project = file(here.path().join("project/.venv/bin/python"));
        assert_eq!(find(None).unwrap(), project);
        let active = file(here.path().join("active/bin/python"));
        assert_eq!(find(None).unwrap(), active);
        assert_eq!(find(Some("python3")).unwrap(), system);
        assert_eq!(find(Some(".venv/bin/python")).unwrap(), project);
        for (given, place) in [("python9", "PATH"), ("./python9", "project/./python9")] {
            let said = find(Some(given)).unwrap_err().message;
            assert!(said.contains(given) && said.contains(place), "{said}");
        }
    }

    #[test]
    fn what_is_missing_is_said_with_the_command_that_installs_it() {
        let explained = |module: &str, said: &str| {
            let config = PythonConfig {
                folder: Some(ConfigPath("/project".into())),
                ..forethought_sdk::serde_json::from_value(
                    forethought_sdk::serde_json::json!({ "module": module }),
                )
                .unwrap()
            };
            explain(Error::other("ended").because(Error::other(said)), &config, "/py").message
        };
        for (module, said, expected) in [
            (
                "forethought_kit.gymnasium",
                "ModuleNotFoundError: No module named 'forethought_kit'",
                "/py -m pip install forethought-kit",
            ),
            (
                "forethought_kit.gym",
                "/py: No module named forethought_kit.gym",
                "has no module forethought_kit.gym",
            ),
            (
                "my.world",
                "Error while finding module specification: No module named 'my'",
                "neither among its packages nor in /project",
            ),
            (
                "world.py",
                "ModuleNotFoundError: No module named 'numpy.core'",
                "world.py needs the Python package `numpy.core`",
            ),
            ("world.py", "a bug", "ended"),
        ] {
            let found = explained(module, said);
            assert!(found.contains(expected), "{found}");
        }
    }
}
