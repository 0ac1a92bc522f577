//! The critic at work: recorded steps, looked up.

use std::collections::HashMap;

use forethought_sdk::checkpoint::{encoder, files};
use forethought_sdk::prelude::*;

use crate::checkpoint::{self, Checkpoint, Learned};
use crate::config::CriticConfig;
use crate::data::Texts;
use crate::index::{Goal, Index, Near, weight};

/// Recorded steps that an explanation shows.
const SHOWN: usize = 8;

struct Retrieval {
    checkpoint: Checkpoint,
    index: Index,
    encoder: Arc<dyn TextEncoder>,
}

register! {
    interface: dyn Critic,
    kind: "retrieval",
    summary: "what the nearest recorded steps led to; explains itself with them; trained by trainer.retrieval",
    config: CriticConfig,
    new: |config: CriticConfig, host: Arc<dyn Host>| async move {
        let folder = host.model_files(files(&config.model)).await?;
        let (checkpoint, index) = checkpoint::read(&folder)?;
        let encoder = encoder(&*host, &config.encoder, &checkpoint.encoder, &config.model).await?;
        Ok(Arc::new(Retrieval { checkpoint, index, encoder }) as _)
    },
}

#[async_trait]
impl Critic for Retrieval {
    /// `uncertainty` is the standard error of a share over as many episodes as the neighbours count for.
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        if queries.is_empty() {
            return Ok(Vec::new());
        }
        let texts = self.texts(&queries).await?;
        let mut states: HashMap<&str, Vec<f32>> = HashMap::new();
        let mut near: HashMap<(&str, &str), Vec<Near>> = HashMap::new();
        let mut goals: HashMap<&str, Goal> = HashMap::new();
        for CriticQuery { state, thought, outcome } in &queries {
            let states = states.entry(state).or_insert_with(|| self.index.to_states(texts.row(state)));
            near.entry((state, thought)).or_insert_with(|| self.near(states, texts.row(thought)));
            goals.entry(outcome).or_insert_with(|| self.goal(outcome, texts.row(outcome)));
        }
        let estimate = |CriticQuery { state, thought, outcome }: &CriticQuery| {
            self.judge(&near[&(state.as_str(), thought.as_str())], &goals[outcome.as_str()])
        };
        Ok(queries.iter().map(estimate).collect())
    }

    async fn explain(&self, query: CriticQuery) -> Result<Explanation> {
        let texts = self.texts(std::slice::from_ref(&query)).await?;
        let states = self.index.to_states(texts.row(&query.state));
        let near = self.near(&states, texts.row(&query.thought));
        let goal = self.goal(&query.outcome, texts.row(&query.outcome));
        let estimate = self.judge(&near, &goal);
        let Learned { scales, .. } = self.checkpoint.learned;
        let total = 1.0 + near.iter().map(|one| weight(one, scales)).sum::<f64>();
        let corpus = &self.index.corpus;
        let evidence: Vec<Evidence> = near.iter().map(|one| self.evidence(one, &goal, total)).collect();
        let reached = evidence.iter().filter(|one| one.reached > 0.0).count();
        let mut episodes: Vec<usize> = near.iter().map(|one| corpus.steps[one.step].trajectory).collect();
        episodes.sort_unstable();
        episodes.dedup();
        let text = format!(
            "{reached} of the {} nearest recorded steps, from {} episodes, went on to this outcome{}; its usual value, {:.3}, \
             has {:.0} % of the weight; value {:.3}, calibrated {:.3}",
            near.len(),
            episodes.len(),
            if goal.distance > 0.0 { ", or to one like it" } else { "" },
            goal.usual,
            100.0 / total,
            estimate.raw,
            estimate.probability,
        );
        Ok(Explanation { text, evidence: evidence.into_iter().take(SHOWN).collect() })
    }
}

impl Retrieval {
    async fn texts(&self, queries: &[CriticQuery]) -> Result<Texts> {
        let texts = queries.iter().flat_map(|query| [&query.state, &query.thought, &query.outcome]);
        Texts::new(&*self.encoder, &self.checkpoint.encoder, texts).await
    }

    fn near(&self, states: &[f32], thought: &[f32]) -> Vec<Near> {
        let Checkpoint { config, learned, .. } = &self.checkpoint;
        self.index.nearest(
            states,
            &self.index.to_thoughts(thought),
            learned.scales.thought,
            config.neighbours,
        )
    }

    fn goal(&self, outcome: &str, vector: &[f32]) -> Goal {
        let Checkpoint { config, learned, .. } = &self.checkpoint;
        self.index.goal(outcome, vector, (learned.outcome_width, config.gamma))
    }

    fn judge(&self, near: &[Near], goal: &Goal) -> Estimate {
        let Checkpoint { config, learned, .. } = &self.checkpoint;
        let valued = self.index.value(near, goal, learned.scales, config.gamma);
        let probability = learned.calibration.probability(valued.value);
        let nearest = near.first().map_or(f32::MAX, |one| one.distance);
        let far = [(&learned.distances, nearest), (&learned.outcome_distances, goal.distance)];
        let far = far.map(|(held_out, distance)| nearer(held_out, distance));
        Estimate {
            probability,
            raw: valued.value,
            uncertainty: (probability * (1.0 - probability) / (valued.count + 1.0)).sqrt(),
            distance: far.into_iter().flatten().reduce(f64::max),
            ..Estimate::default()
        }
    }

    fn evidence(&self, near: &Near, goal: &Goal, total: f64) -> Evidence {
        let Checkpoint { config, learned, .. } = &self.checkpoint;
        let corpus = &self.index.corpus;
        let step = &corpus.steps[near.step];
        let text = |id: u32| corpus.texts[id as usize].clone();
        let first = step.outcomes.first().copied().or(step.next);
        Evidence {
            weight: weight(near, learned.scales) / total,
            reached: self.index.reached(near.step, goal, config.gamma),
            episode: corpus.episodes[step.trajectory].clone(),
            step: (near.step - corpus.starts[step.trajectory]) as u32,
            state: text(step.state),
            thought: text(step.thought),
            outcome: first.map(text).unwrap_or_default(),
        }
    }
}

/// The share of held-out distances, in order, that are below this one.
fn nearer(held_out: &[f32], distance: f32) -> Option<f64> {
    let below = held_out.partition_point(|one| *one < distance);
    (!held_out.is_empty()).then(|| below as f64 / held_out.len() as f64)
}
