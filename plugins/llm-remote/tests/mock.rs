//! The same requests to every provider over loopback, and every fault.

use std::time::{Duration, Instant};

use forethought_llm_remote::{Provider, Remote, RemoteConfig};
use forethought_mock_llm::{Count, Options, Server, start};
use forethought_sdk::{
    api::{
        llm::Tool,
        raw::{OPENAI_CHAT, RawHead, RawRequest, RawStream},
    },
    futures::{StreamExt, future::join_all, stream},
    prelude::*,
    serde_json::{Value, from_str, from_value, json},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const PROVIDERS: [(Provider, &str); 8] = [
    (Provider::Openai, "/v1"),
    (Provider::Anthropic, "/v1"),
    (Provider::Gemini, "/v1beta"),
    (Provider::Ollama, "/api"),
    (Provider::Openrouter, "/api/v1"),
    (Provider::Vllm, "/v1"),
    (Provider::LlamaCpp, "/v1"),
    (Provider::OpenaiCompatible, "/v1"),
];

/// One provider of each format.
const FORMATS: [(Provider, &str); 4] = [PROVIDERS[0], PROVIDERS[1], PROVIDERS[2], PROVIDERS[3]];

fn config(server: &Server, (provider, version): (Provider, &str)) -> RemoteConfig {
    RemoteConfig { base_url: Some(server.url() + version), ..RemoteConfig::new(provider, "mock-1") }
}

fn remote(server: &Server, provider: (Provider, &str)) -> Remote {
    Remote::new(config(server, provider)).unwrap()
}

fn hello() -> ChatRequest {
    ChatRequest::new(Purpose::Other, vec![Message::system("Be brief."), Message::user("Hello to all of you")])
}

/// All pieces of the answer, and the answer.
async fn drain(remote: &Remote, request: ChatRequest) -> Result<(Vec<String>, Completion)> {
    let stream = remote.stream(request).await?;
    let mut pieces = Vec::new();
    loop {
        let next = stream.next(2).await?;
        assert!(next.len() <= 2);
        if next.is_empty() {
            return Ok((pieces, stream.finish().await?));
        }
        pieces.extend(next);
    }
}

#[tokio::test]
async fn every_provider_gives_the_same_answer_whole_and_in_pieces() {
    let server = start(Options::default()).await.unwrap();
    for provider in PROVIDERS {
        let remote = remote(&server, provider);
        let whole = remote.complete(hello()).await.unwrap();
        assert_eq!(whole.text(), "You said: Hello to all of you", "{provider:?}");
        assert_eq!(whole.choices[0].finish, FinishReason::Stop);
        assert_eq!(whole.usage, Usage { input_tokens: 7, output_tokens: 7 });
        assert!(whole.raw.is_object());
        let (pieces, streamed) = drain(&remote, hello()).await.unwrap();
        assert!(pieces.len() > 1 && pieces.concat() == whole.text(), "{provider:?}: {pieces:?}");
        assert_eq!((&streamed.choices, streamed.usage), (&whole.choices, whole.usage), "{provider:?}");
        assert!(streamed.raw.as_array().is_some_and(|events| events.len() >= pieces.len()));
        // A setting streams every answer.
        let config = RemoteConfig { streaming: true, ..config(&server, provider) };
        let remote = Remote::new(config).unwrap();
        assert_eq!(remote.complete(hello()).await.unwrap(), streamed, "{provider:?}");
        let samples = ChatRequest { samples: 3, ..hello() };
        assert_eq!(remote.complete(samples).await.unwrap().choices.len(), 3, "{provider:?}");
        assert_eq!(remote.capabilities().await.unwrap().samples, 1);
    }
}

#[tokio::test]
async fn every_provider_gives_as_many_samples_as_requested() {
    let server = start(Options { record: true, ..Options::default() }).await.unwrap();
    for (provider, calls) in PROVIDERS.into_iter().zip([1, 20, 3, 20, 20, 1, 20, 1]) {
        let before = server.received().len();
        let request = ChatRequest { samples: 20, seed: Some(u64::MAX - 3), ..hello() };
        let completion = remote(&server, provider).complete(request).await.unwrap();
        assert_eq!(completion.choices.len(), 20, "{provider:?}");
        assert_eq!(
            completion.usage.output_tokens,
            completion.choices.iter().map(|choice| choice.text.split(' ').count() as u64).sum::<u64>()
        );
        let received = server.received().split_off(before);
        assert_eq!(received.len(), calls, "{provider:?}");
        // Calls of one request have different seeds, and none is too large for any provider.
        let mut seeds: Vec<_> = received
            .iter()
            .map(|received| {
                let body: Value = from_str(&received.body).unwrap();
                let places = ["/seed", "/options/seed", "/generationConfig/seed"];
                places.iter().find_map(|place| body.pointer(place)).and_then(Value::as_u64)
            })
            .collect();
        seeds.sort_unstable();
        if provider.0 == Provider::Anthropic {
            assert_eq!(seeds, [None; 20]);
        } else {
            seeds.dedup();
            assert!(
                seeds.len() == calls && seeds.iter().all(|seed| seed.is_some_and(|seed| seed < 1 << 31)),
                "{seeds:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_tool_is_called_and_its_result_understood_by_every_provider() {
    let server = start(Options::default()).await.unwrap();
    let parameters = json!({
        "type": "object", "properties": { "city": { "type": "string" }, "days": { "type": "integer", "minimum": 2 } }
    });
    let tool = Tool { name: "weather".into(), description: "Weather of a city".into(), parameters };
    for provider in PROVIDERS {
        let remote = remote(&server, provider);
        let mut request = ChatRequest { tools: vec![tool.clone()], ..hello() };
        let choice = remote.complete(request.clone()).await.unwrap().choices.remove(0);
        assert_eq!((choice.finish, choice.text.as_str()), (FinishReason::ToolCalls, ""), "{provider:?}");
        let [call] = &choice.tool_calls[..] else { panic!("{choice:?}") };
        assert_eq!((call.name.as_str(), &call.arguments), ("weather", &json!({ "city": "text", "days": 2 })));
        let (pieces, streamed) = drain(&remote, request.clone()).await.unwrap();
        assert_eq!((pieces.len(), &streamed.choices[0]), (0, &choice), "{provider:?}");

        let id = call.id.clone();
        request.messages.push(Message { tool_calls: choice.tool_calls, ..Message::assistant("") });
        request
            .messages
            .push(Message { tool_call_id: Some(id), ..Message::new(Role::Tool, "rain until May") });
        let completion = remote.complete(request).await.unwrap();
        assert_eq!(completion.text(), "You said: rain until May", "{provider:?}");
    }
}

#[tokio::test]
async fn an_answer_meets_the_schema_with_every_provider() {
    let server = start(Options::default()).await.unwrap();
    let json_schema = Some(json!({
        "type": "object", "properties": { "kind": { "enum": ["b", "a"] }, "n": { "type": "integer", "minimum": 3 } },
        "required": ["kind", "n"], "additionalProperties": false
    }));
    for provider in PROVIDERS {
        let request = ChatRequest { json_schema: json_schema.clone(), ..hello() };
        let remote = remote(&server, provider);
        let completion = remote.complete(request.clone()).await.unwrap();
        assert_eq!(
            from_str::<Value>(completion.text()).unwrap(),
            json!({ "kind": "b", "n": 3 }),
            "{provider:?}"
        );
        let (_, streamed) = drain(&remote, request).await.unwrap();
        assert_eq!(streamed.choices, completion.choices, "{provider:?}");
    }
}

#[tokio::test]
async fn log_probabilities_come_from_providers_that_have_them() {
    let server = start(Options::default()).await.unwrap();
    let request = ChatRequest { logprobs: true, ..hello() };
    for provider in PROVIDERS {
        let remote = remote(&server, provider);
        if provider.0 == Provider::Anthropic {
            assert!(!remote.capabilities().await.unwrap().logprobs);
            for error in
                [remote.complete(request.clone()).await.err(), remote.stream(request.clone()).await.err()]
            {
                let error = error.expect("an answer without log-probabilities");
                assert!(error.code == Code::Config && error.message.contains("anthropic"), "{error}");
            }
            continue;
        }
        assert!(remote.capabilities().await.unwrap().logprobs);
        let choice = remote.complete(request.clone()).await.unwrap().choices.remove(0);
        let tokens: String = choice.logprobs.iter().map(|token| token.token.as_str()).collect();
        assert_eq!(tokens, choice.text, "{provider:?}");
        assert!(choice.logprobs.iter().all(|token| token.logprob <= 0.0));
        assert_eq!(drain(&remote, request.clone()).await.unwrap().1.choices[0], choice, "{provider:?}");
    }
}

#[tokio::test]
async fn limits_stops_and_further_fields_reach_every_provider() {
    let server = start(Options { record: true, ..Options::default() }).await.unwrap();
    for provider in PROVIDERS {
        let extra = json!({ "top_k": 5, "options": { "num_ctx": 8192 }, "generationConfig": { "topK": 5 } });
        let config = RemoteConfig {
            max_tokens: Some(3),
            extra: from_value(extra).unwrap(),
            headers: [("x-title".to_owned(), "a test".to_owned())].into(),
            ..config(&server, provider)
        };
        let remote = Remote::new(config).unwrap();
        let choice = remote.complete(hello()).await.unwrap().choices.remove(0);
        assert_eq!(
            (choice.text.as_str(), choice.finish),
            ("You said: Hello ", FinishReason::Length),
            "{provider:?}"
        );
        let request = ChatRequest { max_tokens: Some(90), stop: vec![" all".into()], ..hello() };
        let choice = remote.complete(request).await.unwrap().choices.remove(0);
        assert_eq!(
            (choice.text.as_str(), choice.finish),
            ("You said: Hello to", FinishReason::Stop),
            "{provider:?}"
        );
        let received = server.received().pop().unwrap();
        let body: Value = from_str(&received.body).unwrap();
        assert_eq!((&body["top_k"], &body["options"]["num_ctx"]), (&json!(5), &json!(8192)));
        assert_eq!(received.headers["x-title"], "a test");
        if provider.0 == Provider::Gemini {
            let config = json!({ "maxOutputTokens": 90, "stopSequences": [" all"], "topK": 5 });
            assert_eq!(body["generationConfig"], config, "merged, not replaced");
        }
    }
}

/// The result of a fault: `None` for an answer; otherwise whether to retry, when, and whether the request was refused
/// without work.
type Outcome = Option<(bool, Option<u64>, bool)>;

const FAULTS: [(&str, Outcome); 16] = [
    ("rate-limit:1500", Some((true, Some(1500), true))),
    ("status:400", Some((false, None, true))),
    ("status:403", Some((false, None, true))),
    ("status:404", Some((false, None, true))),
    ("status:408", Some((true, None, true))),
    ("status:409", Some((true, None, true))),
    ("status:500", Some((true, None, false))),
    ("status:503", Some((true, None, true))),
    ("status:529", Some((true, None, true))),
    ("unauthorized", Some((false, None, true))),
    ("slow:50", None),
    ("hang", Some((true, None, false))),
    ("stall", Some((true, None, false))),
    ("cut", Some((true, None, false))),
    ("malformed", Some((true, None, false))),
    ("truncate", Some((true, None, false))),
];

#[tokio::test]
async fn every_fault_ends_in_time_and_says_whether_to_retry() {
    let server = start(Options::default()).await.unwrap();
    let began = Instant::now();
    let trials = FORMATS.into_iter().flat_map(|provider| FAULTS.map(|fault| (provider, fault)));
    let trials = trials.map(|(provider, (fault, expected))| {
        let config = RemoteConfig {
            headers: [("x-mock-fault".to_owned(), fault.to_owned())].into(),
            // Only where nothing comes: a busy machine may be slow to answer.
            read_timeout_s: if ["hang", "stall"].contains(&fault) { 0.5 } else { 60.0 },
            ..config(&server, provider)
        };
        let remote = Remote::new(config).unwrap();
        async move {
            let whole = remote.complete(hello()).await.map(|completion| completion.text().to_owned());
            let streamed = drain(&remote, hello()).await.map(|(pieces, _)| pieces.concat());
            for result in [whole, streamed] {
                let outcome = match result {
                    Ok(text) => {
                        assert_eq!(text, "You said: Hello to all of you", "{provider:?} {fault}");
                        None
                    }
                    Err(error) => {
                        assert_eq!(error.code, Code::Provider, "{provider:?} {fault}: {error}");
                        Some((error.retryable, error.retry_after_ms, error.refused))
                    }
                };
                assert_eq!(outcome, expected, "{provider:?} {fault}");
            }
        }
    });
    join_all(trials).await;
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

#[tokio::test]
async fn pieces_from_before_a_fault_are_returned_but_the_answer_is_an_error() {
    let server = start(Options::default()).await.unwrap();
    let trials = FORMATS.into_iter().flat_map(|provider| {
        [("cut", 60.0), ("truncate", 60.0), ("stall", 3.0)]
            .map(|(fault, patience)| (provider, fault, patience))
    });
    let trials = trials.map(async |(provider, fault, read_timeout_s)| {
        let model = format!("mock-1!{fault}");
        let config = RemoteConfig { model, read_timeout_s, ..config(&server, provider) };
        let stream = Remote::new(config).unwrap().stream(hello()).await.unwrap();
        let first = stream.next(1).await.unwrap();
        assert_eq!(first, ["You "], "{provider:?} {fault}");
        let error = stream.finish().await.unwrap_err();
        assert!(error.retryable && error.code == Code::Provider, "{provider:?} {fault}: {error}");
    });
    join_all(trials).await;
    assert_eq!(server.total().answered, 0);
}

#[tokio::test]
async fn invalid_counts_are_reported_as_zero() {
    let server = start(Options::default()).await.unwrap();
    for provider in FORMATS {
        let config = RemoteConfig { model: "mock-1!wrong-usage".into(), ..config(&server, provider) };
        let remote = Remote::new(config).unwrap();
        let completion = remote.complete(hello()).await.unwrap();
        assert_eq!(
            (completion.usage, completion.text()),
            (Usage::default(), "You said: Hello to all of you")
        );
        assert_eq!(drain(&remote, hello()).await.unwrap().1.usage, Usage::default(), "{provider:?}");
    }
}

#[tokio::test]
async fn without_a_server_the_error_says_so() {
    let remote = remote(&{ start(Options::default()).await.unwrap() }, PROVIDERS[0]);
    // The server was dropped by now, and its port closed.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let error = remote.complete(hello()).await.unwrap_err();
    assert!(error.retryable && error.refused && error.message.contains("no connection"), "{error}");
}

#[tokio::test]
async fn a_dropped_stream_closes_its_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = Some(format!("http://{}/v1", listener.local_addr().unwrap()));
    let closed = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut bytes = vec![0; 4096];
        assert!(connection.read(&mut bytes).await.unwrap() > 0);
        let event = json!({ "choices": [{ "index": 0, "delta": { "content": "Hel" } }] });
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {event}\n\n");
        connection.write_all(answer.as_bytes()).await.unwrap();
        // The rest of the request, then the end.
        while connection.read(&mut bytes).await.unwrap() > 0 {}
    });
    let config = RemoteConfig { base_url, ..RemoteConfig::new(Provider::Vllm, "m") };
    let stream = Remote::new(config).unwrap().stream(hello()).await.unwrap();
    assert_eq!(stream.next(9).await.unwrap(), ["Hel"]);
    drop(stream);
    tokio::time::timeout(Duration::from_secs(60), closed)
        .await
        .expect("the connection is still open")
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_faults_at_64_in_flight_every_request_is_answered_once() {
    let rules = ["status:500=0.2x2", "rate-limit:5=0.2x2", "cut=0.1x1", "malformed=0.1x1", "truncate=0.1x3"];
    let faults: Vec<_> = rules.iter().map(|rule| rule.parse().unwrap()).collect();
    let server = start(Options { faults, seed: 3, ..Options::default() }).await.unwrap();
    for provider in FORMATS {
        let remote = remote(&server, provider);
        // Each provider gets other questions, because equal ones would be counted together.
        let ask = |index: usize| {
            let remote = &remote;
            let said = format!("{} question {index}", provider.0);
            async move {
                loop {
                    let request = ChatRequest::new(Purpose::Other, vec![Message::user(said.clone())]);
                    match remote.complete(request).await {
                        Ok(completion) => break completion.text() == format!("You said: {said}"),
                        Err(error) => assert!(error.retryable, "{error}"),
                    }
                }
            }
        };
        let right =
            stream::iter((0..300).map(ask)).buffer_unordered(64).filter(|right| std::future::ready(*right));
        assert_eq!(right.count().await, 300, "{provider:?}");
    }
    let counts = server.counts();
    assert_eq!(counts.len(), 4 * 300);
    assert!(counts.values().all(|count| count.answered == 1), "an answered request was repeated");
    let Count { asked, answered } = server.total();
    assert!(
        answered == 1200 && asked > 1800,
        "{asked} requests, {answered} answers: the faults did not happen"
    );
}

/// A client's request in OpenAI's format, as no program here would write it.
fn written(model: &str, streaming: bool) -> String {
    format!(
        "{{\r\n \"stream\":{streaming}, \"model\" : \"{model}\",\t\"temperature\": 1.50e0, \"x\": [1.0],\n \"messages\": \
         [{{\"role\":\"user\",\"content\":\"Hello \\u0074o all — \\\"model\\\"\"}}] }} "
    )
}

async fn forward(remote: &Remote, body: String, samples: u32) -> Result<Arc<dyn RawStream>> {
    let streaming = body.contains(r#""stream":true"#);
    let request = ChatRequest { samples, ..hello() };
    remote.forward(RawRequest { format: OPENAI_CHAT.into(), body, streaming, request }).await
}

/// The head, the bytes until the end or an error, and the end.
async fn read(answer: Arc<dyn RawStream>) -> (RawHead, Vec<u8>, Result<Completion>) {
    let (head, mut bytes) = (answer.head().await.unwrap(), Vec::new());
    let ended = loop {
        match answer.next().await {
            Ok(next) if next.0.is_empty() => break answer.finish().await,
            Ok(next) => bytes.extend_from_slice(&next.0),
            Err(error) => break Err(error),
        }
    };
    (head, bytes, ended)
}

/// The body of the server's answer to a client that asks it without any of this.
async fn direct(server: &Server, body: &str) -> Vec<u8> {
    let mut connection = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let length = body.len();
    // Before version 1.1, a body is not cut into chunks.
    let head = format!("POST /v1/chat/completions HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}");
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A fault may cut the connection.
    let _ = connection.read_to_end(&mut answer).await;
    let head = answer.windows(4).position(|end| end == b"\r\n\r\n").expect("a head");
    answer.split_off(head + 4)
}

#[tokio::test]
async fn what_is_passed_on_is_the_clients_and_the_providers_to_the_byte() {
    let server = start(Options { record: true, ..Options::default() }).await.unwrap();
    for provider in PROVIDERS {
        let remote = remote(&server, provider);
        if matches!(provider.0, Provider::Anthropic | Provider::Gemini | Provider::Ollama) {
            assert_eq!(remote.formats().await.unwrap(), [""; 0]);
            let error = forward(&remote, written("a", false), 1).await.err().unwrap();
            assert!(error.code == Code::Unimplemented && error.message.contains("openai.chat"), "{error}");
            continue;
        }
        assert_eq!(remote.formats().await.unwrap(), [OPENAI_CHAT]);
        for streaming in [false, true] {
            let (head, bytes, ended) =
                read(forward(&remote, written("gpt", streaming), 1).await.unwrap()).await;
            let received = server.received().pop().unwrap();
            assert_eq!(received.body, written("mock-1", streaming));
            if provider.1 == "/v1" {
                assert_eq!(bytes, direct(&server, &written("mock-1", streaming)).await);
            }
            assert_eq!((head.status, head.failure), (200, None));
            assert!(head.content_type.contains(if streaming { "event-stream" } else { "json" }));
            let ended = ended.unwrap();
            assert_eq!(ended.text(), "You said: Hello to all — \"model\"");
            assert!(ended.usage.output_tokens > 0 || streaming, "{ended:?}");
        }
    }
    // Several choices in one stream are kept apart.
    let two = written("gpt", true).replace("\"x\": [1.0]", "\"n\": 2");
    let remote = remote(&server, PROVIDERS[0]);
    let (.., ended) = read(forward(&remote, two, 2).await.unwrap()).await;
    let said: Vec<_> = ended.unwrap().choices.into_iter().map(|choice| choice.text).collect();
    assert_eq!(said, ["You said: Hello to all — \"model\"", "You said (1): Hello to all — \"model\""]);
    let error = forward(&remote, "[]".into(), 1).await.err().unwrap();
    assert!(error.code == Code::Input && error.message.contains("not a JSON object"), "{error}");
}

#[tokio::test]
async fn a_provider_that_fails_while_it_is_passed_on_is_seen_to_fail() {
    let server = start(Options::default()).await.unwrap();
    for (fault, streaming, status, ends) in [
        ("status:503", false, 503, Some("a requested fault")),
        ("status:400", true, 400, Some("a requested fault")),
        ("rate-limit:50", true, 429, Some("too many requests")),
        ("cut", false, 200, Some("the connection broke")),
        ("cut", true, 200, Some("the connection broke")),
        ("truncate", true, 200, Some("the stream ended early")),
        // The bytes are whole, and only their meaning is lost.
        ("truncate", false, 200, Some("not JSON")),
        ("malformed", true, 200, Some("not JSON")),
        ("wrong-usage", true, 200, None),
    ] {
        let config = RemoteConfig { model: format!("m!{fault}"), ..config(&server, PROVIDERS[7]) };
        let answer = forward(&Remote::new(config).unwrap(), written("a", streaming), 1).await.unwrap();
        let (head, bytes, ended) = read(answer).await;
        assert_eq!(head.status, status, "{fault}");
        assert_eq!(
            head.failure.as_ref().map(|error| error.retryable),
            match status {
                200 => None,
                status => Some(status != 400),
            }
        );
        assert_eq!(bytes, direct(&server, &written(&format!("m!{fault}"), streaming)).await, "{fault}");
        match (ends, &ended) {
            (None, Ok(_)) => {}
            (Some(words), Err(error)) => assert!(error.message.contains(words), "{fault}: {error}"),
            (words, ended) => panic!("{fault}: {words:?}, {ended:?}"),
        }
    }
    // The end of the answer is known before the end of the bytes.
    let remote = remote(&server, PROVIDERS[0]);
    let answer = forward(&remote, written("a", true), 1).await.unwrap();
    while !answer.next().await.unwrap().0.windows(6).any(|end| end == b"[DONE]") {}
    assert_eq!(answer.finish().await.unwrap().text(), "You said: Hello to all — \"model\"");
}
