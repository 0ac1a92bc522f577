//! The Restate server, as runs and workers reach it: its ingress, which takes episodes, and its admin interface.

use std::time::Duration;

use async_trait::async_trait;
use forethought_api::{Error, Result, error::Context};
use forethought_runtime::budget::ledger::{Answer, Demand, Ledger};
use forethought_runtime::cancel::Cancel;
use forethought_runtime::config::RestateConfig;
use forethought_runtime::run::elsewhere::{Assignment, Engine, Returned};
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use serde_json::json;

use crate::service::REFUSED;
use crate::{pack, unpack};

/// How long one waits before a server that does not answer is asked again.
const PAUSE: Duration = Duration::from_millis(500);
/// How long an unknown service may be one that is just being registered.
const UNKNOWN: u32 = 20;

/// A Restate server.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    ingress: Url,
    admin: Url,
    token: Option<String>,
}

/// What the server says of an invocation that it accepted.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Accepted {
    invocation_id: String,
}

/// An error of the server.
#[derive(Deserialize)]
struct Failure {
    message: String,
}

impl Client {
    /// The server of `[run.restate]`.
    ///
    /// # Errors
    /// An invalid address, or a token that is not in the environment.
    pub fn new(config: &RestateConfig) -> Result<Self> {
        // An error means that it is installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = |key: &str, text: &str| {
            Url::parse(text).map_err(|error| {
                Error::config(format!(
                    "[run.restate] {key} = {text:?} is not a valid address ({error}); write one like http://127.0.0.1:8080"
                ))
            })
        };
        let token = config.token_env.as_ref().map(|name| {
            std::env::var(name).map_err(|_| {
                Error::config(format!(
                    "[run.restate] token_env = {name:?}: set this environment variable to the server's token"
                ))
            })
        });
        Ok(Self {
            http: reqwest::Client::builder().build().context("no HTTP client could be made")?,
            ingress: url("ingress", &config.ingress)?,
            admin: url("admin", &config.admin)?,
            token: token.transpose()?,
        })
    }

    fn request(&self, method: Method, base: &Url, path: &[&str]) -> RequestBuilder {
        let mut url = base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request until the server answers it whole.
    async fn answered(&self, request: impl Fn() -> RequestBuilder) -> Result<Vec<u8>> {
        let mut unknown = 0;
        loop {
            let answer = match request().send().await {
                Ok(answer) => {
                    let (status, url) = (answer.status(), answer.url().clone());
                    answer.bytes().await.map(|body| (status, url, body))
                }
                Err(error) => Err(error),
            };
            match answer {
                Err(error) if error.is_builder() => return Err(Error::other(error.to_string())),
                Err(error) => tracing::info!("{error}; asked again"),
                Ok((status, _, body)) if status.is_success() => return Ok(body.into()),
                Ok((StatusCode::NOT_FOUND, ..)) if unknown < UNKNOWN => unknown += 1,
                Ok((status, url, _)) if passing(status) => tracing::info!("{url}: {status}; asked again"),
                Ok((status, url, body)) => return Err(failure(status, &url, &body)),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Tells the server that workers are at `address`; waits until it is there.
    ///
    /// # Errors
    /// If it refuses.
    pub async fn register(&self, address: &str) -> Result<()> {
        let deployment = json!({ "uri": address, "force": true }).to_string();
        let answer = self.answered(|| {
            let request = self.request(Method::POST, &self.admin, &["deployments"]);
            request.header("content-type", "application/json").body(deployment.clone())
        });
        answer.await.context(format!("{} does not accept the worker {address}", self.admin)).map(drop)
    }

    /// Hands the episode over and returns the invocation's id; the id is the same when this is repeated.
    async fn submit(&self, assignment: &Assignment) -> Result<String> {
        let (key, body) = (format!("{}-{}", assignment.start, assignment.episode), pack(assignment)?);
        let accepted = self.answered(|| {
            let path = ["ForethoughtEpisodes", "play", "send"];
            let request = self.request(Method::POST, &self.ingress, &path).header("idempotency-key", &key);
            request.header("content-type", "application/octet-stream").body(body.clone())
        });
        Ok(serde_json::from_slice::<Accepted>(&accepted.await?)?.invocation_id)
    }

    async fn result(&self, invocation: &str) -> Result<Returned> {
        let path = ["restate", "invocation", invocation, "attach"];
        unpack(&self.answered(|| self.request(Method::GET, &self.ingress, &path)).await?)
    }

    /// Lets the server do something with an invocation. That this fails changes no result.
    async fn manage(&self, invocation: &str, verb: &str) {
        let request = self.request(Method::PATCH, &self.admin, &["invocations", invocation, verb]);
        match request.timeout(Duration::from_secs(10)).send().await {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => tracing::warn!("{verb} {invocation}: {}", answer.status()),
            Err(error) => tracing::warn!("{verb} {invocation}: {error}"),
        }
    }
}

/// Whether the same request may be answered later.
fn passing(status: StatusCode) -> bool {
    status.is_server_error() && status != StatusCode::INTERNAL_SERVER_ERROR
        || status == StatusCode::TOO_MANY_REQUESTS
}

/// What a refusal says.
fn failure(status: StatusCode, url: &Url, body: &[u8]) -> Error {
    let message = serde_json::from_slice::<Failure>(body)
        .map_or_else(|_| String::from_utf8_lossy(body).into_owned(), |failure| failure.message);
    match serde_json::from_str::<Error>(&message) {
        Ok(error) if status.as_u16() == REFUSED => error,
        _ if status == StatusCode::NOT_FOUND => Error::config(format!(
            "{url}: {message}. If no worker has registered at this Restate server, start one: forethought worker my.toml"
        )),
        _ => Error::other(format!("{url} answers {status}: {message}")),
    }
}

#[async_trait]
impl Engine for Client {
    async fn play(&self, assignment: Assignment, cancel: &Cancel) -> Result<Returned> {
        let invocation = self.submit(&assignment).await?;
        let result = self.result(&invocation);
        tokio::pin!(result);
        let returned = tokio::select! {
            returned = &mut result => returned,
            () = cancel.cancelled() => {
                self.manage(&invocation, "cancel").await;
                result.await
            }
        };
        // It is asked for no more, and its journal takes up space there.
        self.manage(&invocation, "purge").await;
        returned
    }
}

#[async_trait]
impl Ledger for Client {
    async fn ask(&self, account: &str, demand: Demand) -> Result<Answer> {
        let request = self.request(Method::POST, &self.ingress, &["ForethoughtLedger", account, "ask"]);
        let request = request.header("content-type", "application/octet-stream").body(pack(&demand)?);
        let answer = request.timeout(Duration::from_secs(10)).send().await.context("the ledger")?;
        let (status, url) = (answer.status(), answer.url().clone());
        let body = answer.bytes().await.context("the ledger")?;
        if status.is_success() { unpack(&body) } else { Err(failure(status, &url, &body)) }
    }
}
