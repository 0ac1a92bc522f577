//! The tokenizer inside a GGUF file: its `tokenizer.ggml.*` keys in the form of a `tokenizer.json`.
//!
//! Two kinds exist in the families of this crate. `gpt2` is byte-level BPE with its merges; how texts are cut before
//! merging is named by `tokenizer.ggml.pre` (llama.cpp, `src/llama-vocab.cpp`). `llama` is SentencePiece with scores;
//! its merges follow from these, as in transformers' `convert_slow_tokenizer.generate_merges`.

use std::collections::HashMap;

use candle_core::quantized::gguf_file::{Content, Value as Meta};
use forethought_sdk::{
    prelude::*,
    serde_json::{Map, Value, json},
};

/// How Qwen2 cuts texts; numbers digit by digit.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// How Llama 3 cuts texts; numbers in groups of three digits.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Token types of GGUF.
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER: i64 = 4;

/// Names that chat models give to the token that ends a turn. llama.cpp ends an answer at these, too, because many
/// files name another token as the end.
const TURN_ENDS: &[&str] = &["<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>"];

/// The vocabulary of a GGUF file.
pub(crate) struct Vocabulary<'a> {
    content: &'a Content,
    tokens: Vec<String>,
    types: Vec<i64>,
}

impl<'a> Vocabulary<'a> {
    /// That of the header `content`; `None` if it has none.
    ///
    /// # Errors
    /// Lists of unequal length, or of other things than texts and numbers.
    pub(crate) fn of(content: &'a Content) -> Result<Option<Self>> {
        let Some(tokens) = list(content, "tokens", |one| one.to_string().ok().cloned())? else {
            return Ok(None);
        };
        let types = list(content, "token_type", integer)?.unwrap_or_else(|| vec![1; tokens.len()]);
        same_length("token_type", types.len(), tokens.len())?;
        Ok(Some(Self { content, tokens, types }))
    }

    /// The tokenizer in the form of a `tokenizer.json`.
    ///
    /// # Errors
    /// A kind of tokenizer, or a way of cutting texts, that is not known here.
    pub(crate) fn tokenizer(&self) -> Result<Value> {
        let vocab: Map<_, _> =
            self.tokens.iter().enumerate().map(|(id, token)| (token.clone(), json!(id))).collect();
        let added: Vec<_> = (0..self.tokens.len())
            .filter(|&id| matches!(self.types[id], UNKNOWN | CONTROL | USER))
            .map(|id| {
                json!({
                    "id": id, "content": self.tokens[id], "special": self.types[id] != USER, "normalized": false,
                    "lstrip": false, "rstrip": false, "single_word": false,
                })
            })
            .collect();
        let kind = text(self.content, "model").unwrap_or_default();
        let parts = match kind.as_str() {
            "gpt2" => self.byte_level(&vocab)?,
            "llama" => self.sentence_piece(&vocab)?,
            other => return Err(unsupported("model", other, "\"gpt2\" and \"llama\"")),
        };
        let mut tokenizer = json!({
            "version": "1.0", "truncation": null, "padding": null, "post_processor": null, "added_tokens": added,
        });
        tokenizer.as_object_mut().expect("an object").extend(parts);
        Ok(tokenizer)
    }

    fn byte_level(&self, vocab: &Map<String, Value>) -> Result<Map<String, Value>> {
        let merges = list(self.content, "merges", |one| one.to_string().ok().cloned())?
            .ok_or_else(|| Error::input("the header has no tokenizer.ggml.merges"))?;
        let merges: Vec<_> = merges
            .iter()
            .map(|merge| merge.split_once(' ').map(|(left, right)| json!([left, right])))
            .collect::<Option<_>>()
            .ok_or_else(|| {
                Error::input("tokenizer.ggml.merges: a merge is two texts with a space between")
            })?;
        let bytes = |regex: bool| json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": regex });
        let cut = |regex: &str| {
            let split = json!({ "type": "Split", "pattern": { "Regex": regex }, "behavior": "Isolated", "invert": false });
            json!({ "type": "Sequence", "pretokenizers": [split, bytes(false)] })
        };
        let pre = text(self.content, "pre");
        let (normalizer, pre_tokenizer, ignore_merges) = match pre.as_deref() {
            Some("llama-bpe" | "llama3" | "llama-v3") => (Value::Null, cut(LLAMA3), true),
            Some("smaug-bpe" | "dbrx") => (Value::Null, cut(LLAMA3), false),
            Some("qwen2" | "deepseek-r1-qwen" | "megrez") => (json!({ "type": "NFC" }), cut(QWEN2), false),
            Some("smollm" | "refact" | "command-r" | "starcoder") => {
                let digits = json!({ "type": "Digits", "individual_digits": true });
                let both = json!({ "type": "Sequence", "pretokenizers": [digits, bytes(true)] });
                (Value::Null, both, false)
            }
            Some("gpt-2" | "gpt2" | "mpt" | "olmo" | "phi-2") => (Value::Null, bytes(true), false),
            other => {
                return Err(unsupported(
                    "pre",
                    other.unwrap_or("missing"),
                    "\"llama-bpe\", \"qwen2\", \"smollm\", \"gpt-2\" and their relatives",
                ));
            }
        };
        Ok(object(json!({
            "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "decoder": bytes(true),
            "model": {
                "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": ignore_merges,
                "vocab": vocab, "merges": merges,
            },
        })))
    }

    fn sentence_piece(&self, vocab: &Map<String, Value>) -> Result<Map<String, Value>> {
        let scores = list(self.content, "scores", |one| one.to_f32().ok())?
            .ok_or_else(|| Error::input("the header has no tokenizer.ggml.scores"))?;
        same_length("scores", scores.len(), self.tokens.len())?;
        let ids: HashMap<&str, usize> =
            self.tokens.iter().enumerate().map(|(id, token)| (token.as_str(), id)).collect();
        // (score, ids of the two parts), the best first; of equals in the order of transformers.
        let mut merges = Vec::new();
        for (id, token) in self.tokens.iter().enumerate() {
            let mut of_token = Vec::new();
            for (at, _) in token.char_indices().skip(1) {
                if let (Some(&left), Some(&right)) = (ids.get(&token[..at]), ids.get(&token[at..])) {
                    of_token.push((left, right));
                }
            }
            of_token.sort_unstable();
            merges.extend(of_token.into_iter().map(|(left, right)| (scores[id], left, right)));
        }
        let length = |id: usize| self.tokens[id].chars().count();
        let rank = |&(score, left, right): &(f32, usize, usize)| (score, length(left), length(right));
        merges.sort_by(|a, b| {
            let ((a, a_left, a_right), (b, b_left, b_right)) = (rank(a), rank(b));
            b.total_cmp(&a).then((b_left, b_right).cmp(&(a_left, a_right)))
        });
        let merges: Vec<_> =
            merges.iter().map(|&(_, left, right)| json!([self.tokens[left], self.tokens[right]])).collect();
        let unknown = self.types.iter().position(|kind| *kind == UNKNOWN).map(|id| &self.tokens[id]);
        let space = json!({ "type": "Replace", "pattern": { "String": " " }, "content": "▁" });
        let mut normalizers = vec![space];
        let mut decoders = vec![
            json!({ "type": "Replace", "pattern": { "String": "▁" }, "content": " " }),
            json!({ "type": "ByteFallback" }),
            json!({ "type": "Fuse" }),
        ];
        if flag(self.content, "add_space_prefix").unwrap_or(true) {
            normalizers.insert(0, json!({ "type": "Prepend", "prepend": "▁" }));
            decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
        }
        Ok(object(json!({
            "normalizer": { "type": "Sequence", "normalizers": normalizers }, "pre_tokenizer": null,
            "decoder": { "type": "Sequence", "decoders": decoders },
            "model": {
                "type": "BPE", "dropout": null, "unk_token": unknown, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
                "vocab": vocab, "merges": merges,
            },
        })))
    }

    /// Tokens that end an answer, next to the one that the header names as the end.
    pub(crate) fn turn_ends(&self) -> Vec<u32> {
        let named = ["eot_token_id", "eom_token_id"].iter().filter_map(|key| id(self.content, key));
        let known = (0..self.tokens.len())
            .filter(|&id| self.types[id] == CONTROL && TURN_ENDS.contains(&self.tokens[id].as_str()))
            .map(|id| id as u32);
        named.chain(known).collect()
    }

    /// The text of a token.
    pub(crate) fn token(&self, id: Option<u32>) -> Option<String> {
        self.tokens.get(id? as usize).cloned()
    }
}

fn get<'c>(content: &'c Content, key: &str) -> Option<&'c Meta> {
    content.metadata.get(&format!("tokenizer.ggml.{key}"))
}

fn text(content: &Content, key: &str) -> Option<String> {
    get(content, key).and_then(|value| value.to_string().ok().cloned())
}

fn flag(content: &Content, key: &str) -> Option<bool> {
    get(content, key).and_then(|value| value.to_bool().ok())
}

/// A token id in the header, of any integer type.
pub(crate) fn id(content: &Content, key: &str) -> Option<u32> {
    get(content, key).and_then(integer).and_then(|id| u32::try_from(id).ok())
}

fn integer(value: &Meta) -> Option<i64> {
    Some(match value {
        Meta::U8(value) => (*value).into(),
        Meta::I8(value) => (*value).into(),
        Meta::U16(value) => (*value).into(),
        Meta::I16(value) => (*value).into(),
        Meta::U32(value) => (*value).into(),
        Meta::I32(value) => (*value).into(),
        Meta::U64(value) => i64::try_from(*value).ok()?,
        Meta::I64(value) => *value,
        _ => return None,
    })
}

fn list<T>(content: &Content, key: &str, read: impl Fn(&Meta) -> Option<T>) -> Result<Option<Vec<T>>> {
    let Some(value) = get(content, key) else { return Ok(None) };
    let wrong = || Error::input(format!("tokenizer.ggml.{key} is not a list of what it should have"));
    let items = value.to_vec().map_err(|_| wrong())?;
    items.iter().map(read).collect::<Option<_>>().map(Some).ok_or_else(wrong)
}

fn same_length(key: &str, found: usize, tokens: usize) -> Result<()> {
    match found == tokens {
        true => Ok(()),
        false => Err(Error::input(format!("tokenizer.ggml.{key} has {found} items for {tokens} tokens"))),
    }
}

fn unsupported(key: &str, found: &str, known: &str) -> Error {
    Error::config(format!("tokenizer.ggml.{key} is {found:?}; {known} are supported"))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_of_a_sentence_piece_vocabulary_follow_from_its_scores() {
        let bytes = (0..=255).map(|byte| (format!("<0x{byte:02X}>"), 0.0, 6));
        let pieces = [("▁the", -1.0), ("▁t", -2.0), ("he", -3.0), ("th", -4.0), ("the", -5.0), ("▁", -6.0)];
        let letters = "the shop".chars().map(|letter| (letter.to_string(), -9.0, 1));
        let mut all = vec![("<unk>".to_owned(), 0.0, 2), ("</s>".to_owned(), 0.0, 3)];
        all.extend(bytes);
        all.extend(pieces.map(|(piece, score)| (piece.to_owned(), score, 1)));
        all.extend(letters.filter(|(letter, ..)| letter != " "));
        let mut seen = std::collections::HashSet::new();
        all.retain(|(token, ..)| seen.insert(token.clone()));
        let array = |of: &dyn Fn(&(String, f32, i32)) -> Meta| Meta::Array(all.iter().map(of).collect());
        let metadata = [
            ("model", Meta::String("llama".into())),
            ("tokens", array(&|(token, ..)| Meta::String(token.clone()))),
            ("scores", array(&|(_, score, _)| Meta::F32(*score))),
            ("token_type", array(&|(.., kind)| Meta::I32(*kind))),
        ];
        let metadata = metadata.map(|(key, value)| (format!("tokenizer.ggml.{key}"), value));
        let content = Content {
            magic: candle_core::quantized::gguf_file::VersionedMagic::GgufV3,
            metadata: metadata.into(),
            tensor_infos: HashMap::new(),
            tensor_data_offset: 0,
        };
        let tokenizer = Vocabulary::of(&content).unwrap().unwrap().tokenizer().unwrap();
        let tokenizer = tokenizers::Tokenizer::from_bytes(tokenizer.to_string()).unwrap();
        let encoded = tokenizer.encode("the shop é</s>", false).unwrap();
        let expected = ["▁the", "▁", "s", "h", "o", "p", "▁", "<0xC3>", "<0xA9>", "</s>"];
        assert_eq!(encoded.get_tokens(), expected);
        assert_eq!(tokenizer.decode(encoded.get_ids(), true).unwrap(), "the shop é");
    }
}
