//! The multi-layer perceptron of Q and V, with one first-layer matrix for each input text.
//!
//! `W · concat(s, thought, g)` is `W_s · s + W_t · thought + W_g · g`. Kept apart, a text that occurs many times in a
//! batch passes the first layer, by far the largest, only once. The result is the same.
//!
//! All weights of a network stand in one vector, so an optimiser and an average see one tensor. Forward and backward
//! exist twice: in candle's operations, for any device, and fused by hand for the CPU ([`Fused`]), as `kernel` explains. A
//! test holds them together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Storage, Tensor, Var};
use candle_nn::ops::sigmoid;
use forethought_sdk::seed::{ChaCha8Rng, RngExt};

use crate::goals::TextId;
use crate::kernel::{Average, View, add, add_product};

/// One input of a batch: its distinct texts, and which of them each row uses.
#[derive(Clone)]
pub(crate) struct Input {
    embeddings: Tensor,
    rows: Arc<[u32]>,
}

impl Input {
    /// Row `i` is the embedding of text `ids[i]` in `table`.
    pub(crate) fn new(table: &Tensor, ids: &[TextId]) -> Result<Self> {
        let mut place = HashMap::new();
        let mut distinct: Vec<TextId> = Vec::new();
        let rows = ids
            .iter()
            .map(|&id| {
                *place.entry(id).or_insert_with(|| {
                    distinct.push(id);
                    distinct.len() as u32 - 1
                })
            })
            .collect();
        let count = distinct.len();
        let embeddings = table.index_select(&Tensor::from_vec(distinct, count, table.device())?, 0)?;
        Ok(Self { embeddings, rows })
    }

    /// Row `i` is row `i` of `embeddings`.
    pub(crate) fn rows(embeddings: Tensor) -> Result<Self> {
        let rows = (0..embeddings.dim(0)? as u32).collect();
        Ok(Self { embeddings, rows })
    }

    /// Calls `with` with the embeddings as they lie in memory.
    fn read<T>(&self, with: impl FnOnce(View<'_>) -> T) -> Result<T> {
        let (storage, layout) = self.embeddings.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else { candle_core::bail!("embeddings are not on the CPU") };
        let (rows, columns) = layout.shape().dims2()?;
        Ok(with(View::new(&storage.as_slice::<f32>()?[layout.start_offset()..], rows, columns)))
    }
}

/// Shape of a network: its input texts by name, the length of an embedding, and the hidden widths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Architecture {
    pub(crate) inputs: &'static [&'static str],
    pub(crate) dimension: usize,
    pub(crate) hidden: Vec<usize>,
}

impl Architecture {
    /// `Q(state, thought, goal)`.
    pub(crate) fn q(dimension: usize, hidden: &[usize]) -> Self {
        Self { inputs: &["state", "thought", "goal"], dimension, hidden: hidden.to_vec() }
    }
    /// `V(state, goal)`: before a thought is chosen.
    pub(crate) fn v(dimension: usize, hidden: &[usize]) -> Self {
        Self { inputs: &["state", "goal"], dimension, hidden: hidden.to_vec() }
    }

    /// (inputs, outputs) of the layers after the first.
    fn rest(&self) -> impl DoubleEndedIterator<Item = (usize, usize)> + ExactSizeIterator {
        let outputs: Vec<usize> = self.hidden[1..].iter().copied().chain([1]).collect();
        self.hidden.iter().copied().zip(outputs)
    }

    /// Name and shape of each part of the weights, in their order.
    pub(crate) fn parts(&self) -> Vec<(String, Vec<usize>)> {
        let width = self.hidden[0];
        let first =
            self.inputs.iter().map(|input| (format!("first.{input}.weight"), vec![self.dimension, width]));
        let rest = self.rest().enumerate().flat_map(|(index, (inputs, outputs))| {
            let layer = index + 2;
            [
                (format!("layer{layer}.weight"), vec![inputs, outputs]),
                (format!("layer{layer}.bias"), vec![outputs]),
            ]
        });
        first.chain([("first.bias".to_owned(), vec![width])]).chain(rest).collect()
    }

    /// `weights` cut into [`Architecture::parts`].
    fn cut<'a>(&self, mut weights: &'a [f32]) -> Vec<&'a [f32]> {
        let sizes = self.parts().into_iter().map(|(_, shape)| shape.iter().product());
        sizes
            .map(|size: usize| weights.split_off(..size).expect("as many weights as the shape says"))
            .collect()
    }
}

/// A network from some texts to a number in (0, 1).
#[derive(Clone)]
pub(crate) struct Network {
    architecture: Arc<Architecture>,
    weights: Tensor,
    gradient: Gradient,
}

/// Where the fused backward pass leaves the gradient of the weights. In candle's own store it would be added to zeros
/// first, by all cores at once.
type Gradient = Arc<Mutex<Option<Vec<f32>>>>;

impl Network {
    /// A fresh trainable network: weights uniform within the He bound, biases zero.
    pub(crate) fn new(architecture: Architecture, device: &Device, rng: &mut ChaCha8Rng) -> Result<Self> {
        let mut weights: Vec<f32> = Vec::new();
        for (index, (_, shape)) in architecture.parts().into_iter().enumerate() {
            // A text is a unit vector, so in the first layer it is the texts that are counted, not their entries.
            let fan_in = if index < architecture.inputs.len() { architecture.inputs.len() } else { shape[0] };
            let bound = if shape.len() == 2 { (6.0 / fan_in as f32).sqrt() } else { 0.0 };
            let count = shape.iter().product::<usize>();
            weights.extend((0..count).map(|_| bound * rng.random_range(-1f32..1.0)));
        }
        let count = weights.len();
        let weights = Var::from_vec(weights, count, device)?.into_inner();
        Ok(Self { architecture: Arc::new(architecture), weights, gradient: Gradient::default() })
    }

    /// A constant network of given parts, in the order of [`Architecture::parts`].
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

    /// The gradient that the last backward pass on the CPU left, if there was one.
    pub(crate) fn take_gradient(&self) -> Option<Vec<f32>> {
        self.gradient.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Values for each row of the inputs, which stand in the order of [`Architecture::inputs`].
    pub(crate) fn forward(&self, inputs: &[&Input]) -> Result<Tensor> {
        if !self.weights.device().is_cpu() {
            return self.forward_by_candle(inputs);
        }
        self.weights.apply_op1(Fused {
            architecture: self.architecture.clone(),
            inputs: inputs.iter().map(|&input| input.clone()).collect(),
            activations: OnceLock::new(),
            gradient: self.gradient.clone(),
        })
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

    /// A constant copy with weights of its own.
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

/// Forward and backward pass of a network on the CPU, as one operation on its weights.
struct Fused {
    architecture: Arc<Architecture>,
    inputs: Vec<Input>,
    /// Output of each layer, kept for the backward pass.
    activations: OnceLock<Vec<Vec<f32>>>,
    gradient: Gradient,
}

impl Fused {
    /// The output of each layer: rectified, and the last through a sigmoid.
    fn forward(&self, weights: &[f32]) -> Result<Vec<Vec<f32>>> {
        let rows = self.inputs[0].rows.len();
        let width = self.architecture.hidden[0];
        let parts = self.architecture.cut(weights);
        let (first, rest) = parts.split_at(self.inputs.len());
        let mut hidden = rest[0].repeat(rows);
        for (input, weight) in self.inputs.iter().zip(first) {
            let products = input.read(|texts| {
                let mut products = vec![0.0; texts.rows() * width];
                add_product(&mut products, texts, View::new(weight, self.architecture.dimension, width));
                products
            })?;
            for (row, &text) in hidden.chunks_exact_mut(width).zip(&*input.rows) {
                add(row, &products[text as usize * width..][..width]);
            }
        }
        let mut activations = Vec::new();
        for ((inputs, outputs), layer) in self.architecture.rest().zip(rest[1..].chunks(2)) {
            hidden.iter_mut().for_each(|number| *number = number.max(0.0));
            let mut next = layer[1].repeat(rows);
            add_product(&mut next, View::new(&hidden, rows, inputs), View::new(layer[0], inputs, outputs));
            activations.push(std::mem::replace(&mut hidden, next));
        }
        hidden.iter_mut().for_each(|number| *number = 1.0 / (1.0 + (-*number).exp()));
        activations.push(hidden);
        Ok(activations)
    }

    /// The gradient of all weights, from that of the output.
    fn backward(&self, weights: &[f32], gradient: &[f32]) -> Result<Vec<f32>> {
        let Some((values, hidden)) = self.activations.get().and_then(|all| all.split_last()) else {
            candle_core::bail!("a backward pass before the forward pass")
        };
        let rows = values.len();
        let parts = self.architecture.cut(weights);
        let (first, rest) = parts.split_at(self.inputs.len());
        // Gradients of the parts, last part first.
        let mut gradients: Vec<Vec<f32>> = Vec::new();
        // The gradient before the sigmoid, and then before each layer's rectifier.
        let mut delta: Vec<f32> = values.iter().zip(gradient).map(|(q, g)| g * q * (1.0 - q)).collect();
        let layers = self.architecture.rest().zip(rest[1..].chunks(2)).zip(hidden);
        for (((inputs, outputs), layer), before) in layers.rev() {
            gradients.push(column_sums(&delta, outputs));
            let mut of_weight = vec![0.0; inputs * outputs];
            let of_output = View::new(&delta, rows, outputs);
            add_product(&mut of_weight, View::new(before, rows, inputs).transposed(), of_output);
            gradients.push(of_weight);
            let mut of_before = vec![0.0; rows * inputs];
            add_product(&mut of_before, of_output, View::new(layer[0], inputs, outputs).transposed());
            for (number, &before) in of_before.iter_mut().zip(before) {
                if before <= 0.0 {
                    *number = 0.0;
                }
            }
            delta = of_before;
        }
        let width = self.architecture.hidden[0];
        gradients.push(column_sums(&delta, width));
        for (input, weight) in self.inputs.iter().zip(first).rev() {
            gradients.push(input.read(|texts| {
                // What the rows say of one text is summed before it meets the text.
                let mut of_products = vec![0.0; texts.rows() * width];
                for (row, &text) in delta.chunks_exact(width).zip(&*input.rows) {
                    add(&mut of_products[text as usize * width..][..width], row);
                }
                let mut of_weight = vec![0.0; weight.len()];
                add_product(&mut of_weight, texts.transposed(), View::new(&of_products, texts.rows(), width));
                of_weight
            })?);
        }
        gradients.reverse();
        Ok(gradients.concat())
    }
}

fn column_sums(matrix: &[f32], columns: usize) -> Vec<f32> {
    let mut sums = vec![0.0; columns];
    matrix.chunks_exact(columns).for_each(|row| add(&mut sums, row));
    sums
}

fn numbers<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    Ok(&storage.as_slice::<f32>()?[layout.start_offset()..][..layout.shape().elem_count()])
}

impl CustomOp1 for Fused {
    fn name(&self) -> &'static str {
        "network"
    }
    fn cpu_fwd(&self, weights: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let activations = self.forward(numbers(weights, layout)?)?;
        let values = activations.last().cloned().unwrap_or_default();
        let count = values.len();
        // An operation is applied once; a second forward pass would find the same numbers.
        let _ = self.activations.set(activations);
        Ok((CpuStorage::F32(values), Shape::from(count)))
    }
    fn bwd(&self, weights: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let gradient = gradient.to_vec1::<f32>()?;
        let (storage, layout) = weights.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else { candle_core::bail!("weights are not on the CPU") };
        let mut gradient = self.backward(numbers(storage, layout)?, &gradient)?;
        let mut sum = self.gradient.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(earlier) = &*sum {
            add(&mut gradient, earlier);
        }
        *sum = Some(gradient);
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forethought_sdk::seed;

    #[test]
    fn the_fused_passes_agree_with_candle() {
        let mut rng = seed::stream(1, "network");
        let (texts, dimension, rows) = (9, 5, 14);
        let table: Vec<f32> = (0..texts * dimension).map(|_| rng.random_range(-1f32..1.0)).collect();
        let table = Tensor::from_vec(table, (texts, dimension), &Device::Cpu).unwrap();
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
