//! BERT (arXiv 1810.04805): the forward pass, pooling and normalisation of a padded batch.
//!
//! Activations are rows of tokens (batch * length, hidden) wherever no attention happens, query, key and value come
//! from one product, and the mask is left out where a batch has no padding.

use candle_core::{D, DType, Device, Result as Candle, Tensor};
use candle_nn::ops::{layer_norm, softmax_last_dim};
use forethought_candle::{FLOATS, Tensors};
use forethought_sdk::prelude::*;

use crate::{
    batches::Tokens,
    files::{Activation, BertFile, ModelFolder, Pooling, Weights},
};

pub(crate) struct Network {
    config: BertFile,
    pooling: Pooling,
    device: Device,
    words: Tensor,
    /// Position embeddings with the embedding of token type 0 added: a single text has no other type.
    positions: Tensor,
    norm: Norm,
    layers: Vec<Layer>,
}

struct Layer {
    query_key_value: Linear,
    attention_output: Linear,
    attention_norm: Norm,
    intermediate: Linear,
    output: Linear,
    output_norm: Norm,
}

/// `x W + b`, with the weight stored transposed: (inputs, outputs).
struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    fn take(weights: &mut File, name: &str, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self {
            weight: weights.take(&format!("{name}.weight"), &[outputs, inputs])?.t()?.contiguous()?,
            bias: weights.take(&format!("{name}.bias"), &[outputs])?,
        })
    }

    fn forward(&self, x: &Tensor) -> Candle<Tensor> {
        x.matmul(&self.weight)?.broadcast_add(&self.bias)
    }
}

struct Norm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f32,
}

impl Norm {
    fn take(weights: &mut File, name: &str, config: &BertFile) -> Result<Self> {
        let [weight, bias] = weights.norm(name, config.hidden_size)?;
        Ok(Self { weight, bias, epsilon: config.layer_norm_eps })
    }

    fn forward(&self, x: &Tensor) -> Candle<Tensor> {
        layer_norm(x, &self.weight, &self.bias, self.epsilon)
    }
}

impl Layer {
    fn take(weights: &mut File, index: usize, config: &BertFile) -> Result<Self> {
        let BertFile { hidden_size: hidden, intermediate_size: inner, num_attention_heads: heads, .. } =
            *config;
        let mut linear = |name: &str, inputs, outputs| {
            Linear::take(weights, &format!("encoder.layer.{index}.{name}"), inputs, outputs)
        };
        let mut query = linear("attention.self.query", hidden, hidden)?;
        let key = linear("attention.self.key", hidden, hidden)?;
        let value = linear("attention.self.value", hidden, hidden)?;
        // The scale of attention scores, applied once to the weights instead of to every score.
        let scale = 1.0 / ((hidden / heads) as f64).sqrt();
        query.weight = (query.weight * scale)?;
        query.bias = (query.bias * scale)?;
        let attention_output = linear("attention.output.dense", hidden, hidden)?;
        let intermediate = linear("intermediate.dense", hidden, inner)?;
        let output = linear("output.dense", inner, hidden)?;
        let mut norm = |name: &str| Norm::take(weights, &format!("encoder.layer.{index}.{name}"), config);
        Ok(Self {
            query_key_value: Linear {
                weight: Tensor::cat(&[&query.weight, &key.weight, &value.weight], 1)?,
                bias: Tensor::cat(&[&query.bias, &key.bias, &value.bias], 0)?,
            },
            attention_output,
            attention_norm: norm("attention.output.LayerNorm")?,
            intermediate,
            output,
            output_norm: norm("output.LayerNorm")?,
        })
    }
}

impl Network {
    pub(crate) fn new(folder: &ModelFolder, weights: &Weights, device: &Device) -> Result<Self> {
        let config = folder.bert.clone();
        let hidden = config.hidden_size;
        let mut weights = File::open(weights, device)?;
        let positions = [config.max_position_embeddings, hidden];
        let positions = weights.take("embeddings.position_embeddings.weight", &positions)?;
        let types = [config.type_vocab_size, hidden];
        let types = weights.take("embeddings.token_type_embeddings.weight", &types)?;
        let mut layer = |index| Layer::take(&mut weights, index, &config);
        let layers = (0..config.num_hidden_layers).map(&mut layer).collect::<Result<_>>()?;
        Ok(Self {
            words: weights.take("embeddings.word_embeddings.weight", &[config.vocab_size, hidden])?,
            positions: positions.broadcast_add(&types.narrow(0, 0, 1)?)?,
            norm: Norm::take(&mut weights, "embeddings.LayerNorm", &config)?,
            layers,
            pooling: folder.pooling,
            device: device.clone(),
            config,
        })
    }

    /// One unit vector for each of `texts[batch[..]]`.
    pub(crate) fn encode(&self, texts: &[Tokens], batch: &[usize]) -> Candle<Vec<Vec<f32>>> {
        let lengths: Vec<usize> = batch.iter().map(|&index| texts[index].ids().len()).collect();
        let (count, length) = (batch.len(), lengths.iter().copied().max().unwrap_or(0));
        let hidden = self.config.hidden_size;

        let mut ids = vec![0u32; count * length];
        for (row, &index) in ids.chunks_exact_mut(length).zip(batch) {
            row[..texts[index].ids().len()].copy_from_slice(texts[index].ids());
        }
        let ids = Tensor::from_vec(ids, count * length, &self.device)?;
        let positions = self.positions.narrow(0, 0, length)?;
        let x = self.words.index_select(&ids, 0)?.reshape((count, length, hidden))?;
        let x = x.broadcast_add(&positions)?.reshape((count * length, hidden))?;
        let mut x = self.norm.forward(&x)?;

        let mask = self.mask(&lengths, length)?;
        for layer in &self.layers {
            let attended = self.attend(&layer.query_key_value.forward(&x)?, mask.as_ref(), count, length)?;
            x = layer.attention_norm.forward(&(layer.attention_output.forward(&attended)? + &x)?)?;
            let inner = layer.intermediate.forward(&x)?;
            let inner = match self.config.activation {
                Activation::Gelu => inner.gelu_erf()?,
                Activation::GeluTanh => inner.gelu()?,
                Activation::Relu => inner.relu()?,
            };
            x = layer.output_norm.forward(&(layer.output.forward(&inner)? + &x)?)?;
        }

        let pooled = self.pool_weights(&lengths, length)?.matmul(&x.reshape((count, length, hidden))?)?;
        let pooled = pooled.reshape((count, hidden))?;
        let norm = pooled.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?.maximum(f32::MIN_POSITIVE)?;
        pooled.broadcast_div(&norm)?.to_vec2()
    }

    /// Multi-head attention over rows of query, key and value.
    fn attend(&self, x: &Tensor, mask: Option<&Tensor>, count: usize, length: usize) -> Candle<Tensor> {
        let heads = self.config.num_attention_heads;
        let size = self.config.hidden_size / heads;
        // (query|key|value, batch, heads, length, size)
        let parts = x.reshape((count, length, 3, heads, size))?.permute((2, 0, 3, 1, 4))?.contiguous()?;
        let (query, key, value) = (parts.get(0)?, parts.get(1)?, parts.get(2)?);
        let mut scores = query.matmul(&key.t()?)?;
        if let Some(mask) = mask {
            scores = scores.broadcast_add(mask)?;
        }
        let mixed = softmax_last_dim(&scores)?.matmul(&value)?;
        mixed.transpose(1, 2)?.reshape((count * length, heads * size))
    }

    /// Added to scores: minus infinity, in effect, on padding. Of shape (batch, 1, 1, length).
    fn mask(&self, lengths: &[usize], length: usize) -> Candle<Option<Tensor>> {
        if lengths.iter().all(|&own| own == length) {
            return Ok(None);
        }
        let mask = lengths
            .iter()
            .flat_map(|&own| (0..length).map(move |position| if position < own { 0.0 } else { f32::MIN }))
            .collect();
        Tensor::from_vec(mask, (lengths.len(), 1, 1, length), &self.device).map(Some)
    }

    /// How much each token counts in its text's vector. Of shape (batch, 1, length).
    fn pool_weights(&self, lengths: &[usize], length: usize) -> Candle<Tensor> {
        let weight = |own: usize, position: usize| match self.pooling {
            Pooling::Mean if position < own => 1.0 / own as f32,
            Pooling::Cls if position == 0 => 1.0,
            _ => 0.0f32,
        };
        let weights =
            lengths.iter().flat_map(|&own| (0..length).map(move |position| weight(own, position))).collect();
        Tensor::from_vec(weights, (lengths.len(), 1, length), &self.device)
    }
}

/// The model's weights, as they are taken into the network.
pub(crate) struct File {
    tensors: Tensors,
    /// Some files put everything under `bert.`.
    prefix: &'static str,
}

impl File {
    pub(crate) fn open(weights: &Weights, device: &Device) -> Result<Self> {
        let tensors = Tensors::new(&weights.path, &weights.bytes, device)?;
        let prefixed = tensors.contains("bert.embeddings.word_embeddings.weight");
        Ok(Self { tensors, prefix: if prefixed { "bert." } else { "" } })
    }

    fn has(&self, name: &str) -> bool {
        self.tensors.contains(&format!("{}{name}", self.prefix))
    }

    /// Weight and bias of a norm.
    pub(crate) fn norm(&mut self, name: &str, size: usize) -> Result<[Tensor; 2]> {
        // BERT's first checkpoints, converted from TensorFlow, have the older names.
        let mut take = |new: &str, old: &str| {
            let (new, old) = (format!("{name}.{new}"), format!("{name}.{old}"));
            self.take(if self.has(&new) || !self.has(&old) { &new } else { &old }, &[size])
        };
        Ok([take("weight", "gamma")?, take("bias", "beta")?])
    }

    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        Ok(self.tensors.take(&format!("{}{name}", self.prefix), shape, FLOATS)?.to_dtype(DType::F32)?)
    }
}
