//! Text encoders over loopback: both APIs, every fault, and what makes an encoder the same.

mod canned;

use std::time::Duration;

use canned::Canned;
use forethought_conformance::{Options as Checks, Outcome, Subject, check};
use forethought_llm_remote::{EncoderConfig, EncoderProvider, RemoteEncoder};
use forethought_mock_llm::{Options, Server, start};
use forethought_sdk::{
    prelude::*,
    serde_json::{Value, from_str, from_value, json},
};

/// The address of each API on the server.
const APIS: [(EncoderProvider, &str); 3] = [
    (EncoderProvider::Openai, "/v1"),
    (EncoderProvider::OpenaiCompatible, "/v1"),
    (EncoderProvider::Tei, ""),
];

fn config(base: &str, provider: EncoderProvider) -> EncoderConfig {
    from_value(json!({ "provider": provider, "model": "org/small", "base_url": base })).unwrap()
}

fn at(server: &Server, (provider, version): (EncoderProvider, &str)) -> EncoderConfig {
    config(&(server.url() + version), provider)
}

fn texts() -> Vec<String> {
    (0..70).map(|n| format!("the shirt has size {n}")).chain(["".into(), "the shirt".into()]).collect()
}

async fn id(config: EncoderConfig) -> String {
    RemoteEncoder::new(config).unwrap().spec().await.unwrap().id
}

#[tokio::test]
async fn both_apis_give_the_same_unit_vectors_in_order_and_in_batches() {
    let server = start(Options { record: true, ..Options::default() }).await.unwrap();
    let mut all = Vec::new();
    for api in APIS {
        for (batch, extra) in [(32, json!({})), (7, json!({ "encoding_format": "base64" })), (1, json!({}))] {
            let extra = if api.0 == EncoderProvider::Tei { json!({}) } else { extra };
            let before = server.received().len();
            let config = EncoderConfig { batch, extra: from_value(extra).unwrap(), ..at(&server, api) };
            let encoder = RemoteEncoder::new(config).unwrap();
            let rows = encoder.encode(texts()).await.unwrap();
            assert_eq!((rows.rows(), rows.columns()), (texts().len(), 24));
            assert_eq!(server.received().len() - before, texts().len().div_ceil(batch));
            assert_eq!(encoder.spec().await.unwrap().dimension, 24);
            for row in 0..rows.rows() {
                let norm: f32 = rows.row(row).iter().map(|number| number * number).sum();
                assert!((norm - 1.0).abs() < 1e-5);
            }
            all.push(rows);
        }
    }
    assert!(all.iter().all(|rows| rows == &all[0]), "no API, batch or way of writing changes anything");
    assert_ne!(all[0].row(0), all[0].row(1));
    // The order is that of the texts.
    let encoder = RemoteEncoder::new(at(&server, APIS[0])).unwrap();
    let alone = encoder.encode(vec![texts()[5].clone()]).await.unwrap();
    assert_eq!(alone.row(0), all[0].row(5));
}

#[tokio::test]
async fn the_model_and_what_changes_vectors_are_the_identity_and_the_server_is_not() {
    let (one, other) = (start(Options::default()).await.unwrap(), start(Options::default()).await.unwrap());
    let plain = at(&one, APIS[1]);
    assert_eq!(id(plain.clone()).await, "remote/v1?model=org/small");
    for same in [
        at(&other, APIS[0]),
        at(&other, APIS[2]),
        EncoderConfig { batch: 3, concurrency: 1, retries: 0, ..plain.clone() },
    ] {
        assert_eq!(id(same).await, id(plain.clone()).await);
    }
    let other = EncoderConfig { model: "org/large".into(), ..plain.clone() };
    assert_eq!(id(other).await, "remote/v1?model=org/large");
    let extra = from_value(json!({ "task": "a=b", "input_type": "query" })).unwrap();
    let shaped = EncoderConfig { dimensions: Some(8), prompt: "query: ".into(), extra, ..plain };
    let encoder = RemoteEncoder::new(shaped).unwrap();
    let spec = encoder.spec().await.unwrap();
    let expected = "remote/v1?model=org/small&dimensions=8&extra={\"input_type\":\"query\",\"task\":\"a%3Db\"}&prompt=query: ";
    assert_eq!((spec.id.as_str(), spec.dimension), (expected, 8));
    assert_eq!(encoder.encode(texts()).await.unwrap().columns(), 8);
}

#[tokio::test]
async fn what_is_sent_is_what_the_apis_document() {
    let server = start(Options { record: true, ..Options::default() }).await.unwrap();
    let sent = async |config: EncoderConfig| -> (String, Value) {
        let config = EncoderConfig { prompt: "query: ".into(), dimensions: Some(8), ..config };
        RemoteEncoder::new(config).unwrap().encode(vec!["a".into(), "b".into()]).await.unwrap();
        let last = server.received().pop().unwrap();
        (last.path, from_str(&last.body).unwrap())
    };
    let openai = json!({
        "model": "org/small", "input": ["query: a", "query: b"], "encoding_format": "float", "dimensions": 8
    });
    assert_eq!(sent(at(&server, APIS[0])).await, ("/v1/embeddings".into(), openai));
    let tei =
        json!({ "inputs": ["query: a", "query: b"], "normalize": true, "truncate": true, "dimensions": 8 });
    assert_eq!(sent(at(&server, APIS[2])).await, ("/embed".into(), tei));
    // No server takes empty texts, and none is sent one.
    RemoteEncoder::new(at(&server, APIS[2])).unwrap().encode(vec![String::new()]).await.unwrap();
    assert_eq!(from_str::<Value>(&server.received().pop().unwrap().body).unwrap()["inputs"], json!([" "]));
}

#[tokio::test]
async fn faults_that_may_pass_are_repeated_and_others_are_not() {
    for api in APIS {
        for fault in ["rate-limit:5", "status:503", "cut", "truncate", "malformed"] {
            let faults = vec![format!("{fault}=1x1").parse().unwrap()];
            let server = start(Options { faults, ..Options::default() }).await.unwrap();
            let encoder = RemoteEncoder::new(at(&server, api)).unwrap();
            assert_eq!(encoder.encode(vec!["a".into()]).await.unwrap().rows(), 1, "{api:?} {fault}");
            assert_eq!((server.total().asked, server.total().answered), (2, 1), "{api:?} {fault}");
            let impatient = EncoderConfig { retries: 0, ..at(&server, api) };
            let encoder = RemoteEncoder::new(impatient).unwrap();
            assert!(encoder.encode(vec!["b".into()]).await.is_err(), "{api:?} {fault}");
        }
        for (fault, part) in [
            ("unauthorized", "set api_key_env"),
            ("status:400", "a requested fault"),
            ("status:404", "base_url"),
        ] {
            let faults = vec![fault.parse().unwrap()];
            let server = start(Options { faults, ..Options::default() }).await.unwrap();
            let encoder = RemoteEncoder::new(at(&server, api)).unwrap();
            let error = encoder.encode(vec!["a".into()]).await.unwrap_err();
            let name = ["openai at", "openai-compatible at", "tei at"][api.0 as usize];
            assert!(
                error.message.starts_with(name) && error.message.contains(part),
                "{api:?} {fault}: {error}"
            );
            assert_eq!(server.total().asked, 1, "{api:?} {fault}");
        }
        // A pause that nobody waits for.
        let faults = vec!["rate-limit:90000".parse().unwrap()];
        let server = start(Options { faults, ..Options::default() }).await.unwrap();
        let encoder = RemoteEncoder::new(at(&server, api)).unwrap();
        let waited = tokio::time::timeout(Duration::from_secs(30), encoder.encode(vec!["a".into()])).await;
        assert!(waited.unwrap().unwrap_err().message.contains("429"));
        let server = start(Options::default()).await.unwrap();
        let encoder = RemoteEncoder::new(EncoderConfig { batch: 40, ..at(&server, api) }).unwrap();
        let error = encoder.encode(texts()).await.unwrap_err();
        assert!(error.message.contains("batch = 40 texts"), "{error}");
    }
}

#[tokio::test]
async fn the_key_is_sent_to_the_server_and_shown_to_nobody() {
    const KEY: &str = "sk-sesame-0123456789";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, KEY).unwrap();
    let server = start(Options { key: Some(KEY.into()), ..Options::default() }).await.unwrap();
    let api_key_file = Some(ConfigPath(file.path().into()));
    for api in APIS {
        let config = EncoderConfig { api_key_file: api_key_file.clone(), ..at(&server, api) };
        RemoteEncoder::new(config).unwrap().encode(vec!["a".into()]).await.unwrap();
        let error = RemoteEncoder::new(at(&server, api)).unwrap().encode(vec!["a".into()]).await.unwrap_err();
        assert!(error.message.contains("no key was sent"), "{error}");
    }
    let answer = format!("{{\"error\": \"no such key: {KEY}\"}}");
    let canned = Canned::status("401 Unauthorized\r\ncontent-type: application/json", &answer).await;
    let config = EncoderConfig { api_key_file, ..config(canned.base(), EncoderProvider::Tei) };
    let error = RemoteEncoder::new(config).unwrap().encode(vec!["a".into()]).await.unwrap_err();
    assert!(error.message.contains("no such key: [redacted]"), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_not_of_the_api_says_so() {
    for (provider, answer, part) in [
        (EncoderProvider::Tei, r#"{"data": []}"#, "not a list of vectors"),
        (EncoderProvider::Tei, "[[1.0, 0.0], [1.0, 0.0]]", "2 vectors for 1 texts"),
        (EncoderProvider::Openai, r#"{"data": [{"index": 1, "embedding": [1.0]}]}"#, "`index` 1"),
        (EncoderProvider::Openai, r#"{"object": "list"}"#, "no list `data`"),
        (EncoderProvider::OpenaiCompatible, r#"{"embeddings": [[1.0]]}"#, "not from this API"),
        (EncoderProvider::OpenaiCompatible, "<html>", "not from this API"),
        (EncoderProvider::OpenaiCompatible, r#"{"error": {"message": "no model"}}"#, "no model"),
    ] {
        let server = Canned::json(answer).await;
        let encoder =
            RemoteEncoder::new(EncoderConfig { retries: 0, ..config(server.base(), provider) }).unwrap();
        let error = encoder.encode(vec!["a".into()]).await.unwrap_err();
        assert!(error.message.contains(part), "{answer}: {error}");
    }
    // Another model than before.
    let server = Canned::json(r#"[[1.0, 0.0, 0.0]]"#).await;
    let config = EncoderConfig { dimensions: Some(2), ..config(server.base(), EncoderProvider::Tei) };
    let error = RemoteEncoder::new(config).unwrap().encode(vec!["a".into()]).await.unwrap_err();
    assert!(error.message.contains("3 numbers instead of 2"), "{error}");
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_refused_with_their_names() {
    let base = config("http://127.0.0.1:1", EncoderProvider::Tei);
    let extra = from_value(json!({ "api_key": "sk-0123456789abcdef" })).unwrap();
    for (config, part) in [
        (EncoderConfig { base_url: None, ..base.clone() }, "provider = \"tei\" needs a base_url"),
        (
            EncoderConfig { base_url: None, provider: EncoderProvider::Openai, ..base.clone() },
            "OPENAI_API_KEY",
        ),
        (EncoderConfig { batch: 0, ..base.clone() }, "batch = 0"),
        (EncoderConfig { concurrency: 0, ..base.clone() }, "concurrency = 0"),
        (EncoderConfig { dimensions: Some(0), ..base.clone() }, "dimensions = 0"),
        (EncoderConfig { timeout_s: 0.0, ..base.clone() }, "timeout_s = 0"),
        (EncoderConfig { model: " ".into(), ..base.clone() }, "not a valid model name"),
        (EncoderConfig { extra, ..base.clone() }, "looks like a key"),
    ] {
        let error = RemoteEncoder::new(config).err().expect(part);
        assert!(error.code == Code::Config && error.message.contains(part), "{error}");
    }
    let encoder = RemoteEncoder::new(EncoderConfig { retries: 0, ..base }).unwrap();
    assert!(encoder.spec().await.unwrap_err().message.contains("no connection"));
}

#[test]
fn it_conforms_with_both_apis() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(start(Options::default())).unwrap();
    let subject = Subject::linked("encoder", "remote").unwrap();
    for (provider, version) in APIS {
        let config = json!({ "provider": provider, "model": "m", "base_url": server.url() + version });
        let checks = Checks { config: from_value(config).unwrap(), steps: 100, ..Checks::default() };
        let report = runtime.block_on(check(&subject, &checks));
        let answered = report.checked.iter().find(|checked| checked.rule == "common/answered").unwrap();
        assert!(report.passed() && answered.outcome == Outcome::Passed, "{provider:?}: {report}");
    }
}
