//! `forethought doctor`.

use std::path::Path;

use clap::Args;
use forethought_api::Result;
use forethought_plugin_host::{Request, survey};
use forethought_runtime::{config::Draft, registry::Origin};
use serde::Serialize;

use crate::{arguments::ConfigArguments, builtin, exit::Exit, session::Session, tables::list};

/// Look for what could be in the way on this machine.
///
/// Reads settings and folders, opens no connection. Ends with 1 if something must be mended.
#[derive(Debug, Args)]
pub(crate) struct Doctor {}

/// One finding.
#[derive(Debug, Serialize)]
struct Finding {
    about: &'static str,
    state: State,
    detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Good,
    Note,
    Mend,
}

impl Doctor {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        let mut findings = Vec::new();
        let mut find = |about, state, detail: String| findings.push(Finding { about, state, detail });
        let registry = session.registry().await;
        match &registry {
            Ok(registry) => {
                let linked = registry.list().filter(|entry| entry.origin == Origin::Linked).count();
                let brought = registry.list().count() - linked;
                let mut detail = format!("{linked} linked, {brought} of plugins; `list` shows them");
                let left_out: Vec<_> = builtin::left_out().collect();
                if !left_out.is_empty() {
                    detail += &format!("; built without {}", left_out.join(", "));
                }
                find("components", State::Good, detail);
            }
            Err(error) => find("components", State::Mend, error.to_string()),
        }
        let (state, detail) = plugins(&session.wanted()?);
        find("plugins", state, detail);
        if let Ok(registry) = &registry {
            let sources = session.sources(&ConfigArguments::default())?;
            match Draft::read(&sources).and_then(|draft| draft.check(registry)) {
                Ok(config) => {
                    find("configuration", State::Good, "what lies here and at home can be read".into());
                    let (state, detail) = runs(&config.run.out);
                    find("run folder", state, detail);
                }
                Err(error) => find("configuration", State::Mend, error.to_string()),
            }
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        find("processor", State::Good, format!("{cores} cores"));
        let (state, detail) = match cfg!(feature = "cuda") {
            true => (State::Good, "built with CUDA; device = \"auto\" takes a GPU if there is one"),
            false => (State::Note, "built without CUDA; `cargo build --release --features cuda` for a GPU"),
        };
        find("devices", state, detail.into());
        find("model hub", State::Good, hub());
        let (state, detail) = data();
        find("golden data", state, detail);

        let rows: Vec<_> = findings
            .iter()
            .map(|finding| {
                let state = match finding.state {
                    State::Good => "good",
                    State::Note => "note",
                    State::Mend => "mend",
                };
                [finding.about.to_string(), state.into(), finding.detail.replace('\n', "; ")]
            })
            .collect();
        session.show(&findings, || list(["about", "state", "detail"], &rows))?;
        let mend = findings.iter().any(|finding| finding.state == State::Mend);
        Ok(if mend { Exit::Failed } else { Exit::Done })
    }
}

/// What is configured and what lies in the search folders, by a look from outside.
fn plugins(request: &Request) -> (State, String) {
    let found = match survey(request) {
        Ok(found) => found,
        Err(error) => return (State::Mend, error.to_string()),
    };
    let configured = found.iter().filter(|one| one.wanted).count();
    let good = format!(
        "{configured} configured, {} in search folders; `plugin list` shows them",
        found.len() - configured
    );
    // What nobody loads does no harm.
    let refused = |wanted| {
        found.iter().filter(move |one| one.wanted == wanted).find_map(|one| one.verdict.as_ref().err())
    };
    match (refused(true), refused(false)) {
        (Some(error), _) => (State::Mend, error.to_string()),
        (None, Some(error)) => (State::Note, format!("{good}; {error}")),
        (None, None) => (State::Good, good),
    }
}

/// Whether runs can be written, found out by writing.
fn runs(out: &Path) -> (State, String) {
    let existing = out.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
    match tempfile::tempfile_in(existing) {
        Ok(_) => (State::Good, format!("{} can be written", out.display())),
        Err(error) => {
            let detail =
                format!("{} cannot be written ({error}); choose another by --set run.out=DIR", out.display());
            (State::Mend, detail)
        }
    }
}

/// How models on the hub would be reached. A token's value is nobody's business.
fn hub() -> String {
    let said = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let endpoint = said("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
    let home = said("HF_HOME").unwrap_or_else(|| "~/.cache/huggingface".into());
    let token = if said("HF_TOKEN").is_some() { "HF_TOKEN set" } else { "no HF_TOKEN" };
    let offline = if said("HF_HUB_OFFLINE").is_some() { ", offline (HF_HUB_OFFLINE)" } else { "" };
    format!("{endpoint}, kept in {home}, {token}{offline}")
}

fn data() -> (State, String) {
    let (folder, named) = match std::env::var("FORETHOUGHT_DATA") {
        Ok(folder) => (folder, true),
        Err(_) => ("../shared/data".into(), false),
    };
    match (Path::new(&folder).is_dir(), named) {
        (true, _) => (State::Good, format!("{folder}; `forethought verify webshop {folder}` uses it")),
        (false, true) => (State::Mend, format!("FORETHOUGHT_DATA names {folder}, which is no folder")),
        (false, false) => {
            (State::Note, "none at ../shared/data; FORETHOUGHT_DATA may name it. Only tests need it".into())
        }
    }
}
