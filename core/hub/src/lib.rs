//! Files of a model from a folder or from the Hugging Face Hub: fetched once, and verified before every use.
//!
//! It owns everything about `hf:` sources and does not know what the files mean. Only this crate and language model
//! backends open sockets.
//!
//! The cache is the one that the hub's own libraries use, laid out by `hf-hub`: they and this crate find each other's
//! models, and while one fetches a file the others wait. The transfer is our own, because a file counts as fetched only
//! if its bytes match its etag: SHA-256 for a large file, the git blob hash for a small one.
//!
//! Everything here blocks. It may depend only on `forethought-api`.
//!
//! # Reading order
//! This file (what is requested, and where it is), `transfer` (how it gets here), `verify` (whether it is intact),
//! `push` (how files are published).

mod push;
mod transfer;
mod verify;

#[cfg(test)]
mod tests;

use std::fs::{File, TryLockError};
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use forethought_api::{Error, Result, error::Context, host::ModelFiles, text::unmarked};
use hf_hub::{Cache, Repo, RepoType};
use serde::Deserialize;
use transfer::{Announced, Client, Failure, Patience, provider};
use verify::{Digest, Record};

pub use push::{Content, Publication, Published, contents, push};

/// The folder with the files of `request`, all verified. Blocks: call it where blocking is allowed.
///
/// # Errors
/// If the source or a file name is malformed, a required file does not exist, the hub cannot be reached or refuses, or
/// a file arrives damaged twice.
pub fn fetch(request: &ModelFiles) -> Result<PathBuf> {
    let names = || request.required.iter().chain(&request.optional).chain(&request.aside);
    if let Some(name) = names().find(|name| !is_plain(name)) {
        return Err(Error::input(format!("the file name {name:?} leads out of the model's folder")));
    }
    let folder = match request.source.strip_prefix("hf:") {
        Some(source) => {
            Hub::from_env(|name| std::env::var(name).ok())?.fetch(&Source::parse(source)?, request)?
        }
        None => local(request)?,
    };
    refuse_pointers(&folder, request)?;
    Ok(folder)
}

/// Refuses a file that only says where Git LFS keeps the real one.
fn refuse_pointers(folder: &Path, request: &ModelFiles) -> Result<()> {
    const POINTER: &[u8] = b"version https://git-lfs.github.com/spec";
    for name in request.required.iter().chain(&request.optional).chain(&request.aside) {
        let path = folder.join(name);
        let mut start = [0; POINTER.len()];
        let read = |start: &mut [u8]| File::open(&path).and_then(|mut file| file.read_exact(start));
        if path.is_file() && read(&mut start).is_ok() && start == POINTER {
            let way_out = match request.source.starts_with("hf:") {
                true => "the hub or its mirror sent it in place of the file; try another HF_ENDPOINT",
                false => "run `git lfs pull` in its folder, or let the hub deliver the model: hf:owner/name",
            };
            return Err(Error::input(format!(
                "{} is a Git LFS pointer, not the file itself; {way_out}",
                path.display()
            )));
        }
    }
    Ok(())
}

/// Lists the files that there are, for the error about one that is missing.
fn instead(missing: &str, mut names: Vec<String>) -> String {
    const MOST: usize = 40;
    names.sort();
    let older =
        |name: &String| [".bin", ".h5", ".msgpack", ".pt", ".pth"].iter().any(|end| name.ends_with(end));
    let older = names.iter().find(|name| missing.ends_with(".safetensors") && older(name)).cloned();
    let more = if names.len() > MOST { ", ..." } else { "" };
    names.truncate(MOST);
    let has = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    let older = older.map_or_else(String::new, |name| {
        format!(
            ". {name} is an older format, which is not read: use a model or revision with .safetensors files, or \
             convert this one with `save_pretrained` of transformers"
        )
    });
    format!("it has {has}{more}{older}")
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
        [first, ..] => {
            let entries = std::fs::read_dir(folder).context(format!("reading {}", folder.display()))?;
            let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
            Err(Error::not_found(format!(
                "the model folder {} has no {}; {}",
                request.source,
                missing.join(", no "),
                instead(first, names.collect())
            )))
        }
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
                "{:?} does not have the form hf:owner/name@revision",
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

/// The hub and the cache of its files.
struct Hub {
    client: Client,
    cache: Cache,
    offline: bool,
}

/// A path with `~` for the home folder and with variables (`$NAME`, `${NAME}`), as the hub's Python library reads it.
/// What cannot be resolved stays.
fn expanded(path: &str, variable: impl Fn(&str) -> Option<String>) -> String {
    let home = || Some(std::env::home_dir()?.to_string_lossy().into_owned());
    let path = match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with(std::path::is_separator) => {
            home().map_or_else(|| path.to_owned(), |home| home + rest)
        }
        _ => path.to_owned(),
    };
    let (mut out, mut rest) = (String::new(), path.as_str());
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let braced = after.strip_prefix('{').and_then(|after| after.split_once('}'));
        let (name, behind) = braced.unwrap_or_else(|| {
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
            after.split_at(end)
        });
        match variable(name) {
            Some(value) => out.push_str(&value),
            None => out.push_str(&rest[before.len()..rest.len() - behind.len()]),
        }
        rest = behind;
    }
    out + rest
}

/// One snapshot of a model while its files are fetched.
struct Snapshot<'a> {
    hub: &'a Hub,
    source: &'a Source,
    commit: String,
    folder: PathBuf,
    record: Record,
}

/// The hub's description of a model at a revision.
#[derive(Deserialize)]
struct Listing {
    sha: String,
    /// Whether only its owner sees it.
    private: Option<bool>,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    #[serde(rename = "rfilename")]
    name: String,
}

impl Listing {
    fn has(&self, name: &str) -> bool {
        self.siblings.iter().any(|file| file.name == name)
    }
}

impl Hub {
    /// Reads the same variables as the hub's own libraries; the older names have lower precedence.
    fn from_env(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let read =
            |name| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let folder = |name| read(name).map(|path| PathBuf::from(expanded(&path, &variable)));
        let home = folder("HF_HOME")
            .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("huggingface")))
            .or_else(|| Some(std::env::home_dir()?.join(".cache/huggingface")))
            .ok_or_else(|| Error::config("there is no home folder for the models' cache; set HF_HOME"))?;
        let token_file = folder("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
        let token = || Some(unmarked(&std::fs::read_to_string(token_file).ok()?).trim().to_owned());
        let token = read("HF_TOKEN")
            .or_else(|| read("HUGGING_FACE_HUB_TOKEN"))
            .or_else(token)
            .filter(|token| !token.is_empty());
        let endpoint = read("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
        let yes = |value: String| ["1", "true", "yes", "on"].contains(&value.to_ascii_lowercase().as_str());
        Ok(Self {
            client: Client::new(&endpoint, token, Patience::default())?,
            cache: Cache::new(
                folder("HF_HUB_CACHE")
                    .or_else(|| folder("HUGGINGFACE_HUB_CACHE"))
                    .unwrap_or_else(|| home.join("hub")),
            ),
            offline: read("HF_HUB_OFFLINE").is_some_and(yes),
        })
    }

    fn fetch(&self, source: &Source, request: &ModelFiles) -> Result<PathBuf> {
        let pinned = is_commit(&source.revision).then(|| source.revision.clone());
        if let Some(commit) = pinned.or_else(|| self.offline.then(|| self.known_commit(source)).flatten()) {
            // A commit never changes: if all files are here, the hub need not be asked.
            let mut snapshot = self.snapshot(source, commit);
            if snapshot.is_complete(request)? {
                return Ok(snapshot.folder);
            }
        }
        if self.offline {
            return Err(Error::not_found(format!(
                "{source} is missing or incomplete in the cache {}, and HF_HUB_OFFLINE is set; unset it once to \
                 fetch the model",
                self.cache.path().display()
            )));
        }
        let listing = self.listing(source)?;
        let mut snapshot = self.snapshot(source, listing.sha.clone());
        for name in &request.required {
            if !listing.has(name) {
                let names = listing.siblings.into_iter().map(|file| file.name).collect();
                return Err(Error::not_found(format!(
                    "{source} has no file {name}; {}",
                    instead(name, names)
                )));
            }
            snapshot.bring(name)?;
        }
        for name in request.optional.iter().chain(&request.aside) {
            match listing.has(name) {
                true => snapshot.bring(name)?,
                false => snapshot.record.note_absent(name),
            }
        }
        self.note_commit(source, &listing.sha)?;
        Ok(snapshot.folder)
    }

    /// The commit that the revision means, and the names of its files.
    fn listing(&self, source: &Source) -> Result<Listing> {
        let segments = source.name.split('/').chain(["revision", &source.revision]);
        let url = self.client.url(["api", "models"].into_iter().chain(segments));
        let doing = format!("fetching the list of files of {source}");
        let listing: Listing =
            self.client.persist(|| self.client.json(url.clone(), &doing)).map_err(|error| {
                match error.retryable {
                    true => {
                        error.context("the hub cannot be used; HF_HUB_OFFLINE=1 uses a copy in the cache")
                    }
                    false => error,
                }
            })?;
        match is_commit(&listing.sha) {
            true => Ok(listing),
            false => {
                Err(provider(format!("the hub names {source} by {:?}, which is not a commit", listing.sha)))
            }
        }
    }

    fn snapshot<'a>(&'a self, source: &'a Source, commit: String) -> Snapshot<'a> {
        let folder = self.cache.repo(source.repo(&commit)).pointer_path(&commit);
        let record =
            Record::open(self.model_folder(source).join("forethought").join(format!("{commit}.json")));
        Snapshot { hub: self, source, commit, folder, record }
    }

    fn model_folder(&self, source: &Source) -> PathBuf {
        self.cache.path().join(source.repo(&source.revision).folder_name())
    }

    fn ref_path(&self, source: &Source) -> PathBuf {
        self.model_folder(source).join("refs").join(&source.revision)
    }

    /// The commit that the revision pointed to when the hub was last asked.
    fn known_commit(&self, source: &Source) -> Option<String> {
        let commit = std::fs::read_to_string(self.ref_path(source)).ok()?.trim().to_owned();
        is_commit(&commit).then_some(commit)
    }

    /// Atomic, because another process may be reading the file.
    fn note_commit(&self, source: &Source, commit: &str) -> Result<()> {
        if is_commit(&source.revision) || self.known_commit(source).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.ref_path(source);
        verify::write_whole(&path, commit.as_bytes()).context(format!("writing {}", path.display()))
    }

    /// Waits until no other process fetches the file with this digest into this cache, then blocks the others until the
    /// lock is dropped or this process ends. The hub's own libraries use the same lock file.
    fn lock(&self, source: &Source, digest: &Digest) -> Result<File> {
        let folder = self.cache.path().join(".locks").join(source.repo(&source.revision).folder_name());
        let path = folder.join(format!("{}.lock", digest.hex()));
        let lock = || -> Result<File> {
            std::fs::create_dir_all(&folder)?;
            let file = File::options().create(true).append(true).open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    tracing::info!(lock = %path.display(), "waiting for another process that fetches the same file");
                    file.lock()?;
                }
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
            Ok(file)
        };
        lock().context(format!("locking {}", path.display()))
    }
}

impl Snapshot<'_> {
    /// Whether every required file is in the cache and intact, and each optional one is too or is known not to exist.
    fn is_complete(&mut self, request: &ModelFiles) -> Result<bool> {
        for name in &request.required {
            if !self.is_sound(name)? {
                return Ok(false);
            }
        }
        for name in request.optional.iter().chain(&request.aside) {
            // Offline, an optional file that is not in the cache counts as absent.
            if !self.is_sound(name)? && !self.record.is_absent(name) && !self.hub.offline {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the file is in the cache and is what the hub announced. A damaged file is deleted, with a warning.
    fn is_sound(&mut self, name: &str) -> Result<bool> {
        let path = self.folder.join(name);
        if !path.is_file() {
            return Ok(false);
        }
        // Files are links to blobs named by their digests, also if another of the hub's libraries fetched them.
        let target = path.canonicalize()?;
        let by_name = || target.file_name().and_then(|name| name.to_str()).and_then(Digest::parse);
        let Some(digest) = self.record.digest(name).or_else(by_name) else {
            return Ok(false);
        };
        if self.record.holds(name, &path)? {
            return Ok(true);
        }
        let mut sound = digest.of_file(&path)? == digest;
        if !sound {
            // Checked again while holding the lock: another process may just have fixed it.
            let _lock = self.hub.lock(self.source, &digest)?;
            sound = path.is_file() && digest.of_file(&path)? == digest;
            if !sound {
                tracing::warn!(file = %path.display(), "a cached file is damaged and was deleted");
                remove(&path)?;
                remove(&target)?;
                self.record.forget(name);
            }
        }
        if sound {
            self.record.note_sound(name, &path, digest)?;
        }
        Ok(sound)
    }

    /// Makes sure that the file is in the cache and intact; fetches it if necessary.
    fn bring(&mut self, name: &str) -> Result<()> {
        match self.is_sound(name)? {
            true => Ok(()),
            false => self.hub.client.persist(|| self.download(name)),
        }
    }

    fn download(&mut self, name: &str) -> Result<(), Failure> {
        let Self { hub, source, commit, .. } = &*self;
        let doing = format!("fetching {name} of {source}");
        let segments = source.name.split('/').chain(["resolve", commit]).chain(name.split('/'));
        let url = hub.client.url(segments);
        let Announced { etag, commit: of, size } = hub.client.announced(url.clone(), &doing)?;
        // Some mirrors do not repeat the commit, which is part of the address.
        if let Some(of) = of.filter(|of| of != commit) {
            return Err(
                provider(format!("{doing}: requested commit {commit}, the hub answered for {of}")).into()
            );
        }
        let Some(digest) = etag.as_deref().and_then(Digest::parse) else {
            return Err(provider(format!(
                "{doing}: the hub gives the etag {:?}, which is not a digest, so the file cannot be verified",
                etag.unwrap_or_default()
            ))
            .into());
        };
        let _lock = hub.lock(source, &digest)?;
        let blobs = hub.model_folder(source).join("blobs");
        std::fs::create_dir_all(&blobs).context(format!("making the folder {}", blobs.display()))?;
        let blob = blobs.join(digest.hex());
        // Another snapshot may have the file, or another process may have fetched it while this one waited.
        if blob.is_file() && digest.of_file(&blob)? == digest {
            return Ok(self.link(name, &blob, digest)?);
        }
        // Named as the hub's libraries name it. A part that is already whole only has to be verified.
        let part = blobs.join(format!("{}.incomplete", digest.hex()));
        let have = std::fs::metadata(&part).map_or(0, |part| part.len());
        if have == 0 || size != Some(have) {
            tracing::info!(model = %source, file = name, size, have, "fetching");
            if size.is_some_and(|size| have > size) {
                remove(&part)?;
            }
            hub.client.download(url, digest.hex(), size, &part, &doing)?;
        }
        if digest.of_file(&part)? != digest {
            remove(&part)?;
            return Err(Failure::Damaged(provider(format!(
                "{doing}: what arrived does not match its digest and was deleted"
            ))));
        }
        std::fs::rename(&part, &blob).context(format!("naming {}", blob.display()))?;
        Ok(self.link(name, &blob, digest)?)
    }

    /// Links `name` in the snapshot to the blob. The caller holds the blob's lock.
    fn link(&mut self, name: &str, blob: &Path, digest: Digest) -> Result<()> {
        let path = self.folder.join(name);
        let link = || -> Result<()> {
            std::fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
            // Made next to it, then renamed: a file that another caller was given is never missing.
            let new = self.folder.join(format!("{name}.new"));
            remove(&new)?;
            // Relative, so that the cache can be moved: out of the file's folders, the commit and `snapshots`.
            let out = PathBuf::from("../".repeat(Path::new(name).components().count() + 1));
            stand_for(blob, &out.join("blobs").join(digest.hex()), &new, symlink)?;
            Ok(std::fs::rename(&new, &path)?)
        };
        link().context(format!("linking {} to {}", path.display(), blob.display()))?;
        self.record.note_sound(name, &path, digest)
    }
}

#[cfg(unix)]
fn symlink(target: &Path, new: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, new)
}

/// Windows allows it to few.
#[cfg(not(unix))]
fn symlink(_: &Path, _: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Makes `new` stand for the blob: as a symbolic link to `relative`, or where the system or the file system refuses
/// those, as a hard link, or as a copy.
fn stand_for(
    blob: &Path,
    relative: &Path,
    new: &Path,
    symlink: impl Fn(&Path, &Path) -> std::io::Result<()>,
) -> std::io::Result<()> {
    if symlink(relative, new).or_else(|_| std::fs::hard_link(blob, new)).is_err() {
        std::fs::copy(blob, new)?;
        File::open(new)?.sync_all()?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context(format!("deleting {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
