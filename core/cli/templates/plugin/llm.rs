//! A language model that says its lines: a backend to start from.
//!
//! A backend that calls a provider looks the same: an HTTP client in the struct, built in `new`, and
//! a request in `complete`. Methods run on this library's own tokio runtime. API keys belong in the
//! environment: let a field `key_env` name the variable.

use forethought_sdk::prelude::*;
use forethought_sdk::seed::IndexedRandom;

/// The keys under `[llm.<name>]`. The comment on a key becomes its help text.
#[config]
#[serde(default)]
struct Config {
    /// What it may say.
    lines: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self { lines: vec!["Thought: look around\nAction: search[lamp]".into()] }
    }
}

struct Parrot {
    lines: Vec<String>,
}

#[async_trait]
impl LlmBackend for Parrot {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        // Only what is true: planners rely on it.
        Ok(LlmCapabilities { model: "{{name}}-1".into(), seed: true, ..Default::default() })
    }

    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let text: String = request.messages.iter().map(|message| &*message.content).collect();
        // The same request and seed, the same answers: every draw comes from a named stream.
        let mut draws = seed::stream(request.seed.unwrap_or(0), &text);
        let mut completion = Completion::default();
        for _ in 0..request.samples {
            let line = self.lines.choose(&mut draws).cloned().unwrap_or_default();
            completion.usage.output_tokens += tokens(&line);
            completion.choices.push(Choice { text: line, ..Default::default() });
        }
        completion.usage.input_tokens = tokens(&text);
        Ok(completion)
    }
}

/// About four characters per token; a provider's own count is better.
fn tokens(text: &str) -> u64 {
    text.len().div_ceil(4) as u64
}

register! {
    interface: dyn LlmBackend, kind: "{{name}}", summary: "says one of its lines", config: Config,
    new: |config: Config, _host| async move {
        if config.lines.is_empty() {
            return Err(Error::config("lines = []: a parrot needs something to say"));
        }
        Ok(Arc::new(Parrot { lines: config.lines }) as _)
    },
}
