//! Looking at plugins before a byte of them runs: which there are, and whether they may be loaded.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use forethought_api::{Result, error::Context, module::Description, wire::Object};
use sha2::{Digest as _, Sha256};

use crate::{
    find, library,
    lock::Lock,
    metadata::{self, Metadata},
    policy,
    registry::ComponentOrigin,
    settings::PluginSettings,
    source::{Request, Source, Wanted, at},
};

/// A library's file, looked at: nothing of it runs.
#[derive(Clone)]
pub struct Library {
    /// The file.
    pub file: PathBuf,
    /// SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
    /// What it says of itself.
    pub metadata: Vec<Metadata>,
    /// The file's bytes.
    pub bytes: Arc<[u8]>,
}

impl Library {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Code::Plugin`](forethought_api::error::Code::Plugin) if it is no plugin; else if it cannot be read.
    pub fn read(file: &Path) -> Result<Self> {
        let bytes = std::fs::read(file).context(format!("{} cannot be read", file.display()))?;
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let metadata = metadata::read(file, &bytes)?;
        Ok(Self { file: file.into(), sha256, metadata, bytes: bytes.into() })
    }

    /// Whether it may be loaded.
    ///
    /// # Errors
    /// [`Code::Plugin`](forethought_api::error::Code::Plugin) with the reason against it.
    pub fn admit(&self) -> Result<()> {
        policy::admit(&self.file, &self.metadata)
    }

    /// Loads it into this program: its root object.
    ///
    /// # Errors
    /// [`Code::Plugin`](forethought_api::error::Code::Plugin) if it cannot be loaded.
    pub fn load(&self) -> Result<Arc<dyn Object>> {
        library::load(self.package(), &self.file, &self.bytes, tokio::runtime::Handle::current())
    }

    /// The package's name.
    fn package(&self) -> &str {
        self.metadata.first().map_or("", |record| &record.package)
    }
}

/// A plugin that was found, and not opened.
pub struct Found {
    /// Where it is.
    pub origin: ComponentOrigin,
    /// Whether the configuration names it; else it lies in a search folder.
    pub wanted: bool,
    /// The library, if it is one; or why it would be refused.
    pub verdict: Result<Option<Library>>,
}

/// What a request names, and what lies in its search folders: nothing of it runs.
///
/// # Errors
/// If a `plugins.lock` cannot be read, or what is named cannot be found.
pub fn survey(request: &Request) -> Result<Vec<Found>> {
    let locks = request.locks()?;
    let mut all: Vec<Found> = Vec::new();
    let mut add = |source: Source, settings: &PluginSettings, wanted| {
        let origin = source.origin(settings.isolation);
        if all.iter().any(|known| known.origin == origin) {
            return;
        }
        let verdict = match &source {
            Source::Library(file) => look(file, settings, &locks).map(|(library, _)| Some(library)),
            Source::Command(_) => Ok(None),
        };
        all.push(Found { origin, wanted, verdict });
    };
    for Wanted { place, settings } in &request.wanted {
        for source in Source::of(settings, &request.search).map_err(|error| at(place, error))? {
            add(source, settings, true);
        }
    }
    for folder in request.search.iter().filter(|folder| folder.is_dir()) {
        for file in find::in_folder(folder)? {
            add(Source::library(&file), &PluginSettings::default(), false);
        }
    }
    Ok(all)
}

/// All that is known of a library before a byte of it runs: itself, and what is locked of it.
pub(crate) fn look(
    file: &Path,
    settings: &PluginSettings,
    locks: &[Lock],
) -> Result<(Library, Option<Description>)> {
    let library = Library::read(file)?;
    if let Some(pin) = &settings.sha256 {
        policy::pinned(file, &library.sha256, pin)?;
    }
    library.admit()?;
    let mut description = None;
    for lock in locks {
        description =
            description.or(lock.find(file, &library.sha256)?.map(|known| known.description.clone()));
    }
    Ok((library, description))
}
