//! Requests to the hub: which host is asked, with which credentials, for how long, and how often.
//!
//! Redirects are followed here and not by the HTTP library, for two reasons: only the endpoint may see the token, and
//! what the endpoint itself says about a file (its digest, its commit) counts, not what the host that sends the bytes
//! says.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use forethought_api::{
    Error, Result,
    error::{Code, Context},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::{
    Agent, AsSendBody, Body as Received, SendBody,
    http::{HeaderMap, Method, Request, Response, header},
    tls::{RootCerts, TlsConfig},
};
use url::Url;

use crate::verify::Digest;

/// Redirects followed for one request.
const REDIRECTS: usize = 10;

/// The longest pause that is waited for, even if the server requests a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// Bytes after which an interrupted attempt counts as progress: the next failure counts as the first again.
const PROGRESS: u64 = 1 << 20;

/// Time between two log lines about a long transfer.
const REPORT: Duration = Duration::from_secs(10);

/// How long to wait for the hub, and how often to ask it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For a connection, TLS included.
    pub(super) connect: Duration,
    /// For the next bytes of an answer.
    pub(super) read: Duration,
    /// Retries after a failure that may pass.
    pub(super) retries: usize,
    /// The pause before the first retry; it doubles.
    pub(super) pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            read: Duration::from_secs(30),
            retries: 4,
            pause: Duration::from_millis(500),
        }
    }
}

/// How one attempt failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another attempt would end the same way.
    Final(Error),
    /// Another attempt may go better.
    Passing {
        error: Error,
        /// What the server requested in `Retry-After`.
        wait: Option<Duration>,
        /// New bytes of the file in this attempt.
        gained: u64,
    },
    /// The file arrived, but is not the one announced. Fetching it whole is expensive, so it is done only once more.
    Damaged(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

impl Failure {
    pub(super) fn passing(message: String) -> Self {
        Self::Passing { error: provider(message), wait: None, gained: 0 }
    }
}

pub(super) fn provider(message: String) -> Error {
    Error::new(Code::Provider, message)
}

/// What the endpoint says about a file.
pub(super) struct Announced {
    pub(super) etag: Option<String>,
    pub(super) commit: Option<String>,
    pub(super) size: Option<u64>,
}

/// A client of the hub.
pub(super) struct Client {
    agent: Agent,
    endpoint: Url,
    token: Option<String>,
    patience: Patience,
}

impl Client {
    /// # Errors
    /// If `endpoint` is not the address of a hub.
    pub(super) fn new(endpoint: &str, token: Option<String>, patience: Patience) -> Result<Self> {
        // The address and the reason are not repeated: both may contain a password.
        let wrong = || Error::config("HF_ENDPOINT is not an http:// or https:// address of a hub");
        let mut url = Url::parse(endpoint).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") || url.set_username("").is_err() {
            return Err(wrong());
        }
        let _ = url.set_password(None);
        let config = Agent::config_builder()
            .timeout_resolve(Some(patience.connect))
            .timeout_connect(Some(patience.connect))
            .timeout_per_read(Some(patience.read))
            .timeout_per_write(Some(patience.read))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // What is hashed is the file, not a compressed form of it.
            .accept_encoding("identity")
            .user_agent(concat!("forethought/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build());
        Ok(Self { agent: config.build().new_agent(), endpoint: url, token, patience })
    }

    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// The endpoint's address followed by these segments, escaped.
    pub(super) fn url<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.endpoint.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Retries an attempt while its failures may pass and patience lasts.
    pub(super) fn persist<T>(&self, mut attempt: impl FnMut() -> Result<T, Failure>) -> Result<T> {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(self.patience.pause)
            .with_max_times(self.patience.retries)
            .with_jitter();
        let (mut left, mut damaged) = (pauses.build(), false);
        loop {
            let (error, wait) = match attempt() {
                Ok(value) => return Ok(value),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing { error, wait, gained }) => {
                    if gained >= PROGRESS {
                        left = pauses.build();
                    }
                    (error, wait)
                }
                Err(Failure::Damaged(error)) if damaged => return Err(error.retryable()),
                Err(Failure::Damaged(error)) => {
                    damaged = true;
                    (error, None)
                }
            };
            let wait = wait.unwrap_or_default();
            let Some(pause) = left.next().filter(|_| wait <= LONGEST_PAUSE) else {
                return Err(error.retryable());
            };
            let pause = pause.max(wait);
            tracing::warn!(%error, pause_ms = pause.as_millis() as u64, "trying again");
            std::thread::sleep(pause);
        }
    }

    /// The JSON at `url`.
    pub(super) fn json<T: DeserializeOwned>(&self, url: Url, doing: &str) -> Result<T, Failure> {
        const LONGEST: u64 = 64 << 20;
        let mut answer = self.follow(&Method::GET, url, None, doing)?.good(self, doing)?;
        let body = answer.response.body_mut().with_config().limit(LONGEST).read_to_vec();
        let body = body.map_err(|error| broken(doing, &answer.url, &error))?;
        serde_json::from_slice(&body).map_err(|error| {
            provider(format!("{doing}: the answer of {} is unreadable", host(&answer.url)))
                .because(error)
                .into()
        })
    }

    /// Sends `body` as JSON, and repeats it after failures that may pass: only for what can be repeated. Returns the
    /// answer's JSON, or `None` if its status is in `allowed`. Another host than the endpoint gets no token.
    pub(super) fn tell(
        &self,
        method: &Method,
        url: Url,
        body: &Value,
        allowed: &[u16],
        doing: &str,
    ) -> Result<Option<Value>> {
        let body = body.to_string();
        self.persist(|| {
            let headers = [
                ("content-type", "application/vnd.git-lfs+json"),
                ("accept", "application/vnd.git-lfs+json"),
            ];
            let plain = [("content-type", "application/json"), ("accept", "application/json")];
            let headers = if url.path().contains("/info/lfs/") { headers } else { plain };
            let response = self.send(method, &url, &headers, body.as_bytes(), doing)?;
            if allowed.contains(&response.status().as_u16()) {
                return Ok(None);
            }
            let mut response = self.accepted(&url, response, doing)?;
            said(&mut response, &url, doing).map(Some)
        })
    }

    /// Sends a commit, once: lines of JSON.
    pub(super) fn commit(&self, url: Url, lines: &str, doing: &str) -> Result<Value, Failure> {
        let headers = [("content-type", "application/x-ndjson"), ("accept", "application/json")];
        let response = self.send(&Method::POST, &url, &headers, lines.as_bytes(), doing)?;
        if matches!(response.status().as_u16(), 409 | 412) {
            return Err(provider(format!(
                "{doing}: another commit was made meanwhile; the same command takes it into account"
            ))
            .into());
        }
        let mut response = self.accepted(&url, response, doing)?;
        said(&mut response, &url, doing)
    }

    /// Sends a file or a part of it to where the hub said; returns the storage's etag.
    pub(super) fn put(
        &self,
        url: Url,
        body: Body,
        headers: &BTreeMap<String, String>,
        doing: &str,
    ) -> Result<Option<String>, Failure> {
        let names = ["chunk_size", "host", "content-length", "transfer-encoding"];
        let headers: Vec<_> = headers
            .iter()
            .filter(|(name, _)| !names.contains(&name.to_ascii_lowercase().as_str()))
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let response = match body {
            Body::Bytes(bytes) => self.send(&Method::PUT, &url, &headers, bytes, doing)?,
            Body::File(file, count) => {
                let mut part = file.take(count);
                let length = count.to_string();
                let headers = [&headers[..], &[("content-length", &length)]].concat();
                self.send(&Method::PUT, &url, &headers, SendBody::from_reader(&mut part), doing)?
            }
        };
        let response = self.accepted(&url, response, doing)?;
        let etag = response.headers().get("etag").and_then(|etag| etag.to_str().ok());
        Ok(etag.map(str::to_owned))
    }

    /// One request; redirects are not followed.
    fn send(
        &self,
        method: &Method,
        url: &Url,
        headers: &[(&str, &str)],
        body: impl AsSendBody,
        doing: &str,
    ) -> Result<Response<Received>, Failure> {
        let mut request = Request::builder().method(method).uri(url.as_str());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = self.token.as_ref().filter(|_| url.origin() == self.endpoint.origin()) {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        // The reason would contain the token.
        let request = request.body(body).map_err(|_| {
            Error::config(format!(
                "{doing}: the token, a header or the address cannot be written into a request"
            ))
        })?;
        self.agent.run(request).map_err(|error| broken(doing, url, &error))
    }

    /// The answer if it is a success; else an error for somebody who publishes.
    fn accepted(
        &self,
        url: &Url,
        mut response: Response<Received>,
        doing: &str,
    ) -> Result<Response<Received>, Failure> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let (from, own) = (host(url), url.origin() == self.endpoint.origin());
        let wait =
            response.headers().get("retry-after").and_then(|wait| wait.to_str().ok()?.trim().parse().ok());
        let body = response.body_mut().with_config().limit(1 << 16).read_to_vec().unwrap_or_default();
        let reason = serde_json::from_slice::<Value>(&body)
            .ok()
            .and_then(|body| Some(format!(": {}", body.get("error")?.as_str()?)))
            .unwrap_or_default();
        let error = match status.as_u16() {
            401 | 403 if own => provider(format!(
                "{doing}: {from} refused with status {}{reason}; a token that may write there is needed, in HF_TOKEN or in the \
                 file `token` in HF_HOME",
                status.as_u16()
            )),
            404 if own => Error::not_found(format!("{doing}: {from} has no such model or branch{reason}")),
            300..=399 => provider(format!(
                "{doing}: {from} redirects; if the model was renamed, use its new name, else set HF_ENDPOINT to the hub itself"
            )),
            status => provider(format!("{doing}: {from} answered with status {status}{reason}")),
        };
        if matches!(status.as_u16(), 408 | 425 | 429) || status.is_server_error() {
            return Err(Failure::Passing { error, wait: wait.map(Duration::from_secs), gained: 0 });
        }
        Err(error.into())
    }

    /// What the endpoint says about the file at `url`. A host that it redirects to is not asked.
    pub(super) fn announced(&self, url: Url, doing: &str) -> Result<Announced, Failure> {
        let answer = self.follow(&Method::HEAD, url, None, doing)?;
        let elsewhere = answer.response.status().is_redirection();
        let answer = if elsewhere { answer } else { answer.good(self, doing)? };
        let text = |name: &str| Some(answer.said.get(name)?.to_str().ok()?.to_owned());
        // The length of a redirect is that of its own short body.
        let length = || text("content-length").filter(|_| !elsewhere);
        let etag = text("x-linked-etag").or_else(|| text("etag"));
        let etag = etag.map(|etag| etag.trim_start_matches("W/").trim_matches('"').to_owned());
        let unknown = etag.as_deref().and_then(Digest::parse).is_none();
        if let Some(next) = answer.header("location").filter(|_| elsewhere && unknown) {
            // This is not where a large file's bytes are, but where the whole hub is said to be.
            let moved = self.moved(&answer.url, next);
            return Err(provider(format!(
                "{doing}: HF_ENDPOINT, which is {}, redirects to {moved} and says nothing about the file itself; set \
                 HF_ENDPOINT={moved}",
                host(&self.endpoint),
            ))
            .into());
        }
        Ok(Announced {
            etag,
            commit: text("x-repo-commit"),
            size: text("x-linked-size").or_else(length).and_then(|size| size.parse().ok()),
        })
    }

    /// The endpoint by the redirect of `url` to `next`: the part before the requested path.
    fn moved(&self, url: &Url, next: &str) -> String {
        let Ok(next) = url.join(next) else { return "another address".to_owned() };
        let asked = url.path().strip_prefix(self.endpoint.path().trim_end_matches('/')).unwrap_or(url.path());
        let prefix = next.path().strip_suffix(asked).unwrap_or_default();
        format!("{}{prefix}", host(&next))
    }

    /// Appends to the file at `part` what is missing of the file at `url`, which has this etag and size. The caller
    /// verifies the result.
    pub(super) fn download(
        &self,
        url: Url,
        etag: &str,
        size: Option<u64>,
        part: &Path,
        doing: &str,
    ) -> Result<(), Failure> {
        let writing = || format!("writing {}", part.display());
        let mut file = std::fs::File::options().create(true).append(true).open(part).context(writing())?;
        let mut have = file.metadata().context(writing())?.len();
        let range = (have > 0).then_some((have, etag));
        let mut answer = self.follow(&Method::GET, url, range, doing)?;
        let restart = match answer.response.status().as_u16() {
            // The part is as long as the file or longer, so it is not a part of it.
            416 => {
                file.set_len(0).context(writing())?;
                return Err(Failure::passing(format!(
                    "{doing}: nothing follows the {have} bytes that are here"
                )));
            }
            206 => match answer.content_range() {
                Some((start, total))
                    if start == have && (size.is_none() || total.is_none() || total == size) =>
                {
                    false
                }
                _ => {
                    file.set_len(0).context(writing())?;
                    return Err(Failure::Damaged(provider(format!(
                        "{doing}: requested what follows the first {have} bytes, the server sent the range {:?}",
                        answer.header("content-range").unwrap_or_default()
                    ))));
                }
            },
            // The server ignores ranges, or has another file by now: it sends the whole file.
            _ => true,
        };
        answer = answer.good(self, doing)?;
        if restart {
            file.set_len(0).context(writing())?;
            have = 0;
        }
        let mut body = answer.response.body_mut().as_reader();
        let mut buffer = vec![0; 1 << 18];
        let (mut gained, mut watch) = (0, Instant::now());
        let cut = |gained, reason: &dyn std::fmt::Display| {
            let host = host(&answer.url);
            Err(Failure::Passing {
                error: provider(format!("{doing} from {host}: {reason}")),
                wait: None,
                gained,
            })
        };
        loop {
            let count = match body.read(&mut buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return cut(gained, &error),
            };
            if count == 0 {
                break;
            }
            file.write_all(&buffer[..count]).context(writing())?;
            (have, gained) = (have + count as u64, gained + count as u64);
            if let Some(size) = size.filter(|size| have > *size) {
                file.set_len(0).context(writing())?;
                return Err(Failure::Damaged(provider(format!(
                    "{doing}: more than the announced {size} bytes arrived"
                ))));
            }
            if watch.elapsed() >= REPORT {
                watch = Instant::now();
                tracing::info!(bytes = have, of = size, "{doing}");
            }
        }
        match size {
            Some(size) if have < size => cut(gained, &format_args!("{have} bytes arrived of {size}")),
            // The bytes must be on the disk before the file is renamed.
            _ => Ok(file.sync_all().context(writing())?),
        }
    }

    /// Requests `url` and follows redirects: `HEAD` within the endpoint, `GET` anywhere.
    fn follow(
        &self,
        method: &Method,
        mut url: Url,
        range: Option<(u64, &str)>,
        doing: &str,
    ) -> Result<Answer, Failure> {
        let mut said = HeaderMap::new();
        for _ in 0..=REDIRECTS {
            let own = url.origin() == self.endpoint.origin();
            let mut request = Request::builder().method(method).uri(url.as_str());
            if let Some((start, etag)) = range {
                request = request.header(header::RANGE, format!("bytes={start}-"));
                if own {
                    // The etags of other hosts are unknown: there, only the whole file's digest can be checked.
                    request = request.header(header::IF_RANGE, format!("\"{etag}\""));
                }
            }
            if let Some(token) = self.token.as_ref().filter(|_| own) {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            // The reason would contain the token.
            let request = request.body(()).map_err(|_| {
                Error::config(format!("{doing}: the token or the address cannot be written into a request"))
            })?;
            let response = self.agent.run(request).map_err(|error| broken(doing, &url, &error))?;
            if own {
                said.extend(response.headers().clone());
            }
            let next =
                response.headers().get(header::LOCATION).filter(|_| response.status().is_redirection());
            let Some(next) = next else { return Ok(Answer { url, own, response, said }) };
            let next = next.to_str().ok().and_then(|next| url.join(next).ok());
            let Some(next) = next.filter(|next| matches!(next.scheme(), "http" | "https")) else {
                return Err(
                    provider(format!("{doing}: {} redirects to an invalid address", host(&url))).into()
                );
            };
            if method == Method::HEAD && next.origin() != self.endpoint.origin() {
                return Ok(Answer { url, own, response, said });
            }
            url = next;
        }
        Err(provider(format!("{doing}: more than {REDIRECTS} redirects, the last by {}", host(&url))).into())
    }
}

/// What is sent to a storage.
pub(super) enum Body<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// So many bytes of a file, from where it is.
    File(std::fs::File, u64),
}

/// The JSON of an answer, null if it is empty.
fn said(response: &mut Response<Received>, url: &Url, doing: &str) -> Result<Value, Failure> {
    let body = response.body_mut().with_config().limit(64 << 20).read_to_vec();
    let body = body.map_err(|error| broken(doing, url, &error))?;
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&body).map_err(|error| {
        provider(format!("{doing}: the answer of {} is unreadable", host(url))).because(error).into()
    })
}

/// The last answer to a request.
struct Answer {
    url: Url,
    /// Whether it is from the endpoint itself.
    own: bool,
    response: Response<Received>,
    /// The headers of all answers of the endpoint; of equal names, the latest.
    said: HeaderMap,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// Start and total of this answer's range.
    fn content_range(&self) -> Option<(u64, Option<u64>)> {
        let (range, total) = self.header("content-range")?.strip_prefix("bytes ")?.split_once('/')?;
        Some((range.split_once('-')?.0.parse().ok()?, total.parse().ok()))
    }

    /// This answer if it succeeded; else an error that explains the status to the user.
    fn good(self, client: &Client, doing: &str) -> Result<Self, Failure> {
        let status = self.response.status().as_u16();
        if self.response.status().is_success() {
            return Ok(self);
        }
        let from = host(&self.url);
        // The hub's own code; without a token it answers 401 for everything that an anonymous user cannot see.
        let gated = self.header("x-error-code") == Some("GatedRepo");
        let error = match status {
            401 | 403 if self.own => {
                let way_out = match (gated, client.has_token()) {
                    (true, true) => {
                        "the model is gated, and the owner of the token in use has no access: accept the \
                                     model's terms on its page"
                    }
                    (true, false) => "the model is gated: accept its terms on its page",
                    (false, true) => "the token in use cannot read it, or it does not exist",
                    (false, false) => "it does not exist, is private, or is gated",
                };
                return Err(provider(format!(
                    "{doing}: {from} refused with status {status}; {way_out}. A token is read from HF_TOKEN, else from \
                     the file `token` in HF_HOME"
                ))
                .into());
            }
            404 if self.own => {
                let what = match self.header("x-error-code") {
                    Some("RepoNotFound") => "model",
                    Some("RevisionNotFound") => "revision",
                    Some("EntryNotFound") => "file",
                    _ => "model, revision or file",
                };
                return Err(
                    Error::not_found(format!("{doing}: {from} has no such {what} (status 404)")).into()
                );
            }
            _ => provider(format!("{doing}: {from} answered with status {status}")),
        };
        // A host that the hub redirects to refuses when its address has expired; the hub gives a new one.
        if !self.own || matches!(status, 408 | 425 | 429) || status >= 500 {
            // A date, the other form of the header, is ignored: our own pauses are used.
            let wait = self.header("retry-after").and_then(|wait| wait.trim().parse().ok());
            return Err(Failure::Passing { error, wait: wait.map(Duration::from_secs), gained: 0 });
        }
        Err(error.into())
    }
}

/// A request that got no answer.
fn broken(doing: &str, url: &Url, error: &ureq::Error) -> Failure {
    Failure::passing(format!("{doing}: asking {}: {error}", host(url)))
}

/// Only scheme, host and port: the rest may be signed, and works for anyone who reads it.
fn host(url: &Url) -> String {
    url.origin().ascii_serialization()
}
