//! Retries, where another attempt may help.
//!
//! The backend says what is worth repeating ([`Error::retryable`]): an overloaded or failing provider, a broken
//! connection. The pauses double, with jitter, so that callers who failed together do not come back together. If the
//! provider says how long to wait, that is obeyed. An interruption ends a pause; the layers within then refuse the next
//! attempt.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable as _};
use forethought_api::{
    Error, Result,
    llm::{ChatRequest, Completion, LlmBackend, LlmCapabilities, TokenStream},
    raw::{RawRequest, RawStream},
};

use crate::journal::meter;

/// The first pause, before jitter.
const FIRST: Duration = Duration::from_millis(500);

/// A backend whose failed calls are repeated.
pub struct Retry {
    inner: Arc<dyn LlmBackend>,
    pauses: ExponentialBuilder,
    longest: Duration,
}

impl Retry {
    /// `inner`, retried up to `retries` times, with pauses of up to `longest`.
    pub fn new(inner: Arc<dyn LlmBackend>, retries: u32, longest: Duration) -> Self {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(FIRST.min(longest))
            .with_max_delay(longest)
            .with_max_times(retries as usize)
            .with_jitter();
        Self { inner, pauses, longest }
    }

    async fn repeat<T, F: Future<Output = Result<T>>>(&self, attempt: impl Fn() -> F) -> Result<T> {
        let mut attempts = 0;
        let counted = || {
            attempts += 1;
            attempt()
        };
        let outcome = counted
            .retry(self.pauses)
            .sleep(|pause| async move { drop(meter::pause(tokio::time::sleep(pause)).await) })
            .when(|error: &Error| error.retryable)
            .adjust(|error, pause| {
                let requested = Duration::from_millis(error.retry_after_ms.unwrap_or_default());
                pause.filter(|_| requested <= self.longest).map(|pause| pause.max(requested))
            })
            .notify(|error, pause| tracing::debug!(%error, pause_ms = pause.as_millis() as u64, "retrying"));
        outcome.await.map_err(|error| match attempts {
            2.. if error.retryable => error.context(format!("given up after {attempts} attempts")),
            _ => error,
        })
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
    /// Retries until a stream begins; a stream that breaks off is up to its reader.
    async fn stream(&self, request: ChatRequest) -> Result<Arc<dyn TokenStream>> {
        self.repeat(|| self.inner.stream(request.clone())).await
    }
    async fn formats(&self) -> Result<Vec<String>> {
        self.inner.formats().await
    }
    /// Retries until an answer begins that is not worth another attempt. The last one is passed on as it is, a refusal
    /// included.
    async fn forward(&self, request: RawRequest) -> Result<Arc<dyn RawStream>> {
        let refused = Mutex::new(None);
        let attempt = || async {
            refused.lock().unwrap_or_else(PoisonError::into_inner).take();
            let answer = self.inner.forward(request.clone()).await?;
            match answer.head().await?.failure {
                Some(failure) => {
                    *refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
                    Err(failure)
                }
                None => Ok(answer),
            }
        };
        let outcome = self.repeat(attempt).await;
        let refused = refused.into_inner().unwrap_or_else(PoisonError::into_inner);
        outcome.or_else(|error| refused.ok_or(error))
    }
}
