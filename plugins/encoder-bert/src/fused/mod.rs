//! The forward pass of BERT and its like on the CPU, without candle: the tokens of all texts are rows of one matrix, and nothing is padded.
//!
//! Every number that belongs to a token is computed from its text alone, with sums in a fixed order. So a text's vector
//! is the same, bit for bit, in any batch and with any number of threads. Threads share no work on a text: each takes
//! texts through all layers.
//!
//! * `products`: rows times weights, in f32 or, where the processor can, in bfloat16;
//! * `functions`: activations, softmax, norms.

mod functions;
mod products;

use std::sync::{Mutex, PoisonError};

use forethought_candle::cpu::bf16;
use forethought_sdk::prelude::*;
use rayon::prelude::*;

use self::products::{Form, Linear, Rows, Then, WIDTH};
use crate::{
    Precision,
    architecture::{Activation, Architecture, Positions},
    batches::{Order, Tokens},
    folder::ModelFolder,
    head::Head,
    modules::Pooling,
    network::File,
    weights::Weights,
};

/// Changes with every change of the arithmetic that changes a bit of a vector: vectors kept on disk are told apart by it.
pub(crate) const ARITHMETIC: &str = "fused-1";

/// Tokens that one thread takes through the network at a time, at most: enough to use each weight often.
const MOST_TOKENS: usize = 512;

/// Fewer than this are not worth another thread, which reads all weights again.
const FEW_TOKENS: usize = 16;

/// Rows of queries whose scores are computed together.
const QUERIES: usize = 48;

pub(crate) struct Fused {
    hidden: usize,
    heads: usize,
    activation: Activation,
    pooling: Pooling,
    batch_tokens: usize,
    words: Vec<f32>,
    /// Position embeddings with the embedding of token type 0 added.
    positions: Vec<f32>,
    /// The padding token, if it decides where the numbers of positions begin.
    padding: Option<u32>,
    norm: Norm,
    layers: Vec<Layer>,
    /// Rooms that are not in use.
    rooms: Mutex<Vec<Room>>,
}

struct Layer {
    query_key_value: Linear,
    attention_output: Linear,
    attention_norm: Norm,
    intermediate: Linear,
    output: Linear,
    output_norm: Norm,
}

struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

impl Norm {
    fn take(file: &mut File, name: &str, architecture: &Architecture) -> Result<Self> {
        let [weight, bias] = file.norm(name, architecture.hidden_size, true)?;
        Ok(Self { weight: weight.to_vec1()?, bias: bias.to_vec1()?, epsilon: architecture.layer_norm_eps })
    }

    fn forward(&self, rows: &mut [f32]) {
        functions::normalise(rows, &self.weight, &self.bias, self.epsilon);
    }
}

impl Layer {
    fn take(file: &mut File, index: usize, architecture: &Architecture, form: Form) -> Result<Self> {
        let Architecture { names, hidden_size: hidden, intermediate_size: inner, .. } = *architecture;
        // Matrices under each other: those of the outputs of each name.
        let mut take = |parts: &[&str], inputs: usize, outputs: usize| -> Result<(Vec<f32>, Vec<f32>)> {
            let (mut weights, mut biases) = (Vec::new(), Vec::new());
            for part in parts {
                let name = format!("{}.{index}.{part}", names.layer);
                let shape = [outputs / parts.len(), inputs];
                let weight = file.take(&format!("{name}.weight"), &shape)?;
                weights.extend(weight.flatten_all()?.to_vec1::<f32>()?);
                biases.extend(file.take(&format!("{name}.bias"), &shape[..1])?.to_vec1::<f32>()?);
            }
            Ok((weights, biases))
        };
        let mut query_key_value = take(names.query_key_value, hidden, 3 * hidden)?;
        // The scale of attention scores, applied once to the weights of queries instead of to every score.
        let scale = 1.0 / ((hidden / architecture.num_attention_heads) as f32).sqrt();
        query_key_value.0[..hidden * hidden].iter_mut().for_each(|number| *number *= scale);
        query_key_value.1[..hidden].iter_mut().for_each(|number| *number *= scale);
        let linear = |(weight, bias): (Vec<f32>, Vec<f32>)| Linear::new(&weight, bias, form);
        let attention_output = linear(take(&[names.attention_output], hidden, hidden)?);
        let intermediate = linear(take(names.intermediate, hidden, inner)?);
        let output = linear(take(&[names.output], inner, hidden)?);
        let mut norm =
            |name: &str| Norm::take(file, &format!("{}.{index}.{name}", names.layer), architecture);
        Ok(Self {
            query_key_value: linear(query_key_value),
            attention_output,
            attention_norm: norm(names.attention_norm)?,
            intermediate,
            output,
            output_norm: norm(names.output_norm)?,
        })
    }
}

/// Room for the activations of some texts.
#[derive(Default)]
struct Room {
    /// (tokens, hidden)
    x: Vec<f32>,
    /// (tokens, query|key|value)
    query_key_value: Vec<f32>,
    /// (tokens, hidden)
    attended: Vec<f32>,
    /// (tokens, intermediate)
    inner: Vec<f32>,
    /// The left side of a product in bfloat16.
    words: Vec<u32>,
    attention: AttentionRoom,
}

/// Room for one head of one text.
#[derive(Default)]
struct AttentionRoom {
    /// Keys, [`WIDTH`] at a time: numbers of a key by keys.
    keys: Vec<f32>,
    /// Values, [`WIDTH`] numbers of each at a time: values by numbers of a value.
    values: Vec<f32>,
    /// (queries, keys)
    scores: Vec<f32>,
    sums: Vec<f32>,
}

impl Fused {
    /// Whether this is the whole computation of a model: the others are candle's.
    pub(crate) fn covers(folder: &ModelFolder, head: &Head) -> bool {
        let one = &folder.architecture;
        let biases = one.biases.attention && one.biases.feed_forward && one.biases.norm;
        let plain =
            !one.gated && !one.norm_first && one.relative_buckets == 0 && one.names.last_norm.is_empty();
        matches!(one.positions, Positions::Learned { .. })
            && biases
            && plain
            && matches!(folder.pooling.mode, Pooling::Mean | Pooling::Cls)
            && head.identity.is_empty()
    }

    /// # Errors
    /// If a weight is missing or has another shape; if the processor cannot multiply in this precision.
    pub(crate) fn new(
        folder: &ModelFolder,
        weights: &Weights,
        precision: Precision,
        batch_tokens: usize,
    ) -> Result<Self> {
        let form = match precision {
            Precision::F32 => Form::F32,
            Precision::Bf16 if bf16::available() => Form::Bf16,
            Precision::Bf16 => {
                return Err(Error::config(
                    "`precision` is \"bf16\", and this processor has no AVX-512 BF16; remove it for \"f32\"",
                ));
            }
        };
        let architecture = &folder.architecture;
        let (names, hidden) = (architecture.names, architecture.hidden_size);
        let Positions::Learned { count, padding } = architecture.positions else {
            return Err(Error::other("a network that turns its positions is not computed here"));
        };
        let mut file = File::open(weights, names.prefix, names.words, &candle_core::Device::Cpu)?;
        let mut table = |name: &str, rows: usize| -> Result<Vec<f32>> {
            Ok(file.take(&format!("{name}.weight"), &[rows, hidden])?.flatten_all()?.to_vec1()?)
        };
        let words = table(names.words, architecture.vocab_size)?;
        let mut positions = table(names.positions, count)?;
        if architecture.type_vocab_size > 0 {
            let types = table(names.types, architecture.type_vocab_size)?;
            for row in positions.chunks_exact_mut(hidden) {
                row.iter_mut().zip(&types).for_each(|(number, of_type)| *number += of_type);
            }
        }
        let norm = Norm::take(&mut file, names.norm, architecture)?;
        let layer = |index| Layer::take(&mut file, index, architecture, form);
        Ok(Self {
            layers: (0..architecture.num_hidden_layers).map(layer).collect::<Result<_>>()?,
            norm,
            hidden,
            heads: architecture.num_attention_heads,
            activation: architecture.activation,
            pooling: folder.pooling.mode,
            batch_tokens,
            words,
            positions,
            padding,
            rooms: Mutex::default(),
        })
    }

    /// One unit vector for each text, one after the other, on rayon's threads. The first `skipped` tokens of each do not
    /// count in the pooling.
    pub(crate) fn encode(&self, texts: &[Tokens], skipped: usize, order: Order) -> Vec<f32> {
        let mut indices: Vec<usize> = (0..texts.len()).collect();
        if order == Order::Length {
            // Longest first: what is left at the end is small, and threads finish together.
            indices.sort_by_key(|&index| std::cmp::Reverse(texts[index].ids().len()));
        }
        let total: usize = texts.iter().map(|text| text.ids().len()).sum();
        let share = total.div_ceil(rayon::current_num_threads());
        let most = self.batch_tokens.min(MOST_TOKENS).min(share.max(FEW_TOKENS));
        let mut parts: Vec<Vec<usize>> = Vec::new();
        let mut tokens = most;
        for index in indices {
            if tokens >= most {
                parts.push(Vec::new());
                tokens = 0;
            }
            tokens += texts[index].ids().len();
            parts.last_mut().expect("one was just added").push(index);
        }
        let done: Vec<Vec<f32>> = parts
            .par_iter()
            .map(|part| {
                let unused = self.rooms.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let mut room = unused.unwrap_or_default();
                let vectors = self.part(texts, part, skipped, &mut room);
                self.rooms.lock().unwrap_or_else(PoisonError::into_inner).push(room);
                vectors
            })
            .collect();
        let mut rows = vec![0.0; texts.len() * self.hidden];
        for (part, vectors) in parts.iter().zip(done) {
            for (index, vector) in part.iter().zip(vectors.chunks_exact(self.hidden)) {
                rows[index * self.hidden..][..self.hidden].copy_from_slice(vector);
            }
        }
        rows
    }

    /// The vectors of the texts of a part, in its order.
    fn part(&self, texts: &[Tokens], part: &[usize], skipped: usize, room: &mut Room) -> Vec<f32> {
        let hidden = self.hidden;
        let lengths: Vec<usize> = part.iter().map(|&index| texts[index].ids().len()).collect();
        let tokens: usize = lengths.iter().sum();
        let Room { x, query_key_value, attended, inner, words, attention } = room;
        let resize = |room: &mut Vec<f32>, width: usize| room.resize(tokens * width, 0.0);
        resize(x, hidden);
        resize(query_key_value, 3 * hidden);
        resize(attended, hidden);
        let mut rows = x.chunks_exact_mut(hidden);
        for &index in part {
            let mut last = self.padding.unwrap_or_default();
            for (at, &id) in texts[index].ids().iter().enumerate() {
                let number = match self.padding {
                    None => at,
                    Some(padding) if padding == id => padding as usize,
                    Some(_) => {
                        last += 1;
                        last as usize
                    }
                };
                let row = rows.next().expect("one for each token");
                let [word, position] = [(&self.words, id as usize), (&self.positions, number)]
                    .map(|(table, row)| &table[row * hidden..][..hidden]);
                functions::sum_of(row, word, position);
            }
        }
        self.norm.forward(x);
        for layer in &self.layers {
            resize(inner, layer.intermediate.outputs());
            layer.query_key_value.forward(x, words, query_key_value, Then::Store);
            let mut start = 0;
            for length in &lengths {
                let end = start + length;
                let of_text = &query_key_value[start * 3 * hidden..end * 3 * hidden];
                self.attend(of_text, &mut attended[start * hidden..end * hidden], attention);
                start = end;
            }
            layer.attention_output.forward(attended, words, x, Then::Add);
            layer.attention_norm.forward(x);
            layer.intermediate.forward(x, words, inner, Then::Activate(self.activation));
            layer.output.forward(inner, words, x, Then::Add);
            layer.output_norm.forward(x);
        }
        let mut vectors = vec![0.0; part.len() * hidden];
        let mut start = 0;
        for (vector, length) in vectors.chunks_exact_mut(hidden).zip(lengths) {
            let first = start + skipped.min(length - 1);
            let counted = &x[first * hidden..(start + length) * hidden];
            match self.pooling {
                Pooling::Cls => vector.copy_from_slice(&counted[..hidden]),
                _ => functions::mean(counted, vector),
            }
            functions::to_unit(vector);
            start += length;
        }
        vectors
    }

    /// Multi-head attention within one text: `x` has rows of query, key and value.
    fn attend(&self, x: &[f32], to: &mut [f32], room: &mut AttentionRoom) {
        let (hidden, stride) = (self.hidden, 3 * self.hidden);
        let size = hidden / self.heads;
        let length = x.len() / stride;
        let (key_panels, value_panels) = (length.div_ceil(WIDTH), size.div_ceil(WIDTH));
        let width = key_panels * WIDTH;
        let AttentionRoom { keys, values, scores, sums } = room;
        keys.resize(key_panels * size * WIDTH, 0.0);
        values.resize(value_panels * length * WIDTH, 0.0);
        scores.resize(QUERIES.min(length) * width, 0.0);
        sums.resize(QUERIES, 0.0);
        for head in 0..self.heads {
            let [query, key, value] = [0, 1, 2].map(|part| &x[part * hidden + head * size..]);
            for (panel, first) in keys.chunks_exact_mut(size * WIDTH).zip((0..length).step_by(WIDTH)) {
                let count = WIDTH.min(length - first);
                products::pack_rows(
                    panel,
                    &key[first * stride..][..(count - 1) * stride + size],
                    stride,
                    size,
                );
            }
            for (panel, first) in values.chunks_exact_mut(length * WIDTH).zip((0..size).step_by(WIDTH)) {
                let count = WIDTH.min(size - first);
                for (line, row) in panel.chunks_exact_mut(WIDTH).zip(value.chunks(stride)) {
                    line[..count].copy_from_slice(&row[first..first + count]);
                }
            }
            for start in (0..length).step_by(QUERIES) {
                let count = QUERIES.min(length - start);
                let queries = Rows { numbers: &query[start * stride..], stride, count };
                for (panel, first) in keys.chunks_exact(size * WIDTH).zip((0..width).step_by(WIDTH)) {
                    products::product(&mut scores[first..], width, WIDTH, queries, panel, false);
                }
                functions::exponentials(&mut scores[..count * width], width, length, sums);
                let weights = Rows { numbers: scores, stride: width, count };
                let to = &mut to[start * hidden + head * size..];
                for (panel, first) in values.chunks_exact(length * WIDTH).zip((0..size).step_by(WIDTH)) {
                    let columns = WIDTH.min(size - first);
                    products::product(&mut to[first..], hidden, columns, weights, panel, false);
                }
                let end = (count - 1) * hidden + size;
                functions::scale(&mut to[..end], hidden, size, sums);
            }
        }
    }
}
