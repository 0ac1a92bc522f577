//! Recording, replaying and scripting.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use forethought_llm_cassette::{
    After, Answers, Line, Record, Replay, ReplayConfig, Script, ScriptConfig,
    cassette::{Cassette, key},
};
use forethought_sdk::{
    api::llm::Tool,
    futures::future::{join, join_all},
    prelude::*,
    serde_json::{self, json},
};
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::sync::Notify;

/// Answers "reply 0", "reply 1", ... to any request; "fail" fails, and "slow" waits for another call.
#[derive(Default)]
struct Counter {
    calls: AtomicUsize,
    answered: Notify,
}

#[async_trait]
impl LlmBackend for Counter {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities { model: "counter".into(), streaming: true, ..Default::default() })
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        match request.messages[0].content.as_str() {
            "fail" => return Err(Error::new(Code::Provider, "the account is closed")),
            "slow" if call == 0 => self.answered.notified().await,
            _ => self.answered.notify_one(),
        }
        let choice = |sample| Choice { text: format!("reply {call}.{sample}"), ..Default::default() };
        let usage = Usage { input_tokens: 3, output_tokens: 2 };
        let raw = json!({ "z": 1, "a": 0.1234567890123456 });
        Ok(Completion { choices: (0..request.samples).map(choice).collect(), usage, raw })
    }
    async fn stream(&self, request: ChatRequest) -> Result<Arc<dyn TokenStream>> {
        let completion = self.complete(request).await?;
        Ok(Arc::new(Words(completion, AtomicUsize::new(0))))
    }
}

/// A stream that gives a word at a time.
struct Words(Completion, AtomicUsize);

#[async_trait]
impl TokenStream for Words {
    async fn next(&self, _max: u32) -> Result<Vec<String>> {
        let words = self.0.text().split_inclusive(' ').skip(self.1.fetch_add(1, Ordering::SeqCst)).take(1);
        Ok(words.map(str::to_owned).collect())
    }
    async fn finish(&self) -> Result<Completion> {
        Ok(self.0.clone())
    }
}

fn ask(text: &str) -> ChatRequest {
    ChatRequest::new(Purpose::Thought, vec![Message::user(text)])
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

async fn record(path: &Path) -> Record {
    Record::new(Arc::new(Counter::default()), path.into())
        .await
        .expect("a new cassette, or one of this model")
}

fn replay(path: &Path, after: After) -> Replay {
    Replay::new(ReplayConfig { cassette: ConfigPath(path.into()), after }).expect("a cassette")
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).expect("reads").lines().count()
}

#[tokio::test]
async fn recorded_answers_are_replayed_exactly() {
    let folder = folder();
    let path = folder.path().join("new/tape.jsonl");
    let recorder = record(&path).await;
    // Five samples of one prompt, requested one by one, stay five.
    let requests: Vec<_> = ["a", "b", "a", "a", "c", "a", "a"].map(ask).into();
    let requests = [requests, vec![ChatRequest { samples: 3, temperature: Some(0.7), ..ask("a") }]].concat();
    let mut recorded = Vec::new();
    for (index, request) in requests.iter().enumerate() {
        recorded.push(recorder.complete(request.clone()).await.expect("answers"));
        assert_eq!(lines(&path), index + 2, "an answer is in the file before it is returned");
    }
    assert_eq!(recorded.last().unwrap().choices.len(), 3);

    let player = replay(&path, After::Error);
    let capabilities = recorder.capabilities().await.unwrap();
    assert_eq!(player.capabilities().await.unwrap(), LlmCapabilities { free: true, ..capabilities });
    let replayed = join_all(requests.iter().cloned().map(|request| player.complete(request))).await;
    assert_eq!(replayed.into_iter().collect::<Result<Vec<_>>>().unwrap(), recorded);
    player.finish().expect("everything was requested");

    // In another order of the prompts, each still gets its own answers.
    let player = replay(&path, After::Error);
    for (text, expected) in [("c", 4), ("a", 0), ("b", 1), ("a", 2)] {
        assert_eq!(player.complete(ask(text)).await.unwrap(), recorded[expected]);
    }
}

#[tokio::test]
async fn equal_requests_keep_the_order_in_which_they_were_made() {
    let folder = folder();
    let path = folder.path().join("tape.jsonl");
    let recorder = record(&path).await;
    // The first is answered last.
    let recorded = join(recorder.complete(ask("slow")), recorder.complete(ask("slow"))).await;
    assert_eq!(recorded.0.as_ref().unwrap().text(), "reply 0.0");
    let player = replay(&path, After::Error);
    assert_eq!(join(player.complete(ask("slow")), player.complete(ask("slow"))).await, recorded);
}

#[tokio::test]
async fn streams_and_whole_answers_are_the_same_to_a_cassette() {
    let folder = folder();
    let path = folder.path().join("tape.jsonl");
    let read = async |stream: Arc<dyn TokenStream>| {
        let mut pieces = Vec::new();
        loop {
            match stream.next(8).await.expect("gives pieces") {
                none if none.is_empty() => return (pieces, stream.finish().await.expect("ends")),
                more => pieces.extend(more),
            }
        }
    };
    let recorder = record(&path).await;
    drop(recorder.stream(ask("given up")).await.expect("streams"));
    let (pieces, finished) = read(recorder.stream(ask("a")).await.expect("streams")).await;
    assert_eq!(pieces, ["reply ", "1.0"]);
    let player = replay(&path, After::Cycle);
    assert_eq!(player.complete(ask("a")).await.unwrap(), finished);
    let (pieces, replayed) = read(player.stream(ask("a")).await.expect("streams")).await;
    assert_eq!((pieces, replayed), (vec!["reply 1.0".to_owned()], finished));
    player.complete(ask("given up")).await.expect_err("that answer was abandoned");
}

#[tokio::test]
async fn errors_are_not_recorded() {
    let folder = folder();
    let path = folder.path().join("tape.jsonl");
    let recorder = record(&path).await;
    recorder.complete(ask("fail")).await.expect_err("fails");
    assert!(!path.exists());
    recorder.complete(ask("a")).await.expect("answers");
    assert!(!std::fs::read_to_string(&path).unwrap().contains("account"));
}

#[tokio::test]
async fn a_new_request_is_compared_with_the_nearest() {
    let folder = folder();
    let path = folder.path().join("tape.jsonl");
    let recorder = record(&path).await;
    for text in ["You see a blue lamp for $20.", "Something else"] {
        recorder.complete(ChatRequest { max_tokens: Some(99), ..ask(text) }).await.expect("answers");
    }
    let player = replay(&path, After::Error);
    let check = async |request: ChatRequest, expect: &[&str]| {
        let error = player.complete(request).await.expect_err("this was not recorded");
        assert_eq!((error.code, error.retryable), (Code::NotFound, false));
        for expect in expect {
            assert!(error.to_string().contains(expect), "{expect:?} is not in: {error}");
        }
    };
    let lamp = ChatRequest { max_tokens: Some(99), ..ask("You see a blue lamp for $30.") };
    let place = ["line 2;", "`messages[0].content` differs after 25", "$20.\" then", "$30.\" now"];
    check(lamp.clone(), &["purpose thought", "\"You see a blue lamp for $30.\""]).await;
    check(lamp.clone(), &place).await;
    let recorded = ChatRequest { max_tokens: Some(99), ..ask("Something else") };
    check(
        ChatRequest { seed: Some(7), ..recorded.clone() },
        &["line 3;", "`seed` was null then and is 7 now"],
    )
    .await;
    check(ChatRequest { max_tokens: Some(98), ..recorded.clone() }, &["`max_tokens` was 99 then"]).await;
    let longer = [recorded.messages.clone(), vec![Message::assistant("ok")]].concat();
    check(ChatRequest { messages: longer, ..recorded }, &["`messages` had 1 elements then and has 2 now"])
        .await;
    // An empty cassette has no nearest request.
    let header = std::fs::read_to_string(&path).unwrap().lines().next().unwrap().to_owned() + "\n";
    std::fs::write(&path, header).unwrap();
    let error = replay(&path, After::Error).complete(lamp).await.expect_err("nothing was recorded");
    assert!(!error.to_string().contains("nearest"), "{error}");
}

#[tokio::test]
async fn more_than_was_recorded_is_an_error_or_begins_again_and_less_is_reported() {
    let folder = folder();
    let path = folder.path().join("tape.jsonl");
    let recorder = record(&path).await;
    for text in ["a", "a", "b"] {
        recorder.complete(ask(text)).await.expect("answers");
    }
    let player = replay(&path, After::Error);
    assert_eq!(player.unused(), [2, 3, 4]);
    let first = player.complete(ask("a")).await.unwrap();
    player.complete(ask("a")).await.unwrap();
    let error = player.complete(ask("a")).await.expect_err("only two were recorded").to_string();
    assert!(error.contains("all 2 recorded answers") && error.contains("cycle"), "{error}");
    assert_eq!(player.unused(), [4]);
    let error = player.finish().expect_err("b was not requested").to_string();
    assert!(error.contains("1 of 3") && error.contains("line 4") && error.contains("\"b\""), "{error}");

    let player = replay(&path, After::Cycle);
    for _ in 0..2 {
        assert_eq!(player.complete(ask("a")).await.unwrap(), first);
        assert_ne!(player.complete(ask("a")).await.unwrap(), first);
    }
}

#[tokio::test]
async fn a_torn_line_is_ignored_and_then_cut_off() {
    let folder = folder();
    let path = folder.path().join("tape.jsonl");
    let recorder = record(&path).await;
    recorder.complete(ask("a")).await.expect("answers");
    let whole = std::fs::read(&path).unwrap();
    recorder.complete(ask("b")).await.expect("answers");
    let both = std::fs::read(&path).unwrap();
    // As a kill during a write leaves it: of the header, or of the second answer.
    for end in (0..20).chain(whole.len() + 1..both.len() - 1) {
        std::fs::write(&path, &both[..end]).unwrap();
        let before =
            Cassette::read(&path).expect("is readable").map_or(0, |cassette| cassette.recorded.len());
        assert_eq!(before, usize::from(end > whole.len()));
        record(&path).await.complete(ask("c")).await.expect("answers");
        let cassette = Cassette::read(&path).expect("is whole").expect("has a header");
        let asked = |index: usize| cassette.recorded[index].1.request.messages[0].content.clone();
        assert_eq!(cassette.recorded.len(), before + 1);
        assert_eq!(asked(before), "c");
    }
    // Some editors do not end the last line.
    std::fs::write(&path, &both[..both.len() - 1]).unwrap();
    record(&path).await.complete(ask("b")).await.expect("answers");
    let cassette = Cassette::read(&path).unwrap().unwrap();
    assert_eq!(
        cassette.recorded.iter().map(|(line, it)| (*line, it.nth)).collect::<Vec<_>>(),
        [(2, 0), (3, 0), (4, 1)]
    );
}

#[tokio::test]
async fn files_that_are_not_cassettes_are_refused() {
    let folder = folder();
    let path = folder.path().join("tape.jsonl");
    let check = |content: &str, expect: &str| {
        std::fs::write(&path, content).unwrap();
        let error = Replay::new(ReplayConfig { cassette: ConfigPath(path.clone()), after: After::Error });
        let error = error.err().expect(expect).to_string();
        assert!(error.contains(expect) && error.contains("tape.jsonl"), "{error}");
    };
    let header = "{\"cassette\":1,\"capabilities\":{\"model\":\"counter\"}}\n";
    check("", "there is no cassette");
    check("hello\n", "tape.jsonl:1: not a line of a cassette");
    check(&format!("{header}\n{{}}\n{header}"), "tape.jsonl:3: ");
    check("{\"cassette\":2,\"capabilities\":{}}\n", "format version 2; this program supports version 1");
    std::fs::write(&path, header.replace("counter", "another")).unwrap();
    let error = Record::new(Arc::new(Counter::default()), path.clone()).await.err().expect("another model");
    assert!(error.to_string().contains("answers of \"another\""), "{error}");
}

#[test]
fn requests_are_equal_regardless_of_purpose_and_order_of_json() {
    let with = |schema| {
        let tool = Tool { name: "walk".into(), parameters: schema, ..Default::default() };
        ChatRequest { tools: vec![tool], ..ask("a") }
    };
    let request = with(json!({ "type": "object", "properties": { "a": {}, "b": {} } }));
    let other = with(json!({ "properties": { "b": {}, "a": {} }, "type": "object" }));
    assert_eq!(key(&request), key(&other));
    assert_eq!(key(&request), key(&ChatRequest { purpose: Purpose::Judge, ..request.clone() }));
    assert_ne!(key(&request), key(&ask("a")));
    assert_ne!(key(&ask("a")), key(&ChatRequest { seed: Some(0), ..ask("a") }));
}

#[tokio::test]
async fn a_script_answers_in_order_and_says_what_was_not_used() {
    let expecting = |expect: &str, text: &str| Line::Expecting { expect: expect.into(), text: text.into() };
    let lines = vec![Line::Text("one".into()), expecting("Outcomes", "two"), expecting("", "three")];
    let script = Script::new(ScriptConfig { answers: Answers::Listed(lines) }).unwrap();
    assert_eq!(script.complete(ask("hello")).await.unwrap().text(), "one");
    let error = script.complete(ask("hello again")).await.expect_err("does not mention outcomes").to_string();
    assert!(
        error.contains("answer 2") && error.contains("\"Outcomes\"") && error.contains("hello again"),
        "{error}"
    );
    let error = script.finish().expect_err("two are left").to_string();
    assert!(error.contains("2 of 3") && error.contains("\"two\""), "{error}");
    let both = script.complete(ChatRequest { samples: 2, ..ask("Outcomes, please") }).await.unwrap();
    assert_eq!(both.choices.iter().map(|choice| &*choice.text).collect::<Vec<_>>(), ["two", "three"]);
    script.finish().expect("all was given");
    let error = script.complete(ask("more")).await.expect_err("it is over").to_string();
    assert!(error.contains("0 of 3 answers left") && error.contains("\"more\""), "{error}");
    Script::of(["one"]).finish().expect_err("one is left");
}

#[tokio::test]
async fn a_script_can_be_a_file() {
    let folder = folder();
    let path = folder.path().join("script.jsonl");
    let open = || Script::new(serde_json::from_value(json!({ "answers": path })).unwrap());
    std::fs::write(&path, "\"one\"\n\n{\"expect\": \"hello\", \"text\": \"two\"}\n").unwrap();
    let script = open().unwrap();
    assert_eq!(script.complete(ask("a")).await.unwrap().text(), "one");
    assert_eq!(script.complete(ask("hello")).await.unwrap().text(), "two");
    for wrong in ["two", "{\"expct\": \"hello\", \"text\": \"two\"}", "{\"expect\": \"hello\"}"] {
        std::fs::write(&path, format!("\"one\"\n{wrong}\n")).unwrap();
        let error = open().err().expect(wrong).to_string();
        assert!(error.contains("script.jsonl:2: "), "{error}");
    }
}

proptest! {
    #[test]
    fn any_bytes_can_be_parsed(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0..400_usize) {
        let whole = "{\"cassette\":1,\"capabilities\":{}}\n{\"nth\":0,\"request\":{},\"completion\":{}}\n";
        let mut file = whole.as_bytes()[..cut.min(whole.len())].to_vec();
        file.extend(&bytes);
        if let Ok(Some(cassette)) = Cassette::parse(&file, Path::new("tape.jsonl")) {
            prop_assert!(cassette.recorded.len() <= file.split(|byte| *byte == b'\n').count());
        }
    }
}
