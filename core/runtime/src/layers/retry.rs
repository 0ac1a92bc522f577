//! Another attempt, where one may help.
//!
//! What is worth repeating, the backend says ([`Error::retryable`]): an overloaded or failing provider, a connection
//! that broke. The pauses double, with jitter, so that callers who failed together do not come back together; a
//! provider that says how long to wait is taken at its word.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBuilder};
use forethought_api::{
    Error, Result,
    llm::{ChatRequest, Completion, LlmBackend, LlmCapabilities, TokenStream},
};

/// The first pause, before jitter.
const FIRST: Duration = Duration::from_millis(500);

/// A backend that is asked again.
pub struct Retry {
    inner: Arc<dyn LlmBackend>,
    pauses: ExponentialBuilder,
    longest: Duration,
}

impl Retry {
    /// `inner`, asked up to `retries` times more, with pauses of up to `longest`.
    pub fn new(inner: Arc<dyn LlmBackend>, retries: u32, longest: Duration) -> Self {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(FIRST.min(longest))
            .with_max_delay(longest)
            .with_max_times(retries as usize)
            .with_jitter();
        Self { inner, pauses, longest }
    }

    async fn repeat<T, F: Future<Output = Result<T>>>(&self, attempt: impl Fn() -> F) -> Result<T> {
        let mut pauses = self.pauses.build();
        let mut attempts = 1;
        loop {
            let error = match attempt().await {
                Err(error) if error.retryable => error,
                done => return done,
            };
            let asked = error.retry_after_ms.map(Duration::from_millis);
            let pause = pauses.next().map(|pause| asked.map_or(pause, |asked| pause.max(asked)));
            let Some(pause) = pause.filter(|_| asked.is_none_or(|asked| asked <= self.longest)) else {
                return Err(given_up(error, attempts));
            };
            tracing::debug!(%error, pause_ms = pause.as_millis() as u64, "asking again");
            tokio::time::sleep(pause).await;
            attempts += 1;
        }
    }
}

fn given_up(error: Error, attempts: u32) -> Error {
    match attempts {
        1 => error,
        _ => error.context(format!("given up after {attempts} attempts")),
    }
}

#[async_trait]
impl LlmBackend for Retry {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        self.inner.capabilities().await
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        self.repeat(|| self.inner.complete(request.clone())).await
    }
    /// Asks again until a stream begins; a stream that breaks off is its reader's to deal with.
    async fn stream(&self, request: ChatRequest) -> Result<Arc<dyn TokenStream>> {
        self.repeat(|| self.inner.stream(request.clone())).await
    }
}
