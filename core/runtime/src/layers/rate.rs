//! Requests and tokens per minute: calls wait here instead of being refused by the provider.
//!
//! Each allowance is a bucket that fills evenly and holds ten seconds' worth, so that no flood of calls
//! follows a pause. Tokens are estimated before the call; what an answer used beyond or short of that is settled after
//! it.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use forethought_api::{
    Result,
    llm::{ChatRequest, Completion, LlmBackend, LlmCapabilities, TokenStream},
    raw::{RawRequest, RawStream},
};
use tokio::time::{Duration, Instant};

use super::watch::Watched;
use crate::budget::tokens;
use crate::journal::meter;

/// A backend that gets no more calls and tokens than it allows.
pub struct RateLimit {
    inner: Arc<dyn LlmBackend>,
    requests: Option<Bucket>,
    tokens: Option<Arc<Bucket>>,
}

impl RateLimit {
    /// `inner` with these limits per minute.
    pub fn new(
        inner: Arc<dyn LlmBackend>,
        requests_per_minute: Option<u32>,
        tokens_per_minute: Option<u32>,
    ) -> Self {
        Self {
            inner,
            requests: requests_per_minute.map(Bucket::new),
            tokens: tokens_per_minute.map(|most| Arc::new(Bucket::new(most))),
        }
    }

    async fn wait(&self, request: &ChatRequest) -> f64 {
        let tokens = tokens::estimate(request).total() as f64;
        if let Some(requests) = &self.requests {
            requests.take(1.0).await;
        }
        if let Some(bucket) = &self.tokens {
            bucket.take(tokens).await;
        }
        tokens
    }
}

#[async_trait]
impl LlmBackend for RateLimit {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        self.inner.capabilities().await
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let estimated = meter::pause(self.wait(&request)).await?;
        let completion = self.inner.complete(request).await?;
        if let Some(bucket) = &self.tokens {
            bucket.give_back(estimated - completion.usage.total() as f64);
        }
        Ok(completion)
    }
    async fn stream(&self, request: ChatRequest) -> Result<Arc<dyn TokenStream>> {
        meter::pause(self.wait(&request)).await?;
        self.inner.stream(request).await
    }
    async fn formats(&self) -> Result<Vec<String>> {
        self.inner.formats().await
    }
    /// Streams often say nothing of their tokens; then what was expected counts.
    async fn forward(&self, request: RawRequest) -> Result<Arc<dyn RawStream>> {
        let (estimated, expected) =
            (meter::pause(self.wait(&request.request)).await?, tokens::estimate(&request.request));
        let answer = self.inner.forward(request).await?;
        let Some(bucket) = self.tokens.clone() else { return Ok(answer) };
        Ok(Arc::new(Watched::new(answer, move |outcome| {
            if let Ok(completion) = outcome {
                bucket.give_back(estimated - tokens::counted(completion.usage, expected).total() as f64);
            }
        })))
    }
}

/// An allowance that fills evenly.
struct Bucket {
    per_second: f64,
    most: f64,
    level: Mutex<(f64, Instant)>,
}

impl Bucket {
    fn new(per_minute: u32) -> Self {
        let per_minute = f64::from(per_minute.max(1));
        let most = (per_minute / 6.0).max(1.0);
        Self { per_second: per_minute / 60.0, most, level: Mutex::new((most, Instant::now())) }
    }

    /// Takes `amount`, and waits until it is available. A call that takes more than there is leaves a debt that the
    /// next ones wait for. So calls proceed in order of arrival, and one that is larger than the bucket proceeds, too.
    async fn take(&self, amount: f64) {
        let debt = {
            let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let filled =
                (level.0 + now.duration_since(level.1).as_secs_f64() * self.per_second).min(self.most);
            *level = (filled - amount, now);
            -level.0
        };
        if debt > 0.0 {
            tokio::time::sleep(Duration::from_secs_f64(debt / self.per_second)).await;
        }
    }

    /// Returns what was taken and not used; a negative amount is taken in addition.
    fn give_back(&self, amount: f64) {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        level.0 = (level.0 + amount).min(self.most);
    }
}
