//! The one crate that a plugin author depends on: the interfaces, `register!`, and seeds.
//!
//! Of this workspace it may depend on `forethought-api`, `forethought-abi`, `forethought-bridge` and
//! `forethought-macros`. A plugin or environment depends on this crate and never on the runtime, the program, or
//! another plugin.
//!
//! ```
//! use forethought_sdk::prelude::*;
//!
//! /// Encodes everything as north.
//! #[config]
//! struct CompassConfig {
//!     /// Length of a vector.
//!     dimension: usize,
//! }
//!
//! struct Compass(usize);
//!
//! #[async_trait]
//! impl TextEncoder for Compass {
//!     async fn spec(&self) -> Result<EncoderSpec> {
//!         Ok(EncoderSpec { id: "compass".into(), dimension: self.0, ..Default::default() })
//!     }
//!     async fn encode(&self, texts: Vec<String>) -> Result<Matrix> {
//!         let row = (0..self.0).map(|column| if column == 0 { 1.0 } else { 0.0 });
//!         Matrix::new(texts.len(), self.0, texts.iter().flat_map(|_| row.clone()).collect())
//!     }
//! }
//!
//! register! {
//!     interface: dyn TextEncoder,
//!     kind: "compass",
//!     summary: "encodes everything as north",
//!     config: CompassConfig,
//!     new: |config: CompassConfig, _host| async move { Ok(Arc::new(Compass(config.dimension)) as _) },
//! }
//! # fn main() {}
//! ```

pub mod answers;
pub mod calibration;
pub mod checkpoint;
#[cfg(feature = "scoring")]
pub mod child;
#[doc(hidden)]
pub mod config;
pub mod encoder_id;
#[doc(hidden)]
pub mod entry;
pub mod files;
mod logs;
#[doc(hidden)]
pub mod metadata;
#[cfg(feature = "scoring")]
pub mod scoring;
pub mod seed;
pub mod simulated;
pub mod snapshot;

pub use forethought_api as api;
pub use forethought_macros::{config, data};
pub use futures_util as futures;
pub use {async_trait, inventory, schemars, serde, serde_json};

/// Everything that most plugins need.
pub mod prelude {
    pub use std::sync::Arc;

    pub use async_trait::async_trait;
    pub use forethought_api::{
        Error, Result,
        behaviour::{BehaviourPrompt, ScriptedBehaviour},
        critic::{
            Critic, CriticQuery, CriticTrainer, Estimate, Evidence, Explanation, KnownOutcome, LabelRequest,
            Meaning, Progress, StyleCard, TrainingReport, TrainingRequest, Vocabulary,
        },
        encoder::{EncoderSpec, Matrix, TextEncoder},
        environment::{
            Action, Environment, EnvironmentSpec, Imagine, Observation, Recovery, Reset, SeatSpec,
            Transition, Turn,
        },
        error::{Code, Context},
        host::{Host, ModelFiles},
        importer::{Imported, Importer},
        llm::{
            ChatRequest, Choice, Completion, FinishReason, LlmBackend, LlmCapabilities, Message, Purpose,
            Role, TokenStream, Usage,
        },
        planner::{
            Allowance, Decision, DecisionContext, Exchange, InnerDecision, LargestCall, Models, Planner,
            Requirements, Round, Summariser, Summary, Trace, ValuedOutcome,
        },
        registry::{ConfigCommand, ConfigPath, CriticName, EncoderName, LlmName, PlannerName},
        trajectory::{Step, Trajectory},
        verifier::{Check, Verifier},
    };
    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};

    pub use crate::{config, config::NoConfig, data, register, seed};
}

/// Registers a component under its interface and kind.
///
/// `new` is a closure `|config, host| async move { Ok(Arc::new(...) as Arc<dyn Interface>) }`. Put
/// [`#[config]`](macro@config) on the config type and a doc comment on each of its fields: help texts, the schema and
/// error messages are made from them.
///
/// `inline: true` promises that calls are short and never block, so that they may run on the caller's thread.
#[macro_export]
macro_rules! register {
    (
        interface: $interface:ty, kind: $kind:literal, summary: $summary:literal, config: $config:ty,
        $(inline: $inline:literal,)? new: $new:expr $(,)?
    ) => {
        const _: () = {
            fn create(
                config: $crate::serde_json::Value,
                host: ::std::sync::Arc<dyn $crate::api::host::Host>,
            ) -> $crate::futures::future::BoxFuture<
                'static,
                $crate::api::Result<$crate::api::registry::Component>,
            > {
                ::std::boxed::Box::pin(async move {
                    let config = $crate::config::read::<$config>(config)?;
                    let object: $crate::api::Result<::std::sync::Arc<$interface>> =
                        $crate::build($new, config, host).await;
                    Ok(<$interface as $crate::api::registry::Pluggable>::wrap(object?))
                })
            }
            const METADATA: &[&str] = &[
                "\",\"package\":\"",
                env!("CARGO_PKG_NAME"),
                "\",\"version\":\"",
                env!("CARGO_PKG_VERSION"),
                "\",\"interface\":\"",
                <$interface as $crate::api::wire::Interface>::NAME,
                "\",\"id\":\"",
                $kind,
            ];
            // Read from the file without running any of it; `used` keeps it through optimisation and stripping.
            #[used]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__fth_meta"))]
            #[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".fth_meta"))]
            static RECORD: [u8; $crate::metadata::length(METADATA)] = $crate::metadata::record(METADATA);
            $crate::inventory::submit! {
                $crate::api::registry::Registration {
                    interface: <$interface as $crate::api::wire::Interface>::NAME,
                    kind: $kind,
                    summary: $summary,
                    package: env!("CARGO_PKG_NAME"),
                    version: env!("CARGO_PKG_VERSION"),
                    inline: false $(|| $inline)?,
                    schema: $crate::config::schema::<$config>,
                    create,
                }
            }
        };
    };
}

/// Calls a factory. Gives the closure in [`register!`] its argument types.
#[doc(hidden)]
pub async fn build<C, I: ?Sized, F>(
    new: impl FnOnce(C, std::sync::Arc<dyn api::host::Host>) -> F,
    config: C,
    host: std::sync::Arc<dyn api::host::Host>,
) -> api::Result<std::sync::Arc<I>>
where
    F: Future<Output = api::Result<std::sync::Arc<I>>>,
{
    new(config, host).await
}
