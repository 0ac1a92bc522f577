//! A key is shown only to the provider: it is not in logs, errors, `Debug`, or stored answers.

mod canned;

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use canned::Canned;
use forethought_llm_remote::{Provider, Remote, RemoteConfig};
use forethought_mock_llm::{Options, start};
use forethought_sdk::{
    api::raw::{OPENAI_CHAT, RawRequest},
    prelude::*,
    serde_json::{Value, json},
};
use tracing_subscriber::fmt::MakeWriter;

const KEY: &str = "sk-sesame-0123456789";

/// Everything that this process logs.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        Self
    }
}

fn hello() -> ChatRequest {
    ChatRequest::new(Purpose::Other, vec![Message::user("Hello!")])
}

fn config(provider: Provider, base: &str, file: &tempfile::NamedTempFile) -> RemoteConfig {
    std::fs::write(file, format!("{KEY}\n")).unwrap();
    RemoteConfig {
        base_url: Some(base.into()),
        api_key_file: Some(ConfigPath(file.path().into())),
        ..RemoteConfig::new(provider, "m")
    }
}

fn clean(text: &str) {
    assert!(!text.contains(KEY) && !text.contains("sesame"), "the key is in: {text}");
}

const FORMATS: [(Provider, &str); 4] = [
    (Provider::Openai, "/v1"),
    (Provider::Anthropic, "/v1"),
    (Provider::Gemini, "/v1beta"),
    (Provider::Ollama, "/api"),
];

#[tokio::test]
async fn the_key_is_seen_by_the_provider_alone() {
    tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(Log).init();
    let file = tempfile::NamedTempFile::new().unwrap();
    let server = start(Options { key: Some(KEY.into()), ..Options::default() }).await.unwrap();
    for (provider, version) in FORMATS {
        let config = config(provider, &(server.url() + version), &file);
        clean(&format!("{config:?}"));
        let remote = Remote::new(config.clone()).unwrap();
        clean(&format!("{:?}", remote.complete(hello()).await.unwrap()));
        clean(&format!("{:?}", remote.stream(hello()).await.unwrap().finish().await.unwrap()));
        for fault in ["unauthorized", "status:500", "cut", "truncate", "malformed", "rate-limit"] {
            let model = format!("m!{fault}");
            let remote = Remote::new(RemoteConfig { model, ..config.clone() }).unwrap();
            let error = remote.complete(hello()).await.unwrap_err();
            clean(&format!("{error:?} {error}"));
        }
        let keyless = RemoteConfig { api_key_file: None, ..config };
        let error = Remote::new(keyless).unwrap().complete(hello()).await.unwrap_err();
        assert!(error.message.contains("no key was sent") && !error.retryable, "{error}");
    }

    // Servers that repeat the key: in an error, in an answer, in a stream.
    let refusing = Canned::status("403 Forbidden", &format!("{{\"error\":\"no: {KEY}\"}}")).await;
    let answer =
        format!("{{\"choices\":[{{\"message\":{{\"content\":\"{KEY}\"}}}}],\"debug\":\"Bearer {KEY}\"}}");
    let answering = Canned::json(&answer).await;
    let event = format!("{{\"choices\":[{{\"delta\":{{\"content\":\"{KEY}\"}}}}]}}");
    let streaming = Canned::json(&format!("data: {event}\n\ndata: [DONE]\n\n")).await;
    let babbling = Canned::json(&format!("Authorization: Bearer {KEY}")).await;
    let remote = |server: &Canned| Remote::new(config(Provider::Openai, server.base(), &file)).unwrap();
    let error = remote(&refusing).complete(hello()).await.unwrap_err();
    assert!(error.message.contains("[redacted]"), "{error}");
    clean(&format!("{error:?}"));
    // What is passed on stays as it is, but not where the provider refuses.
    let body = RawRequest { format: OPENAI_CHAT.into(), body: "{}".into(), ..RawRequest::default() };
    let refused = remote(&refusing).forward(body).await.unwrap();
    assert_eq!(refused.next().await.unwrap().0, "{\"error\":\"no: [redacted]\"}");
    clean(&format!("{:?} {:?}", refused.head().await, refused.finish().await));
    let completion = remote(&answering).complete(hello()).await.unwrap();
    assert_eq!(completion.text(), "[redacted]");
    clean(&format!("{completion:?}"));
    let stream = remote(&streaming).stream(hello()).await.unwrap();
    assert_eq!(stream.next(9).await.unwrap(), ["[redacted]"]);
    clean(&format!("{:?}", stream.finish().await.unwrap()));
    clean(&format!("{:?}", remote(&babbling).complete(hello()).await.unwrap_err()));
    // The key in the pieces of a stream, escaped in an answer, and encoded in an error.
    let piece = |text: &str| format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
    let (first, second) = KEY.split_at(9);
    let split = Canned::json(&(piece(&format!("it is {first}")) + &piece(second) + "data: [DONE]\n\n")).await;
    let stream = remote(&split).stream(hello()).await.unwrap();
    let mut shown = String::new();
    loop {
        let pieces = stream.next(1).await.unwrap();
        shown += &pieces.concat();
        if pieces.is_empty() {
            break;
        }
    }
    assert_eq!(shown, "it is [redacted]");
    let completion = stream.finish().await.unwrap();
    assert_eq!(completion.text(), "it is [redacted]");
    assert!(!format!("{completion:?}").contains(second), "the pieces are not kept either: {completion:?}");
    let escaped: String = KEY.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
    let answering =
        Canned::json(&format!("{{\"choices\":[{{\"message\":{{\"content\":\"{escaped}\"}}}}]}}")).await;
    assert_eq!(remote(&answering).complete(hello()).await.unwrap().text(), "[redacted]");
    let refusing =
        Canned::status("401 Unauthorized", "{\"error\":\"Basic c2stc2VzYW1lLTAxMjM0NTY3ODk=\"}").await;
    let error = remote(&refusing).complete(hello()).await.unwrap_err();
    assert!(error.message.contains("Basic [redacted]"), "{error}");
    // A redirect is not followed: the key would be sent along.
    let away = Canned::status("302 Found\r\nlocation: http://127.0.0.1:9/", "").await;
    assert!(!remote(&away).complete(hello()).await.unwrap_err().retryable);

    let log = String::from_utf8_lossy(&LOG.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
    assert!(
        log.contains("answered") && log.contains("hyper"),
        "nothing was logged, so nothing was shown: {log}"
    );
    clean(&log);
}

#[test]
fn keys_come_from_an_environment_variable_or_a_file() {
    let refusal = |config: RemoteConfig| {
        let error = Remote::new(config).err().expect("a key that cannot be read");
        clean(&error.to_string());
        error.to_string()
    };
    let openai = || RemoteConfig::new(Provider::Openai, "m");
    let from = |name: &str| RemoteConfig { api_key_env: Some(name.into()), ..openai() };
    // Set by cargo for every test.
    assert!(Remote::new(from("CARGO_PKG_NAME")).is_ok());
    assert!(refusal(from("FORETHOUGHT_NO_SUCH_KEY")).contains("FORETHOUGHT_NO_SUCH_KEY"));
    assert!(
        refusal(from(KEY)).contains("the name of an environment variable"),
        "a key in place of a name is not repeated"
    );
    assert!(refusal(openai()).contains("api_key_env = \"OPENAI_API_KEY\""));
    assert!(Remote::new(RemoteConfig::new(Provider::Ollama, "m")).is_ok(), "needs none");
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(Remote::new(config(Provider::Openai, "http://127.0.0.1:1", &file)).is_ok());
    for wrong in ["", " \n", "two sesame words", "sesame-ключ"] {
        let config = config(Provider::Openai, "http://127.0.0.1:1", &file);
        std::fs::write(&file, wrong).unwrap();
        assert!(refusal(config).contains("holds no key"));
    }
    let both = RemoteConfig {
        api_key_env: Some("HOME".into()),
        ..config(Provider::Openai, "http://127.0.0.1:1", &file)
    };
    assert!(refusal(both).contains("both"));
    for name in ["Authorization", "x-api-key", "X-Goog-Api-Key"] {
        let headers = [(name.to_owned(), KEY.to_owned())].into();
        let base_url = Some("http://127.0.0.1:1".into());
        assert!(refusal(RemoteConfig { headers, base_url, ..openai() }).contains("api_key_env"));
    }
}

#[test]
fn what_looks_like_a_key_is_refused_with_the_way_out() {
    let vllm = || RemoteConfig {
        base_url: Some("http://127.0.0.1:1".into()),
        ..RemoteConfig::new(Provider::Vllm, "m")
    };
    let header = |name: &str, value: &str| RemoteConfig {
        headers: [(name.to_owned(), value.to_owned())].into(),
        ..vllm()
    };
    let extra = |json: Value| {
        let Value::Object(extra) = json else { panic!("an object") };
        RemoteConfig { extra, ..vllm() }
    };
    for wrong in [
        header("x-my-key", KEY),
        header("x-gateway", "Bearer abcdefgh01234567"),
        header("x-secret", "short"),
        extra(json!({ "api_key": "short" })),
        extra(json!({ "options": { "auth": "AbCdEfGh0123456789ijKLmnop" } })),
    ] {
        let error = Remote::new(wrong).err().expect("a key in a config").to_string();
        assert!(error.contains("headers_env") && !error.contains("sesame"), "{error}");
    }
    for right in [
        header("OpenAI-Organization", "org-AbCdEfGh0123456789ijKLmn"),
        header("x-request-tag", "nightly-run"),
        extra(json!({ "options": { "num_ctx": 16384 }, "reasoning_effort": "low", "max_tokens": 9 })),
        RemoteConfig { headers_env: [("x-my-key".into(), "CARGO_PKG_NAME".into())].into(), ..vllm() },
    ] {
        assert!(Remote::new(right).is_ok());
    }
}

#[test]
fn invalid_settings_are_refused_when_the_config_is_read() {
    let base = || RemoteConfig {
        base_url: Some("http://127.0.0.1:1".into()),
        ..RemoteConfig::new(Provider::Vllm, "m")
    };
    assert!(Remote::new(base()).is_ok());
    let compatible = RemoteConfig::new(Provider::OpenaiCompatible, "m");
    for (wrong, words) in [
        (compatible, "needs a base_url"),
        (RemoteConfig { model: " ".into(), ..base() }, "model"),
        (RemoteConfig { model: "../files?x".into(), provider: Provider::Gemini, ..base() }, "model"),
        (RemoteConfig { timeout_s: 0.0, ..base() }, "timeout_s"),
        (RemoteConfig { read_timeout_s: f64::NAN, ..base() }, "read_timeout_s"),
        (RemoteConfig { base_url: Some("127.0.0.1:8000".into()), ..base() }, "base_url"),
        (RemoteConfig { headers: [("a b".into(), "c".into())].into(), ..base() }, "headers.a b"),
        (RemoteConfig { headers: [("a".into(), "c\nd".into())].into(), ..base() }, "headers.a"),
    ] {
        let error = Remote::new(wrong).err().expect("a config that cannot be used");
        assert!(error.code == Code::Config && error.to_string().contains(words), "{words}: {error}");
    }
}
