//! `forethought schema`.

use clap::Args;
use forethought_api::Result;
use forethought_runtime::config;

use crate::{
    exit::Exit,
    session::{Session, print},
};

/// Print the JSON Schema of configurations.
///
/// It has every component of this program in it. A TOML file that starts with `#:schema forethought.schema.json` is
/// checked against it by editors as it is typed.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  forethought schema > forethought.schema.json")]
pub(crate) struct Schema {}

impl Schema {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        let schema = config::schema(&session.registry().await?);
        print(&format!("{}\n", serde_json::to_string_pretty(&schema)?))?;
        Ok(Exit::Done)
    }
}
