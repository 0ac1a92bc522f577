//! Forward and backward pass of a network, fused by hand.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor};

use super::kernel::{View, add, add_product};
use crate::architecture::{Architecture, Input};

/// Where the fused backward pass leaves the gradient of the weights. In candle's own store it would be added to zeros
/// first, by all cores at once.
pub(crate) type Gradient = Arc<Mutex<Option<Vec<f32>>>>;

/// Forward and backward pass of a network on the CPU, as one operation on its weights.
pub(crate) struct Fused {
    architecture: Arc<Architecture>,
    inputs: Vec<Input>,
    /// Output of each layer, kept for the backward pass.
    activations: OnceLock<Vec<Vec<f32>>>,
    gradient: Gradient,
}

impl Fused {
    /// The pass over these inputs; the backward pass leaves its result in `gradient`.
    pub(crate) fn new(architecture: &Arc<Architecture>, inputs: &[&Input], gradient: &Gradient) -> Self {
        let inputs = inputs.iter().map(|&input| input.clone()).collect();
        let (architecture, gradient) = (architecture.clone(), gradient.clone());
        Self { architecture, inputs, activations: OnceLock::new(), gradient }
    }

    /// The output of each layer: rectified, and the last through a sigmoid.
    fn forward(&self, weights: &[f32]) -> Result<Vec<Vec<f32>>> {
        let rows = self.inputs[0].rows.len();
        let width = self.architecture.hidden[0];
        let parts = self.architecture.cut(weights);
        let (first, rest) = parts.split_at(self.inputs.len());
        let mut hidden = rest[0].repeat(rows);
        for (input, weight) in self.inputs.iter().zip(first) {
            let products = read(input, |texts| {
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
            gradients.push(read(input, |texts| {
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

/// Calls `with` with the embeddings of an input as they lie in memory.
fn read<T>(input: &Input, with: impl FnOnce(View<'_>) -> T) -> Result<T> {
    let (storage, layout) = input.embeddings.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { candle_core::bail!("embeddings are not on the CPU") };
    let (rows, columns) = layout.shape().dims2()?;
    Ok(with(View::new(&storage.as_slice::<f32>()?[layout.start_offset()..], rows, columns)))
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
