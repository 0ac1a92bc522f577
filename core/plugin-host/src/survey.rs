//! Inspects plugins before any of their code runs: which there are, and whether they may be loaded.

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
    source::{NamedBy, Request, Source, Wanted, at},
    trust::Trust,
};

/// The largest library, in bytes.
const LARGEST: u64 = 4 << 30;

/// A library's file, read but not loaded: none of its code runs.
#[derive(Clone)]
pub struct Library {
    /// The file.
    pub file: PathBuf,
    /// SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
    /// Its metadata.
    pub metadata: Vec<Metadata>,
    /// The file's bytes.
    pub bytes: Arc<[u8]>,
}

/// A hash as people read it.
pub(crate) fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Library {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Code::Plugin`](forethought_api::error::Code::Plugin) if it is not a plugin; else if it cannot be read.
    pub fn read(file: &Path) -> Result<Self> {
        let unreadable = || format!("{} cannot be read", file.display());
        // A stranger's folder may name it: a file full of holes must not fill the memory.
        let length = std::fs::metadata(file).context(unreadable())?.len();
        if length > LARGEST {
            return Err(policy::refused(
                file,
                format!("it has {length} bytes, and a plugin at most {LARGEST}"),
                "build it without debugging information",
            ));
        }
        let bytes = std::fs::read(file).context(unreadable())?;
        let sha256 = hex(&Sha256::digest(&bytes));
        let metadata = metadata::read(file, &bytes)?;
        Ok(Self { file: file.into(), sha256, metadata, bytes: bytes.into() })
    }

    /// Checks whether it may be loaded.
    ///
    /// # Errors
    /// [`Code::Plugin`](forethought_api::error::Code::Plugin) with the reason if it may not.
    pub fn admit(&self) -> Result<()> {
        policy::admit(&self.file, &self.metadata)
    }

    /// Loads it into this program and gives its root object.
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

/// A plugin that was found but not opened.
pub struct Found {
    /// Where it is.
    pub origin: ComponentOrigin,
    /// Whether the configuration names it; else it is in a search folder.
    pub wanted: bool,
    /// The library, if it is one; or the reason why it would be refused.
    pub verdict: Result<Option<Library>>,
    /// Why its code would not run, although it is sound, if it is not trusted.
    pub doubt: Option<String>,
}

/// See [`Plugins::survey`](crate::Plugins::survey).
pub(crate) fn survey(request: &Request, trust: &Trust) -> Result<Vec<Found>> {
    let locks = request.locks()?;
    let mut all: Vec<Found> = Vec::new();
    let mut add = |source: Source, settings: &PluginSettings, named: Option<&NamedBy>| {
        let origin = source.origin(settings.isolation);
        if all.iter().any(|known| known.origin == origin) {
            return;
        }
        let verdict = match &source {
            Source::Library(file) => look(file, settings, &locks).map(|(library, _)| Some(library)),
            Source::Command(_) => Ok(None),
        };
        let doubt = match (named, &verdict) {
            (Some(named), Ok(library)) => trust
                .doubt(named, &source, settings, library.as_ref())
                .unwrap_or_else(|e| Some(e.to_string())),
            _ => None,
        };
        all.push(Found { origin, wanted: named.is_some(), verdict, doubt });
    };
    for Wanted { place, settings, named } in &request.wanted {
        for source in Source::of(settings, &request.search).map_err(|error| at(place, error))? {
            add(source, settings, Some(named));
        }
    }
    for folder in request.search.iter().filter(|folder| folder.is_dir()) {
        for file in find::in_folder(folder)? {
            add(Source::library(&file), &PluginSettings::default(), None);
        }
    }
    Ok(all)
}

/// What is known about a library before any of its code runs: its file, and its locked description.
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
