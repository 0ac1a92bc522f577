//! Training steps one by one, only for measurements and comparisons with other programs.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use forethought_candle::{device, serialize};
use forethought_sdk::prelude::*;
use forethought_sdk::seed::{ChaCha8Rng, RngExt};
use forethought_sdk::serde_json::json;

use crate::config::TrainerConfig;
use crate::engine::{Ahead, Engine};
use crate::goals::{Batch, Corpus, Sampler};
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

    /// The embeddings, the networks, and the batches of the next `steps` steps, as a safetensors file.
    ///
    /// # Errors
    /// If candle fails.
    pub fn case(&mut self, steps: usize) -> Result<Vec<u8>> {
        let everything: Vec<usize> = (0..self.corpus.trajectories()).collect();
        let sampler = Sampler::new(&self.corpus, &everything, &self.config);
        let (mut rng, mut batch) = (self.rng.clone(), Batch::default());
        let (mut texts, mut numbers) = ([const { Vec::new() }; 4], [const { Vec::new() }; 3]);
        for _ in 0..steps {
            sampler.draw(&mut rng, &mut batch);
            for (all, one) in
                texts.iter_mut().zip([&batch.states, &batch.thoughts, &batch.goals, &batch.nexts])
            {
                all.extend_from_slice(one);
            }
            for (all, one) in numbers.iter_mut().zip([&batch.reached, &batch.alive, &batch.came]) {
                all.extend_from_slice(one);
            }
        }
        let TrainerConfig { hidden, learning_rate, weight_decay, expectile, gamma, polyak, batch, .. } =
            &self.config;
        let config = json!({
            "steps": steps, "batch": batch, "hidden": hidden, "learning_rate": learning_rate,
            "weight_decay": weight_decay, "expectile": expectile, "gamma": gamma, "polyak": polyak,
        });
        let mut tensors: HashMap<String, Tensor> = self.engine.state()?.into_iter().collect();
        let ids: Vec<u32> = (0..self.corpus.texts.len() as u32).collect();
        tensors.insert("table".into(), self.table.rows(&ids)?);
        tensors.insert("config".into(), Tensor::new(config.to_string().as_bytes(), &Device::Cpu)?);
        for (name, column) in ["states", "thoughts", "goals", "nexts"].into_iter().zip(&texts) {
            tensors.insert(name.into(), Tensor::new(column.as_slice(), &Device::Cpu)?);
        }
        for (name, column) in ["reached", "alive", "came"].into_iter().zip(&numbers) {
            if !column.is_empty() {
                tensors.insert(name.into(), Tensor::new(column.as_slice(), &Device::Cpu)?);
            }
        }
        serialize(&tensors)
    }

    /// The weights of the averaged twins.
    #[cfg(test)]
    pub(crate) fn averaged(&mut self) -> Result<Vec<Vec<f32>>> {
        let twins = self.engine.averaged()?.iter();
        twins.map(|network| Ok(network.weights().to_vec1()?)).collect()
    }
}
