//! `forethought schema`.

use clap::Args;
use forethought_api::Result;
use forethought_runtime::config;

use crate::{
    exit::Exit,
    session::Session,
    streams::{self, print},
};

/// Print the JSON Schema of configurations.
///
/// It covers every component of this program. Editors check a TOML file against it while you type if the file starts
/// with `#:schema forethought.schema.json`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  forethought schema > forethought.schema.json")]
pub(crate) struct Schema {}

impl Schema {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        let schema = config::schema(&session.registry().await?);
        print(&streams::json(&schema)?)?;
        Ok(Exit::Done)
    }
}
