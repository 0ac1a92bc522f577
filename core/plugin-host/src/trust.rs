//! Whose code may run, and on whose word.
//!
//! Code runs if the user named it: on the command line, in a variable, in the user's own configuration file, or by
//! putting it into an own plugin folder. A configuration file on the command line counts too, for the commands that are
//! there to run something. What a command found by itself, in the current folder or in the folder of a run, may be
//! somebody else's; it runs only if it was trusted before. Commands that only read leave it out.
//!
//! Trust is for bytes, not for places: code that ran once as this user could have done anything then, so running the
//! same bytes again gives nothing away, while other bytes at the same place are other code. Therefore all that ran by
//! consent is recorded, and one's own runs can be replayed. The outputs of one's own builds are an exception, because
//! they change all the time: they are trusted by their place, as long as nobody else can write there.

use std::fmt;
use std::fs::{DirBuilder, File, Metadata};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use forethought_api::{
    Error, Result,
    error::{Code, Context},
    registry::ConfigPath,
    text::unmarked,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    lock::write_whole,
    settings::PluginSettings,
    source::{NamedBy, Request, Source, at},
    survey::{Library, hex},
};

/// Up to this size a file that a command names is compared by its bytes, above it by its size and its last change.
const HASHED: u64 = 64 << 20;

/// What a command may run without having been trusted before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consent {
    /// Only what the user named. Other plugins are left out, with a note.
    #[default]
    Reads,
    /// Only what the user named. Without the others it cannot do its work, so they are an error.
    Replays,
    /// Also what is named by the configuration file on the command line. Others are an error.
    Runs,
}

/// Decides which code may run.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    consent: Consent,
    store: Option<Store>,
    installed: Vec<PathBuf>,
}

/// What was decided about a plugin that was found.
pub(crate) enum Verdict {
    Run,
    /// It is left out; the reason and the way out.
    LeaveOut(String),
}

impl Trust {
    /// For a command with this consent. Libraries in the folders `installed` are the user's own.
    pub fn new(consent: Consent, store: Option<Store>, installed: Vec<PathBuf>) -> Self {
        let installed = installed.into_iter().filter_map(|folder| folder.canonicalize().ok()).collect();
        Self { consent, store, installed }
    }

    /// What was trusted, if anything can be recorded.
    pub fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// Decides about the code of `source`, whose bytes were read and of which nothing has run yet. What may run is
    /// recorded.
    ///
    /// # Errors
    /// [`Code::Plugin`] if it may not run, and the command cannot do without it.
    pub(crate) fn admit(
        &self,
        named: &NamedBy,
        source: &Source,
        settings: &PluginSettings,
        library: Option<&Library>,
    ) -> Result<Verdict> {
        let own =
            matches!(source, Source::Library(file) if file.parent().is_some_and(|it| self.is_installed(it)));
        if own {
            return Ok(Verdict::Run);
        }
        let version = Version::of(source, settings, library)?;
        let standing = self.standing(&version);
        let consented = match (named, self.consent) {
            (NamedBy::User, _) | (NamedBy::TypedFile(_), Consent::Runs) => true,
            (NamedBy::TypedFile(_) | NamedBy::FoundFile(_), _) => false,
        };
        match standing {
            Standing::Trusted => Ok(Verdict::Run),
            _ if consented => {
                // It runs in any case; next time it will have to be named again.
                if let Some(Err(error)) = self.store.as_ref().map(|store| store.add(&version, false)) {
                    tracing::info!("{}: {error}", version.code);
                }
                Ok(Verdict::Run)
            }
            standing => {
                let why = version.distrust(&standing, named);
                match self.consent {
                    Consent::Reads => Ok(Verdict::LeaveOut(why)),
                    Consent::Replays | Consent::Runs => Err(Error::new(Code::Plugin, why)),
                }
            }
        }
    }

    /// Decides about a program that a component starts, which the configuration names at `place`. What may run is
    /// recorded.
    ///
    /// # Errors
    /// [`Code::Plugin`] if it may not run: also for a command that only reads, because the component is useless without.
    pub fn admit_command(
        &self,
        named: &NamedBy,
        command: Vec<String>,
        folder: PathBuf,
        place: &str,
    ) -> Result<()> {
        let settings = PluginSettings { folder: Some(ConfigPath(folder)), ..PluginSettings::default() };
        let verdict = self.admit(named, &Source::Command(command), &settings, None);
        match verdict.map_err(|error| at(place, error))? {
            Verdict::Run => Ok(()),
            Verdict::LeaveOut(why) => Err(Error::new(Code::Plugin, format!("{place}{why}"))),
        }
    }

    /// Why a command that runs the configuration found here would refuse it.
    pub(crate) fn doubt(
        &self,
        named: &NamedBy,
        source: &Source,
        settings: &PluginSettings,
        library: Option<&Library>,
    ) -> Result<Option<String>> {
        let asking = Self { consent: Consent::Reads, ..self.clone() };
        // What the user named is not recorded: it does not run now.
        if *named == NamedBy::User {
            return Ok(None);
        }
        Ok(match asking.admit(named, source, settings, library)? {
            Verdict::Run => None,
            Verdict::LeaveOut(why) => Some(why),
        })
    }

    fn is_installed(&self, folder: &Path) -> bool {
        self.installed.iter().any(|own| own == folder)
    }

    fn standing(&self, version: &Version) -> Standing {
        match &self.store {
            None => Standing::Unknown(None),
            Some(store) => match store.read() {
                Ok(all) => version.standing(&all),
                Err(error) => Standing::Unknown(Some(error)),
            },
        }
    }
}

/// Where code is, however its bytes change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CodeAt {
    /// A library's canonical path.
    Library {
        /// The path.
        library: PathBuf,
    },
    /// A program and its arguments, in this folder.
    Command {
        /// The words.
        command: Vec<String>,
        /// The folder.
        folder: PathBuf,
    },
}

impl fmt::Display for CodeAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Library { library } => write!(f, "{}", library.display()),
            Self::Command { command, folder } => write!(f, "`{}` in {}", command.join(" "), folder.display()),
        }
    }
}

impl CodeAt {
    /// What it consists of, as far as that is named: the library, or the existing files and folders among the words.
    fn parts(&self) -> Vec<PathBuf> {
        match self {
            Self::Library { library } => vec![library.clone()],
            Self::Command { command, folder } => {
                let values = command.iter().enumerate().flat_map(|(index, word)| {
                    // The first word is searched in PATH, unless it is a path.
                    let whole = (index > 0 || word.contains('/')).then_some(word.as_str());
                    whole.into_iter().chain(word.split_once('=').map(|(_, value)| value))
                });
                values.map(|word| folder.join(word)).filter(|path| path.exists()).collect()
            }
        }
    }

    /// Whether only this user (and root) can change its parts: themselves, and every folder above them.
    fn is_mine(&self) -> bool {
        let folder = match self {
            Self::Library { .. } => None,
            Self::Command { folder, .. } => Some(folder.clone()),
        };
        folder.into_iter().chain(self.parts()).all(|path| {
            let Ok(path) = path.canonicalize() else { return false };
            // What others can add next to a file may be loaded by it.
            let closest = if path.is_dir() { 0 } else { 1 };
            path.ancestors().enumerate().all(|(above, part)| {
                let writes = |found| only_i_write(&found) || (above > closest && only_i_replace(&found));
                part.metadata().is_ok_and(writes)
            })
        })
    }
}

/// Whether only this user and root can write here.
fn only_i_write(found: &Metadata) -> bool {
    // A group of the user's own has the user's number.
    let group = found.mode() & 0o020 != 0 && found.gid() != found.uid();
    is_mine(found) && found.mode() & 0o002 == 0 && !group
}

/// Whether this is a folder like /tmp, where others can add files but not replace those of this user.
fn only_i_replace(found: &Metadata) -> bool {
    is_mine(found) && found.is_dir() && found.mode() & 0o1000 != 0
}

fn is_mine(found: &Metadata) -> bool {
    [rustix::process::geteuid().as_raw(), 0].contains(&found.uid())
}

/// One version of some code.
#[derive(Debug, Clone)]
pub struct Version {
    /// Where it is.
    pub code: CodeAt,
    /// The SHA-256 of a library's bytes; of a command's words, its folder and the files that the words name.
    pub sha256: String,
}

impl Version {
    fn of(source: &Source, settings: &PluginSettings, library: Option<&Library>) -> Result<Self> {
        match (source, library) {
            (Source::Library(file), Some(library)) => {
                Ok(Self { code: CodeAt::Library { library: file.clone() }, sha256: library.sha256.clone() })
            }
            (Source::Library(file), None) => {
                let library = Library::read(file)?;
                Ok(Self { code: CodeAt::Library { library: file.clone() }, sha256: library.sha256 })
            }
            (Source::Command(command), _) => {
                let folder = match &settings.folder {
                    Some(folder) => folder.to_path_buf(),
                    None => std::env::current_dir()?,
                };
                let folder = folder.canonicalize().unwrap_or(folder);
                Self::command(CodeAt::Command { command: command.clone(), folder })
            }
        }
    }

    /// The present version of a command that a component starts in `folder`.
    ///
    /// # Errors
    /// If a file that it names cannot be read.
    pub fn of_command(command: Vec<String>, folder: &Path) -> Result<Self> {
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.into());
        Self::command(CodeAt::Command { command, folder })
    }

    fn command(code: CodeAt) -> Result<Self> {
        let mut all = Sha256::new();
        let mut part = |bytes: &[u8]| {
            all.update((bytes.len() as u64).to_le_bytes());
            all.update(bytes);
        };
        part(&serde_json::to_vec(&code)?);
        for path in code.parts().into_iter().filter(|path| path.is_file()) {
            part(path.as_os_str().as_encoded_bytes());
            let unreadable = || format!("{} cannot be read", path.display());
            let mut file = File::open(&path).context(unreadable())?;
            let found = file.metadata().context(unreadable())?;
            if found.len() > HASHED {
                part(format!("{} {} {}", found.len(), found.ctime(), found.ctime_nsec()).as_bytes());
            } else {
                let mut bytes = Vec::new();
                (&mut file).take(HASHED).read_to_end(&mut bytes).context(unreadable())?;
                part(&bytes);
            }
        }
        Ok(Self { code, sha256: hex(&all.finalize()) })
    }

    fn standing(&self, all: &[Trusted]) -> Standing {
        let same = |one: &&Trusted| one.code == self.code;
        // The same bytes are the same code at any place. A command's place is part of its hash.
        if all.iter().any(|one| one.sha256.as_deref() == Some(&self.sha256)) {
            return Standing::Trusted;
        }
        match all.iter().find(same) {
            None => Standing::Unknown(None),
            Some(Trusted { sha256: None, .. }) if self.code.is_mine() => Standing::Trusted,
            Some(Trusted { sha256: None, .. }) => Standing::Exposed,
            Some(_) => Standing::Changed,
        }
    }

    /// Why it does not run, and the ways out.
    fn distrust(&self, standing: &Standing, named: &NamedBy) -> String {
        let what = match standing {
            Standing::Changed => "has changed since it was trusted".into(),
            Standing::Exposed => {
                "is trusted as your own however it changes, but others can write there".to_owned()
            }
            Standing::Trusted | Standing::Unknown(None) => "is not trusted".into(),
            Standing::Unknown(Some(error)) => format!("is not trusted: {error}"),
        };
        let path = match (&self.code, named.file()) {
            (CodeAt::Library { library }, _) => library.display().to_string(),
            (CodeAt::Command { .. }, Some(file)) => file.display().to_string(),
            (CodeAt::Command { .. }, None) => "CONFIG".into(),
        };
        format!(
            "{} {what}, so it does not run; if you want it to, `forethought plugin trust {path}`",
            self.code
        )
    }
}

/// The versions of all plugins that a request names, in their order. They are read, and none of their code runs.
///
/// # Errors
/// If one cannot be found or read.
pub fn versions(request: &Request) -> Result<Vec<Version>> {
    let mut all = Vec::new();
    for wanted in &request.wanted {
        let found = Source::of(&wanted.settings, &request.search).and_then(|sources| {
            sources
                .iter()
                .map(|source| Version::of(source, &wanted.settings, None))
                .collect::<Result<Vec<_>>>()
        });
        all.extend(found.map_err(|error| at(&wanted.place, error))?);
    }
    Ok(all)
}

/// How far a version of some code is trusted.
enum Standing {
    Trusted,
    /// Nothing is known of it, perhaps because what is trusted could not be read.
    Unknown(Option<Error>),
    /// Another version was trusted.
    Changed,
    /// It is trusted by its place, where others can write.
    Exposed,
}

/// An entry of the file of trust.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trusted {
    /// Where the code is.
    #[serde(flatten)]
    pub code: CodeAt,
    /// The version that is trusted; without it, each one, because only this user can change it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

#[derive(Default, Serialize, Deserialize)]
struct Content {
    trusted: Vec<Trusted>,
}

/// The file in the user's home that says which code is trusted.
#[derive(Debug, Clone)]
pub struct Store(PathBuf);

impl Store {
    /// At this path; it need not exist.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Everything that is trusted.
    ///
    /// # Errors
    /// If the file cannot be read, is malformed, or could have been written by others.
    pub fn read(&self) -> Result<Vec<Trusted>> {
        let path = self.0.display();
        let mut file = match File::open(&self.0) {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(Error::config(format!("{path} cannot be read: {error}"))),
        };
        if !only_i_write(&file.metadata()?) {
            return Err(Error::config(format!(
                "{path} can be written by others; look through it, then make it your own (`chmod 600`), or delete it"
            )));
        }
        let mut text = String::new();
        file.read_to_string(&mut text).context(format!("{path} cannot be read"))?;
        let content: Content = serde_json::from_str(unmarked(&text)).map_err(|error| {
            Error::config(format!("{path} is malformed: {error}; delete it, and trust plugins again"))
        })?;
        Ok(content.trusted)
    }

    /// Trusts a version of some code instead of its others, or any at its place if it is `mine`.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn add(&self, version: &Version, mine: bool) -> Result<()> {
        let sha256 = (!mine).then(|| version.sha256.clone());
        self.put(Trusted { code: version.code.clone(), sha256 })
    }

    /// Trusts any version at this path, which need not exist yet: the output of one's own build.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn own(&self, library: PathBuf) -> Result<()> {
        self.put(Trusted { code: CodeAt::Library { library }, sha256: None })
    }

    fn put(&self, new: Trusted) -> Result<()> {
        self.change(|all| {
            // One's own stays one's own when a version of it runs.
            if all.iter().any(|one| one.code == new.code && one.sha256.is_none()) && new.sha256.is_some() {
                return;
            }
            all.retain(|one| one.code != new.code);
            all.push(new);
        })
    }

    /// Keeps only the entries that pass; gives the others.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn retain(&self, keep: impl Fn(&Trusted) -> bool) -> Result<Vec<Trusted>> {
        let mut gone = Vec::new();
        self.change(|all| {
            gone = all.extract_if(.., |one| !keep(one)).collect();
        })?;
        Ok(gone)
    }

    /// Changes the content. Two programs that do so at the same time do it one after the other.
    fn change(&self, change: impl FnOnce(&mut Vec<Trusted>)) -> Result<()> {
        let folder = self.0.parent().unwrap_or(Path::new("/"));
        let write = || -> Result<()> {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            // As with `sudo`: the user could not read it any more.
            if folder.metadata()?.uid() != rustix::process::geteuid().as_raw() {
                return Err(Error::config("the folder belongs to another user"));
            }
            // A lock file of its own, because the file itself is replaced.
            let lock = File::options().create(true).append(true).open(self.0.with_extension("lock"))?;
            lock.lock()?;
            let mut trusted = self.read()?;
            change(&mut trusted);
            write_whole(&self.0, &(serde_json::to_string_pretty(&Content { trusted })? + "\n"), 0o600)
        };
        write().context(format!("trust cannot be recorded in {}", self.0.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A home, and a script in a project that somebody else may have written.
    struct Desk(tempfile::TempDir);

    impl Desk {
        fn new() -> Self {
            let desk = Self(tempfile::tempdir().unwrap());
            desk.write("print('crabs')");
            desk
        }
        fn write(&self, text: &str) {
            std::fs::write(self.script(), text).unwrap();
        }
        fn script(&self) -> PathBuf {
            self.0.path().canonicalize().unwrap().join("env.py")
        }
        fn store(&self) -> Store {
            Store::at(self.0.path().join("home/deep/trusted.json"))
        }
        fn version(&self) -> Version {
            let folder = self.0.path().canonicalize().unwrap();
            let command = ["python3", "-u", "env.py"].map(String::from).to_vec();
            Version::command(CodeAt::Command { command, folder }).unwrap()
        }
        /// What a command says when it finds `python3 -u env.py` named like this: nothing if it runs.
        fn says(&self, consent: Consent, named: &NamedBy) -> Option<String> {
            let trust = Trust::new(consent, Some(self.store()), Vec::new());
            let source = Source::Command(["python3", "-u", "env.py"].map(String::from).to_vec());
            let folder = Some(forethought_api::registry::ConfigPath(self.0.path().into()));
            let settings = PluginSettings { folder, ..PluginSettings::default() };
            match trust.admit(named, &source, &settings, None) {
                Ok(Verdict::Run) => None,
                Ok(Verdict::LeaveOut(why)) => Some(format!("left out: {why}")),
                Err(error) => {
                    assert_eq!(error.code, Code::Plugin);
                    Some(format!("refused: {error}"))
                }
            }
        }
    }

    fn typed() -> NamedBy {
        NamedBy::TypedFile("/a/my.toml".into())
    }

    fn found() -> NamedBy {
        NamedBy::FoundFile("/a/forethought.toml".into())
    }

    #[test]
    fn code_runs_on_the_word_of_the_user_alone() {
        use Consent::{Reads, Replays, Runs};
        for (consent, named, starts) in [
            (Reads, NamedBy::User, None),
            (Replays, NamedBy::User, None),
            (Runs, NamedBy::User, None),
            (Reads, typed(), Some("left out: ")),
            (Replays, typed(), Some("refused: ")),
            (Runs, typed(), None),
            (Reads, found(), Some("left out: ")),
            (Replays, found(), Some("refused: ")),
            (Runs, found(), Some("refused: ")),
        ] {
            let says = Desk::new().says(consent, &named);
            let fits = match (&says, starts) {
                (Some(says), Some(start)) => says.starts_with(start) && says.contains("plugin trust /a/"),
                (says, start) => says.is_none() && start.is_none(),
            };
            assert!(fits, "{consent:?} {named:?}: {says:?}");
        }
    }

    #[test]
    fn what_ran_by_consent_runs_again_until_it_changes() {
        let desk = Desk::new();
        assert!(desk.says(Consent::Reads, &found()).unwrap().contains("is not trusted"));
        assert_eq!(desk.says(Consent::Runs, &typed()), None);
        assert_eq!(desk.says(Consent::Reads, &found()), None);
        desk.write("print('others')");
        assert!(desk.says(Consent::Replays, &found()).unwrap().contains("has changed since it was trusted"));
        // Only the version that ran last is trusted.
        assert_eq!(desk.says(Consent::Runs, &typed()), None);
        desk.write("print('crabs')");
        assert!(desk.says(Consent::Runs, &found()).unwrap().contains("has changed"));
    }

    #[test]
    fn ones_own_code_may_change_where_nobody_else_can_write() {
        let desk = Desk::new();
        desk.store().add(&desk.version(), true).unwrap();
        desk.write("print('more crabs')");
        assert_eq!(desk.says(Consent::Runs, &found()), None);
        std::fs::set_permissions(desk.script(), Permissions::from_mode(0o666)).unwrap();
        assert!(desk.says(Consent::Runs, &found()).unwrap().contains("others can write there"));
    }

    #[test]
    fn a_file_of_trust_that_others_could_write_or_that_is_damaged_gives_no_trust() {
        let desk = Desk::new();
        assert_eq!(desk.says(Consent::Runs, &typed()), None);
        let file = desk.0.path().join("home/deep/trusted.json");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
        std::fs::set_permissions(&file, Permissions::from_mode(0o622)).unwrap();
        assert!(desk.says(Consent::Reads, &found()).unwrap().contains("can be written by others"));
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&file, "{").unwrap();
        assert!(desk.says(Consent::Reads, &found()).unwrap().contains("is malformed"));
        // What is named by the user runs in any case, and destroys nothing.
        assert_eq!(desk.says(Consent::Runs, &typed()), None);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "{");
    }

    #[test]
    fn programs_that_trust_at_the_same_time_lose_nothing() {
        let desk = Desk::new();
        std::thread::scope(|scope| {
            for index in 0..8 {
                let store = desk.store();
                scope.spawn(move || store.own(format!("/build/lib{index}.so").into()).unwrap());
            }
        });
        assert_eq!(desk.store().read().unwrap().len(), 8);
        let gone = desk.store().retain(|one| one.code.to_string() != "/build/lib3.so").unwrap();
        assert_eq!((gone.len(), desk.store().read().unwrap().len()), (1, 7));
    }
}
