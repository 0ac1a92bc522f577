//! Tiny random models of every family, pooling and file format, against sentence-transformers: `families/make.py` made
//! both, because its wheels take gigabytes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use forethought_conformance::{Options, Subject, check};
use forethought_encoder_bert::{BertConfig, BertEncoder};
use forethought_sdk::{
    api::registry::{Component, linked},
    prelude::*,
    serde_json::{self, Value, from_slice, json, to_string},
};
use tempfile::TempDir;

const FAMILIES: [&str; 7] =
    ["bert", "roberta", "xlm-roberta", "mpnet", "distilbert", "nomic-bert", "modernbert"];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/families").join(name)
}

/// A copy of a model's folder, to change.
fn copy(name: &str) -> TempDir {
    fn all(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).expect("makes a folder");
        for entry in std::fs::read_dir(from).expect("a folder") {
            let entry = entry.expect("an entry");
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            match from.is_dir() {
                true => all(&from, &to),
                false => assert!(std::fs::copy(from, to).expect("copies") > 0),
            }
        }
    }
    let copy = TempDir::new().expect("a temporary folder");
    all(&folder(name), copy.path());
    copy
}

/// Changes a JSON file of a folder.
fn edit(folder: &Path, file: &str, change: impl FnOnce(&mut Value)) {
    let path = folder.join(file);
    let mut value = from_slice(&std::fs::read(&path).expect("reads")).expect("JSON");
    change(&mut value);
    std::fs::write(path, value.to_string()).expect("writes");
}

fn config() -> BertConfig {
    BertConfig { device: "cpu".into(), ..Default::default() }
}

fn load(folder: &Path, config: &BertConfig) -> BertEncoder {
    BertEncoder::load(folder, config).expect("loads")
}

struct Golden {
    texts: Vec<String>,
    rows: serde_json::Map<String, Value>,
}

fn golden() -> Golden {
    let bytes = std::fs::read(folder("vectors.json")).expect("reads");
    let mut rows: serde_json::Map<String, Value> = from_slice(&bytes).expect("JSON");
    let texts = rows.remove("texts").expect("there are texts");
    rows.remove("made_with");
    Golden { texts: serde_json::from_value(texts).expect("texts"), rows }
}

fn cosine(one: &[f32], other: &[f32]) -> f64 {
    assert_eq!(one.len(), other.len());
    let product =
        |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    product(one, other) / (product(one, one) * product(other, other)).sqrt()
}

/// The least cosine between an encoder's vectors and those that sentence-transformers gave under `key`.
fn least(encoder: &BertEncoder, golden: &Golden, key: &str) -> f64 {
    let expected: Vec<Vec<f32>> = serde_json::from_value(golden.rows[key].clone()).expect("rows");
    let rows = encoder.encode_blocking(golden.texts.clone(), true).expect("encodes");
    assert_eq!(rows.rows(), expected.len());
    let cosines = expected.iter().enumerate().map(|(index, row)| cosine(rows.row(index), row));
    cosines.fold(1.0, f64::min)
}

#[test]
fn every_family_gives_the_vectors_of_sentence_transformers() {
    let golden = golden();
    let mut seen = BTreeSet::new();
    for key in golden.rows.keys() {
        let (name, how) = key.split_once('/').expect("family and prompt");
        seen.insert(name);
        let config = match how {
            "default" => config(),
            "none" => BertConfig { prompt: Some(String::new()), ..config() },
            prompt => BertConfig { prompt_name: Some(prompt.to_owned()), ..config() },
        };
        let encoder = load(&folder(name), &config);
        let own = least(&encoder, &golden, key);
        println!("{key}: {own:.7}");
        assert!(own > 0.99999, "{key}: {own}");
        // They are not alike: another model's or another prompt's vectors are not so near.
        for other in golden.rows.keys().filter(|other| golden.rows[*other] != golden.rows[key]) {
            let length = |key: &str| golden.rows[key][0].as_array().map(Vec::len);
            if length(other) == length(key) {
                let far = least(&encoder, &golden, other);
                assert!(far < 0.999, "{key} and {other}: {far}");
            }
        }
    }
    assert_eq!(seen, FAMILIES.into());
}

#[test]
fn a_prompt_is_the_models_default_or_the_configured_text_and_part_of_the_id() {
    let golden = golden();
    let id = |name: &str, config: BertConfig| {
        let encoder = load(&folder(name), &config);
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(encoder.spec()).expect("a spec").id
    };
    let with = |prompt: &str| BertConfig { prompt: Some(prompt.to_owned()), ..config() };
    assert!(id("bert", config()).ends_with("&prompt=find the size: "), "{}", id("bert", config()));
    assert_eq!(id("bert", config()), id("bert", with("find the size: ")));
    assert_eq!(
        id("bert", with("")),
        id("bert", BertConfig { prompt_name: Some("document".into()), ..config() })
    );
    assert!(!id("bert", with("")).contains("prompt"));
    assert!(id("distilbert", config()).ends_with("&prompt=the user buys: &include_prompt=false"));
    // A model without a default prompt has the id that it had before prompts were read.
    assert_eq!(id("mpnet", config()), id("mpnet", with("")));
    assert!(id("mpnet", config()).ends_with("&pooling=mean&max_length=160&lowercase=false"));
    assert!(id("bert", with("")).contains("&head=dense-tanh-"));

    let written = load(&folder("xlm-roberta"), &with("passage: "));
    assert!(least(&written, &golden, "xlm-roberta/passage") > 0.99999);
    let texts = |prompt: &str| golden.texts.iter().map(|text| format!("{prompt}{text}")).collect::<Vec<_>>();
    let bare = load(&folder("bert"), &with(""));
    let prompted = load(&folder("bert"), &config());
    assert_eq!(
        bare.encode_blocking(texts("find the size: "), true).expect("encodes"),
        prompted.encode_blocking(texts(""), true).expect("encodes")
    );

    for (config, part) in [
        (BertConfig { prompt_name: Some("sts".into()), ..config() }, "`prompt_name` is \"sts\", but "),
        (
            BertConfig { prompt_name: Some("query".into()), ..with("") },
            "`prompt` and `prompt_name` are both set",
        ),
    ] {
        let error = BertEncoder::load(&folder("bert"), &config).err().expect(part).to_string();
        assert!(error.contains(part), "{error}");
    }
    let copy = copy("bert");
    edit(copy.path(), "config_sentence_transformers.json", |file| file["default_prompt_name"] = json!("sts"));
    let error = BertEncoder::load(copy.path(), &config()).err().expect("no such prompt").to_string();
    assert!(error.contains("`default_prompt_name` is \"sts\"") && error.contains("\"query\""), "{error}");
    assert!(BertEncoder::load(copy.path(), &with("")).is_ok());
}

#[test]
fn files_as_other_versions_wrote_them_are_the_same_network() {
    let golden = golden();
    // As the code of the model itself writes it, on the hub.
    let nomic = copy("nomic-bert");
    edit(nomic.path(), "config.json", |file| {
        *file = json!({
            "model_type": "nomic_bert", "activation_function": "swiglu", "vocab_size": file["vocab_size"],
            "n_embd": 16, "n_layer": 2, "n_head": 4, "n_inner": 24, "n_positions": 200, "layer_norm_epsilon": 1e-12,
            "type_vocab_size": 2, "rotary_emb_base": 1000, "rotary_emb_fraction": 1.0,
            "rotary_emb_interleaved": false, "rotary_emb_scale_base": null, "rotary_scaling_factor": null,
            "prenorm": false, "parallel_block": false, "use_rms_norm": false, "causal": false,
            "qkv_proj_bias": false, "mlp_fc1_bias": false, "mlp_fc2_bias": false, "max_trained_positions": 20,
        });
    });
    assert!(least(&load(nomic.path(), &config()), &golden, "nomic-bert/default") > 0.99999);
    // As version 4 of transformers writes it.
    let modern = copy("modernbert");
    edit(modern.path(), "config.json", |file| {
        for key in ["layer_types", "rope_parameters"] {
            file.as_object_mut().expect("an object").remove(key);
        }
        file["global_attn_every_n_layers"] = json!(3);
        file["global_rope_theta"] = json!(160000.0);
        file["local_rope_theta"] = json!(10000.0);
    });
    assert!(least(&load(modern.path(), &config()), &golden, "modernbert/default") > 0.99999);
    // With a special token, such as one for padding, that the network does not know.
    let distil = copy("distilbert");
    edit(distil.path(), "tokenizer.json", |file| {
        let mut extra = file["added_tokens"][0].clone();
        (extra["id"], extra["content"]) = (json!(90), json!("[EXTRA]"));
        file["added_tokens"].as_array_mut().expect("a list").push(extra);
    });
    assert!(least(&load(distil.path(), &config()), &golden, "distilbert/default") > 0.99999);
    // As sentence-transformers wrote poolings before version 6.
    let mpnet = copy("mpnet");
    let older = json!({ "word_embedding_dimension": 16, "pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true });
    edit(mpnet.path(), "1_Pooling/config.json", |file| *file = older);
    assert!(least(&load(mpnet.path(), &config()), &golden, "mpnet/default") > 0.99999);
}

#[test]
fn weights_of_pytorch_are_read_where_there_are_no_others_and_never_run() {
    let refused = |folder: &Path, parts: &[&str]| {
        let error = BertEncoder::load(folder, &config()).err().expect(parts[0]).to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    };
    let both = copy("bert");
    std::fs::write(both.path().join("pytorch_model.bin"), "not looked at").expect("writes");
    assert!(BertEncoder::load(both.path(), &config()).is_ok(), "safetensors come first");

    let pickled = copy("roberta");
    let file = pickled.path().join("pytorch_model.bin");
    let whole = std::fs::read(&file).expect("reads");
    std::fs::write(&file, b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.").expect("writes");
    refused(pickled.path(), &["pytorch_model.bin cannot be read", "since version 1.6", "save_pretrained"]);
    std::fs::write(&file, &whole[..whole.len() / 2]).expect("writes");
    refused(pickled.path(), &["pytorch_model.bin cannot be read"]);
    // Lists that are not what the reader of tensors expects.
    let within = |bytes: &[u8]| whole.windows(bytes.len()).position(|part| part == bytes).expect("is there");
    let mut broken = whole.clone();
    let place = within(b"_rebuild_tensor_v2\n");
    broken[place - 12..place].copy_from_slice(b"torch.utils\n");
    std::fs::write(&file, &broken).expect("writes");
    refused(pickled.path(), &["pytorch_model.bin cannot be read", "no tensors at its top level"]);
    // Python would run this: `os.system("touch ...")`.
    let proof = pickled.path().join("proof");
    let command = format!("touch {}", proof.display());
    let length = u32::try_from(command.len()).expect("short").to_le_bytes();
    let program = [b"\x80\x02cposix\nsystem\nX", &length[..], command.as_bytes(), b"\x85R."].concat();
    let mut malicious = whole.clone();
    let place = within(b"\x80\x02}q\x00");
    malicious[place..place + program.len()].copy_from_slice(&program);
    std::fs::write(&file, &malicious).expect("writes");
    refused(pickled.path(), &["pytorch_model.bin cannot be read", "no tensors at its top level"]);
    assert!(!proof.exists());
    std::fs::write(&file, &whole).expect("writes");
    assert!(BertEncoder::load(pickled.path(), &config()).is_ok());
    std::fs::remove_file(&file).expect("removes");
    refused(pickled.path(), &["model.safetensors is missing"]);
}

#[test]
fn modules_that_are_not_supported_are_refused_with_their_names() {
    let check = |file: &str, change: &dyn Fn(&mut Value), parts: &[&str]| {
        let copy = copy("bert");
        edit(copy.path(), file, change);
        let error = BertEncoder::load(copy.path(), &config()).err().expect(parts[0]).to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    };
    let dense = "2_Dense/config.json";
    check(dense, &|file| file["in_features"] = json!(15), &["2_Dense", "`in_features` is 15", "16"]);
    check(dense, &|file| file["out_features"] = json!(13), &["2_Dense", "linear.weight", "[12, 16]"]);
    check(
        dense,
        &|file| file["activation_function"] = json!("torch.nn.modules.activation.Mish"),
        &["2_Dense", "Mish", "Tanh"],
    );
    check(dense, &|file| file["use_residual"] = json!(true), &["2_Dense", "residual"]);
    check(
        dense,
        &|file| file["module_input_name"] = json!("token_embeddings"),
        &["2_Dense", "sentence_embedding"],
    );
    let list = "modules.json";
    check(list, &|file| file[2]["type"] = json!("some.LayerNorm"), &["modules.json", "some.LayerNorm"]);
    check(list, &|file| file[2]["path"] = json!("../2_Dense"), &["modules.json", "../2_Dense"]);
    check(list, &|file| file[0]["path"] = json!("0_Transformer"), &["modules.json", "0_Transformer"]);
    let pooling = "1_Pooling/config.json";
    check(pooling, &|file| file["pooling_mode"] = json!(["cls", "mean"]), &["1_Pooling", "cls", "mean"]);
    check(pooling, &|file| file["pooling_mode"] = json!("median"), &["1_Pooling", "median", "weightedmean"]);
    check(
        "config.json",
        &|file| *file = json!({ "model_type": "t5" }),
        &["config.json", "\"t5\"", "\"modernbert\""],
    );
}

/// A host that has files elsewhere and brings what is requested, as from a hub.
struct Hub {
    from: PathBuf,
    to: TempDir,
    requests: Mutex<Vec<ModelFiles>>,
}

#[async_trait]
impl Host for Hub {
    async fn model_files(&self, request: ModelFiles) -> Result<PathBuf> {
        for file in request.required.iter().chain(&request.optional).chain(&request.aside) {
            let (from, to) = (self.from.join(file), self.to.path().join(file));
            if from.is_file() {
                std::fs::create_dir_all(to.parent().expect("a folder"))?;
                std::fs::copy(from, to)?;
            } else if request.required.contains(file) {
                return Err(Error::not_found(format!("the hub has no {file}")));
            }
        }
        self.requests.lock().expect("a lock").push(request);
        Ok(self.to.path().to_owned())
    }
}

#[tokio::test]
async fn only_the_files_of_a_model_are_fetched_and_all_of_them() {
    let golden = golden();
    let registration = linked().find(|registration| registration.kind == "bert").expect("is registered");
    for name in FAMILIES {
        let (to, requests) = (TempDir::new().expect("a folder"), Mutex::default());
        let hub = Arc::new(Hub { from: folder(name), to, requests });
        let config = json!({ "model": "hf:someone/tiny@v1", "device": "cpu" });
        let Ok(Component::Encoder(encoder)) = (registration.create)(config, hub.clone()).await else {
            panic!("{name} is built from what was fetched");
        };
        let rows = encoder.encode(golden.texts.clone()).await.expect("encodes");
        let local = load(&folder(name), &self::config());
        assert_eq!(rows, local.encode_blocking(golden.texts.clone(), true).expect("encodes"));
        let requests = hub.requests.lock().expect("a lock");
        assert!(requests[0].aside.contains(&"config_sentence_transformers.json".to_owned()));
        let older = requests.iter().any(|request| request.optional.contains(&"pytorch_model.bin".to_owned()));
        assert_eq!(older, name == "roberta", "only where there is nothing newer");
        let count = match name {
            "roberta" => 3,
            "bert" => 2,
            _ => 1,
        };
        assert_eq!(requests.len(), count, "{name}: {}", to_string(&*requests).expect("JSON"));
    }
    let from = copy("mpnet");
    std::fs::remove_file(from.path().join("model.safetensors")).expect("removes");
    let hub = Hub {
        from: from.path().to_owned(),
        to: TempDir::new().expect("a folder"),
        requests: Mutex::default(),
    };
    let error =
        (registration.create)(json!({ "model": "hf:a/b" }), Arc::new(hub)).await.err().expect("no weights");
    assert!(error.to_string().contains("the hub has no model.safetensors"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_family_conforms() {
    let subject = Subject::linked("encoder", "bert").expect("is linked");
    for name in FAMILIES {
        let config = json!({ "model": folder(name), "device": "cpu" });
        let options = Options {
            config: serde_json::from_value(config).expect("a table"),
            steps: 20,
            ..Options::default()
        };
        let report = check(&subject, &options).await;
        assert!(report.passed(), "{name}: {report}");
    }
}
