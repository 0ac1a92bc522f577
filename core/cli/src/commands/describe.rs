//! `forethought describe`.

use clap::Args;
use forethought_api::{Error, Result};
use forethought_runtime::registry::{RegistryEntry, default_of};

use crate::{exit::Exit, session::Session, tables::list};

/// Describe a component and its configuration keys.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought describe planner.pnlc
  forethought describe critic.goal-q --json")]
pub(crate) struct Describe {
    /// Interface and kind as `list` shows them, such as planner.pnlc.
    component: String,
}

impl Describe {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        let (word, kind) = self.component.split_once('.').ok_or_else(|| {
            Error::config(format!(
                "`{}` is not the name of a component; write <interface>.<kind>, such as planner.pnlc",
                self.component
            ))
        })?;
        let component = session.component(word, kind).await?;
        session.show(&component, || words(&component))?;
        Ok(Exit::Done)
    }
}

fn words(component: &RegistryEntry) -> String {
    let RegistryEntry { interface, word, kind, summary, requirements, schema, .. } = component;
    let properties = schema["properties"].as_object().into_iter().flatten();
    let rows: Vec<_> = properties
        .map(|(key, schema)| {
            let default = match default_of(schema) {
                _ if requirements.contains(key) => "required".into(),
                default => default.map(|default| default.to_string()).unwrap_or_default(),
            };
            let about = schema["description"].as_str().unwrap_or_default().replace('\n', " ");
            [key.clone(), default, about]
        })
        .collect();
    let keys = match rows.is_empty() {
        true => "It has no configuration keys.\n".into(),
        false => list(["key", "default", "meaning"], &rows),
    };
    format!("{word}.{kind}: {summary}\n{interface}, from {}\n\n{keys}", component.source())
}
