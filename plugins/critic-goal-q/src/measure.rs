//! Training steps one by one, only for measurements.

use candle_core::Tensor;
use forethought_candle::device;
use forethought_sdk::prelude::*;
use forethought_sdk::seed::{ChaCha8Rng, RngExt};

use crate::config::TrainerConfig;
use crate::cpu::FlushDenormals;
use crate::goals::{Corpus, Sampler};
use crate::iql::Iql;

/// A training over synthetic episodes of ten steps and random unit embeddings, with three texts per step. All are
/// distinct except the outcomes, of which there are a hundred.
pub struct Training {
    corpus: Corpus,
    config: TrainerConfig,
    table: Tensor,
    iql: Iql,
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
        let numbers: Vec<f32> =
            (0..corpus.texts.len() * dimension).map(|_| rng.random_range(-1f32..1.0)).collect();
        let table = Tensor::from_vec(numbers, (corpus.texts.len(), dimension), &device)?;
        let table = table.broadcast_div(&table.sqr()?.sum_keepdim(1)?.sqrt()?)?;
        let iql = Iql::new(&config, dimension, &device, &mut rng)?;
        Ok(Self { corpus, config, table, iql, rng })
    }

    /// Takes `count` gradient steps, drawing of batches included, and returns the last one's losses of Q and V.
    ///
    /// # Errors
    /// If candle fails.
    pub fn steps(&mut self, count: usize) -> Result<[f32; 2]> {
        let _flush = FlushDenormals::new();
        let everything: Vec<usize> = (0..self.corpus.trajectories()).collect();
        let sampler = Sampler::new(&self.corpus, &everything, &self.config.goals, self.config.gamma);
        let goals = self.config.goals_per_transition;
        let mut last = [0.0; 2];
        for _ in 0..count {
            let batch = sampler.batch(self.config.batch / goals, goals, &mut self.rng);
            let losses = self.iql.step(&self.table, &batch)?;
            last = [losses.q, losses.v];
        }
        Ok(last)
    }
}
