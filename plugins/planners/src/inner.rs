//! Planners that another planner asks: what wrappers have in common.

use forethought_sdk::prelude::*;

/// A planner within another one.
#[derive(Clone)]
pub struct Inner {
    /// Its name under `[planner]`; `None` if it is a part of the planner that asks, which no configuration names.
    pub name: Option<String>,
    /// The planner.
    pub planner: Arc<dyn Planner>,
}

impl Inner {
    /// A part of another planner.
    pub fn part(planner: Arc<dyn Planner>) -> Self {
        Self { name: None, planner }
    }

    /// The planner of this name.
    ///
    /// # Errors
    /// If it does not exist or cannot be built.
    pub async fn named(PlannerName(name): PlannerName, host: &Arc<dyn Host>) -> Result<Self> {
        Ok(Self { planner: host.planner(name.clone()).await?, name: Some(name) })
    }

    /// The planners that `key` names.
    ///
    /// # Errors
    /// Those of [`Inner::named`]; no name at all.
    pub async fn all(key: &str, names: Vec<PlannerName>, host: &Arc<dyn Host>) -> Result<Vec<Self>> {
        if names.is_empty() {
            return Err(Error::config(format!("{key} = []: must name at least one planner")));
        }
        let mut all = Vec::new();
        for name in names {
            all.push(Self::named(name, host).await?);
        }
        Ok(all)
    }

    /// What a planner needs that asks these.
    ///
    /// # Errors
    /// If one of them does not say.
    pub async fn requires(all: &[&Self]) -> Result<Requirements> {
        let (mut named, mut parts) = (Vec::new(), Requirements::default());
        for Self { name, planner } in all {
            let theirs = planner.requires().await?;
            match name {
                Some(name) => named.push((name.clone(), theirs)),
                None => parts = parts.and(theirs),
            }
        }
        Ok(Requirements::over(named).and(parts))
    }

    /// Its decision.
    ///
    /// # Errors
    /// The planner's own.
    pub async fn decide(&self, context: DecisionContext, models: &Arc<dyn Models>) -> Result<Decision> {
        let decision = self.planner.decide(context, models.clone()).await;
        decision.map_err(|error| match &self.name {
            Some(name) => error.context(format!("planner `{name}`")),
            None => error,
        })
    }

    /// Notes what it decided, or why it did not. The difficulties of a part are those of the planner that asks.
    pub fn note(&self, trace: &mut Trace, decision: Result<Decision>, taken: bool) {
        match (&self.name, decision) {
            (Some(name), Ok(decision)) => trace.add(name, decision, taken),
            (Some(name), Err(error)) => trace.add_failure(name, &error),
            (None, Ok(decision)) => {
                trace.recoveries.extend(decision.trace.recoveries);
                for (fault, count) in decision.trace.faults {
                    *trace.faults.entry(fault).or_default() += count;
                }
            }
            (None, Err(error)) => trace.recoveries.push(error.to_string()),
        }
    }
}

/// The context of a decision that is drawn from another seed than `context` itself, called `draw`.
pub fn drawn(context: &DecisionContext, draw: &str) -> DecisionContext {
    DecisionContext { seed: seed::derive(context.seed, draw), ..context.clone() }
}
