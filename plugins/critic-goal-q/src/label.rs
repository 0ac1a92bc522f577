//! Which recorded sentences say the same, as a language model reads them.
//!
//! Embeddings cannot decide it: clusters of MiniLM's vectors, cut at the true number of meanings, mix them (half of the
//! sentences are with others of their own meaning), and hashed words do not see paraphrases at all. A model that is
//! shown numbered sentences can. Each request has the meanings found so far and a batch of new sentences, the most
//! frequent first; every answer is saved before the next request.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use forethought_sdk::answers::{Answer, Complaint, ask_again};
use forethought_sdk::files::replace;
use forethought_sdk::prelude::*;
use forethought_sdk::serde_json;

use crate::vocabulary;

/// How sentences are labelled.
#[config]
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(default)]
pub struct LabelConfig {
    /// Name of the language model, as in `[llm.<name>]`, that says which sentences mean the same.
    #[schemars(with = "Option<LlmName>")]
    pub llm: Option<String>,
    /// New sentences per request.
    #[schemars(range(min = 1, max = 500))]
    pub batch: usize,
    /// Most meanings that a request shows, the most frequent first.
    #[schemars(range(min = 1, max = 5000))]
    pub shown: usize,
}

impl Default for LabelConfig {
    fn default() -> Self {
        Self { llm: None, batch: 20, shown: 200 }
    }
}

/// The vocabulary of `request`, written to its file after each answer.
pub(crate) async fn label(
    config: &LabelConfig,
    llm: &dyn LlmBackend,
    request: &LabelRequest,
    progress: &dyn Progress,
) -> Result<Vocabulary> {
    let steps = || request.trajectories.iter().flat_map(|one| &one.steps);
    let mut vocabulary = earlier(&request.out)?;
    for (what, about) in KINDS {
        let counts = match what {
            "outcomes" => counted(steps().flat_map(|step| step.said())),
            "thoughts" => counted(steps().map(|step| step.thought.as_str())),
            _ => recurring(&request.trajectories),
        };
        loop {
            let meanings = meanings(&mut vocabulary, what);
            let new = unlabelled(&counts, meanings);
            let (done, total) = (counts.len() - new.len(), counts.len());
            progress.report(format!("label {what}"), done as u64, total as u64, String::new()).await?;
            let Some(batch) = new.chunks(config.batch.max(1)).next() else { break };
            let known = most_frequent(meanings, &counts, config.shown);
            let said = ask(llm, &request.about, about, meanings, &known, batch).await?;
            for (index, sentence) in batch.iter().enumerate() {
                match said.get(index).copied().flatten() {
                    Some(earlier) if earlier < known.len() => {
                        meanings[known[earlier]].sentences.push((*sentence).into())
                    }
                    Some(earlier) => {
                        // An earlier sentence of this batch, which has its meaning by now.
                        let earlier = batch[earlier - known.len()];
                        let meaning =
                            meanings.iter_mut().find(|one| one.sentences.iter().any(|own| own == earlier));
                        meaning.expect("labelled before").sentences.push((*sentence).into());
                    }
                    None => meanings.push(Meaning {
                        text: (*sentence).into(),
                        sentences: vec![(*sentence).into()],
                        ..Meaning::default()
                    }),
                }
            }
            write(&request.out, &vocabulary)?;
        }
    }
    write(&request.out, &vocabulary)?;
    Ok(vocabulary)
}

/// Trajectories that a sentence of a state must be in.
const RECURRING: usize = 5;

/// What is labelled, and how a model is told.
const KINDS: [(&str, &str); 3] = [
    ("outcomes", "Each sentence describes what has been reached in an episode of this task."),
    ("thoughts", "Each sentence is a strategy for the next step of this task."),
    ("states", "Each sentence is a part of a description of the situation in an episode of this task."),
];

fn meanings<'v>(vocabulary: &'v mut Vocabulary, what: &str) -> &'v mut Vec<Meaning> {
    match what {
        "outcomes" => &mut vocabulary.outcomes,
        "thoughts" => &mut vocabulary.thoughts,
        _ => &mut vocabulary.states,
    }
}

/// How often each sentence is said.
fn counted<'t>(sentences: impl Iterator<Item = &'t str>) -> BTreeMap<&'t str, usize> {
    let mut counts = BTreeMap::new();
    for sentence in sentences.map(str::trim).filter(|sentence| !sentence.is_empty()) {
        *counts.entry(sentence).or_default() += 1;
    }
    counts
}

/// In how many trajectories each sentence of a state is said. What few say is left out: a model that describes every
/// state in new words has no sentences that are worth a question.
fn recurring(trajectories: &[Trajectory]) -> BTreeMap<&str, usize> {
    let mut counts = counted(trajectories.iter().flat_map(|one| {
        let texts = one.steps.iter().flat_map(|step| [step.state.as_str(), step.next_state.as_str()]);
        texts.flat_map(vocabulary::split).collect::<HashSet<_>>()
    }));
    counts.retain(|_, count| *count >= RECURRING);
    counts
}

/// The sentences that none of `meanings` lists, the most frequent first, then by text.
fn unlabelled<'t>(counts: &BTreeMap<&'t str, usize>, meanings: &[Meaning]) -> Vec<&'t str> {
    let listed: HashSet<&str> = meanings.iter().flat_map(vocabulary::sentences).map(str::trim).collect();
    let mut new: Vec<_> = counts.keys().copied().filter(|sentence| !listed.contains(sentence)).collect();
    new.sort_by_key(|sentence| Reverse(counts[sentence]));
    new
}

/// Indices of the meanings that are said most often, at most `most`, in the order of the vocabulary.
fn most_frequent(meanings: &[Meaning], counts: &BTreeMap<&str, usize>, most: usize) -> Vec<usize> {
    let said = |meaning: &Meaning| {
        meaning.sentences.iter().map(|own| counts.get(own.trim()).copied().unwrap_or_default()).sum::<usize>()
    };
    let mut order: Vec<usize> = (0..meanings.len()).collect();
    order.sort_by_key(|&index| Reverse(said(&meanings[index])));
    order.truncate(most);
    order.sort_unstable();
    order
}

/// For each sentence of `batch`, the earlier sentence that says the same, counted over the known ones and the batch;
/// `None` where it is new, or where two answers did not say.
async fn ask(
    llm: &dyn LlmBackend,
    task: &str,
    about: &str,
    meanings: &[Meaning],
    known: &[usize],
    batch: &[&str],
) -> Result<Vec<Option<usize>>> {
    let mut text = format!(
        "{about} Two sentences say the same if they are true of the same episodes, in whatever words.\n\nKnown:\n"
    );
    for (number, &index) in known.iter().enumerate() {
        text += &format!("{}: {}\n", number + 1, one_line(&meanings[index].text));
    }
    text += "\nNew:\n";
    for (number, sentence) in batch.iter().enumerate() {
        text += &format!("{}: {}\n", known.len() + number + 1, one_line(sentence));
    }
    text += "\nFor each new sentence, name the first of the sentences above it, known or new, that says the same, or \
             write \"new\". Reply with one line per new sentence:\n\
             <number of a new sentence>: <number of the earlier sentence that says the same, or new>";
    let mut request =
        ChatRequest::new(Purpose::Other, vec![Message::system(task.trim()), Message::user(text)]);
    request.temperature = Some(0.0);
    request.seed = Some(0);
    for last in [false, true] {
        let choice = llm.complete(request.clone()).await?.choices.into_iter().next().unwrap_or_default();
        let answer = Answer::of(&choice);
        match read(answer.text(), known.len(), batch.len()) {
            Ok(said) => return Ok(said),
            Err(said) if last => return Ok(said),
            Err(_) => {
                let complaint = Complaint::unreadable(
                    "not every new sentence has a line with an earlier number or \"new\"",
                );
                ask_again(&mut request.messages, choice, &complaint);
            }
        }
    }
    unreachable!("the second answer is the last")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Reads lines `N: M` and `N: new`.
///
/// # Errors
/// What could be read, if a sentence has no line, or one that names itself or a later one.
fn read(text: &str, known: usize, batch: usize) -> Result<Vec<Option<usize>>, Vec<Option<usize>>> {
    let mut said: Vec<Option<Option<usize>>> = vec![None; batch];
    for line in text.lines() {
        let line = line.trim_start_matches(|sign: char| !sign.is_ascii_digit());
        let end = line.find(|sign: char| !sign.is_ascii_digit()).unwrap_or(line.len());
        let (number, rest) = line.split_at(end);
        let rest = rest.trim_matches(|sign: char| !sign.is_alphanumeric());
        let Some(index) = number.parse().ok().and_then(|number: usize| number.checked_sub(known + 1)) else {
            continue;
        };
        let Some(slot) = said.get_mut(index) else { continue };
        let digits = rest.split(|sign: char| !sign.is_ascii_digit()).next().unwrap_or_default();
        *slot = match digits.parse::<usize>() {
            Ok(earlier) if (1..=known + index).contains(&earlier) => Some(Some(earlier - 1)),
            Err(_) if rest.to_lowercase().starts_with("new") => Some(None),
            _ => continue,
        };
    }
    let complete = said.iter().all(Option::is_some);
    let said = said.into_iter().map(Option::flatten).collect();
    if complete { Ok(said) } else { Err(said) }
}

/// The vocabulary that an earlier, perhaps interrupted, labelling wrote.
fn earlier(path: &Path) -> Result<Vocabulary> {
    match std::fs::read_to_string(path) {
        Ok(text) => vocabulary::parse(&text)
            .map_err(|why| Error::input(format!("{} is not a vocabulary: {why}", path.display()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vocabulary::default()),
        Err(error) => Err(Error::input(format!("cannot read {}: {error}", path.display()))),
    }
}

fn write(path: &Path, vocabulary: &Vocabulary) -> Result<()> {
    let text = serde_json::to_string_pretty(vocabulary)? + "\n";
    replace(path, &[text.as_bytes()])
        .map_err(|error| Error::input(format!("cannot write {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use forethought_sdk::api::critic::NoProgress;

    use super::*;

    /// Says that sentences with the same first word say the same, and counts requests.
    #[derive(Default)]
    struct FirstWord(Mutex<usize>);

    #[async_trait]
    impl LlmBackend for FirstWord {
        async fn capabilities(&self) -> Result<LlmCapabilities> {
            Ok(LlmCapabilities::default())
        }
        async fn complete(&self, request: ChatRequest) -> Result<Completion> {
            *self.0.lock().unwrap() += 1;
            let text = &request.messages[1].content;
            let (known, new) = text.split_once("\nNew:\n").unwrap();
            let numbered = |text: &str| -> Vec<(usize, String)> {
                let line = |line: &str| {
                    let (number, sentence) = line.split_once(": ")?;
                    Some((number.parse().ok()?, sentence.split(' ').next()?.to_owned()))
                };
                text.lines().filter_map(line).collect()
            };
            let new = numbered(new);
            let mut all = numbered(known);
            all.extend(new.clone());
            let label = |(number, word): &(usize, String)| match all.iter().find(|(_, other)| other == word) {
                Some((first, _)) if first < number => format!("- **{number}**: {first}"),
                _ => format!("- **{number}**: new"),
            };
            let text = new.iter().map(label).collect::<Vec<_>>().join("\n");
            Ok(Completion { choices: vec![Choice { text, ..Choice::default() }], ..Completion::default() })
        }
    }

    fn request(outcomes: &[&str], out: &Path) -> LabelRequest {
        let step = |text: &&str| Step {
            outcomes: vec![(*text).to_owned()],
            thought: "go".into(),
            ..Step::default()
        };
        let trajectory = Trajectory { steps: outcomes.iter().map(step).collect(), ..Trajectory::default() };
        LabelRequest { trajectories: vec![trajectory], about: "A walk.".into(), out: out.to_owned() }
    }

    #[tokio::test]
    async fn sentences_are_grouped_once_and_a_repeated_command_asks_only_about_new_ones() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("vocabulary.json");
        let (config, llm) = (LabelConfig { batch: 2, ..LabelConfig::default() }, FirstWord::default());
        let outcomes =
            ["home at last", "home again", "lost again", "home at last", "lost, sadly", "lost for good"];
        let found = label(&config, &llm, &request(&outcomes, &out), &NoProgress).await.unwrap();
        let groups: Vec<_> =
            found.outcomes.iter().map(|one| (one.text.as_str(), one.sentences.len())).collect();
        assert_eq!(groups, [("home at last", 2), ("lost again", 2), ("lost, sadly", 1)]);
        assert_eq!(found.thoughts.len(), 1);
        let asked = *llm.0.lock().unwrap();
        assert_eq!(label(&config, &llm, &request(&outcomes, &out), &NoProgress).await.unwrap(), found);
        assert_eq!(*llm.0.lock().unwrap(), asked, "nothing is asked twice");
        let more = label(&config, &llm, &request(&["lost once more"], &out), &NoProgress).await.unwrap();
        assert_eq!(more.outcomes[1].sentences.last().unwrap(), "lost once more");
        // A misspelt key would be lost when the file is written again.
        for edited in ["[1]", r#"{ "outcome": [] }"#] {
            std::fs::write(&out, edited).unwrap();
            let error = label(&config, &llm, &request(&outcomes, &out), &NoProgress).await.unwrap_err();
            assert!(error.message.contains("vocabulary.json is not a vocabulary"), "{error}");
        }
    }

    #[test]
    fn answers_are_read_in_many_dresses() {
        assert_eq!(read("3: 1\n4) new\n", 2, 2), Ok(vec![Some(0), None]));
        assert_eq!(read("| 3 | 2 |\n* 4 -> 3 (the same)", 2, 2), Ok(vec![Some(1), Some(2)]));
        // Itself, a later one, or nothing.
        assert_eq!(read("3: 3\n4: perhaps", 2, 2), Err(vec![None, None]));
    }
}
