//! A backend that replays the answers of a cassette.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use forethought_sdk::{prelude::*, serde_json::Value};

use crate::{
    about::{about, head},
    cassette::{Cassette, Recorded, comparable, key},
    config::{After, ReplayConfig},
};

/// A cassette that answers. Equal requests get their answers in the order in which they were recorded; different
/// requests do not affect each other.
pub struct Replay {
    path: PathBuf,
    after: After,
    capabilities: LlmCapabilities,
    recorded: Vec<(usize, Recorded)>,
    /// Indices into `recorded`, by key of the request.
    answers: HashMap<String, Vec<usize>>,
    /// How often each request was made.
    asked: Mutex<HashMap<String, usize>>,
}

impl Replay {
    /// The cassette that the settings name.
    ///
    /// # Errors
    /// A file that does not exist or is not a cassette.
    pub fn new(config: ReplayConfig) -> Result<Self> {
        let path = config.cassette.0;
        let Some(Cassette { mut capabilities, recorded, .. }) = Cassette::read(&path)? else {
            return Err(Error::not_found(format!(
                "there is no cassette {}; record one with `kind = \"record\"`",
                path.display()
            )));
        };
        // Replayed answers cost nothing.
        capabilities.free = true;
        let mut answers: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, (_, recorded)) in recorded.iter().enumerate() {
            answers.entry(key(&recorded.request)).or_default().push(index);
        }
        for answers in answers.values_mut() {
            answers.sort_by_key(|index| recorded[*index].1.nth);
        }
        Ok(Self { path, after: config.after, capabilities, recorded, answers, asked: Mutex::default() })
    }

    /// The numbers of the lines whose answers were not requested.
    pub fn unused(&self) -> Vec<usize> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let unused = self.answers.iter().flat_map(|(key, answers)| {
            answers.iter().skip(asked.get(key).copied().unwrap_or(0)).map(|index| self.recorded[*index].0)
        });
        let mut unused: Vec<_> = unused.collect();
        unused.sort_unstable();
        unused
    }

    /// Checks that every recorded answer was requested.
    ///
    /// # Errors
    /// With the number of answers that were not, and the first of them.
    pub fn finish(&self) -> Result<()> {
        let unused = self.unused();
        let Some(first) = unused.first() else { return Ok(()) };
        let request =
            self.recorded.iter().find(|(line, _)| line == first).map(|(_, recorded)| &recorded.request);
        Err(Error::other(format!(
            "{} of {} answers of the cassette {} were not requested; the first, in line {first}: {}",
            unused.len(),
            self.recorded.len(),
            self.path.display(),
            request.map(about).unwrap_or_default()
        )))
    }

    fn answer(&self, request: &ChatRequest) -> Result<Completion> {
        let key = key(request);
        let Some(answers) = self.answers.get(&key) else { return Err(self.unknown(request, &key)) };
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = asked.entry(key).or_default();
        if *asked >= answers.len() && self.after == After::Error {
            return Err(Error::not_found(format!(
                "all {} recorded answers to this request were given: {}. Set `after = \"cycle\"` to give them again \
                 (cassette {})",
                answers.len(),
                about(request),
                self.path.display()
            )));
        }
        let index = answers[*asked % answers.len()];
        *asked += 1;
        Ok(self.recorded[index].1.completion.clone())
    }

    /// How a request that was not recorded differs from the nearest one.
    fn unknown(&self, request: &ChatRequest, key: &str) -> Error {
        let mut message =
            format!("the cassette {} has no answer to this request: {}", self.path.display(), about(request));
        let nearest = self
            .answers
            .iter()
            .max_by_key(|(other, answers)| (alike(key, other), std::cmp::Reverse(answers[0])));
        if let Some((_, answers)) = nearest {
            let (line, recorded) = &self.recorded[answers[0]];
            let difference = difference(&comparable(&recorded.request), &comparable(request), "");
            message +=
                &format!(". The nearest request is in line {line}; {}", difference.unwrap_or_default());
        }
        Error::not_found(message)
    }
}

/// Number of bytes that two texts have in common at their beginnings and ends.
fn alike(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let start = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[start..], &b[start..]);
    start + a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
}

/// Where two values first differ, in words.
fn difference(recorded: &Value, now: &Value, path: &str) -> Option<String> {
    match (recorded, now) {
        _ if recorded == now => None,
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            let part = |key: &String| match path {
                "" => key.clone(),
                _ => format!("{path}.{key}"),
            };
            let of =
                |map: &forethought_sdk::serde_json::Map<_, _>, key| map.get(key).cloned().unwrap_or_default();
            keys.map(|key| difference(&of(a, key), &of(b, key), &part(key))).find_map(|found| found)
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let pairs = a.iter().zip(b).enumerate();
            pairs.map(|(index, (a, b))| difference(a, b, &format!("{path}[{index}]"))).find_map(|found| found)
        }
        (Value::Array(a), Value::Array(b)) => {
            Some(format!("`{path}` had {} elements then and has {} now", a.len(), b.len()))
        }
        (Value::String(a), Value::String(b)) => {
            let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
            let rest = |text: &str| head(&text.chars().skip(same.saturating_sub(20)).collect::<String>());
            Some(format!("`{path}` differs after {same} characters: {:?} then, {:?} now", rest(a), rest(b)))
        }
        (a, b) => {
            Some(format!("`{path}` was {} then and is {} now", head(&a.to_string()), head(&b.to_string())))
        }
    }
}

impl Drop for Replay {
    /// Warns about unused answers, but only after a request: a program may create a backend just to inspect it.
    fn drop(&mut self) {
        let asked = !self.asked.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        if let (true, Err(error)) = (asked, self.finish()) {
            tracing::warn!("{error}");
        }
    }
}

#[async_trait]
impl LlmBackend for Replay {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(self.capabilities.clone())
    }

    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        self.answer(&request)
    }

    async fn stream(&self, request: ChatRequest) -> Result<Arc<dyn TokenStream>> {
        let completion = self.answer(&request)?;
        let text = Some(completion.text().to_owned()).filter(|text| !text.is_empty());
        Ok(Arc::new(OnePiece { text: Mutex::new(text), completion }))
    }
}

/// An answer as a stream of one piece, because the provider's pieces are not recorded.
struct OnePiece {
    text: Mutex<Option<String>>,
    completion: Completion,
}

#[async_trait]
impl TokenStream for OnePiece {
    async fn next(&self, max: u32) -> Result<Vec<String>> {
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(if max == 0 { Vec::new() } else { text.take().into_iter().collect() })
    }

    async fn finish(&self) -> Result<Completion> {
        Ok(self.completion.clone())
    }
}
