//! What goes over the wire, compared with the providers' documentation. The JSON was written from the pages named above
//! each test, not from what this crate sends.

mod canned;

use canned::Canned;
use forethought_llm_remote::{Provider, Remote, RemoteConfig};
use forethought_mock_llm::{Options, Received, start};
use forethought_sdk::{
    api::llm::{Tool, ToolCall},
    prelude::*,
    serde_json::{Value, from_str, json},
};

fn schema() -> Value {
    json!({
        "type": "object", "properties": { "name": { "type": "string" } }, "required": ["name"],
        "additionalProperties": false
    })
}

/// Every setting at once.
fn everything() -> ChatRequest {
    ChatRequest {
        messages: vec![Message::system("You are a helpful assistant."), Message::user("Hello!")],
        samples: 2,
        temperature: Some(0.5),
        max_tokens: Some(100),
        stop: vec!["\n\n".into()],
        seed: Some(7),
        json_schema: Some(schema()),
        logprobs: true,
        ..ChatRequest::default()
    }
}

fn weather() -> Tool {
    Tool {
        name: "get_weather".into(),
        description: "Get the current weather in a given location".into(),
        parameters: json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] }),
    }
}

/// Two calls in one message, both answered, and a follow-up question.
fn tools(id: [&str; 2]) -> ChatRequest {
    let call = |index: usize, city: &str| ToolCall {
        id: id[index].into(),
        name: "get_weather".into(),
        arguments: json!({ "city": city }),
    };
    let result = |index: usize, text: &str| Message {
        tool_call_id: Some(id[index].into()),
        ..Message::new(Role::Tool, text)
    };
    ChatRequest {
        messages: vec![
            Message::user("What is the weather in Paris and Oslo?"),
            Message {
                tool_calls: vec![call(0, "Paris"), call(1, "Oslo")],
                ..Message::new(Role::Assistant, "")
            },
            result(0, "20 degrees"),
            result(1, "{\"degrees\": 5}"),
            Message::user("Thanks. Which is warmer?"),
        ],
        tools: vec![weather()],
        ..ChatRequest::default()
    }
}

/// What reaches the mock server, which reads it strictly.
async fn sent(
    provider: Provider,
    model: &str,
    version: &str,
    request: ChatRequest,
    streaming: bool,
) -> Received {
    let server = start(Options { record: true, ..Options::default() }).await.unwrap();
    let base_url = Some(server.url() + version);
    let remote = Remote::new(RemoteConfig { base_url, ..RemoteConfig::new(provider, model) }).unwrap();
    if streaming {
        remote.stream(request).await.unwrap().finish().await.unwrap();
    } else {
        remote.complete(request).await.unwrap();
    }
    server.received().remove(0)
}

fn body(received: &Received) -> Value {
    from_str(&received.body).unwrap()
}

// OpenAI, "API Reference: Create chat completion"; guides "Structured model outputs", "Function calling".
#[tokio::test]
async fn openai_is_asked_as_documented() {
    let received = sent(Provider::Openai, "gpt-5.4", "/v1", everything(), false).await;
    assert_eq!(received.path, "/v1/chat/completions");
    assert_eq!(received.headers["content-type"], "application/json");
    assert_eq!(
        body(&received),
        json!({
            "model": "gpt-5.4",
            "messages": [
                { "role": "system", "content": "You are a helpful assistant." },
                { "role": "user", "content": "Hello!" }
            ],
            "n": 2, "temperature": 0.5, "max_completion_tokens": 100, "stop": ["\n\n"], "seed": 7, "logprobs": true,
            "response_format": {
                "type": "json_schema",
                "json_schema": { "name": "answer", "schema": schema(), "strict": true }
            }
        })
    );

    let received = sent(Provider::Openai, "gpt-5.4", "/v1", tools(["call_a", "call_b"]), true).await;
    let call = |id: &str, arguments: &str| {
        json!({
            "id": id, "type": "function", "function": { "name": "get_weather", "arguments": arguments }
        })
    };
    assert_eq!(
        body(&received),
        json!({
            "model": "gpt-5.4",
            "messages": [
                { "role": "user", "content": "What is the weather in Paris and Oslo?" },
                { "role": "assistant", "content": null, "tool_calls": [
                    call("call_a", "{\"city\":\"Paris\"}"), call("call_b", "{\"city\":\"Oslo\"}")
                ] },
                { "role": "tool", "tool_call_id": "call_a", "content": "20 degrees" },
                { "role": "tool", "tool_call_id": "call_b", "content": "{\"degrees\": 5}" },
                { "role": "user", "content": "Thanks. Which is warmer?" }
            ],
            "tools": [{ "type": "function", "function": {
                "name": "get_weather", "description": "Get the current weather in a given location",
                "parameters": weather().parameters
            } }],
            "stream": true, "stream_options": { "include_usage": true }
        })
    );
}

// vLLM, "OpenAI-Compatible Server"; llama.cpp, "HTTP Server"; OpenRouter, "API Reference: Parameters".
#[tokio::test]
async fn compatible_servers_get_the_older_name_of_the_limit() {
    for provider in [Provider::Vllm, Provider::LlamaCpp, Provider::Openrouter, Provider::OpenaiCompatible] {
        let request = ChatRequest {
            max_tokens: Some(9),
            ..ChatRequest::new(Purpose::Other, vec![Message::user("Hi")])
        };
        let received = sent(provider, "some/model", "/api/v1", request, false).await;
        assert_eq!(received.path, "/api/v1/chat/completions");
        let expected = json!({ "model": "some/model", "messages": [{ "role": "user", "content": "Hi" }], "max_tokens": 9 });
        assert_eq!(body(&received), expected, "{provider}");
    }
}

// Anthropic, "Messages API reference", "Structured outputs", "Tool use: handle tool calls", "Streaming messages".
#[tokio::test]
async fn anthropic_is_asked_as_documented() {
    let request = ChatRequest { logprobs: false, ..everything() };
    let received = sent(Provider::Anthropic, "claude-opus-4-7", "/v1", request, false).await;
    assert_eq!(received.path, "/v1/messages");
    assert_eq!(received.headers["anthropic-version"], "2023-06-01");
    assert_eq!(received.headers["content-type"], "application/json");
    assert_eq!(
        body(&received),
        json!({
            "model": "claude-opus-4-7", "max_tokens": 100,
            "system": "You are a helpful assistant.",
            "messages": [{ "role": "user", "content": "Hello!" }],
            "temperature": 0.5, "stop_sequences": ["\n\n"],
            "output_config": { "format": { "type": "json_schema", "schema": schema() } }
        })
    );

    let received =
        sent(Provider::Anthropic, "claude-opus-4-7", "/v1", tools(["toolu_a", "toolu_b"]), true).await;
    assert_eq!(
        body(&received),
        json!({
            "model": "claude-opus-4-7", "max_tokens": 4096,
            "messages": [
                { "role": "user", "content": "What is the weather in Paris and Oslo?" },
                { "role": "assistant", "content": [
                    { "type": "tool_use", "id": "toolu_a", "name": "get_weather", "input": { "city": "Paris" } },
                    { "type": "tool_use", "id": "toolu_b", "name": "get_weather", "input": { "city": "Oslo" } }
                ] },
                { "role": "user", "content": [
                    { "type": "tool_result", "tool_use_id": "toolu_a", "content": "20 degrees" },
                    { "type": "tool_result", "tool_use_id": "toolu_b", "content": "{\"degrees\": 5}" },
                    { "type": "text", "text": "Thanks. Which is warmer?" }
                ] }
            ],
            "tools": [{
                "name": "get_weather", "description": "Get the current weather in a given location",
                "input_schema": weather().parameters
            }],
            "stream": true
        })
    );
}

// Gemini, API reference "Generating content" (GenerationConfig, Candidate) and "Caching" (Content, Tool,
// FunctionDeclaration, FunctionCall, FunctionResponse); guides "Structured outputs", "Thought signatures".
#[tokio::test]
async fn gemini_is_asked_as_documented() {
    let received = sent(Provider::Gemini, "gemini-3-flash", "/v1beta", everything(), false).await;
    assert_eq!(received.path, "/v1beta/models/gemini-3-flash:generateContent");
    assert_eq!(
        body(&received),
        json!({
            "systemInstruction": { "parts": [{ "text": "You are a helpful assistant." }] },
            "contents": [{ "role": "user", "parts": [{ "text": "Hello!" }] }],
            "generationConfig": {
                "temperature": 0.5, "maxOutputTokens": 100, "stopSequences": ["\n\n"], "seed": 7, "candidateCount": 2,
                "responseMimeType": "application/json", "responseJsonSchema": schema(), "responseLogprobs": true
            }
        })
    );

    // One call with an identifier and a signature, one with neither: both are sent back as they came.
    let request = tools(["f1:c2ln", "unnamed-1"]);
    let received = sent(Provider::Gemini, "gemini-3-flash", "/v1beta", request, true).await;
    assert_eq!(received.path, "/v1beta/models/gemini-3-flash:streamGenerateContent?alt=sse");
    assert_eq!(
        body(&received),
        json!({
            "contents": [
                { "role": "user", "parts": [{ "text": "What is the weather in Paris and Oslo?" }] },
                { "role": "model", "parts": [
                    { "functionCall": { "id": "f1", "name": "get_weather", "args": { "city": "Paris" } },
                      "thoughtSignature": "c2ln" },
                    { "functionCall": { "name": "get_weather", "args": { "city": "Oslo" } } }
                ] },
                { "role": "user", "parts": [
                    { "functionResponse": { "id": "f1", "name": "get_weather", "response": { "result": "20 degrees" } } },
                    { "functionResponse": { "name": "get_weather", "response": { "degrees": 5 } } },
                    { "text": "Thanks. Which is warmer?" }
                ] }
            ],
            "tools": [{ "functionDeclarations": [{
                "name": "get_weather", "description": "Get the current weather in a given location",
                "parametersJsonSchema": weather().parameters
            }] }]
        })
    );
}

// Ollama, "Generate a chat message", "Structured outputs", "Tool calling".
#[tokio::test]
async fn ollama_is_asked_as_documented() {
    let received = sent(Provider::Ollama, "qwen3", "/api", everything(), false).await;
    assert_eq!(received.path, "/api/chat");
    assert_eq!(
        body(&received),
        json!({
            "model": "qwen3",
            "messages": [
                { "role": "system", "content": "You are a helpful assistant." },
                { "role": "user", "content": "Hello!" }
            ],
            "stream": false, "format": schema(), "logprobs": true,
            "options": { "temperature": 0.5, "num_predict": 100, "stop": ["\n\n"], "seed": 7 }
        })
    );

    let received = sent(Provider::Ollama, "qwen3", "/api", tools(["call_0", "call_1"]), true).await;
    let call = |index: u32, city: &str| {
        json!({
            "type": "function", "function": { "index": index, "name": "get_weather", "arguments": { "city": city } }
        })
    };
    assert_eq!(
        body(&received),
        json!({
            "model": "qwen3",
            "messages": [
                { "role": "user", "content": "What is the weather in Paris and Oslo?" },
                { "role": "assistant", "content": "", "tool_calls": [call(0, "Paris"), call(1, "Oslo")] },
                { "role": "tool", "tool_name": "get_weather", "content": "20 degrees" },
                { "role": "tool", "tool_name": "get_weather", "content": "{\"degrees\": 5}" },
                { "role": "user", "content": "Thanks. Which is warmer?" }
            ],
            "tools": [{ "type": "function", "function": {
                "name": "get_weather", "description": "Get the current weather in a given location",
                "parameters": weather().parameters
            } }],
            "stream": true
        })
    );
}

fn hello() -> ChatRequest {
    ChatRequest::new(Purpose::Other, vec![Message::user("Hello!")])
}

fn remote(server: &Canned, provider: Provider) -> Remote {
    let base_url = Some(server.base().to_owned());
    Remote::new(RemoteConfig { base_url, ..RemoteConfig::new(provider, "some-model") }).unwrap()
}

async fn read(provider: Provider, answer: &str) -> Completion {
    let server = Canned::json(answer).await;
    remote(&server, provider).complete(hello()).await.unwrap()
}

async fn streamed(provider: Provider, answer: &str) -> (Vec<String>, Completion) {
    let server = Canned::json(answer).await;
    let stream = remote(&server, provider).stream(hello()).await.unwrap();
    let mut pieces = Vec::new();
    loop {
        match stream.next(1).await.unwrap() {
            next if next.is_empty() => break,
            next => pieces.extend(next),
        }
    }
    (pieces, stream.finish().await.unwrap())
}

fn call(id: &str, arguments: Value) -> ToolCall {
    ToolCall { id: id.into(), name: "get_current_weather".into(), arguments }
}

// OpenAI, "API Reference: Create chat completion", examples "Default", "Functions", "Logprobs", "Streaming".
#[tokio::test]
async fn openais_documented_answers_are_read() {
    let answer = r#"{
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT", "object": "chat.completion", "created": 1741569952,
        "model": "gpt-5.4",
        "choices": [{ "index": 0,
            "message": { "role": "assistant", "content": "Hello! How can I assist you today?", "refusal": null,
                         "annotations": [] },
            "logprobs": { "content": [
                { "token": "Hello", "logprob": -0.31725305, "bytes": [72, 101, 108, 108, 111], "top_logprobs": [] },
                { "token": "!", "logprob": -0.02380986, "bytes": [33], "top_logprobs": [] }] },
            "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29,
                   "prompt_tokens_details": { "cached_tokens": 0 } },
        "service_tier": "default"
    }"#;
    let completion = read(Provider::Openai, answer).await;
    let [choice] = &completion.choices[..] else { panic!("{completion:?}") };
    assert_eq!(
        (choice.text.as_str(), choice.finish),
        ("Hello! How can I assist you today?", FinishReason::Stop)
    );
    let tokens: Vec<_> = choice.logprobs.iter().map(|token| (token.token.as_str(), token.logprob)).collect();
    assert_eq!(tokens, [("Hello", -0.31725305), ("!", -0.02380986)]);
    assert_eq!(completion.usage, Usage { input_tokens: 19, output_tokens: 10 });
    assert_eq!(completion.raw, from_str::<Value>(answer).unwrap());

    let answer = r#"{ "choices": [{ "index": 0,
        "message": { "role": "assistant", "content": null, "tool_calls": [{ "id": "call_abc123", "type": "function",
            "function": { "name": "get_current_weather", "arguments": "{\n\"location\": \"Boston, MA\"\n}" } }] },
        "logprobs": null, "finish_reason": "tool_calls" }],
        "usage": { "prompt_tokens": 82, "completion_tokens": 17, "total_tokens": 99 } }"#;
    let choice = read(Provider::Openai, answer).await.choices.remove(0);
    assert_eq!(choice.finish, FinishReason::ToolCalls);
    assert_eq!(choice.tool_calls, [call("call_abc123", json!({ "location": "Boston, MA" }))]);

    let chunk = |choices: &str, usage: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-123\",\"object\":\"chat.completion.chunk\",\"created\":1694268190,\
             \"model\":\"gpt-4o-mini\",\"choices\":{choices},\"usage\":{usage}}}\n\n"
        )
    };
    let delta = |delta: &str, reason: &str| {
        chunk(
            &format!("[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{reason}}}]"),
            "null",
        )
    };
    let stream = [
        delta(r#"{"role":"assistant","content":""}"#, "null"),
        delta(r#"{"content":"Hello"}"#, "null"),
        delta(r#"{"content":"!"}"#, "null"),
        delta("{}", "\"stop\""),
        chunk("[]", r#"{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}"#),
        "data: [DONE]\n\n".into(),
    ];
    let (pieces, completion) = streamed(Provider::Openai, &stream.concat()).await;
    assert_eq!(pieces, ["Hello", "!"]);
    assert_eq!((completion.text(), completion.choices[0].finish), ("Hello!", FinishReason::Stop));
    assert_eq!(completion.usage, Usage { input_tokens: 9, output_tokens: 2 });

    let stream = [
        delta(
            r#"{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"get_current_weather","arguments":""}}]}"#,
            "null",
        ),
        delta(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"location\":"}}]}"#, "null"),
        delta(r#"{"tool_calls":[{"index":0,"function":{"arguments":"\"Paris\"}"}}]}"#, "null"),
        delta("{}", "\"tool_calls\""),
        "data: [DONE]\n\n".into(),
    ];
    let (pieces, completion) = streamed(Provider::Openai, &stream.concat()).await;
    assert_eq!(pieces, [""; 0]);
    assert_eq!(completion.choices[0].tool_calls, [call("call_1", json!({ "location": "Paris" }))]);
    assert_eq!(completion.choices[0].finish, FinishReason::ToolCalls);
}

// OpenAI, "Structured model outputs", section "Refusals".
#[tokio::test]
async fn a_refusal_is_an_answer_that_was_withheld() {
    let answer = r#"{ "choices": [{ "index": 0, "finish_reason": "stop", "logprobs": null,
        "message": { "role": "assistant", "content": null, "refusal": "I'm sorry, I cannot assist with that request." }
    }], "usage": { "prompt_tokens": 81, "completion_tokens": 11, "total_tokens": 92 } }"#;
    let choice = read(Provider::Openai, answer).await.choices.remove(0);
    assert_eq!(choice.finish, FinishReason::ContentFilter);
    assert_eq!(choice.text, "I'm sorry, I cannot assist with that request.");
}

// Anthropic, "Using the Messages API", "Tool use", "Prompt caching" (usage), "Streaming messages".
#[tokio::test]
async fn anthropics_documented_answers_are_read() {
    let answer = r#"{
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL", "type": "message", "role": "assistant",
        "content": [{ "type": "text", "text": "Hello!" }],
        "model": "claude-opus-4-7", "stop_reason": "end_turn", "stop_sequence": null,
        "usage": { "input_tokens": 12, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 30,
                   "output_tokens": 6 }
    }"#;
    let completion = read(Provider::Anthropic, answer).await;
    assert_eq!((completion.text(), completion.choices[0].finish), ("Hello!", FinishReason::Stop));
    assert_eq!(completion.usage, Usage { input_tokens: 142, output_tokens: 6 });

    let answer = r#"{ "content": [
            { "type": "thinking", "thinking": "The user wants ...", "signature": "EqQB" },
            { "type": "text", "text": "I'll check the current weather." },
            { "type": "tool_use", "id": "toolu_01A09q90qw90lq917835lq9", "name": "get_current_weather",
              "input": { "location": "San Francisco, CA", "unit": "celsius" } }],
        "stop_reason": "tool_use", "usage": { "input_tokens": 1, "output_tokens": 2 } }"#;
    let choice = read(Provider::Anthropic, answer).await.choices.remove(0);
    assert_eq!(
        (choice.text.as_str(), choice.finish),
        ("I'll check the current weather.", FinishReason::ToolCalls)
    );
    let arguments = json!({ "location": "San Francisco, CA", "unit": "celsius" });
    assert_eq!(choice.tool_calls, [call("toolu_01A09q90qw90lq917835lq9", arguments)]);

    let stream = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_014p7","type":"message","role":"assistant","model":"claude-opus-4-7","stop_sequence":null,"usage":{"input_tokens":472,"output_tokens":2},"content":[],"stop_reason":null}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Okay"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":", let's check"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_01T1x","name":"get_current_weather","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"location\":"}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":" \"San Francisco, CA\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":89}}

event: message_stop
data: {"type":"message_stop"}

"#;
    let (pieces, completion) = streamed(Provider::Anthropic, stream).await;
    assert_eq!(pieces, ["Okay", ", let's check"]);
    let choice = &completion.choices[0];
    assert_eq!((choice.text.as_str(), choice.finish), ("Okay, let's check", FinishReason::ToolCalls));
    assert_eq!(choice.tool_calls, [call("toolu_01T1x", json!({ "location": "San Francisco, CA" }))]);
    assert_eq!(completion.usage, Usage { input_tokens: 472, output_tokens: 89 });
}

// Anthropic, "Streaming messages", section "Error events"; "Errors".
#[tokio::test]
async fn an_error_in_a_stream_ends_it() {
    let stream = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":\
                  {\"type\":\"text_delta\",\"text\":\"Hel\"}}\n\nevent: error\ndata: {\"type\": \"error\", \"error\": \
                  {\"type\": \"overloaded_error\", \"message\": \"Overloaded\"}}\n\n";
    let server = Canned::json(stream).await;
    let stream = remote(&server, Provider::Anthropic).stream(hello()).await.unwrap();
    assert_eq!(stream.next(9).await.unwrap(), ["Hel"]);
    for _ in 0..2 {
        let error = stream.next(9).await.unwrap_err();
        assert!(
            error.retryable && error.code == Code::Provider && error.message.contains("Overloaded"),
            "{error}"
        );
    }
    assert!(stream.finish().await.is_err());
}

// Gemini, API reference "Generating content" (GenerateContentResponse); guides "Text generation", "Function calling".
#[tokio::test]
async fn geminis_documented_answers_are_read() {
    let answer = r#"{
        "candidates": [{
            "content": { "parts": [{ "text": "Let me think", "thought": true }, { "text": "Hi there" }], "role": "model" },
            "finishReason": "STOP", "avgLogprobs": -0.15,
            "logprobsResult": { "topCandidates": [],
                "chosenCandidates": [{ "token": "Hi", "tokenId": 2151, "logProbability": -0.25 },
                                     { "token": " there", "tokenId": 1104, "logProbability": -0.05 }] }
        }, { "content": { "parts": [{ "text": "Hello" }], "role": "model" }, "finishReason": "MAX_TOKENS", "index": 1 }],
        "usageMetadata": { "promptTokenCount": 4, "candidatesTokenCount": 5, "thoughtsTokenCount": 20,
                           "totalTokenCount": 29 },
        "modelVersion": "gemini-2.5-flash"
    }"#;
    let server = Canned::json(answer).await;
    let request = ChatRequest { samples: 2, ..hello() };
    let completion = remote(&server, Provider::Gemini).complete(request).await.unwrap();
    let [first, second] = &completion.choices[..] else { panic!("{completion:?}") };
    assert_eq!((first.text.as_str(), first.finish), ("Hi there", FinishReason::Stop));
    assert_eq!((first.logprobs[1].token.as_str(), first.logprobs[1].logprob), (" there", -0.05));
    assert_eq!((second.text.as_str(), second.finish), ("Hello", FinishReason::Length));
    assert_eq!(completion.usage, Usage { input_tokens: 4, output_tokens: 25 });

    let answer = r#"{ "candidates": [{ "content": { "role": "model", "parts": [
            { "functionCall": { "name": "get_current_weather", "args": { "location": "Boston" }, "id": "8f2b1a3c" },
              "thoughtSignature": "CpcBAVSoXO4=" },
            { "functionCall": { "name": "get_current_weather", "args": { "location": "Oslo" } } }] },
        "finishReason": "STOP" }], "usageMetadata": { "promptTokenCount": 1, "candidatesTokenCount": 2 } }"#;
    let choice = read(Provider::Gemini, answer).await.choices.remove(0);
    assert_eq!(choice.finish, FinishReason::ToolCalls);
    let expected = [
        call("8f2b1a3c:CpcBAVSoXO4=", json!({ "location": "Boston" })),
        call("unnamed-1", json!({ "location": "Oslo" })),
    ];
    assert_eq!(choice.tool_calls, expected);

    let answer =
        r#"{ "promptFeedback": { "blockReason": "SAFETY" }, "usageMetadata": { "promptTokenCount": 7 } }"#;
    let completion = read(Provider::Gemini, answer).await;
    assert_eq!((completion.text(), completion.choices[0].finish), ("", FinishReason::ContentFilter));

    let stream = "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"The image\"}],\"role\": \"model\"}}],\
                  \"usageMetadata\": {\"promptTokenCount\": 258,\"totalTokenCount\": 258}}\r\n\r\n\
                  data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \" shows\"}],\"role\": \"model\"},\
                  \"finishReason\": \"STOP\"}],\"usageMetadata\": {\"promptTokenCount\": 258,\
                  \"candidatesTokenCount\": 3,\"totalTokenCount\": 261}}\r\n\r\n";
    let (pieces, completion) = streamed(Provider::Gemini, stream).await;
    assert_eq!(pieces, ["The image", " shows"]);
    assert_eq!(completion.usage, Usage { input_tokens: 258, output_tokens: 3 });
}

// Ollama, "Generate a chat message", "Streaming", "Tool calling".
#[tokio::test]
async fn ollamas_documented_answers_are_read() {
    let answer = r#"{
        "model": "gemma3", "created_at": "2025-10-17T23:14:07.414671Z",
        "message": { "role": "assistant", "content": "Hello! How can I help you today?" },
        "done": true, "done_reason": "stop", "total_duration": 174560334, "load_duration": 101397084,
        "prompt_eval_count": 11, "prompt_eval_duration": 13074791, "eval_count": 18, "eval_duration": 52479709,
        "logprobs": [{ "token": "Hello", "logprob": -0.5, "bytes": [72, 101, 108, 108, 111] }]
    }"#;
    let completion = read(Provider::Ollama, answer).await;
    let choice = &completion.choices[0];
    assert_eq!(
        (choice.text.as_str(), choice.finish),
        ("Hello! How can I help you today?", FinishReason::Stop)
    );
    assert_eq!((choice.logprobs[0].token.as_str(), choice.logprobs[0].logprob), ("Hello", -0.5));
    assert_eq!(completion.usage, Usage { input_tokens: 11, output_tokens: 18 });

    let stream = r#"{"model":"qwen3","created_at":"2025-07-07T20:22:19.184789Z","message":{"role":"assistant","content":"I'll"},"done":false}
{"model":"qwen3","created_at":"2025-07-07T20:22:19.2Z","message":{"role":"assistant","content":" look"},"done":false}
{"model":"qwen3","created_at":"2025-07-07T20:22:19.3Z","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"get_current_weather","arguments":{"city":"Tokyo"}}}]},"done":false}
{"model":"qwen3","created_at":"2025-07-07T20:22:19.4Z","message":{"role":"assistant","content":""},"done_reason":"stop","done":true,"total_duration":182242375,"prompt_eval_count":169,"eval_count":15}
"#;
    let (pieces, completion) = streamed(Provider::Ollama, stream).await;
    assert_eq!(pieces, ["I'll", " look"]);
    assert_eq!(completion.choices[0].tool_calls, [call("call_0", json!({ "city": "Tokyo" }))]);
    assert_eq!(completion.choices[0].finish, FinishReason::ToolCalls);
    assert_eq!(completion.usage, Usage { input_tokens: 169, output_tokens: 15 });
}

// OpenAI, "Error codes"; Gemini, "Troubleshooting guide" and google.rpc.RetryInfo; Anthropic, "Errors"; Ollama, "Errors".
#[tokio::test]
async fn documented_errors_say_whether_and_when_to_ask_again() {
    let cases = [
        (
            Provider::Openai,
            "429 Too Many Requests\r\nretry-after: 7",
            r#"{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#,
            (true, Some(7000), "Rate limit reached"),
        ),
        (
            Provider::Openai,
            "429 Too Many Requests\r\nretry-after: 7",
            r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
            (false, None, "exceeded your current quota"),
        ),
        (
            Provider::Openai,
            "401 Unauthorized",
            r#"{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","code":"invalid_api_key"}}"#,
            (false, None, "Incorrect API key provided (no key was sent"),
        ),
        (
            Provider::Anthropic,
            "529 Overloaded",
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#,
            (true, None, "Overloaded"),
        ),
        (
            Provider::Gemini,
            "429 Too Many Requests",
            r#"{"error":{"code":429,"message":"You exceeded your current quota","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.5s"}]}}"#,
            (true, Some(34500), "exceeded your current quota"),
        ),
        (
            Provider::Gemini,
            "400 Bad Request",
            r#"{"error":{"code":400,"message":"API key not valid","status":"INVALID_ARGUMENT"}}"#,
            (false, None, "API key not valid"),
        ),
        (
            Provider::Ollama,
            "404 Not Found",
            r#"{"error":"model 'x' not found"}"#,
            (false, None, "model 'x' not found ("),
        ),
        (
            Provider::Ollama,
            "500 Internal Server Error",
            r#"{"error":"out of memory"}"#,
            (true, None, "out of memory"),
        ),
        // A gateway that reports errors with a success status (OpenRouter, "Errors").
        (
            Provider::Openrouter,
            "200 OK",
            r#"{"error":{"code":502,"message":"model is down"}}"#,
            (true, None, "down"),
        ),
        (
            Provider::Openrouter,
            "200 OK",
            r#"{"error":{"code":402,"message":"no credits"}}"#,
            (false, None, "credits"),
        ),
        (Provider::Vllm, "502 Bad Gateway", "<html>nginx</html>", (true, None, "nginx")),
        (
            Provider::Vllm,
            "307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/",
            "",
            (false, None, "set base_url"),
        ),
    ];
    for (provider, head, body, (retryable, wait, words)) in cases {
        let server = Canned::status(head, body).await;
        let error = remote(&server, provider).complete(hello()).await.unwrap_err();
        assert_eq!(
            (error.code, error.retryable, error.retry_after_ms),
            (Code::Provider, retryable, wait),
            "{error}"
        );
        assert!(error.message.contains(words) && error.message.contains(server.base()), "{error}");
    }
}

#[tokio::test]
async fn answers_in_no_documented_form_are_errors() {
    for (provider, answer) in [
        (Provider::Openai, "{}"),
        (Provider::Openai, r#"{"choices":[]}"#),
        (Provider::Openai, r#"{"choices":[{}]}"#),
        (Provider::Openai, r#"{"choices":[{"message":{"content":7}}]}"#),
        (Provider::Anthropic, r#"{"content":"Hello"}"#),
        (Provider::Anthropic, "[]"),
        (Provider::Gemini, r#"{"candidates":[]}"#),
        (Provider::Ollama, r#"{"message":{"content":"Hel"},"done":false}"#),
        (Provider::Ollama, "null"),
    ] {
        let server = Canned::json(answer).await;
        let error = remote(&server, provider).complete(hello()).await.unwrap_err();
        assert!(error.code == Code::Provider && error.retryable, "{provider}: {answer}: {error}");
    }
}
