//! Training steps one by one, only for measurements.

use forethought_candle::device;
use forethought_sdk::prelude::*;
use forethought_sdk::seed::{ChaCha8Rng, RngExt};

use crate::config::TrainerConfig;
use crate::engine::{Ahead, Engine};
use crate::goals::{Corpus, Sampler};
use crate::learner::Losses;
use crate::table::{Embeddings, Table};
use crate::trainer::threads;

/// A training over synthetic episodes of ten steps and random unit embeddings, with three texts per step. All are
/// distinct except the outcomes, of which there are a hundred.
pub struct Training {
    corpus: Corpus,
    config: TrainerConfig,
    table: Table,
    engine: Engine,
    pool: rayon::ThreadPool,
    rng: ChaCha8Rng,
}

impl Training {
    /// A fresh training over `transitions` transitions.
    ///
    /// # Errors
    /// If `config.device` does not exist, or a tensor cannot be made.
    pub fn new(config: TrainerConfig, transitions: usize, dimension: usize) -> Result<Self> {
        let device = device(&config.device)?;
        let mut rng = seed::stream(7, "bench");
        let trajectories: Vec<Trajectory> = (0..transitions / 10)
            .map(|episode| Trajectory {
                episode: format!("e{episode}"),
                steps: (0..10)
                    .map(|step| Step {
                        state: format!("state {episode}/{step}"),
                        thought: format!("thought {episode}/{step}"),
                        next_state: format!("state {episode}/{}", step + 1),
                        outcomes: vec![format!("outcome {}", rng.random_range(0..100))],
                        terminated: step == 9,
                        ..Step::default()
                    })
                    .collect(),
                ..Trajectory::default()
            })
            .collect();
        let corpus = Corpus::new(&trajectories, &config.goals, None)?;
        let mut numbers: Vec<f32> =
            (0..corpus.texts.len() * dimension).map(|_| rng.random_range(-1f32..1.0)).collect();
        for row in numbers.chunks_exact_mut(dimension) {
            let length = row.iter().map(|number| number * number).sum::<f32>().sqrt();
            row.iter_mut().for_each(|number| *number /= length);
        }
        let table = Table::new(Embeddings::in_memory(numbers, dimension), &device)?;
        let pool = threads(config.threads)?;
        let engine = Engine::new(&config, dimension, &device, &mut rng)?;
        Ok(Self { corpus, config, table, engine, pool, rng })
    }

    /// Takes `count` gradient steps, drawing of batches included. Returns the losses of the twins and of V.
    ///
    /// # Errors
    /// If candle fails.
    pub fn steps(&mut self, count: usize) -> Result<Vec<[f32; 2]>> {
        let everything: Vec<usize> = (0..self.corpus.trajectories()).collect();
        let Self { corpus, config, table, engine, pool, rng } = self;
        let sampler = Sampler::new(corpus, &everything, config);
        pool.install(|| {
            std::thread::scope(|scope| {
                let ahead = Ahead::new(scope, &sampler, table, engine, rng.clone())?;
                let mut losses = Vec::with_capacity(count);
                for _ in 0..count {
                    let ready = ahead.next()?;
                    let Losses { q, v } = engine.step(table, &ready)?;
                    losses.push([q, v.unwrap_or_default()]);
                    rng.set_word_pos(ready.drawn.into());
                    ahead.recycle(ready);
                }
                Ok(losses)
            })
        })
    }

    /// The weights of the averaged twins.
    #[cfg(test)]
    pub(crate) fn averaged(&mut self) -> Result<Vec<Vec<f32>>> {
        let twins = self.engine.averaged()?.iter();
        twins.map(|network| Ok(network.weights().to_vec1()?)).collect()
    }
}
