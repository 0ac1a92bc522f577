//! Backends around a cassette of recorded answers, and one that answers by a script.
//!
//! `record` writes down what another backend answers, `replay` serves it again, `script` serves answers that somebody
//! wrote: three ways to have an experiment or a test give the same thing tomorrow without a model. `docs/cassettes.md`
//! is the user's guide.
//!
//! May depend on `forethought-sdk` alone.
//!
//! # Reading order
//! [`cassette`] (the file), [`Record`], [`Replay`], [`Script`].

pub mod cassette;
mod record;
mod replay;
mod script;

use forethought_sdk::prelude::*;

pub use self::{
    record::{Record, RecordConfig},
    replay::{After, Replay, ReplayConfig},
    script::{Answers, Line, Script, ScriptConfig},
};

register! {
    interface: dyn LlmBackend, kind: "record", summary: "another backend, whose answers are written to a cassette",
    config: RecordConfig,
    new: |config: RecordConfig, host: Arc<dyn Host>| async move {
        let inner = host.llm(config.llm).await?;
        Ok(Arc::new(Record::new(inner, config.cassette.0).await?) as _)
    },
}

register! {
    interface: dyn LlmBackend, kind: "replay", summary: "the answers of a cassette, served again",
    config: ReplayConfig,
    new: |config, _host| async move { Ok(Arc::new(Replay::new(config)?) as _) },
}

register! {
    interface: dyn LlmBackend, kind: "script", summary: "answers that are listed, served in order",
    config: ScriptConfig,
    new: |config, _host| async move { Ok(Arc::new(Script::new(config)?) as _) },
}

/// A request in a few words, for messages.
fn about(request: &ChatRequest) -> String {
    let last = request.messages.last().map_or("", |message| &message.content);
    format!("purpose {}, last message {:?}", word(request.purpose), head(last))
}

fn word(purpose: Purpose) -> String {
    let value = forethought_sdk::serde_json::to_value(purpose).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

/// The beginning of a text.
fn head(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
