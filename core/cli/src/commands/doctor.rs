//! `forethought doctor`.

use std::path::Path;

use clap::Args;
use forethought_api::Result;
use forethought_plugin_host::Found;
use forethought_runtime::{
    config::{Draft, EmbeddingsConfig},
    registry::ComponentOrigin,
};
use serde::Serialize;

use crate::{arguments::ConfigArguments, builtin, exit::Exit, session::Session, tables::list};

/// Check this machine for common problems.
///
/// Reads settings and folders, and opens no connections. Exits with 1 if something must be fixed.
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
    Fix,
}

impl Doctor {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        let mut findings = Vec::new();
        let mut find = |about, state, detail: String| findings.push(Finding { about, state, detail });
        let registry = session.registry().await;
        match &registry {
            Ok(registry) => {
                let linked = registry.list().filter(|entry| entry.origin == ComponentOrigin::Linked).count();
                let brought = registry.list().count() - linked;
                let mut detail = format!("{linked} linked, {brought} from plugins; `list` shows them");
                let left_out: Vec<_> = builtin::left_out().collect();
                if !left_out.is_empty() {
                    detail += &format!("; built without {}", left_out.join(", "));
                }
                find("components", State::Good, detail);
            }
            Err(error) => find("components", State::Fix, error.to_string()),
        }
        let (state, detail) = plugins(session.plugins.survey(&session.wanted()?));
        find("plugins", state, detail);
        if let Ok(registry) = &registry {
            let sources = session.sources(&ConfigArguments::default())?;
            match Draft::read(&sources).and_then(|draft| draft.check(registry)) {
                Ok(config) => {
                    let notes = config.notes();
                    let state = if notes.is_empty() { State::Good } else { State::Note };
                    let good = "the files here and in the home folder can be read".to_string();
                    find("configuration", state, [vec![good], notes].concat().join("\n"));
                    let (state, detail) = runs(&config.run.out);
                    find("run folder", state, detail);
                    find("embeddings", State::Good, embeddings(&config.embeddings));
                }
                Err(error) => find("configuration", State::Fix, error.to_string()),
            }
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        find("processor", State::Good, format!("{cores} cores"));
        let (state, detail) = match cfg!(feature = "cuda") {
            true => (State::Good, "built with CUDA; device = \"auto\" uses a GPU if there is one"),
            false => (State::Note, "built without CUDA; `cargo build --release --features cuda` for a GPU"),
        };
        find("devices", state, detail.into());
        find("model hub", State::Good, hub());
        let (state, detail) = data();
        find("data sets", state, detail);

        let rows: Vec<_> = findings
            .iter()
            .map(|finding| {
                let state = match finding.state {
                    State::Good => "good",
                    State::Note => "note",
                    State::Fix => "fix",
                };
                [finding.about.to_string(), state.into(), finding.detail.replace('\n', "; ")]
            })
            .collect();
        session.show(&findings, || list(["about", "state", "detail"], &rows))?;
        let broken = findings.iter().any(|finding| finding.state == State::Fix);
        Ok(if broken { Exit::Failed } else { Exit::Done })
    }
}

/// The plugins that are configured or in the search folders, inspected without loading them.
fn plugins(found: Result<Vec<Found>>) -> (State, String) {
    let found = match found {
        Ok(found) => found,
        Err(error) => return (State::Fix, error.to_string()),
    };
    let configured = found.iter().filter(|one| one.wanted).count();
    let good = format!(
        "{configured} configured, {} in search folders; `plugin list` shows them",
        found.len() - configured
    );
    // A bad library that is not loaded does no harm.
    let refused = |wanted| {
        found.iter().filter(move |one| one.wanted == wanted).find_map(|one| one.verdict.as_ref().err())
    };
    match (refused(true), refused(false)) {
        (Some(error), _) => (State::Fix, error.to_string()),
        (None, Some(error)) => (State::Note, format!("{good}; {error}")),
        (None, None) => match found.iter().find_map(|one| one.doubt.as_ref()) {
            Some(doubt) => (State::Note, format!("{good}; {doubt}")),
            None => (State::Good, good),
        },
    }
}

/// Whether runs can be written, found out by writing a file.
fn runs(out: &Path) -> (State, String) {
    let existing = out.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
    match tempfile::tempfile_in(existing) {
        Ok(_) => (State::Good, format!("{} is writable", out.display())),
        Err(error) => {
            let detail = format!(
                "{} is not writable ({error}); choose another folder with --set run.out=DIR",
                out.display()
            );
            (State::Fix, detail)
        }
    }
}

/// Where vectors of texts are kept across runs.
fn embeddings(config: &EmbeddingsConfig) -> String {
    let Some(file) = config.path() else { return "none are kept across runs".into() };
    let now = std::fs::metadata(&file).map_or(0, |file| file.len() >> 20);
    format!(
        "{} ({now} of at most {} MB); embeddings.file moves it, embeddings.max_mb = 0 keeps none",
        file.display(),
        config.max_mb
    )
}

/// How models on the hub would be reached. The value of a token is never shown.
fn hub() -> String {
    let said = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let endpoint = said("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
    let home = said("HF_HOME").unwrap_or_else(|| "~/.cache/huggingface".into());
    let token = if said("HF_TOKEN").is_some() { "HF_TOKEN set" } else { "no HF_TOKEN" };
    let offline = if said("HF_HUB_OFFLINE").is_some() { ", offline (HF_HUB_OFFLINE)" } else { "" };
    format!("{endpoint}, cached in {home}, {token}{offline}")
}

fn data() -> (State, String) {
    match std::env::var("FORETHOUGHT_DATA") {
        Ok(folder) if Path::new(&folder).is_dir() => {
            (State::Good, format!("{folder}; `forethought verify webshop {folder}` uses it"))
        }
        Ok(folder) => (State::Fix, format!("FORETHOUGHT_DATA names {folder}, which is not a folder")),
        Err(_) => {
            (State::Note, "FORETHOUGHT_DATA is not set; only `verify` and some tests need data sets".into())
        }
    }
}
