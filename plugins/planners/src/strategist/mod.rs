//! Strategist (after Light et al., 2024): beliefs over hidden roles, updated by a judge's reading of the talk; worlds
//! drawn from them (determinisation); a PUCT tree search over the moves; speech that serves the chosen move.
//!
//! ```text
//! beliefs <- what this seat knows, updated by the LLM's reading of what was said     one call, if any role is open
//! repeat n times:
//!     world <- imagine roles drawn from the beliefs
//!     walk down the tree by PUCT, add one move, value it (by playing on, or by a critic), back up each seat's reward
//! make the move most often tried; on a turn to talk, let the LLM say what serves the best next move
//! ```
//!
//! It knows no game by name: hidden roles are read from `observation.data["hidden"]`, moves from the legal actions, and
//! imagined worlds come from [`Models::imagine`], so the search never sees what the seat must not know.

mod beliefs;
mod config;
mod search;

use forethought_sdk::{prelude::*, serde_json::json};

pub use self::config::{StrategistConfig, StrategistPrompts};
use self::{
    beliefs::Beliefs,
    search::{Leaf, Search},
};
use crate::{
    ask::{Asker, Label},
    prompts::Prompts,
    toolbox,
};

/// The Strategist planner.
pub struct Strategist {
    config: StrategistConfig,
    prompts: Prompts,
    others: Option<Arc<dyn Planner>>,
}

impl Strategist {
    /// A planner with these settings; `others` is the planner that they name.
    ///
    /// # Errors
    /// No simulations, a negative weight, or a template that cannot be used.
    pub fn new(config: StrategistConfig, others: Option<Arc<dyn Planner>>) -> Result<Self> {
        if config.simulations == 0 {
            return Err(Error::config("simulations = 0: must be at least 1"));
        }
        for (key, weight) in [("exploration", config.exploration), ("trust", config.trust)] {
            if !weight.is_finite() || weight < 0.0 {
                return Err(Error::config(format!("{key} = {weight}: must be a finite number from 0 up")));
            }
        }
        Ok(Self { prompts: config.ask.prompts(&config.prompts)?, config, others })
    }

    /// Beliefs of the deciding seat: what it knows, updated by the model's reading of the talk.
    async fn beliefs(&self, asker: &mut Asker, context: &DecisionContext) -> Result<Option<Beliefs>> {
        let Some(mut beliefs) = Beliefs::of(context)? else { return Ok(None) };
        let open = beliefs.open();
        if open.is_empty() || self.config.trust == 0.0 {
            return Ok(Some(beliefs));
        }
        let name = |seat: &usize| context.environment.seats.get(*seat).map_or("?", |seat| seat.name.as_str());
        let statements: Vec<_> =
            open.iter().map(|seat| format!("{} is on the side of {}.", name(seat), beliefs.side())).collect();
        let messages = self.prompts.messages("believe", context, json!({ "statements": statements }))?;
        // If both answers are unreadable, the talk changes nothing.
        if let Ok(read) =
            asker.ask(Purpose::Judge, messages, |answer| answer.probabilities(open.len())).await?
        {
            for (seat, probability) in open.into_iter().zip(read) {
                beliefs.moved(seat, probability, self.config.trust);
            }
        }
        Ok(Some(beliefs))
    }
}

#[async_trait]
impl Planner for Strategist {
    async fn requires(&self) -> Result<Requirements> {
        let critics = self.config.critic.iter().cloned().collect();
        let own = self.config.ask.requires();
        let own = own.and(Requirements { critics, fork: true, ..Requirements::default() });
        // Not `Requirements::over`: what a configuration needs is part of episodes' ids, and runs of 0.1.0 continue.
        Ok(match &self.others {
            Some(others) => own.and(others.requires().await?),
            None => own,
        })
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let llm = models.llm(self.config.ask.llm.clone()).await?;
        let mut asker = self.config.ask.asker(llm, seed::derive(context.seed, "strategist"));
        let beliefs = self.beliefs(&mut asker, &context).await?;
        let leaf = match &self.config.critic {
            None => Leaf::PlayOn,
            Some(name) => Leaf::Critic {
                critic: models.critic(name.clone()).await?,
                goal: &self.config.goal,
                prompts: &self.prompts,
            },
        };
        let mut search =
            Search::new(&context, &models, &self.config, beliefs.as_ref(), self.others.as_ref(), leaf);
        let found = search.run(&mut asker).await?;

        let speaks = context.turn.legal_actions.is_empty();
        let thought = found.in_words(speaks);
        let action = if speaks {
            let messages = self.prompts.messages("speak", &context, json!({ "thought": thought }))?;
            asker.ask_for_action(&[Label::One("Action")], messages, &context).await?.1
        } else {
            toolbox::action(&found.best, &context.turn)
        };
        let believed = beliefs.map(|beliefs| beliefs.same_side());
        let details = json!({ "believed": believed, "moves": found.moves });
        let trace = Trace { details, ..asker.unread.trace() };
        Ok(Decision { thought, action, trace, ..Decision::default() })
    }
}

register! {
    interface: dyn Planner, kind: "strategist",
    summary: "tree search over worlds drawn from its beliefs about hidden roles (Strategist)",
    config: StrategistConfig,
    new: |config: StrategistConfig, host: Arc<dyn Host>| async move {
        let others = match &config.others {
            Some(PlannerName(name)) => Some(host.planner(name.clone()).await?),
            None => None,
        };
        Ok(Arc::new(Strategist::new(config, others)?) as _)
    },
}
