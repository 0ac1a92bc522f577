//! One attempt: its cost, its time limit, and its line in the log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use forethought_api::{
    Error, Result,
    error::Code,
    llm::{ChatRequest, Completion, LlmBackend, LlmCapabilities, Purpose, TokenStream},
    raw::{RawRequest, RawStream, not_passed_on},
};

use super::watch::Watched;
use crate::{busy, journal::meter::Metering};

/// A backend whose attempts end within a time limit.
pub struct Attempt {
    inner: Arc<dyn LlmBackend>,
    name: String,
    limit: Duration,
    least: Duration,
    metering: Metering,
}

impl Attempt {
    /// Attempts at `inner`, called `name` in the configuration, of at most `limit`, and counted by the runs of
    /// `metering`.
    pub fn new(
        inner: Arc<dyn LlmBackend>,
        name: impl Into<String>,
        limit: Duration,
        metering: Metering,
    ) -> Self {
        Self { inner, name: name.into(), limit, least: Duration::ZERO, metering }
    }

    /// The same, with attempts that take at least this long.
    pub fn lasting(self, least: Duration) -> Self {
        Self { least, ..self }
    }

    async fn answer(&self, request: ChatRequest) -> Result<Completion> {
        let answer = self.inner.complete(request);
        if self.least.is_zero() {
            return answer.await;
        }
        tokio::join!(answer, tokio::time::sleep(self.least)).0
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::time::timeout(self.limit, work).await.unwrap_or_else(|_| Err(self.late("gave no answer")))
    }

    fn late(&self, what: &str) -> Error {
        let message =
            format!("[llm.{}] {what} within {} s (`calls.timeout_s`)", self.name, self.limit.as_secs_f64());
        Error::new(Code::Provider, message).retryable()
    }

    async fn begin(&self, request: RawRequest) -> Result<Arc<dyn RawStream>> {
        let answer = self.inner.forward(request);
        if self.least.is_zero() {
            return answer.await;
        }
        tokio::join!(answer, tokio::time::sleep(self.least)).0
    }
}

#[async_trait]
impl LlmBackend for Attempt {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        self.within(self.inner.capabilities()).await
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let charge = self.metering.set_aside(&self.name, &request).await?;
        let (purpose, watch) = (request.purpose, Instant::now());
        let outcome = busy::attempt(self.within(self.answer(request))).await;
        log(&self.name, purpose, watch, &outcome);
        if let Some(charge) = charge {
            charge.settle(&outcome);
        }
        outcome
    }
    /// The limit applies until the stream begins; after that, its reader decides how long to wait. Only the reader
    /// knows what a stream costs, so the most counts.
    async fn stream(&self, request: ChatRequest) -> Result<Arc<dyn TokenStream>> {
        let _charge = self.metering.set_aside(&self.name, &request).await?;
        self.within(self.inner.stream(request)).await
    }
    async fn formats(&self) -> Result<Vec<String>> {
        self.within(self.inner.formats()).await
    }
    /// The limit applies to the whole answer. What it cost is settled when it has ended; a reader that gives up leaves
    /// the most to count.
    async fn forward(&self, request: RawRequest) -> Result<Arc<dyn RawStream>> {
        if !self.formats().await?.contains(&request.format) {
            return Err(not_passed_on(&request.format));
        }
        let charge = self.metering.set_aside(&self.name, &request.request).await?;
        let (purpose, watch) = (request.request.purpose, Instant::now());
        let deadline = tokio::time::Instant::now() + self.limit;
        let begun = busy::attempt(self.within(self.begin(request))).await;
        let name = self.name.clone();
        let end = move |outcome: &Result<Completion>| {
            log(&name, purpose, watch, outcome);
            if let Some(charge) = charge {
                charge.settle(outcome);
            }
        };
        let failure = match &begun {
            Ok(answer) => answer.head().await?.failure,
            Err(error) => Some(error.clone()),
        };
        match failure {
            Some(failure) => {
                end(&Err(failure));
                begun
            }
            None => {
                Ok(Arc::new(Watched::new(begun?, end).until(deadline, self.late("gave no complete answer"))))
            }
        }
    }
}

fn log(llm: &str, purpose: Purpose, since: Instant, outcome: &Result<Completion>) {
    let ms = since.elapsed().as_millis() as u64;
    match outcome {
        Ok(completion) => {
            let usage = completion.usage;
            tracing::debug!(llm, ?purpose, ms, usage.input_tokens, usage.output_tokens, "completed");
        }
        Err(error) => tracing::debug!(llm, ?purpose, ms, %error, "failed"),
    }
}
