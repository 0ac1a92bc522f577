//! A critic: of the recorded steps that resemble a thought most, how many reached the outcome?
//!
//! ```sh
//! alias critic='cargo run -p forethought-examples --bin critic --'
//! critic collect examples/critic.toml --planner react --first-task 400 --episodes 100 --out data
//! critic eval examples/critic.toml --planner react,pnlc
//! ```
//!
//! A critic that is trained also has a trainer, which writes a checkpoint: `forethought plugin new x --trainer`.

use std::path::Path;

use forethought_sdk::{prelude::*, serde_json};
use {
    forethought_encoder_hash as _, forethought_llm_simulated as _, forethought_planners as _,
    forethought_webshop as _,
};

/// The keys under `[critic.NAME]`. The doc comment of a key is its help text.
#[config]
struct Config {
    /// Recorded episodes: the `trajectories.jsonl` of `forethought collect`.
    data: ConfigPath,
    /// Encoder under `[encoder]`.
    encoder: String,
    /// Steps to compare with.
    #[schemars(range(min = 1))]
    neighbours: usize,
}

struct Neighbours {
    encoder: Arc<dyn TextEncoder>,
    neighbours: usize,
    /// One row per recorded step: its state and thought.
    steps: Matrix,
    /// For each step, the outcomes reached in it or later in its episode.
    reached: Vec<Vec<String>>,
}

impl Neighbours {
    async fn new(config: Config, host: Arc<dyn Host>) -> Result<Self> {
        let encoder = host.encoder(config.encoder).await?;
        let (mut texts, mut reached) = (Vec::new(), Vec::new());
        for line in std::fs::read_to_string(Path::new(&*config.data))?.lines() {
            let steps = serde_json::from_str::<Trajectory>(line)?.steps;
            for (index, step) in steps.iter().enumerate() {
                texts.push(format!("{} {}", step.state, step.thought));
                reached.push(steps[index..].iter().flat_map(|later| later.outcomes.clone()).collect());
            }
        }
        let steps = encoder.encode(texts).await?;
        Ok(Self { encoder, neighbours: config.neighbours, steps, reached })
    }
}

#[async_trait]
impl Critic for Neighbours {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        let texts = queries.iter().map(|query| format!("{} {}", query.state, query.thought)).collect();
        let rows = self.encoder.encode(texts).await?;
        let estimate = |(index, query): (usize, &CriticQuery)| {
            let similarity =
                |step| -> f32 { rows.row(index).iter().zip(self.steps.row(step)).map(|(a, b)| a * b).sum() };
            let mut nearest: Vec<(f32, usize)> =
                (0..self.reached.len()).map(|step| (similarity(step), step)).collect();
            nearest.sort_by(|(a, _), (b, _)| b.total_cmp(a));
            nearest.truncate(self.neighbours);
            let hits =
                nearest.iter().filter(|(_, step)| self.reached[*step].contains(&query.outcome)).count();
            // One step more on each side, so that no probability is 0 or 1.
            let probability = (hits + 1) as f64 / (nearest.len() + 2) as f64;
            Estimate::of(probability)
        };
        Ok(queries.iter().enumerate().map(estimate).collect())
    }
}

register! {
    interface: dyn Critic, kind: "example-neighbours", summary: "outcomes of the most similar recorded steps",
    config: Config,
    new: |config, host| async move { Ok(Arc::new(Neighbours::new(config, host).await?) as _) },
}

fn main() -> std::process::ExitCode {
    forethought::main()
}
