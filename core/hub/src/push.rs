//! Publishing files as one commit of a model on the hub.
//!
//! The hub's HTTP API, as its own libraries use it: create the repository; ask which files are large; large ones go to
//! Git LFS storage, in one piece or in parts; one commit names all of them. What the hub has already is not sent again,
//! so a push that was interrupted, or whose answer was lost, is repeated without harm.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use base64::{Engine as _, prelude::BASE64_STANDARD as STANDARD};
use forethought_api::{Error, Result, error::Context};
use serde::Deserialize;
use serde_json::{Value, json};
use ureq::http::Method;
use url::Url;

use crate::transfer::{Body, Failure, provider};
use crate::verify::Digest;
use crate::{Hub, Listing, Source, is_plain};

/// Bytes of a file that the hub looks at to tell text from binary.
const SAMPLE: usize = 512;

/// What is published where.
#[derive(Debug, Clone)]
pub struct Publication {
    /// `owner/name`.
    pub name: String,
    /// The branch.
    pub revision: String,
    /// Whether a repository that does not exist yet is made private.
    pub private: bool,
    /// The commit's first line.
    pub message: String,
    /// Contents by name.
    pub files: BTreeMap<String, Content>,
}

/// What a published file contains.
#[derive(Debug, Clone)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// What this file contains.
    File(PathBuf),
}

impl Content {
    /// Its length in bytes.
    ///
    /// # Errors
    /// A file that does not exist.
    pub fn size(&self) -> Result<u64> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
            Self::File(path) => {
                Ok(std::fs::metadata(path).context(format!("reading {}", path.display()))?.len())
            }
        }
    }

    fn open(&self) -> Result<Box<dyn Read + '_>> {
        match self {
            Self::Bytes(bytes) => Ok(Box::new(&**bytes)),
            Self::File(path) => {
                Ok(Box::new(File::open(path).context(format!("reading {}", path.display()))?))
            }
        }
    }
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The commit with the files.
    pub commit: String,
    /// The model's page.
    pub address: String,
    /// Names of the files that were sent; the others were there already.
    pub sent: Vec<String>,
}

/// Publishes the files, as one commit. Blocks: call it where blocking is allowed.
///
/// # Errors
/// A name that is not `owner/name`; a file that cannot be read; no token, or one that may not write there; a hub that
/// cannot be reached, refuses, or does not store what it was sent.
pub fn push(publication: &Publication) -> Result<Published> {
    Hub::from_env(|name| std::env::var(name).ok())?.push(publication)
}

/// A file, with what the hub wants to know of it.
struct Candidate<'a> {
    name: &'a str,
    content: &'a Content,
    size: u64,
    sha256: String,
    blob: String,
    sample: Vec<u8>,
}

impl<'a> Candidate<'a> {
    fn read((name, content): (&'a String, &'a Content)) -> Result<Self> {
        if !is_plain(name) {
            return Err(Error::input(format!("the file name {name:?} leads out of the model's folder")));
        }
        let reading = || format!("reading {name}");
        let size = content.size()?;
        let mut sample = Vec::new();
        content.open()?.take(SAMPLE as u64).read_to_end(&mut sample).context(reading())?;
        let sha256 = Digest::sha256(&mut content.open()?).context(reading())?.hex().to_owned();
        let blob = Digest::git_blob(size, &mut content.open()?).context(reading())?.hex().to_owned();
        Ok(Self { name, content, size, sha256, blob, sample })
    }

    /// Bytes `start` to `start + count`.
    fn part(&self, start: u64, count: u64) -> Result<Body<'a>> {
        match self.content {
            Content::Bytes(bytes) => {
                let range = start as usize..(start + count) as usize;
                Ok(Body::Bytes(bytes.get(range).unwrap_or_default()))
            }
            Content::File(path) => {
                let reading = || format!("reading {}", path.display());
                let mut file = File::open(path).context(reading())?;
                file.seek(SeekFrom::Start(start)).context(reading())?;
                Ok(Body::File(file, count))
            }
        }
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.content.open()?.read_to_end(&mut bytes).context(format!("reading {}", self.name))?;
        Ok(bytes)
    }
}

#[derive(Deserialize)]
struct Created {
    url: Option<String>,
}

#[derive(Deserialize)]
struct Preupload {
    files: Vec<Mode>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mode {
    path: String,
    upload_mode: String,
    #[serde(default)]
    should_ignore: bool,
}

#[derive(Deserialize)]
struct Batch {
    objects: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    oid: String,
    #[serde(default)]
    actions: Option<Actions>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Actions {
    upload: Action,
    verify: Option<Action>,
}

#[derive(Deserialize)]
struct Action {
    href: String,
    #[serde(default)]
    header: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Committed {
    commit_oid: String,
}

#[derive(Deserialize)]
struct Entry {
    path: String,
    oid: String,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    oid: String,
}

impl Hub {
    pub(crate) fn push(&self, publication: &Publication) -> Result<Published> {
        let Publication { name, revision, .. } = publication;
        let source = Source::parse(&format!("{name}@{revision}"))?;
        if !name.contains('/') {
            return Err(Error::input(format!("{name:?} does not have the form owner/name")));
        }
        if self.offline {
            return Err(Error::config("HF_HUB_OFFLINE is set; unset it to publish"));
        }
        if !self.client.has_token() {
            return Err(Error::config(
                "publishing needs a token with write access: set HF_TOKEN, or put it into the file `token` in HF_HOME",
            ));
        }
        // Everything is read before the first request.
        let files: Vec<_> = publication.files.iter().map(Candidate::read).collect::<Result<_>>()?;
        let address = self.create(&source, publication.private)?;
        let Listing { sha: head, private, .. } = self.listing(&source)?;
        // Before anything is sent: a hub that ignores the wish, or a repository that was there before.
        if publication.private && private != Some(true) {
            return Err(Error::input(format!(
                "{name} is not private on the hub, so nothing was sent; make it private on its page, or leave out --private"
            )));
        }
        let known = self.known(&source, &head)?;
        let is_new = |file: &&Candidate| {
            !known.get(file.name).is_some_and(|known| [&file.sha256, &file.blob].contains(&known))
        };
        let files: Vec<_> = files.iter().filter(is_new).collect();
        if files.is_empty() {
            return Ok(Published { commit: head, address, sent: Vec::new() });
        }
        let large = self.large(&source, &files)?;
        let (stored, inline): (Vec<&Candidate>, Vec<&Candidate>) =
            files.iter().copied().partition(|file| large.contains(file.name));
        self.store(&source, &stored)?;
        let commit = self.commit(&source, &head, &publication.message, &stored, &inline)?;
        Ok(Published { commit, address, sent: files.iter().map(|file| file.name.to_owned()).collect() })
    }

    /// Makes sure that the repository exists; returns its page.
    fn create(&self, source: &Source, private: bool) -> Result<String> {
        let (owner, name) = source.name.split_once('/').unwrap_or(("", &source.name));
        let doing = format!("creating {}", source.name);
        // Older hubs know the first key, newer ones the second.
        let mut body = json!({ "name": name, "organization": owner });
        if private {
            body["private"] = true.into();
            body["visibility"] = "private".into();
        }
        let url = self.client.url(["api", "repos", "create"]);
        let page = self.client.url(source.name.split('/')).to_string();
        // 409: it exists. A token for this repository alone may create none, and is refused even so.
        let said = match self.client.tell(&Method::POST, url, &body, &[409], &doing) {
            Err(_) if self.listing(source).is_ok() => None,
            said => said?,
        };
        let Some(said) = said else { return Ok(page) };
        let Created { url } = of(said, &doing)?;
        Ok(url.unwrap_or(page))
    }

    /// The digests of the files at a commit.
    fn known(&self, source: &Source, commit: &str) -> Result<BTreeMap<String, String>> {
        let doing = format!("fetching the list of files of {source}");
        let segments = ["api", "models"].into_iter().chain(source.name.split('/')).chain(["tree", commit]);
        let mut url = self.client.url(segments);
        url.query_pairs_mut().append_pair("recursive", "true");
        let entries: Vec<Entry> = self.client.persist(|| self.client.json(url.clone(), &doing))?;
        let digest = |entry: Entry| (entry.path, entry.lfs.map_or(entry.oid, |lfs| lfs.oid));
        Ok(entries.into_iter().map(digest).collect())
    }

    /// The names of those that go to LFS storage.
    fn large(&self, source: &Source, files: &[&Candidate]) -> Result<BTreeSet<String>> {
        let doing = format!("asking how to store the files of {source}");
        let listed = files.iter().map(
            |file| json!({ "path": file.name, "size": file.size, "sample": STANDARD.encode(&file.sample) }),
        );
        let body = json!({ "files": listed.collect::<Vec<_>>() });
        let url = self.client.url(
            ["api", "models"]
                .into_iter()
                .chain(source.name.split('/'))
                .chain(["preupload", &source.revision]),
        );
        let said = self.client.tell(&Method::POST, url, &body, &[], &doing)?.unwrap_or_default();
        let Preupload { files: modes } = of(said, &doing)?;
        if let Some(ignored) = modes.iter().find(|mode| mode.should_ignore) {
            return Err(Error::input(format!("{source} ignores {}: its .gitignore names it", ignored.path)));
        }
        Ok(modes.into_iter().filter(|mode| mode.upload_mode == "lfs").map(|mode| mode.path).collect())
    }

    /// Sends files to LFS storage, unless it has them.
    fn store(&self, source: &Source, files: &[&Candidate]) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let doing = format!("storing the files of {source}");
        let objects = files.iter().map(|file| json!({ "oid": file.sha256, "size": file.size }));
        let body = json!({
            "operation": "upload", "transfers": ["basic", "multipart"], "hash_algo": "sha256",
            "objects": objects.collect::<Vec<_>>(), "ref": { "name": source.revision },
        });
        let (owner, name) = source.name.split_once('/').unwrap_or(("", &source.name));
        let repository = format!("{name}.git");
        let url = self.client.url([owner, &repository, "info", "lfs", "objects", "batch"]);
        let said = self.client.tell(&Method::POST, url, &body, &[], &doing)?.unwrap_or_default();
        let batch: Batch = of(said, &doing)?;
        for object in batch.objects {
            let Some(file) = files.iter().find(|file| file.sha256 == object.oid) else { continue };
            if let Some(error) = object.error {
                return Err(provider(format!("storing {} of {source}: the hub answers {error}", file.name)));
            }
            // Without actions, the storage has it.
            if let Some(actions) = object.actions {
                self.upload(source, file, &actions)?;
            }
        }
        Ok(())
    }

    fn upload(&self, source: &Source, file: &Candidate, actions: &Actions) -> Result<()> {
        let doing = format!("storing {} of {source}", file.name);
        tracing::info!(model = %source, file = file.name, size = file.size, "storing");
        let header = &actions.upload.header;
        let address = |href: &str| -> Result<Url> {
            let url = Url::parse(href).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
            url.ok_or_else(|| provider(format!("{doing}: the hub gives no valid address")))
        };
        let put = |href: &str,
                   start: u64,
                   count: u64,
                   headers: &BTreeMap<String, String>|
         -> Result<Option<String>> {
            let url = address(href)?;
            self.client.persist(|| self.client.put(url.clone(), file.part(start, count)?, headers, &doing))
        };
        match header.get("chunk_size").map(|size| size.parse::<u64>()) {
            None => {
                put(&actions.upload.href, 0, file.size, header)?;
            }
            Some(Ok(size)) if size > 0 => {
                // Its parts are numbered, and each has an address of its own.
                let mut parts: Vec<(u32, &str)> = header
                    .iter()
                    .filter_map(|(key, href)| Some((key.parse().ok()?, href.as_str())))
                    .collect();
                parts.sort_unstable();
                if parts.len() as u64 != file.size.div_ceil(size) {
                    return Err(provider(format!(
                        "{doing}: the hub gives {} parts of {size} bytes for {} bytes",
                        parts.len(),
                        file.size
                    )));
                }
                let mut done = Vec::new();
                for (place, (number, href)) in (0..).zip(parts) {
                    let start = place * size;
                    let etag = put(href, start, size.min(file.size - start), &BTreeMap::new())?;
                    let etag = etag.ok_or_else(|| {
                        provider(format!("{doing}: the storage gives part {number} no etag"))
                    })?;
                    done.push(json!({ "partNumber": number, "etag": etag }));
                }
                let body = json!({ "oid": file.sha256, "parts": done });
                self.client.tell(&Method::POST, address(&actions.upload.href)?, &body, &[], &doing)?;
            }
            Some(_) => return Err(provider(format!("{doing}: the hub gives parts of no valid size"))),
        }
        if let Some(verify) = &actions.verify {
            let body = json!({ "oid": file.sha256, "size": file.size });
            self.client.tell(&Method::POST, address(&verify.href)?, &body, &[], &doing)?;
        }
        Ok(())
    }

    fn commit(
        &self,
        source: &Source,
        head: &str,
        message: &str,
        stored: &[&Candidate],
        inline: &[&Candidate],
    ) -> Result<String> {
        let doing = format!("committing to {source}");
        let header = json!({ "summary": message, "description": "", "parentCommit": head });
        let mut lines = vec![json!({ "key": "header", "value": header })];
        for file in inline {
            let content = STANDARD.encode(file.bytes()?);
            lines.push(json!({ "key": "file",
                "value": { "path": file.name, "encoding": "base64", "content": content } }));
        }
        for file in stored {
            lines.push(json!({ "key": "lfsFile",
                "value": { "path": file.name, "algo": "sha256", "oid": file.sha256, "size": file.size } }));
        }
        let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let segments = ["api", "models"].into_iter().chain(source.name.split('/'));
        let url = self.client.url(segments.chain(["commit", &source.revision]));
        // Not repeated by itself: a commit whose answer was lost may have been made.
        let said = self.client.commit(url, &lines, &doing).map_err(|failure| match failure {
            Failure::Final(error) | Failure::Damaged(error) => error,
            Failure::Passing { error, .. } => error
                .context("whether the commit was made is unknown; the same command makes it, if it was not")
                .retryable(),
        })?;
        let Committed { commit_oid } = of(said, &doing)?;
        Ok(commit_oid)
    }
}

fn of<T: serde::de::DeserializeOwned>(said: Value, doing: &str) -> Result<T> {
    serde_json::from_value(said)
        .map_err(|error| provider(format!("{doing}: the hub's answer is unreadable")).because(error))
}

/// Files of a folder by name, as contents of a publication.
///
/// # Errors
/// If one of them does not exist.
pub fn contents(folder: &Path, names: &[&str]) -> Result<BTreeMap<String, Content>> {
    let of = |name: &&str| {
        let path = folder.join(name);
        match path.is_file() {
            true => Ok(((*name).to_owned(), Content::File(path))),
            false => Err(Error::not_found(format!("{} is missing", path.display()))),
        }
    };
    names.iter().map(of).collect()
}
