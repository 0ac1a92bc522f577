//! Answers, errors and addresses that are not as documented, but met in practice.

mod canned;

use std::time::{Duration, Instant};

use canned::Canned;
use forethought_llm_remote::{Provider, Remote, RemoteConfig};
use forethought_mock_llm::{Options, start};
use forethought_sdk::{
    api::llm::ToolCall,
    prelude::*,
    serde_json::{Value, from_str, from_value, json},
};

fn hello() -> ChatRequest {
    ChatRequest::new(Purpose::Other, vec![Message::user("Hello!")])
}

fn config(base: &str, provider: Provider) -> RemoteConfig {
    RemoteConfig { base_url: Some(base.to_owned()), ..RemoteConfig::new(provider, "some-model") }
}

/// The answer to a body under status 200, whole or streamed.
async fn ask(provider: Provider, streaming: bool, head: &str, body: &str) -> Result<Completion> {
    let server = Canned::status(&format!("200 OK{head}"), body).await;
    let config = RemoteConfig { streaming, ..config(server.base(), provider) };
    Remote::new(config).unwrap().complete(hello()).await
}

async fn choice(provider: Provider, streaming: bool, body: &str) -> Choice {
    let mut completion =
        ask(provider, streaming, "", body).await.unwrap_or_else(|error| panic!("{body}: {error}"));
    completion.choices.remove(0)
}

/// An answer in OpenAI's format.
fn message(message: Value) -> String {
    json!({ "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }] }).to_string()
}

/// A stream in OpenAI's format.
fn stream(deltas: &[Value], end: &str) -> String {
    let event =
        |delta: &Value| format!("data: {}\n\n", json!({ "choices": [{ "index": 0, "delta": delta }] }));
    deltas.iter().map(event).collect::<String>() + end
}

const DONE: &str = "data: [DONE]\n\n";
const STOP: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

#[tokio::test]
async fn text_and_reasoning_are_read_in_every_form() {
    let part = |text: &str| json!({ "type": "text", "text": text });
    let thinking = json!({ "type": "thinking", "thinking": [part("Hm")] });
    for (content, expected) in [
        (json!({ "content": "Hi" }), ("Hi", "")),
        (json!({ "content": [part("H"), part("i")] }), ("Hi", "")),
        (json!({ "content": [thinking, part("Hi")] }), ("Hi", "Hm")),
        (json!({ "content": ["Hi", { "type": "image_url", "image_url": {} }] }), ("Hi", "")),
        (json!({ "content": part("Hi") }), ("Hi", "")),
        (json!({ "content": [] }), ("", "")),
        (json!({ "content": "Hi", "reasoning_content": "Hm" }), ("Hi", "Hm")),
        (json!({ "content": null, "reasoning": "Hm", "reasoning_content": null }), ("", "Hm")),
        // Both names of one thing.
        (json!({ "content": "Hi", "reasoning": "Hm", "reasoning_content": "Hm" }), ("Hi", "Hm")),
    ] {
        let whole = choice(Provider::Vllm, false, &message(content.clone())).await;
        let streamed =
            choice(Provider::Vllm, true, &stream(std::slice::from_ref(&content), &[STOP, DONE].concat()))
                .await;
        for choice in [whole, streamed] {
            assert_eq!((&*choice.text, &*choice.reasoning), expected, "{content}");
        }
    }
    let body = r#"{"message":{"content":"Hi","thinking":"Hm"},"done":true,"done_reason":"stop"}"#;
    let anthropic = r#"{"content":[{"type":"thinking","thinking":"Hm","signature":"s"},{"type":"text","text":"Hi"}],"stop_reason":"end_turn"}"#;
    let gemini = r#"{"candidates":[{"content":{"parts":[{"text":"Hm","thought":true},{"text":"Hi"}]},"finishReason":"STOP"}]}"#;
    for (provider, body) in
        [(Provider::Ollama, body), (Provider::Anthropic, anthropic), (Provider::Gemini, gemini)]
    {
        let choice = choice(provider, false, body).await;
        assert_eq!((&*choice.text, &*choice.reasoning), ("Hi", "Hm"), "{provider}");
    }
}

#[tokio::test]
async fn arguments_of_tools_are_read_in_every_form() {
    let object = json!({ "city": "Oslo" });
    let text = object.to_string();
    let twice = json!(text).to_string();
    for (arguments, expected) in [
        (object.clone(), &object),
        (json!(text), &object),
        (json!(twice), &object),
        (Value::Null, &json!({})),
        (json!(""), &json!({})),
        (json!("null"), &json!({})),
        (json!("to Oslo"), &json!("to Oslo")),
    ] {
        let call = json!({ "id": "a", "function": { "name": "go", "arguments": arguments } });
        let tools = json!({ "content": null, "tool_calls": [call] });
        let whole = choice(Provider::OpenaiCompatible, false, &message(tools.clone())).await;
        let streamed =
            choice(Provider::OpenaiCompatible, true, &stream(&[tools], &[STOP, DONE].concat())).await;
        let ollama = json!({ "message": { "tool_calls": [call] }, "done": true, "done_reason": "stop" });
        let ollama = choice(Provider::Ollama, false, &ollama.to_string()).await;
        let block = json!({ "type": "tool_use", "id": "a", "name": "go", "input": arguments });
        let anthropic = json!({ "content": [block], "stop_reason": "tool_use" });
        let anthropic = choice(Provider::Anthropic, false, &anthropic.to_string()).await;
        let part = json!({ "functionCall": { "id": "a", "name": "go", "args": arguments } });
        let gemini = json!({ "candidates": [{ "content": { "parts": [part] }, "finishReason": "STOP" }] });
        let gemini = choice(Provider::Gemini, false, &gemini.to_string()).await;
        for choice in [whole, streamed, ollama, anthropic, gemini] {
            let expected = ToolCall { id: "a".into(), name: "go".into(), arguments: expected.clone() };
            assert_eq!(choice.tool_calls, [expected], "{arguments}");
            assert_eq!(choice.finish, FinishReason::ToolCalls);
        }
    }
}

#[tokio::test]
async fn pieces_of_tool_calls_find_their_call() {
    // Index, identifier, name and arguments of each piece; `null` for what is missing.
    for (pieces, expected) in [
        // No index.
        (
            json!([[null, "a", "f", "{\"x\":"], [null, null, null, "1}"], [null, "b", "g", "{}"]]),
            json!([["a", "f", { "x": 1 }], ["b", "g", {}]]),
        ),
        (json!([[null, "a", "f", "{\"x\":"], [null, "a", "f", "1}"]]), json!([["a", "f", { "x": 1 }]])),
        (
            json!([[null, "a", "f", "{\"x\":1}"], [null, "b", "f", "{\"x\":2}"]]),
            json!([["a", "f", { "x": 1 }], ["b", "f", { "x": 2 }]]),
        ),
        // Neither index nor identifier.
        (
            json!([[null, null, "f", "{\"x\":1}"], [null, null, "f", "{\"x\":2}"], [null, "", "g", { "y": 3 }]]),
            json!([["call_0", "f", { "x": 1 }], ["call_1", "f", { "x": 2 }], ["call_2", "g", { "y": 3 }]]),
        ),
        // Indices that do not count from 0, and are no numbers.
        (
            json!([
                [1, "a", "f", "{"],
                [7, "b", "g", "{\"y\":"],
                [1, null, null, "}"],
                [7, null, null, "2}"]
            ]),
            json!([["a", "f", {}], ["b", "g", { "y": 2 }]]),
        ),
        (
            json!([["x", "a", "f", "{"], ["x", null, null, "}"], [-1, "b", "g", "{}"]]),
            json!([["a", "f", {}], ["b", "g", {}]]),
        ),
        // One index for all calls.
        (
            json!([
                [0, "a", "f", "{\"x\":"],
                [0, "", "", "1}"],
                [0, "b", "g", "{\"y\":"],
                [0, null, null, "2}"]
            ]),
            json!([["a", "f", { "x": 1 }], ["b", "g", { "y": 2 }]]),
        ),
        // An identifier for every piece, repeated names, identifiers that are numbers.
        (json!([[0, "a", "f", "{\"x\":"], [0, "b", null, "1}"]]), json!([["a", "f", { "x": 1 }]])),
        (json!([[0, "a", "f", "{\"x\":"], [0, "a", "f", "1}"]]), json!([["a", "f", { "x": 1 }]])),
        (json!([[0, 17, "f", ""], [0, null, null, "{}"]]), json!([["17", "f", {}]])),
        // The name, or the index, comes later.
        (json!([[0, "a", null, null], [0, null, "f", "{}"]]), json!([["a", "f", {}]])),
        (json!([[null, "a", "f", ""], [0, null, null, "{\"x\":1}"]]), json!([["a", "f", { "x": 1 }]])),
    ] {
        let delta = |piece: &Value| {
            let function = json!({ "name": piece[2], "arguments": piece[3] });
            let mut call = json!({ "id": piece[1], "type": "function", "function": function });
            if !piece[0].is_null() {
                call["index"] = piece[0].clone();
            }
            json!({ "tool_calls": [call] })
        };
        let deltas: Vec<_> = pieces.as_array().unwrap().iter().map(delta).collect();
        let choice = choice(Provider::Vllm, true, &stream(&deltas, &[STOP, DONE].concat())).await;
        let calls: Vec<_> =
            choice.tool_calls.iter().map(|call| json!([call.id, call.name, call.arguments])).collect();
        assert_eq!(Value::from(calls), expected, "{pieces}");
    }
    let never = [json!({ "tool_calls": [{ "index": 0, "function": { "arguments": "{}" } }] })];
    let error = ask(Provider::Vllm, true, "", &stream(&never, DONE)).await.unwrap_err();
    assert!(error.retryable && error.message.contains("never begun"), "{error}");
}

#[tokio::test]
async fn an_answer_is_whole_once_the_reason_for_its_end_has_come() {
    let hi = |end: &str| stream(&[json!({ "content": "Hi" })], end);
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\n";
    for body in [
        hi(STOP),
        hi(&[STOP, usage].concat()),
        hi(DONE),
        format!("\u{feff}{}", hi(STOP)),
        hi(STOP).replace("\n\n", "\n"),
    ] {
        let choice = choice(Provider::OpenaiCompatible, true, &body).await;
        assert_eq!((&*choice.text, choice.finish), ("Hi", FinishReason::Stop), "{body:?}");
    }
    let anthropic = "data: {\"type\":\"message_start\",\"message\":{}}\n\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n";
    let end = "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n";
    assert_eq!(choice(Provider::Anthropic, true, &[anthropic, end].concat()).await.text, "Hi");
    // Nothing says that these are whole, or they are no answers.
    for (provider, body) in [
        (Provider::OpenaiCompatible, hi("")),
        (Provider::OpenaiCompatible, DONE.into()),
        (Provider::OpenaiCompatible, [usage, DONE].concat()),
        (Provider::OpenaiCompatible, String::new()),
        (Provider::Anthropic, anthropic.into()),
        (Provider::Anthropic, "data: {\"type\":\"message_stop\"}\n\n".into()),
        (Provider::Ollama, "{\"done\":true,\"done_reason\":\"stop\"}\n".into()),
        (
            Provider::Ollama,
            "{\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"load\"}\n".into(),
        ),
    ] {
        let error = ask(provider, true, "", &body).await.unwrap_err();
        assert!(error.retryable && error.code == Code::Provider, "{provider}: {body:?}: {error}");
    }
}

#[tokio::test]
async fn what_follows_the_end_of_a_stream_is_not_read() {
    let hi = stream(&[json!({ "content": "Hi" })], STOP);
    let anthropic = |text: &str| {
        format!(
            "data: {{\"type\":\"content_block_delta\",\"delta\":{{\"type\":\"text_delta\",\"text\":{text:?}}}}}\n\n"
        )
    };
    let gemini = |text: &str| {
        let candidate = json!({ "content": { "parts": [{ "text": text }] }, "finishReason": "STOP" });
        format!("data: {}\n\n", json!({ "candidates": [candidate] }))
    };
    let ollama = |text: &str| {
        json!({ "message": { "content": text }, "done": true, "done_reason": "stop" }).to_string() + "\n"
    };
    let start = "data: {\"type\":\"message_start\",\"message\":{}}\n\n";
    let stop = "data: {\"type\":\"message_stop\"}\n\n";
    for (provider, body) in [
        (Provider::OpenaiCompatible, [&hi, DONE, &hi].concat()),
        (Provider::OpenaiCompatible, [&hi, DONE, "data: {\"error\":\"late\"}\n\n"].concat()),
        (Provider::OpenaiCompatible, [&hi, DONE, "data: not JSON"].concat()),
        (Provider::Anthropic, [start, &anthropic("Hi"), stop, &anthropic(" again")].concat()),
        (Provider::Gemini, gemini("Hi") + &gemini(" again")),
        (Provider::Ollama, ollama("Hi") + &ollama(" again")),
    ] {
        for streaming in [false, true] {
            assert_eq!(choice(provider, streaming, &body).await.text, "Hi", "{provider}: {body}");
        }
    }
}

#[tokio::test]
async fn a_stream_and_a_whole_answer_are_read_where_the_other_was_requested() {
    let whole = message(json!({ "content": "Hi" }));
    for streaming in [false, true] {
        for body in [whole.clone(), format!("\u{feff}\n{whole}"), stream(&[json!({ "content": "Hi" })], DONE)]
        {
            assert_eq!(choice(Provider::Vllm, streaming, &body).await.text, "Hi", "{body:?}");
        }
        let lines = "{\"message\":{\"content\":\"H\"},\"done\":false}\n{\"message\":{\"content\":\"i\"},\"done\":true,\"done_reason\":\"stop\"}\n";
        assert_eq!(choice(Provider::Ollama, streaming, lines).await.text, "Hi");
    }
}

#[tokio::test]
async fn an_error_under_a_status_of_success_is_an_error() {
    let choices = |choice: Value| json!({ "choices": [choice] });
    let event = |error: &Value| format!("data: {error}\n\n{DONE}");
    // Whether to repeat it, whether it is overload, and what its message has.
    for (error, (retryable, overloaded, words)) in [
        (
            choices(
                json!({ "error": { "code": 502, "message": "Upstream is down" }, "finish_reason": "error", "message": { "content": "" } }),
            ),
            (true, false, "Upstream is down"),
        ),
        (
            choices(
                json!({ "error": { "code": 401, "message": "Who are you?" }, "message": { "content": "Hi" } }),
            ),
            (false, false, "Who are you?"),
        ),
        (
            choices(
                json!({ "finish_reason": "error", "message": { "content": "Hi" }, "delta": { "content": "Hi" } }),
            ),
            (true, false, "error"),
        ),
        (
            json!({ "object": "error", "message": "too long", "type": "BadRequestError", "code": 400 }),
            (false, false, "too long"),
        ),
        (json!({ "object": "error", "message": "worker died", "code": null }), (true, false, "worker died")),
        (
            json!({ "type": "error", "message": "Slow down", "code": "rate_limit_exceeded" }),
            (true, true, "Slow down"),
        ),
        (
            json!({ "error": { "code": "invalid_api_key", "message": "Wrong key" } }),
            (false, false, "api_key_env"),
        ),
        (json!({ "error": { "code": "400", "message": "Bad" } }), (false, false, "Bad")),
        (json!({ "error": { "code": "429", "message": "Busy" } }), (true, true, "Busy")),
        (
            json!({ "error": { "code": "insufficient_quota", "message": "No money" } }),
            (false, false, "No money"),
        ),
        (json!({ "error": { "type": "overloaded_error", "message": "Busy" } }), (true, true, "Busy")),
        (json!({ "error": { "status": "PERMISSION_DENIED", "message": "No" } }), (false, false, "No")),
        (
            json!({ "error": { "message": "Provider returned error", "code": 503, "metadata": { "raw": "no GPU" } } }),
            (true, true, "no GPU"),
        ),
        (json!({ "error": "out of memory" }), (true, false, "out of memory")),
        (json!({ "error": "Unexpected endpoint or method. (POST /x)" }), (false, false, "base_url")),
        (json!({ "error": "Invalid API key" }), (false, false, "api_key_env")),
        (json!({ "error": true, "message": "Broken" }), (true, false, "Broken")),
        (json!([{ "error": { "code": 429, "message": "Quota" } }]), (true, true, "Quota")),
        (
            json!({ "success": false, "errors": [{ "code": 7, "message": "No route" }], "result": null }),
            (false, false, "base_url"),
        ),
    ] {
        for (streaming, body) in
            [(false, error.to_string()), (true, error.to_string()), (true, event(&error))]
        {
            let found = ask(Provider::OpenaiCompatible, streaming, "", &body).await.expect_err(&body);
            assert_eq!((found.retryable, found.overloaded), (retryable, overloaded), "{body}: {found}");
            assert!(found.code == Code::Provider && found.message.contains(words), "{body}: {found}");
        }
    }
    // An error without content is not an error.
    for blank in
        [json!(null), json!(false), json!({}), json!(""), json!([]), json!({ "code": null, "message": "" })]
    {
        let mut body: Value = from_str(&message(json!({ "content": "Hi" }))).unwrap();
        body["error"] = blank.clone();
        body["choices"][0]["error"] = blank;
        assert_eq!(choice(Provider::OpenaiCompatible, false, &body.to_string()).await.text, "Hi", "{body}");
    }
}

#[tokio::test]
async fn what_is_not_the_api_is_named_at_once() {
    for (provider, head, body) in [
        (Provider::Vllm, "\r\ncontent-type: text/html", "<!DOCTYPE html>\n<html><body>Welcome</body></html>"),
        (Provider::Ollama, "", "\n<html>Welcome</html>"),
        (Provider::Vllm, "\r\ncontent-type: text/plain", "404 page not found"),
        (Provider::Anthropic, "", r#"{"message":"Welcome to this server"}"#),
        (Provider::Gemini, "", r#"{"status":"ok"}"#),
        (Provider::OpenaiCompatible, "", r#"{"detail":"Not Found"}"#),
        (Provider::Ollama, "", r#"{"data":[]}"#),
    ] {
        for streaming in [false, true] {
            if streaming && (head.contains("plain") || provider == Provider::Ollama && body.starts_with('{'))
            {
                continue; // Not known before the end of the stream.
            }
            let error = ask(provider, streaming, head, body).await.unwrap_err();
            assert!(
                !error.retryable && error.message.contains("base_url"),
                "{provider} {streaming}: {error}"
            );
        }
    }
}

#[tokio::test]
async fn errors_in_a_list_are_read_and_a_long_pause_is_said() {
    for (head, body, (retryable, wait, words)) in [
        (
            "429 Too Many Requests",
            r#"[{"error":{"code":429,"message":"Quota","details":[{"retryDelay":"1.5s"}]}}]"#,
            (true, Some(1500), "status 429 Too Many Requests: Quota (asks for a pause of 1.5 s"),
        ),
        (
            "429 Too Many Requests\r\nretry-after: 86400",
            r#"{"error":{"message":"Daily quota"}}"#,
            (true, Some(86_400_000), "86400 s"),
        ),
        ("400 Bad Request", r#"[{"error":{"message":"Unknown name"}}]"#, (false, None, ": Unknown name")),
        (
            "400 Bad Request",
            "\u{feff}{\"error\":{\"message\":\"Unknown name\"}}",
            (false, None, ": Unknown name"),
        ),
        ("405 Method Not Allowed", "", (false, None, "base_url")),
    ] {
        let server = Canned::status(head, body).await;
        let remote = Remote::new(config(server.base(), Provider::OpenaiCompatible)).unwrap();
        let error = remote.complete(hello()).await.unwrap_err();
        assert_eq!((error.retryable, error.retry_after_ms), (retryable, wait), "{error}");
        assert_eq!(error.overloaded, head.starts_with("429"), "{error}");
        assert!(error.message.contains(words), "{error}");
    }
}

#[tokio::test]
async fn omitted_fields_are_not_sent() {
    let server = start(Options { record: true, ..Options::default() }).await.unwrap();
    let request = ChatRequest { samples: 3, seed: Some(7), temperature: Some(0.5), ..hello() };
    for (provider, version, omit, calls) in [
        (Provider::OpenaiCompatible, "/v1", json!(["seed", "n"]), 3),
        (Provider::OpenaiCompatible, "/v1", json!(["seed"]), 1),
        (Provider::Gemini, "/v1beta", json!(["seed", "candidateCount"]), 3),
        (Provider::Gemini, "/v1beta", json!(["generationConfig.seed"]), 1),
        (Provider::Ollama, "/api", json!(["options.seed"]), 3),
        (Provider::Ollama, "/api", json!(["seed", "anything"]), 3),
    ] {
        let before = server.received().len();
        let omit = from_value(omit).unwrap();
        let config = RemoteConfig { omit, ..config(&(server.url() + version), provider) };
        let remote = Remote::new(config).unwrap();
        assert_eq!(remote.complete(request.clone()).await.unwrap().choices.len(), 3);
        assert!(!remote.capabilities().await.unwrap().seed);
        let received = server.received().split_off(before);
        assert_eq!(received.len(), calls, "{provider}");
        for received in received {
            assert!(
                !received.body.contains("seed") && received.body.contains("temperature"),
                "{}",
                received.body
            );
            assert!(
                calls == 1 || !received.body.contains("candidateCount") && !received.body.contains("\"n\"")
            );
        }
    }
    let omit = vec!["stream_options".into()];
    let config = RemoteConfig { omit, streaming: true, ..config(&(server.url() + "/v1"), Provider::Vllm) };
    Remote::new(config).unwrap().complete(hello()).await.unwrap();
    let body: Value = from_str(&server.received().pop().unwrap().body).unwrap();
    assert_eq!((&body["stream"], &body["stream_options"]), (&json!(true), &Value::Null));
}

#[tokio::test]
async fn what_cannot_be_omitted_is_refused_and_what_can_be_is_named() {
    for (provider, omit) in [
        (Provider::Openai, "model"),
        (Provider::Vllm, "messages"),
        (Provider::Anthropic, "max_tokens"),
        (Provider::Gemini, "contents"),
        (Provider::Ollama, "stream"),
        (Provider::Vllm, ""),
        (Provider::Vllm, "options."),
    ] {
        let config = RemoteConfig { omit: vec![omit.into()], ..config("http://127.0.0.1:1/v1", provider) };
        let error = Remote::new(config).err().expect(omit);
        assert!(error.code == Code::Config && error.message.contains("omit"), "{error}");
    }
    for (status, body, named) in [
        (
            "422 Unprocessable Entity",
            r#"{"detail":[{"loc":["body","seed"],"msg":"Extra inputs are not permitted"}]}"#,
            "omit = [\"seed\"]",
        ),
        ("400 Bad Request", r#"{"error":{"message":"'n' must be at most 1"}}"#, "omit = [\"n\"]"),
        ("400 Bad Request", r#"{"error":{"message":"an n too many; no seeds; stop"}}"#, ""),
    ] {
        let server = Canned::status(status, body).await;
        let remote = Remote::new(config(server.base(), Provider::OpenaiCompatible)).unwrap();
        let request = ChatRequest { samples: 2, seed: Some(1), stop: vec!["x".into()], ..hello() };
        let error = remote.complete(request).await.unwrap_err();
        assert!(
            error.message.contains(named) && error.message.contains("omit") != named.is_empty(),
            "{error}"
        );
    }
}

#[tokio::test]
async fn no_request_has_an_empty_turn_or_a_call_without_identifier() {
    let server = start(Options { record: true, ..Options::default() }).await.unwrap();
    let call = ToolCall { name: "go".into(), arguments: json!({}), ..ToolCall::default() };
    let result = |text: &str| Message { tool_call_id: Some(String::new()), ..Message::new(Role::Tool, text) };
    let request = ChatRequest {
        messages: vec![
            Message::user("One"),
            Message::assistant(" \n"),
            Message::user("Two"),
            Message { tool_calls: vec![call.clone(), call], ..Message::assistant("") },
            result("a"),
            result("b"),
        ],
        ..ChatRequest::default()
    };
    for (provider, version) in [
        (Provider::Openai, "/v1"),
        (Provider::Anthropic, "/v1"),
        (Provider::Gemini, "/v1beta"),
        (Provider::Ollama, "/api"),
    ] {
        let remote = Remote::new(config(&(server.url() + version), provider)).unwrap();
        remote.complete(request.clone()).await.unwrap();
        let body: Value = from_str(&server.received().pop().unwrap().body).unwrap();
        let messages = body.get("messages").or(body.get("contents")).unwrap().as_array().unwrap();
        assert!(messages[0].to_string().contains("One\\n\\nTwo"), "{provider}: {body}");
        assert!(messages[1].to_string().contains("go"), "{provider}: {body}");
        if provider == Provider::Openai {
            let ids = [&messages[1]["tool_calls"][0]["id"], &messages[1]["tool_calls"][1]["id"]];
            assert_eq!(ids, [&messages[2]["tool_call_id"], &messages[3]["tool_call_id"]]);
            assert!(ids[0] != ids[1] && ids.iter().all(|id| *id != ""), "{body}");
        }
    }
}

#[tokio::test]
async fn refusals_and_cut_answers_say_so() {
    let refusal = json!({ "type": "refusal", "refusal": "No." });
    for (provider, body, finish) in [
        (
            Provider::Openai,
            message(json!({ "content": null, "refusal": "No." })),
            FinishReason::ContentFilter,
        ),
        (Provider::Openai, message(json!({ "content": [refusal] })), FinishReason::ContentFilter),
        (Provider::Vllm, r#"{"choices":[{"finish_reason":"length"}]}"#.into(), FinishReason::Length),
        (
            Provider::Vllm,
            r#"{"choices":[{"finish_reason":"content_filter"}]}"#.into(),
            FinishReason::ContentFilter,
        ),
        (
            Provider::Anthropic,
            r#"{"content":[],"stop_reason":"refusal"}"#.into(),
            FinishReason::ContentFilter,
        ),
        (
            Provider::Gemini,
            r#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"}}"#.into(),
            FinishReason::ContentFilter,
        ),
        (
            Provider::Gemini,
            r#"{"candidates":[{"finishReason":"SAFETY"}]}"#.into(),
            FinishReason::ContentFilter,
        ),
    ] {
        assert_eq!(choice(provider, false, &body).await.finish, finish, "{body}");
    }
    let streamed = [json!({ "refusal": "N" }), json!({ "refusal": "o." })];
    let choice = choice(Provider::Openai, true, &stream(&streamed, &[STOP, DONE].concat())).await;
    assert_eq!((&*choice.text, choice.finish), ("No.", FinishReason::ContentFilter));
}

#[test]
fn names_of_models_are_free_except_in_a_path() {
    let name = "accounts/me/models/m#accounts/me/deployments/d?x=50%..";
    for (provider, accepted) in
        [(Provider::OpenaiCompatible, true), (Provider::Ollama, true), (Provider::Gemini, false)]
    {
        let config = RemoteConfig { model: name.into(), ..config("http://127.0.0.1:1/v1", provider) };
        assert_eq!(Remote::new(config).is_ok(), accepted, "{provider}");
    }
}

#[tokio::test]
async fn a_server_without_tls_is_named_at_once() {
    let server = Canned::json("{}").await;
    let base = server.base().replace("http:", "https:");
    let began = Instant::now();
    let error = Remote::new(config(&base, Provider::Vllm)).unwrap().complete(hello()).await.unwrap_err();
    assert!(!error.retryable && error.refused && error.message.contains("http://"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(60));
}
