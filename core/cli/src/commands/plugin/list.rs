//! `forethought plugin list`.

use clap::Args;
use forethought_api::{Error, Result};
use forethought_plugin_host::registry::ComponentOrigin;
use serde::Serialize;

use super::name;
use crate::{exit::Exit, session::Session, tables::list};

/// List the plugins that the configuration loads and those in the search folders.
///
/// None of their code runs. Exits with 5 if a plugin that should be loaded would be refused.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought plugin list
  forethought plugin list --plugin ./plugins --json")]
pub(crate) struct List {}

/// One plugin, as `--json` prints it.
#[derive(Serialize)]
struct Listed {
    origin: ComponentOrigin,
    /// Whether the configuration or the command line names it.
    loaded: bool,
    package: Option<String>,
    version: Option<String>,
    sha256: Option<String>,
    components: Vec<String>,
    /// Why it would be refused.
    refused: Option<Error>,
    /// Why it is not trusted.
    doubt: Option<String>,
}

impl List {
    pub(crate) fn execute(self, session: &Session) -> Result<Exit> {
        let mut plugins = Vec::new();
        for found in session.plugins.survey(&session.wanted()?)? {
            let (library, refused) = match found.verdict {
                Ok(library) => (library, None),
                Err(error) => (None, Some(error)),
            };
            let metadata = library.as_ref().map(|library| &*library.metadata).unwrap_or_default();
            plugins.push(Listed {
                origin: found.origin,
                loaded: found.wanted,
                package: metadata.first().map(|record| record.package.clone()),
                version: metadata.first().map(|record| record.version.clone()),
                components: metadata.iter().map(name).collect(),
                sha256: library.map(|library| library.sha256),
                refused,
                doubt: found.doubt,
            });
        }
        let rows: Vec<_> = plugins.iter().map(Listed::row).collect();
        session.show(&plugins, || match rows.is_empty() {
            true => "no plugins; add one with --plugin FILE or [plugins] load = [...]\n".into(),
            false => list(["plugin", "components", "verdict", "origin"], &rows),
        })?;
        let refused = plugins
            .iter()
            .any(|plugin| plugin.loaded && (plugin.refused.is_some() || plugin.doubt.is_some()));
        Ok(if refused { Exit::Plugin } else { Exit::Done })
    }
}

impl Listed {
    fn row(&self) -> [String; 4] {
        let package = match (&self.package, &self.version) {
            (Some(package), Some(version)) => format!("{package} {version}"),
            _ => "-".into(),
        };
        let components = match self.components.is_empty() {
            true => "-".into(),
            false => self.components.join(", "),
        };
        let verdict = match (&self.refused, &self.doubt, self.loaded) {
            (Some(error), ..) => error.message.clone(),
            (None, Some(doubt), _) => doubt.clone(),
            (None, None, true) => "loaded".into(),
            (None, None, false) => "may be loaded".into(),
        };
        [package, components, verdict, self.origin.to_string()]
    }
}
