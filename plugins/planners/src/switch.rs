//! Different planners for different moments: by what the seat sees and may do, or by what a critic thinks of the first
//! decision (adaptive spending: the expensive planner only where the cheap one is in doubt).

use std::collections::BTreeMap;

use forethought_sdk::{prelude::*, serde_json::Value};

use crate::{
    inner::{Inner, drawn},
    score::{Scorer, Scoring},
};

/// Settings of a switch.
#[config]
#[derive(Debug, Clone)]
pub struct SwitchConfig {
    /// The planner that decides where no case applies.
    pub otherwise: PlannerName,
    /// The first case that applies names the planner.
    #[serde(default)]
    pub cases: Vec<Case>,
    /// The planner that decides in place of these, where a critic thinks little of their decision.
    #[serde(default)]
    pub unsure: Option<Unsure>,
}

/// A planner, and when it decides: where all that is given here is true.
#[config]
#[derive(Debug, Clone)]
pub struct Case {
    /// The planner.
    pub planner: PlannerName,
    /// The first of the seat's decisions, counted from 0.
    #[serde(default)]
    pub from: Option<usize>,
    /// The first of the seat's decisions after these.
    #[serde(default)]
    pub until: Option<usize>,
    /// Names of seats, of which this is one.
    #[serde(default)]
    pub seats: Vec<String>,
    /// Texts, of which one is in what the seat sees.
    #[serde(default)]
    pub sees: Vec<String>,
    /// Texts, of which one is in an action that is listed as legal or in the name of a tool that is offered.
    #[serde(default)]
    pub offers: Vec<String>,
    /// Values of which one is that of the observation's data, by key: `data.phase = ["vote", "quest"]`.
    #[serde(default)]
    pub data: BTreeMap<String, Vec<Value>>,
}

/// A planner for decisions that a critic doubts.
#[config]
#[derive(Debug, Clone)]
pub struct Unsure {
    /// The planner that decides then.
    pub planner: PlannerName,
    /// The score below which a decision is doubted; so is one that cannot be scored.
    pub below: f64,
    /// How the critic scores decisions.
    #[serde(flatten)]
    pub scoring: Scoring,
}

impl Case {
    fn applies(&self, context: &DecisionContext) -> bool {
        let turn = &context.turn;
        let now = context.history.len();
        let seat = context.environment.seats.get(context.seat).map(|seat| &seat.name);
        let any = |texts: &[String], of: &dyn Fn(&String) -> bool| texts.is_empty() || texts.iter().any(of);
        self.from.is_none_or(|from| now >= from)
            && self.until.is_none_or(|until| now < until)
            && any(&self.seats, &|name| seat == Some(name))
            && any(&self.sees, &|text| turn.observation.text.contains(text.as_str()))
            && any(&self.offers, &|text| {
                let tools = turn.tools.iter().map(|tool| &tool.name);
                turn.legal_actions.iter().chain(tools).any(|offered| offered.contains(text.as_str()))
            })
            && self.data.iter().all(|(key, values)| values.contains(&turn.observation.data[key]))
    }
}

/// The switch.
pub struct Switch {
    cases: Vec<(Case, Inner)>,
    otherwise: Inner,
    unsure: Option<(Inner, f64, Scorer)>,
}

impl Switch {
    /// A switch with these settings; `host` has the planners.
    ///
    /// # Errors
    /// A planner that does not exist, or settings of the critic that cannot be used.
    pub async fn new(config: SwitchConfig, host: &Arc<dyn Host>) -> Result<Self> {
        let otherwise = Inner::named(config.otherwise, host).await?;
        let mut cases = Vec::new();
        for case in config.cases {
            let planner = Inner::named(case.planner.clone(), host).await?;
            cases.push((case, planner));
        }
        let unsure = match config.unsure {
            Some(Unsure { planner, below, scoring }) => {
                let doubted: Vec<_> = cases.iter().map(|(_, planner)| planner).chain([&otherwise]).collect();
                let scorer = Scorer::new(scoring, &doubted).await?;
                Some((Inner::named(planner, host).await?, below, scorer))
            }
            None => None,
        };
        Ok(Self { cases, otherwise, unsure })
    }
}

#[async_trait]
impl Planner for Switch {
    async fn requires(&self) -> Result<Requirements> {
        let unsure = self.unsure.iter().map(|(planner, ..)| planner);
        let cases = self.cases.iter().map(|(_, planner)| planner);
        let all: Vec<_> = cases.chain([&self.otherwise]).chain(unsure).collect();
        let own = self.unsure.as_ref().map(|(.., scorer)| scorer.requires()).unwrap_or_default();
        Ok(Inner::requires(&all).await?.and(own))
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let case = self.cases.iter().find(|(case, _)| case.applies(&context));
        let first = case.map_or(&self.otherwise, |(_, planner)| planner);
        let decision = first.decide(context.clone(), &models).await?;
        let Some((careful, below, scorer)) = &self.unsure else {
            let mut trace = Trace::default();
            first.note(&mut trace, Ok(decision.clone()), true);
            return Ok(Decision { trace, ..decision });
        };
        let scored = scorer.score(&context, &[&decision], &models).await?;
        let sure = scored.scores[0].is_some_and(|score| score >= *below);
        let mut trace = Trace { rounds: scored.rounds, ..scored.unread.trace() };
        trace.rounds[0].kept = sure;
        first.note(&mut trace, Ok(decision.clone()), sure);
        let mut chosen = match sure {
            true => decision,
            false => {
                let again = careful.decide(drawn(&context, "unsure"), &models).await?;
                careful.note(&mut trace, Ok(again.clone()), true);
                again
            }
        };
        chosen.summary = chosen.summary.or(scored.summary);
        Ok(Decision { trace, ..chosen })
    }
}

register! {
    interface: dyn Planner, kind: "switch", summary: "different planners by turn, seat, phase or tool, or where a critic doubts",
    config: SwitchConfig,
    new: |config, host| async move { Ok(Arc::new(Switch::new(config, &host).await?) as _) },
}
