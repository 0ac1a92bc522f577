//! A server on loopback that imitates the providers of language models: their wire formats, and their faults.
//!
//! It speaks OpenAI's chat completions, Anthropic's messages, Gemini's `generateContent` and Ollama's `/api/chat`, all
//! on one port: the end of the path says which. Any [`LlmBackend`] gives the answers ([`Parrot`] unless told
//! otherwise), so that the same backend can be met directly and through every format. It counts what it was asked, by
//! content: a test can show that no answered request came twice. It may depend on `forethought-api` alone, so what it
//! says of a format is said independently of the backend that is tested against it.
//!
//! # Reading order
//! [`Options`] and [`serve`] here, [`fault`] (what can go wrong, and when), `format` (how each provider writes),
//! [`parrot`] (the answers), `reply` (one request, from arrival to the last byte).

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
    /// Where answers come from. Requests reach it without their seed: an answer follows from the text alone, and so is
    /// the same in every format, of which not all have seeds.
    pub backend: Arc<dyn LlmBackend>,
    /// Faults by chance; a request may also [ask for one](Fault).
    pub faults: Vec<Rule>,
    /// Seed of that chance.
    pub seed: u64,
    /// The key that callers must show, where one is wanted.
    pub key: Option<String>,
    /// Whether [`Server::received`] keeps every request.
    pub record: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { backend: Arc::new(Parrot), faults: Vec::new(), seed: 0, key: None, record: false }
    }
}

/// How often something was asked, and how often the answer was handed over whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Requests, those met with a fault included.
    pub asked: u64,
    /// Answers whose last byte was handed to the connection, those with a wrong usage included.
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

/// A running server. Dropping it ends its listening; connections that are open by then live on for their answers.
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

/// The data under a lock; that a panic elsewhere interrupted its owner does not spoil counts.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves on a free port of loopback.
///
/// # Errors
/// If no port can be had.
pub async fn start(options: Options) -> Result<Server> {
    start_at(0, options).await
}

/// Serves on a port of loopback; 0 is any that is free.
///
/// # Errors
/// If the port cannot be had.
pub async fn start_at(port: u16, options: Options) -> Result<Server> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    serve(listener.await.context(format!("port {port} cannot be had"))?, options)
}

/// Serves on `listener`, in the background of the current tokio runtime.
///
/// `GET /counts` answers with all [counts](Server::counts), for tests that drive other processes.
///
/// # Errors
/// If the rules are no chances, or the listener has no address.
pub fn serve(listener: TcpListener, options: Options) -> Result<Server> {
    let total: f64 = options.faults.iter().map(|rule| rule.share).sum();
    if !(options.faults.iter().all(|rule| rule.share >= 0.0) && total <= 1.0 + 1e-9) {
        return Err(Error::config(format!(
            "the shares of faults come to {total}; they must be 0 to 1 in all"
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
        // Never returns: axum waits out the errors of single connections.
        let _ = axum::serve(listener, router).await;
    });
    Ok(Server { address, state, task })
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address in front of every path, such as `http://127.0.0.1:4000`. Base URLs add what providers have there:
    /// `/v1` (OpenAI, Anthropic), `/v1beta` (Gemini), `/api` (Ollama).
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Counts by content: a hash over model, messages, tools and settings (not whether it was to be streamed).
    pub fn counts(&self) -> BTreeMap<String, Count> {
        lock(&self.state.counts).clone()
    }

    /// All counts in one.
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

    /// Serves until the task is stopped from outside.
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

    /// Notes one more request of this content; says how many came before.
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
