//! The forward pass of all families, and the pooling of a padded batch.
//!
//! Activations are rows of tokens (batch * length, hidden) wherever no attention happens, query, key and value come
//! from one product, and the mask is left out where a batch has no padding.

use candle_core::{DType, Device, Result as Candle, Tensor};
use candle_nn::{
    ops::{layer_norm, softmax_last_dim},
    rotary_emb,
};
use forethought_candle::{FLOATS, Tensors};
use forethought_sdk::prelude::*;

use crate::{
    architecture::{Activation, Architecture, Positions, Rotary},
    batches::Tokens,
    folder::ModelFolder,
    head::Head,
    modules::Pooling,
    weights::Weights,
};

/// Added to the scores of what is not attended to. Two of them are still a number: a row of nothing else has no NaN.
const NEVER: f32 = f32::MIN / 4.0;
/// Positions that are further apart than this share a bucket (MPNet's definition).
const FARTHEST: f32 = 128.0;

pub(crate) struct Network {
    architecture: Architecture,
    pooling: Pooling,
    device: Device,
    /// Word embeddings; with the embedding of token type 0 added, if no positions are.
    words: Tensor,
    /// Position embeddings with the embedding of token type 0 added: a single text has no other type.
    positions: Option<Tensor>,
    /// By bucket and head, what relative positions add to scores.
    relative: Option<Tensor>,
    norm: Norm,
    layers: Vec<Layer>,
    last_norm: Option<Norm>,
    head: Head,
}

struct Layer {
    query_key_value: Linear,
    attention_output: Linear,
    /// The first layer of ModernBERT has none: its input was just normalised.
    attention_norm: Option<Norm>,
    intermediate: Linear,
    output: Linear,
    output_norm: Norm,
}

/// `x W + b`, with the weight stored transposed: (inputs, outputs).
struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// The matrices of these names next to each other, which together have so many `outputs`.
    fn take(weights: &mut File, names: &[String], inputs: usize, outputs: usize, bias: bool) -> Result<Self> {
        let each = outputs / names.len();
        let mut parts = Vec::new();
        for name in names {
            parts.push(weights.take(&format!("{name}.weight"), &[each, inputs])?.t()?.contiguous()?);
        }
        let mut biases = Vec::new();
        for name in names.iter().filter(|_| bias) {
            biases.push(weights.take(&format!("{name}.bias"), &[each])?);
        }
        let bias = if bias { Some(Tensor::cat(&biases, 0)?) } else { None };
        Ok(Self { weight: Tensor::cat(&parts, 1)?, bias })
    }

    /// The same with the first `count` outputs multiplied by `factor`.
    fn scaled(self, count: usize, factor: f64) -> Candle<Self> {
        let scale = |x: &Tensor, dimension: usize| {
            let rest = x.dim(dimension)? - count;
            let scaled = (x.narrow(dimension, 0, count)? * factor)?;
            Tensor::cat(&[&scaled, &x.narrow(dimension, count, rest)?], dimension)
        };
        Ok(Self {
            weight: scale(&self.weight, 1)?.contiguous()?,
            bias: self.bias.map(|bias| scale(&bias, 0)).transpose()?,
        })
    }

    fn forward(&self, x: &Tensor) -> Candle<Tensor> {
        let product = x.matmul(&self.weight)?;
        match &self.bias {
            Some(bias) => product.broadcast_add(bias),
            None => Ok(product),
        }
    }
}

struct Norm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f32,
}

impl Norm {
    fn take(weights: &mut File, name: &str, architecture: &Architecture) -> Result<Self> {
        let [weight, bias] = weights.norm(name, architecture.hidden_size, architecture.biases.norm)?;
        Ok(Self { weight, bias, epsilon: architecture.layer_norm_eps })
    }

    fn forward(&self, x: &Tensor) -> Candle<Tensor> {
        layer_norm(x, &self.weight, &self.bias, self.epsilon)
    }
}

impl Layer {
    fn take(weights: &mut File, index: usize, architecture: &Architecture) -> Result<Self> {
        let Architecture { names, biases, hidden_size: hidden, intermediate_size: inner, .. } = *architecture;
        let own = |name: &str| format!("{}.{index}.{name}", names.layer);
        let all = |parts: &[&str]| parts.iter().map(|name| own(name)).collect::<Vec<_>>();
        let query_key_value =
            Linear::take(weights, &all(names.query_key_value), hidden, 3 * hidden, biases.attention)?;
        let attention_output =
            Linear::take(weights, &[own(names.attention_output)], hidden, hidden, biases.attention)?;
        let wide = if architecture.gated { 2 * inner } else { inner };
        let intermediate =
            Linear::take(weights, &all(names.intermediate), hidden, wide, biases.feed_forward)?;
        let output = Linear::take(weights, &[own(names.output)], inner, hidden, biases.feed_forward)?;
        let first = architecture.norm_first && index == 0;
        let attention_norm = match first {
            true => None,
            false => Some(Norm::take(weights, &own(names.attention_norm), architecture)?),
        };
        // The scale of attention scores, applied once to the weights instead of to every score.
        let scale = 1.0 / ((hidden / architecture.num_attention_heads) as f64).sqrt();
        Ok(Self {
            query_key_value: query_key_value.scaled(hidden, scale)?,
            attention_output,
            attention_norm,
            intermediate,
            output,
            output_norm: Norm::take(weights, &own(names.output_norm), architecture)?,
        })
    }
}

/// What the attention of one batch needs besides a layer.
struct Attention {
    count: usize,
    length: usize,
    /// On padding, of shape (batch, 1, 1, length); `None` where no text is padded.
    padding: Option<Tensor>,
    /// By relative position, of shape (1, heads, length, length).
    relative: Option<Tensor>,
    turns: Vec<Turn>,
}

/// A kind of layer with rotary positions.
struct Turn {
    rotary: Rotary,
    /// Of shape (length, half of a head).
    cos: Tensor,
    sin: Tensor,
    /// On what is too far away, of shape (1, 1, length, length).
    window: Option<Tensor>,
}

impl Network {
    pub(crate) fn new(folder: &ModelFolder, weights: &Weights, head: Head, device: &Device) -> Result<Self> {
        let architecture = folder.architecture.clone();
        let (names, hidden) = (architecture.names, architecture.hidden_size);
        let mut weights = File::open(weights, names.prefix, names.words, device)?;
        let table = |weights: &mut File, name: &str, rows: usize, columns: usize| {
            weights.take(&format!("{name}.weight"), &[rows, columns])
        };
        let mut words = table(&mut weights, names.words, architecture.vocab_size, hidden)?;
        let mut positions = match architecture.positions {
            Positions::Learned { count, .. } => Some(table(&mut weights, names.positions, count, hidden)?),
            Positions::Rotary(_) => None,
        };
        if architecture.type_vocab_size > 0 {
            let types = table(&mut weights, names.types, architecture.type_vocab_size, hidden)?;
            let every = positions.as_mut().unwrap_or(&mut words);
            *every = every.broadcast_add(&types.narrow(0, 0, 1)?)?;
        }
        let relative = match architecture.relative_buckets {
            0 => None,
            buckets => Some(table(&mut weights, names.relative, buckets, architecture.num_attention_heads)?),
        };
        let norm = Norm::take(&mut weights, names.norm, &architecture)?;
        let mut layer = |index| Layer::take(&mut weights, index, &architecture);
        let layers = (0..architecture.num_hidden_layers).map(&mut layer).collect::<Result<_>>()?;
        let last_norm = match names.last_norm {
            "" => None,
            name => Some(Norm::take(&mut weights, name, &architecture)?),
        };
        Ok(Self {
            words,
            positions,
            relative,
            norm,
            layers,
            last_norm,
            head,
            pooling: folder.pooling.mode,
            device: device.clone(),
            architecture,
        })
    }

    /// One unit vector for each of `texts[batch[..]]`. The first `skipped` tokens of each do not count in the pooling.
    pub(crate) fn encode(&self, texts: &[Tokens], batch: &[usize], skipped: usize) -> Candle<Vec<Vec<f32>>> {
        let lengths: Vec<usize> = batch.iter().map(|&index| texts[index].ids().len()).collect();
        let (count, length) = (batch.len(), lengths.iter().copied().max().unwrap_or(0));
        let hidden = self.architecture.hidden_size;

        let mut ids = vec![0u32; count * length];
        for (row, &index) in ids.chunks_exact_mut(length).zip(batch) {
            row[..texts[index].ids().len()].copy_from_slice(texts[index].ids());
        }
        let numbers = self.numbers(&ids, length);
        let ids = Tensor::from_vec(ids, count * length, &self.device)?;
        let mut x = self.words.index_select(&ids, 0)?;
        if let (Some(positions), Some(numbers)) = (&self.positions, numbers) {
            let numbers = Tensor::from_vec(numbers, count * length, &self.device)?;
            x = (x + positions.index_select(&numbers, 0)?)?;
        }
        let mut x = self.norm.forward(&x)?;

        let attention = self.attention(&lengths, length)?;
        for (index, layer) in self.layers.iter().enumerate() {
            let attend = |x: &Tensor| {
                let attended = self.attend(&layer.query_key_value.forward(x)?, index, &attention)?;
                layer.attention_output.forward(&attended)
            };
            let normed =
                |norm: &Option<Norm>, x: Tensor| norm.as_ref().map_or(Ok(x.clone()), |norm| norm.forward(&x));
            if self.architecture.norm_first {
                x = (attend(&normed(&layer.attention_norm, x.clone())?)? + x)?;
                x = (self.feed_forward(layer, &layer.output_norm.forward(&x)?)? + x)?;
            } else {
                x = normed(&layer.attention_norm, (attend(&x)? + &x)?)?;
                x = layer.output_norm.forward(&(self.feed_forward(layer, &x)? + &x)?)?;
            }
        }
        if let Some(norm) = &self.last_norm {
            x = norm.forward(&x)?;
        }
        let pooled = self.pool(&x.reshape((count, length, hidden))?, &lengths, skipped)?;
        self.head.apply(pooled)?.to_vec2()
    }

    /// The row of the table of positions for each token of a padded batch. `None` without such a table.
    fn numbers(&self, ids: &[u32], length: usize) -> Option<Vec<u32>> {
        let Positions::Learned { padding, .. } = self.architecture.positions else { return None };
        let number = |row: &[u32]| match padding {
            None => (0..length as u32).collect::<Vec<_>>(),
            Some(padding) => {
                let next = |last: &mut u32, id: &u32| {
                    *last += u32::from(*id != padding);
                    Some(if *id == padding { padding } else { *last })
                };
                row.iter().scan(padding, next).collect()
            }
        };
        Some(ids.chunks_exact(length).flat_map(number).collect())
    }

    fn feed_forward(&self, layer: &Layer, x: &Tensor) -> Candle<Tensor> {
        let inner = layer.intermediate.forward(x)?;
        let activate = |x: &Tensor| match self.architecture.activation {
            Activation::Gelu => x.gelu_erf(),
            Activation::GeluTanh => x.gelu(),
            Activation::Relu => x.relu(),
            Activation::Silu => x.silu(),
        };
        let inner = match self.architecture.gated {
            false => activate(&inner)?,
            true => {
                let size = self.architecture.intermediate_size;
                let gate = activate(&inner.narrow(1, 0, size)?.contiguous()?)?;
                (gate * inner.narrow(1, size, size)?)?
            }
        };
        layer.output.forward(&inner)
    }

    /// Multi-head attention of layer `index` over rows of query, key and value.
    fn attend(&self, x: &Tensor, index: usize, attention: &Attention) -> Candle<Tensor> {
        let heads = self.architecture.num_attention_heads;
        let size = self.architecture.hidden_size / heads;
        let Attention { count, length, padding, relative, turns } = attention;
        let turn = match &self.architecture.positions {
            Positions::Rotary(layers) => turns.iter().find(|turn| turn.rotary == layers[index]),
            Positions::Learned { .. } => None,
        };
        // (query|key|value, batch, heads, length, size)
        let parts = x.reshape((*count, *length, 3, heads, size))?.permute((2, 0, 3, 1, 4))?.contiguous()?;
        let (mut query, mut key, value) = (parts.get(0)?, parts.get(1)?, parts.get(2)?);
        if let Some(turn) = turn {
            query = rotary_emb::rope(&query, &turn.cos, &turn.sin)?;
            key = rotary_emb::rope(&key, &turn.cos, &turn.sin)?;
        }
        let mut scores = query.matmul(&key.t()?)?;
        let window = turn.and_then(|turn| turn.window.as_ref());
        for mask in [relative.as_ref(), padding.as_ref(), window].into_iter().flatten() {
            scores = scores.broadcast_add(mask)?;
        }
        let mixed = softmax_last_dim(&scores)?.matmul(&value)?;
        mixed.transpose(1, 2)?.reshape((count * length, heads * size))
    }

    fn attention(&self, lengths: &[usize], length: usize) -> Candle<Attention> {
        let mut turns: Vec<Turn> = Vec::new();
        if let Positions::Rotary(layers) = &self.architecture.positions {
            for rotary in layers {
                if turns.iter().all(|turn| turn.rotary != *rotary) {
                    turns.push(self.turn(*rotary, length)?);
                }
            }
        }
        let relative = self.relative.as_ref().map(|table| self.relative(table, length)).transpose()?;
        Ok(Attention {
            count: lengths.len(),
            length,
            padding: self.padding(lengths, length)?,
            relative,
            turns,
        })
    }

    fn turn(&self, rotary: Rotary, length: usize) -> Candle<Turn> {
        let size = self.architecture.hidden_size / self.architecture.num_attention_heads;
        let frequencies: Vec<f32> =
            (0..size).step_by(2).map(|i| 1.0 / rotary.theta.powf(i as f64 / size as f64) as f32).collect();
        let angles = (0..length)
            .flat_map(|position| frequencies.iter().map(move |frequency| position as f32 * frequency));
        let (cos, sin): (Vec<f32>, Vec<f32>) = angles.map(|angle| (angle.cos(), angle.sin())).unzip();
        let table = |numbers| Tensor::from_vec(numbers, (length, size / 2), &self.device);
        // Where all see all, no mask is needed.
        let window = rotary.window.filter(|window| *window + 1 < length).map(|window| {
            let far = |one: usize, other: usize| if one.abs_diff(other) <= window { 0.0 } else { NEVER };
            let mask = (0..length).flat_map(|one| (0..length).map(move |other| far(one, other))).collect();
            Tensor::from_vec(mask, (1, 1, length, length), &self.device)
        });
        Ok(Turn { rotary, cos: table(cos)?, sin: table(sin)?, window: window.transpose()? })
    }

    /// What the distance of every two positions adds to the scores.
    fn relative(&self, table: &Tensor, length: usize) -> Candle<Tensor> {
        let buckets = self.architecture.relative_buckets;
        let buckets = (0..length)
            .flat_map(|from| (0..length).map(move |to| bucket(from, to, buckets)))
            .collect::<Vec<u32>>();
        let buckets = Tensor::from_vec(buckets, length * length, &self.device)?;
        let rows = table.index_select(&buckets, 0)?;
        rows.t()?.contiguous()?.reshape((1, self.architecture.num_attention_heads, length, length))
    }

    /// Of shape (batch, 1, 1, length).
    fn padding(&self, lengths: &[usize], length: usize) -> Candle<Option<Tensor>> {
        if lengths.iter().all(|&own| own == length) {
            return Ok(None);
        }
        let mask = lengths
            .iter()
            .flat_map(|&own| (0..length).map(move |position| if position < own { 0.0 } else { NEVER }))
            .collect();
        Tensor::from_vec(mask, (lengths.len(), 1, 1, length), &self.device).map(Some)
    }

    /// One vector per text, from those of its tokens (batch, length, hidden).
    fn pool(&self, x: &Tensor, lengths: &[usize], skipped: usize) -> Candle<Tensor> {
        let (count, length, hidden) = x.dims3()?;
        let pooling = self.pooling;
        // By position, within the tokens that count.
        let weights = |own: usize| {
            let first = skipped.min(own - 1);
            let sum: f32 = match pooling {
                Pooling::WeightedMean => (first..own).map(|position| position as f32 + 1.0).sum(),
                Pooling::MeanSqrtLength => ((own - first) as f32).sqrt(),
                _ => (own - first) as f32,
            };
            (0..length).map(move |position| match pooling {
                _ if !(first..own).contains(&position) => 0.0,
                Pooling::Cls => f32::from(u8::from(position == first)),
                Pooling::LastToken => f32::from(u8::from(position == own - 1)),
                Pooling::WeightedMean => (position as f32 + 1.0) / sum,
                Pooling::Max => 1.0,
                Pooling::Mean | Pooling::MeanSqrtLength => 1.0 / sum,
            })
        };
        let weights: Vec<f32> = lengths.iter().flat_map(|&own| weights(own)).collect();
        if pooling == Pooling::Max {
            let mask = weights.iter().map(|weight| if *weight == 0.0 { NEVER } else { 0.0 }).collect();
            let mask = Tensor::from_vec(mask, (count, length, 1), &self.device)?;
            return x.broadcast_add(&mask)?.max(1);
        }
        let weights = Tensor::from_vec(weights, (count, 1, length), &self.device)?;
        weights.matmul(x)?.reshape((count, hidden))
    }
}

/// The bucket of a position as seen from another, as MPNet and T5 define it: near ones have one each, farther ones share
/// them by the logarithm of their distance, and both directions have one half.
fn bucket(from: usize, to: usize, buckets: usize) -> u32 {
    let half = buckets / 2;
    let exact = half / 2;
    let distance = from.abs_diff(to);
    let nearer = if distance < exact {
        distance
    } else {
        let share = (distance as f32 / exact as f32).ln() / (FARTHEST / exact as f32).ln();
        (exact + (share * (half - exact) as f32) as usize).min(half - 1)
    };
    (if to > from { half + nearer } else { nearer }) as u32
}

/// The model's weights, as they are taken into the network.
pub(crate) struct File {
    tensors: Tensors,
    /// What is before every name, if anything.
    prefix: &'static str,
}

impl File {
    pub(crate) fn open(
        weights: &Weights,
        prefix: &'static str,
        words: &str,
        device: &Device,
    ) -> Result<Self> {
        let tensors = weights.tensors(device)?;
        let prefixed = tensors.contains(&format!("{prefix}{words}.weight"));
        Ok(Self { tensors, prefix: if prefixed { prefix } else { "" } })
    }

    fn has(&self, name: &str) -> bool {
        self.tensors.contains(&format!("{}{name}", self.prefix))
    }

    /// Weight and bias of a norm; without a bias, zeros.
    pub(crate) fn norm(&mut self, name: &str, size: usize, bias: bool) -> Result<[Tensor; 2]> {
        // BERT's first checkpoints, converted from TensorFlow, have the older names.
        let mut take = |new: &str, old: &str| {
            let (new, old) = (format!("{name}.{new}"), format!("{name}.{old}"));
            self.take(if self.has(&new) || !self.has(&old) { &new } else { &old }, &[size])
        };
        let weight = take("weight", "gamma")?;
        let bias = if bias { take("bias", "beta")? } else { weight.zeros_like()? };
        Ok([weight, bias])
    }

    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        Ok(self.tensors.take(&format!("{}{name}", self.prefix), shape, FLOATS)?.to_dtype(DType::F32)?)
    }
}
