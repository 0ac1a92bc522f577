//! `forethought plugin trust`.

use std::path::{Path, PathBuf};

use clap::Args;
use forethought_api::{Error, Result};
use forethought_plugin_host::{
    NamedBy, Request, Store,
    settings::PluginPath,
    trust::{Trusted, Version, versions},
};
use forethought_runtime::{
    config::{Draft, Sources},
    registry::Registry,
};

use super::alone;
use crate::{exit::Exit, session::Session, tables::list};

/// Allow the code of plugins to run wherever they are named.
///
/// A plugin that you name yourself runs: with --plugin, --set or a variable, in ~/.config/forethought/config.toml, in
/// the file that you give to `run` and other commands that play or train, or by putting it into
/// ~/.local/share/forethought/plugins. What ran that way is trusted from then on. Plugins that ./forethought.toml or the
/// folder of a run names may be somebody else's, and run only if they are trusted.
///
/// Trusted are the bytes, so after a change the plugin has to be trusted again. Of a command, these are its words, its
/// folder and the files that the words name, without what these files import. The same goes for programs that components
/// start, such as the server of `environment.mcp`. Nothing runs now.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought plugin trust libtide_pools.so
  forethought plugin trust forethought.toml         all plugins and programs that it names
  forethought plugin trust runs/tide-pools--react/01K...
  forethought plugin trust --mine my.toml           also after you changed them
  forethought plugin trust --list")]
pub(crate) struct Trust {
    /// A library, a folder of libraries, or a configuration file or run that names plugins.
    #[arg(required_unless_present = "list")]
    what: Vec<String>,
    /// It is your own work: trust it also after a change, as long as nobody else can write there.
    #[arg(long, conflicts_with = "remove")]
    mine: bool,
    /// Trust it no longer.
    #[arg(long)]
    remove: bool,
    /// List what is trusted.
    #[arg(long, conflicts_with_all = ["what", "mine", "remove"])]
    list: bool,
}

impl Trust {
    pub(crate) fn execute(self, session: &Session) -> Result<Exit> {
        let store = session.plugins.trust().store().ok_or_else(|| {
            Error::config("there is no home folder to record trust in; set HOME to an absolute path")
        })?;
        let concerned = match self.list {
            true => store.read()?,
            false => {
                let mut concerned = Vec::new();
                for what in &self.what {
                    concerned.extend(self.change(store, what)?);
                }
                concerned
            }
        };
        let rows: Vec<_> = concerned
            .iter()
            .map(|one| [one.sha256.clone().unwrap_or("your own".into()), one.code.to_string()])
            .collect();
        session.show(&concerned, || match (rows.is_empty(), self.remove) {
            (true, _) => "no plugin is trusted yet\n".into(),
            (false, true) => list(["no longer trusted", "plugin"], &rows),
            (false, false) => list(["trusted", "plugin"], &rows),
        })?;
        Ok(Exit::Done)
    }

    /// Trusts the plugins that `what` means, or removes them. Gives what was changed.
    fn change(&self, store: &Store, what: &str) -> Result<Vec<Trusted>> {
        if self.remove {
            // It may be gone, so its name counts, too.
            let found = meant(what).unwrap_or_default();
            let path = std::path::absolute(what)?.display().to_string();
            let gone = store.retain(|one| {
                let place = one.code.to_string();
                place != path && place != what && !found.iter().any(|version| version.code == one.code)
            })?;
            return match gone.is_empty() {
                true => Err(Error::not_found(format!(
                    "{what} is not trusted; `forethought plugin trust --list` lists what is"
                ))),
                false => Ok(gone),
            };
        }
        let found = meant(what)?;
        found
            .into_iter()
            .map(|version| {
                store.add(&version, self.mine)?;
                let sha256 = (!self.mine).then_some(version.sha256);
                Ok(Trusted { code: version.code, sha256 })
            })
            .collect()
    }
}

/// The plugins that were meant.
fn meant(what: &str) -> Result<Vec<Version>> {
    // Names are not looked for in folders that a file here may add.
    let search = Sources::of_process()?.search;
    let found = match configuration(Path::new(what)) {
        Some(file) => {
            let file = std::path::absolute(file)?;
            let folder = file.parent().unwrap_or(Path::new("/")).to_path_buf();
            let sources = Sources { file: Some(file.clone()), search, ..Sources::new(folder) };
            let draft = Draft::read(&sources)?;
            let mut request = draft.plugins().clone();
            request.wanted.retain(|wanted| wanted.named.file() == Some(&*file));
            let mut found = versions(&request)?;
            // Components of plugins are not known here: their code would have to run.
            for (command, folder, named) in draft.commands(&Registry::linked()?) {
                if named.file() == Some(&*file) {
                    found.push(Version::of_command(command, &folder)?);
                }
            }
            found
        }
        None => {
            let there = Path::new(what).exists() || !PluginPath(what.to_owned()).is_name();
            let path = if there { std::path::absolute(what)? } else { what.into() };
            versions(&Request { search, ..alone(&path, NamedBy::User) })?
        }
    };
    match found.is_empty() {
        true => Err(Error::config(format!(
            "{what} names no plugins: it has no [plugins] load, and no component that starts a program"
        ))),
        false => Ok(found),
    }
}

/// The configuration file that this path is or holds.
fn configuration(path: &Path) -> Option<PathBuf> {
    if path.is_dir() {
        let inside = ["config.resolved.toml", "forethought.toml"].map(|name| path.join(name));
        return inside.into_iter().find(|file| file.is_file());
    }
    path.extension().is_some_and(|ending| ending == "toml").then(|| path.to_owned())
}
