//! Calls in flight at once: as many as configured, fewer while the provider is overloaded.
//!
//! Additive increase, multiplicative decrease, as TCP does it: an answer that says "overloaded" halves the number of
//! calls allowed, each round of good answers allows one more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use forethought_api::{
    Error, Result,
    llm::{ChatRequest, Completion, LlmBackend, LlmCapabilities, TokenStream},
    raw::{RawRequest, RawStream},
};
use tokio::sync::Notify;

use super::watch::Watched;
use crate::journal::meter;

/// A backend with a limited number of calls in flight.
pub struct ConcurrencyLimit {
    inner: Arc<dyn LlmBackend>,
    gate: Arc<Gate>,
}

impl ConcurrencyLimit {
    /// `inner`, with at most `most` calls in flight.
    pub fn new(inner: Arc<dyn LlmBackend>, most: u32) -> Self {
        let most = f64::from(most.max(1));
        let state = State { allowed: most, under_way: 0, waiting: 0, round: 0 };
        Self { inner, gate: Arc::new(Gate { most, state: Mutex::new(state), free: Notify::new() }) }
    }

    /// Calls allowed at present.
    pub fn allowed(&self) -> u32 {
        self.gate.state().allowed as u32
    }

    async fn pass<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let permit = meter::pause(self.gate.clone().enter()).await?;
        let outcome = call.await;
        permit.says(outcome.as_ref().err());
        outcome
    }
}

#[async_trait]
impl LlmBackend for ConcurrencyLimit {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        self.inner.capabilities().await
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        self.pass(self.inner.complete(request)).await
    }
    /// A stream counts until it begins: after that, the provider has accepted it.
    async fn stream(&self, request: ChatRequest) -> Result<Arc<dyn TokenStream>> {
        self.pass(self.inner.stream(request)).await
    }
    async fn formats(&self) -> Result<Vec<String>> {
        self.inner.formats().await
    }
    /// An answer that is passed on counts until it ends.
    async fn forward(&self, request: RawRequest) -> Result<Arc<dyn RawStream>> {
        let permit = meter::pause(self.gate.clone().enter()).await?;
        let outcome = self.inner.forward(request).await;
        let failure = match &outcome {
            Ok(answer) => answer.head().await?.failure,
            Err(error) => Some(error.clone()),
        };
        permit.says(failure.as_ref());
        let answer = outcome?;
        match failure {
            // All of it is here.
            Some(_) => Ok(answer),
            None => Ok(Arc::new(Watched::new(answer, move |_| drop(permit)))),
        }
    }
}

struct Gate {
    most: f64,
    state: Mutex<State>,
    free: Notify,
}

struct State {
    /// Between 1 and the most.
    allowed: f64,
    under_way: u32,
    /// Calls that wait for room.
    waiting: u32,
    /// Counts reductions: calls that began before the last one say nothing about the number allowed since.
    round: u64,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn enter(self: Arc<Self>) -> Permit {
        loop {
            if let Some(permit) = self.try_enter() {
                return permit;
            }
            let _waits = Waits::new(&self);
            let mut free = std::pin::pin!(self.free.notified());
            // Registered before looking once more; room that was made in between would be missed.
            free.as_mut().enable();
            if let Some(permit) = self.try_enter() {
                return permit;
            }
            free.await;
        }
    }

    fn try_enter(self: &Arc<Self>) -> Option<Permit> {
        let mut state = self.state();
        let room = state.under_way < state.allowed as u32;
        room.then(|| {
            state.under_way += 1;
            Permit { gate: self.clone(), round: state.round }
        })
    }
}

/// A call that waits for room, or is given up.
struct Waits<'g>(&'g Gate);

impl<'g> Waits<'g> {
    fn new(gate: &'g Gate) -> Self {
        gate.state().waiting += 1;
        Self(gate)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

/// A call in flight; dropped, it makes room.
struct Permit {
    gate: Arc<Gate>,
    round: u64,
}

impl Permit {
    /// The call was answered, or failed with this.
    fn says(&self, failure: Option<&Error>) {
        match failure {
            None => self.answered(),
            // Backends from before `overloaded` existed say only how long to wait.
            Some(error) if error.overloaded || (error.retryable && error.retry_after_ms.is_some()) => {
                self.overloaded()
            }
            Some(_) => {}
        }
    }
    fn answered(&self) {
        let mut state = self.gate.state();
        state.allowed = (state.allowed + 1.0 / state.allowed).min(self.gate.most);
    }
    fn overloaded(&self) {
        let mut state = self.gate.state();
        // Calls that were refused together are one sign of overload, not many.
        if state.round == self.round {
            state.allowed = (state.allowed / 2.0).max(1.0);
            state.round += 1;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let free = {
            let mut state = self.gate.state();
            state.under_way -= 1;
            (state.allowed as u32).saturating_sub(state.under_way).min(state.waiting)
        };
        // Only as many as there is room for; the others would wake up for nothing.
        for _ in 0..free {
            self.gate.free.notify_one();
        }
    }
}
