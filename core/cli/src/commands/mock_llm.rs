//! `forethought mock-llm`.

use clap::Args;
use forethought_api::Result;

use crate::{exit::Exit, session::Session};

/// Imitate the providers of language models, and their faults, on a port of this machine.
///
/// One port speaks all formats: OpenAI and Anthropic under /v1, Gemini under /v1beta, Ollama under /api. Answers follow
/// from the text of a request alone, so they are the same in every format. A request may ask for a fault of its own by
/// the header `x-mock-fault: cut`, or by a model name that ends in `!cut`. GET /counts tells how often what was asked.
#[derive(Debug, Args)]
#[command(
    after_help = "Faults: rate-limit[:MS], status:CODE, unauthorized, slow:MS, hang, stall, cut, truncate, malformed, wrong-usage.

Examples:
  forethought mock-llm --port 4000
  forethought mock-llm --port 4000 --fault rate-limit:50=0.1 --fault status:500=0.05"
)]
#[cfg_attr(
    not(feature = "mock-llm"),
    allow(dead_code, reason = "the command is known, but cannot be executed")
)]
pub(crate) struct MockLlm {
    /// The port; by default any that is free.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The kind of model whose answers are given, built from its defaults.
    #[arg(long, value_name = "KIND", default_value = "simulated")]
    kind: String,
    /// A fault, and the share of requests that meet it, as in cut=0.1. May be repeated.
    #[arg(long, value_name = "FAULT=SHARE")]
    fault: Vec<String>,
    /// Seed of the faults' chance.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The key that callers must show.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

#[cfg(not(feature = "mock-llm"))]
impl MockLlm {
    pub(crate) async fn execute(self, _: &Session) -> Result<Exit> {
        Err(crate::builtin::built_without("`forethought mock-llm`", "mock-llm"))
    }
}

#[cfg(feature = "mock-llm")]
impl MockLlm {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        use forethought_api::llm::LlmBackend;
        use forethought_mock_llm::{Options, Rule, start_at};

        let backend = session.unconfigured::<dyn LlmBackend>(&self.kind).await?;
        let faults = self.fault.iter().map(|rule| rule.parse::<Rule>()).collect::<Result<_>>()?;
        let options = Options { backend, faults, seed: self.seed, key: self.key, record: false };
        let server = start_at(self.port, options).await?;
        let url = server.url();
        session.show(&serde_json::json!({ "url": url }), || format!("{url}\n"))?;
        session.cancel.cancelled().await;
        let total = server.total();
        session.reporter.say(format!("{} requests, {} answered", total.asked, total.answered));
        Ok(Exit::Done)
    }
}
