//! Every reader gets files in which one thing is other than it should be: it reads them, or says what is wrong where, and
//! never panics.

use std::path::Path;

use forethought_records::{RecordConfig, import};
use forethought_sdk::{
    api::critic::NoProgress,
    prelude::*,
    serde_json::{self, Value, json},
};

/// Importers, each with a file that it reads.
fn readers() -> Vec<(Box<dyn Importer>, &'static str, Value)> {
    let config = RecordConfig::default;
    let parse = |text: &str| serde_json::from_str(text).expect("a fixture is JSON");
    let chat = include_str!("fixtures/chat.jsonl").lines().next().expect("a line");
    let inspect = include_str!("fixtures/inspect.json").replace("NaN", "null");
    let message = |role: &str, text: &str| json!({ "role": role, "content": text });
    let rollout = json!({
        "example_id": 1, "prompt": [message("user", "2+2")], "completion": [message("assistant", "4")], "reward": 1.0,
        "tool_defs": [{ "name": "add", "parameters": {} }], "is_truncated": false,
    });
    let call = json!({ "role": "assistant", "content": null, "tool_calls": [{ "id": "c", "name": "f", "arguments": "{}" }] });
    let episode = json!({ "id": "e", "traces": [{
        "id": "t", "task": { "type": "Sum", "data": { "idx": 1 } }, "agent": { "config": { "model": "m" } },
        "nodes": [{ "message": message("user", "2+2"), "tools": [] }, { "parent": 0, "sampled": true, "message": call }],
        "calls": [{ "node": 1, "model": "m", "usage": { "prompt_tokens": 1 } }], "is_completed": true, "errors": [],
        "rewards": { "exact": { "score": 1.0, "weight": 0.5 } }, "metrics": { "turns": 1.0 },
    }] });
    let text = |text: &str| json!({ "stringValue": text });
    let said = |role: &str, text: &str| {
        json!([{ "role": role, "parts": [{ "type": "text", "content": text }] }]).to_string()
    };
    let spans = json!({ "resourceSpans": [{ "resource": { "attributes": [] }, "scopeSpans": [{ "spans": [{
        "traceId": "t", "spanId": "s", "parentSpanId": "p", "startTimeUnixNano": "5", "status": { "code": 1 },
        "attributes": [
            { "key": "gen_ai.operation.name", "value": text("chat") },
            { "key": "gen_ai.usage.input_tokens", "value": { "intValue": "5" } },
            { "key": "gen_ai.input.messages", "value": text(&said("user", "2+2")) },
            { "key": "gen_ai.output.messages", "value": text(&said("assistant", "4")) },
            { "key": "x", "value": { "kvlistValue": { "values": [{ "key": "y", "value": { "boolValue": true } }] } } },
        ],
        "events": [{ "name": "gen_ai.evaluation.result", "attributes": [
            { "key": "gen_ai.evaluation.score.value", "value": { "doubleValue": 0.5 } },
        ] }],
    }] }] }] });
    vec![
        (Box::new(import::openai_chat::OpenaiChat(config())), "chat.jsonl", parse(chat)),
        (
            Box::new(import::atif::Atif(config())),
            "trajectory.json",
            parse(include_str!("fixtures/trajectory.json")),
        ),
        (Box::new(import::inspect::Inspect(config())), "log.json", parse(&inspect)),
        (Box::new(import::verifiers::Verifiers(config())), "results.jsonl", rollout),
        (Box::new(import::verifiers::Verifiers(config())), "traces.jsonl", episode),
        (Box::new(import::otel_genai::OtelGenai(config())), "spans.json", spans),
    ]
}

async fn read(importer: &dyn Importer, path: &Path, bytes: &[u8]) -> bool {
    std::fs::write(path, bytes).expect("a file can be written");
    match importer.read(path.into(), Arc::new(NoProgress)).await {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.code, Code::Input, "{error:?}");
            let name = path.file_name().expect("a name").to_string_lossy();
            // An error in a span names the span instead: spans are put together from several files.
            let placed = error.to_string();
            assert!(placed.contains(&*name) || placed.contains("trace t, span"), "{placed}");
            false
        }
    }
}

/// All pointers into a document.
fn places(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => object.iter().for_each(|(key, value)| {
            places(value, format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
        }),
        Value::Array(list) => {
            (0..).zip(list).for_each(|(index, value)| places(value, format!("{at}/{index}"), found))
        }
        _ => {}
    }
    found.push(at);
}

#[tokio::test]
async fn a_value_of_another_type_is_read_or_named() {
    let folder = tempfile::tempdir().expect("a folder");
    for (importer, name, document) in readers() {
        let path = folder.path().join(name);
        assert!(read(&*importer, &path, document.to_string().as_bytes()).await, "{name}");
        let mut all = Vec::new();
        places(&document, String::new(), &mut all);
        let mut refused = 0;
        for place in all {
            for other in [json!(null), json!(-1), json!("x"), json!([[]]), json!({ "a": 1 }), json!(true)] {
                let mut changed = document.clone();
                *changed.pointer_mut(&place).expect("it was found there") = other;
                refused += usize::from(!read(&*importer, &path, changed.to_string().as_bytes()).await);
            }
        }
        assert!(refused > 20, "{name}: only {refused} were refused");
    }
}

#[tokio::test]
async fn a_file_that_is_cut_off_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for (importer, name, document) in readers() {
        let path = folder.path().join(name);
        let text = document.to_string();
        for end in (1..text.len()).step_by(29).filter(|end| text.is_char_boundary(*end)) {
            assert!(!read(&*importer, &path, &text.as_bytes()[..end]).await, "{name} cut at {end}");
        }
    }
}

#[tokio::test]
async fn a_byte_that_changed_in_an_archive_is_noticed_or_does_no_harm() {
    use std::io::Write as _;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log.eval");
    let log = include_str!("fixtures/inspect.json").replace("NaN", "null");
    let document: Value = serde_json::from_str(&log).expect("JSON");
    let mut whole = Vec::new();
    let mut writer = rawzip::ZipArchiveWriter::new(&mut whole);
    for (name, text) in
        [("header.json", log.as_str()), ("samples/lamp_epoch_1.json", &document["samples"][0].to_string())]
    {
        let method = rawzip::CompressionMethod::ZSTD;
        let (mut entry, config) = writer.new_file(name).compression_method(method).start().expect("an entry");
        let encoder = zstd::stream::write::Encoder::new(&mut entry, 3).expect("an encoder");
        let mut inner = config.wrap(encoder);
        inner.write_all(text.as_bytes()).expect("written");
        let (encoder, descriptor) = inner.finish().expect("finished");
        encoder.finish().expect("finished");
        entry.finish(descriptor).expect("finished");
    }
    writer.finish().expect("an archive");
    let importer = import::inspect::Inspect(RecordConfig::default());
    assert!(read(&importer, &path, &whole).await);
    let mut noticed = 0;
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x15;
        noticed += usize::from(!read(&importer, &path, &bytes).await);
    }
    assert!(noticed > whole.len() / 2, "{noticed} of {} bytes", whole.len());
}
