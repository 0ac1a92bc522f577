//! Who computes a training step: candle, or the fused arithmetic of [`crate::cpu`]; and batches that are drawn ahead.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use candle_core::{Device, Tensor};
use forethought_candle::cpu::bf16;
use forethought_sdk::prelude::*;
use forethought_sdk::seed::ChaCha8Rng;

use crate::config::{EngineKind, TrainerConfig};
use crate::cpu::{Fast, Gathered};
use crate::goals::{Batch, Sampler};
use crate::learner::{Learner, Losses};
use crate::network::Network;
use crate::table::Table;

/// Batches that lie ready while a step is taken.
const AHEAD: usize = 3;

/// The networks in training, and what computes with them.
pub(crate) enum Engine {
    Readable(Box<Learner>),
    Fast(Box<Fast>),
}

impl Engine {
    /// Fresh networks over embeddings of `dimension` numbers.
    pub(crate) fn new(
        config: &TrainerConfig,
        dimension: usize,
        device: &Device,
        rng: &mut ChaCha8Rng,
    ) -> Result<Self> {
        let learner = Learner::new(config, dimension, device, rng)?;
        match config.engine {
            EngineKind::Fast | EngineKind::Bf16 if device.is_cpu() => {
                Ok(Self::Fast(Box::new(Fast::new(learner, config, dimension)?)))
            }
            _ => Ok(Self::Readable(Box::new(learner))),
        }
    }

    /// Refuses an engine that this machine does not have.
    pub(crate) fn check(config: &TrainerConfig, device: &Device) -> Result<()> {
        match config.engine {
            EngineKind::Bf16 if !device.is_cpu() => Err(Error::config(
                "trainer goal-q: engine: `bf16` is for the CPU; set device = \"cpu\", or leave `engine` out",
            )),
            EngineKind::Bf16 if !bf16::available() => Err(Error::config(
                "trainer goal-q: engine: this processor has no AVX-512 BF16, which `bf16` needs; use `fast`",
            )),
            _ => Ok(()),
        }
    }

    /// One gradient step on one batch.
    pub(crate) fn step(&mut self, table: &Table, ready: &Ready) -> Result<Losses> {
        match self {
            Self::Readable(learner) => Ok(learner.step(table, &ready.batch)?),
            Self::Fast(fast) => Ok(fast.step(&ready.batch, &ready.gathered)),
        }
    }

    /// What the next steps depend on, by name; the same for both engines.
    pub(crate) fn state(&mut self) -> Result<Vec<(String, Tensor)>> {
        Ok(match self {
            Self::Readable(learner) => learner.state()?,
            Self::Fast(fast) => fast.synced()?.state()?,
        })
    }

    /// Sets it to a state after `steps`; `take` gives its tensors by name.
    pub(crate) fn restore(&mut self, steps: u64, take: impl FnMut(&str) -> Result<Tensor>) -> Result<()> {
        match self {
            Self::Readable(learner) => learner.restore(steps, take),
            Self::Fast(fast) => fast.restore(steps, take),
        }
    }

    /// The averaged twins: what is evaluated and kept.
    pub(crate) fn averaged(&mut self) -> Result<&[Network; 2]> {
        Ok(match self {
            Self::Readable(learner) => learner.averaged(),
            Self::Fast(fast) => fast.synced()?.averaged(),
        })
    }
}

/// A batch that is ready to learn from.
#[derive(Default)]
pub(crate) struct Ready {
    pub(crate) batch: Batch,
    /// Its embeddings, for the fast engine.
    pub(crate) gathered: Gathered,
    /// Words drawn from the random stream up to here.
    pub(crate) drawn: u64,
}

/// Draws batches ahead of their use, in another thread; used ones come back, so no memory is allocated per step.
pub(crate) struct Ahead {
    ready: Receiver<Ready>,
    used: Sender<Ready>,
}

impl Ahead {
    /// Batches by `sampler`, with embeddings gathered from `table` where `engine` needs them.
    pub(crate) fn new<'scope>(
        scope: &'scope std::thread::Scope<'scope, '_>,
        sampler: &'scope Sampler<'scope>,
        table: &'scope Table,
        engine: &Engine,
        rng: ChaCha8Rng,
    ) -> Result<Self> {
        let (filled, ready) = sync_channel(AHEAD);
        let (used, empty) = channel();
        for _ in 0..AHEAD {
            let _ = used.send(Ready::default());
        }
        let (gathers, bf16) = match engine {
            Engine::Readable(_) => (false, false),
            Engine::Fast(fast) => (true, fast.is_bf16()),
        };
        let fill = move || fill(sampler, gathers.then_some(table), bf16, rng, &empty, &filled);
        std::thread::Builder::new()
            .name("goal-q sampler".into())
            .spawn_scoped(scope, fill)
            .context("cannot start the thread that draws batches")?;
        Ok(Self { ready, used })
    }

    /// The next batch.
    pub(crate) fn next(&self) -> Result<Ready> {
        self.ready.recv().map_err(|_| Error::other("the thread that draws batches died"))
    }

    /// Gives a batch back.
    pub(crate) fn recycle(&self, used: Ready) {
        let _ = self.used.send(used);
    }
}

fn fill(
    sampler: &Sampler,
    table: Option<&Table>,
    bf16: bool,
    mut rng: ChaCha8Rng,
    empty: &Receiver<Ready>,
    filled: &SyncSender<Ready>,
) {
    while let Ok(mut ready) = empty.recv() {
        sampler.draw(&mut rng, &mut ready.batch);
        ready.drawn = rng.get_word_pos() as u64;
        if let Some(Table::Host(embeddings)) = table {
            ready.gathered.fill(&ready.batch, embeddings, bf16);
        }
        if filled.send(ready).is_err() {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use forethought_candle::cpu::bf16;

    use crate::config::{EngineKind, Method, TrainerConfig};
    use crate::measure::Training;

    /// The losses of 1,000 steps of a small training, and the averaged weights after them.
    fn trained(method: Method, engine: EngineKind, threads: usize) -> (Vec<[f32; 2]>, Vec<Vec<f32>>) {
        let config = TrainerConfig {
            hidden: vec![24, 18],
            batch: 150,
            goals_per_transition: 3,
            method,
            engine,
            threads,
            ..TrainerConfig::default()
        };
        let mut training = Training::new(config, 300, 33).unwrap();
        let losses = training.steps(1000).unwrap();
        (losses, training.averaged().unwrap())
    }

    /// How far apart numbers are at most.
    fn apart<'a>(one: impl IntoIterator<Item = &'a f32>, other: impl IntoIterator<Item = &'a f32>) -> f32 {
        one.into_iter().zip(other).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn both_engines_train_the_same_critic_with_any_number_of_threads() {
        for method in [Method::Iql, Method::Hindsight] {
            let (losses, weights) = trained(method, EngineKind::Readable, 1);
            assert!(losses[999][0] < 0.8 * losses[0][0], "{method:?} learns nothing: {:?}", losses[999]);
            let fast = [1, 3].map(|threads| trained(method, EngineKind::Fast, threads));
            assert!(fast[0] == fast[1], "the number of threads matters");
            let (fast_losses, fast_weights) = &fast[0];
            let of_losses = apart(losses.as_flattened(), fast_losses.as_flattened());
            assert!(of_losses < 1e-5, "{method:?}: losses differ by {of_losses}");
            let of_weights = apart(weights.iter().flatten(), fast_weights.iter().flatten());
            assert!(weights == *fast_weights, "{method:?}: weights differ by {of_weights}");
        }
    }

    #[test]
    fn products_in_bfloat16_change_little() {
        if !bf16::available() {
            return;
        }
        let (exact, _) = trained(Method::Iql, EngineKind::Fast, 1);
        let halves = [1, 2].map(|threads| trained(Method::Iql, EngineKind::Bf16, threads));
        assert!(halves[0] == halves[1], "the number of threads matters");
        // The mean of the last hundred losses of Q.
        let last = |losses: &[[f32; 2]]| losses[900..].iter().map(|[q, _]| q / 100.0).sum::<f32>();
        let (exact, rounded) = (last(&exact), last(&halves[0].0));
        assert!((exact - rounded).abs() < 0.05 * exact, "{exact} {rounded}");
    }
}
