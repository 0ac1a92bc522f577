//! What lies between a call and the language model that answers it, outermost first:
//!
//! 1. journal ([`durable`](crate::journal::durable)): within a run, an answered call is not made again;
//! 2. budget ([`budget`](crate::budget)): calls and tokens, reserved before the call, settled after it;
//! 3. route ([`route`]): a role's model for the purpose of the request;
//! 4. cache ([`cache`]): across runs, the same request to the same model is not paid twice;
//! 5. retry ([`retry`]): what may succeed if repeated, after a pause;
//! 6. rate ([`rate`]): requests and tokens per minute; a repeated call counts again, as it does with the provider;
//! 7. concurrency ([`concurrency`]): calls in flight at once, fewer while the provider is overloaded;
//! 8. attempt ([`attempt`]): the cost of one attempt, its time limit, and its line in the log.
//!
//! The first two belong to a run, the third to a role, the others to a model: `[llm.<name>.calls]` sets them up around
//! any backend, a plugin's included. Each layer is a backend around another and knows nothing of the rest.
//!
//! A request that is passed on byte for byte ([`LlmBackend::forward`]) goes the same way, past the cache. A [`relay`] around
//! all of it hands the bytes to a client while the completion is read from them.
//!
//! Only money reaches through all of them: a call answered by the cache costs nothing, and one that was tried three
//! times may have been charged three times. So it is counted in the innermost layer, by the meter that the run puts
//! around the call ([`meter`](crate::journal::meter)). Models are built once and know no run; a meter belongs to the
//! calling task.

pub mod attempt;
pub mod cache;
pub mod concurrency;
pub mod rate;
pub mod relay;
pub mod retry;
pub mod route;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use forethought_api::{Error, Result, llm::LlmBackend, registry::ConfigPath};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::journal::meter::Metering;

/// How a model is called: `[llm.<name>.calls]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CallConfig {
    /// Seconds that one attempt may take.
    #[schemars(range(min = 0.001))]
    pub timeout_s: f64,
    /// Attempts after the first, where the provider is overloaded or cannot be reached.
    pub retries: u32,
    /// The longest pause between two attempts, in seconds. If a provider requests more, there is no retry.
    pub longest_pause_s: f64,
    /// Calls in flight at once, at most.
    #[schemars(range(min = 1, max = 16_384))]
    pub concurrency: u32,
    /// Requests per minute that the provider allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub requests_per_minute: Option<u32>,
    /// Tokens per minute, in and out, that the provider allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub tokens_per_minute: Option<u32>,
    /// Milliseconds that each attempt takes at least. To time planners with a model that answers at once, such as the
    /// simulated one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u32>,
    /// A file in which answers are kept across runs. Without it they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("writeOnly" = true))]
    pub cache: Option<ConfigPath>,
}

impl Default for CallConfig {
    fn default() -> Self {
        Self {
            timeout_s: 300.0,
            retries: 6,
            longest_pause_s: 60.0,
            concurrency: 64,
            requests_per_minute: None,
            tokens_per_minute: None,
            latency_ms: None,
            cache: None,
        }
    }
}

impl CallConfig {
    /// The layers around `backend`, which is called `name` in the configuration; by this name its price is known to a
    /// run, which counts its calls through `metering`. `identity` has everything that decides its answers, for the
    /// cache.
    ///
    /// # Errors
    /// A duration that is not valid, or a cache that cannot be opened.
    pub fn around(
        &self,
        backend: Arc<dyn LlmBackend>,
        name: &str,
        identity: &Value,
        metering: &Metering,
    ) -> Result<Arc<dyn LlmBackend>> {
        let seconds = |key: &str, seconds: f64| {
            Duration::try_from_secs_f64(seconds).map_err(|_| {
                Error::config(format!(
                    "`llm.{name}.calls.{key}`: must be a number of seconds from 0, got {seconds}"
                ))
            })
        };
        let longest = seconds("longest_pause_s", self.longest_pause_s)?;
        let backend =
            attempt::Attempt::new(backend, name, seconds("timeout_s", self.timeout_s)?, metering.clone())
                .lasting(Duration::from_millis(self.latency_ms.unwrap_or_default().into()));
        let backend = concurrency::ConcurrencyLimit::new(Arc::new(backend), self.concurrency);
        let backend =
            rate::RateLimit::new(Arc::new(backend), self.requests_per_minute, self.tokens_per_minute);
        let backend: Arc<dyn LlmBackend> =
            Arc::new(retry::Retry::new(Arc::new(backend), self.retries, longest));
        Ok(match &self.cache {
            Some(path) => Arc::new(cache::Cache::open(backend, path, identity)?),
            None => backend,
        })
    }
}
