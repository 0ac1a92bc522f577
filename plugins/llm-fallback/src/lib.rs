//! `[llm.NAME] kind = "fallback"`: several language models in order, the next one where one fails.
//!
//! Each has its own retries, limits and price, under its own `[llm.NAME.calls]`: it has failed when those are used up.
//! The journal holds the answer, under the name of the fallback, so an episode is replayed without it.
//!
//! May depend on `forethought-sdk` alone.

use forethought_sdk::prelude::*;

/// Settings of a fallback.
#[config]
#[derive(Debug, Clone)]
pub struct FallbackConfig {
    /// Names of language models under `[llm]`, the preferred one first.
    #[schemars(length(min = 1))]
    #[schemars(with = "Vec<LlmName>")]
    pub of: Vec<String>,
}

/// Models of which the next one is asked where one fails.
pub struct Fallback(Vec<(String, Arc<dyn LlmBackend>)>);

impl Fallback {
    /// A fallback over these models, by their names.
    ///
    /// # Errors
    /// If `models` is empty.
    pub fn over(models: Vec<(String, Arc<dyn LlmBackend>)>) -> Result<Self> {
        if models.is_empty() {
            return Err(Error::config("of = []: must name at least one language model"));
        }
        Ok(Self(models))
    }

    /// The first answer that a model gives.
    async fn first<T, F: Future<Output = Result<T>>>(
        &self,
        ask: impl Fn(Arc<dyn LlmBackend>, ChatRequest) -> F,
        request: ChatRequest,
    ) -> Result<T> {
        let mut failed: Option<Error> = None;
        for (name, model) in &self.0 {
            let error = match ask(model.clone(), request.clone()).await {
                Ok(answer) => return Ok(answer),
                // Nobody may be asked any more.
                Err(error) if matches!(error.code, Code::Budget | Code::Cancelled | Code::Shutdown) => {
                    return Err(error);
                }
                Err(error) => error,
            };
            tracing::warn!(llm = name, %error, "failed; the next model is asked");
            let error = error.context(format!("[llm.{name}] failed"));
            failed = Some(match failed {
                Some(first) => first.because(error),
                None => error,
            });
        }
        let mut error = failed.unwrap_or_else(|| Error::config("there is no model to ask"));
        // Each was asked as often as it may be.
        error.retryable = false;
        Err(error)
    }
}

#[async_trait]
impl LlmBackend for Fallback {
    /// What all of them can do, under the first one's name.
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        let mut all = self.0[0].1.capabilities().await?;
        for (_, model) in &self.0[1..] {
            all = all.and(&model.capabilities().await?);
        }
        Ok(all)
    }

    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let ask = |model: Arc<dyn LlmBackend>, request| async move { model.complete(request).await };
        self.first(ask, request).await
    }

    /// From the first model that begins to stream; a stream that breaks off is up to its reader.
    async fn stream(&self, request: ChatRequest) -> Result<Arc<dyn TokenStream>> {
        let ask = |model: Arc<dyn LlmBackend>, request| async move { model.stream(request).await };
        self.first(ask, request).await
    }
}

register! {
    interface: dyn LlmBackend, kind: "fallback", summary: "several models in order: the next one where one fails",
    config: FallbackConfig,
    new: |config: FallbackConfig, host: Arc<dyn Host>| async move {
        let mut models = Vec::new();
        for name in config.of {
            models.push((name.clone(), host.llm(name).await?));
        }
        Ok(Arc::new(Fallback::over(models)?) as _)
    },
}
