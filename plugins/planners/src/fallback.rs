//! The next planner, where one gives nothing to act on. Its decision may cost what all of them cost.

use forethought_sdk::prelude::*;

use crate::inner::{Inner, drawn};

/// Settings of a fallback.
#[config]
#[derive(Debug, Clone)]
pub struct FallbackConfig {
    /// The planners, the preferred one first. It decides as it would by itself; the others have seeds of their own.
    #[schemars(length(min = 1))]
    pub of: Vec<PlannerName>,
    /// Why the next one is asked.
    #[serde(default = "Trouble::all")]
    pub on: Vec<Trouble>,
}

/// Why a decision is not acted on.
#[config]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// The planner failed.
    Failure,
    /// A budget for the decision was spent; that of the run or the episode ends the episode.
    Budget,
    /// A model gave no readable answer when asked twice, and the planner went on without it.
    Unreadable,
}

impl Trouble {
    pub(crate) fn all() -> Vec<Self> {
        vec![Self::Failure, Self::Budget, Self::Unreadable]
    }

    /// What is wrong with a decision. An interruption, and a component that died or hangs, are not the planner's.
    fn with(decision: &Result<Decision>) -> Option<Self> {
        match decision {
            Ok(decision) => decision.trace.faults.contains_key("unread").then_some(Self::Unreadable),
            Err(error) => match error.code {
                Code::Budget => Some(Self::Budget),
                Code::Cancelled | Code::Shutdown | Code::Panic | Code::Deadline => None,
                _ => Some(Self::Failure),
            },
        }
    }
}

/// The fallback. If no planner decides without trouble, the first decision is taken that was made at all.
pub struct Fallback {
    planners: Vec<Inner>,
    on: Vec<Trouble>,
}

impl Fallback {
    /// A fallback over these planners.
    ///
    /// # Errors
    /// If `planners` is empty.
    pub fn over(planners: Vec<Inner>, on: Vec<Trouble>) -> Result<Self> {
        if planners.is_empty() {
            return Err(Error::config("a fallback needs at least one planner"));
        }
        Ok(Self { planners, on })
    }
}

#[async_trait]
impl Planner for Fallback {
    async fn requires(&self) -> Result<Requirements> {
        Inner::requires(&self.planners.iter().collect::<Vec<_>>()).await
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let mut decisions = Vec::new();
        let mut taken = None;
        for (index, planner) in self.planners.iter().enumerate() {
            let context = match index {
                0 => context.clone(),
                _ => drawn(&context, &format!("attempt {index}")),
            };
            let decision = planner.decide(context, &models).await;
            let fits = match Trouble::with(&decision) {
                Some(trouble) if self.on.contains(&trouble) => false,
                _ if decision.is_err() => return decision,
                _ => true,
            };
            if fits || taken.is_none() && decision.is_ok() {
                taken = Some(index);
            }
            decisions.push(decision);
            if fits {
                break;
            }
        }
        let last = decisions.len() - 1;
        let chosen = decisions[taken.unwrap_or(last)].clone()?;
        let mut trace = Trace::default();
        for (index, (planner, decision)) in self.planners.iter().zip(decisions).enumerate() {
            planner.note(&mut trace, decision, Some(index) == taken);
        }
        Ok(Decision { trace, ..chosen })
    }
}

register! {
    interface: dyn Planner, kind: "fallback", summary: "the next planner where one fails, spends its budget or cannot read an answer",
    config: FallbackConfig,
    new: |config: FallbackConfig, host| async move {
        Ok(Arc::new(Fallback::over(Inner::all("of", config.of, &host).await?, config.on)?) as _)
    },
}
