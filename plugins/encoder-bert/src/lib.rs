//! Sentence-transformers models (all-MiniLM, all-mpnet, bge, e5, gte, nomic and similar) on candle.
//!
//! It may depend on `forethought-sdk`, `forethought-candle` and on numerical crates. It opens the files that it is given
//! and no socket: models on the hub reach it through [`Host::model_files`].
//!
//! * `folder`: the files of a model; `weights`: their formats; `modules`: which modules it has, and its pooling;
//! * `architecture`: what `config.json` says of the network, one description for all families;
//! * `fused`: the forward pass and the pooling of most families on the CPU;
//! * `network`: those of all families on candle, on any device; `head`: the layers after it;
//! * `prompt`: what belongs before every text;
//! * `batches`: which texts go through candle's network together.

mod architecture;
mod batches;
mod folder;
mod fused;
mod head;
mod modules;
mod network;
mod prompt;
mod weights;

use std::path::Path;

use forethought_candle::device;
use forethought_sdk::{encoder_id::escaped, prelude::*};
use tokenizers::Tokenizer;

use crate::{
    batches::{Order, Tokens},
    folder::ModelFolder,
    fused::Fused,
    head::Head,
    network::Network,
    prompt::Choice,
};

/// `[encoder.<name>]` with `kind = "bert"`.
#[config]
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(default)]
pub struct BertConfig {
    /// A folder with `config.json`, `tokenizer.json` and `model.safetensors` (or else `pytorch_model.bin`), or
    /// `hf:owner/name@revision`.
    pub model: ConfigPath,
    /// `auto` (a GPU if there is one), `cpu`, or `cuda:<number>`.
    pub device: String,
    /// Longest text in tokens; longer texts are cut. By default the model's own limit.
    pub max_length: Option<usize>,
    /// On the CPU, what numbers are rounded to before they are multiplied.
    pub precision: Precision,
    /// What is put before every text, such as "query: " for e5. By default the model's own default prompt, which most
    /// models do not have; "" puts nothing before texts.
    pub prompt: Option<String>,
    /// The name of one of the model's own prompts, in place of `prompt`.
    pub prompt_name: Option<String>,
    /// Tokens per pass through the network, including padding. Changes speed and memory, not vectors.
    #[schemars(range(max = 10_000_000))]
    pub batch_tokens: usize,
}

impl Default for BertConfig {
    fn default() -> Self {
        Self {
            model: ConfigPath("hf:sentence-transformers/all-MiniLM-L6-v2".into()),
            device: "auto".into(),
            max_length: None,
            precision: Precision::default(),
            prompt: None,
            prompt_name: None,
            batch_tokens: 2048,
        }
    }
}

/// What numbers are rounded to before they are multiplied. Sums and everything else are in 32 bits.
#[config]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits (bfloat16), where the processor has AVX-512 BF16. Faster, and another encoder to critics, because vectors
    /// change in the third digit.
    Bf16,
}

/// A sentence encoder. Cheap to clone: the weights are shared.
#[derive(Clone)]
pub struct BertEncoder {
    model: Arc<Model>,
}

struct Model {
    tokenizer: Tokenizer,
    network: Engine,
    lowercase: bool,
    prompt: String,
    /// Tokens of the prompt that do not count in the pooling.
    skipped: usize,
    batch_tokens: usize,
    spec: EncoderSpec,
}

/// What computes the vectors.
enum Engine {
    Fused(Fused),
    Candle(Network),
}

impl BertEncoder {
    /// Loads the model in `folder`. Reads and hashes the weights: call it where blocking is allowed.
    ///
    /// # Errors
    /// A file that is missing, malformed, or of a model that is not supported; an unusable setting.
    pub fn load(folder: &Path, config: &BertConfig) -> Result<Self> {
        Self::new(folder, config, false)
    }

    /// The same on candle where [`BertEncoder::load`] would do without it: for comparison.
    #[doc(hidden)]
    pub fn load_on_candle(folder: &Path, config: &BertConfig) -> Result<Self> {
        Self::new(folder, config, true)
    }

    fn new(folder: &Path, config: &BertConfig, on_candle: bool) -> Result<Self> {
        let BertConfig { batch_tokens, precision, .. } = *config;
        if batch_tokens == 0 {
            return Err(Error::config("`batch_tokens` is 0; it must be at least 1"));
        }
        let device = device(&config.device)?;
        let folder = ModelFolder::read(folder)?;
        let max_length = folder.max_length(config.max_length)?;
        let prompt = folder
            .prompt(Choice { prompt: config.prompt.as_deref(), name: config.prompt_name.as_deref() })?;
        let tokenizer = folder.tokenizer(max_length)?;
        let weights = folder.weights("")?;
        let head = Head::load(&folder, &device)?;
        let (dimension, identity) = (head.dimension, head.identity.clone());
        let fused = device.is_cpu() && !on_candle && Fused::covers(&folder, &head);
        if !fused && precision == Precision::Bf16 {
            return Err(Error::config(
                "`precision` = \"bf16\" is for the CPU (device = \"cpu\"), and for BERT, RoBERTa and DistilBERT with \
                 mean or cls pooling and no layers after it; remove it for \"f32\"",
            ));
        }
        let network = match fused {
            true => Engine::Fused(Fused::new(&folder, &weights, precision, batch_tokens)?),
            false => Engine::Candle(Network::new(&folder, &weights, head, &device)?),
        };
        // Files by content, not by path: a model from the hub and a copy of its folder are the same encoder.
        let mut id = format!(
            "bert/v1?weights={}&tokenizer={}&pooling={}&max_length={max_length}&lowercase={}{}",
            short(&weights.hash),
            short(&folder.tokenizer_hash()),
            folder.pooling.mode.name(),
            folder.lowercase,
            identity
        );
        let mut skipped = 0;
        // Without a prompt, the id is what it was before there were prompts: checkpoints name it.
        if !prompt.is_empty() {
            id += &format!("&prompt={}", escaped(&prompt));
            if !folder.pooling.include_prompt {
                skipped = prompt_tokens(&tokenizer, &prompt)?;
                id += "&include_prompt=false";
            }
        }
        // As before there was a choice: critics that were trained then are used as they are.
        if precision == Precision::Bf16 {
            id += "&precision=bf16";
        }
        let mut revision = weights.hash.to_hex().to_string();
        if fused {
            // Vectors of the same id agree to 1e-5; those of the same revision, to the bit.
            revision += &format!("-{}", fused::ARITHMETIC);
        }
        let spec = EncoderSpec { id, revision: Some(revision), dimension };
        let model =
            Model { tokenizer, network, lowercase: folder.lowercase, prompt, skipped, batch_tokens, spec };
        Ok(Self { model: Arc::new(model) })
    }

    /// [`TextEncoder::encode`] for callers that may block, with texts batched in the given order.
    #[doc(hidden)]
    pub fn encode_blocking(&self, texts: Vec<String>, by_length: bool) -> Result<Matrix> {
        self.model.encode(texts, if by_length { Order::Length } else { Order::Arrival })
    }
}

impl Model {
    fn encode(&self, mut texts: Vec<String>, order: Order) -> Result<Matrix> {
        if !self.prompt.is_empty() {
            texts.iter_mut().for_each(|text| text.insert_str(0, &self.prompt));
        }
        if self.lowercase {
            texts.iter_mut().for_each(|text| *text = text.to_lowercase());
        }
        let (count, columns) = (texts.len(), self.spec.dimension);
        let tokens =
            self.tokenizer.encode_batch_fast(texts, true).map_err(|e| Error::other(e.to_string()))?;
        let tokens: Vec<Tokens> =
            tokens.iter().map(|encoding| Tokens::new(encoding.get_ids().to_vec())).collect();
        let network = match &self.network {
            Engine::Fused(network) => {
                return Matrix::new(count, columns, network.encode(&tokens, self.skipped, order));
            }
            Engine::Candle(network) => network,
        };
        let mut rows = vec![0.0; count * columns];
        for batch in batches::plan(&tokens, self.batch_tokens, order) {
            let vectors =
                network.encode(&tokens, &batch, self.skipped).context("running the encoder's network")?;
            for (&index, vector) in batch.iter().zip(vectors) {
                rows[index * columns..(index + 1) * columns].copy_from_slice(&vector);
            }
        }
        Matrix::new(count, columns, rows)
    }
}

#[async_trait]
impl TextEncoder for BertEncoder {
    async fn spec(&self) -> Result<EncoderSpec> {
        Ok(self.model.spec.clone())
    }

    async fn encode(&self, texts: Vec<String>) -> Result<Matrix> {
        let model = self.model.clone();
        tokio::task::spawn_blocking(move || model.encode(texts, Order::Length)).await?
    }
}

/// Tokens that a prompt puts before a text, the special ones at its start included.
fn prompt_tokens(tokenizer: &Tokenizer, prompt: &str) -> Result<usize> {
    let encoding = tokenizer.encode(prompt, true).map_err(|error| Error::other(error.to_string()))?;
    let closed = encoding.get_special_tokens_mask().last() == Some(&1);
    Ok(encoding.get_ids().len() - usize::from(closed))
}

fn short(hash: &blake3::Hash) -> String {
    hash.to_hex()[..16].to_owned()
}

register! {
    interface: dyn TextEncoder,
    kind: "bert",
    summary: "sentence-transformers models (BERT, RoBERTa, MPNet, NomicBert, ModernBERT, ...), from a folder or the hub",
    config: BertConfig,
    new: |config: BertConfig, host: Arc<dyn Host>| async move {
        let source = config.model.0.to_string_lossy().into_owned();
        let folder = folder::fetch(&*host, source).await?;
        let encoder = tokio::task::spawn_blocking(move || BertEncoder::load(&folder, &config)).await??;
        Ok(Arc::new(encoder) as _)
    },
}
