//! Chat models of the Llama, Qwen2 and Qwen3 families on this machine, on candle.
//!
//! Weights are safetensors or GGUF, prompts are made by the model's own chat template, and every answer is drawn from
//! a named stream of the request's seed: the same request gives the same answer, whatever else is running. It may
//! depend on `forethought-sdk`, `forethought-candle` and on numerical crates. It opens the files that it is given and no
//! socket: models on the hub reach it through [`Host::model_files`].
//!
//! # Reading order
//! * `config`: every setting;
//! * `files`: what the folder of a model contains; `architecture`: the network that it describes, and refusals of what is
//!   not supported; `weights`: tensors from either format; `network`: the forward pass, on the CPU in `decoder` with the
//!   products of `kernels`, on a GPU in `tensors`; `load`: all of it put together;
//! * `vocabulary`: the tokenizer inside a GGUF file; `template`: chats as prompts; `answer`: drawing tokens; `text`:
//!   tokens as text, stop strings; `tools`: tool calls;
//! * `worker`: the thread that owns the network and schedules answers; `prefixes`: what it keeps of prompts; `stream`:
//!   answers as their readers get them.

mod answer;
mod architecture;
mod config;
mod decoder;
mod files;
mod kernels;
mod load;
mod network;
mod prefixes;
mod stream;
mod template;
mod tensors;
mod text;
mod tools;
mod vocabulary;
mod weights;
mod worker;

use std::path::Path;
use std::sync::mpsc::Sender;

use forethought_sdk::prelude::*;
use tokenizers::Tokenizer;
use tokio::sync::mpsc::unbounded_channel;

pub use crate::config::LocalConfig;
use crate::{
    answer::{Answer, Sampling},
    config::check_temperature,
    load::Loaded,
    network::Part,
    stream::{Answers, Stream},
    template::Template,
    text::{Detokenizer, Stops},
    worker::{Job, Pace},
};

/// A language model on this machine. Cheap to clone: the weights are shared.
#[derive(Clone)]
pub struct LocalLlm(Arc<Model>);

struct Model {
    name: String,
    config: LocalConfig,
    /// For requests that set nothing else.
    sampling: Sampling,
    tokenizer: Arc<Tokenizer>,
    template: Template,
    ends: Arc<[u32]>,
    context: usize,
    /// Tokens that the network knows.
    vocabulary: usize,
    jobs: Sender<Job>,
}

impl LocalLlm {
    /// Loads the model in the folder `model`, with the tokenizer of the folder `tokenizer`, which is usually the same.
    /// Reads and hashes the weights: call it where blocking is allowed.
    ///
    /// # Errors
    /// A file that is missing, malformed, or of a model that is not supported; an unusable setting.
    pub fn load(model: &Path, tokenizer: &Path, config: &LocalConfig) -> Result<Self> {
        config.check()?;
        let Loaded { network, tokenizer, template, ends, sampling, context, identity } =
            Loaded::new(model, tokenizer, config)?;
        let name = format!("{}-{}", name(config), &identity.to_hex()[..8]);
        let vocabulary = network.architecture().vocabulary;
        let pace = Pace { parallel: config.parallel, batch: config.batch, cache: config.cache_mb << 20 };
        let jobs = worker::start(network, pace)?;
        let (config, tokenizer, ends) = (config.clone(), Arc::new(tokenizer), ends.into());
        Ok(Self(Arc::new(Model {
            name,
            config,
            sampling,
            tokenizer,
            template,
            ends,
            context,
            vocabulary,
            jobs,
        })))
    }

    /// The prompt that the model reads for this request: the chat in the form of its template, and its token ids.
    ///
    /// # Errors
    /// A chat that the template refuses; tools for a model that cannot call them.
    pub fn prompt(&self, request: &ChatRequest) -> Result<(String, Vec<u32>)> {
        let Model { template, tokenizer, name, .. } = &*self.0;
        if !request.tools.is_empty() && template.tools.is_none() {
            return Err(Error::new(
                Code::Unimplemented,
                format!(
                    "the chat template of {name} has no place for tools, or asks for calls in an unknown form"
                ),
            ));
        }
        let text = template.render(&request.messages, &request.tools)?;
        // The template writes special tokens itself.
        let encoding = tokenizer.encode_fast(text.as_str(), false);
        let ids =
            encoding.map_err(|error| Error::other(format!("splitting the prompt into tokens: {error}")))?;
        let ids = ids.get_ids().to_vec();
        if let Some(id) = ids.iter().find(|id| **id as usize >= self.0.vocabulary) {
            return Err(Error::input(format!(
                "the chat has the token {:?}, which the network of {name} does not know",
                tokenizer.id_to_token(*id).unwrap_or_default()
            )));
        }
        Ok((text, ids))
    }

    /// Logits after each of `parts`, which the model in `folder` reads one after the other; for comparison.
    #[doc(hidden)]
    pub fn logits(folder: &Path, config: &LocalConfig, parts: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        let network = load::network_alone(folder, config)?;
        let mut past = network.past();
        let read = |tokens: &&[u32]| Ok(network.forward(&mut [Part { past: &mut past, tokens }])?.concat());
        parts.iter().map(read).collect()
    }

    /// Seconds for reading as many tokens as `tokens` says, and for writing as many after them, in each of `rounds`; for
    /// comparison.
    #[doc(hidden)]
    pub fn pace(
        folder: &Path,
        config: &LocalConfig,
        tokens: [u32; 2],
        rounds: usize,
    ) -> Result<Vec<[f64; 2]>> {
        let network = load::network_alone(folder, config)?;
        let prompt: Vec<u32> = (0..tokens[0]).map(|at| 1000 + at * 7 % 5000).collect();
        let round = |_| {
            let mut past = network.past();
            let start = std::time::Instant::now();
            for tokens in prompt.chunks(worker::CHUNK) {
                network.forward(&mut [Part { past: &mut past, tokens }])?;
            }
            let read = start.elapsed().as_secs_f64();
            for token in 0..tokens[1] {
                network.forward(&mut [Part { past: &mut past, tokens: &[1000 + token] }])?;
            }
            Ok([read, start.elapsed().as_secs_f64() - read])
        };
        (0..rounds).map(round).collect()
    }

    /// Puts the request in the queue.
    fn submit(&self, request: ChatRequest) -> Result<Answers> {
        let Model { name, config, sampling, tokenizer, template, ends, context, jobs, .. } = &*self.0;
        if request.json_schema.is_some() {
            return Err(Error::new(
                Code::Unimplemented,
                "local models cannot enforce a JSON schema; describe the form in the prompt",
            ));
        }
        let temperature = request.temperature.unwrap_or(sampling.temperature);
        let sampling = Sampling { temperature, ..*sampling };
        check_temperature(sampling.temperature)?;
        let (text, prompt) = self.prompt(&request)?;
        let room = context.saturating_sub(prompt.len());
        let most = match request.max_tokens {
            Some(0) => return Err(Error::input("`max_tokens` is 0; an answer has at least 1 token")),
            Some(most) => most as usize,
            None => room.clamp(1, config.max_tokens as usize),
        };
        if prompt.is_empty() || most > room {
            return Err(Error::input(format!(
                "a chat of {} tokens and an answer of up to {most} do not fit into the {context} tokens of {name}; \
                 shorten the chat (`history_chars` of planners), lower `max_tokens`, or raise `context` if it is set",
                prompt.len()
            )));
        }
        let seed = seed::derive(config.seed ^ request.seed.unwrap_or(0), &text);
        let stops = Stops::new(request.stop)?;
        let samples = request.samples.max(1) as usize;
        let answers = (0..samples).map(|sample| {
            let rng = seed::stream(seed, &format!("sample {sample}"));
            let detokenizer = Detokenizer::new(tokenizer.clone());
            let ends = ends.clone();
            (sample, Answer::new(sampling, rng, ends, detokenizer, stops.clone(), most, request.logprobs))
        });
        let answers = answers.collect();
        let input_tokens = prompt.len() as u64;
        let (sender, events) = unbounded_channel();
        jobs.send(Job { prompt, answers, events: sender })
            .map_err(|_| Error::new(Code::Panic, "the model's thread has died; its panic is in the log"))?;
        let tools = template.tools.filter(|_| !request.tools.is_empty());
        Ok(Answers { events, input_tokens, samples, tools })
    }

    async fn answers(&self, request: ChatRequest) -> Result<Answers> {
        let model = self.clone();
        tokio::task::spawn_blocking(move || model.submit(request)).await?
    }
}

#[async_trait]
impl LlmBackend for LocalLlm {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities {
            model: self.0.name.clone(),
            streaming: true,
            tools: self.0.template.tools.is_some(),
            json_schema: false,
            logprobs: true,
            seed: true,
            free: true,
            samples: 0,
        })
    }

    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        self.answers(request).await?.complete().await
    }

    async fn stream(&self, request: ChatRequest) -> Result<Arc<dyn TokenStream>> {
        if request.samples > 1 {
            return Err(Error::input(format!(
                "{} samples are requested, but a stream gives one; use `complete`, or one stream per sample",
                request.samples
            )));
        }
        Ok(Arc::new(Stream::new(self.answers(request).await?)))
    }
}

/// The publisher's name for the model, as far as the configuration shows it.
fn name(config: &LocalConfig) -> String {
    let source = config.model.to_string_lossy();
    let source = source.split('@').next().unwrap_or_default().trim_end_matches('/');
    let source = config.file.as_deref().map_or(source, |file| file.trim_end_matches(".gguf"));
    source.rsplit(['/', '\\', ':']).next().filter(|name| !name.is_empty()).unwrap_or("local").to_owned()
}

register! {
    interface: dyn LlmBackend,
    kind: "local",
    summary: "a Llama or Qwen chat model on this machine, from a folder or the hub; safetensors and GGUF",
    config: LocalConfig,
    new: |config: LocalConfig, host: Arc<dyn Host>| async move {
        let config = files::file_of_its_own(config);
        let (model, tokenizer) = files::fetch(&*host, &config).await?;
        let llm = tokio::task::spawn_blocking(move || LocalLlm::load(&model, &tokenizer, &config)).await??;
        Ok(Arc::new(llm) as _)
    },
}
