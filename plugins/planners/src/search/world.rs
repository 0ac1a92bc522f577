//! Where actions lead: copies of the world, or what the model expects to see.

use forethought_sdk::{answers::Unread, prelude::*, seed::IndexedRandom, serde_json::json};

use super::{Place, Search};
use crate::{
    ask::{Label::One, Said},
    inner::Inner,
    reflexion::Within,
};

/// Moves of other seats between two turns of the deciding one, after which a copy is taken to be broken.
const MAX_MOVES: usize = 1000;

/// The world after some actions.
pub(crate) struct State {
    pub(crate) turn: Turn,
    /// A copy in this state; none if its turns are predicted.
    pub(crate) world: Option<Arc<dyn Environment>>,
    /// What the deciding seat got since the root.
    pub(crate) reward: f64,
    pub(crate) ended: bool,
    /// Actions of the deciding seat since the root.
    pub(crate) depth: usize,
}

/// How a search learns where actions lead.
pub(crate) enum Dynamics {
    /// They are taken in copies of the world, with its true rewards. Other seats are played by a planner, or draw among
    /// their legal actions; where none are listed, they do the filler.
    Copies { others: Option<Inner>, filler: Option<String> },
    /// The model says what it expects to see.
    Predicted,
}

impl Dynamics {
    /// The state from which `planner` searches.
    ///
    /// # Errors
    /// A world that cannot be copied.
    pub(super) async fn root(
        &self,
        context: &DecisionContext,
        models: &Arc<dyn Models>,
        planner: &str,
    ) -> Result<State> {
        let world = match self {
            Self::Predicted => None,
            // Of what is hidden from this seat each decision imagines something else.
            Self::Copies { .. } if context.environment.seats.len() > 1 => {
                models.imagine(json!(null), seed::derive(context.seed, "world")).await?
            }
            Self::Copies { .. } => models.fork().await?,
        };
        if world.is_none() && matches!(self, Self::Copies { .. }) {
            return Err(Error::config(format!(
                "`{}` cannot be copied, and planner.{planner} searches in copies; use a planner that needs none, such as \
                 planner.rap or planner.tree-of-thoughts",
                context.environment.name
            )));
        }
        Ok(State { turn: context.turn.clone(), world, reward: 0.0, ended: false, depth: 0 })
    }
}

impl Search<'_> {
    /// The state after an action. `draw` names what is drawn for it.
    ///
    /// # Errors
    /// Those of the world, the model and the planner of the other seats.
    pub(super) async fn enter(
        &self,
        place: &Place,
        thought: &str,
        action: &str,
        draw: &str,
    ) -> Result<(State, Unread)> {
        let depth = place.state.depth + 1;
        match &self.with.dynamics {
            Dynamics::Predicted => self.predict(place, thought, action, draw).await,
            Dynamics::Copies { others, filler } => {
                let world =
                    place.state.world.as_ref().ok_or_else(|| Error::other("a state without a copy"))?;
                let world = world.fork().await?.ok_or_else(|| {
                    Error::config(format!(
                        "a copy of `{}` cannot be copied again, and planner.{} searches in copies",
                        self.context.environment.name, self.with.kind
                    ))
                })?;
                let mut reward = place.state.reward;
                let mut action = Action::new(action);
                for _ in 0..MAX_MOVES {
                    let Transition { turn, rewards, terminated, truncated, .. } = world.step(action).await?;
                    reward += rewards.get(self.context.seat).copied().unwrap_or_default();
                    let ended = terminated || truncated;
                    if ended || turn.seat == self.context.seat {
                        // Nothing is done after the end.
                        let world = (!ended).then_some(world);
                        return Ok((State { turn, world, reward, ended, depth }, Unread::default()));
                    }
                    action = self.other(turn, others.as_ref(), filler.as_ref(), draw).await?;
                }
                Err(Error::other(format!(
                    "in a copy of `{}` the other seats made {MAX_MOVES} moves, and it was not the turn of seat {}",
                    self.context.environment.name, self.context.seat
                )))
            }
        }
    }

    /// The models of a planner that proposes in a state: copies of the world are copies of that state.
    pub(super) fn models_in(&self, state: &State) -> Arc<dyn Models> {
        match &state.world {
            Some(world) => {
                let (models, world, seat) = (self.models.clone(), world.clone(), self.context.seat);
                Arc::new(Within { models, world, seat, parts: 1 })
            }
            None => self.models.clone(),
        }
    }

    /// What another seat does.
    async fn other(
        &self,
        turn: Turn,
        others: Option<&Inner>,
        filler: Option<&String>,
        draw: &str,
    ) -> Result<Action> {
        let seed = seed::derive(self.context.seed, draw);
        let seed = seed::derive(seed, &turn.observation.text);
        if let Some(planner) = others {
            let (environment, step) = (self.context.environment.clone(), self.context.step);
            let seat = turn.seat;
            let context = DecisionContext { environment, seat, step, turn, seed, ..Default::default() };
            return Ok(planner.decide(context, self.models).await?.action);
        }
        let drawn = turn.legal_actions.choose(&mut seed::stream(seed, "others")).or(filler);
        drawn.map(Action::new).ok_or_else(|| {
            let seat = self.context.environment.seats.get(turn.seat).map_or("another seat", |seat| &seat.name);
            Error::config(format!(
                "`{}` lists no legal actions of {seat}, so nothing can be drawn for it in a copy; set `others` of \
                 planner.{} to a planner that plays the other seats, or `filler` to an action for such turns",
                self.context.environment.name, self.with.kind
            ))
        })
    }

    /// What the model expects to see. If it cannot be read, what was seen last is seen again.
    async fn predict(
        &self,
        place: &Place,
        thought: &str,
        action: &str,
        draw: &str,
    ) -> Result<(State, Unread)> {
        let mut asker = self.asker(draw);
        let shown = if thought.is_empty() { action } else { thought };
        let given = json!({ "thought": shown, "action": action });
        let messages = self.with.prompts.messages("predict", &place.context, given)?;
        let read = |said: &Said<'_>| said.text("Result");
        let seen = asker.ask_for(&[One("Result")], Purpose::Outcomes, messages, read).await?;
        let seen = seen.unwrap_or_else(|_| place.context.turn.observation.text.clone());
        let Turn { tools, call_rule, .. } = place.state.turn.clone();
        let observation = Observation::text(seen);
        let turn = Turn { seat: self.context.seat, observation, tools, call_rule, ..Turn::default() };
        let state = State {
            turn,
            world: None,
            reward: place.state.reward,
            ended: false,
            depth: place.state.depth + 1,
        };
        Ok((state, asker.unread))
    }
}
