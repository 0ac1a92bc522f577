//! `forethought list`.

use clap::Args;
use forethought_api::{Error, Result, registry::INTERFACES};
use forethought_runtime::registry::nearest;

use crate::{exit::Exit, session::Session, tables::list};

/// List the components that a configuration can name.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought list
  forethought list planner --json")]
pub(crate) struct List {
    /// Only the components of one interface: environment, llm, encoder, critic, trainer, planner, ...
    interface: Option<String>,
}

impl List {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        let registry = session.registry().await?;
        let mut components: Vec<_> = registry.list().collect();
        if let Some(interface) = self.interface.as_deref().map(|word| session.current(word)) {
            let words = || INTERFACES.iter().map(|(_, word)| *word);
            if !words().any(|word| word == interface) {
                let near = nearest(interface, words()).map(|near| format!("; the nearest is `{near}`"));
                return Err(Error::not_found(format!(
                    "there is no interface `{interface}`{}",
                    near.unwrap_or_default()
                )));
            }
            components.retain(|component| component.word == interface);
        }
        let rows: Vec<_> = components
            .iter()
            .map(|component| {
                let package = format!("{} {}", component.package, component.version);
                let (name, origin) =
                    (format!("{}.{}", component.word, component.kind), component.origin.to_string());
                [name, component.summary.clone(), package, origin]
            })
            .collect();
        session.show(&components, || list(["component", "summary", "package", "origin"], &rows))?;
        Ok(Exit::Done)
    }
}
