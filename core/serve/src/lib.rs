//! Forethought's planners as models behind OpenAI's chat interface, for agents that know nothing of this project.
//!
//! It may depend on `forethought-api` and `forethought-runtime`. A session is an episode whose environment is the
//! client: each request is a turn, its answer the action, the next request what the action led to. So budgets, prices,
//! retries, journal, trajectories and everything that reads a run's folder are the runtime's own.
//!
//! # Reading order
//! [`start`] here, `http` (paths, tokens, browsers), `chat` (a request), `history` (what its messages say), `session`
//! (worlds, seats and the table of sessions), `models` (what decides), `answer` (bodies, streams, errors), `passed`
//! (answers of providers, byte for byte), `responses` (OpenAI's other interface), `kept` (what it can go
//! on from), `metrics`; `mcp` (the other door: questions by the Model Context Protocol).

mod answer;
mod chat;
mod history;
mod http;
mod kept;
mod mcp;
mod metrics;
mod models;
mod passed;
mod responses;
mod session;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::serve::ListenerExt as _;
use forethought_api::{
    Error, Result,
    environment::{Action, Environment, EnvironmentSpec, Reset, Transition, Turn},
    error::{Code, Context},
};
pub use forethought_runtime::run::live::LiveOutcome;
use forethought_runtime::{
    cancel::Cancel,
    config::ServeConfig,
    host::{RuntimeHost, assemble::LiveOptions},
    run::{NoopObserver, live::LiveRun},
};
pub use mcp::Advisor;
use tokio::{
    net::TcpListener,
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
};

use crate::kept::Kept;
use crate::metrics::Metrics;
use crate::models::Offered;
use crate::session::Sessions;

/// Where and how to serve.
#[derive(Clone)]
pub struct Options {
    /// `[serve]`.
    pub config: ServeConfig,
    /// The token that clients must send.
    pub token: Option<String>,
    /// Raised to give up everything at once.
    pub cancel: Cancel,
}

impl Options {
    /// The options of a configuration. Reads the token from the environment.
    ///
    /// # Errors
    /// If the variable is not set.
    pub fn of(config: &ServeConfig) -> Result<Self> {
        let token = match &config.token_env {
            None => None,
            Some(name) => match std::env::var(name).map(|token| token.trim().to_owned()) {
                Ok(token) if token.len() >= 16 => Some(token),
                Ok(_) => {
                    return Err(Error::config(format!(
                        "`serve.token_env`: the token in ${name} has fewer than 16 characters; choose a longer one"
                    )));
                }
                Err(_) => {
                    return Err(Error::config(format!(
                        "`serve.token_env`: ${name} is not set; it must hold the token that clients send"
                    )));
                }
            },
        };
        Ok(Self { config: config.clone(), token, cancel: Cancel::new() })
    }
}

/// A running server.
pub struct Server {
    address: SocketAddr,
    service: Arc<Service>,
    task: JoinHandle<()>,
}

/// What all requests share.
pub(crate) struct Service {
    pub(crate) run: LiveRun,
    pub(crate) offered: Offered,
    pub(crate) sessions: Sessions,
    pub(crate) kept: Kept,
    pub(crate) metrics: Metrics,
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) drivers: Drivers,
    /// Raised when the server stops.
    pub(crate) stop: Cancel,
    pub(crate) idle: Duration,
    pub(crate) seed: u64,
    pub(crate) doors: http::Doors,
    pub(crate) concurrency: usize,
    pub(crate) started: u64,
}

/// The tasks that play sessions.
#[derive(Default)]
pub(crate) struct Drivers(Mutex<JoinSet<()>>);

impl Drivers {
    pub(crate) fn spawn(&self, driver: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(driver);
    }
    async fn finish(&self) {
        let mut tasks = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        while tasks.join_next().await.is_some() {}
    }
}

/// Serves the models of a configuration.
///
/// # Errors
/// An address that cannot be used, or a configuration with nothing to serve.
pub async fn start(host: &RuntimeHost, options: Options) -> Result<Server> {
    let Options { config, token, cancel } = options;
    let address = address(&config.address)?;
    if !address.ip().is_loopback() && token.is_none() {
        return Err(Error::config(format!(
            "`serve.address`: {address} can be reached from other machines, so a token is needed: set \
             token_env = \"NAME\" under [serve], the name of an environment variable that holds it; or listen on \
             127.0.0.1"
        )));
    }
    let listener = TcpListener::bind(address).await;
    let listener = listener.context(format!("cannot listen on {address} (`serve.address`, --address)"))?;
    let address = listener.local_addr()?;
    let environment = session::world();
    let offered = Offered::of(host, &environment).await?;
    let spec = host
        .live_spec(LiveOptions {
            environment: Arc::new(AnySession),
            name: "serve".into(),
            planner: Arc::new(offered.clone()),
            collect: true,
            cancel,
        })
        .await?;
    let service = Arc::new(Service {
        run: LiveRun::open(spec, Arc::new(NoopObserver)).await?,
        offered,
        sessions: Sessions::default(),
        kept: Kept::default(),
        metrics: Metrics::default(),
        slots: Arc::new(Semaphore::new(config.concurrency)),
        drivers: Drivers::default(),
        stop: Cancel::new(),
        idle: Duration::from_secs_f64(config.idle_s.max(0.01)),
        seed: host.config().seed,
        doors: http::Doors::new(address, token, config.max_body),
        concurrency: config.concurrency,
        started: forethought_runtime::clock::seconds(),
    });
    let (router, stopped) = (http::router(service.clone()), service.stop.clone());
    // A stream's events are small, and none may wait until the one before it is acknowledged.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let task = tokio::spawn(async move {
        let serving =
            axum::serve(listener, router).with_graceful_shutdown(async move { stopped.cancelled().await });
        if let Err(error) = serving.await {
            tracing::warn!("the server ended: {error}");
        }
    });
    Ok(Server { address, service, task })
}

/// The address, also as `localhost:PORT`.
fn address(text: &str) -> Result<SocketAddr> {
    let plain = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    plain.parse().map_err(|_| {
        Error::config(format!(
            "`serve.address`: `{text}` is not an address and a port, such as 127.0.0.1:4114 or [::1]:4114"
        ))
    })
}

/// How long open connections may take to end.
const GRACE: Duration = Duration::from_secs(5);

impl Server {
    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
    /// What clients call their base URL.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }
    /// The names of its models.
    pub fn models(&self) -> Vec<String> {
        self.service.offered.names()
    }
    /// What is configured and cannot be offered, and why.
    pub fn missing(&self) -> &BTreeMap<String, String> {
        self.service.offered.missing()
    }
    /// Whether clients must send a token.
    pub fn needs_token(&self) -> bool {
        self.service.doors.need_token()
    }
    /// The folder of the run.
    pub fn folder(&self) -> &Path {
        self.service.run.folder()
    }

    /// Stops: decisions in flight are given up, sessions that wait are ended and kept, and the folder is closed.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub async fn stop(self) -> Result<LiveOutcome> {
        self.service.stop.cancel();
        self.service.sessions.all().iter().for_each(|session| session.stop());
        self.service.drivers.finish().await;
        let mut task = self.task;
        if tokio::time::timeout(GRACE, &mut task).await.is_err() {
            task.abort();
        }
        self.service.run.close().await
    }
}

/// What sessions have in common. Nothing is played in it.
struct AnySession;

#[async_trait::async_trait]
impl Environment for AnySession {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        Ok(session::world())
    }
    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Ok(Arc::new(Self))
    }
    async fn reset(&self, _: Reset) -> Result<Turn> {
        Err(Error::new(Code::Unimplemented, "a session is begun by a client"))
    }
    async fn step(&self, _: Action) -> Result<Transition> {
        Err(Error::new(Code::Unimplemented, "a session is begun by a client"))
    }
}
