//! The server as its callers see it: only over HTTP.

use std::{sync::LazyLock, time::Duration};

use forethought_mock_llm::{Count, Options, Server};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use ureq::{Agent, Body, http::Response};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

fn start(options: Options) -> forethought_api::Result<Server> {
    RUNTIME.block_on(forethought_mock_llm::start(options))
}

/// A client that accepts every status and waits so many seconds.
fn agent(patience: u64) -> Agent {
    let patience = Some(Duration::from_secs(patience));
    Agent::config_builder().http_status_as_error(false).timeout_global(patience).proxy(None).build().into()
}

/// Far more seconds than an answer takes.
const PATIENT: u64 = 120;

fn try_post(
    patience: u64,
    server: &Server,
    path: &str,
    headers: &[(&str, &str)],
    body: Value,
) -> Result<Response<Body>, ureq::Error> {
    let mut request = agent(patience).post(server.url() + path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send(body.to_string())
}

fn post(server: &Server, path: &str, headers: &[(&str, &str)], body: Value) -> Response<Body> {
    try_post(PATIENT, server, path, headers, body).unwrap()
}

fn read(mut response: Response<Body>) -> (u16, Value) {
    let text = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), serde_json::from_str(&text).unwrap())
}

fn chat() -> Value {
    json!({ "model": "m", "messages": [{ "role": "user", "content": "Hello" }] })
}

const CHAT: &str = "/v1/chat/completions";
const VERSION: [(&str, &str); 1] = [("anthropic-version", "2023-06-01")];

#[test]
fn answers_are_counted_by_content_for_other_processes_too() {
    let server = start(Options::default()).unwrap();
    for seed in [1, 1, 2] {
        let mut body = chat();
        body["seed"] = seed.into();
        let (status, answer) = read(post(&server, CHAT, &[], body));
        assert_eq!((status, &answer["choices"][0]["message"]["content"]), (200, &json!("You said: Hello")));
    }
    let mut parts = chat();
    parts["messages"][0]["content"] =
        json!([{ "type": "text", "text": "Hel" }, { "type": "text", "text": "lo" }]);
    parts["seed"] = 2.into();
    assert_eq!(read(post(&server, CHAT, &[], parts)).0, 200);
    let mut counts: Vec<_> = server.counts().into_values().collect();
    assert_eq!(counts.pop(), Some(Count { asked: 2, answered: 2 }));
    assert_eq!(
        (counts.pop(), counts.len()),
        (Some(Count { asked: 2, answered: 2 }), 0),
        "text in parts is the same text"
    );
    let (_, counts) = read(agent(PATIENT).get(server.url() + "/counts").call().unwrap());
    let answered: u64 =
        counts.as_object().unwrap().values().map(|count| count["answered"].as_u64().unwrap()).sum();
    assert_eq!(answered, server.total().answered);
}

#[test]
fn invalid_requests_are_refused_with_the_errors_of_the_provider() {
    let server = start(Options::default()).unwrap();
    let anthropic = json!({ "model": "m", "max_tokens": 9, "messages": chat()["messages"] });
    let cases = [
        (CHAT, &[][..], json!({ "messages": [] }), 400, "/error/type", "invalid_request_error"),
        ("/v1/messages", &[], anthropic, 400, "/error/message", "anthropic-version: header is required"),
        ("/v1/messages", &VERSION, chat(), 400, "/error/message", "max_tokens: field required"),
        ("/v1beta/models/m:generateContent", &[], chat(), 400, "/error/status", "INVALID_ARGUMENT"),
        ("/api/chat", &[], json!({ "messages": [] }), 400, "/error", "`model` must be a string"),
        (
            "/v1/embeddings",
            &[],
            chat(),
            400,
            "/error/message",
            "`input` must be a string or a list of strings",
        ),
        ("/embed", &[], json!({ "inputs": [""] }), 400, "/error", "`inputs` cannot be empty"),
        ("/v1/images", &[], chat(), 404, "/error", "the mock server has no /v1/images"),
    ];
    for (path, headers, body, expected, place, words) in cases {
        let (status, answer) = read(post(&server, path, headers, body));
        assert_eq!((status, answer.pointer(place)), (expected, Some(&json!(words))), "{path}");
    }
    assert_eq!(server.total(), Count::default(), "refused requests are not counted");
}

#[test]
fn a_key_is_required_where_each_provider_has_it() {
    let server = start(Options { key: Some("sesame".into()), ..Options::default() }).unwrap();
    let gemini = json!({ "contents": [{ "parts": [{ "text": "Hello" }] }] });
    let anthropic = json!({ "model": "m", "max_tokens": 9, "messages": chat()["messages"] });
    for (path, header, value, body) in [
        (CHAT, "authorization", "Bearer sesame", chat()),
        ("/v1/messages", "x-api-key", "sesame", anthropic),
        ("/v1beta/models/m:generateContent", "x-goog-api-key", "sesame", gemini),
        ("/api/chat", "authorization", "Bearer sesame", chat()),
        ("/v1/embeddings", "authorization", "Bearer sesame", json!({ "model": "m", "input": "Hello" })),
        ("/embed", "authorization", "Bearer sesame", json!({ "inputs": "Hello" })),
    ] {
        let version = VERSION[0];
        assert_eq!(post(&server, path, &[version], body.clone()).status(), 401, "{path}");
        assert_eq!(post(&server, path, &[version, (header, "wrong")], body.clone()).status(), 401, "{path}");
        assert_eq!(post(&server, path, &[version, (header, value)], body).status(), 200, "{path}");
    }
}

#[test]
fn faults_happen_on_request_and_by_rule_and_then_the_answer_comes() {
    let faults = vec!["rate-limit:1500=1x2".parse().unwrap()];
    let server = start(Options { faults, ..Options::default() }).unwrap();
    for expected in [429, 429, 200, 200] {
        let response = post(&server, CHAT, &[], chat());
        assert_eq!(response.status(), expected);
        if expected == 429 {
            assert_eq!(
                (&response.headers()["retry-after-ms"], &response.headers()["retry-after"]),
                (&"1500".parse().unwrap(), &"2".parse().unwrap())
            );
        }
    }
    assert_eq!(post(&server, CHAT, &[("x-mock-fault", "status:503")], chat()).status(), 503);
    assert_eq!(post(&server, CHAT, &[("x-mock-fault", "nonsense")], chat()).status(), 400);
    let wish = |fault: &str| json!({ "model": format!("m!{fault}"), "messages": chat()["messages"], "stream": true });
    let text = |fault: &str| post(&server, CHAT, &[], wish(fault)).body_mut().read_to_string();
    assert!(text("cut").is_err());
    let truncated = text("truncate").unwrap();
    assert!(truncated.contains("You ") && !truncated.contains("[DONE]"), "{truncated}");
    assert!(matches!(try_post(1, &server, CHAT, &[], wish("hang")), Err(ureq::Error::Timeout(_))));
    let struck = [("cut", 1), ("hang", 1), ("rate-limit:1500", 2), ("status:503", 1), ("truncate", 1)];
    assert_eq!(server.struck(), struck.map(|(fault, times)| (fault.to_owned(), times)).into());
}

#[test]
fn shares_that_are_not_probabilities_are_refused() {
    for rules in [&["cut=0.6", "hang=0.6"][..], &["cut=-1"], &["cut=NaN"]] {
        let faults = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        assert!(start(Options { faults, ..Options::default() }).is_err(), "{rules:?}");
    }
}
