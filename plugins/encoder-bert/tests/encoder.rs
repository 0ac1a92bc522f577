//! A tiny model made here, for everything that any model must do.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use forethought_encoder_bert::{BertConfig, BertEncoder};
use forethought_sdk::{
    api::registry::{Component, linked},
    prelude::*,
    seed::RngExt,
    serde_json::{self, json},
};
use tempfile::TempDir;

const HIDDEN: usize = 16;
const WORDS: [&str; 12] =
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "size", "is", "not", "chosen", "yet", "buy", "it", "now"];

/// A model of two small layers with random weights, written as sentence-transformers would.
fn tiny_model() -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    let write = |name: &str, value: serde_json::Value| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("has a parent")).expect("makes folders");
        std::fs::write(path, value.to_string()).expect("writes");
    };
    write(
        "config.json",
        json!({
            "model_type": "bert", "hidden_act": "gelu", "vocab_size": WORDS.len(), "hidden_size": HIDDEN,
            "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32,
            "max_position_embeddings": 32, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
        }),
    );
    let vocabulary: serde_json::Map<_, _> =
        WORDS.iter().enumerate().map(|(id, word)| (word.to_string(), json!(id))).collect();
    write(
        "tokenizer.json",
        json!({
            "version": "1.0", "truncation": null,
            "padding": { "strategy": { "Fixed": 20 }, "direction": "Right", "pad_to_multiple_of": null,
                         "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]" },
            "added_tokens": [], "decoder": null,
            "normalizer": { "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                            "strip_accents": null, "lowercase": true },
            "pre_tokenizer": { "type": "BertPreTokenizer" },
            "post_processor": { "type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2] },
            "model": { "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                       "max_input_chars_per_word": 100, "vocab": vocabulary },
        }),
    );
    write("sentence_bert_config.json", json!({ "max_seq_length": 10, "do_lower_case": false }));
    write(
        "1_Pooling/config.json",
        json!({ "pooling_mode_mean_tokens": true, "pooling_mode_cls_token": false }),
    );
    write(
        "modules.json",
        json!([
            { "idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer" },
            { "idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling" },
        ]),
    );
    save(&weights(), folder.path());
    folder
}

fn save(weights: &HashMap<String, Tensor>, folder: &Path) {
    candle_core::safetensors::save(weights, folder.join("model.safetensors")).expect("writes weights");
}

fn weights() -> HashMap<String, Tensor> {
    let mut shapes: Vec<(String, Vec<usize>)> = vec![
        ("embeddings.word_embeddings.weight".into(), vec![WORDS.len(), HIDDEN]),
        ("embeddings.position_embeddings.weight".into(), vec![32, HIDDEN]),
        ("embeddings.token_type_embeddings.weight".into(), vec![2, HIDDEN]),
        ("embeddings.LayerNorm.weight".into(), vec![HIDDEN]),
        ("embeddings.LayerNorm.bias".into(), vec![HIDDEN]),
    ];
    for layer in 0..2 {
        for (name, outputs, inputs) in [
            ("attention.self.query", HIDDEN, Some(HIDDEN)),
            ("attention.self.key", HIDDEN, Some(HIDDEN)),
            ("attention.self.value", HIDDEN, Some(HIDDEN)),
            ("attention.output.dense", HIDDEN, Some(HIDDEN)),
            ("attention.output.LayerNorm", HIDDEN, None),
            ("intermediate.dense", 32, Some(HIDDEN)),
            ("output.dense", HIDDEN, Some(32)),
            ("output.LayerNorm", HIDDEN, None),
        ] {
            let name = format!("encoder.layer.{layer}.{name}");
            shapes.push((format!("{name}.weight"), [vec![outputs], inputs.into_iter().collect()].concat()));
            shapes.push((format!("{name}.bias"), vec![outputs]));
        }
    }
    let tensor = |name: &str, shape: Vec<usize>| {
        let mut random = seed::stream(5, name);
        let numbers: Vec<f32> = (0..shape.iter().product()).map(|_| random.random_range(-1.0..1.0)).collect();
        Tensor::from_vec(numbers, shape, &Device::Cpu).expect("a tensor")
    };
    shapes.into_iter().map(|(name, shape)| (name.clone(), tensor(&name, shape))).collect()
}

fn config() -> BertConfig {
    BertConfig { device: "cpu".into(), ..Default::default() }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| text.to_string()).collect()
}

#[tokio::test]
async fn a_batch_gives_what_each_text_gives_alone_in_the_order_asked() {
    let folder = tiny_model();
    let encoder = BertEncoder::load(folder.path(), &config()).expect("loads");
    let many = texts(&[
        "size is not chosen yet",
        "buy",
        "",
        "buy it now now now now now now now now now now",
        "size is not chosen yet",
        "unheard of words",
        "BUY IT",
        "now size",
    ]);
    let rows = encoder.encode(many.clone()).await.expect("encodes");
    assert_eq!((rows.rows(), rows.columns()), (many.len(), HIDDEN));
    for (index, text) in many.iter().enumerate() {
        let alone = encoder.encode(vec![text.clone()]).await.expect("encodes");
        let norm: f32 = rows.row(index).iter().map(|x| x * x).sum();
        assert!((norm - 1.0).abs() < 1e-5, "{text}: {norm}");
        for (batched, single) in rows.row(index).iter().zip(alone.row(0)) {
            assert!((batched - single).abs() < 1e-5, "{text}: {batched} in a batch, {single} alone");
        }
    }
    let arrival = encoder.encode_blocking(many, false).expect("encodes");
    assert!(
        arrival.data().iter().zip(rows.data()).all(|(a, b)| (a - b).abs() < 1e-5),
        "batching changes nothing"
    );
    assert_ne!(rows.row(1), rows.row(0));
    assert_eq!(encoder.encode(Vec::new()).await.expect("encodes").rows(), 0);
}

#[tokio::test]
async fn long_texts_are_cut_at_the_models_length_or_the_configs() {
    let folder = tiny_model();
    let long = texts(&[&"now ".repeat(8), &"now ".repeat(9), &"now ".repeat(5)]);
    let encode = async |config: BertConfig| {
        BertEncoder::load(folder.path(), &config).expect("loads").encode(long.clone()).await.expect("encodes")
    };
    let rows = encode(config()).await;
    assert_eq!(rows.row(0), rows.row(1), "max_seq_length 10: eight words between [CLS] and [SEP]");
    assert_ne!(rows.row(0), rows.row(2));
    let rows = encode(BertConfig { max_length: Some(7), ..config() }).await;
    assert_eq!(rows.row(0), rows.row(2));
}

#[tokio::test]
async fn the_spec_names_the_weights_by_content() {
    let (folder, copy) = (tiny_model(), tiny_model());
    let spec = async |folder: &Path, config: BertConfig| {
        BertEncoder::load(folder, &config).expect("loads").spec().await.expect("a spec")
    };
    let original = spec(folder.path(), config()).await;
    assert_eq!(original.dimension, HIDDEN);
    assert_eq!(original, spec(copy.path(), config()).await, "place does not matter");
    assert_eq!(original, spec(copy.path(), BertConfig { batch_tokens: 64, ..config() }).await);
    assert_ne!(original.id, spec(copy.path(), BertConfig { max_length: Some(8), ..config() }).await.id);
    let mut weights = weights();
    let bias = weights.get_mut("encoder.layer.1.output.dense.bias").expect("there");
    *bias = (&*bias + 0.1).expect("adds");
    save(&weights, copy.path());
    let changed = spec(copy.path(), config()).await;
    assert_ne!(original.id, changed.id);
    assert_ne!(original.revision, changed.revision);
}

#[tokio::test]
async fn pooling_by_the_first_token_is_supported_too() {
    let folder = tiny_model();
    let encode = async || {
        let encoder = BertEncoder::load(folder.path(), &config()).expect("loads");
        encoder.encode(texts(&["buy it now", "size"])).await.expect("encodes")
    };
    let mean = encode().await;
    std::fs::write(folder.path().join("1_Pooling/config.json"), r#"{"pooling_mode_cls_token": true}"#)
        .expect("writes");
    let cls = encode().await;
    assert_ne!(mean, cls);
    let newer = r#"{"embedding_dimension": 16, "pooling_mode": "cls"}"#;
    std::fs::write(folder.path().join("1_Pooling/config.json"), newer).expect("writes");
    assert_eq!(cls, encode().await);
}

#[test]
fn a_file_with_the_prefix_of_a_larger_model_loads() {
    let folder = tiny_model();
    let plain = BertEncoder::load(folder.path(), &config()).expect("loads");
    let prefixed = weights().into_iter().map(|(name, tensor)| (format!("bert.{name}"), tensor)).collect();
    save(&prefixed, folder.path());
    let encoder = BertEncoder::load(folder.path(), &config()).expect("loads");
    let encode = |encoder: &BertEncoder| encoder.encode_blocking(texts(&["buy it"]), true).expect("encodes");
    assert_eq!(encode(&plain), encode(&encoder));
}

#[test]
fn the_older_names_of_norms_are_read() {
    let folder = tiny_model();
    let encode = || {
        let encoder = BertEncoder::load(folder.path(), &config()).expect("loads");
        encoder.encode_blocking(texts(&["buy it"]), true).expect("encodes")
    };
    let plain = encode();
    for prefix in ["", "bert."] {
        let renamed = weights().into_iter().map(|(name, tensor)| {
            let name = name.replace("LayerNorm.weight", "LayerNorm.gamma");
            (format!("{prefix}{}", name.replace("LayerNorm.bias", "LayerNorm.beta")), tensor)
        });
        save(&renamed.collect(), folder.path());
        assert_eq!(encode(), plain);
    }
}

#[test]
fn what_is_wrong_with_a_model_is_said_with_the_files_name() {
    let check = |spoil: &dyn Fn(&Path), expect: &[&str]| {
        let folder = tiny_model();
        spoil(folder.path());
        let error = BertEncoder::load(folder.path(), &config()).err().expect(expect[0]).to_string();
        assert!(expect.iter().all(|part| error.contains(part)), "{error}");
    };
    let edit = |folder: &Path, file: &str, from: &str, to: &str| {
        let text = std::fs::read_to_string(folder.join(file)).expect("reads");
        assert!(text.contains(from), "{file} has no {from}");
        std::fs::write(folder.join(file), text.replace(from, to)).expect("writes");
    };
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        check(&|folder| std::fs::remove_file(folder.join(file)).expect("removes"), &[file, "is missing"]);
    }
    check(
        &|folder| std::fs::write(folder.join("config.json"), "{").expect("writes"),
        &["config.json", "EOF"],
    );
    check(
        &|folder| std::fs::write(folder.join("tokenizer.json"), "[]").expect("writes"),
        &["tokenizer.json"],
    );
    check(
        &|folder| edit(folder, "config.json", "\"bert\"", "\"t5\""),
        &["config.json", "`model_type` is \"t5\"", "\"bert\", \"roberta\""],
    );
    check(&|folder| edit(folder, "config.json", "gelu", "mish"), &["`hidden_act` is \"mish\""]);
    check(
        &|folder| edit(folder, "config.json", "\"vocab_size\":12", "\"vocab_size\":9"),
        &["tokenizer.json", "12", "9"],
    );
    check(
        &|folder| edit(folder, "config.json", "\"hidden_size\":16", "\"hidden_size\":20"),
        &["model.safetensors", "[12, 16]", "[12, 20]"],
    );
    check(
        &|folder| {
            edit(
                folder,
                "1_Pooling/config.json",
                "\"pooling_mode_cls_token\":false",
                "\"pooling_mode_max_tokens\":true",
            )
        },
        &["1_Pooling/config.json", "max_tokens", "mean_tokens"],
    );
    check(
        &|folder| edit(folder, "modules.json", "models.Pooling", "models.CNN"),
        &["modules.json", "models.CNN"],
    );
    check(
        &|folder| std::fs::remove_file(folder.join("1_Pooling/config.json")).expect("removes"),
        &["modules.json", "1_Pooling/config.json", "missing"],
    );
    let shorten = |folder: &Path| {
        let path = folder.join("model.safetensors");
        let bytes = std::fs::read(&path).expect("reads");
        std::fs::write(path, &bytes[..bytes.len() - 100]).expect("writes");
    };
    check(&shorten, &["model.safetensors", "is damaged"]);
    let lose = |folder: &Path| {
        let mut weights = weights();
        weights.remove("encoder.layer.1.output.dense.bias");
        save(&weights, folder);
    };
    check(&lose, &["model.safetensors", "no tensor encoder.layer.1.output.dense.bias"]);
}

#[test]
fn unusable_settings_are_named() {
    let folder = tiny_model();
    let mut cases = vec![
        (BertConfig { max_length: Some(33), ..config() }, "`max_length` is 33"),
        (BertConfig { max_length: Some(2), ..config() }, "`max_length` is 2"),
        (BertConfig { batch_tokens: 0, ..config() }, "`batch_tokens` is 0"),
        (BertConfig { device: "gpu".into(), ..config() }, "`device` is \"gpu\""),
    ];
    if !cfg!(feature = "cuda") {
        cases.push((BertConfig { device: "cuda:0".into(), ..config() }, "--features cuda"));
    }
    for (config, expect) in cases {
        let error = BertEncoder::load(folder.path(), &config).err().expect(expect);
        assert_eq!(error.code, Code::Config);
        assert!(error.to_string().contains(expect), "{error}");
    }
}

/// A host that only gives a folder.
struct FolderHost(PathBuf);

#[async_trait]
impl Host for FolderHost {
    async fn model_files(&self, request: ModelFiles) -> Result<PathBuf> {
        assert_eq!(request.source, "hf:someone/tiny@v1");
        assert!(request.required.contains(&"tokenizer.json".to_string()));
        assert!(request.optional.contains(&"model.safetensors".to_string()));
        assert!(request.optional.contains(&"1_Pooling/config.json".to_string()));
        Ok(self.0.clone())
    }
}

#[tokio::test]
async fn the_registered_component_asks_the_host_for_its_files() {
    let folder = tiny_model();
    let registration = linked().find(|registration| registration.kind == "bert").expect("is registered");
    let host = Arc::new(FolderHost(folder.path().to_owned()));
    let config = json!({ "model": "hf:someone/tiny@v1", "device": "cpu" });
    let Ok(Component::Encoder(encoder)) = (registration.create)(config, host).await else {
        panic!("an encoder is built");
    };
    assert_eq!(encoder.encode(texts(&["buy"])).await.expect("encodes").rows(), 1);
}
