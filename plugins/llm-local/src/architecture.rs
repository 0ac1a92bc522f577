//! The network that a model's files describe: `config.json`, or the header of a GGUF file. Features that are not
//! supported are refused here by name: a model is never computed differently from how it was trained.

use std::path::Path;

use candle_core::quantized::gguf_file::Value as Meta;
use forethought_sdk::{api::text::unmarked_bytes, prelude::*, serde_json::Value};

use crate::weights::Gguf;

/// The sizes and variants of a decoder.
#[derive(Debug, Clone)]
pub(crate) struct Architecture {
    pub(crate) hidden: usize,
    pub(crate) inner: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) vocabulary: usize,
    pub(crate) epsilon: f32,
    /// Rotation per position of each pair of a head's dimensions, in radians, scaled as the model says.
    pub(crate) frequencies: Vec<f32>,
    /// Pairs are neighbours (GGUF files of Llama) and not halves apart.
    pub(crate) interleaved: bool,
    /// The output layer is the embedding.
    pub(crate) tied: bool,
    pub(crate) biases: Biases,
    /// Queries and keys are normed, head by head.
    pub(crate) query_key_norms: bool,
    /// Longest text that the model was made for, in tokens.
    pub(crate) context: usize,
    /// Tokens that end an answer.
    pub(crate) ends: Vec<u32>,
}

/// Which linear layers have a bias.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Biases {
    pub(crate) query_key_value: bool,
    pub(crate) output: bool,
    pub(crate) inner: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Llama,
    Qwen2,
    Qwen3,
}

impl Family {
    /// By `model_type`, or by the name in GGUF files, which is the same.
    fn named(name: &str) -> Result<Self> {
        match name {
            "llama" => Ok(Self::Llama),
            "qwen2" => Ok(Self::Qwen2),
            "qwen3" => Ok(Self::Qwen3),
            _ => Err(Error::config(format!(
                "the architecture is {name:?}; \"llama\", \"qwen2\" and \"qwen3\" are supported"
            ))),
        }
    }
}

/// `config.json`, as far as the network depends on it.
#[data]
#[derive(Debug)]
struct ConfigFile {
    #[serde(default)]
    architectures: Vec<String>,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    #[serde(default)]
    num_key_value_heads: Option<usize>,
    #[serde(default)]
    head_dim: Option<usize>,
    vocab_size: usize,
    hidden_act: String,
    rms_norm_eps: f32,
    max_position_embeddings: usize,
    #[serde(default)]
    rope_theta: Option<f64>,
    #[serde(default)]
    rope_scaling: Option<Rope>,
    /// Where version 5 of transformers writes what used to be in the two keys above.
    #[serde(default)]
    rope_parameters: Option<Rope>,
    #[serde(default)]
    partial_rotary_factor: Option<f64>,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    use_sliding_window: bool,
    #[serde(default)]
    layer_types: Option<Vec<String>>,
    #[serde(default)]
    pretraining_tp: Option<usize>,
    #[serde(default)]
    quantization_config: Option<Value>,
    #[serde(default)]
    eos_token_id: Option<Ends>,
}

#[data]
#[derive(Debug, Default)]
#[serde(default)]
struct Rope {
    rope_type: Option<String>,
    /// The older name of `rope_type`.
    r#type: Option<String>,
    rope_theta: Option<f64>,
    partial_rotary_factor: Option<f64>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    original_max_position_embeddings: Option<f64>,
}

/// One token id or several. Numbers below 0 mean no token.
#[derive(Debug, Clone)]
pub(crate) struct Ends(Vec<u32>);

impl<'de> Deserialize<'de> for Ends {
    fn deserialize<D: forethought_sdk::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let one = |value: &Value| {
            value.as_i64().map(|id| u32::try_from(id).ok()).ok_or_else(|| {
                forethought_sdk::serde::de::Error::custom(format!(
                    "`eos_token_id` is {value}; it must be the number of a token, or a list of numbers"
                ))
            })
        };
        let ids = match &value {
            Value::Array(several) => several.iter().map(one).collect::<Result<Vec<_>, _>>()?,
            value => vec![one(value)?],
        };
        Ok(Self(ids.into_iter().flatten().collect()))
    }
}

impl From<Ends> for Vec<u32> {
    fn from(ends: Ends) -> Self {
        ends.0
    }
}

impl Architecture {
    /// Of a `config.json`.
    pub(crate) fn from_config(path: &Path, text: &[u8]) -> Result<Self> {
        Self::read_config(text).context(format!("{} cannot be used", path.display()))
    }

    fn read_config(text: &[u8]) -> Result<Self> {
        let unreadable = |error: forethought_sdk::serde_json::Error| Error::input(error.to_string());
        let mut value: Value =
            forethought_sdk::serde_json::from_slice(unmarked_bytes(text)).map_err(unreadable)?;
        // Publishers write null for a key that says nothing.
        if let Some(keys) = value.as_object_mut() {
            keys.retain(|_, value| !value.is_null());
        }
        // First, because the other keys mean nothing in an unknown family.
        let family = Family::named(value["model_type"].as_str().unwrap_or("(no `model_type`)"))?;
        let config: ConfigFile = forethought_sdk::serde_json::from_value(value).map_err(unreadable)?;
        refuse(
            config.architectures.iter().find(|class| !class.ends_with("ForCausalLM")),
            "`architectures`: a model that does not write text",
        )?;
        refuse(Some(&config.hidden_act).filter(|act| *act != "silu"), "`hidden_act` other than \"silu\"")?;
        refuse(config.use_sliding_window.then_some(true), "`use_sliding_window`")?;
        refuse(
            config.layer_types.iter().flatten().find(|kind| *kind != "full_attention"),
            "`layer_types` other than \"full_attention\"",
        )?;
        refuse(config.pretraining_tp.filter(|&parts| parts > 1), "`pretraining_tp` above 1")?;
        if let Some(quantization) = &config.quantization_config {
            let method = quantization["quant_method"].as_str().unwrap_or("of an unknown kind");
            return Err(Error::config(format!(
                "quantised weights ({method}) are not supported in safetensors files; use the model in its original \
                 precision, or quantised as a GGUF file"
            )));
        }
        let rope = match config.rope_parameters {
            Some(rope) => rope,
            None => Rope { rope_theta: config.rope_theta, ..config.rope_scaling.unwrap_or_default() },
        };
        let part = rope.partial_rotary_factor.or(config.partial_rotary_factor);
        refuse(part.filter(|&part| part != 1.0), "`partial_rotary_factor` other than 1")?;
        let heads = config.num_attention_heads;
        let head_dim = match (config.head_dim, family) {
            (Some(size), _) => size,
            // The default of transformers.
            (None, Family::Qwen3) => 128,
            (None, _) => config.hidden_size / heads.max(1),
        };
        let architecture = Self {
            hidden: config.hidden_size,
            inner: config.intermediate_size,
            layers: config.num_hidden_layers,
            heads,
            kv_heads: config.num_key_value_heads.unwrap_or(heads),
            head_dim,
            vocabulary: config.vocab_size,
            epsilon: config.rms_norm_eps,
            frequencies: rope.frequencies(head_dim)?,
            interleaved: false,
            tied: config.tie_word_embeddings,
            biases: Biases {
                query_key_value: config.attention_bias || family == Family::Qwen2,
                output: config.attention_bias && family != Family::Qwen2,
                inner: config.mlp_bias && family == Family::Llama,
            },
            query_key_norms: family == Family::Qwen3,
            context: config.max_position_embeddings,
            ends: config.eos_token_id.map_or_else(Vec::new, Vec::from),
        };
        architecture.check()?;
        Ok(architecture)
    }

    /// Of the header of a GGUF file; `factors` are those of its tensor `rope_freqs.weight`, if it has one.
    pub(crate) fn from_gguf(file: &Gguf, factors: Option<Vec<f32>>) -> Result<Self> {
        let content = &file.content;
        let name = match content.metadata.get("general.architecture") {
            Some(Meta::String(name)) => name,
            _ => return Err(Error::input("no `general.architecture`")),
        };
        let family = Family::named(name)?;
        let optional = |key: &str| content.metadata.get(&format!("{name}.{key}"));
        let number = |key: &str| optional(key).and_then(number);
        let needed = |key: &str| {
            number(key).map(|n| n as usize).ok_or_else(|| Error::input(format!("no number `{name}.{key}`")))
        };
        let has = |tensor: &str| file.shape(tensor).is_some();
        let parts = content.metadata.get("split.count").and_then(self::number).map(|parts| parts as usize);
        if let Some(parts) = parts.filter(|&parts| parts > 1 && parts != file.parts()) {
            return Err(Error::config(format!(
                "the model is in {parts} GGUF files, of which {} is found; put all of them into one folder, with the \
                 names that they were published under (NAME-00001-of-{parts:05}.gguf and so on)",
                file.parts()
            )));
        }
        refuse(
            number("expert_count").filter(|&count| count > 0.0),
            "`expert_count` above 0: a mixture of experts",
        )?;
        refuse(number("attention.sliding_window").filter(|&size| size > 0.0), "`attention.sliding_window`")?;
        let heads = needed("attention.head_count")?;
        let hidden = needed("embedding_length")?;
        let head_dim = number("attention.key_length").map_or(hidden / heads.max(1), |size| size as usize);
        for key in ["attention.value_length", "rope.dimension_count"] {
            refuse(
                number(key).filter(|&size| size as usize != head_dim),
                &format!("a `{key}` other than {head_dim}"),
            )?;
        }
        let rope = Rope {
            rope_type: match optional("rope.scaling.type") {
                Some(Meta::String(kind)) if kind != "none" => Some(kind.clone()),
                _ => None,
            },
            rope_theta: number("rope.freq_base"),
            factor: number("rope.scaling.factor"),
            ..Rope::default()
        };
        let mut frequencies = rope.frequencies(head_dim)?;
        if let Some(factors) = factors {
            if factors.len() != frequencies.len() {
                return Err(Error::input(format!(
                    "`rope_freqs.weight` has {} values, not {}",
                    factors.len(),
                    frequencies.len()
                )));
            }
            frequencies.iter_mut().zip(factors).for_each(|(turn, factor)| *turn /= factor);
        }
        let end = |key: &str| content.metadata.get(key).and_then(self::number).map(|id| id as u32);
        let architecture = Self {
            hidden,
            inner: needed("feed_forward_length")?,
            layers: needed("block_count")?,
            heads,
            kv_heads: number("attention.head_count_kv").map_or(heads, |count| count as usize),
            head_dim,
            vocabulary: file
                .shape("token_embd.weight")
                .and_then(|shape| shape.first().copied())
                .ok_or_else(|| Error::input("no tensor `token_embd.weight`"))?,
            epsilon: number("attention.layer_norm_rms_epsilon")
                .ok_or_else(|| Error::input(format!("no number `{name}.attention.layer_norm_rms_epsilon`")))?
                as f32,
            frequencies,
            interleaved: family == Family::Llama,
            tied: !has("output.weight"),
            biases: Biases {
                query_key_value: has("blk.0.attn_q.bias"),
                output: has("blk.0.attn_output.bias"),
                inner: has("blk.0.ffn_gate.bias"),
            },
            query_key_norms: family == Family::Qwen3,
            context: needed("context_length")?,
            ends: ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"]
                .into_iter()
                .filter_map(end)
                .collect(),
        };
        architecture.check()?;
        Ok(architecture)
    }

    fn check(&self) -> Result<()> {
        let Self { hidden, inner, layers, heads, kv_heads, head_dim, vocabulary, context, .. } = *self;
        if [hidden, inner, layers, heads, kv_heads, head_dim, vocabulary, context].contains(&0) {
            return Err(Error::input("a size is 0"));
        }
        if heads.checked_mul(head_dim).is_none() {
            return Err(Error::input(format!(
                "{heads} attention heads of {head_dim} dimensions are too large"
            )));
        }
        if !heads.is_multiple_of(kv_heads) || !head_dim.is_multiple_of(2) {
            return Err(Error::input(format!(
                "{heads} attention heads of {head_dim} dimensions cannot share {kv_heads} key-value heads"
            )));
        }
        Ok(())
    }
}

/// Weights of a layer's norms, as a network has its vectors.
pub(crate) struct Norms<T> {
    pub(crate) attention: T,
    pub(crate) inner: T,
    /// Of queries and keys, in families that have them.
    pub(crate) query_key: Option<(T, T)>,
}

impl<T> Norms<T> {
    /// Those of the layer `index`; `vector` reads a weight by its name and size.
    pub(crate) fn take(
        architecture: &Architecture,
        index: usize,
        mut vector: impl FnMut(&str, usize) -> Result<T>,
    ) -> Result<Self> {
        let mut norm = |name, size| vector(&format!("model.layers.{index}.{name}.weight"), size);
        let (hidden, head_dim) = (architecture.hidden, architecture.head_dim);
        Ok(Self {
            attention: norm("input_layernorm", hidden)?,
            inner: norm("post_attention_layernorm", hidden)?,
            query_key: match architecture.query_key_norms {
                true => Some((norm("self_attn.q_norm", head_dim)?, norm("self_attn.k_norm", head_dim)?)),
                false => None,
            },
        })
    }
}

/// An error if something unsupported was found.
fn refuse(found: Option<impl std::fmt::Debug>, what: &str) -> Result<()> {
    match found {
        Some(found) => Err(Error::config(format!("{what} is not supported (found {found:?})"))),
        None => Ok(()),
    }
}

pub(crate) fn number(value: &Meta) -> Option<f64> {
    match value {
        Meta::F32(value) => Some(f64::from(*value)),
        Meta::F64(value) => Some(*value),
        value => value.to_u64().ok().map(|value| value as f64),
    }
}

impl Rope {
    /// As transformers computes them (`modeling_rope_utils.py`), in the same precision.
    fn frequencies(&self, head_dim: usize) -> Result<Vec<f32>> {
        if head_dim > 1 << 16 {
            return Err(Error::input(format!("attention heads of {head_dim} dimensions are too large")));
        }
        let theta = self.rope_theta.unwrap_or(10_000.0) as f32;
        let plain = (0..head_dim / 2).map(|pair| 1.0 / theta.powf((2 * pair) as f32 / head_dim as f32));
        let key = |name: &str, value: Option<f64>| {
            let value = value.filter(|value| *value > 0.0);
            value.ok_or_else(|| Error::input(format!("`rope_scaling` has no usable `{name}`")))
        };
        match self.rope_type.as_ref().or(self.r#type.as_ref()).map_or("default", String::as_str) {
            "default" => Ok(plain.collect()),
            "linear" => {
                let factor = key("factor", self.factor)? as f32;
                Ok(plain.map(|turn| turn / factor).collect())
            }
            "llama3" => {
                let factor = key("factor", self.factor)? as f32;
                let low = key("low_freq_factor", self.low_freq_factor)? as f32;
                let high = key("high_freq_factor", self.high_freq_factor)? as f32;
                let old = "original_max_position_embeddings";
                let old = key(old, self.original_max_position_embeddings)? as f32;
                Ok(plain
                    .map(|turn| {
                        let wavelength = 2.0 * std::f32::consts::PI / turn;
                        if wavelength < old / high {
                            turn
                        } else if wavelength > old / low {
                            turn / factor
                        } else {
                            let smooth = (old / wavelength - low) / (high - low);
                            (1.0 - smooth) * turn / factor + smooth * turn
                        }
                    })
                    .collect())
            }
            other => Err(Error::config(format!(
                "positions scaled by {other:?} are not supported, only \"linear\" and \"llama3\" are; if the model \
                 needs scaling only for long texts, remove the scaling from its file and set `context` to the length \
                 it was trained on"
            ))),
        }
    }
}
