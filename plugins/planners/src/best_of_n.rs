//! Best-of-N with a critic: sample several decisions, and act on the one whose thought it likes best. The ablation of
//! the PNLC paper (arXiv 2505.18098) in which the critic selects and nothing is refined.

use forethought_sdk::prelude::*;

use crate::{
    allowance::{affordable, samples},
    inner::{Inner, drawn},
    score::{Scorer, Scoring},
};

/// Settings of Best-of-N.
#[config]
#[derive(Debug, Clone)]
pub struct BestOfNConfig {
    /// The planner that is sampled.
    pub inner: PlannerName,
    /// Sampled decisions, each drawn from its own seed (N).
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 1000))]
    pub n: usize,
    /// The score that a decision must exceed to be preferred to the first one. By default the best is taken.
    #[serde(default)]
    pub threshold: Option<f64>,
    /// How the critic scores them.
    #[serde(flatten)]
    pub scoring: Scoring,
}

fn five() -> usize {
    5
}

/// The Best-of-N planner: the calls of N decisions, one for each different thought, and one for the summary. Where the
/// decision has a budget, N is what it pays.
pub struct BestOfN {
    inner: Inner,
    n: usize,
    threshold: f64,
    scorer: Scorer,
}

impl BestOfN {
    /// A planner over `inner` with these settings.
    ///
    /// # Errors
    /// No sample, fewer than two outcomes, or a template that cannot be used.
    pub async fn over(inner: Inner, config: BestOfNConfig) -> Result<Self> {
        let BestOfNConfig { n, threshold, scoring, .. } = config;
        if n == 0 {
            return Err(Error::config("n = 0: must be at least 1"));
        }
        let scorer = Scorer::new(scoring, &[&inner]).await?;
        Ok(Self { inner, n, threshold: threshold.unwrap_or(f64::NEG_INFINITY), scorer })
    }
}

#[async_trait]
impl Planner for BestOfN {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Inner::requires(&[&self.inner]).await?.and(self.scorer.requires()))
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let sample = |index| self.inner.decide(drawn(&context, &format!("sample {index}")), &models);
        let (each, once) = self.scorer.calls();
        let sampled = samples(&models, self.n, (each, once), sample).await?;
        let said: Vec<_> = sampled.into_iter().map(|(_, decision)| decision).collect();
        if let (true, [only]) = (self.n > 1, &said[..])
            && !affordable(&models, each + once).await?
        {
            let mut trace = Trace::default();
            trace.recoveries.push("the budget allows one sample, and nothing to score it with".into());
            *trace.faults.entry("unevaluated".into()).or_default() += 1;
            self.inner.note(&mut trace, Ok(only.clone()), true);
            return Ok(Decision { trace, ..only.clone() });
        }
        let scored = self.scorer.score(&context, &said.iter().collect::<Vec<_>>(), &models).await?;
        let better = scored.scores.iter().enumerate().filter_map(|(index, score)| Some((index, (*score)?)));
        let better = better.filter(|(_, score)| *score > self.threshold);
        // Of equals, the first: `max_by` returns the last.
        let best = better.rev().max_by(|(_, a), (_, b)| a.total_cmp(b));
        let mut unread = scored.unread;
        if scored.scores.iter().all(Option::is_none) {
            unread.count("unevaluated");
        }
        let best = best.map_or(0, |(index, _)| index);
        let mut chosen = said[best].clone();
        chosen.summary = scored.summary.or(chosen.summary);
        let mut trace = Trace { rounds: scored.rounds, ..unread.trace() };
        trace.rounds[best].kept = true;
        for (index, decision) in said.into_iter().enumerate() {
            self.inner.note(&mut trace, Ok(decision), index == best);
        }
        Ok(Decision { trace, ..chosen })
    }
}

register! {
    interface: dyn Planner, kind: "best-of-n", summary: "the best of several decisions by a critic",
    config: BestOfNConfig,
    new: |config: BestOfNConfig, host: Arc<dyn Host>| async move {
        let inner = Inner::named(config.inner.clone(), &host).await?;
        Ok(Arc::new(BestOfN::over(inner, config).await?) as _)
    },
}
