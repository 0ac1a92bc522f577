//! A whole training step on plain memory: every buffer is kept, and all threads take part.
//!
//! Work is cut into pieces whose sizes depend on the batch alone, and each number is summed up by one thread in one
//! order. So the result does not depend on the number of threads, and in 32 bits it is that of the readable engine, bit
//! for bit: the same products of the same shapes, and the same order of additions.
//!
//! A text passes the first layer once per batch, however many rows, goals and passes use it.

use std::collections::HashMap;
use std::iter::zip;

use candle_core::Tensor;
use forethought_candle::cpu::bf16::{self, Left, Right};
use forethought_sdk::prelude::*;
use rayon::prelude::*;

use super::kernel::{
    Adam, View, add, add_product, average, bias_rows, outer_masked, product, rectify, rectify_like,
    rectify_sum,
};
use crate::architecture::Architecture;
use crate::config::{EngineKind, TrainerConfig};
use crate::goals::{Batch, TextId};
use crate::learner::{Learner, Losses, SUREST};
use crate::table::Embeddings;

/// Rows of a batch, and texts, in one piece of work.
const ROWS: usize = 128;
const TEXTS: usize = 256;
/// Rows of a first-layer gradient in one piece. Smaller pieces could be multiplied in another order.
const GRADIENT: usize = 128;

/// The columns of a batch, as places in [`Gathered`].
const STATE: usize = 0;
const THOUGHT: usize = 1;
const GOAL: usize = 2;
const NEXT: usize = 3;

/// The distinct texts of each column of a batch.
#[derive(Default)]
pub(crate) struct Gathered([Texts; 4]);

/// The distinct texts of one column, and which of them each row has.
#[derive(Default)]
struct Texts {
    places: HashMap<TextId, u32>,
    ids: Vec<TextId>,
    rows: Vec<u32>,
    embeddings: Vec<f32>,
    /// The embeddings as the left side of a product, and the same transposed.
    halves: Vec<u32>,
    pairs: Vec<u32>,
}

impl Gathered {
    pub(crate) fn fill(&mut self, batch: &Batch, embeddings: &Embeddings, bf16: bool) {
        for (texts, column) in zip(&mut self.0, [&batch.states, &batch.thoughts, &batch.goals, &batch.nexts])
        {
            texts.fill(column, embeddings, bf16);
        }
    }
}

impl Texts {
    fn fill(&mut self, column: &[TextId], embeddings: &Embeddings, bf16: bool) {
        self.places.clear();
        self.ids.clear();
        self.rows.clear();
        for &id in column {
            let fresh = self.ids.len() as u32;
            let place = *self.places.entry(id).or_insert(fresh);
            if place == fresh {
                self.ids.push(id);
            }
            self.rows.push(place);
        }
        self.embeddings.clear();
        for &id in &self.ids {
            self.embeddings.extend_from_slice(embeddings.row(id));
        }
        if bf16 {
            bf16::halves(&self.embeddings, embeddings.dimension, &mut self.halves);
            bf16::pairs(&self.embeddings, embeddings.dimension, &mut self.pairs);
        }
    }
}

/// A matrix or a bias, with all that belongs to each of its numbers.
struct Part {
    /// (inputs, outputs); a bias has one input.
    shape: (usize, usize),
    weights: Vec<f32>,
    /// The averaged weights; empty where they are not used.
    target: Vec<f32>,
    gradient: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
    /// For bfloat16: the right side of products with the weights, the averaged ones, and the transposed ones.
    right: Vec<u32>,
    target_right: Vec<u32>,
    transposed: Vec<u32>,
    halves: Vec<u32>,
}

impl Part {
    /// Renews the copies in bfloat16.
    fn pack(&mut self, place: usize, first_bias: usize, last: usize) {
        let (inputs, outputs) = self.shape;
        // Biases and the output layer stay as they are.
        if place >= first_bias && ((place - first_bias).is_multiple_of(2) || place + 1 == last) {
            return;
        }
        bf16::pairs(&self.weights, outputs, &mut self.right);
        bf16::pairs(&self.target, outputs, &mut self.target_right);
        if place > first_bias {
            bf16::halves(&self.weights, outputs, &mut self.halves);
            bf16::transpose(&self.halves, inputs, &mut self.transposed);
        }
    }

    fn weights(&self, target: bool) -> &[f32] {
        if target { &self.target } else { &self.weights }
    }
}

/// What the first layer makes of the texts of one column.
struct Product {
    column: usize,
    part: usize,
    target: bool,
    numbers: Vec<f32>,
}

/// A forward pass: rows of some products, through the layers.
struct Pass {
    products: Vec<usize>,
    target: bool,
    /// Rectified outputs of each hidden layer, and the same as the left side of a product.
    hidden: Vec<Vec<f32>>,
    halves: Vec<Vec<u32>>,
    values: Vec<f32>,
}

/// A network in training, with all its passes over a batch; the first pass is the one that it learns from.
struct Net {
    bf16: bool,
    dimension: usize,
    widths: Vec<usize>,
    parts: Vec<Part>,
    products: Vec<Product>,
    passes: Vec<Pass>,
    /// The gradient of the loss before the last sigmoid, and before each layer's rectifier.
    delta: Vec<f32>,
    deltas: Vec<Vec<f32>>,
    /// For the gradients in bfloat16: the left and right sides of their products.
    lefts: Vec<Vec<u32>>,
    halves: Vec<Vec<u32>>,
    rights: Vec<Vec<u32>>,
    /// Of each product of the first pass, the gradient of each text's row.
    sums: Vec<Vec<f32>>,
    sum_rights: Vec<Vec<u32>>,
}

impl Net {
    /// `passes` are over columns; a pass of the averaged weights has `true`.
    fn new(architecture: &Architecture, bf16: bool, passes: &[(&[usize], bool)]) -> Self {
        let averages = architecture.inputs.len() == 3;
        let parts = architecture.parts().into_iter().map(|(_, shape)| {
            let shape = if shape.len() == 2 { (shape[0], shape[1]) } else { (1, shape[0]) };
            let zeros = || vec![0.0; shape.0 * shape.1];
            Part {
                shape,
                weights: zeros(),
                target: if averages { zeros() } else { Vec::new() },
                gradient: zeros(),
                first: zeros(),
                second: zeros(),
                right: Vec::new(),
                target_right: Vec::new(),
                transposed: Vec::new(),
                halves: Vec::new(),
            }
        });
        let widths = architecture.hidden.clone();
        let words = || vec![Vec::new(); widths.len()];
        let mut products: Vec<Product> = Vec::new();
        let passes = passes.iter().map(|&(columns, target)| {
            let products = columns.iter().enumerate().map(|(part, &column)| {
                let same = |one: &Product| (one.column, one.part, one.target) == (column, part, target);
                products.iter().position(same).unwrap_or_else(|| {
                    products.push(Product { column, part, target, numbers: Vec::new() });
                    products.len() - 1
                })
            });
            let products = products.collect();
            Pass {
                products,
                target,
                hidden: vec![Vec::new(); widths.len()],
                halves: vec![Vec::new(); widths.len()],
                values: Vec::new(),
            }
        });
        let passes = passes.collect();
        Self {
            bf16,
            dimension: architecture.dimension,
            parts: parts.collect(),
            products,
            passes,
            delta: Vec::new(),
            deltas: vec![Vec::new(); widths.len()],
            lefts: words(),
            halves: words(),
            rights: words(),
            sums: vec![Vec::new(); architecture.inputs.len()],
            sum_rights: vec![Vec::new(); architecture.inputs.len()],
            widths,
        }
    }

    /// Places of the parts: the first layer's bias, and weights and bias of the layer after hidden layer `layer`.
    fn first_bias(&self) -> usize {
        self.sums.len()
    }

    fn forward(&mut self, gathered: &Gathered, rows: usize) {
        let first_bias = self.first_bias();
        let Self { bf16, dimension, widths, parts, products, passes, .. } = self;
        let (bf16, dimension, width) = (*bf16, *dimension, widths[0]);
        products.par_iter_mut().for_each(|one| {
            let texts = &gathered.0[one.column];
            let part = &parts[one.part];
            one.numbers.resize(texts.ids.len() * width, 0.0);
            one.numbers.par_chunks_mut(TEXTS * width).enumerate().for_each(|(piece, numbers)| {
                let (start, count) = (piece * TEXTS, numbers.len() / width);
                if bf16 {
                    let left = Left::of_rows(&texts.halves, dimension).from(start, count);
                    let right = if one.target { &part.target_right } else { &part.right };
                    bf16::product(numbers, left, Right::new(right, width), false);
                } else {
                    let left = View::new(&texts.embeddings[start * dimension..], count, dimension);
                    product(numbers, left, View::new(part.weights(one.target), dimension, width));
                }
            });
        });
        let products = &*products;
        let parts = &*parts;
        passes.par_iter_mut().for_each(|pass| {
            let inputs = || pass.products.iter().map(|&one| &products[one]);
            let bias = parts[first_bias].weights(pass.target);
            pass.hidden[0].resize(rows * width, 0.0);
            pass.hidden[0].par_chunks_mut(ROWS * width).enumerate().for_each(|(piece, hidden)| {
                for (row, hidden) in hidden.chunks_exact_mut(width).enumerate() {
                    let mut rows = [[].as_slice(); 3];
                    for (place, one) in zip(&mut rows, inputs()) {
                        let text = gathered.0[one.column].rows[piece * ROWS + row] as usize;
                        *place = &one.numbers[text * width..][..width];
                    }
                    rectify_sum(hidden, bias, rows, pass.products.len());
                }
            });
            for layer in 1..widths.len() {
                let (inputs, outputs) = (widths[layer - 1], widths[layer]);
                let (weights, bias) = (&parts[first_bias + 2 * layer - 1], &parts[first_bias + 2 * layer]);
                let (before, after) = pass.hidden.split_at_mut(layer);
                let (before, after) = (&before[layer - 1], &mut after[0]);
                if bf16 {
                    bf16::halves(before, inputs, &mut pass.halves[layer - 1]);
                }
                let halves = &pass.halves[layer - 1];
                after.resize(rows * outputs, 0.0);
                after.par_chunks_mut(ROWS * outputs).enumerate().for_each(|(piece, after)| {
                    let (start, count) = (piece * ROWS, after.len() / outputs);
                    bias_rows(after, bias.weights(pass.target));
                    if bf16 {
                        let left = Left::of_rows(halves, inputs).from(start, count);
                        let right = if pass.target { &weights.target_right } else { &weights.right };
                        bf16::product(after, left, Right::new(right, outputs), true);
                    } else {
                        let left = View::new(&before[start * inputs..], count, inputs);
                        add_product(after, left, View::new(weights.weights(pass.target), inputs, outputs));
                    }
                    rectify(after);
                });
            }
            let last = widths.len();
            let (weights, bias) = (&parts[first_bias + 2 * last - 1], &parts[first_bias + 2 * last]);
            let (hidden, inputs) = (&pass.hidden[last - 1], widths[last - 1]);
            pass.values.clear();
            pass.values.resize(rows, bias.weights(pass.target)[0]);
            let weights = View::new(weights.weights(pass.target), inputs, 1);
            add_product(&mut pass.values, View::new(hidden, rows, inputs), weights);
            pass.values.iter_mut().for_each(|number| *number = 1.0 / (1.0 + (-*number).exp()));
        });
    }

    /// From [`Net::delta`] to the gradient of all weights, a step of `adam`, and the average.
    fn backward(&mut self, gathered: &Gathered, adam: Adam, polyak: f32) {
        let first_bias = self.first_bias();
        let bf16 = self.bf16;
        let Self { dimension, widths, parts, products, passes, delta, deltas, .. } = self;
        let Self { lefts, halves, rights, sums, sum_rights, .. } = self;
        let dimension = *dimension;
        let pass = &mut passes[0];
        let rows = delta.len();
        let last = widths.len();
        // The gradient before each layer's rectifier, from the last to the first.
        for layer in (0..last).rev() {
            let width = widths[layer];
            let weights = &parts[first_bias + 2 * layer + 1];
            let (own, after) = deltas.split_at_mut(layer + 1);
            let own = &mut own[layer];
            own.resize(rows * width, 0.0);
            let hidden = &pass.hidden[layer];
            if layer + 1 == last {
                let pieces = own.par_chunks_mut(ROWS * width).zip(hidden.par_chunks(ROWS * width));
                pieces.zip(delta.par_chunks(ROWS)).for_each(|((own, hidden), delta)| {
                    outer_masked(own, delta, &weights.weights, hidden);
                });
                continue;
            }
            let (after, outputs) = (&after[0], widths[layer + 1]);
            if bf16 {
                bf16::halves(after, outputs, &mut halves[layer]);
            }
            let halves = &halves[layer];
            let pieces = own.par_chunks_mut(ROWS * width).zip(hidden.par_chunks(ROWS * width)).enumerate();
            pieces.for_each(|(piece, (own, hidden))| {
                let (start, count) = (piece * ROWS, own.len() / width);
                if bf16 {
                    let left = Left::of_rows(halves, outputs).from(start, count);
                    bf16::product(own, left, Right::new(&weights.transposed, width), false);
                } else {
                    let left = View::new(&after[start * outputs..], count, outputs);
                    product(own, left, View::new(&weights.weights, width, outputs).transposed());
                }
                rectify_like(own, hidden);
            });
        }
        let deltas = &*deltas;
        let width = widths[0];
        // What the rows say of one text is summed before it meets the text.
        sums.par_iter_mut().zip(&mut *sum_rights).enumerate().for_each(|(input, (sums, right))| {
            let texts = &gathered.0[products[pass.products[input]].column];
            sums.clear();
            sums.resize(texts.ids.len() * width, 0.0);
            for (row, &text) in zip(deltas[0].chunks_exact(width), &texts.rows) {
                add(&mut sums[text as usize * width..][..width], row);
            }
            if bf16 {
                bf16::pairs(sums, width, right);
            }
        });
        if bf16 {
            for layer in 1..last {
                bf16::pairs(&pass.hidden[layer - 1], widths[layer - 1], &mut lefts[layer]);
                bf16::pairs(&deltas[layer], widths[layer], &mut rights[layer]);
            }
        }
        let (delta, sums, sum_rights, lefts, rights) = (&*delta, &*sums, &*sum_rights, &*lefts, &*rights);
        let (pass, products, widths) = (&*pass, &*products, &*widths);
        let last_place = parts.len() - 1;
        parts.par_iter_mut().enumerate().for_each(|(place, part)| {
            let gradient = &mut part.gradient;
            if place < first_bias {
                let texts = &gathered.0[products[pass.products[place]].column];
                let count = texts.ids.len();
                gradient.par_chunks_mut(GRADIENT * width).enumerate().for_each(|(piece, gradient)| {
                    let (start, own) = (piece * GRADIENT, gradient.len() / width);
                    if bf16 {
                        let left = Left::of_columns(&texts.pairs, dimension).from(start, own);
                        bf16::product(gradient, left, Right::new(&sum_rights[place], width), false);
                    } else {
                        let texts = View::new(&texts.embeddings, count, dimension).columns(start, own);
                        product(gradient, texts.transposed(), View::new(&sums[place], count, width));
                    }
                });
            } else if let Some(layer) =
                place.checked_sub(first_bias).filter(|at| at % 2 == 0).map(|at| at / 2)
            {
                // The bias of the layer that ends in hidden layer `layer`, or in the output.
                let (delta, width) = if layer == last { (delta, 1) } else { (&deltas[layer], widths[layer]) };
                gradient.fill(0.0);
                delta.chunks_exact(width).for_each(|row| add(gradient, row));
            } else {
                let layer = (place - first_bias).div_ceil(2);
                let inputs = widths[layer - 1];
                let hidden = View::new(&pass.hidden[layer - 1], rows, inputs).transposed();
                if layer == last {
                    product(gradient, hidden, View::new(delta, rows, 1));
                } else if bf16 {
                    let left = Left::of_columns(&lefts[layer], inputs);
                    bf16::product(gradient, left, Right::new(&rights[layer], widths[layer]), false);
                } else {
                    product(gradient, hidden, View::new(&deltas[layer], rows, widths[layer]));
                }
            }
            adam.step(&mut part.weights, &part.gradient, &mut part.first, &mut part.second);
            if !part.target.is_empty() {
                average(&mut part.target, &part.weights, polyak);
            }
            if bf16 {
                part.pack(place, first_bias, last_place);
            }
        });
    }

    /// All of one kind of number, in the order of the architecture.
    fn all(&self, of: fn(&Part) -> &Vec<f32>) -> Vec<f32> {
        self.parts.iter().flat_map(of).copied().collect()
    }

    fn set(&mut self, of: fn(&mut Part) -> &mut Vec<f32>, mut numbers: &[f32]) {
        for part in &mut self.parts {
            let own = of(part);
            let (now, rest) = numbers.split_at(own.len());
            own.copy_from_slice(now);
            numbers = rest;
        }
    }
}

/// The networks in training.
pub(crate) struct Fast {
    /// What has the same networks as tensors: brought up to date by [`Fast::synced`].
    learner: Learner,
    /// The twins, and V where there is one.
    nets: Vec<Net>,
    /// What Q is to become.
    targets: Vec<f32>,
    gamma: f32,
    expectile: f64,
    polyak: f32,
    adam: Adam,
}

impl Fast {
    /// Continues from what `learner` is.
    pub(crate) fn new(learner: Learner, config: &TrainerConfig, dimension: usize) -> Result<Self> {
        let bf16 = config.engine == EngineKind::Bf16;
        let q = Architecture::q(dimension, &config.hidden);
        let columns: &[usize] = &[STATE, THOUGHT, GOAL];
        let passes: &[(&[usize], bool)] = match learner.v {
            Some(_) => &[(columns, false), (columns, true)],
            None => &[(columns, false)],
        };
        let mut nets = vec![Net::new(&q, bf16, passes), Net::new(&q, bf16, passes)];
        if learner.v.is_some() {
            let v = Architecture::v(dimension, &config.hidden);
            nets.push(Net::new(&v, bf16, &[(&[STATE, GOAL], false), (&[NEXT, GOAL], false)]));
        }
        let adam = Adam {
            learning_rate: config.learning_rate as f32,
            weight_decay: config.weight_decay as f32,
            step: 0,
        };
        let (gamma, expectile, polyak) = (config.gamma as f32, config.expectile, config.polyak as f32);
        let mut fast = Self { learner, nets, targets: Vec::new(), gamma, expectile, polyak, adam };
        fast.pull()?;
        Ok(fast)
    }

    pub(crate) fn is_bf16(&self) -> bool {
        self.nets[0].bf16
    }

    /// One gradient step on one batch.
    pub(crate) fn step(&mut self, batch: &Batch, gathered: &Gathered) -> Losses {
        let rows = batch.states.len();
        self.nets.par_iter_mut().for_each(|net| net.forward(gathered, rows));
        let losses = if self.nets.len() == 3 { self.iql(batch) } else { self.hindsight(batch) };
        self.adam.step += 1;
        let (adam, polyak) = (self.adam, self.polyak);
        self.nets.par_iter_mut().for_each(|net| net.backward(gathered, adam, polyak));
        losses
    }

    /// The losses of implicit Q-learning, as in [`crate::learner`], and their gradients.
    fn iql(&mut self, batch: &Batch) -> Losses {
        let rows = batch.states.len();
        let share = (1.0 / rows as f64) as f32;
        let [q1, q2, v] = &mut self.nets[..] else { unreachable!("twins and V") };
        self.targets.clear();
        for ((next, reached), alive) in zip(zip(&v.passes[1].values, &batch.reached), &batch.alive) {
            self.targets.push(reached + (1.0 - reached) * (next * alive * self.gamma));
        }
        let mut loss_q = 0.0;
        for net in [&mut *q1, &mut *q2] {
            let Net { delta, passes, .. } = net;
            delta.clear();
            for (q, y) in zip(&passes[0].values, &self.targets) {
                let error = y - q;
                loss_q += f64::from(error * error);
                delta.push(-(error * share * 2.0) * q * (1.0 - q));
            }
        }
        let mut loss_v = 0.0;
        let (below, tau) = ((1.0 - 2.0 * self.expectile) as f32, self.expectile as f32);
        let Net { delta, passes, .. } = v;
        delta.clear();
        for ((q1, q2), v) in zip(zip(&q1.passes[1].values, &q2.passes[1].values), &passes[0].values) {
            let u = q1.min(*q2) - v;
            let weight = if u < 0.0 { below + tau } else { tau };
            loss_v += f64::from(weight * (u * u));
            delta.push(-(u * (weight * share) * 2.0) * v * (1.0 - v));
        }
        let rows = rows as f64;
        Losses { q: (loss_q / rows) as f32, v: Some((loss_v / rows) as f32) }
    }

    /// The loss of the classifiers, and its gradient.
    fn hindsight(&mut self, batch: &Batch) -> Losses {
        let rows = batch.states.len() as f64;
        let share = (1.0 / rows) as f32;
        let mut loss = 0.0;
        for net in &mut self.nets {
            let Net { delta, passes, .. } = net;
            delta.clear();
            for (&q, &came) in zip(&passes[0].values, &batch.came) {
                let sure = q.clamp(SUREST, 1.0 - SUREST);
                loss -= f64::from(came * sure.ln() + (1.0 - came) * (1.0 - sure).ln());
                // Beyond the surest, the loss is flat.
                let slope = share * (1.0 - came) / (1.0 - sure) - share * came / sure;
                let slope = if sure == q { slope } else { 0.0 };
                delta.push(slope * q * (1.0 - q));
            }
        }
        Losses { q: (loss / rows) as f32, v: None }
    }

    /// The same networks, moments and step as tensors.
    pub(crate) fn synced(&mut self) -> Result<&mut Learner> {
        let vector = |numbers: Vec<f32>| {
            let count = numbers.len();
            Tensor::from_vec(numbers, count, &candle_core::Device::Cpu)
        };
        let learner = &mut self.learner;
        let networks = learner.q.iter_mut().chain(&mut learner.v);
        for (network, net) in zip(networks, &self.nets) {
            network.set_weights(vector(net.all(|part| &part.weights))?)?;
        }
        for (network, net) in zip(&mut learner.q_target, &self.nets) {
            network.set_weights(vector(net.all(|part| &part.target))?)?;
        }
        let moments = self.nets.iter().map(|net| (net.all(|part| &part.first), net.all(|part| &part.second)));
        learner.optimiser.set(moments.collect(), self.adam.step);
        Ok(learner)
    }

    /// Sets it to a state, as [`Learner::restore`].
    pub(crate) fn restore(&mut self, steps: u64, take: impl FnMut(&str) -> Result<Tensor>) -> Result<()> {
        self.learner.restore(steps, take)?;
        self.pull()
    }

    /// Takes networks, moments and step from the learner.
    fn pull(&mut self) -> Result<()> {
        let learner = &self.learner;
        for (net, network) in zip(&mut self.nets, learner.q.iter().chain(&learner.v)) {
            net.set(|part| &mut part.weights, &network.weights().to_vec1()?);
        }
        for (net, network) in zip(&mut self.nets, &learner.q_target) {
            net.set(|part| &mut part.target, &network.weights().to_vec1()?);
        }
        if let Some((moments, step)) = learner.optimiser.get() {
            self.adam.step = step;
            for (net, (first, second)) in zip(&mut self.nets, moments) {
                net.set(|part| &mut part.first, first);
                net.set(|part| &mut part.second, second);
            }
        }
        for net in self.nets.iter_mut().filter(|net| net.bf16) {
            let (first_bias, last) = (net.first_bias(), net.parts.len() - 1);
            net.parts.iter_mut().enumerate().for_each(|(place, part)| part.pack(place, first_bias, last));
        }
        Ok(())
    }
}
