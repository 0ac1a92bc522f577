//! BERT (arXiv 1810.04805): the forward pass, pooling and normalisation of a padded batch.
//!
//! Activations are rows of tokens (batch * length, hidden) wherever no attention happens, query, key and value come
//! from one product, and the mask is left out where a batch has no padding.

use std::collections::HashMap;

use candle_core::{D, DType, Device, Result as Candle, Tensor};
use candle_nn::ops::{layer_norm, softmax_last_dim};
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
    fn forward(&self, x: &Tensor) -> Candle<Tensor> {
        layer_norm(x, &self.weight, &self.bias, self.epsilon)
    }
}

impl Network {
    pub(crate) fn new(folder: &ModelFolder, weights: &Weights, device: &Device) -> Result<Self> {
        let config = folder.bert.clone();
        let file = TensorFile::open(weights, device)?;
        let BertFile { hidden_size: hidden, intermediate_size: inner, vocab_size, type_vocab_size, .. } =
            config;
        let norm = |name: String| -> Result<Norm> {
            Ok(Norm {
                weight: file.get(&format!("{name}.weight"), &[hidden])?,
                bias: file.get(&format!("{name}.bias"), &[hidden])?,
                epsilon: config.layer_norm_eps,
            })
        };
        let linear = |name: String, inputs: usize, outputs: usize| -> Result<Linear> {
            Ok(Linear {
                weight: file.get(&format!("{name}.weight"), &[outputs, inputs])?.t()?.contiguous()?,
                bias: file.get(&format!("{name}.bias"), &[outputs])?,
            })
        };
        let layer = |index: usize| -> Result<Layer> {
            let part = |name: &str| format!("encoder.layer.{index}.{name}");
            let mut query = linear(part("attention.self.query"), hidden, hidden)?;
            let key = linear(part("attention.self.key"), hidden, hidden)?;
            let value = linear(part("attention.self.value"), hidden, hidden)?;
            // The scale of attention scores, applied once to the weights instead of to every score.
            let scale = 1.0 / ((hidden / config.num_attention_heads) as f64).sqrt();
            query.weight = (query.weight * scale)?;
            query.bias = (query.bias * scale)?;
            Ok(Layer {
                query_key_value: Linear {
                    weight: Tensor::cat(&[&query.weight, &key.weight, &value.weight], 1)?,
                    bias: Tensor::cat(&[&query.bias, &key.bias, &value.bias], 0)?,
                },
                attention_output: linear(part("attention.output.dense"), hidden, hidden)?,
                attention_norm: norm(part("attention.output.LayerNorm"))?,
                intermediate: linear(part("intermediate.dense"), hidden, inner)?,
                output: linear(part("output.dense"), inner, hidden)?,
                output_norm: norm(part("output.LayerNorm"))?,
            })
        };
        let positions = [config.max_position_embeddings, hidden];
        let positions = file.get("embeddings.position_embeddings.weight", &positions)?;
        let types = file.get("embeddings.token_type_embeddings.weight", &[type_vocab_size, hidden])?;
        Ok(Self {
            words: file.get("embeddings.word_embeddings.weight", &[vocab_size, hidden])?,
            positions: positions.broadcast_add(&types.narrow(0, 0, 1)?)?,
            norm: norm("embeddings.LayerNorm".to_owned())?,
            layers: (0..config.num_hidden_layers).map(layer).collect::<Result<_>>()?,
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

/// The tensors of a safetensors file, by name.
struct TensorFile<'a> {
    tensors: HashMap<String, Tensor>,
    /// Some files put everything under `bert.`.
    prefix: &'static str,
    weights: &'a Weights,
}

impl<'a> TensorFile<'a> {
    fn open(weights: &'a Weights, device: &Device) -> Result<Self> {
        let tensors = candle_core::safetensors::load_buffer(&weights.bytes, device).map_err(|error| {
            Error::input(format!("{} is not a whole safetensors file: {error}", weights.path.display()))
        })?;
        let prefix =
            if tensors.contains_key("bert.embeddings.word_embeddings.weight") { "bert." } else { "" };
        Ok(Self { tensors, prefix, weights })
    }

    fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let name = format!("{}{name}", self.prefix);
        let path = self.weights.path.display();
        let tensor = self
            .tensors
            .get(&name)
            .ok_or_else(|| Error::input(format!("{path} has no tensor {name}; is it a BERT model?")))?;
        if tensor.dims() != shape {
            return Err(Error::input(format!(
                "{path}: the tensor {name} is of shape {:?}, but config.json makes it {shape:?}",
                tensor.dims()
            )));
        }
        Ok(tensor.to_dtype(DType::F32)?)
    }
}
