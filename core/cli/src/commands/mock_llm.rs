//! `forethought mock-llm`.

use clap::Args;
use forethought_api::Result;

use crate::{exit::Exit, session::Session};

/// Imitate LLM providers and their faults on a local port.
///
/// One port serves all formats: OpenAI and Anthropic under /v1, Gemini under /v1beta, Ollama under /api. Answers depend
/// only on the text of a request, so they are the same in every format. A request can ask for a fault with the header
/// `x-mock-fault: cut`, or with a model name that ends in `!cut`. GET /counts returns how often each text was sent.
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
    /// The port; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Kind of the model that answers, with its default settings.
    #[arg(long, value_name = "KIND", default_value = "simulated")]
    kind: String,
    /// A fault and the share of requests that meet it, such as cut=0.1. May be repeated.
    #[arg(long, value_name = "FAULT=SHARE")]
    fault: Vec<String>,
    /// Seed for drawing faults.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The API key that callers must send.
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
