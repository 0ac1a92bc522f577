//! The network of `tensors`, on the CPU: plain loops over rows of numbers, with the products of `kernels`.
//!
//! Keys and values lie in blocks of [`TOKENS`] tokens, in the form of panels: scores are products with the panels of keys,
//! and their mixtures products with those of values. Full blocks are never written again, so that texts with the same
//! beginning share them.

use forethought_sdk::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder, prelude::*};

use crate::{
    architecture::{Architecture, Norms},
    kernels::{Form, Matrix, Rows, WIDTH, products},
    network::Part,
    weights::Weights,
};

/// Tokens of a block: as many as a panel has outputs.
pub(crate) const TOKENS: usize = WIDTH;

pub(crate) struct Decoder {
    architecture: Architecture,
    threads: ThreadPool,
    embedding: Arc<Matrix>,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    head: Arc<Matrix>,
}

struct Layer {
    norms: Norms<Vec<f32>>,
    /// Queries, keys and values, one after the other.
    query_key_value: Linear,
    output: Linear,
    /// The gate, then what it lets through.
    gate_up: Linear,
    down: Linear,
}

struct Linear {
    weight: Matrix,
    bias: Option<Vec<f32>>,
}

impl Linear {
    /// Layers with the same inputs as one.
    fn take(
        weights: &mut Weights,
        prefix: &str,
        names: &[(&str, usize)],
        inputs: usize,
        bias: bool,
    ) -> Result<Self> {
        let (mut values, mut form, mut biases, mut outputs) = (Vec::new(), None, Vec::new(), 0);
        for &(name, rows) in names {
            if bias {
                biases.extend(vector(weights, &format!("{prefix}.{name}.bias"), rows)?);
            }
            let (own, more) = weights.compact(&format!("{prefix}.{name}.weight"), rows, inputs)?;
            form = Some(form.map_or(own, |form: Form| form.and(own)));
            values.extend(more);
            outputs += rows;
        }
        let weight = Matrix::new(outputs, inputs, &values, form.unwrap_or(Form::F32));
        Ok(Self { weight, bias: bias.then_some(biases) })
    }

    fn forward(&self, x: &[f32]) -> Vec<f32> {
        let mut out = self.weight.product(x);
        if let Some(bias) = &self.bias {
            out.chunks_mut(bias.len()).for_each(|row| add(row, bias));
        }
        out
    }
}

fn vector(weights: &mut Weights, name: &str, size: usize) -> Result<Vec<f32>> {
    Ok(weights.vector(name, size)?.to_dtype(candle_core::DType::F32)?.to_vec1()?)
}

fn add(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}

/// Keys and values of [`TOKENS`] tokens in all layers.
#[derive(Clone, Default)]
pub(crate) struct Block(Vec<f32>);

/// Keys and values of the earlier tokens of a text. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Past {
    blocks: Vec<Arc<Block>>,
    length: usize,
}

impl Past {
    pub(crate) fn of(blocks: Vec<Arc<Block>>) -> Self {
        Self { length: blocks.len() * TOKENS, blocks }
    }

    pub(crate) fn blocks(&self) -> &[Arc<Block>] {
        &self.blocks
    }
}

/// A row of the current pass.
struct Row {
    part: usize,
    /// Tokens before it.
    position: usize,
}

impl Decoder {
    pub(crate) fn new(architecture: Architecture, mut weights: Weights) -> Result<Self> {
        let Architecture { hidden, inner, heads, kv_heads, head_dim, vocabulary, .. } = architecture;
        let (queries, keys) = (heads * head_dim, kv_heads * head_dim);
        let biases = architecture.biases;
        let mut layers = Vec::new();
        for index in 0..architecture.layers {
            let prefix = format!("model.layers.{index}");
            let (attention, mlp) = (format!("{prefix}.self_attn"), format!("{prefix}.mlp"));
            let weights = &mut weights;
            let three = [("q_proj", queries), ("k_proj", keys), ("v_proj", keys)];
            let two = [("gate_proj", inner), ("up_proj", inner)];
            let query_key_value = Linear::take(weights, &attention, &three, hidden, biases.query_key_value)?;
            let output = Linear::take(weights, &attention, &[("o_proj", hidden)], queries, biases.output)?;
            let gate_up = Linear::take(weights, &mlp, &two, hidden, biases.inner)?;
            let down = Linear::take(weights, &mlp, &[("down_proj", hidden)], inner, biases.inner)?;
            let norms = Norms::take(&architecture, index, |name, size| vector(weights, name, size))?;
            layers.push(Layer { norms, query_key_value, output, gate_up, down });
        }
        let mut table = |name| {
            let (form, values) = weights.compact(name, vocabulary, hidden)?;
            Ok::<_, Error>(Arc::new(Matrix::new(vocabulary, hidden, &values, form)))
        };
        let embedding = table("model.embed_tokens.weight")?;
        let head = match architecture.tied {
            true => embedding.clone(),
            false => table("lm_head.weight")?,
        };
        let norm = vector(&mut weights, "model.norm.weight", hidden)?;
        weights.finish(architecture.tied)?;
        let threads = ThreadPoolBuilder::new()
            .num_threads(std::thread::available_parallelism().map_or(1, usize::from))
            .thread_name(|index| format!("llm-local-{index}"))
            .build()
            .map_err(|error| Error::other(format!("starting the threads of the model: {error}")))?;
        Ok(Self { architecture, threads, embedding, layers, norm, head })
    }

    pub(crate) fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Panels that a head's values take.
    fn value_panels(&self) -> usize {
        self.architecture.head_dim.div_ceil(WIDTH)
    }

    /// Numbers of a layer's keys, and of its values, in a block.
    fn sizes(&self) -> (usize, usize) {
        let Architecture { kv_heads, head_dim, .. } = self.architecture;
        (kv_heads * head_dim * TOKENS, kv_heads * self.value_panels() * TOKENS * WIDTH)
    }

    pub(crate) fn block_bytes(&self) -> usize {
        let (keys, values) = self.sizes();
        (keys + values) * self.layers.len() * size_of::<f32>()
    }

    /// Reads the parts, each after its own past, and gives the logits of each one's next token.
    pub(crate) fn forward(&self, parts: &mut [Part<Past>]) -> Vec<Vec<f32>> {
        self.threads.install(|| self.pass(parts))
    }

    fn pass(&self, parts: &mut [Part<Past>]) -> Vec<Vec<f32>> {
        let Architecture { hidden, inner, .. } = self.architecture;
        let mut rows = Vec::new();
        let mut x = Vec::new();
        let mut lasts = Vec::new();
        for (index, part) in parts.iter_mut().enumerate() {
            let end = part.past.length + part.tokens.len();
            while part.past.blocks.len() * TOKENS < end {
                part.past.blocks.push(Arc::new(Block(vec![0.0; self.block_bytes() / size_of::<f32>()])));
            }
            rows.extend((part.past.length..end).map(|position| Row { part: index, position }));
            part.tokens.iter().for_each(|&token| x.extend(self.embedding.row(token as usize)));
            lasts.push(rows.len() - 1);
        }
        let frequencies = &self.architecture.frequencies;
        let turns = rows.iter().map(|row| {
            frequencies.iter().map(|turn| (row.position as f32 * turn).sin_cos()).collect::<Vec<_>>()
        });
        let turns: Vec<Vec<(f32, f32)>> = turns.collect();
        for (index, layer) in self.layers.iter().enumerate() {
            let attended =
                self.attend(layer, index, &self.normed(&x, &layer.norms.attention), &rows, &turns, parts);
            add(&mut x, &layer.output.forward(&attended));
            let gate_up = layer.gate_up.forward(&self.normed(&x, &layer.norms.inner));
            let mut gated = vec![0.0; rows.len() * inner];
            gated.par_chunks_mut(inner).zip(gate_up.par_chunks(2 * inner)).for_each(|(out, row)| {
                let (gate, up) = row.split_at(inner);
                for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
                    *out = gate / (1.0 + (-gate).exp()) * up;
                }
            });
            add(&mut x, &layer.down.forward(&gated));
        }
        for part in parts {
            part.past.length += part.tokens.len();
        }
        let last: Vec<f32> =
            lasts.iter().flat_map(|row| &x[row * hidden..(row + 1) * hidden]).copied().collect();
        let logits = self.head.product(&self.normed(&last, &self.norm));
        logits.chunks(self.head.outputs).map(<[f32]>::to_vec).collect()
    }

    /// Rows as long as the weight, each scaled to a mean square of 1.
    fn normed(&self, x: &[f32], weight: &[f32]) -> Vec<f32> {
        let mut out = x.to_vec();
        out.chunks_mut(weight.len()).for_each(|row| self.norm(row, weight));
        out
    }

    fn norm(&self, row: &mut [f32], weight: &[f32]) {
        let square = row.iter().map(|x| x * x).sum::<f32>() / row.len() as f32;
        let scale = 1.0 / (square + self.architecture.epsilon).sqrt();
        row.iter_mut().zip(weight).for_each(|(x, weight)| *x = *x * scale * weight);
    }

    /// Rotates a query or key by its position.
    fn turn(&self, head: &mut [f32], turns: &[(f32, f32)]) {
        let half = head.len() / 2;
        for (pair, (sin, cos)) in turns.iter().enumerate() {
            let (one, two) = match self.architecture.interleaved {
                true => (2 * pair, 2 * pair + 1),
                false => (pair, pair + half),
            };
            let (a, b) = (head[one], head[two]);
            (head[one], head[two]) = (a * cos - b * sin, a * sin + b * cos);
        }
    }

    /// Attention of all parts, each to itself: rows in, rows out.
    fn attend(
        &self,
        layer: &Layer,
        index: usize,
        x: &[f32],
        rows: &[Row],
        turns: &[Vec<(f32, f32)>],
        parts: &mut [Part<Past>],
    ) -> Vec<f32> {
        let Architecture { heads, kv_heads, head_dim, .. } = self.architecture;
        let (queries, keys) = (heads * head_dim, kv_heads * head_dim);
        let width = queries + 2 * keys;
        let mut mixed = layer.query_key_value.forward(x);
        mixed.par_chunks_mut(width).zip(turns).for_each(|(row, turns)| {
            let (query, key) = row[..queries + keys].split_at_mut(queries);
            let (query_norm, key_norm) =
                layer.norms.query_key.as_ref().map_or((None, None), |(q, k)| (Some(q), Some(k)));
            for (heads, norm) in [(query, query_norm), (key, key_norm)] {
                for head in heads.chunks_mut(head_dim) {
                    if let Some(norm) = norm {
                        self.norm(head, norm);
                    }
                    self.turn(head, turns);
                }
            }
        });

        let (key_size, value_size) = self.sizes();
        let start = index * (key_size + value_size);
        let value_panels = self.value_panels();
        for (row, of) in mixed.chunks(width).zip(rows) {
            let (block, slot) = (of.position / TOKENS, of.position % TOKENS);
            let block = &mut Arc::make_mut(&mut parts[of.part].past.blocks[block]).0;
            let (key, value) = row[queries..].split_at(keys);
            key.iter().enumerate().for_each(|(at, key)| block[start + at * TOKENS + slot] = *key);
            for (at, value) in value.iter().enumerate() {
                let (head, at) = (at / head_dim, at % head_dim);
                let panel = head * value_panels + at / WIDTH;
                block[start + key_size + (panel * TOKENS + slot) * WIDTH + at % WIDTH] = *value;
            }
        }

        // Rows of one part that follow one another attend together.
        const TOGETHER: usize = 16;
        let group = heads / kv_heads;
        let mut tasks = Vec::new();
        let mut first = 0;
        while first < rows.len() {
            let most = rows[first..].iter().take(TOGETHER);
            let count = most.take_while(|row| row.part == rows[first].part).count();
            tasks.extend((0..kv_heads).map(|head| (first, count, head)));
            first += count;
        }
        let parts = &*parts;
        let attend = |&(first, count, head): &(usize, usize, usize)| {
            let scale = 1.0 / (head_dim as f32).sqrt();
            let blocks = &parts[rows[first].part].past.blocks;
            let blocks = &blocks[..=(rows[first + count - 1].position / TOKENS)];
            // One query after the other, those of a row together.
            let own = head * group * head_dim..(head + 1) * group * head_dim;
            let query = mixed[first * width..(first + count) * width].chunks(width);
            let query: Vec<f32> =
                query.flat_map(|row| &row[own.clone()]).map(|query| query * scale).collect();
            let count = count * group;
            let length = blocks.len() * TOKENS;
            let mut shares = vec![0.0; count * length];
            let mut some = vec![0.0; count * WIDTH];
            for (index, block) in blocks.iter().enumerate() {
                let keys = &block.0[start + head * head_dim * TOKENS..][..head_dim * TOKENS];
                let query = Rows { panel: keys, x: &query, stride: head_dim, inputs: head_dim };
                products(query, &mut some);
                for (some, shares) in some.chunks(WIDTH).zip(shares.chunks_mut(length)) {
                    shares[index * TOKENS..(index + 1) * TOKENS].copy_from_slice(some);
                }
            }
            for (at, shares) in shares.chunks_mut(length).enumerate() {
                let (seen, later) = shares.split_at_mut(rows[first + at / group].position + 1);
                softmax(seen);
                later.fill(0.0);
            }
            let mut out = vec![0.0; count * head_dim];
            for (index, block) in blocks.iter().enumerate() {
                for panel in 0..value_panels {
                    let at = start + key_size + (head * value_panels + panel) * TOKENS * WIDTH;
                    let values = &block.0[at..at + TOKENS * WIDTH];
                    let x = &shares[index * TOKENS..];
                    products(Rows { panel: values, x, stride: length, inputs: TOKENS }, &mut some);
                    for (some, out) in some.chunks(WIDTH).zip(out.chunks_mut(head_dim)) {
                        add(&mut out[panel * WIDTH..], some);
                    }
                }
            }
            out
        };
        let found: Vec<Vec<f32>> = tasks.par_iter().map(attend).collect();
        let mut out = vec![0.0; rows.len() * queries];
        for ((first, count, head), found) in tasks.into_iter().zip(found) {
            let size = group * head_dim;
            for (row, found) in (first..first + count).zip(found.chunks(size)) {
                out[row * queries + head * size..][..size].copy_from_slice(found);
            }
        }
        out
    }
}

fn softmax(scores: &mut [f32]) {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    scores.iter_mut().for_each(|score| *score = (*score - most).exp());
    let sum: f32 = scores.iter().sum();
    scores.iter_mut().for_each(|score| *score /= sum);
}
