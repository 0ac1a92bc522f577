//! What is passed on: the client's request and the provider's answer, byte for byte, and the session that they leave.

use std::path::Path;

// Registers its kinds.
use forethought_llm_remote as _;
use forethought_mock_llm::{Server as Provider, start as provide};
use forethought_runtime::{
    config::{Config, Sources},
    host::RuntimeHost,
    registry::Registry,
    run::folder,
};
use forethought_sdk::prelude::*;
use forethought_serve::{Options, Server};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A summariser that keeps what was seen.
struct Seen;

#[async_trait]
impl Summariser for Seen {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements::default())
    }
    async fn summarise(&self, context: DecisionContext, _: Arc<dyn Models>) -> Result<Summary> {
        Ok(Summary { state: context.turn.observation.text, outcome: "Something is seen.".into() })
    }
}

register! {
    interface: dyn Summariser,
    kind: "seen",
    summary: "what was seen",
    config: NoConfig,
    new: |_config: NoConfig, _host| async move { Ok(Arc::new(Seen) as _) },
}

async fn provider() -> Provider {
    provide(forethought_mock_llm::Options { record: true, ..Default::default() }).await.unwrap()
}

async fn serve(folder: &Path, provider: &Provider, model: &str, run: &str) -> Server {
    let toml = format!(
        "[run]\nout = \"runs\"\n{run}\n[serve]\naddress = \"127.0.0.1:0\"\n[llm.main]\nkind = \"remote\"\nprovider = \"vllm\"\n\
         model = \"{model}\"\nbase_url = \"{}/v1\"\n[summariser]\nkind = \"seen\"\n[llm.main.calls]\nretries = 1\nlongest_pause_s = 0.01\n",
        provider.url()
    );
    std::fs::write(folder.join("forethought.toml"), toml).unwrap();
    let registry = Registry::linked().unwrap();
    let config = Config::load(&Sources::new(folder), &registry).unwrap_or_else(|error| panic!("{error}"));
    let options = Options::of(&config.serve).unwrap();
    let host = RuntimeHost::new(Arc::new(config), Arc::new(registry));
    forethought_serve::start(&host, options).await.unwrap()
}

/// A request; its key is the client's own.
fn request(model: &str, text: &str, more: &str) -> String {
    format!(
        "{{ \"model\" : \"{model}\",\t\"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}]{more} }}\n"
    )
}

/// Status, head and body of the answer.
async fn post(address: impl tokio::net::ToSocketAddrs, body: &str) -> (u16, String, Vec<u8>) {
    let mut connection = TcpStream::connect(address).await.unwrap();
    let (path, length) = ("/v1/chat/completions", body.len());
    // Before version 1.1, a body is not cut into chunks.
    let head = format!(
        "POST {path} HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer sk-of-the-client\r\nCookie: a=b\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer).await;
    let end = answer.windows(4).position(|end| end == b"\r\n\r\n").expect("a head");
    let body = answer.split_off(end + 4);
    let head = String::from_utf8(answer).unwrap().to_lowercase();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head, body)
}

#[tokio::test]
async fn bodies_and_streams_are_the_providers_to_the_byte() -> Result<()> {
    let (folder, provider) = (tempfile::tempdir()?, provider().await);
    let server = serve(folder.path(), &provider, "mock-1", "").await;
    let tools = json!([{ "type": "function", "function": { "name": "look", "parameters": {
        "type": "object", "properties": { "at": { "type": "string" } } } } }]);
    for (name, more) in [
        ("record", String::new()),
        ("main", ",\"temperature\": 1.50e0 ,\"x\":[1.0]".into()),
        ("record", ",\"stream\":true".into()),
        ("main", ", \"stream\" : true, \"stream_options\":{\"include_usage\":true}".into()),
        ("record", format!(",\"tools\":{tools}")),
        ("record", format!(",\"tools\":{tools},\"stream\":true")),
        // What no planner offers is the provider's matter.
        ("record", ",\"n\":2,\"logprobs\":true".into()),
    ] {
        let (status, head, body) = post(server.address(), &request(name, "Grüße!", &more)).await;
        let sent = request("mock-1", "Grüße!", &more);
        let received = provider.received().pop().unwrap();
        assert_eq!(received.body, sent, "only the model's name is replaced");
        assert!(
            !format!("{received:?}").contains("of-the-client") && !received.headers.contains_key("cookie")
        );
        let (direct, direct_head, expected) = post(provider.address(), &sent).await;
        assert_eq!((status, body), (direct, expected), "{more}");
        let kind = |head: &str| head.lines().find(|line| line.starts_with("content-type")).map(String::from);
        assert_eq!(kind(&head), kind(&direct_head));
        assert!(head.contains("x-forethought-session: ") && head.contains("x-forethought-episode: "));
    }
    server.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_session_that_is_passed_on_is_an_episode_with_the_providers_ids() -> Result<()> {
    let (folder, provider) = (tempfile::tempdir()?, provider().await);
    let server = serve(folder.path(), &provider, "mock-1", "").await;
    let tool = json!({ "type": "function", "function": { "name": "look" } });
    let mut messages = vec![json!({ "role": "user", "content": "What is there?" })];
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let body = json!({ "model": "record", "messages": messages, "tools": [tool] }).to_string();
        let (status, head, body) = post(server.address(), &body).await;
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        sessions
            .extend(head.lines().find(|line| line.starts_with("x-forethought-session")).map(String::from));
        let answer: Value = serde_json::from_slice(&body)?;
        let message = &answer["choices"][0]["message"];
        messages.push(message.clone());
        if let Some(id) = message["tool_calls"][0]["id"].as_str() {
            assert!(id.starts_with("call_0"), "the provider's own id, not one of ours: {id}");
            messages.push(json!({ "role": "tool", "tool_call_id": id, "content": "a door" }));
        }
    }
    assert_eq!(sessions.len(), 2);
    assert_eq!(sessions[0], sessions[1]);
    let outcome = server.stop().await?;
    let episodes = folder::read_episodes(&outcome.folder)?;
    assert_eq!((episodes.len(), episodes[0].steps, episodes[0].llm_calls), (1, 2, 2));
    assert!(episodes[0].tokens > 0);
    Ok(())
}

#[tokio::test]
async fn a_provider_that_fails_is_seen_as_it_fails() -> Result<()> {
    let provider = provider().await;
    for (fault, streaming, expected, words) in [
        // Refused: its own status and words, after the retries.
        ("status:400", false, 400, "a requested fault"),
        ("status:503", true, 503, "a requested fault"),
        ("unauthorized", true, 401, "invalid x-api-key"),
        // Dead in the middle: an error instead of a body, and an error at the end of a stream.
        ("cut", false, 502, "the connection broke"),
        ("cut", true, 200, "the connection broke"),
        ("truncate", true, 200, "the stream ended early"),
    ] {
        let folder = tempfile::tempdir()?;
        let server = serve(folder.path(), &provider, &format!("m!{fault}"), "").await;
        let more = if streaming { ",\"stream\":true" } else { "" };
        let (status, _, body) = post(server.address(), &request("record", "Hello to you", more)).await;
        let (_, _, direct) =
            post(provider.address(), &request(&format!("m!{fault}"), "Hello to you", more)).await;
        let text = String::from_utf8_lossy(&body);
        assert!(status == expected && text.contains(words), "{fault}: {status} {text}");
        if streaming && status == 200 {
            let end = text.strip_prefix(&*String::from_utf8_lossy(&direct)).expect("what had arrived");
            assert!(end.starts_with("\n\ndata: {\"error\":{\"message\":"), "{end}");
        } else if status != 502 {
            assert_eq!(body, direct, "{fault}");
        }
        let outcome = server.stop().await?;
        let episodes = folder::read_episodes(&outcome.folder)?;
        assert!(episodes[0].error.as_ref().is_some_and(|error| error.contains(words)), "{episodes:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_limit_that_is_reached_ends_what_would_be_passed_on() -> Result<()> {
    let (folder, provider) = (tempfile::tempdir()?, provider().await);
    let server = serve(folder.path(), &provider, "mock-1", "max_calls = 1").await;
    for (text, expected) in [("one", 200), ("two", 429)] {
        let (status, _, body) = post(server.address(), &request("record", text, "")).await;
        let text = String::from_utf8_lossy(&body);
        assert!(
            status == expected && text.contains("insufficient_quota") == (status == 429),
            "{status} {text}"
        );
    }
    assert_eq!(provider.total().asked, 1);
    server.stop().await?;
    Ok(())
}
