//! Strategist (after Light et al., 2024): beliefs over hidden roles, moved by a judge's reading of the talk; worlds drawn
//! from them; a tree search with PUCT over the moves; speech that serves the move chosen.
//!
//! ```text
//! beliefs <- what this seat knows, moved by the LLM's reading of what was said            one call, if anything is open
//! repeat n times:
//!     world <- imagine roles drawn from the beliefs
//!     walk down the tree by PUCT, add one move, value it (by playing on, or by a critic), back up each seat's reward
//! act on the move most often tried; where the turn is to talk, let the LLM say what serves the best next move
//! ```
//!
//! It knows no game by name: hidden roles are read from `observation.data["hidden"]`, moves from the legal actions, and
//! imagined worlds come from [`Models::imagine`], so what a seat may not know never reaches the search.

mod beliefs;
mod search;

use forethought_sdk::{prelude::*, serde_json::json};

use self::{
    beliefs::Beliefs,
    search::{Leaf, Search},
};
use crate::{
    answers::labelled,
    ask::{AskConfig, Asker, Label},
    prompts::Prompts,
    react::last_line,
};

/// Settings of Strategist.
#[config]
#[derive(Debug, Clone)]
pub struct StrategistConfig {
    /// How the language model is asked that judges the talk, and talks.
    #[serde(flatten)]
    pub ask: AskConfig,
    /// Imagined games a decision (n).
    #[serde(default = "thirty")]
    #[schemars(range(min = 1))]
    pub simulations: u32,
    /// Weight of the unexplored against the proven (c of PUCT), with rewards within [0, 1].
    #[serde(default = "one")]
    pub exploration: f64,
    /// How far the judge's reading of the talk moves beliefs: its log-odds count this often.
    #[serde(default = "one")]
    pub trust: f64,
    /// Name of a planner under `[planner]` that stands for the other seats in imagined games, and for all seats when
    /// a game is played on to its end. Without it the others search as this seat does, and games are played on at random.
    #[serde(default)]
    pub others: Option<String>,
    /// Name of a critic under `[critic]` that values leaves. Without it imagined games are played to their ends.
    #[serde(default)]
    pub critic: Option<String>,
    /// The outcome whose probability, by the critic, is the value of a leaf.
    #[serde(default = "victory")]
    pub goal: String,
    /// What is done in imagined games where moves cannot be listed, as when it is time to talk.
    #[serde(default = "filler")]
    pub filler: String,
}

fn thirty() -> u32 {
    30
}

fn one() -> f64 {
    1.0
}

fn victory() -> String {
    "This player's side wins the game.".into()
}

fn filler() -> String {
    "say I have nothing to add.".into()
}

/// The Strategist planner.
pub struct Strategist {
    config: StrategistConfig,
    prompts: Prompts,
    others: Option<Arc<dyn Planner>>,
}

impl Strategist {
    /// A planner of these settings; `others` is the planner that they name.
    ///
    /// # Errors
    /// No simulations, a weight that is no weight, or a template that cannot be used.
    pub fn new(config: StrategistConfig, others: Option<Arc<dyn Planner>>) -> Result<Self> {
        if config.simulations == 0 {
            return Err(Error::config("simulations = 0: the search needs at least one"));
        }
        for (key, weight) in [("exploration", config.exploration), ("trust", config.trust)] {
            if !weight.is_finite() || weight < 0.0 {
                return Err(Error::config(format!("{key} = {weight}: a weight is a number from 0 on")));
            }
        }
        Ok(Self { prompts: config.ask.prompts()?, config, others })
    }

    /// Beliefs of the seat that decides: what it knows, moved by what the model makes of the talk.
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
        let read = |answer: &str| probabilities(answer, open.len());
        // Unreadable twice over, the talk moves nothing.
        if let Ok(read) = asker.ask(Purpose::Judge, messages, read).await? {
            for (seat, probability) in open.into_iter().zip(read) {
                beliefs.moved(seat, probability, self.config.trust);
            }
        }
        Ok(Some(beliefs))
    }
}

/// As many lines `2: 0.35` as there are statements, in any order.
fn probabilities(answer: &str, wanted: usize) -> Result<Vec<f64>, String> {
    let mut found = vec![None; wanted];
    for line in answer.lines() {
        let Some((number, probability)) = line.trim().split_once([':', '.', ')']) else { continue };
        let number = number.trim().parse::<usize>().ok().filter(|number| (1..=wanted).contains(number));
        let probability = probability.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
        if let (Some(number), Some(probability)) = (number, probability.filter(|p| (0.0..=1.0).contains(p))) {
            found[number - 1] = Some(probability);
        }
    }
    let missing = found.iter().position(Option::is_none);
    found.into_iter().collect::<Option<_>>().ok_or_else(|| {
        format!("there is no line \"{}: <probability between 0 and 1>\"", missing.unwrap_or(0) + 1)
    })
}

#[async_trait]
impl Planner for Strategist {
    async fn requires(&self) -> Result<Requirements> {
        let critics = self.config.critic.iter().cloned().collect();
        let own = self.config.ask.requires();
        let own = own.and(Requirements { critics, fork: true, ..Requirements::default() });
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
            let read = |answer: &str| labelled(answer, "Action");
            match asker.ask_for(&[Label::One("Action")], Purpose::Action, messages, read).await? {
                Ok(action) => action,
                Err(answer) => last_line(&answer),
            }
        } else {
            found.best.clone()
        };
        let believed = beliefs.map(|beliefs| beliefs.same_side());
        let details = json!({ "believed": believed, "moves": found.moves });
        let trace = Trace { recoveries: asker.recoveries, details, ..Trace::default() };
        Ok(Decision { thought, action: Action::new(action), trace, ..Decision::default() })
    }
}

register! {
    interface: dyn Planner, kind: "strategist",
    summary: "tree search over worlds drawn from its beliefs about hidden roles (Strategist)",
    config: StrategistConfig,
    new: |config: StrategistConfig, host: Arc<dyn Host>| async move {
        let others = match &config.others {
            Some(name) => Some(host.planner(name.clone()).await?),
            None => None,
        };
        Ok(Arc::new(Strategist::new(config, others)?) as _)
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_read_by_their_numbers() {
        assert_eq!(probabilities("2: 0.9\nso\n1) 0.25 or so", 2), Ok(vec![0.25, 0.9]));
        assert!(probabilities("1: 0.5\n2: often", 2).unwrap_err().contains("\"2: <"));
        assert!(probabilities("1: 7", 1).is_err());
    }
}
