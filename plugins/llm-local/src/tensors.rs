//! The decoder that Llama, Qwen2 and Qwen3 share: attention with grouped queries (arXiv 2305.13245) and rotary
//! positions (arXiv 2104.09864), SwiGLU (arXiv 2002.05202), RMSNorm before each block (arXiv 1910.07467).
//!
//! Here on candle's tensors, for GPUs; `decoder` is the same network on the CPU.
//!
//! One network of our own instead of candle-transformers' six, because those silently ignore scaled positions, `head_dim`
//! and biases in Llama's configuration, and contexts beyond 4096 tokens in quantised Llama. They also keep the cache of
//! past tokens inside the model, so that a second answer would need a second model.

use candle_core::{DType, Device, Module, Result as Candle, Tensor, quantized::QMatMul};
use candle_nn::{kv_cache::KvCache, ops, rotary_emb};
use forethought_sdk::prelude::*;

use crate::{
    architecture::{Architecture, Norms},
    network::Part,
    weights::Weights,
};

pub(crate) struct TensorNetwork {
    architecture: Architecture,
    device: Device,
    dtype: DType,
    embedding: QMatMul,
    layers: Vec<Layer>,
    norm: Tensor,
    head: QMatMul,
}

struct Layer {
    norms: Norms<Tensor>,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    gate: Linear,
    up: Linear,
    down: Linear,
}

/// Keys and values of the earlier tokens of an answer, layer by layer.
pub(crate) struct Past {
    layers: Vec<KvCache>,
    length: usize,
}

/// Tokens by which the cache of past tokens grows.
const GROWTH: usize = 256;

impl Past {
    /// An independent copy: the tensors of a cache are written in place.
    pub(crate) fn fork(&self) -> Candle<Self> {
        let fork = |cache: &KvCache| {
            let mut copy = KvCache::new(1, GROWTH.max(self.length));
            if let (Some(keys), Some(values)) = (cache.k()?, cache.v()?) {
                copy.append(&keys.contiguous()?, &values.contiguous()?)?;
            }
            Ok(copy)
        };
        Ok(Self { layers: self.layers.iter().map(fork).collect::<Candle<_>>()?, length: self.length })
    }
}

/// What one part's attention needs besides the layer.
struct Place {
    start: usize,
    length: usize,
    cos: Tensor,
    sin: Tensor,
    /// Minus infinity on what comes later; `None` where there is nothing later.
    mask: Option<Tensor>,
}

struct Linear {
    weight: QMatMul,
    bias: Option<Tensor>,
}

impl Linear {
    fn take(weights: &mut Weights, name: String, inputs: usize, outputs: usize, bias: bool) -> Result<Self> {
        let bias = match bias {
            true => Some(weights.vector(&format!("{name}.bias"), outputs)?),
            false => None,
        };
        Ok(Self { weight: weights.matrix(&format!("{name}.weight"), outputs, inputs)?, bias })
    }

    fn forward(&self, x: &Tensor) -> Candle<Tensor> {
        let y = product(&self.weight, x)?;
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }
}

/// Rows of `x` times the transposed weight.
fn product(weight: &QMatMul, x: &Tensor) -> Candle<Tensor> {
    weight.forward(x)
}

impl TensorNetwork {
    pub(crate) fn new(architecture: Architecture, mut weights: Weights) -> Result<Self> {
        let Architecture { hidden, inner, heads, kv_heads, head_dim, vocabulary, .. } = architecture;
        let (queries, keys) = (heads * head_dim, kv_heads * head_dim);
        let biases = architecture.biases;
        let mut layers = Vec::new();
        for index in 0..architecture.layers {
            let mut linear = |name, inputs, outputs, bias| {
                Linear::take(&mut weights, format!("model.layers.{index}.{name}"), inputs, outputs, bias)
            };
            let query = linear("self_attn.q_proj", hidden, queries, biases.query_key_value)?;
            let key = linear("self_attn.k_proj", hidden, keys, biases.query_key_value)?;
            let value = linear("self_attn.v_proj", hidden, keys, biases.query_key_value)?;
            let output = linear("self_attn.o_proj", queries, hidden, biases.output)?;
            let gate = linear("mlp.gate_proj", hidden, inner, biases.inner)?;
            let up = linear("mlp.up_proj", hidden, inner, biases.inner)?;
            let down = linear("mlp.down_proj", inner, hidden, biases.inner)?;
            let norms = Norms::take(&architecture, index, |name, size| weights.vector(name, size))?;
            layers.push(Layer { norms, query, key, value, output, gate, up, down });
        }
        let embedding = weights.matrix("model.embed_tokens.weight", vocabulary, hidden)?;
        let head = match architecture.tied {
            true => embedding.clone(),
            false => weights.matrix("lm_head.weight", vocabulary, hidden)?,
        };
        let norm = weights.vector("model.norm.weight", hidden)?;
        let (device, dtype) = weights.finish(architecture.tied)?;
        Ok(Self { architecture, device, dtype, embedding, layers, norm, head })
    }

    pub(crate) fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The past of a new text: empty.
    pub(crate) fn past(&self) -> Past {
        let cache = |_| KvCache::new(1, GROWTH);
        Past { layers: (0..self.layers.len()).map(cache).collect(), length: 0 }
    }

    /// Reads the parts, each after its own past, and gives the logits of each one's next token.
    pub(crate) fn forward(&self, parts: &mut [Part<Past>]) -> Candle<Vec<Vec<f32>>> {
        let mut places = Vec::with_capacity(parts.len());
        let mut start = 0;
        for part in parts.iter() {
            places.push(self.place(part, start)?);
            start += part.tokens.len();
        }
        let tokens: Vec<u32> = parts.iter().flat_map(|part| part.tokens).copied().collect();
        let tokens = Tensor::from_vec(tokens, start, &self.device)?;
        let mut x = self.embedding.embedding(&tokens)?.to_dtype(self.dtype)?;
        for (index, layer) in self.layers.iter().enumerate() {
            let attended =
                self.attend(layer, index, &self.normed(&x, &layer.norms.attention)?, &places, parts)?;
            x = (x + attended)?;
            let inner = self.normed(&x, &layer.norms.inner)?;
            let inner = (ops::silu(&layer.gate.forward(&inner)?)? * layer.up.forward(&inner)?)?;
            x = (x + layer.down.forward(&inner)?)?;
        }
        for part in parts.iter_mut() {
            part.past.length += part.tokens.len();
        }
        let lasts: Vec<u32> = places.iter().map(|place| (place.start + place.length - 1) as u32).collect();
        let lasts = Tensor::from_vec(lasts, parts.len(), &self.device)?;
        let x = self.normed(&x.index_select(&lasts, 0)?, &self.norm)?;
        product(&self.head, &x)?.to_dtype(DType::F32)?.to_vec2()
    }

    fn place(&self, part: &Part<Past>, start: usize) -> Candle<Place> {
        let (past, length) = (part.past.length, part.tokens.len());
        let frequencies = &self.architecture.frequencies;
        let turns = (past..past + length).flat_map(|at| frequencies.iter().map(move |turn| at as f32 * turn));
        let (sin, cos) = turns.map(f32::sin_cos).unzip::<_, _, Vec<_>, Vec<_>>();
        let table = |values| {
            Tensor::from_vec(values, (length, frequencies.len()), &self.device)?.to_dtype(self.dtype)
        };
        let later = |row: usize| {
            (0..past + length).map(move |column| if column > past + row { f32::NEG_INFINITY } else { 0.0 })
        };
        let mask = match length {
            1 => None,
            _ => {
                let mask: Vec<f32> = (0..length).flat_map(later).collect();
                Some(Tensor::from_vec(mask, (length, past + length), &self.device)?)
            }
        };
        Ok(Place { start, length, cos: table(cos)?, sin: table(sin)?, mask })
    }

    fn normed(&self, x: &Tensor, weight: &Tensor) -> Candle<Tensor> {
        ops::rms_norm(x, weight, self.architecture.epsilon)
    }

    /// Attention of all parts, each to itself: rows in, rows out.
    fn attend(
        &self,
        layer: &Layer,
        index: usize,
        x: &Tensor,
        places: &[Place],
        parts: &mut [Part<Past>],
    ) -> Candle<Tensor> {
        let (query, key, value) = (layer.query.forward(x)?, layer.key.forward(x)?, layer.value.forward(x)?);
        let mut mixed = Vec::with_capacity(parts.len());
        for (place, part) in places.iter().zip(parts) {
            let rows = |x: &Tensor| x.narrow(0, place.start, place.length);
            let cache = &mut part.past.layers[index];
            mixed.push(self.attend_one(layer, place, cache, [rows(&query)?, rows(&key)?, rows(&value)?])?);
        }
        layer.output.forward(&Tensor::cat(&mixed, 0)?)
    }

    fn attend_one(
        &self,
        layer: &Layer,
        place: &Place,
        cache: &mut KvCache,
        [query, key, value]: [Tensor; 3],
    ) -> Candle<Tensor> {
        let Architecture { heads, kv_heads, head_dim, .. } = self.architecture;
        let length = place.length;
        // (head, length, head_dim)
        let split =
            |x: &Tensor, heads: usize| x.reshape((length, heads, head_dim))?.transpose(0, 1)?.contiguous();
        let (mut query, mut key) = (split(&query, heads)?, split(&key, kv_heads)?);
        if let Some((query_norm, key_norm)) = &layer.norms.query_key {
            query = self.normed(&query, query_norm)?;
            key = self.normed(&key, key_norm)?;
        }
        let (query, key) = (self.turn(&query, place)?, self.turn(&key, place)?);
        let (keys, values) = cache.append(&key, &split(&value, kv_heads)?)?;

        // Queries that share a key are rows of one product: (kv head, group * length, head_dim).
        let group = heads / kv_heads;
        let query = query.reshape((kv_heads, group * length, head_dim))?;
        let scores = (query.matmul(&keys.t()?)? / (head_dim as f64).sqrt())?.to_dtype(DType::F32)?;
        let scores = match &place.mask {
            None => scores,
            Some(mask) => {
                let (shape, total) = (scores.shape().clone(), keys.dim(1)?);
                scores.reshape((heads, length, total))?.broadcast_add(mask)?.reshape(shape)?
            }
        };
        let mixed = ops::softmax_last_dim(&scores)?.to_dtype(self.dtype)?.matmul(&values)?;
        mixed.reshape((heads, length, head_dim))?.transpose(0, 1)?.reshape((length, heads * head_dim))
    }

    /// Rotates queries or keys by their positions.
    fn turn(&self, x: &Tensor, place: &Place) -> Candle<Tensor> {
        let rope = if self.architecture.interleaved { rotary_emb::rope_i } else { rotary_emb::rope };
        rope(&x.unsqueeze(0)?, &place.cos, &place.sin)?.squeeze(0)
    }
}
