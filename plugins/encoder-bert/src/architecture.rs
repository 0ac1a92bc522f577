//! What `config.json` says of the network: one description for all families, and refusals of what is not supported.
//!
//! The families differ in data alone: names of tensors, how positions are told apart, which layers have biases, and
//! whether norms come before or after what they normalise.

use forethought_sdk::{
    prelude::*,
    serde::de::DeserializeOwned,
    serde_json::{self, Value},
};

/// A network of any of the families.
#[derive(Debug, Clone)]
pub(crate) struct Architecture {
    pub(crate) names: &'static Names,
    pub(crate) vocab_size: usize,
    pub(crate) hidden_size: usize,
    pub(crate) num_hidden_layers: usize,
    pub(crate) num_attention_heads: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) layer_norm_eps: f32,
    pub(crate) activation: Activation,
    /// Whether the inner layer is twice as wide, and its second half multiplies the activated first (arXiv 2002.05202).
    pub(crate) gated: bool,
    pub(crate) positions: Positions,
    /// Rows of the table of token types, of which a single text has the first; 0 if there is no table.
    pub(crate) type_vocab_size: usize,
    /// Buckets of the bias that attention scores get by relative position, or 0 (arXiv 2004.09297, 1910.10683).
    pub(crate) relative_buckets: usize,
    pub(crate) biases: Biases,
    /// Whether a block normalises what it reads instead of what it gives.
    pub(crate) norm_first: bool,
    /// Longest text in tokens.
    pub(crate) max_tokens: usize,
}

/// How a token's position enters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Positions {
    /// By a learned vector for each position. With `padding`, the padding token of the vocabulary, numbers begin after
    /// the one of that token, which every padding token has.
    Learned { count: usize, padding: Option<u32> },
    /// By rotating queries and keys, layer by layer (arXiv 2104.09864).
    Rotary(Vec<Rotary>),
}

/// How far a layer looks, and its rotation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rotary {
    /// The base of the angles.
    pub(crate) theta: f64,
    /// The most positions between a token and those that it attends to; `None` if it attends to all.
    pub(crate) window: Option<usize>,
}

/// Which parts have biases.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Biases {
    pub(crate) attention: bool,
    pub(crate) feed_forward: bool,
    pub(crate) norm: bool,
}

impl Biases {
    const ALL: Self = Self { attention: true, feed_forward: true, norm: true };
}

/// The activation between the two layers of a feed-forward block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    Gelu,
    GeluTanh,
    Relu,
    Silu,
}

impl Activation {
    fn named(key: &str, name: &str) -> Result<Self> {
        match name {
            "gelu" => Ok(Self::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" => Ok(Self::GeluTanh),
            "relu" => Ok(Self::Relu),
            "silu" | "swish" => Ok(Self::Silu),
            other => Err(Error::config(format!(
                "`{key}` is {other:?}, not \"gelu\", \"gelu_new\", \"relu\" or \"silu\""
            ))),
        }
    }
}

/// What a family calls its tensors. Several names in a list are one matrix here, one under the other.
#[derive(Debug)]
pub(crate) struct Names {
    /// What some files have before every name.
    pub(crate) prefix: &'static str,
    pub(crate) words: &'static str,
    pub(crate) positions: &'static str,
    pub(crate) types: &'static str,
    pub(crate) relative: &'static str,
    /// The norm of the embeddings.
    pub(crate) norm: &'static str,
    /// What the number of a layer follows.
    pub(crate) layer: &'static str,
    pub(crate) query_key_value: &'static [&'static str],
    pub(crate) attention_output: &'static str,
    pub(crate) attention_norm: &'static str,
    /// The first layer of the feed-forward block; the part that is activated comes first.
    pub(crate) intermediate: &'static [&'static str],
    pub(crate) output: &'static str,
    pub(crate) output_norm: &'static str,
    /// The norm after the last layer, or empty.
    pub(crate) last_norm: &'static str,
}

static BERT: Names = Names {
    prefix: "bert.",
    words: "embeddings.word_embeddings",
    positions: "embeddings.position_embeddings",
    types: "embeddings.token_type_embeddings",
    relative: "",
    norm: "embeddings.LayerNorm",
    layer: "encoder.layer",
    query_key_value: &["attention.self.query", "attention.self.key", "attention.self.value"],
    attention_output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    intermediate: &["intermediate.dense"],
    output: "output.dense",
    output_norm: "output.LayerNorm",
    last_norm: "",
};
static ROBERTA: Names = Names { prefix: "roberta.", ..BERT };
static MPNET: Names = Names {
    prefix: "mpnet.",
    relative: "encoder.relative_attention_bias",
    query_key_value: &["attention.attn.q", "attention.attn.k", "attention.attn.v"],
    attention_output: "attention.attn.o",
    attention_norm: "attention.LayerNorm",
    ..BERT
};
static DISTILBERT: Names = Names {
    prefix: "distilbert.",
    layer: "transformer.layer",
    query_key_value: &["attention.q_lin", "attention.k_lin", "attention.v_lin"],
    attention_output: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    intermediate: &["ffn.lin1"],
    output: "ffn.lin2",
    output_norm: "output_layer_norm",
    ..BERT
};
static NOMIC_BERT: Names = Names {
    prefix: "bert.",
    norm: "emb_ln",
    layer: "encoder.layers",
    query_key_value: &["attn.Wqkv"],
    attention_output: "attn.out_proj",
    attention_norm: "norm1",
    intermediate: &["mlp.fc12", "mlp.fc11"],
    output: "mlp.fc2",
    output_norm: "norm2",
    ..BERT
};
static MODERN_BERT: Names = Names {
    prefix: "model.",
    words: "embeddings.tok_embeddings",
    norm: "embeddings.norm",
    layer: "layers",
    query_key_value: &["attn.Wqkv"],
    attention_output: "attn.Wo",
    attention_norm: "attn_norm",
    intermediate: &["mlp.Wi"],
    output: "mlp.Wo",
    output_norm: "mlp_norm",
    last_norm: "final_norm",
    ..BERT
};

/// Reads the rest of `config.json`, whose `model_type` is known.
type Read = fn(Value) -> Result<Architecture>;

/// Every `model_type` that is supported.
const FAMILIES: &[(&str, Read)] = &[
    ("bert", bert),
    ("roberta", roberta),
    ("xlm-roberta", roberta),
    ("camembert", roberta),
    ("mpnet", mpnet),
    ("distilbert", distilbert),
    ("nomic_bert", nomic_bert),
    ("modernbert", modernbert),
];

impl Architecture {
    /// The network that a `config.json` describes. Its `model_type` is looked at before anything else.
    pub(crate) fn read(config: Value) -> Result<Self> {
        let named = config["model_type"].as_str();
        let Some((_, read)) = FAMILIES.iter().find(|(name, _)| Some(*name) == named) else {
            let known: Vec<_> = FAMILIES.iter().map(|(name, _)| format!("{name:?}")).collect();
            return Err(Error::config(format!(
                "`model_type` is {}; this encoder runs {}",
                named.map_or("missing".to_owned(), |name| format!("{name:?}")),
                known.join(", ")
            )));
        };
        let architecture = read(config)?;
        architecture.check()?;
        Ok(architecture)
    }

    fn check(&self) -> Result<()> {
        let (hidden, heads) = (self.hidden_size, self.num_attention_heads);
        if heads == 0 || !hidden.is_multiple_of(heads) {
            return Err(Error::input(format!(
                "`hidden_size` {hidden} cannot be split among {heads} attention heads"
            )));
        }
        if self.max_tokens == 0 {
            return Err(Error::input("`max_position_embeddings` leaves no position for a token"));
        }
        match &self.positions {
            Positions::Rotary(_) if !(hidden / heads).is_multiple_of(2) => {
                Err(Error::input(format!("heads of {} numbers cannot be rotated in pairs", hidden / heads)))
            }
            _ => Ok(()),
        }
    }
}

/// The keys of a family, which are there if `model_type` is right.
fn keys<T: DeserializeOwned>(config: Value) -> Result<T> {
    serde_json::from_value(config).map_err(|error| Error::input(error.to_string()))
}

/// Refuses a setting that changes the network in a way that is not supported. A missing or null one is the usual.
fn usual(config: &Value, key: &str, expected: Value) -> Result<()> {
    match config.get(key) {
        Some(found) if !found.is_null() && !same(found, &expected) => {
            Err(Error::config(format!("`{key}` is {found}, and only {expected} is supported")))
        }
        _ => Ok(()),
    }
}

/// Whether two values are equal, numbers as numbers: `1` is `1.0`.
fn same(one: &Value, other: &Value) -> bool {
    one == other || one.as_f64().is_some() && one.as_f64() == other.as_f64()
}

#[data]
struct BertFile {
    hidden_act: String,
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    #[serde(default)]
    type_vocab_size: Option<usize>,
    layer_norm_eps: f32,
    #[serde(default)]
    pad_token_id: Option<u32>,
    #[serde(default)]
    relative_attention_num_buckets: Option<usize>,
}

impl BertFile {
    /// `padding` is the token before whose number no position begins.
    fn architecture(self, names: &'static Names, types: bool, padding: Option<u32>) -> Result<Architecture> {
        let type_vocab_size = match (types, self.type_vocab_size) {
            (false, _) => 0,
            (true, Some(types)) if types > 0 => types,
            (true, _) => return Err(Error::input("missing field `type_vocab_size`")),
        };
        let taken = padding.map_or(0, |token| token as usize + 1);
        Ok(Architecture {
            names,
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            intermediate_size: self.intermediate_size,
            layer_norm_eps: self.layer_norm_eps,
            activation: Activation::named("hidden_act", &self.hidden_act)?,
            gated: false,
            positions: Positions::Learned { count: self.max_position_embeddings, padding },
            type_vocab_size,
            relative_buckets: 0,
            biases: Biases::ALL,
            norm_first: false,
            max_tokens: self.max_position_embeddings.saturating_sub(taken),
        })
    }
}

/// BERT (arXiv 1810.04805).
fn bert(config: Value) -> Result<Architecture> {
    usual(&config, "position_embedding_type", "absolute".into())?;
    keys::<BertFile>(config)?.architecture(&BERT, true, None)
}

/// RoBERTa and XLM-RoBERTa (arXiv 1907.11692, 1911.02116): BERT, with positions that begin after that of padding.
fn roberta(config: Value) -> Result<Architecture> {
    usual(&config, "position_embedding_type", "absolute".into())?;
    let file: BertFile = keys(config)?;
    let padding = file.pad_token_id.unwrap_or(1);
    file.architecture(&ROBERTA, true, Some(padding))
}

/// MPNet (arXiv 2004.09297): the same without token types, and with a bias by relative position.
fn mpnet(config: Value) -> Result<Architecture> {
    let file: BertFile = keys(config)?;
    let relative_buckets = file.relative_attention_num_buckets.unwrap_or(32);
    if relative_buckets < 4 {
        return Err(Error::input(format!(
            "`relative_attention_num_buckets` is {relative_buckets}; it must be at least 4"
        )));
    }
    // The number is fixed in the network's definition, and is not that of the vocabulary's padding.
    Ok(Architecture { relative_buckets, ..file.architecture(&MPNET, false, Some(1))? })
}

#[data]
struct DistilBertFile {
    activation: String,
    vocab_size: usize,
    dim: usize,
    n_layers: usize,
    n_heads: usize,
    hidden_dim: usize,
    max_position_embeddings: usize,
}

/// DistilBERT (arXiv 1910.01108): BERT without token types.
fn distilbert(config: Value) -> Result<Architecture> {
    let file: DistilBertFile = keys(config)?;
    let activation = Activation::named("activation", &file.activation)?;
    let bert = BertFile {
        hidden_act: "gelu".into(),
        vocab_size: file.vocab_size,
        hidden_size: file.dim,
        num_hidden_layers: file.n_layers,
        num_attention_heads: file.n_heads,
        intermediate_size: file.hidden_dim,
        max_position_embeddings: file.max_position_embeddings,
        type_vocab_size: None,
        layer_norm_eps: 1e-12,
        pad_token_id: None,
        relative_attention_num_buckets: None,
    };
    Ok(Architecture { activation, ..bert.architecture(&DISTILBERT, false, None)? })
}

/// Names of the model's own code, and those of version 5 of transformers.
const NOMIC_KEYS: [(&str, &str); 6] = [
    ("n_embd", "hidden_size"),
    ("n_layer", "num_hidden_layers"),
    ("n_head", "num_attention_heads"),
    ("n_inner", "intermediate_size"),
    ("n_positions", "max_position_embeddings"),
    ("layer_norm_epsilon", "layer_norm_eps"),
];

#[data]
struct NomicBertFile {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    layer_norm_eps: f32,
    #[serde(default)]
    type_vocab_size: usize,
    #[serde(default)]
    activation_function: Option<String>,
    #[serde(default)]
    hidden_act: Option<String>,
    #[serde(default)]
    rotary_emb_base: Option<f64>,
    #[serde(default)]
    rope_parameters: Option<Rope>,
    /// By which angles change in texts longer than `max_trained_positions`.
    #[serde(default)]
    rotary_scaling_factor: Option<f64>,
    #[serde(default)]
    max_trained_positions: Option<usize>,
}

/// NomicBert (arXiv 2402.01613): BERT with rotary positions and SwiGLU, without biases.
fn nomic_bert(mut config: Value) -> Result<Architecture> {
    for (own, usual) in NOMIC_KEYS {
        if let Some(value) = config.get(own).filter(|_| config.get(usual).is_none()).cloned() {
            config[usual] = value;
        }
    }
    for (key, expected) in [
        ("prenorm", false.into()),
        ("parallel_block", false.into()),
        ("use_rms_norm", false.into()),
        ("causal", false.into()),
        ("rotary_emb_fraction", 1.0.into()),
        ("rotary_emb_interleaved", false.into()),
        ("rotary_emb_scale_base", Value::Null),
        ("qkv_proj_bias", false.into()),
        ("mlp_fc1_bias", false.into()),
        ("mlp_fc2_bias", false.into()),
        ("num_experts", 0.into()),
        ("moe_every_n_layers", 0.into()),
    ] {
        usual(&config, key, expected)?;
    }
    let file: NomicBertFile = keys(config)?;
    let activation = match (file.activation_function.as_deref(), file.hidden_act.as_deref()) {
        (Some("swiglu"), _) => Activation::Silu,
        (Some("glu" | "geglu"), _) | (None, None) => {
            return Err(Error::config("`activation_function` is not \"swiglu\""));
        }
        (Some(name), _) => {
            return Err(Error::config(format!("`activation_function` is {name:?}, not \"swiglu\"")));
        }
        (None, Some(name)) => Activation::named("hidden_act", name)?,
    };
    let theta = match &file.rope_parameters {
        Some(rope) => rope.theta()?.or(file.rotary_emb_base),
        None => file.rotary_emb_base,
    };
    let rotary = Rotary { theta: theta.unwrap_or(1000.0), window: None };
    // Texts for which the angles would change are cut.
    let trained = file.rotary_scaling_factor.and(file.max_trained_positions).filter(|trained| *trained > 0);
    Ok(Architecture {
        names: &NOMIC_BERT,
        vocab_size: file.vocab_size,
        hidden_size: file.hidden_size,
        num_hidden_layers: file.num_hidden_layers,
        num_attention_heads: file.num_attention_heads,
        intermediate_size: file.intermediate_size,
        layer_norm_eps: file.layer_norm_eps,
        activation,
        gated: true,
        positions: Positions::Rotary(vec![rotary; file.num_hidden_layers]),
        type_vocab_size: file.type_vocab_size,
        relative_buckets: 0,
        biases: Biases { attention: false, feed_forward: false, norm: true },
        norm_first: false,
        max_tokens: trained.unwrap_or(usize::MAX).min(file.max_position_embeddings),
    })
}

/// Rotary positions, as version 5 of transformers writes them.
#[data]
#[derive(Default)]
#[serde(default)]
struct Rope {
    rope_type: Option<String>,
    rope_theta: Option<f64>,
}

impl Rope {
    /// The base of the angles.
    fn theta(&self) -> Result<Option<f64>> {
        match self.rope_type.as_deref() {
            None | Some("default") => Ok(self.rope_theta),
            Some(other) => {
                Err(Error::config(format!("`rope_type` is {other:?}; scaled positions are not supported")))
            }
        }
    }
}

#[data]
struct ModernBertFile {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    hidden_activation: String,
    norm_eps: f32,
    #[serde(default)]
    norm_bias: bool,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    local_attention: usize,
    #[serde(default)]
    global_attn_every_n_layers: Option<usize>,
    #[serde(default)]
    layer_types: Option<Vec<String>>,
    #[serde(default)]
    global_rope_theta: Option<f64>,
    #[serde(default)]
    local_rope_theta: Option<f64>,
    #[serde(default)]
    rope_parameters: Option<ModernRope>,
}

#[data]
#[derive(Default)]
#[serde(default)]
struct ModernRope {
    full_attention: Rope,
    sliding_attention: Rope,
}

impl ModernBertFile {
    /// The rotation and reach of each layer.
    fn rotary(&self) -> Result<Vec<Rotary>> {
        let default = ModernRope::default();
        let rope = self.rope_parameters.as_ref().unwrap_or(&default);
        let global = rope.full_attention.theta()?.or(self.global_rope_theta).unwrap_or(160_000.0);
        let local = rope.sliding_attention.theta()?.or(self.local_rope_theta).unwrap_or(10_000.0);
        let full = Rotary { theta: global, window: None };
        let sliding = Rotary { theta: local, window: Some(self.local_attention / 2) };
        let every = self.global_attn_every_n_layers.unwrap_or(3).max(1);
        match &self.layer_types {
            None => Ok((0..self.num_hidden_layers)
                .map(|layer| if layer.is_multiple_of(every) { full } else { sliding })
                .collect()),
            Some(types) if types.len() == self.num_hidden_layers => types
                .iter()
                .map(|kind| match kind.as_str() {
                    "full_attention" => Ok(full),
                    "sliding_attention" => Ok(sliding),
                    other => {
                        Err(Error::config(format!("`layer_types` has {other:?}, which is not supported")))
                    }
                })
                .collect(),
            Some(types) => Err(Error::input(format!(
                "`layer_types` has {} entries for {} layers",
                types.len(),
                self.num_hidden_layers
            ))),
        }
    }
}

/// ModernBERT (arXiv 2412.13663): rotary positions, local attention in most layers, gated blocks, norms first.
fn modernbert(config: Value) -> Result<Architecture> {
    usual(&config, "rope_scaling", Value::Null)?;
    let file: ModernBertFile = keys(config)?;
    let rotary = file.rotary()?;
    Ok(Architecture {
        names: &MODERN_BERT,
        vocab_size: file.vocab_size,
        hidden_size: file.hidden_size,
        num_hidden_layers: file.num_hidden_layers,
        num_attention_heads: file.num_attention_heads,
        intermediate_size: file.intermediate_size,
        layer_norm_eps: file.norm_eps,
        activation: Activation::named("hidden_activation", &file.hidden_activation)?,
        gated: true,
        positions: Positions::Rotary(rotary),
        type_vocab_size: 0,
        relative_buckets: 0,
        biases: Biases { attention: file.attention_bias, feed_forward: file.mlp_bias, norm: file.norm_bias },
        norm_first: true,
        max_tokens: file.max_position_embeddings,
    })
}

#[cfg(test)]
mod tests {
    use forethought_sdk::serde_json::json;

    use super::*;

    fn refused(config: Value, parts: &[&str]) {
        let error = Architecture::read(config).expect_err(parts[0]).to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }

    #[test]
    fn the_model_type_is_looked_at_first() {
        // Not a key of the others is there.
        refused(
            json!({ "model_type": "t5" }),
            &["`model_type` is \"t5\"", "\"bert\", \"roberta\"", "\"modernbert\""],
        );
        refused(json!({}), &["`model_type` is missing", "\"mpnet\""]);
        refused(json!({ "model_type": "mpnet" }), &["missing field `hidden_act`"]);
    }

    #[test]
    fn settings_that_change_a_network_are_refused() {
        let bert = json!({
            "model_type": "bert", "hidden_act": "gelu", "vocab_size": 12, "hidden_size": 16, "num_hidden_layers": 2,
            "num_attention_heads": 4, "intermediate_size": 32, "max_position_embeddings": 32, "type_vocab_size": 2,
            "layer_norm_eps": 1e-12,
        });
        let with = |changes: &[(&str, Value)]| {
            let mut config = bert.clone();
            changes.iter().for_each(|(key, value)| config[*key] = value.clone());
            config
        };
        assert_eq!(Architecture::read(bert.clone()).unwrap().max_tokens, 32);
        refused(with(&[("position_embedding_type", "relative_key".into())]), &["`position_embedding_type`"]);
        refused(with(&[("hidden_act", "mish".into())]), &["`hidden_act` is \"mish\""]);
        refused(with(&[("num_attention_heads", 3.into())]), &["`hidden_size` 16 cannot be split among 3"]);
        refused(with(&[("type_vocab_size", Value::Null)]), &["missing field `type_vocab_size`"]);
        let roberta = with(&[("model_type", "roberta".into()), ("max_position_embeddings", 34.into())]);
        let read = Architecture::read(roberta.clone()).unwrap();
        assert_eq!(
            (read.max_tokens, read.positions),
            (32, Positions::Learned { count: 34, padding: Some(1) })
        );
        refused(
            with(&[("model_type", "roberta".into()), ("max_position_embeddings", 2.into())]),
            &["`max_position_embeddings` leaves no position"],
        );

        let nomic = with(&[("model_type", "nomic_bert".into()), ("activation_function", "swiglu".into())]);
        assert!(Architecture::read(nomic.clone()).unwrap().gated);
        for (key, value) in [
            ("prenorm", json!(true)),
            ("rotary_emb_fraction", json!(0.5)),
            ("moe_every_n_layers", json!(2)),
            ("activation_function", json!("gelu")),
            ("rope_parameters", json!({ "rope_type": "yarn" })),
        ] {
            let mut config = nomic.clone();
            config[key] = value;
            refused(config, &[key.trim_end_matches("_parameters")]);
        }

        let modern = with(&[
            ("model_type", "modernbert".into()),
            ("hidden_activation", "gelu".into()),
            ("norm_eps", 1e-5.into()),
            ("local_attention", 8.into()),
            ("num_hidden_layers", 4.into()),
        ]);
        let windows = |config: Value| match Architecture::read(config).unwrap().positions {
            Positions::Rotary(layers) => layers.iter().map(|layer| layer.window).collect::<Vec<_>>(),
            learned => panic!("{learned:?}"),
        };
        assert_eq!(windows(modern.clone()), [None, Some(4), Some(4), None]);
        let mut listed = modern.clone();
        listed["layer_types"] =
            json!(["full_attention", "full_attention", "sliding_attention", "full_attention"]);
        assert_eq!(windows(listed.clone()), [None, None, Some(4), None]);
        listed["layer_types"] = json!(["full_attention"]);
        refused(listed, &["`layer_types` has 1 entries for 4 layers"]);
    }
}
