//! Models of the shapes that are used in practice, with random weights: nothing has to be downloaded, and neither
//! agreement nor speed depends on what a model has learned.

use std::path::Path;

use forethought_sdk::prelude::*;
use forethought_sdk::seed::{self, RngExt};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

/// The shape of a transformer.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) layers: usize,
    pub(crate) hidden: usize,
    pub(crate) heads: usize,
    pub(crate) key_heads: usize,
    pub(crate) inner: usize,
    pub(crate) vocabulary: usize,
}

/// all-MiniLM-L6-v2.
pub(crate) const ENCODER: Shape =
    Shape { layers: 6, hidden: 384, heads: 12, key_heads: 12, inner: 1536, vocabulary: 30_522 };

/// SmolLM2-135M.
pub(crate) const CHAT: Shape =
    Shape { layers: 30, hidden: 576, heads: 9, key_heads: 3, inner: 1536, vocabulary: 49_152 };

/// For a trial that takes a second.
pub(crate) const TINY_ENCODER: Shape =
    Shape { layers: 2, hidden: 32, heads: 4, key_heads: 4, inner: 64, vocabulary: 6000 };

/// For a trial that takes a second.
pub(crate) const TINY_CHAT: Shape =
    Shape { layers: 2, hidden: 32, heads: 4, key_heads: 2, inner: 64, vocabulary: 6000 };

/// Writes a sentence encoder of BERT's kind into `folder`.
pub(crate) fn encoder(folder: &Path, shape: Shape) -> Result<()> {
    let Shape { layers, hidden, heads, inner, vocabulary, .. } = shape;
    write(
        folder,
        "config.json",
        &json!({
            "model_type": "bert", "hidden_act": "gelu", "vocab_size": vocabulary, "hidden_size": hidden,
            "num_hidden_layers": layers, "num_attention_heads": heads, "intermediate_size": inner,
            "max_position_embeddings": 512, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
        }),
    )?;
    tokenizer(folder, vocabulary)?;
    let mut weights = Weights::new("encoder");
    weights.matrix("embeddings.word_embeddings", vocabulary, hidden);
    weights.matrix("embeddings.position_embeddings", 512, hidden);
    weights.matrix("embeddings.token_type_embeddings", 2, hidden);
    weights.norm("embeddings.LayerNorm", hidden, true);
    for layer in 0..layers {
        let layer = format!("encoder.layer.{layer}");
        for name in
            ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"]
        {
            weights.linear(&format!("{layer}.{name}"), hidden, hidden);
        }
        weights.norm(&format!("{layer}.attention.output.LayerNorm"), hidden, true);
        weights.linear(&format!("{layer}.intermediate.dense"), inner, hidden);
        weights.linear(&format!("{layer}.output.dense"), hidden, inner);
        weights.norm(&format!("{layer}.output.LayerNorm"), hidden, true);
    }
    weights.write(folder)
}

/// Writes a chat model of Llama's kind into `folder`.
pub(crate) fn chat(folder: &Path, shape: Shape) -> Result<()> {
    let Shape { layers, hidden, heads, key_heads, inner, vocabulary } = shape;
    let keys = hidden / heads * key_heads;
    write(
        folder,
        "config.json",
        &json!({
            "model_type": "llama", "hidden_act": "silu", "vocab_size": vocabulary, "hidden_size": hidden,
            "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": key_heads,
            "intermediate_size": inner, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5,
            "rope_theta": 10_000.0, "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2,
        }),
    )?;
    write(folder, "tokenizer_config.json", &json!({ "chat_template": "{{ messages[0].content }}" }))?;
    tokenizer(folder, vocabulary)?;
    let mut weights = Weights::new("chat");
    weights.matrix("model.embed_tokens", vocabulary, hidden);
    for layer in 0..layers {
        let layer = format!("model.layers.{layer}");
        weights.norm(&format!("{layer}.input_layernorm"), hidden, false);
        weights.norm(&format!("{layer}.post_attention_layernorm"), hidden, false);
        for (name, rows, columns) in [
            ("self_attn.q_proj", hidden, hidden),
            ("self_attn.k_proj", keys, hidden),
            ("self_attn.v_proj", keys, hidden),
            ("self_attn.o_proj", hidden, hidden),
            ("mlp.gate_proj", inner, hidden),
            ("mlp.up_proj", inner, hidden),
            ("mlp.down_proj", hidden, inner),
        ] {
            weights.matrix(&format!("{layer}.{name}"), rows, columns);
        }
    }
    weights.norm("model.norm", hidden, false);
    weights.write(folder)
}

/// Texts of 5 to 120 words, as outcomes, thoughts and states come mixed.
pub(crate) fn texts(count: usize) -> Vec<String> {
    let mut random = seed::stream(7, "gpu-check/texts");
    (0..count)
        .map(|_| {
            let words =
                if random.random() { random.random_range(5..15) } else { random.random_range(30..120) };
            (0..words).map(|_| format!("w{} ", random.random_range(0..5000))).collect()
        })
        .collect()
}

fn write(folder: &Path, name: &str, value: &Value) -> Result<()> {
    let path = folder.join(name);
    std::fs::write(&path, value.to_string()).context(format!("writing {}", path.display()))
}

/// A token for each word `w0` to `w4999`.
fn tokenizer(folder: &Path, vocabulary: usize) -> Result<()> {
    let names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"].map(str::to_owned);
    let words = names.into_iter().chain((0..vocabulary - 4).map(|at| format!("w{at}")));
    let vocabulary: serde_json::Map<_, _> = words.enumerate().map(|(id, word)| (word, json!(id))).collect();
    write(
        folder,
        "tokenizer.json",
        &json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "decoder": null,
            "normalizer": null, "pre_tokenizer": { "type": "Whitespace" },
            "post_processor": { "type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2] },
            "model": { "type": "WordLevel", "unk_token": "[UNK]", "vocab": vocabulary },
        }),
    )
}

/// Random tensors by name.
struct Weights {
    random: seed::ChaCha8Rng,
    tensors: Vec<(String, Vec<usize>, Vec<u8>)>,
}

impl Weights {
    fn new(name: &str) -> Self {
        Self { random: seed::stream(7, &format!("gpu-check/{name}")), tensors: Vec::new() }
    }

    fn add(&mut self, name: String, shape: Vec<usize>, around: f32, width: f32) {
        let count: usize = shape.iter().product();
        let numbers =
            (0..count).flat_map(|_| (around + self.random.random_range(-width..width)).to_le_bytes());
        let bytes = numbers.collect();
        self.tensors.push((name, shape, bytes));
    }

    /// Without a bias; the numbers keep the size of what passes through.
    fn matrix(&mut self, name: &str, rows: usize, columns: usize) {
        self.add(format!("{name}.weight"), vec![rows, columns], 0.0, (3.0 / columns as f32).sqrt());
    }

    fn linear(&mut self, name: &str, rows: usize, columns: usize) {
        self.matrix(name, rows, columns);
        self.add(format!("{name}.bias"), vec![rows], 0.0, 0.1);
    }

    fn norm(&mut self, name: &str, size: usize, bias: bool) {
        self.add(format!("{name}.weight"), vec![size], 1.0, 0.1);
        if bias {
            self.add(format!("{name}.bias"), vec![size], 0.0, 0.1);
        }
    }

    fn write(self, folder: &Path) -> Result<()> {
        let views = self.tensors.iter().map(|(name, shape, bytes)| {
            TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name.as_str(), view))
        });
        let views: Vec<_> =
            views.collect::<Result<_, _>>().map_err(|error| Error::other(error.to_string()))?;
        let path = folder.join("model.safetensors");
        safetensors::serialize_to_file(views, None, &path)
            .map_err(|error| Error::other(format!("writing {}: {error}", path.display())))
    }
}
