//! The two methods, in candle's operations: the equations, top to bottom.
//!
//! Implicit Q-learning, conditioned on goals:
//! ```text
//! r(s', g) = 1 if s' is the goal state, else 0
//! y        = 1 if s' is g;  0 if the episode ended at s';  else gamma * V(s', g)
//! L_Q      = (y - Q_i(s, thought, g))^2                                  for each of the twins i = 1, 2
//! L_V      = |tau - 1(u < 0)| * u^2,   u = min_i Q_i_target(s, thought, g) - V(s, g)
//! Q_target = Polyak average of Q
//! ```
//!
//! Q and V end in a sigmoid. The loss stays the squared error above, but no estimate, and so no bootstrapped target,
//! can leave [0, 1]. A linear output overshoots for goals it has not seen, and feeds that back through V.
//!
//! Hindsight: the twins are classifiers of what the rest of the recorded episode reached, on the same mixture of goals.
//! There is no V, no bootstrapping, and nothing is discounted.
//! ```text
//! c        = 1 if g is reached at this step or later in the episode, before its rivals;  else 0
//! L_Q      = -(c ln Q_i + (1 - c) ln(1 - Q_i))
//! ```
//!
//! What is served is the average of the weights (`Q_target`), which is less noisy than the last step's.

use candle_core::{Device, Result, Tensor};
use forethought_sdk::seed::ChaCha8Rng;

use crate::architecture::{Architecture, Input};
use crate::config::{Method, TrainerConfig};
use crate::goals::Batch;
use crate::network::Network;
use crate::optimiser::Optimiser;
use crate::table::Table;

/// A classifier counts as no surer than this, so that no logarithm is infinite.
pub(crate) const SUREST: f32 = 1e-6;

/// The networks in training.
pub(crate) struct Learner {
    pub(crate) q: [Network; 2],
    pub(crate) q_target: [Network; 2],
    /// What implicit Q-learning bootstraps from.
    pub(crate) v: Option<Network>,
    pub(crate) optimiser: Optimiser,
    gamma: f64,
    expectile: f64,
    polyak: f64,
}

/// Losses of one step, averaged over its batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Losses {
    /// Of the twins together.
    pub(crate) q: f32,
    pub(crate) v: Option<f32>,
}

impl Learner {
    /// Fresh networks over embeddings of `dimension` numbers.
    pub(crate) fn new(
        config: &TrainerConfig,
        dimension: usize,
        device: &Device,
        rng: &mut ChaCha8Rng,
    ) -> Result<Self> {
        let mut network = |architecture| Network::new(architecture, device, rng);
        let q = [
            network(Architecture::q(dimension, &config.hidden))?,
            network(Architecture::q(dimension, &config.hidden))?,
        ];
        let bootstraps = config.method == Method::Iql;
        let v = bootstraps.then(|| network(Architecture::v(dimension, &config.hidden))).transpose()?;
        let trained: Vec<&Network> = q.iter().chain(&v).collect();
        let optimiser = Optimiser::new(&trained, config.learning_rate, config.weight_decay)?;
        let q_target = [q[0].copy()?, q[1].copy()?];
        let (gamma, expectile, polyak) = (config.gamma, config.expectile, config.polyak);
        Ok(Self { q, q_target, v, optimiser, gamma, expectile, polyak })
    }

    /// One gradient step on one batch; `table` has the embedding of each text.
    pub(crate) fn step(&mut self, table: &Table, batch: &Batch) -> Result<Losses> {
        let (l_q, l_v) = match &self.v {
            Some(v) => {
                let (l_q, l_v) = self.iql(v, table, batch)?;
                (l_q, Some(l_v))
            }
            None => (self.hindsight(table, batch)?, None),
        };
        let v = l_v.as_ref().map(|l_v| l_v.to_scalar()).transpose()?;
        let losses = Losses { q: l_q.to_scalar()?, v };
        let sum = match l_v {
            Some(l_v) => (l_q + l_v)?,
            None => l_q,
        };
        let trained: Vec<&Network> = self.q.iter().chain(&self.v).collect();
        self.optimiser.step(&trained, &sum.backward()?)?;
        for (target, online) in self.q_target.iter_mut().zip(&self.q) {
            target.average_with(online, self.polyak)?;
        }
        Ok(losses)
    }

    fn hindsight(&self, table: &Table, batch: &Batch) -> Result<Tensor> {
        let (state, thought) = (Input::new(table, &batch.states)?, Input::new(table, &batch.thoughts)?);
        let goal = Input::new(table, &batch.goals)?;
        let came = Tensor::new(batch.came.as_slice(), table.device())?;
        let [q1, q2] =
            self.q.each_ref().map(|q| cross_entropy(&q.forward(&[&state, &thought, &goal])?, &came));
        q1? + q2?
    }

    fn iql(&self, v: &Network, table: &Table, batch: &Batch) -> Result<(Tensor, Tensor)> {
        let (state, thought) = (Input::new(table, &batch.states)?, Input::new(table, &batch.thoughts)?);
        let (next, goal) = (Input::new(table, &batch.nexts)?, Input::new(table, &batch.goals)?);
        let reached = Tensor::new(batch.reached.as_slice(), table.device())?;
        let alive = Tensor::new(batch.alive.as_slice(), table.device())?;

        // y = r + (1 - r) * alive * gamma * V(s', g)
        let future = ((v.frozen().forward(&[&next, &goal])? * alive)? * self.gamma)?;
        let y = (&reached + ((1.0 - &reached)? * future)?)?;
        let l_q = (squared_error(&self.q[0].forward(&[&state, &thought, &goal])?, &y)?
            + squared_error(&self.q[1].forward(&[&state, &thought, &goal])?, &y)?)?;

        let [q1, q2] = &self.q_target;
        let q = q1.forward(&[&state, &thought, &goal])?.minimum(&q2.forward(&[&state, &thought, &goal])?)?;
        let l_v = expectile_loss(&q, &v.forward(&[&state, &goal])?, self.expectile)?;
        Ok((l_q, l_v))
    }

    /// What the next steps depend on, by name. On the CPU only, as [`Optimiser::state`].
    pub(crate) fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let networks = self.q.iter().chain(&self.q_target).chain(&self.v).enumerate();
        let mut state = self.optimiser.state()?;
        state.extend(networks.map(|(at, network)| (format!("network.{at}"), network.weights().clone())));
        Ok(state)
    }

    /// Sets it to the [`Iql::state`] after `steps`; `take` gives its tensors by name.
    pub(crate) fn restore<E: From<candle_core::Error>>(
        &mut self,
        steps: u64,
        mut take: impl FnMut(&str) -> std::result::Result<Tensor, E>,
    ) -> std::result::Result<(), E> {
        let networks = self.q.iter_mut().chain(&mut self.q_target).chain(&mut self.v);
        for (at, network) in networks.enumerate() {
            network.set_weights(take(&format!("network.{at}"))?)?;
        }
        self.optimiser.restore(steps, take)
    }

    /// The averaged twins: what is evaluated and kept.
    pub(crate) fn averaged(&self) -> &[Network; 2] {
        &self.q_target
    }
}

/// Mean of `(y - q)^2`.
fn squared_error(q: &Tensor, y: &Tensor) -> Result<Tensor> {
    (y - q)?.sqr()?.mean_all()
}

/// Mean of `-(c ln q + (1 - c) ln(1 - q))`.
fn cross_entropy(q: &Tensor, came: &Tensor) -> Result<Tensor> {
    let q = q.clamp(SUREST, 1.0 - SUREST)?;
    let (yes, no) = ((came * q.log()?)?, ((1.0 - came)? * (1.0 - &q)?.log()?)?);
    (yes + no)?.mean_all()?.neg()
}

/// Mean of `|tau - 1(u < 0)| u^2` with `u = q - v`: above the mean for tau > 0.5, as overestimates cost less.
fn expectile_loss(q: &Tensor, v: &Tensor, tau: f64) -> Result<Tensor> {
    let u = (q - v)?;
    let below = u.lt(0.0)?.to_dtype(u.dtype())?;
    // |tau - below| is tau where u >= 0 and 1 - tau where u < 0.
    let weight = ((below * (1.0 - 2.0 * tau))? + tau)?;
    (weight * u.sqr()?)?.mean_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Var;

    #[test]
    fn the_expectile_gradient_agrees_with_finite_differences() {
        let (tau, q) = (0.8, [0.9, 0.1, 0.5, 0.3]);
        let q = Tensor::new(&q, &Device::Cpu).unwrap();
        let v = [0.2f64, 0.7, 0.45, 0.8];
        let loss = |v: &Tensor| expectile_loss(&q, v, tau).unwrap();
        let variable = Var::new(&v, &Device::Cpu).unwrap();
        let gradients = loss(&variable).backward().unwrap();
        let gradient = gradients.get(&variable).unwrap().to_vec1::<f64>().unwrap();
        for (index, gradient) in gradient.into_iter().enumerate() {
            let moved = |by: f64| {
                let mut v = v;
                v[index] += by;
                loss(&Tensor::new(&v, &Device::Cpu).unwrap()).to_scalar::<f64>().unwrap()
            };
            let difference = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!((gradient - difference).abs() < 1e-6, "{gradient} {difference}");
        }
    }
}
