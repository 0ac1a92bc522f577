//! Backends that record answers to a cassette, replay it, or answer from a script.
//!
//! `record` stores what another backend answers, `replay` gives these answers again, and `script` gives answers written
//! by hand: an experiment or a test can be repeated without a model. `docs/cassettes.md` is the user's guide.
//!
//! May depend on `forethought-sdk` alone.
//!
//! # Reading order
//! [`cassette`] (the file), [`Record`], [`Replay`], [`Script`].

mod about;
pub mod cassette;
mod config;
mod record;
mod replay;
mod script;

use forethought_sdk::prelude::*;

pub use self::{
    config::{After, Answers, Line, RecordConfig, ReplayConfig, ScriptConfig},
    record::Record,
    replay::Replay,
    script::Script,
};

register! {
    interface: dyn LlmBackend, kind: "record", summary: "records the answers of another backend to a cassette",
    config: RecordConfig,
    new: |config: RecordConfig, host: Arc<dyn Host>| async move {
        let inner = host.llm(config.llm).await?;
        Ok(Arc::new(Record::new(inner, config.cassette.0).await?) as _)
    },
}

register! {
    interface: dyn LlmBackend, kind: "replay", summary: "replays the answers of a cassette",
    config: ReplayConfig,
    new: |config, _host| async move { Ok(Arc::new(Replay::new(config)?) as _) },
}

register! {
    interface: dyn LlmBackend, kind: "script", summary: "gives listed answers in order",
    config: ScriptConfig,
    new: |config, _host| async move { Ok(Arc::new(Script::new(config)?) as _) },
}
