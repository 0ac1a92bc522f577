//! `forethought plugin inspect`.

use std::path::PathBuf;

use clap::Args;
use forethought_api::{Error, Result};
use forethought_plugin_host::{Library, metadata::Metadata};
use serde::Serialize;

use super::{library, name};
use crate::{exit::Exit, session::Session, tables::list};

/// Show what a library says about itself, and whether it may be loaded, without running any of its code.
///
/// Exits with 5 if it would be refused.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought plugin inspect target/release/libtide_pools.so
  forethought plugin inspect tide-pools --json | jq -r .sha256")]
pub(crate) struct Inspect {
    /// The library, or its name.
    file: String,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document {
    file: PathBuf,
    sha256: String,
    /// Why it would be refused.
    refused: Option<Error>,
    components: Vec<Metadata>,
}

impl Inspect {
    pub(crate) fn execute(self, session: &Session) -> Result<Exit> {
        let library = Library::read(&library(session, &self.file)?.0)?;
        let refused = library.admit().err();
        let exit = if refused.is_some() { Exit::Plugin } else { Exit::Done };
        let Library { file, sha256, metadata: components, .. } = library;
        let document = Document { file, sha256, refused, components };
        session.show(&document, || document.words())?;
        Ok(exit)
    }
}

impl Document {
    fn words(&self) -> String {
        let row = |about: &str, what: String| [about.to_string(), what];
        let mut rows =
            vec![row("file", self.file.display().to_string()), row("SHA-256", self.sha256.clone())];
        if let Some(first) = self.components.first() {
            let sdk = if first.sdk.is_empty() { "without sdk".into() } else { format!("sdk {}", first.sdk) };
            rows.extend([
                row("package", format!("{} {}", first.package, first.version)),
                row("contract", format!("{}.{}, {sdk}", first.abi_major, first.abi_minor)),
                row("built", format!("{} for {}, panic = {}", first.rustc, first.target, first.panic)),
            ]);
        }
        rows.push(row(
            "verdict",
            match &self.refused {
                Some(error) => error.message.clone(),
                None => "may be loaded".into(),
            },
        ));
        let components: Vec<_> =
            self.components.iter().map(|record| [name(record), record.summary.clone()]).collect();
        format!("{}\n{}", list(["about", "what"], &rows), list(["component", "summary"], &components))
    }
}
