//! Files of a model from a folder or from the Hugging Face Hub: fetched once, and verified before every use.
//!
//! It owns everything about `hf:` sources and knows nothing of what the files mean. Together with language model
//! backends it is the only part of the program that opens sockets.
//!
//! The cache is laid out as the hub's own tools lay it out (`$HF_HOME/hub`), so files are shared with them, and the
//! transport is `hf-hub`. That crate takes whatever bytes arrive for the file, so each file is checked here: a large
//! file's etag is its SHA-256, a small one's its git blob hash. What does not match is deleted and fetched once more.
//!
//! Everything here blocks.

mod verify;

#[cfg(test)]
mod tests;

use std::path::{Component, Path, PathBuf};

use forethought_api::{
    Error, Result,
    error::{Code, Context},
    host::ModelFiles,
};
use hf_hub::{
    Cache, Repo, RepoType,
    api::sync::{Api, ApiBuilder, ApiError, ApiRepo},
};
use verify::{Digest, Record};

/// The folder that holds the files of `request`, each of them verified. Blocks: call it where blocking is allowed.
///
/// # Errors
/// A malformed source or file name, a required file that does not exist, a hub that cannot be reached or refuses, a
/// file that arrived damaged twice.
pub fn fetch(request: &ModelFiles) -> Result<PathBuf> {
    let names = || request.required.iter().chain(&request.optional);
    if let Some(name) = names().find(|name| !is_plain(name)) {
        return Err(Error::input(format!("the file name {name:?} leads out of the model's folder")));
    }
    match request.source.strip_prefix("hf:") {
        Some(source) => Hub::from_env()?.fetch(&Source::parse(source)?, request),
        None => local(request),
    }
}

/// A relative path of ordinary names.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

fn local(request: &ModelFiles) -> Result<PathBuf> {
    let folder = Path::new(&request.source);
    if !folder.is_dir() {
        return Err(Error::not_found(format!(
            "there is no model folder {}; a model on the hub is written hf:owner/name@revision",
            request.source
        )));
    }
    let missing: Vec<&str> =
        request.required.iter().map(String::as_str).filter(|name| !folder.join(name).is_file()).collect();
    match missing[..] {
        [] => Ok(folder.to_owned()),
        _ => Err(Error::not_found(format!(
            "the model folder {} has no {}",
            request.source,
            missing.join(", no ")
        ))),
    }
}

/// `owner/name@revision` of a model on the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    name: String,
    revision: String,
}

impl Source {
    fn parse(text: &str) -> Result<Self> {
        let (name, revision) = text.split_once('@').unwrap_or((text, "main"));
        let word = |text: &str| {
            is_plain(text) && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        };
        // Old models have no owner.
        let parts: Vec<&str> = name.split('/').collect();
        if parts.len() > 2 || !parts.into_iter().all(word) || !revision.split('/').all(word) {
            return Err(Error::config(format!(
                "{:?} is not of the form hf:owner/name@revision",
                format!("hf:{text}")
            )));
        }
        Ok(Self { name: name.to_owned(), revision: revision.to_owned() })
    }

    fn repo(&self, revision: &str) -> Repo {
        Repo::with_revision(self.name.clone(), RepoType::Model, revision.to_owned())
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "hf:{}@{}", self.name, self.revision)
    }
}

/// Where the hub is and where its files are kept.
struct Hub {
    endpoint: String,
    cache: Cache,
    token: Option<String>,
    offline: bool,
}

/// One snapshot of a model while its files are brought together.
struct Snapshot<'a> {
    hub: &'a Hub,
    source: &'a Source,
    commit: String,
    folder: PathBuf,
    record: Record,
}

/// What became of one attempt.
enum Failure {
    /// Another attempt would end the same way.
    Final(Error),
    /// Another attempt may go better.
    Passing(Error),
}

impl Failure {
    fn into_error(self) -> Error {
        match self {
            Self::Final(error) => error,
            Self::Passing(error) => error.retryable(),
        }
    }
}

impl Hub {
    /// As `HF_ENDPOINT`, `HF_HOME`, `HF_TOKEN` (or the file `$HF_HOME/token`) and `HF_HUB_OFFLINE` say.
    fn from_env() -> Result<Self> {
        let read = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        if read("HF_HOME").is_none() && std::env::home_dir().is_none() {
            return Err(Error::config("there is no home folder for the models' cache; set HF_HOME"));
        }
        let cache = Cache::from_env();
        let yes = |value: String| ["1", "true", "yes", "on"].contains(&value.to_ascii_lowercase().as_str());
        Ok(Self {
            endpoint: read("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned()),
            token: read("HF_TOKEN").map(|token| token.trim().to_owned()).or_else(|| cache.token()),
            offline: read("HF_HUB_OFFLINE").is_some_and(yes),
            cache,
        })
    }

    fn fetch(&self, source: &Source, request: &ModelFiles) -> Result<PathBuf> {
        let pinned = is_commit(&source.revision).then(|| source.revision.clone());
        if let Some(commit) = pinned.or_else(|| self.offline.then(|| self.known_commit(source)).flatten()) {
            // A commit never changes: nothing to ask of the hub if everything is here.
            let mut snapshot = self.snapshot(source, commit)?;
            if snapshot.is_complete(request)? {
                return Ok(snapshot.folder);
            }
        }
        if self.offline {
            return Err(Error::not_found(format!(
                "{source} is not (or not wholly) in the cache {}, and HF_HUB_OFFLINE is set; unset it once to fetch \
                 the model",
                self.cache.path().display()
            )));
        }
        let api = self.api().map_err(|error| self.failure(source, "the hub", error).into_error())?;
        let info = attempt_twice(|| {
            let info = api.repo(source.repo(&source.revision)).info();
            info.map_err(|error| self.failure(source, "its list of files", error))
        })?;
        if !is_commit(&info.sha) {
            return Err(provider(format!("the hub names {source} by {:?}, which is no commit", info.sha)));
        }
        let mut snapshot = self.snapshot(source, info.sha.clone())?;
        let repo = api.repo(source.repo(&info.sha));
        for name in &request.required {
            if !info.siblings.iter().any(|file| file.rfilename == *name) {
                return Err(Error::not_found(format!("{source} has no file {name}")));
            }
            snapshot.bring(&api, &repo, name)?;
        }
        for name in &request.optional {
            match info.siblings.iter().any(|file| file.rfilename == *name) {
                true => snapshot.bring(&api, &repo, name)?,
                false => snapshot.record.note_absent(name)?,
            }
        }
        self.cache.repo(source.repo(&source.revision)).create_ref(&info.sha)?;
        Ok(snapshot.folder)
    }

    fn api(&self) -> Result<Api, ApiError> {
        ApiBuilder::from_cache(self.cache.clone())
            .with_endpoint(self.endpoint.trim_end_matches('/').to_owned())
            .with_token(self.token.clone())
            .with_progress(false)
            .with_user_agent("forethought", env!("CARGO_PKG_VERSION"))
            .build()
    }

    fn snapshot<'a>(&'a self, source: &'a Source, commit: String) -> Result<Snapshot<'a>> {
        let folder = self.cache.repo(source.repo(&commit)).pointer_path(&commit);
        let record =
            Record::open(self.model_folder(source).join("forethought").join(format!("{commit}.json")));
        Ok(Snapshot { hub: self, source, commit, folder, record })
    }

    fn model_folder(&self, source: &Source) -> PathBuf {
        self.cache.path().join(source.repo(&source.revision).folder_name())
    }

    /// The commit that the revision pointed to when the hub was last asked.
    fn known_commit(&self, source: &Source) -> Option<String> {
        let path = self.model_folder(source).join("refs").join(&source.revision);
        let commit = std::fs::read_to_string(path).ok()?.trim().to_owned();
        is_commit(&commit).then_some(commit)
    }

    /// What `error` means for the user, without the token that some errors might quote.
    fn failure(&self, source: &Source, what: &str, error: ApiError) -> Failure {
        let status = match &error {
            ApiError::RequestError(request) => match **request {
                ureq::Error::StatusCode(status) => Some(status),
                _ => None,
            },
            _ => None,
        };
        let doing = format!("fetching {what} of {source} from {}", without_credentials(&self.endpoint));
        match (status, &error) {
            (Some(status @ (401 | 403)), _) => {
                let way_out = match self.token {
                    Some(_) => {
                        "the token in use may not read it: check it, and accept the model's terms on its page"
                    }
                    None => "it does not exist, is private, or wants its terms accepted: set HF_TOKEN",
                };
                Failure::Final(provider(format!("{doing}: refused with status {status}; {way_out}")))
            }
            (Some(404), _) => Failure::Final(Error::not_found(format!(
                "{doing}: there is no such model, revision or file (status 404)"
            ))),
            (Some(status), _) if status == 429 || status >= 500 => {
                Failure::Passing(provider(format!("{doing}: the hub answered with status {status}")))
            }
            (Some(status), _) => {
                Failure::Final(provider(format!("{doing}: the hub answered with status {status}")))
            }
            (None, ApiError::MissingHeader(_) | ApiError::InvalidHeader(_)) => {
                Failure::Final(provider(format!("{doing}: {error}, so the file cannot be verified")))
            }
            (None, ApiError::LockAcquisition(path)) => Failure::Final(provider(format!(
                "{doing}: another program is fetching it and holds {}",
                path.display()
            ))),
            (None, _) => {
                let mut text = error.to_string();
                if let Some(token) = &self.token {
                    text = text.replace(token, "***");
                }
                Failure::Passing(provider(format!(
                    "{doing}: {text}; with HF_HUB_OFFLINE=1 a copy in the cache is used"
                )))
            }
        }
    }
}

impl Snapshot<'_> {
    /// Whether every file is in the cache and sound, and every optional one besides is known not to exist.
    fn is_complete(&mut self, request: &ModelFiles) -> Result<bool> {
        for name in &request.required {
            if !self.is_sound(name)? {
                return Ok(false);
            }
        }
        for name in &request.optional {
            // Offline, an optional file that nobody fetched is taken for absent.
            if !self.is_sound(name)? && !self.record.is_absent(name) && !self.hub.offline {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the file is in the cache and is what the hub announced. If it is damaged, deletes it and says so.
    fn is_sound(&mut self, name: &str) -> Result<bool> {
        let path = self.folder.join(name);
        if !path.is_file() {
            // Also a link to nothing, which would be in the way of a new one.
            remove(&path)?;
            return Ok(false);
        }
        // Files that another tool of the hub fetched are links to blobs named by their digests.
        let target = path.canonicalize()?;
        let by_name = || target.file_name().and_then(|name| name.to_str()).and_then(Digest::parse);
        let Some(digest) = self.record.digest(name).or_else(by_name) else {
            return Ok(false);
        };
        if self.record.holds(name, &path)? {
            return Ok(true);
        }
        if digest.of_file(&path)? == digest {
            self.record.note_sound(name, &path, digest)?;
            return Ok(true);
        }
        tracing::warn!(file = %path.display(), "a cached file is damaged and was deleted");
        self.discard(name, &target)?;
        Ok(false)
    }

    /// Makes sure that the file is in the cache and sound, fetching it if need be.
    fn bring(&mut self, api: &Api, repo: &ApiRepo, name: &str) -> Result<()> {
        if self.is_sound(name)? {
            return Ok(());
        }
        attempt_twice(|| self.download(api, repo, name))
    }

    fn download(&mut self, api: &Api, repo: &ApiRepo, name: &str) -> Result<(), Failure> {
        let failure = |error| self.hub.failure(self.source, name, error);
        let announced = api.metadata(&repo.url(name)).map_err(failure)?;
        let digest = Digest::parse(announced.etag()).ok_or_else(|| {
            Failure::Final(provider(format!(
                "the hub gives {name} of {} the etag {:?}, which is no digest, so the file cannot be verified",
                self.source,
                announced.etag()
            )))
        })?;
        if announced.commit_hash() != self.commit {
            return Err(Failure::Final(provider(format!(
                "the hub answers for commit {:?} when asked for {} of {} at {}",
                announced.commit_hash(),
                name,
                self.source,
                self.commit
            ))));
        }
        let size = announced.size() as u64;
        let blob = self.hub.cache.repo(self.source.repo(&self.commit)).blob_path(announced.etag());
        if self.reuse(name, &blob, &digest).map_err(Failure::Final)? {
            return Ok(());
        }
        tracing::info!(model = %self.source, file = name, size, "fetching");

        // A part that is whole already would be asked to resume beyond its end, which no server can answer.
        let part = blob.with_extension("part");
        if std::fs::metadata(&part).is_ok_and(|part| part.len() >= size) {
            remove(&part).map_err(Failure::Final)?;
        }
        let path = repo.download(name).map_err(failure)?;

        let arrived = std::fs::metadata(&path).map_err(|error| Failure::Final(error.into()))?.len();
        let fault = if arrived != size {
            Some(format!("{arrived} bytes arrived of {size}"))
        } else if digest.of_file(&path).map_err(Failure::Final)? != digest {
            Some("its content does not match its digest".to_owned())
        } else {
            None
        };
        let Some(fault) = fault else {
            return self.record.note_sound(name, &path, digest).map_err(Failure::Final);
        };
        tracing::warn!(model = %self.source, file = name, fault, "a file arrived damaged and was deleted");
        self.discard(name, &blob).map_err(Failure::Final)?;
        Err(Failure::Passing(provider(format!(
            "{name} of {} arrived damaged from {} and was deleted: {fault}",
            self.source,
            without_credentials(&self.hub.endpoint)
        ))))
    }

    /// Takes the file from another snapshot of the model, if it is the same there.
    fn reuse(&mut self, name: &str, blob: &Path, digest: &Digest) -> Result<bool> {
        if !blob.is_file() || digest.of_file(blob)? != *digest {
            return Ok(false);
        }
        let path = self.folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
        std::fs::hard_link(blob, &path).context(format!(
            "linking {} to {}",
            path.display(),
            blob.display()
        ))?;
        self.record.note_sound(name, &path, digest.clone())?;
        Ok(true)
    }

    /// Removes a file, the blob that it links to, and what was known of it.
    fn discard(&mut self, name: &str, blob: &Path) -> Result<()> {
        remove(&self.folder.join(name))?;
        remove(blob)?;
        self.record.forget(name)
    }
}

/// Tries again after a passing failure, once.
fn attempt_twice<T>(mut attempt: impl FnMut() -> Result<T, Failure>) -> Result<T> {
    match attempt() {
        Ok(value) => Ok(value),
        Err(Failure::Final(error)) => Err(error),
        Err(Failure::Passing(error)) => {
            tracing::warn!(%error, "trying again");
            attempt().map_err(Failure::into_error)
        }
    }
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context(format!("deleting {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn provider(message: String) -> Error {
    Error::new(Code::Provider, message)
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// An address without the user and password that it may hold.
fn without_credentials(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("https", address));
    let host = rest.split('/').next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}")
}
