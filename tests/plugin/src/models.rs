//! Components that need no model files: a language model that repeats and counts, an encoder, a trainer.

use std::sync::atomic::{AtomicU32, Ordering};

use forethought_sdk::prelude::*;

use crate::Nothing;

/// Settings of [`Count`].
#[config]
#[serde(default)]
pub struct CountConfig {
    /// Length of a stream, in tokens.
    tokens: u32,
}

impl Default for CountConfig {
    fn default() -> Self {
        Self { tokens: 1000 }
    }
}

/// A language model that repeats the last message, and whose streams count.
pub struct Count {
    tokens: u32,
}

fn text(text: String) -> Completion {
    Completion { choices: vec![Choice { text, ..Choice::default() }], ..Completion::default() }
}

#[async_trait]
impl LlmBackend for Count {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities { model: "count".into(), streaming: true, ..LlmCapabilities::default() })
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        Ok(text(request.messages.last().map(|message| message.content.clone()).unwrap_or_default()))
    }
    async fn stream(&self, _: ChatRequest) -> Result<Arc<dyn TokenStream>> {
        Ok(Arc::new(Counting { next: AtomicU32::new(0), end: self.tokens }))
    }
}

struct Counting {
    next: AtomicU32,
    end: u32,
}

#[async_trait]
impl TokenStream for Counting {
    async fn next(&self, max: u32) -> Result<Vec<String>> {
        let next = self.next.fetch_add(max, Ordering::Relaxed).min(self.end);
        Ok((next..next.saturating_add(max).min(self.end)).map(|token| format!(" {token}")).collect())
    }
    async fn finish(&self) -> Result<Completion> {
        let output_tokens = self.end.into();
        Ok(Completion { usage: Usage { output_tokens, ..Usage::default() }, ..text(String::new()) })
    }
}

register! {
    interface: dyn LlmBackend,
    kind: "count",
    summary: "repeats the last message, and streams numbers",
    config: CountConfig,
    new: |config: CountConfig, _host| async move { Ok(Arc::new(Count { tokens: config.tokens }) as _) },
}

/// A language model that does not stream.
pub struct Plain;

#[async_trait]
impl LlmBackend for Plain {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities { model: "plain".into(), ..LlmCapabilities::default() })
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        Count { tokens: 0 }.complete(request).await
    }
}

register! {
    interface: dyn LlmBackend,
    kind: "plain",
    summary: "repeats the last message",
    config: Nothing,
    new: |_: Nothing, _host| async { Ok(Arc::new(Plain) as _) },
}

/// Settings of the language model that passes on another one.
#[config]
pub struct RelayConfig {
    /// The language model to pass on.
    llm: String,
}

register! {
    interface: dyn LlmBackend,
    kind: "relay",
    summary: "passes on another language model",
    config: RelayConfig,
    new: |config: RelayConfig, host: Arc<dyn Host>| async move { host.llm(config.llm).await },
}

/// Settings of [`Axes`].
#[config]
#[serde(default)]
pub struct AxesConfig {
    /// Length of a vector.
    dimension: usize,
}

impl Default for AxesConfig {
    fn default() -> Self {
        Self { dimension: 384 }
    }
}

/// An encoder whose vectors are axes, selected by the length of the text.
pub struct Axes {
    dimension: usize,
}

#[async_trait]
impl TextEncoder for Axes {
    async fn spec(&self) -> Result<EncoderSpec> {
        let id = format!("axes-{}", self.dimension);
        Ok(EncoderSpec { id, revision: None, dimension: self.dimension })
    }
    async fn encode(&self, texts: Vec<String>) -> Result<Matrix> {
        let mut data = vec![0.0; texts.len() * self.dimension];
        for (row, text) in data.chunks_exact_mut(self.dimension).zip(&texts) {
            row[text.len() % self.dimension] = 1.0;
        }
        Matrix::new(texts.len(), self.dimension, data)
    }
}

register! {
    interface: dyn TextEncoder,
    kind: "axes",
    summary: "encodes a text as the axis that its length selects",
    config: AxesConfig,
    new: |config: AxesConfig, _host| async move {
        if config.dimension == 0 {
            return Err(Error::config("`dimension` must be at least 1"));
        }
        Ok(Arc::new(Axes { dimension: config.dimension }) as _)
    },
}

/// A trainer that learns nothing and reports ten steps.
pub struct Reports;

#[async_trait]
impl CriticTrainer for Reports {
    async fn fit(&self, fit: TrainingRequest, progress: Arc<dyn Progress>) -> Result<TrainingReport> {
        let steps = 10;
        for step in 1..=steps {
            progress.report("fit".into(), step, steps, format!("loss {}", 1.0 / step as f64)).await?;
        }
        let train_trajectories = fit.trajectories.len();
        Ok(TrainingReport { steps, train_trajectories, ..TrainingReport::default() })
    }
}

register! {
    interface: dyn CriticTrainer,
    kind: "reports",
    summary: "learns nothing, and reports progress",
    config: Nothing,
    new: |_: Nothing, _host| async { Ok(Arc::new(Reports) as _) },
}
