//! `forethought plugin add`.

use clap::Args;
use forethought_api::{Error, Result};
use forethought_plugin_host::lock::{Lock, Locked};

use super::{name, open};
use crate::{exit::Exit, session::Session};

/// Record a library in ./plugins.lock: its hash, its metadata and the schemas of its components.
///
/// From then on it is loaded only if its bytes are unchanged, and it starts faster because its components are known. To
/// learn them, it is loaded once now, in a separate process.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  forethought plugin add target/release/libtide_pools.so")]
pub(crate) struct Add {
    /// The library, or its name.
    file: String,
}

impl Add {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        let (file, plugin) = open(session, &self.file).await?;
        let found =
            plugin.library().ok_or_else(|| Error::other("the plugin that was opened is not a library"))?;
        let locked = Locked {
            path: file,
            sha256: found.sha256.clone(),
            metadata: found.metadata.clone(),
            description: plugin.description().clone(),
        };
        let folder = std::env::current_dir()?;
        let mut lock = Lock::read(&folder)?;
        lock.add(locked.clone());
        let written = lock.write(&folder)?;
        session.show(&locked, || {
            let components: Vec<_> = locked.metadata.iter().map(name).collect();
            format!(
                "{} {}: {}\nrecorded in {}; a configuration loads it with\n\n[plugins]\nload = [{:?}]\n",
                locked.description.package,
                locked.description.version,
                components.join(", "),
                written.display(),
                locked.path
            )
        })?;
        Ok(Exit::Done)
    }
}
