//! The local backend against the reference library (see `reference.py`, which made the fixtures), and what it promises.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{
    Device, Tensor,
    quantized::gguf_file::{self, Value as Meta},
};
use forethought_conformance::{Options, Subject, check};
use forethought_llm_local::{LocalConfig, LocalLlm};
use forethought_sdk::{
    api::{
        llm::{Tool, ToolCall},
        registry::{Component, linked},
    },
    prelude::*,
    serde_json::{self, Map, Value, json},
};

const SAFETENSORS: &[&str] = &["llama", "llama3", "qwen2", "qwen3"];

/// Kept in 16 bits, so exact in 32 as well. The other is Q8_0, of which see below.
const EXACT_GGUF: &[&str] = &["llama3-gguf", "qwen3-gguf"];
const ROUNDED_GGUF: &str = "qwen2-gguf";

/// How far logits may be from the reference.
const TOLERANCE: f32 = 1e-4;

fn exact() -> impl Iterator<Item = &'static str> {
    SAFETENSORS.iter().chain(EXACT_GGUF).copied()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Deterministic, and long enough for the reference.
fn config() -> LocalConfig {
    LocalConfig { temperature: Some(0.0), max_tokens: 40, ..LocalConfig::default() }
}

/// The model in a fixture; GGUF files take the settings of the tokenizer from their own head.
fn load(name: &str, config: &LocalConfig) -> LocalLlm {
    LocalLlm::load(&fixture(name), &fixture(name), config).unwrap()
}

struct Reference {
    file: Value,
    logits: Vec<Vec<f32>>,
    long_logits: Vec<Vec<f32>>,
    greedy_logprobs: Vec<f32>,
}

impl Reference {
    fn of(name: &str) -> Self {
        let folder = fixture(name);
        let file = std::fs::read(folder.join("reference.json")).unwrap();
        let tensors: std::collections::HashMap<String, Tensor> =
            candle_core::safetensors::load(folder.join("reference.safetensors"), &Device::Cpu).unwrap();
        Self {
            file: serde_json::from_slice(&file).unwrap(),
            logits: tensors["logits"].to_vec2().unwrap(),
            long_logits: tensors["long_logits"].to_vec2().unwrap(),
            greedy_logprobs: tensors["greedy_logprobs"].to_vec1().unwrap(),
        }
    }
    fn ids(&self, pointer: &str) -> Vec<u32> {
        serde_json::from_value(self.file.pointer(pointer).unwrap().clone()).unwrap()
    }
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn argmax(logits: &[f32]) -> u32 {
    (0..logits.len()).rev().max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap() as u32
}

/// A chat of the reference as a request.
fn request(chat: &Value) -> ChatRequest {
    let mut messages = Vec::new();
    for message in chat["messages"].as_array().unwrap() {
        let role = serde_json::from_value(message["role"].clone()).unwrap();
        let mut own = Message::new(role, message["content"].as_str().unwrap());
        own.tool_call_id = message["tool_call_id"].as_str().map(str::to_owned);
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            own.tool_calls.push(ToolCall {
                id: call["id"].as_str().unwrap().to_owned(),
                name: call["function"]["name"].as_str().unwrap().to_owned(),
                arguments: call["function"]["arguments"].clone(),
            });
        }
        messages.push(own);
    }
    let mut request = ChatRequest::new(Purpose::Other, messages);
    for tool in chat["tools"].as_array().into_iter().flatten() {
        request.tools.push(serde_json::from_value::<Tool>(tool["function"].clone()).unwrap());
    }
    request
}

fn hello() -> ChatRequest {
    ChatRequest::new(Purpose::Other, vec![Message::user("Find red shoes.")])
}

#[test]
fn logits_are_those_of_the_reference() {
    for name in exact() {
        let reference = Reference::of(name);
        let ids = reference.ids("/logits_of");
        // The whole text at once, one token at a time, and in chunks with a past.
        for size in [ids.len(), 1, 7] {
            let parts: Vec<&[u32]> = ids.chunks(size).collect();
            let logits = LocalLlm::logits(&fixture(name), &config(), &parts).unwrap();
            for (index, logits) in logits.iter().enumerate() {
                let at = ((index + 1) * size).min(ids.len()) - 1;
                let off = largest_difference(logits, &reference.logits[at]);
                assert!(off <= TOLERANCE, "{name}: token {at} in chunks of {size}: off by {off}");
            }
        }
    }
}

#[test]
fn logits_after_a_long_text_are_those_of_the_reference() {
    for name in exact() {
        let reference = Reference::of(name);
        let vocabulary = reference.long_logits[0].len() as u32;
        let ids: Vec<u32> = (0..600).map(|index| index * 7 % vocabulary).collect();
        let (most, last) = ids.split_at(590);
        for parts in [
            vec![ids.as_slice()],
            ids.chunks(256).collect(),
            [most].into_iter().chain(last.chunks(1)).collect(),
        ] {
            let logits = LocalLlm::logits(&fixture(name), &config(), &parts).unwrap();
            let off = largest_difference(logits.last().unwrap(), &reference.long_logits[0]);
            assert!(off <= TOLERANCE, "{name}, {} parts: off by {off}", parts.len());
        }
    }
}

#[tokio::test]
async fn a_long_chat_is_read_in_chunks_with_the_same_result() {
    let llm = endless("llama3", &config());
    let messages = vec![Message::user("Find red shoes. ".repeat(60))];
    let request = ChatRequest { messages, logprobs: true, max_tokens: Some(1), ..hello() };
    let prompt = llm.prompt(&request).unwrap().1;
    assert!(prompt.len() > 512);
    let logits = LocalLlm::logits(&fixture("llama3"), &config(), &[&prompt]).unwrap().concat();
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
    let expected = f64::from(logits[argmax(&logits) as usize]) - sum.ln();
    let found = llm.complete(request).await.unwrap().choices[0].logprobs[0].logprob;
    assert!((found - expected).abs() < 1e-4, "{found} instead of {expected}");
}

#[test]
fn rounded_weights_give_nearly_the_logits_of_the_reference() {
    // The reference computes with the weights as they are rounded, in another order of the sums.
    let share = noise(ROUNDED_GGUF, &config());
    assert!(share > 0.0 && share < 0.05, "{share}");
}

#[test]
fn half_precision_gives_nearly_the_logits_of_the_reference() {
    for (dtype, most) in [("f32", 1e-5), ("f16", 0.01), ("bf16", 0.05)] {
        for name in SAFETENSORS {
            let share = noise(name, &LocalConfig { dtype: dtype.into(), ..config() });
            assert!(share > 0.0 && share < most, "{name} in {dtype}: {share}");
        }
    }
}

/// How far logits are off, as a share of them, both in the mean of their squares.
fn noise(name: &str, config: &LocalConfig) -> f32 {
    let reference = Reference::of(name);
    let ids = reference.ids("/logits_of");
    let parts: Vec<&[u32]> = ids.chunks(1).collect();
    let logits = LocalLlm::logits(&fixture(name), config, &parts).unwrap().concat();
    let expected = reference.logits.concat();
    let square = |sum: f32, x: f32| sum + x * x;
    let noise = logits.iter().zip(&expected).map(|(a, b)| a - b).fold(0.0, square);
    (noise / expected.iter().copied().fold(0.0, square)).sqrt()
}

#[test]
fn greedy_tokens_are_those_of_the_reference() {
    for name in exact() {
        let reference = Reference::of(name);
        let (prompt, greedy) = (reference.ids("/prompts/0/ids"), reference.ids("/greedy"));
        let mut parts: Vec<&[u32]> = vec![&prompt];
        parts.extend(greedy[..greedy.len() - 1].chunks(1));
        let logits = LocalLlm::logits(&fixture(name), &config(), &parts).unwrap();
        let found: Vec<u32> = logits.iter().map(|logits| argmax(logits)).collect();
        assert_eq!(found, greedy, "{name}");
    }
}

#[test]
fn chats_become_the_prompts_of_the_reference() {
    for name in exact().chain([ROUNDED_GGUF]) {
        let reference = Reference::of(name);
        let prompts = reference.file["prompts"].as_array().unwrap();
        assert!(prompts.len() >= 2);
        for chat in prompts {
            let mut config = config();
            if let Some(thinking) = chat.get("enable_thinking") {
                config.template.insert("enable_thinking".into(), thinking.clone());
            }
            let (text, ids) = load(name, &config).prompt(&request(chat)).unwrap();
            assert_eq!(text, chat["text"].as_str().unwrap(), "{name}");
            assert_eq!(json!(ids), chat["ids"], "{name}");
        }
    }
}

#[tokio::test]
async fn answers_and_their_log_probabilities_are_those_of_the_reference() {
    for name in exact() {
        let reference = Reference::of(name);
        let llm = endless(name, &config());
        let request = ChatRequest { logprobs: true, ..hello() };
        let completion = llm.complete(request).await.unwrap();
        assert_eq!(completion.text(), reference.file["greedy_text"].as_str().unwrap(), "{name}");
        let choice = &completion.choices[0];
        assert_eq!(choice.finish, FinishReason::Length);
        let logprobs: Vec<f32> = choice.logprobs.iter().map(|token| token.logprob as f32).collect();
        let off = largest_difference(&logprobs, &reference.greedy_logprobs);
        assert!(off <= TOLERANCE, "{name}: {off}");
        let text: String = choice.logprobs.iter().map(|token| token.token.as_str()).collect();
        assert_eq!(text, choice.text);
        let prompt = reference.ids("/prompts/0/ids").len() as u64;
        assert_eq!(completion.usage, Usage { input_tokens: prompt, output_tokens: 40 });
    }
}

/// A model that goes on where its text ends, as the reference was made to.
fn endless(name: &str, config: &LocalConfig) -> LocalLlm {
    let folder = copy(name);
    for file in ["config.json", "generation_config.json", "tokenizer_config.json"] {
        let path = folder.path().join(file);
        if let Ok(text) = std::fs::read(&path) {
            let mut value: Map<String, Value> = serde_json::from_slice(&text).unwrap();
            value.retain(|key, _| !key.starts_with("eos_token"));
            std::fs::write(&path, json!(value).to_string()).unwrap();
        }
    }
    if let Ok(mut bytes) = std::fs::read(folder.path().join("model.gguf")) {
        // Of the key's value, its type comes first, in four bytes.
        const KEY: &[u8] = b"tokenizer.ggml.eos_token_id";
        let at = bytes.windows(KEY.len()).position(|window| window == KEY).unwrap() + KEY.len() + 4;
        bytes[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        std::fs::write(folder.path().join("model.gguf"), bytes).unwrap();
    }
    LocalLlm::load(folder.path(), folder.path(), config).unwrap()
}

fn copy(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture(name)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}

/// What a stream gives, and what it ends with.
async fn read(llm: &LocalLlm, request: ChatRequest, most: u32) -> (Vec<String>, Completion) {
    let stream = llm.stream(request).await.unwrap();
    let mut pieces = Vec::new();
    loop {
        let next = stream.next(most).await.unwrap();
        assert!(next.len() <= most as usize);
        if next.is_empty() {
            return (pieces, stream.finish().await.unwrap());
        }
        pieces.extend(next);
    }
}

#[tokio::test]
async fn a_stream_is_the_answer_in_pieces() {
    let llm = endless("qwen3", &config());
    for seed in 0..5 {
        let request = ChatRequest {
            seed: Some(seed),
            temperature: Some(1.5),
            logprobs: true,
            stop: vec!["a".into()],
            ..hello()
        };
        let whole = llm.complete(request.clone()).await.unwrap();
        for most in [1, 100] {
            let (pieces, end) = read(&llm, request.clone(), most).await;
            assert_eq!(pieces.concat(), whole.text());
            assert_eq!(end, whole);
        }
    }
    let (pieces, _) = read(&llm, hello(), 1).await;
    assert!(pieces.len() > 10 && pieces.iter().all(|piece| !piece.is_empty()), "{pieces:?}");
    let error = llm.stream(ChatRequest { samples: 2, ..hello() }).await.err().unwrap();
    assert!(error.message.contains("2 samples"), "{error}");
}

#[tokio::test]
async fn the_same_seed_gives_the_same_answer_and_another_seed_another() {
    let llm = load("llama3", &LocalConfig { temperature: Some(1.0), ..config() });
    let ask = async |seed, samples| {
        let request = ChatRequest { seed: Some(seed), samples, ..hello() };
        llm.complete(request).await.unwrap().choices
    };
    let (first, again, other) = (ask(1, 3).await, ask(1, 3).await, ask(2, 3).await);
    assert_eq!(first, again);
    assert_ne!(first, other);
    // Samples differ from one another, and one does not depend on how many there are.
    assert!(first[0] != first[1] && first[1] != first[2]);
    assert_eq!(ask(1, 1).await, first[..1]);
    let mut elsewhere = hello();
    elsewhere.messages.push(Message::assistant("They cost 5."));
    elsewhere.messages.push(Message::user("Find red shoes."));
    elsewhere.seed = Some(1);
    assert_ne!(llm.complete(elsewhere).await.unwrap().choices[0], first[0]);
}

#[tokio::test]
async fn stop_strings_end_an_answer_within_and_across_tokens() {
    let llm = endless("llama3", &config());
    let whole = llm.complete(ChatRequest { logprobs: true, ..hello() }).await.unwrap();
    let text = whole.text();
    let characters: Vec<(usize, char)> = text.char_indices().collect();
    // Every part of the answer, as a stop string, ends it where it first appears.
    for (index, &(start, _)) in characters.iter().enumerate() {
        for length in [1, 2, 5] {
            let end = characters.get(index + length).map_or(text.len(), |&(at, _)| at);
            let stop = text[start..end].to_owned();
            let request =
                ChatRequest { stop: vec!["no such".into(), stop.clone()], logprobs: true, ..hello() };
            let cut = llm.complete(request).await.unwrap();
            assert_eq!(cut.text(), &text[..text.find(&stop).unwrap()], "{stop:?}");
            let choice = &cut.choices[0];
            assert_eq!(choice.finish, FinishReason::Stop);
            // The tokens of the answer, the last of which the stop string may have begun in.
            let tokens: String = choice.logprobs.iter().map(|token| token.token.as_str()).collect();
            assert!(
                tokens.starts_with(&choice.text) && whole.choices[0].logprobs.starts_with(&choice.logprobs)
            );
            assert!(cut.usage.output_tokens <= whole.usage.output_tokens);
        }
    }
    let error = llm.complete(ChatRequest { stop: vec![String::new()], ..hello() }).await.unwrap_err();
    assert!(error.message.contains("stop string"), "{error}");
}

#[tokio::test]
async fn an_end_of_text_ends_an_answer() {
    let reference = Reference::of("qwen2");
    let greedy = reference.ids("/greedy");
    let folder = copy("qwen2");
    // Any of several, and not part of the text.
    let ends = json!({ "eos_token_id": [1, greedy[20]] }).to_string();
    std::fs::write(folder.path().join("generation_config.json"), ends).unwrap();
    let llm = LocalLlm::load(folder.path(), folder.path(), &config()).unwrap();
    let completion = llm.complete(ChatRequest { logprobs: true, ..hello() }).await.unwrap();
    let drawn = 1 + greedy.iter().position(|token| *token == greedy[20]).unwrap();
    let choice = &completion.choices[0];
    assert_eq!((choice.finish, choice.logprobs.len() + 1), (FinishReason::Stop, drawn));
    assert_eq!(completion.usage.output_tokens, drawn as u64);
    assert!(reference.file["greedy_text"].as_str().unwrap().starts_with(&choice.text));
}

#[tokio::test]
async fn probabilities_of_all_tokens_sum_to_one() {
    // Each token drawn under some seed, with its probability: together never more than one, and nearly all of it.
    let llm = endless("qwen3", &LocalConfig { temperature: Some(3.0), max_tokens: 1, ..config() });
    let request = ChatRequest { samples: 3000, logprobs: true, ..hello() };
    let mut seen = std::collections::BTreeMap::new();
    for choice in llm.complete(request).await.unwrap().choices {
        let logprob = choice.logprobs[0].logprob;
        assert!(logprob <= 0.0);
        // Different tokens may look the same (bytes that are not a character), but hardly to the last bit.
        seen.insert(logprob.to_bits(), logprob.exp());
    }
    let sum: f64 = seen.values().sum();
    assert!(sum <= 1.0 + 1e-6 && sum > 0.99, "{sum}");
}

#[tokio::test]
async fn concurrent_requests_do_not_affect_each_other() {
    let requests: Vec<ChatRequest> = (0..12)
        .map(|index| ChatRequest {
            messages: vec![Message::user("Find red shoes. ".repeat(1 + index))],
            seed: Some(index as u64),
            samples: 1 + index as u32 % 3,
            max_tokens: Some(5 + 3 * index as u32),
            temperature: Some(1.0),
            logprobs: true,
            ..hello()
        })
        .collect();
    for name in ["llama", "qwen2-gguf"] {
        let llm = endless(name, &config());
        let mut alone = Vec::new();
        for request in &requests {
            alone.push(llm.complete(request.clone()).await.unwrap());
        }
        // However many at a time, in batches or not, and to the last bit, with what is kept of prompts or without.
        for (parallel, batch, cache_mb) in [(1, 1, 0), (5, 1, 1), (16, 1, 0), (16, 4, 1024), (64, 8, 0)] {
            let llm = endless(name, &LocalConfig { parallel, batch, cache_mb, ..config() });
            let tasks: Vec<_> = requests
                .iter()
                .map(|request| {
                    let (llm, request) = (llm.clone(), request.clone());
                    tokio::spawn(async move { llm.complete(request).await.unwrap() })
                })
                .collect();
            for (task, alone) in tasks.into_iter().zip(&alone) {
                assert_eq!(task.await.unwrap(), *alone);
            }
        }
    }
}

#[tokio::test]
async fn a_prompt_that_begins_like_an_earlier_one_gives_the_same_answer_as_without_it() {
    for name in ["llama3", "qwen2-gguf"] {
        let kept = endless(name, &config());
        let fresh = endless(name, &LocalConfig { cache_mb: 0, ..config() });
        for length in [20, 30, 10, 30] {
            let messages = vec![Message::user("Find red shoes. ".repeat(length))];
            let request = ChatRequest { messages, logprobs: true, max_tokens: Some(8), ..hello() };
            let expected = fresh.complete(request.clone()).await.unwrap();
            assert_eq!(kept.complete(request).await.unwrap(), expected, "{name}");
        }
    }
}

#[tokio::test]
async fn a_long_prompt_and_a_long_answer_do_not_keep_a_short_request_waiting() {
    let llm = endless("llama3", &LocalConfig { parallel: 2, ..config() });
    let long = ChatRequest { max_tokens: Some(150), ..hello() };
    let long = llm.stream(long).await.unwrap();
    long.next(1).await.unwrap();
    let short = llm.complete(ChatRequest { max_tokens: Some(1), ..hello() }).await.unwrap();
    assert_eq!(short.usage.output_tokens, 1);
    assert_eq!(long.finish().await.unwrap().usage.output_tokens, 150);
}

#[tokio::test]
async fn what_nobody_waits_for_is_not_computed() {
    let llm = endless("llama3", &LocalConfig { parallel: 1, ..config() });
    // If they were computed, these would take minutes.
    let long = ChatRequest { max_tokens: Some(200), samples: 4096, ..hello() };
    for _ in 0..3 {
        let waiting = tokio::time::timeout(std::time::Duration::from_millis(20), llm.complete(long.clone()));
        assert!(waiting.await.is_err());
    }
    let stream = llm.stream(ChatRequest { max_tokens: Some(200), ..hello() }).await.unwrap();
    assert_eq!(stream.next(1).await.unwrap().len(), 1);
    drop(stream);
    let start = std::time::Instant::now();
    llm.complete(ChatRequest { max_tokens: Some(1), ..hello() }).await.unwrap();
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}

#[tokio::test]
async fn tools_are_shown_to_models_that_know_them() {
    let tool = Tool { name: "search".into(), parameters: json!({ "type": "object" }), ..Tool::default() };
    let with_tool = ChatRequest { tools: vec![tool], ..hello() };
    let llm = endless("qwen3", &config());
    assert!(llm.capabilities().await.unwrap().tools);
    assert!(llm.prompt(&with_tool).unwrap().0.contains(r#""name": "search""#));
    // An answer without calls; a stream of it comes in one piece.
    let whole = llm.complete(with_tool.clone()).await.unwrap();
    let (pieces, end) = read(&llm, with_tool.clone(), 100).await;
    assert_eq!((pieces.len(), pieces.concat().as_str(), &end), (1, whole.text(), &whole));

    let llm = load("llama3", &config());
    assert!(!llm.capabilities().await.unwrap().tools);
    let error = llm.complete(with_tool).await.unwrap_err();
    assert!(error.code == Code::Unimplemented && error.message.contains("tools"), "{error}");
    let error = llm.complete(ChatRequest { json_schema: Some(json!({})), ..hello() }).await.unwrap_err();
    assert_eq!(error.code, Code::Unimplemented);
}

#[tokio::test]
async fn a_chat_that_does_not_fit_is_an_error_that_says_so() {
    let llm = endless("llama3", &LocalConfig { context: Some(60), ..config() });
    let tokens = llm.prompt(&hello()).unwrap().1.len() as u32;
    let all = ChatRequest { max_tokens: Some(60 - tokens), ..hello() };
    assert_eq!(llm.complete(all).await.unwrap().usage.output_tokens, u64::from(60 - tokens));
    // Where the request does not say, an answer takes what room there is.
    assert_eq!(llm.complete(hello()).await.unwrap().usage.output_tokens, u64::from(60 - tokens).min(40));
    let error = llm.complete(ChatRequest { max_tokens: Some(61 - tokens), ..hello() }).await.unwrap_err();
    assert!(error.message.contains("60 tokens") && error.message.contains(&tokens.to_string()), "{error}");
    let long = ChatRequest { messages: vec![Message::user("Find red shoes. ".repeat(20))], ..hello() };
    let error = llm.complete(long).await.unwrap_err();
    assert!(error.message.contains("shorten the chat"), "{error}");
    let error = llm.complete(ChatRequest { max_tokens: Some(0), ..hello() }).await.unwrap_err();
    assert!(error.message.contains("max_tokens"), "{error}");
    let error = llm.complete(ChatRequest { temperature: Some(-1.0), ..hello() }).await.unwrap_err();
    assert!(error.message.contains("temperature"), "{error}");
}

#[tokio::test]
async fn a_template_refuses_in_its_own_words() {
    let mut request = hello();
    request.messages.push(Message::user("And again."));
    let error = load("llama", &config()).complete(request).await.unwrap_err();
    assert!(error.message.contains("Conversation roles must alternate"), "{error}");
}

#[tokio::test]
async fn a_model_is_named_by_what_shapes_its_answers() {
    async fn name_of(folder: &Path, config: LocalConfig) -> String {
        let config = LocalConfig { model: ConfigPath("hf:Qwen/Tiny-0.1B@main".into()), ..config };
        LocalLlm::load(folder, folder, &config).unwrap().capabilities().await.unwrap().model
    }
    let here = name_of(&fixture("qwen3"), config()).await;
    assert!(here.starts_with("Tiny-0.1B-"), "{here}");
    let moved = copy("qwen3");
    assert_eq!(name_of(moved.path(), config()).await, here);
    assert_eq!(name_of(moved.path(), LocalConfig { parallel: 9, ..config() }).await, here);
    assert_ne!(name_of(moved.path(), LocalConfig { temperature: Some(0.5), ..config() }).await, here);
    let path = moved.path().join("model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_ne!(name_of(moved.path(), config()).await, here);
}

/// Why the model cannot be loaded after `change` was applied to its folder.
fn refusal(name: &str, config: &LocalConfig, change: impl FnOnce(&Path)) -> String {
    let folder = copy(name);
    change(folder.path());
    LocalLlm::load(folder.path(), folder.path(), config).err().expect("it cannot be loaded").to_string()
}

#[test]
fn damaged_files_are_errors_that_name_them() {
    let check = |name: &str, file: &str, change: &dyn Fn(Vec<u8>) -> Option<Vec<u8>>, says: &[&str]| {
        let error = refusal(name, &config(), |folder| {
            let path = folder.join(file);
            match change(std::fs::read(&path).unwrap()) {
                Some(bytes) => std::fs::write(&path, bytes).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
        });
        for says in says.iter().chain([&file]) {
            assert!(error.contains(says), "{name}, {file}: {error:?} does not say {says:?}");
        }
    };
    let missing = |_: Vec<u8>| None;
    let short = |bytes: Vec<u8>| Some(bytes[..bytes.len() / 2].to_vec());
    let garbage = |_: Vec<u8>| Some(b"{ not what it should be".to_vec());
    let empty = |_: Vec<u8>| Some(Vec::new());
    for (name, files) in [
        ("llama", &["model.safetensors", "tokenizer.json"] as &[&str]),
        ("qwen2", &["model-00002-of-00002.safetensors"]),
    ] {
        for file in files {
            check(name, file, &missing, &["is missing"]);
            check(name, file, &short, &[]);
            check(name, file, &garbage, &[]);
            check(name, file, &empty, &[]);
        }
    }
    for (name, file) in [
        ("llama", "config.json"),
        ("llama", "tokenizer_config.json"),
        ("llama", "generation_config.json"),
        ("qwen2", "model.safetensors.index.json"),
        ("qwen3-gguf", "model.gguf"),
    ] {
        check(name, file, &short, &[]);
        check(name, file, &garbage, &[]);
        check(name, file, &empty, &[]);
    }
    let outside = |bytes: Vec<u8>| {
        Some(String::from_utf8(bytes).unwrap().replace("model-00002", "../model-00002").into_bytes())
    };
    check("qwen2", "model.safetensors.index.json", &outside, &["in the same folder"]);
    let huge = |mut bytes: Vec<u8>| {
        let name = b"rope_freqs.weight";
        let at = bytes.windows(name.len()).position(|window| window == name).unwrap() + name.len();
        bytes[at + 11] = 128; // The last byte of its only size.
        Some(bytes)
    };
    check("llama3-gguf", "model.gguf", &huge, &["rope_freqs.weight", "too large"]);
    // Every byte of a GGUF file's head, one at a time: an error or a model, and never a crash.
    let bytes = std::fs::read(fixture("qwen3-gguf").join("model.gguf")).unwrap();
    let folder = copy("qwen3-gguf");
    for at in (0..600).chain((600..8000).step_by(97)) {
        let mut bytes = bytes.clone();
        bytes[at] = bytes[at].wrapping_add(128);
        std::fs::write(folder.path().join("model.gguf"), bytes).unwrap();
        if let Err(error) = LocalLlm::load(folder.path(), folder.path(), &config()) {
            assert!(error.to_string().contains(&folder.path().display().to_string()), "byte {at}: {error}");
        }
    }
}

#[test]
fn folders_without_a_model_say_what_a_model_is() {
    let nothing = tempfile::tempdir().unwrap();
    let error = LocalLlm::load(nothing.path(), nothing.path(), &config()).err().unwrap().to_string();
    assert!(error.contains("config.json") && error.contains(".gguf"), "{error}");
    let two = |folder: &Path| {
        std::fs::copy(folder.join("model.gguf"), folder.join("other.gguf")).unwrap();
    };
    let error = refusal("qwen3-gguf", &config(), two);
    assert!(error.contains("several .gguf"), "{error}");
    let chosen = LocalConfig { file: Some("model.gguf".into()), ..config() };
    let folder = copy("qwen3-gguf");
    two(folder.path());
    // The tokenizer may be elsewhere.
    LocalLlm::load(folder.path(), &fixture("qwen3"), &chosen).unwrap();
    let error = LocalLlm::load(folder.path(), &fixture("llama"), &chosen).err().unwrap().to_string();
    assert!(error.contains("different models"), "{error}");
    let error = refusal("llama", &LocalConfig { file: Some("model.bin".into()), ..config() }, |_| {});
    assert!(error.contains(".gguf"), "{error}");
    let error = refusal("llama3", &config(), |folder| {
        std::fs::remove_file(folder.join("chat_template.jinja")).unwrap();
    });
    assert!(error.contains("no chat template"), "{error}");
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let check = |name: &str, changes: Value, says: &[&str]| {
        let error = refusal(name, &config(), |folder| {
            let path = folder.join("config.json");
            let mut value: Map<String, Value> =
                serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            value.extend(changes.as_object().unwrap().clone());
            std::fs::write(&path, json!(value).to_string()).unwrap();
        });
        for says in says {
            assert!(error.contains(says), "{changes}: {error}");
        }
    };
    check("llama", json!({ "model_type": "gemma3" }), &["gemma3", "llama", "qwen2", "qwen3", "config.json"]);
    check("llama", json!({ "model_type": null }), &["model_type", "qwen3"]);
    check(
        "llama",
        json!({ "architectures": ["LlamaForSequenceClassification"] }),
        &["LlamaForSequenceClassification"],
    );
    check("llama", json!({ "hidden_act": "gelu" }), &["hidden_act", "gelu"]);
    check("qwen2", json!({ "use_sliding_window": true }), &["use_sliding_window"]);
    check("qwen3", json!({ "layer_types": ["sliding_attention", "full_attention"] }), &["layer_types"]);
    check("llama", json!({ "pretraining_tp": 2 }), &["pretraining_tp"]);
    check("llama", json!({ "quantization_config": { "quant_method": "awq" } }), &["awq", "GGUF"]);
    check(
        "llama",
        json!({ "rope_parameters": { "rope_type": "yarn", "factor": 4.0 } }),
        &["yarn", "context"],
    );
    check("llama3", json!({ "rope_scaling": { "type": "dynamic", "factor": 4.0 } }), &["dynamic"]);
    check("llama3", json!({ "rope_scaling": { "type": "linear" } }), &["factor"]);
    check(
        "llama",
        json!({ "rope_parameters": { "partial_rotary_factor": 0.5 } }),
        &["partial_rotary_factor"],
    );
    check("llama", json!({ "num_key_value_heads": 3 }), &["key-value heads"]);
    check("llama", json!({ "num_hidden_layers": 0 }), &["0"]);
    check("llama", json!({ "intermediate_size": 65 }), &["mlp.gate_proj", "[64]", "[65]"]);
    // Weights that the configuration does not mention, and weights that it mentions and that are missing.
    check("llama", json!({ "attention_bias": false }), &["_proj.bias", "variant"]);
    check("llama", json!({ "num_hidden_layers": 1 }), &["model.layers.1."]);
    check("llama3", json!({ "tie_word_embeddings": false }), &["no tensor lm_head.weight"]);
    check("llama3", json!({ "model_type": "qwen3" }), &["q_norm"]);

    for (change, says) in [
        (LocalConfig { dtype: "int4".into(), ..config() }, "bf16"),
        (LocalConfig { device: "tpu".into(), ..config() }, "cuda:<number>"),
        (LocalConfig { context: Some(2000), ..config() }, "1024"),
        (LocalConfig { temperature: Some(f64::NAN), ..config() }, "temperature"),
        (LocalConfig { top_p: Some(1.5), ..config() }, "top_p"),
        (LocalConfig { parallel: 0, ..config() }, "parallel"),
        (LocalConfig { batch: 0, ..config() }, "batch"),
        (LocalConfig { max_tokens: 0, ..config() }, "max_tokens"),
    ] {
        let error = refusal("llama", &change, |_| {});
        assert!(error.contains(says), "{error}");
    }
    let halved = LocalConfig { dtype: "bf16".into(), ..config() };
    let error = refusal("qwen3-gguf", &halved, |_| {});
    assert!(error.contains("GGUF"), "{error}");
}

#[test]
fn what_a_gguf_file_needs_and_is_not_supported_is_refused_by_name() {
    let check = |name: &str, key: &str, value: Meta, says: &[&str]| {
        let error = refusal(name, &config(), |folder| {
            rewrite(name, folder, &["model.gguf"], vec![(key.to_owned(), value)]);
        });
        for says in says.iter().chain(&["model.gguf"]) {
            assert!(error.contains(says), "{key}: {error}");
        }
    };
    let text = |text: &str| Meta::String(text.to_owned());
    check("qwen2-gguf", "general.architecture", text("gemma3"), &["gemma3", "qwen2"]);
    check("qwen2-gguf", "general.architecture", text("qwen3"), &["qwen3."]);
    check("qwen2-gguf", "qwen2.rope.scaling.type", text("yarn"), &["yarn"]);
    check("qwen2-gguf", "qwen2.rope.scaling.factor", text("much"), &["factor"]);
    check("qwen2-gguf", "qwen2.attention.sliding_window", Meta::U32(64), &["sliding_window"]);
    check("qwen2-gguf", "qwen2.block_count", Meta::U32(1), &["blk.1."]);
    check("qwen2-gguf", "qwen2.block_count", Meta::U32(3), &["no tensor blk.2."]);
    check("qwen2-gguf", "qwen2.attention.head_count", text("four"), &["qwen2.attention.head_count"]);
    check("llama3-gguf", "llama.expert_count", Meta::U32(8), &["mixture of experts"]);
    check("llama3-gguf", "llama.rope.dimension_count", Meta::U32(4), &["rope.dimension_count"]);
    check("llama3-gguf", "split.count", Meta::U16(3), &["3 GGUF files", "00001-of-00003"]);
    check("qwen3-gguf", "qwen3.attention.value_length", Meta::U32(8), &["value_length"]);
    check("qwen3-gguf", "qwen3.attention.head_count", Meta::U64(1 << 63), &["too large"]);
}

/// The tokenizer of a fixture as the keys that a GGUF file has for it.
fn vocabulary(name: &str) -> Vec<(String, Meta)> {
    let file: Value =
        serde_json::from_slice(&std::fs::read(fixture(name).join("tokenizer.json")).unwrap()).unwrap();
    let mut tokens: Vec<(u64, String, bool)> = Vec::new();
    for (token, id) in file["model"]["vocab"].as_object().unwrap() {
        tokens.push((id.as_u64().unwrap(), token.clone(), false));
    }
    for added in file["added_tokens"].as_array().unwrap() {
        let id = added["id"].as_u64().unwrap();
        tokens.retain(|(other, ..)| *other != id);
        tokens.push((id, added["content"].as_str().unwrap().to_owned(), true));
    }
    tokens.sort();
    let merges = file["model"]["merges"].as_array().unwrap().iter().map(|merge| {
        let parts: Vec<String> = serde_json::from_value(merge.clone()).unwrap();
        Meta::String(parts.join(" "))
    });
    let text = |text: &str| Meta::String(text.to_owned());
    let keys = [
        ("model", text("gpt2")),
        ("pre", text("gpt-2")),
        ("tokens", Meta::Array(tokens.iter().map(|(_, token, _)| text(token)).collect())),
        (
            "token_type",
            Meta::Array(tokens.iter().map(|(.., added)| Meta::I32(if *added { 3 } else { 1 })).collect()),
        ),
        ("merges", Meta::Array(merges.collect())),
    ];
    keys.map(|(key, value)| (format!("tokenizer.ggml.{key}"), value)).into()
}

/// Writes the fixture's model into `folder` in as many files as `names`, each with a share of its tensors, and with
/// `keys` in the first.
fn rewrite(name: &str, folder: &Path, names: &[&str], keys: Vec<(String, Meta)>) {
    let mut file = std::fs::File::open(fixture(name).join("model.gguf")).unwrap();
    let content = gguf_file::Content::read(&mut file).unwrap();
    let mut tensors: Vec<String> = content.tensor_infos.keys().cloned().collect();
    tensors.sort();
    let share = tensors.len().div_ceil(names.len());
    for (number, (file_name, tensors)) in names.iter().zip(tensors.chunks(share)).enumerate() {
        let tensors: Vec<_> = tensors
            .iter()
            .map(|name| (name, content.tensor(&mut file, name, &Device::Cpu).unwrap()))
            .collect();
        let tensors: Vec<_> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let mut metadata = BTreeMap::from([("split.count".to_owned(), Meta::U16(names.len() as u16))]);
        if number == 0 {
            metadata.extend(content.metadata.clone());
            metadata.extend(keys.iter().cloned());
        }
        let metadata: Vec<_> = metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
        let mut out = std::fs::File::create(folder.join(file_name)).unwrap();
        gguf_file::write(&mut out, &metadata, &tensors).unwrap();
    }
}

#[test]
fn a_gguf_file_alone_is_enough() {
    let with_files = load("qwen3-gguf", &config());
    let folder = tempfile::tempdir().unwrap();
    rewrite("qwen3-gguf", folder.path(), &["model.gguf"], vocabulary("qwen3-gguf"));
    let alone = LocalLlm::load(folder.path(), folder.path(), &config()).unwrap();
    for text in ["Find red shoes.", "No 漢字, no 🦀, and  two spaces.\n\nIt's 2026."] {
        let request = ChatRequest::new(Purpose::Other, vec![Message::user(text)]);
        assert_eq!(alone.prompt(&request).unwrap(), with_files.prompt(&request).unwrap());
    }

    let error = |keys: &[(&str, Meta)]| {
        let folder = tempfile::tempdir().unwrap();
        let mut all = vocabulary("qwen3-gguf");
        for (key, value) in keys {
            let key = format!("tokenizer.ggml.{key}");
            all.retain(|(other, _)| *other != key);
            all.push((key, value.clone()));
        }
        rewrite("qwen3-gguf", folder.path(), &["model.gguf"], all);
        LocalLlm::load(folder.path(), folder.path(), &config()).err().unwrap().to_string()
    };
    let text = |text: &str| Meta::String(text.to_owned());
    let unknown = error(&[("pre", text("klingon"))]);
    for says in ["model.gguf", "tokenizer.ggml.pre", "`tokenizer`"] {
        assert!(unknown.contains(says), "{unknown}");
    }
    assert!(error(&[("model", text("rwkv"))]).contains("rwkv"));
    let uneven = error(&[("token_type", Meta::Array(vec![Meta::I32(1)]))]);
    assert!(uneven.contains("token_type has 1 items"), "{uneven}");
    assert!(error(&[("tokens", Meta::Array(vec![Meta::U8(1)]))]).contains("tokenizer.ggml.tokens"));
}

#[tokio::test]
async fn the_publishers_sampling_is_the_default() {
    let folder = copy("llama3");
    let path = folder.path().join("generation_config.json");
    let settings = LocalConfig { temperature: None, max_tokens: 8, ..config() };
    let mut texts = Vec::new();
    for generation in [json!({}), json!({ "temperature": 0.0 }), json!({ "temperature": 9.0, "top_k": 1 })] {
        std::fs::write(&path, generation.to_string()).unwrap();
        let llm = LocalLlm::load(folder.path(), folder.path(), &settings).unwrap();
        texts.push(llm.complete(hello()).await.unwrap().text().to_owned());
    }
    // The file's temperature of 0, and its one token to draw from, both give the most likely text.
    assert_ne!(texts[0], texts[1]);
    assert_eq!(texts[1], texts[2]);
    // The user's own key takes precedence.
    let own = LocalConfig { top_k: Some(0), ..settings.clone() };
    let llm = LocalLlm::load(folder.path(), folder.path(), &own).unwrap();
    assert_ne!(llm.complete(hello()).await.unwrap().text(), texts[2]);

    // A GGUF file says it in its header.
    let folder = tempfile::tempdir().unwrap();
    let mut keys = vocabulary("qwen3-gguf");
    keys.push(("general.sampling.temp".into(), Meta::F32(0.0)));
    rewrite("qwen3-gguf", folder.path(), &["model.gguf"], keys);
    let llm = LocalLlm::load(folder.path(), folder.path(), &settings).unwrap();
    let greedy = load("qwen3-gguf", &LocalConfig { max_tokens: 8, ..config() });
    assert_eq!(llm.complete(hello()).await.unwrap().text(), greedy.complete(hello()).await.unwrap().text());
}

#[test]
fn a_model_in_several_gguf_files_is_one_model() {
    let whole = load("qwen3-gguf", &config());
    let folder = tempfile::tempdir().unwrap();
    let names = ["tiny-00001-of-00002.gguf", "tiny-00002-of-00002.gguf"];
    rewrite("qwen3-gguf", folder.path(), &names, vocabulary("qwen3-gguf"));
    let ids = whole.prompt(&hello()).unwrap().1;
    let logits = |folder: &Path, config: &LocalConfig| LocalLlm::logits(folder, config, &[&ids]).unwrap();
    let expected = logits(&fixture("qwen3-gguf"), &config());
    assert_eq!(logits(folder.path(), &config()), expected);
    // Any part names the whole.
    let second = LocalConfig { file: Some(names[1].into()), ..config() };
    assert_eq!(logits(folder.path(), &second), expected);
    std::fs::remove_file(folder.path().join(names[1])).unwrap();
    let error = LocalLlm::load(folder.path(), folder.path(), &config()).err().unwrap().to_string();
    assert!(error.contains("tiny-00002-of-00002.gguf is missing"), "{error}");
}

/// A hub: a model's folder contains the requested files and nothing else.
struct Hub(tempfile::TempDir);

#[async_trait]
impl Host for Hub {
    async fn planner(&self, _: String) -> Result<Arc<dyn Planner>> {
        unreachable!("a model only asks for files")
    }
    async fn encoder(&self, _: String) -> Result<Arc<dyn TextEncoder>> {
        unreachable!("a model only asks for files")
    }
    async fn critic(&self, _: String) -> Result<Arc<dyn Critic>> {
        unreachable!("a model only asks for files")
    }
    async fn llm(&self, _: String) -> Result<Arc<dyn LlmBackend>> {
        unreachable!("a model only asks for files")
    }
    async fn behaviours(&self) -> Result<Vec<(String, Arc<dyn ScriptedBehaviour>)>> {
        unreachable!("a model only asks for files")
    }
    async fn model_files(&self, request: ModelFiles) -> Result<PathBuf> {
        let name = request.source.strip_prefix("hf:tiny/").unwrap();
        let folder = self.0.path().join(name);
        std::fs::create_dir_all(&folder)?;
        for file in &request.required {
            std::fs::copy(fixture(name).join(file), folder.join(file)).context(format!("no {file}"))?;
        }
        for file in &request.optional {
            // Not every model has all of them.
            let _ = std::fs::copy(fixture(name).join(file), folder.join(file));
        }
        Ok(folder)
    }
}

#[tokio::test]
async fn a_model_on_the_hub_is_requested_with_all_its_files() {
    let registration = linked().find(|one| one.kind == "local").unwrap();
    let build = async |config: Value| {
        (registration.create)(config, Arc::new(Hub(tempfile::tempdir().unwrap()))).await
    };
    for config in [
        json!({ "model": "hf:tiny/llama" }),
        json!({ "model": "hf:tiny/llama3" }),
        // In two shards.
        json!({ "model": "hf:tiny/qwen2" }),
        json!({ "model": "hf:tiny/qwen3-gguf", "file": "model.gguf" }),
        json!({ "model": "hf:tiny/qwen3-gguf", "file": "model.gguf", "tokenizer": "hf:tiny/qwen3" }),
        json!({ "model": "hf:tiny/llama3", "tokenizer": "hf:tiny/qwen3" }),
    ] {
        let Ok(Component::Llm(llm)) = build(config.clone()).await else { panic!("{config} cannot be built") };
        let completion = llm.complete(ChatRequest { max_tokens: Some(3), ..hello() }).await.unwrap();
        assert!(completion.usage.output_tokens > 0, "{config}");
    }
    let error = build(json!({ "model": "hf:tiny/qwen3-gguf", "file": "other.gguf" })).await.err().unwrap();
    assert!(error.to_string().contains("other.gguf"), "{error}");
}

#[tokio::test]
async fn it_keeps_the_rules_for_language_models() {
    let subject = Subject::linked("llm", "local").unwrap();
    for name in ["qwen3", "qwen2-gguf"] {
        let Value::Object(config) = json!({ "model": fixture(name) }) else { unreachable!() };
        // Fewer steps than the kit's thousands: each is an answer of 200 tokens.
        let report = check(&subject, &Options { config, steps: 20, ..Options::default() }).await;
        assert!(report.passed() && report.checked.iter().any(|one| one.rule == "llm/streaming"), "{report}");
    }
}
