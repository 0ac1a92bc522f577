//! A server on loopback that imitates the providers of language models: their wire formats and their faults.
//!
//! It speaks OpenAI's chat completions, Anthropic's messages, Gemini's `generateContent` and Ollama's `/api/chat`, all
//! on one port; the end of the path selects the format. It also has embeddings, as OpenAI and text-embeddings-inference
//! serve them. Any [`LlmBackend`] gives the answers (by default [`Parrot`]), so
//! the same backend can be used directly and through every format. The server counts requests by content, so a test can
//! show that no answered request came twice. It may depend on `forethought-api` alone: its formats are written
//! independently of the backend that is tested against it.
//!
//! # Reading order
//! [`Options`] and [`serve`] here, [`fault`] (what can go wrong, and when), `format` (the wire formats), `embeddings`, [`parrot`] (the
//! answers), `reply` (one request, from arrival to the last byte).

mod embeddings;
pub mod fault;
mod format;
pub mod parrot;
mod reply;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{Json, Router, routing::get};
use forethought_api::{Error, Result, error::Context, llm::LlmBackend};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};

pub use fault::{Fault, Rule};
pub use parrot::Parrot;

/// How the server answers.
pub struct Options {
    /// Gives the answers. It gets requests without their seed, so that an answer depends on the text alone and is the
    /// same in every format; not all formats have seeds.
    pub backend: Arc<dyn LlmBackend>,
    /// Random faults; a request can also [trigger one](Fault).
    pub faults: Vec<Rule>,
    /// Seed of the random faults.
    pub seed: u64,
    /// The key that callers must send, if any.
    pub key: Option<String>,
    /// Whether [`Server::received`] keeps every request.
    pub record: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { backend: Arc::new(Parrot), faults: Vec::new(), seed: 0, key: None, record: false }
    }
}

/// Counts of one content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Requests, including those with a fault.
    pub asked: u64,
    /// Answers whose last byte was handed to the connection, including those with a wrong usage.
    pub answered: u64,
}

/// A request as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// Path and query.
    pub path: String,
    /// Headers by lower-case name.
    pub headers: BTreeMap<String, String>,
    /// The body's bytes, as text.
    pub body: String,
}

/// A running server. Dropping it stops listening; open connections still get their answers.
pub struct Server {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    options: Options,
    counts: Mutex<BTreeMap<String, Count>>,
    struck: Mutex<BTreeMap<String, u64>>,
    received: Mutex<Vec<Received>>,
}

/// The data under a lock; a panic of another holder does not corrupt it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves on a free port of loopback.
///
/// # Errors
/// If no port is available.
pub async fn start(options: Options) -> Result<Server> {
    start_at(0, options).await
}

/// Serves on a port of loopback; 0 means any free port.
///
/// # Errors
/// If the port is not available.
pub async fn start_at(port: u16, options: Options) -> Result<Server> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    serve(listener.await.context(format!("cannot listen on port {port}"))?, options)
}

/// Serves on `listener`, in the background of the current tokio runtime.
///
/// `GET /counts` returns all [counts](Server::counts), for tests that drive other processes.
///
/// # Errors
/// If the shares of the faults are not probabilities, or the listener has no address.
pub fn serve(listener: TcpListener, options: Options) -> Result<Server> {
    let total: f64 = options.faults.iter().map(|rule| rule.share).sum();
    if !(options.faults.iter().all(|rule| rule.share >= 0.0) && total <= 1.0 + 1e-9) {
        return Err(Error::config(format!(
            "the shares of faults add up to {total}; each must be at least 0, and the sum at most 1"
        )));
    }
    let address = listener.local_addr()?;
    let state = Arc::new(State {
        options,
        counts: Mutex::default(),
        struck: Mutex::default(),
        received: Mutex::default(),
    });
    let counts = state.clone();
    let router = Router::new()
        .route("/counts", get(move || async move { Json(counts.report()) }))
        .fallback(reply::reply)
        .with_state(state.clone());
    let task = tokio::spawn(async move {
        // Never returns: axum tolerates errors of single connections.
        let _ = axum::serve(listener, router).await;
    });
    Ok(Server { address, state, task })
}

impl Server {
    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address in front of every path, such as `http://127.0.0.1:4000`. Base URLs append the provider's prefix:
    /// `/v1` (OpenAI, Anthropic), `/v1beta` (Gemini), `/api` (Ollama).
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Counts by content: a hash over model, messages, tools and settings, but not over whether to stream.
    pub fn counts(&self) -> BTreeMap<String, Count> {
        lock(&self.state.counts).clone()
    }

    /// The sum of all counts.
    pub fn total(&self) -> Count {
        lock(&self.state.counts).values().fold(Count::default(), |sum, count| Count {
            asked: sum.asked + count.asked,
            answered: sum.answered + count.answered,
        })
    }

    /// How often each [`Fault`] happened, by its name.
    pub fn struck(&self) -> BTreeMap<String, u64> {
        lock(&self.state.struck).clone()
    }

    /// What arrived so far, in order; empty unless [recorded](Options::record).
    pub fn received(&self) -> Vec<Received> {
        lock(&self.state.received).clone()
    }

    /// Serves until the task is aborted.
    pub async fn wait(mut self) {
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn report(&self) -> Value {
        let row = |(key, count): (&String, &Count)| {
            (key.clone(), serde_json::json!({ "asked": count.asked, "answered": count.answered }))
        };
        lock(&self.counts).iter().map(row).collect::<serde_json::Map<_, _>>().into()
    }

    /// Counts a request with this content; returns how many came before.
    fn asked(&self, key: &str) -> u64 {
        let mut counts = lock(&self.counts);
        let count = counts.entry(key.to_owned()).or_default();
        count.asked += 1;
        count.asked - 1
    }

    fn answered(&self, key: &str) {
        lock(&self.counts).entry(key.to_owned()).or_default().answered += 1;
    }
}
