//! Rewards for what an agent did: by comparison, by a value inside of JSON, by a program of the user's, or by a
//! language model's grade.

use std::time::Duration;

use forethought_api::{
    Error, Result,
    error::Code,
    llm::{ChatRequest, LlmBackend, Message, Purpose},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::answers::{Answer, Complaint, ask_again};
use crate::child::{LastWords, Program};

/// The largest output of a script, in bytes.
const LARGEST: u64 = 1 << 20;
/// How long the last lines of standard error may take to arrive after the end of a script.
const LATE: Duration = Duration::from_millis(250);

/// Characters of a transcript that a judge reads, from its end.
const READ: usize = 40_000;
/// The grade from which on an episode counts as a success.
const SUCCESS: f64 = 0.5;

/// What an episode was worth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The reward.
    pub reward: f64,
    /// Whether the task was solved, if that is known.
    #[serde(default)]
    pub success: Option<bool>,
}

impl From<bool> for Score {
    /// 1 for success, 0 otherwise.
    fn from(success: bool) -> Self {
        Self { reward: f64::from(u8::from(success)), success: Some(success) }
    }
}

/// As much of a transcript as a judge reads.
pub fn read_by_judge(transcript: &str) -> &str {
    let cut = transcript.char_indices().rev().nth(READ).map_or(0, |(at, _)| at);
    transcript[cut..].trim_end()
}

/// A language model's grade of `work`, which says what the model is asked to grade, by a rubric. What cannot be read is
/// asked for once more.
///
/// # Errors
/// Those of the model; an answer without a grade, twice.
pub async fn grade(judge: &dyn LlmBackend, work: &str, rubric: &str) -> Result<Score> {
    let prompt = format!(
        "{work}\n\nRubric:\n{rubric}\n\nReply with one line, a grade from 0 (not at all) to 1 (completely):\nScore: 0.5"
    );
    let mut request = ChatRequest::new(Purpose::Judge, vec![Message::user(prompt)]);
    request.temperature = Some(0.0);
    let mut again = true;
    loop {
        let choice = judge.complete(request.clone()).await?.choices.into_iter().next().unwrap_or_default();
        match read_grade(&Answer::of(&choice)) {
            Ok(reward) => return Ok(Score { reward, success: Some(reward >= SUCCESS) }),
            Err(complaint) if again => ask_again(&mut request.messages, choice, &complaint),
            Err(complaint) => {
                return Err(Error::malformed(format!(
                    "the judge gave no grade when asked twice: {complaint}"
                )));
            }
        }
        again = false;
    }
}

fn read_grade(answer: &Answer) -> Result<f64, Complaint> {
    let text = answer.sections(&["Score"]).text("Score")?;
    let number = text.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
    number
        .filter(|number| (0.0..=1.0).contains(number))
        .ok_or_else(|| answer.complaint("the line that starts with \"Score:\" has no number from 0 to 1"))
}

/// Whether `said` is `expected`: the same text without space around it, or, for what is not a text, JSON with the same
/// value.
///
/// ```
/// use forethought_sdk::scoring::exact;
/// use serde_json::json;
/// # use forethought_sdk::serde_json;
///
/// assert!(exact(&json!("Paris"), " Paris\n") && !exact(&json!("Paris"), "paris"));
/// assert!(exact(&json!(12), "12.0") && exact(&json!({ "a": [1] }), "{\"a\": [1]}"));
/// ```
pub fn exact(expected: &Value, said: &str) -> bool {
    match expected {
        Value::String(text) => text.trim() == said.trim(),
        other => serde_json::from_str(said.trim()).is_ok_and(|said| same(other, &said)),
    }
}

/// Whether two values are equal, numbers by what they amount to: 1 is 1.0.
pub fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let equal = |(key, one): (&String, &Value)| other.get(key).is_some_and(|other| same(one, other));
            one.len() == other.len() && one.iter().all(equal)
        }
        _ => one == other,
    }
}

/// A place inside of a JSON value: `$.orders[0].status`. A part of JSONPath: keys behind dots, indices and quoted keys
/// in brackets (`["a key"]`), negative indices from the end. The `$` may be left out.
///
/// ```
/// use forethought_sdk::scoring::JsonPath;
/// use serde_json::json;
/// # use forethought_sdk::serde_json;
///
/// let value = json!({ "orders": [{ "status": "open" }, { "a.b": 2 }] });
/// assert_eq!("$.orders[0].status".parse::<JsonPath>()?.find(&value), Some(&json!("open")));
/// assert_eq!("orders[-1][\"a.b\"]".parse::<JsonPath>()?.find(&value), Some(&json!(2)));
/// assert_eq!("orders[7]".parse::<JsonPath>()?.find(&value), None);
/// # forethought_sdk::api::Result::<()>::Ok(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Key(String),
    Index(i64),
}

impl JsonPath {
    /// The value there, if there is one.
    pub fn find<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.parts.iter().try_fold(value, |value, part| match part {
            Part::Key(key) => value.get(key),
            Part::Index(index) => {
                let list = value.as_array()?;
                let behind = list.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?);
                if *index < 0 { list.get(behind?) } else { list.get(usize::try_from(*index).ok()?) }
            }
        })
    }
}

impl std::fmt::Display for JsonPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for JsonPath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::input(format!("`{text}` is not a path into JSON: {why}"));
        let mut parts = Vec::new();
        let mut rest = text.trim();
        rest = rest.strip_prefix('$').unwrap_or(rest);
        while !rest.is_empty() {
            if let Some(inside) = rest.strip_prefix('[') {
                let mut values = serde_json::Deserializer::from_str(inside).into_iter::<Value>();
                let part = match values.next() {
                    Some(Ok(Value::String(key))) => Part::Key(key),
                    Some(Ok(Value::Number(index))) if index.is_i64() => {
                        Part::Index(index.as_i64().unwrap_or_default())
                    }
                    _ => return Err(wrong("in brackets is a whole number or a key in double quotes")),
                };
                let after = inside[values.byte_offset()..].trim_start();
                rest = after.strip_prefix(']').ok_or_else(|| wrong("a closing bracket is missing"))?;
                parts.push(part);
            } else {
                rest = match (rest.strip_prefix('.'), parts.is_empty()) {
                    (Some(behind), _) => behind,
                    (None, true) => rest,
                    (None, false) => return Err(wrong("a dot or a bracket is missing")),
                };
                let (key, behind) = rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()));
                if key.is_empty() || key.contains(['*', '?', ']']) {
                    return Err(wrong(
                        "a key is missing; it has keys and indices only, as in `orders[0].status`",
                    ));
                }
                parts.push(Part::Key(key.into()));
                rest = behind;
            }
        }
        Ok(Self { text: text.trim().into(), parts })
    }
}

/// A program of the user's that scores: JSON on its standard input, [`Score`] as JSON on its standard output.
#[derive(Debug, Clone)]
pub struct Script {
    /// How it is started, each time.
    pub program: Program,
    /// How long it may take.
    pub timeout: Duration,
}

impl Script {
    /// Its score of `input`. It is killed, with the processes that it started, when it takes too long, and when this
    /// future is dropped.
    ///
    /// # Errors
    /// All name the command: it cannot be started, takes too long, fails, or answers something else.
    pub async fn score(&self, input: &Value) -> Result<Score> {
        let mut child = self.program.start()?;
        let command = self.program.command.join(" ");
        let failed = |what: String| Error::other(format!("the scoring script `{command}` {what}"));
        let pipes = (child.child.stdin.take(), child.child.stdout.take(), child.child.stderr.take());
        let (Some(mut stdin), Some(mut stdout), Some(stderr)) = pipes else {
            unreachable!("all three are piped")
        };
        let words = LastWords::default();
        let listener = tokio::spawn(words.clone().listen(command.clone(), stderr));
        let line = format!("{input}\n");
        let work = async {
            // One that decides without reading everything closes its input, which is no failure.
            let write = async {
                let _ = stdin.write_all(line.as_bytes()).await;
                drop(stdin);
            };
            let mut said = Vec::new();
            let read = async {
                let read = (&mut stdout).take(LARGEST + 1).read_to_end(&mut said).await;
                // What it says beyond that is not read, so it may wait for ever; it is killed.
                (read, said.len() as u64 > LARGEST)
            };
            let ((), (read, too_much)) = tokio::join!(write, read);
            read.map_err(|error| failed(format!("cannot be read: {error}")))?;
            if too_much {
                return Err(failed(format!("says more than {LARGEST} bytes")));
            }
            let status = child.child.wait().await.map_err(|error| failed(format!("was lost: {error}")))?;
            Ok((said, status))
        };
        let outcome = timeout(self.timeout, work).await.unwrap_or_else(|_| {
            let seconds = self.timeout.as_secs_f64();
            let mut error = failed(format!("took longer than {seconds} s and was killed"));
            error.code = Code::Deadline;
            Err(error)
        });
        child.kill();
        let outcome = outcome.and_then(|(said, status)| {
            if !status.success() {
                return Err(failed(format!("failed: {status}")));
            }
            let said = String::from_utf8_lossy(&said);
            let score: Score = serde_json::from_str(said.trim()).map_err(|error| {
                let start: String = said.trim().chars().take(200).collect();
                failed(format!(
                    "must write {{\"reward\": NUMBER, \"success\": true or false}} to its standard output, and nothing \
                     else: {error}; it wrote `{start}`"
                ))
            })?;
            if !score.reward.is_finite() {
                return Err(failed(format!("gives {} as a reward", score.reward)));
            }
            Ok(score)
        });
        match outcome {
            Ok(score) => Ok(score),
            Err(error) => {
                // A child that inherited its standard error may keep it open.
                let _ = timeout(LATE, listener).await;
                Err(words.tell(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Instant;

    use serde_json::json;

    use super::*;

    fn script(code: &str) -> Script {
        let command = ["sh", "-c", code].map(String::from).to_vec();
        Script { program: Program { command, ..Program::default() }, timeout: Duration::from_secs(20) }
    }

    #[test]
    fn paths_lead_to_a_place_or_are_refused() {
        let value = json!({ "a": { "b": [[1, 2], { "c d": "x" }] }, "": 0 });
        for (path, found) in [
            ("$", Some(value.clone())),
            ("a.b[0][1]", Some(json!(2))),
            ("$[\"a\"].b[-1][\"c d\"]", Some(json!("x"))),
            ("a.b[-3]", None),
            ("a.b.c", None),
            ("a.b[0].c", None),
        ] {
            assert_eq!(path.parse::<JsonPath>().unwrap().find(&value), found.as_ref(), "{path}");
        }
        for (path, why) in [
            ("a..b", "a key is missing"),
            ("a[*]", "a whole number or a key in double quotes"),
            ("a[1", "a closing bracket"),
            ("a[0]b", "a dot or a bracket"),
            ("a.*", "keys and indices only"),
        ] {
            let error = path.parse::<JsonPath>().unwrap_err();
            assert!(error.message.contains(why), "{path}: {error}");
        }
    }

    #[tokio::test]
    async fn a_script_scores_what_it_is_given() {
        let counting = script("grep -c ship >/dev/null && echo '{\"reward\": 0.5, \"success\": true}'");
        let score = counting.score(&json!({ "answer": "a ship" })).await.unwrap();
        assert_eq!(score, Score { reward: 0.5, success: Some(true) });
        // It need not read what it is given, and need not know whether that is a success.
        let ignorant = script("echo '{\"reward\": -1}'");
        let long = json!("x".repeat(1 << 20));
        assert_eq!(ignorant.score(&long).await.unwrap(), Score { reward: -1.0, success: None });
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_script_is_said() {
        for (code, why) in [
            ("echo oops >&2; exit 3", "failed: exit status: 3"),
            ("echo good", "must write {\"reward\": NUMBER"),
            ("echo '{\"reward\": 1e999}'", "must write"),
            ("yes", "says more than 1048576 bytes"),
        ] {
            let error = script(code).score(&Value::Null).await.unwrap_err();
            assert!(error.message.contains(why) && error.message.contains(code), "{error}");
        }
        let error = script("echo oops >&2; exit 3").score(&Value::Null).await.unwrap_err();
        assert!(error.to_string().contains("oops"), "{error}");
        let mut missing = script("");
        missing.program.command = vec!["/no/such/program".into()];
        let error = missing.score(&Value::Null).await.unwrap_err();
        assert!(error.message.contains("`/no/such/program` cannot be started"), "{error}");
        missing.program = Program { variables: vec!["NO_SUCH_VARIABLE".into()], ..script("").program };
        let error = missing.score(&Value::Null).await.unwrap_err();
        assert!(error.message.contains("NO_SUCH_VARIABLE is not set"), "{error}");
    }

    #[tokio::test]
    async fn a_script_that_hangs_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pids");
        let hanging =
            format!("sleep 1000 & echo $! > '{}'; echo $$ >> '{}'; wait", pids.display(), pids.display());
        let slow = Script { timeout: Duration::from_millis(300), ..script(&hanging) };
        let error = slow.score(&Value::Null).await.unwrap_err();
        assert_eq!(error.code, Code::Deadline);
        assert!(error.message.contains("took longer than 0.3 s and was killed"), "{error}");
        assert_ended(&pids);
        // Dropping the future ends it, too.
        std::fs::remove_file(&pids).unwrap();
        let slow = script(&hanging);
        let given_up = tokio::spawn(async move { slow.score(&Value::Null).await });
        while std::fs::read_to_string(&pids).unwrap_or_default().lines().count() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        given_up.abort();
        let _ = given_up.await;
        assert_ended(&pids);
    }

    /// Killed processes take a moment to disappear, or remain as zombies until they are reaped.
    fn assert_ended(pids: &Path) {
        let start = Instant::now();
        for pid in std::fs::read_to_string(pids).unwrap().lines() {
            let alive = || {
                let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                !stat.is_empty() && !stat.contains(") Z")
            };
            while alive() {
                assert!(start.elapsed() < Duration::from_secs(10), "{pid} lives on");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}
