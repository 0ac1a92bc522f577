//! Stand-ins for models, critics, encoders and a world, which a component uses while it is checked.
//!
//! All of them are deterministic and fast, exist under any name, and count requests.
//!
//! # Reading order
//! [`world`], [`llm`] (a model that answers in the requested format), then this file.

pub(crate) mod llm;
pub(crate) mod world;

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use forethought_api::{
    Error, Result,
    behaviour::{BehaviourPrompt, ScriptedBehaviour},
    critic::{Critic, CriticQuery, Estimate},
    encoder::{EncoderSpec, Matrix, TextEncoder},
    environment::{Action, Environment},
    host::{Host, ModelFiles},
    llm::LlmBackend,
    planner::{Decision, DecisionContext, Models, Planner, Requirements, Summary},
};
use serde_json::Value;

use self::llm::{Mood, Scripted};

/// A number that depends only on `seed`.
pub(crate) fn draw(seed: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    seed.hash(&mut hasher);
    hasher.finish()
}

/// A number in [0, 1) that depends only on `seed`.
fn share(seed: impl Hash) -> f64 {
    (draw(seed) >> 11) as f64 / (1_u64 << 53) as f64
}

/// The host of a component under test.
pub(crate) struct StandIns {
    /// Maximum number of calls of models per piece of work.
    limit: u64,
    asked: Arc<Ledger>,
    /// The source of requested files that do not exist.
    missing: Mutex<Option<String>>,
}

impl StandIns {
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, asked: Ledger::new(limit), missing: Mutex::default() }
    }
    /// The source of requested files that do not exist.
    pub(crate) fn missing(&self) -> Option<String> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// What was requested from the host itself.
    pub(crate) fn asked(&self) -> Asked {
        self.asked.lock().clone()
    }
    /// Models in this mood, and a world in some state, for one piece of work.
    pub(crate) fn models(&self, mood: Mood, world: Option<Arc<dyn Environment>>) -> Arc<Desk> {
        Arc::new(Desk { mood, world, ledger: Ledger::new(self.limit) })
    }
}

/// What was requested.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Asked {
    pub(crate) llms: BTreeSet<String>,
    pub(crate) critics: BTreeSet<String>,
    pub(crate) forks: u64,
    pub(crate) summaries: u64,
    /// Completions and batches of estimates.
    pub(crate) calls: u64,
}

pub(crate) struct Ledger {
    limit: u64,
    asked: Mutex<Asked>,
}

impl Ledger {
    fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, asked: Mutex::default() })
    }
    fn lock(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Counts a call; beyond the limit calls are refused, so that endless loops end.
    async fn count(&self) -> Result<()> {
        // A component that ignores the refusals must still hit the time limit, which needs a yield to fire.
        tokio::task::yield_now().await;
        let mut asked = self.lock();
        asked.calls += 1;
        match asked.calls > self.limit {
            true => Err(Error::other(format!("the kit answers at most {} calls", self.limit))),
            false => Ok(()),
        }
    }
}

/// Models for one piece of work.
pub(crate) struct Desk {
    mood: Mood,
    world: Option<Arc<dyn Environment>>,
    ledger: Arc<Ledger>,
}

impl Desk {
    pub(crate) fn asked(&self) -> Asked {
        self.ledger.lock().clone()
    }
}

#[async_trait]
impl Models for Desk {
    async fn llm(&self, name: String) -> Result<Arc<dyn LlmBackend>> {
        self.ledger.lock().llms.insert(name);
        Ok(Arc::new(Scripted::new(self.mood, self.ledger.clone())))
    }
    async fn critic(&self, name: String) -> Result<Arc<dyn Critic>> {
        self.ledger.lock().critics.insert(name);
        Ok(Arc::new(StandInCritic(self.ledger.clone())))
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        self.ledger.lock().forks += 1;
        match &self.world {
            Some(world) => world.fork().await,
            None => Ok(None),
        }
    }
    async fn summarise(&self, context: DecisionContext) -> Result<Summary> {
        self.ledger.lock().summaries += 1;
        let state = context.turn.observation.text;
        Ok(Summary { outcome: format!("It has come to this: {state}"), state })
    }
    /// As in the runtime: a world with one seat hides nothing, so a plain copy will do.
    async fn imagine(&self, _: Value, _: u64) -> Result<Option<Arc<dyn Environment>>> {
        self.fork().await
    }
}

#[async_trait]
impl Host for StandIns {
    async fn planner(&self, _: String) -> Result<Arc<dyn Planner>> {
        Ok(Arc::new(Plain))
    }
    async fn encoder(&self, _: String) -> Result<Arc<dyn TextEncoder>> {
        Ok(Arc::new(Hashed))
    }
    async fn critic(&self, name: String) -> Result<Arc<dyn Critic>> {
        self.asked.lock().critics.insert(name);
        Ok(Arc::new(StandInCritic(Ledger::new(u64::MAX))))
    }
    async fn llm(&self, name: String) -> Result<Arc<dyn LlmBackend>> {
        self.asked.lock().llms.insert(name);
        Ok(Arc::new(Scripted::new(Mood::Friendly, Ledger::new(u64::MAX))))
    }
    async fn behaviours(&self) -> Result<Vec<(String, Arc<dyn ScriptedBehaviour>)>> {
        Ok(vec![("stand-in".into(), Arc::new(Habit))])
    }
    async fn model_files(&self, request: ModelFiles) -> Result<PathBuf> {
        let folder = Path::new(&request.source);
        match request.required.iter().find(|file| !folder.join(file).is_file()) {
            None => Ok(folder.to_owned()),
            Some(file) => {
                let what =
                    format!("there is no {file:?} in {:?}, and the kit fetches nothing", request.source);
                *self.missing.lock().unwrap_or_else(PoisonError::into_inner) = Some(request.source);
                Err(Error::not_found(what))
            }
        }
    }
}

/// A critic with fixed estimates.
struct StandInCritic(Arc<Ledger>);

#[async_trait]
impl Critic for StandInCritic {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        self.0.count().await?;
        let estimate = |query: &CriticQuery| {
            let probability = share(query);
            Estimate::of(probability)
        };
        Ok(queries.iter().map(estimate).collect())
    }
}

/// Words hashed into a few columns.
struct Hashed;

#[async_trait]
impl TextEncoder for Hashed {
    async fn spec(&self) -> Result<EncoderSpec> {
        Ok(EncoderSpec { id: "stand-in".into(), revision: None, dimension: 32 })
    }
    async fn encode(&self, texts: Vec<String>) -> Result<Matrix> {
        let mut data = Vec::with_capacity(texts.len() * 32);
        for text in &texts {
            // The first column is never 0, so that no row is empty.
            let mut row = [0.0_f32; 32];
            row[0] = 0.5;
            text.split_whitespace().for_each(|word| row[draw(word) as usize % 32] += 1.0);
            let norm = row.iter().map(|number| number * number).sum::<f32>().sqrt();
            data.extend(row.map(|number| number / norm));
        }
        Matrix::new(texts.len(), 32, data)
    }
}

/// Takes the first legal action.
struct Plain;

#[async_trait]
impl Planner for Plain {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements::default())
    }
    async fn decide(&self, context: DecisionContext, _: Arc<dyn Models>) -> Result<Decision> {
        let action = context.turn.legal_actions.into_iter().next().unwrap_or_default();
        Ok(Decision {
            thought: "the first that comes".into(),
            action: Action::new(action),
            ..Decision::default()
        })
    }
}

/// Knows enough about the stand-in world to describe it.
struct Habit;

#[async_trait]
impl ScriptedBehaviour for Habit {
    async fn recognises(&self, _: String) -> Result<bool> {
        Ok(true)
    }
    async fn thought(&self, prompt: BehaviourPrompt) -> Result<String> {
        Ok(format!("idea {}", draw(prompt.seed) % 8))
    }
    async fn action(&self, prompt: BehaviourPrompt) -> Result<String> {
        Ok(world::legal(&prompt.text, prompt.seed))
    }
    async fn outcomes(&self, prompt: BehaviourPrompt) -> Result<Vec<String>> {
        Ok((0..prompt.count).map(|index| format!("it comes to {index}")).collect())
    }
    async fn summary(&self, _: BehaviourPrompt) -> Result<(String, String)> {
        Ok(("on the field".into(), "the treasure is nearer".into()))
    }
}

#[cfg(test)]
mod tests {
    use forethought_api::registry::Pluggable;
    use serde_json::json;

    use super::{world::Field, *};
    use crate::{Options, Subject, check};

    fn conforms<I: Pluggable + ?Sized>(build: fn() -> Arc<I>) {
        let create = move |_| async move { Ok(I::wrap(build())) };
        let subject = Subject {
            interface: I::NAME.into(),
            kind: "stand-in".into(),
            package: String::new(),
            schema: json!({ "type": "object" }),
            create: Arc::new(move |config: serde_json::Value, _| match config.get("surely_no_such_key") {
                Some(_) => Box::pin(async { Err(Error::config("surely_no_such_key")) }),
                None => Box::pin(create(config)),
            }),
        };
        let options = Options { steps: 0, ..Options::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let report = runtime.block_on(check(&subject, &options));
        assert!(report.passed(), "{report}");
    }

    /// The stand-ins themselves follow the rules.
    #[test]
    fn stand_ins_conform() {
        conforms::<dyn Environment>(|| Arc::new(Field::default()));
        conforms::<dyn LlmBackend>(|| Arc::new(Scripted::new(Mood::Friendly, Ledger::new(u64::MAX))));
        conforms::<dyn Critic>(|| Arc::new(StandInCritic(Ledger::new(u64::MAX))));
        conforms::<dyn TextEncoder>(|| Arc::new(Hashed));
        conforms::<dyn Planner>(|| Arc::new(Plain));
    }
}
