//! The multi-layer perceptron of Q and V, with one first-layer matrix for each input text.
//!
//! `W · concat(s, thought, g)` is `W_s · s + W_t · thought + W_g · g`. Kept apart, a text that occurs many times in a
//! batch passes the first layer, by far the largest, only once. The result is the same.
//!
//! All weights of a network are in one vector, so an optimiser and an average see one tensor. Forward and backward
//! exist twice: in candle's operations, for any device, and fused by hand for the CPU ([`Fused`]), for the reasons
//! given in `cpu`. A test compares them.

use std::sync::{Arc, PoisonError};

use candle_core::{Device, Result, Tensor, Var};
use candle_nn::ops::sigmoid;
use forethought_sdk::seed::{ChaCha8Rng, RngExt};

use crate::architecture::{Architecture, Input};
use crate::cpu::{Average, Fused, Gradient};

/// A network from some texts to a number in (0, 1).
#[derive(Clone)]
pub(crate) struct Network {
    architecture: Arc<Architecture>,
    weights: Tensor,
    gradient: Gradient,
}

impl Network {
    /// A fresh trainable network: weights uniform within the He bound, biases zero.
    pub(crate) fn new(architecture: Architecture, device: &Device, rng: &mut ChaCha8Rng) -> Result<Self> {
        let mut weights: Vec<f32> = Vec::new();
        for (index, (_, shape)) in architecture.parts().into_iter().enumerate() {
            // A text is a unit vector, so the first layer counts texts, not their entries.
            let fan_in = if index < architecture.inputs.len() { architecture.inputs.len() } else { shape[0] };
            let bound = if shape.len() == 2 { (6.0 / fan_in as f32).sqrt() } else { 0.0 };
            let count = shape.iter().product::<usize>();
            weights.extend((0..count).map(|_| bound * rng.random_range(-1f32..1.0)));
        }
        let count = weights.len();
        let weights = Var::from_vec(weights, count, device)?.into_inner();
        Ok(Self { architecture: Arc::new(architecture), weights, gradient: Gradient::default() })
    }

    /// A constant network of these parts, in the order of [`Architecture::parts`].
    pub(crate) fn from_parts(architecture: Architecture, parts: &[Tensor]) -> Result<Self> {
        let flat = parts.iter().map(Tensor::flatten_all).collect::<Result<Vec<_>>>()?;
        let weights = Tensor::cat(&flat, 0)?;
        Ok(Self { architecture: Arc::new(architecture), weights, gradient: Gradient::default() })
    }

    /// Its parts by name, in the order of [`Architecture::parts`].
    pub(crate) fn parts(&self) -> Result<Vec<(String, Tensor)>> {
        let mut from = 0;
        let cut = |(name, shape): (String, Vec<usize>)| {
            let count = shape.iter().product();
            let part = self.weights.narrow(0, from, count)?.reshape(shape)?;
            from += count;
            Ok((name, part))
        };
        self.architecture.parts().into_iter().map(cut).collect()
    }

    /// All weights, as one vector.
    pub(crate) fn weights(&self) -> &Tensor {
        &self.weights
    }

    /// Replaces all weights.
    pub(crate) fn set_weights(&mut self, weights: Tensor) -> Result<()> {
        self.weights = match self.weights.is_variable() {
            true => Var::from_tensor(&weights)?.into_inner(),
            false => weights,
        };
        Ok(())
    }

    /// The gradient that the last backward pass on the CPU left, if there was one.
    pub(crate) fn take_gradient(&self) -> Option<Vec<f32>> {
        self.gradient.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Values for each row of the inputs, which are in the order of [`Architecture::inputs`].
    pub(crate) fn forward(&self, inputs: &[&Input]) -> Result<Tensor> {
        if !self.weights.device().is_cpu() {
            return self.forward_by_candle(inputs);
        }
        self.weights.apply_op1(Fused::new(&self.architecture, inputs, &self.gradient))
    }

    /// [`Network::forward`] in candle's operations.
    fn forward_by_candle(&self, inputs: &[&Input]) -> Result<Tensor> {
        let parts: Vec<Tensor> = self.parts()?.into_iter().map(|(_, part)| part).collect();
        let (first, rest) = parts.split_at(inputs.len());
        let mut sum = None;
        for (input, weight) in inputs.iter().zip(first) {
            let rows = Tensor::new(&*input.rows, self.weights.device())?;
            let part = input.embeddings.matmul(weight)?.index_select(&rows, 0)?;
            sum = Some(match sum {
                None => part,
                Some(sum) => (sum + part)?,
            });
        }
        let Some(sum) = sum else { candle_core::bail!("a network needs an input") };
        let mut hidden = sum.broadcast_add(&rest[0])?;
        for layer in rest[1..].chunks(2) {
            hidden = hidden.relu()?.matmul(&layer[0])?.broadcast_add(&layer[1])?;
        }
        sigmoid(&hidden.squeeze(1)?)
    }

    /// This network as a constant: the same weights, no gradients.
    pub(crate) fn frozen(&self) -> Self {
        let (architecture, weights) = (self.architecture.clone(), self.weights.detach());
        Self { architecture, weights, gradient: Gradient::default() }
    }

    /// A constant copy with its own weights.
    pub(crate) fn copy(&self) -> Result<Self> {
        let (architecture, weights) = (self.architecture.clone(), self.weights.detach().copy()?);
        Ok(Self { architecture, weights, gradient: Gradient::default() })
    }

    /// `weights <- (1 - rate) * weights + rate * other`: the Polyak average.
    pub(crate) fn average_with(&mut self, other: &Network, rate: f64) -> Result<()> {
        if self.weights.device().is_cpu() {
            return self.weights.inplace_op2(&other.weights, &Average(rate as f32));
        }
        self.weights = ((&self.weights * (1.0 - rate))? + (other.weights.detach() * rate)?)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goals::TextId;
    use crate::table::{Embeddings, Table};
    use forethought_sdk::seed;

    #[test]
    fn the_fused_passes_agree_with_candle() {
        let mut rng = seed::stream(1, "network");
        let (texts, dimension, rows) = (9, 5, 14);
        let table: Vec<f32> = (0..texts * dimension).map(|_| rng.random_range(-1f32..1.0)).collect();
        let table = Table::Host(Embeddings::in_memory(table, dimension));
        let mut input = || {
            let ids: Vec<TextId> = (0..rows).map(|_| rng.random_range(0..texts as u32)).collect();
            Input::new(&table, &ids).unwrap()
        };
        let inputs = [input(), input(), input()];
        let inputs = inputs.each_ref();
        let network = Network::new(Architecture::q(dimension, &[7, 6]), &Device::Cpu, &mut rng).unwrap();

        let passes = [Network::forward, Network::forward_by_candle].map(|forward| {
            let values = forward(&network, &inputs).unwrap();
            let gradients = values.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let gradient = network
                .take_gradient()
                .unwrap_or_else(|| gradients.get(network.weights()).unwrap().to_vec1::<f32>().unwrap());
            (values.to_vec1::<f32>().unwrap(), gradient)
        });
        let [(fused, fused_gradient), (plain, plain_gradient)] = passes;
        let close =
            |a: &[f32], b: &[f32]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(close(&fused, &plain), "{fused:?} {plain:?}");
        assert!(close(&fused_gradient, &plain_gradient));
        assert!(fused_gradient.iter().any(|gradient| gradient.abs() > 1e-3));
    }
}
