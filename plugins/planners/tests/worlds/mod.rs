//! A model that is a function of the request, and small worlds that can be copied.

use std::sync::{Arc, Mutex};

use forethought_sdk::{prelude::*, seed::IndexedRandom};
use futures::executor::block_on;

/// A model: what it answers, and the purposes of what it was asked.
pub(crate) struct Model<F> {
    answer: F,
    pub(crate) asked: Mutex<Vec<Purpose>>,
}

impl<F: Fn(&ChatRequest) -> String + Send + Sync> Model<F> {
    pub(crate) fn new(answer: F) -> Arc<Self> {
        Arc::new(Self { answer, asked: Mutex::default() })
    }
    pub(crate) fn take_asked(&self) -> Vec<Purpose> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

#[async_trait]
impl<F: Fn(&ChatRequest) -> String + Send + Sync> LlmBackend for Model<F> {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities::default())
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        self.asked.lock().unwrap().push(request.purpose);
        let sample = |index: u64| {
            let seed = request.seed.map(|seed| seed.wrapping_add(index));
            Choice { text: (self.answer)(&ChatRequest { seed, ..request.clone() }), ..Choice::default() }
        };
        let choices = (0..u64::from(request.samples.max(1))).map(sample).collect();
        Ok(Completion { choices, ..Completion::default() })
    }
}

/// The whole text of a request.
pub(crate) fn text(request: &ChatRequest) -> String {
    request.messages.iter().map(|message| message.content.as_str()).collect::<Vec<_>>().join("\n")
}

/// One of these, drawn with the request's seed.
pub(crate) fn any<'a>(of: &[&'a str], request: &ChatRequest) -> &'a str {
    of.choose(&mut seed::stream(request.seed.unwrap_or_default(), "any")).expect("something to draw from")
}

/// A model and a world, as a planner gets them, and the calls that a decision has left.
struct Here(Arc<dyn LlmBackend>, Arc<dyn Environment>, Arc<Mutex<Option<u64>>>);

/// A model that is refused where nothing is left.
struct Limited(Arc<dyn LlmBackend>, Arc<Mutex<Option<u64>>>);

#[async_trait]
impl LlmBackend for Limited {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        self.0.capabilities().await
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        if let Some(left) = self.1.lock().unwrap().as_mut() {
            let samples = u64::from(request.samples.max(1));
            *left = left.checked_sub(samples).ok_or_else(|| Error::new(Code::Budget, "no call is left"))?;
        }
        self.0.complete(request).await
    }
}

#[async_trait]
impl Models for Here {
    async fn llm(&self, _: String) -> Result<Arc<dyn LlmBackend>> {
        Ok(Arc::new(Limited(self.0.clone(), self.2.clone())))
    }
    async fn allowance(&self) -> Result<Allowance> {
        Ok(Allowance { calls: *self.2.lock().unwrap(), ..Allowance::default() })
    }
    async fn critic(&self, _: String) -> Result<Arc<dyn Critic>> {
        Ok(Arc::new(Doubt))
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        self.1.fork().await
    }
}

/// A critic that believes in thoughts without doubt.
struct Doubt;

#[async_trait]
impl Critic for Doubt {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        let value = |query: &CriticQuery| if query.thought.contains("doubt") { 0.1 } else { 0.9 };
        Ok(queries.iter().map(|query| Estimate::of(value(query))).collect())
    }
}

/// An episode that was played.
pub(crate) struct Played {
    pub(crate) decisions: Vec<Decision>,
    pub(crate) solved: bool,
}

impl Played {
    pub(crate) fn actions(&self) -> Vec<&str> {
        self.decisions.iter().map(|decision| decision.action.text.as_str()).collect()
    }
}

/// Plays an episode of at most 20 decisions.
pub(crate) fn play(
    planner: &dyn Planner,
    llm: Arc<dyn LlmBackend>,
    world: &Arc<dyn Environment>,
    seed: u64,
) -> Result<Played> {
    play_within(None, planner, llm, world, seed)
}

/// The same, with a budget of calls for each decision.
pub(crate) fn play_within(
    calls: Option<u64>,
    planner: &dyn Planner,
    llm: Arc<dyn LlmBackend>,
    world: &Arc<dyn Environment>,
    seed: u64,
) -> Result<Played> {
    block_on(async {
        let turn = world.reset(Reset { task: 0, seed }).await?;
        let environment = world.spec().await?;
        let mut context = DecisionContext { environment, turn, ..DecisionContext::default() };
        let left = Arc::<Mutex<Option<u64>>>::default();
        let models = Arc::new(Here(llm, world.clone(), left.clone()));
        let (mut decisions, mut solved) = (Vec::new(), false);
        while !context.ended && decisions.len() < 20 {
            context.seed = seed::derive(seed, &format!("step {}", context.step));
            *left.lock().unwrap() = calls;
            let decision = planner.decide(context.clone(), models.clone()).await?;
            let after = world.step(decision.action.clone()).await?;
            let observation = std::mem::replace(&mut context.turn, after.turn).observation.text;
            let (thought, action) = (decision.thought.clone(), decision.action.text.clone());
            context.history.push(Exchange { observation, thought, action });
            context.step += 1;
            context.ended = after.terminated || after.truncated;
            solved = after.success == Some(true);
            decisions.push(decision);
        }
        Ok(Played { decisions, solved })
    })
}

/// The vault: take the key, open the door, take the gold, in this order; anything else has no effect. The chest is a
/// trap that ends the episode.
#[derive(Clone, Default)]
pub(crate) struct Vault {
    done: Arc<Mutex<usize>>,
    /// Decisions after which the episode ends.
    pub(crate) limit: u32,
    taken: Arc<Mutex<u32>>,
}

pub(crate) const STEPS: [&str; 3] = ["take key", "open door", "take gold"];
pub(crate) const ACTIONS: [&str; 4] = ["take key", "open door", "take gold", "open chest"];

impl Vault {
    pub(crate) fn world(limit: u32) -> Arc<dyn Environment> {
        Arc::new(Self { limit, ..Self::default() })
    }

    fn turn(&self) -> Turn {
        let sees = [
            "A key, a chest and a door.",
            "A chest and a door; you have the key.",
            "Gold!",
            "You have the gold.",
        ];
        Turn {
            observation: Observation::text(sees[*self.done.lock().unwrap()]),
            legal_actions: ACTIONS.map(str::to_owned).into(),
            ..Turn::default()
        }
    }
}

#[async_trait]
impl Environment for Vault {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        let seats = vec![SeatSpec { name: "agent".into(), ..SeatSpec::default() }];
        let max_steps = Some(self.limit);
        Ok(EnvironmentSpec {
            name: "vault".into(),
            seats,
            fork: true,
            max_steps,
            ..EnvironmentSpec::default()
        })
    }
    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Ok(Self::world(self.limit))
    }
    async fn reset(&self, _: Reset) -> Result<Turn> {
        (*self.done.lock().unwrap(), *self.taken.lock().unwrap()) = (0, 0);
        Ok(self.turn())
    }
    async fn step(&self, action: Action) -> Result<Transition> {
        let mut done = self.done.lock().unwrap();
        let mut taken = self.taken.lock().unwrap();
        *taken += 1;
        *done += usize::from(action.text == STEPS[*done]);
        let solved = *done == STEPS.len();
        let terminated = solved || action.text == "open chest";
        let truncated = !terminated && *taken >= self.limit;
        let success = (terminated || truncated).then_some(solved);
        drop(done);
        let rewards = vec![if solved { 1.0 } else { 0.0 }];
        Ok(Transition { turn: self.turn(), rewards, terminated, truncated, success, ..Transition::default() })
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        let copy = |number: &Mutex<usize>| Arc::new(Mutex::new(*number.lock().unwrap()));
        let taken = Arc::new(Mutex::new(*self.taken.lock().unwrap()));
        Ok(Some(Arc::new(Self { done: copy(&self.done), limit: self.limit, taken })))
    }
}
