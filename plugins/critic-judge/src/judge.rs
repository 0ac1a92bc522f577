//! The language model's own probabilities: how a plan looks to the model that made it.
//!
//! No value is made up: a model whose answer cannot be read is asked once more, then the estimate is an error of
//! [`Code::Malformed`], and a planner decides without it. With `unreadable = "half"` an outcome without a readable
//! probability counts as 0.5, as in release 0.1.0. The decision's faults count both.

use std::sync::atomic::{AtomicBool, Ordering};

use forethought_sdk::{
    answers::{Answer, Unread, ask_again},
    api::text::unmarked,
    prelude::*,
    serde_json::json,
};
use minijinja::{Environment as Templates, UndefinedBehavior, syntax::SyntaxConfig, value::Serde};

/// Settings of the judge.
#[config]
#[derive(Debug, Clone)]
pub struct JudgeConfig {
    /// Name of the language model, as in `[llm.<name>]`.
    #[schemars(with = "LlmName")]
    pub llm: String,
    /// Sampling temperature; by default the model's own.
    #[serde(default)]
    pub temperature: Option<f64>,
    /// File that replaces the shipped prompt template. Variables: `state`, `thought`, `outcomes`.
    #[serde(default)]
    pub prompt: Option<ConfigPath>,
    /// What happens when an answer has no readable probability for an outcome.
    #[serde(default)]
    pub unreadable: Unreadable,
}

/// What happens when an answer has no readable probability for an outcome.
#[config]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Unreadable {
    /// It counts as 0.5, with a warning, as in release 0.1.0.
    Half,
    /// The model is asked once more, with the error; if that fails too, there is no estimate.
    #[default]
    AskAgain,
}

/// Characters of an unreadable answer that an error shows.
const SHOWN: usize = 200;

/// A critic that asks a language model; one call for all outcomes of one thought.
pub struct Judge {
    config: JudgeConfig,
    template: Templates<'static>,
    host: Arc<dyn Host>,
    /// Whether the warning about unreadable answers was given.
    warned: AtomicBool,
}

impl Judge {
    /// A judge with these settings. `host` gives the model outside of episodes.
    ///
    /// # Errors
    /// A template that cannot be read or does not parse.
    pub fn new(config: JudgeConfig, host: Arc<dyn Host>) -> Result<Self> {
        let (source, origin) = match &config.prompt {
            None => (include_str!("prompts/judge.md").to_owned(), "the shipped judge template".to_owned()),
            Some(path) => {
                let origin = format!("the judge template {}", path.display());
                let source = std::fs::read_to_string(&path.0)
                    .map_err(|error| Error::config(format!("cannot read {origin}: {error}")))?;
                (unmarked(&source).to_owned(), origin)
            }
        };
        let mut template = Templates::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        template.set_syntax(syntax.expect("the default delimiters are valid"));
        template.set_undefined_behavior(UndefinedBehavior::Strict);
        template
            .add_template_owned("judge", source)
            .map_err(|error| Error::config(format!("{origin} does not parse: {error:#}")))?;
        Ok(Self { config, template, host, warned: AtomicBool::new(false) })
    }

    async fn ask(
        &self,
        queries: &[CriticQuery],
        llm: Arc<dyn LlmBackend>,
        unread: &mut Unread,
    ) -> Result<Vec<Estimate>> {
        let mut estimates = Vec::with_capacity(queries.len());
        // Queries about one thought are next to each other and share a call.
        for group in queries.chunk_by(|a, b| a.state == b.state && a.thought == b.thought) {
            estimates.extend(self.ask_group(group, &llm, unread).await?);
        }
        Ok(estimates)
    }

    async fn ask_group(
        &self,
        group: &[CriticQuery],
        llm: &Arc<dyn LlmBackend>,
        unread: &mut Unread,
    ) -> Result<Vec<Estimate>> {
        let outcomes: Vec<&str> = group.iter().map(|query| query.outcome.as_str()).collect();
        let prompt = self
            .template
            .get_template("judge")
            .and_then(|template| {
                let (state, thought) = (&group[0].state, &group[0].thought);
                template.render(Serde(json!({ "state": state, "thought": thought, "outcomes": outcomes })))
            })
            .map_err(|error| Error::config(format!("the judge template cannot be rendered: {error:#}")))?;
        let mut request = ChatRequest::new(Purpose::Judge, vec![Message::user(prompt.trim())]);
        request.temperature = self.config.temperature;
        let mut again = true;
        let probabilities = loop {
            let choice = llm.complete(request.clone()).await?.choices.into_iter().next().unwrap_or_default();
            let answer = Answer::of(&choice);
            match answer.probabilities(group.len()) {
                Ok(probabilities) => break probabilities,
                Err(complaint) if self.config.unreadable == Unreadable::Half => {
                    if !self.warned.swap(true, Ordering::Relaxed) {
                        tracing::warn!(
                            llm = self.config.llm,
                            "a judge's answer counts as 0.5: {complaint}; said once"
                        );
                    }
                    unread.count(complaint.fault.key());
                    // Counted, and not noted: the logs of earlier releases can then still be replayed.
                    let each = answer.probability_of_each(group.len()).into_iter();
                    break each.map(|probability| probability.unwrap_or(0.5)).collect();
                }
                Err(complaint) if again => {
                    unread.repeated("Judge", &complaint);
                    ask_again(&mut request.messages, choice, &complaint);
                }
                Err(complaint) => {
                    unread.count(complaint.fault.key());
                    let shown: String = answer.text().chars().take(SHOWN).collect();
                    return Err(Error::malformed(format!(
                        "the model {:?} gave no probabilities when asked twice: {complaint}, in {shown:?}",
                        self.config.llm
                    )));
                }
            }
            again = false;
        };
        let estimate = |probability| Estimate::of(probability);
        Ok(probabilities.into_iter().map(estimate).collect())
    }
}

#[async_trait]
impl Critic for Judge {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        let llm = self.host.llm(self.config.llm.clone()).await?;
        self.ask(&queries, llm, &mut Unread::default()).await
    }

    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements { llms: vec![self.config.llm.clone()], ..Requirements::default() })
    }

    async fn estimate_with(
        &self,
        queries: Vec<CriticQuery>,
        models: Arc<dyn Models>,
    ) -> Result<Vec<Estimate>> {
        let llm = models.llm(self.config.llm.clone()).await?;
        let mut unread = Unread::default();
        let estimates = self.ask(&queries, llm, &mut unread).await;
        unread.note(&*models).await;
        estimates
    }
}

register! {
    interface: dyn Critic, kind: "judge", summary: "the language model's own probabilities (\"self-plan\"): a control",
    config: JudgeConfig,
    new: |config, host| async move { Ok(Arc::new(Judge::new(config, host)?) as _) },
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, VecDeque},
        sync::Mutex,
    };

    use forethought_sdk::serde_json::{Value, from_value};
    use futures::executor::block_on;

    use super::*;

    /// A model that gives listed answers, and keeps the requests.
    struct Script(Mutex<VecDeque<&'static str>>, Mutex<Vec<ChatRequest>>);

    #[async_trait]
    impl LlmBackend for Script {
        async fn capabilities(&self) -> Result<LlmCapabilities> {
            Ok(LlmCapabilities::default())
        }
        async fn complete(&self, request: ChatRequest) -> Result<Completion> {
            self.1.lock().unwrap().push(request);
            let text = self.0.lock().unwrap().pop_front().expect("one more answer").into();
            Ok(Completion { choices: vec![Choice { text, ..Choice::default() }], ..Completion::default() })
        }
    }

    /// A world that has this model only, and keeps notes.
    struct World(Arc<Script>, Mutex<Unread>);

    #[async_trait]
    impl Models for World {
        async fn llm(&self, _: String) -> Result<Arc<dyn LlmBackend>> {
            Ok(self.0.clone())
        }
        async fn note(&self, recoveries: Vec<String>, faults: BTreeMap<String, u32>) -> Result<()> {
            self.1.lock().unwrap().append(Unread { recoveries, faults });
            Ok(())
        }
    }
    impl Host for World {}

    fn judge(answers: &[&'static str]) -> (Result<Vec<f64>>, Vec<ChatRequest>) {
        let (estimates, world) = judge_with(json!({ "llm": "actor" }), answers);
        let asked = std::mem::take(&mut *world.0.1.lock().unwrap());
        (estimates, asked)
    }

    fn judge_with(config: Value, answers: &[&'static str]) -> (Result<Vec<f64>>, Arc<World>) {
        let script = Arc::new(Script(Mutex::new(answers.iter().copied().collect()), Mutex::default()));
        let world = Arc::new(World(script, Mutex::default()));
        let judge = Judge::new(from_value(config).unwrap(), world.clone()).unwrap();
        let query = |outcome: &str| CriticQuery { outcome: outcome.into(), ..CriticQuery::default() };
        let estimates =
            block_on(judge.estimate_with(vec![query("it works"), query("it breaks")], world.clone()));
        (estimates.map(|all| all.iter().map(|estimate| estimate.probability).collect()), world)
    }

    #[test]
    fn probabilities_are_read_in_every_dress() {
        for answer in [
            "1: 0.8\n2: 0.3",
            "1: 80%\n2: 30%",
            "**1:** 0.8\n**2:** 0.3",
            "Outcome 1: 0.8\nOutcome 2: 0.3",
            "1: 0,8\n2: 0,3",
            "1 - 0.8\n2 - 0.3",
            "| 1 | 0.8 |\n| 2 | 0.3 |",
            "1: it is likely: 0.8\n2: less so: 0.3",
            "<think>1: 0.1\n2: 0.9</think>\n1: 0.8\n2: 0.3",
        ] {
            let (read, asked) = judge(&[answer]);
            assert_eq!((read, asked.len()), (Ok(vec![0.8, 0.3]), 1), "{answer}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_asked_for_once_more() {
        for (answer, complaint) in [
            ("1: 80\n2: 30", "statement 1: 80 is not a probability"),
            ("1: 0.8", "no line \"2: <probability between 0 and 1>\""),
            ("Both are likely.", "no line \"1: <"),
        ] {
            let (read, asked) = judge(&[answer, "1: 0.8\n2: 0.3"]);
            assert_eq!(read, Ok(vec![0.8, 0.3]));
            let [_, said, again] = &asked[1].messages[..] else { panic!("{:?}", asked[1]) };
            assert_eq!((said.role, said.content.as_str()), (Role::Assistant, answer));
            assert!(again.content.contains(complaint), "{}", again.content);
        }
        // An empty answer is not repeated to the model: strict servers refuse an empty turn.
        let (read, asked) = judge(&["<think>well", "1: 0.8\n2: 0.3"]);
        assert_eq!(read, Ok(vec![0.8, 0.3]));
        let [prompt] = &asked[1].messages[..] else { panic!("{:?}", asked[1]) };
        assert!(prompt.content.starts_with(&asked[0].messages[0].content));
        assert!(prompt.content.contains("ended within its reasoning"), "{}", prompt.content);
    }

    #[test]
    fn what_cannot_be_read_counts_as_half_where_that_is_set() {
        for (answer, read) in
            [("1: 0.8", [0.8, 0.5]), ("Sure! 0.77", [0.5, 0.5]), ("1: 80\n2: 0.3", [0.5, 0.3])]
        {
            let (estimates, world) = judge_with(json!({ "llm": "actor", "unreadable": "half" }), &[answer]);
            assert_eq!(estimates, Ok(read.to_vec()), "{answer}");
            assert_eq!(world.1.lock().unwrap().faults, [("unreadable".into(), 1)].into(), "{answer}");
        }
    }

    #[test]
    fn what_could_not_be_read_is_noted_for_the_decision() {
        let (estimates, world) = judge_with(json!({ "llm": "actor" }), &["Likely.", "1: 0.8\n2: 0.3"]);
        assert_eq!(estimates, Ok(vec![0.8, 0.3]));
        let noted = world.1.lock().unwrap();
        assert_eq!(noted.faults, [("unreadable".into(), 1), ("repeated".into(), 1)].into());
        assert!(noted.recoveries[0].starts_with("Judge could not be read"), "{:?}", noted.recoveries);
        assert!(noted.recoveries[0].ends_with("asked once more"), "{:?}", noted.recoveries);
    }

    #[test]
    fn no_value_is_made_up_when_it_is_asked_again() {
        for answer in ["Both are likely.", "1: 80\n2: 30", ""] {
            let error = judge(&["hm", answer]).0.unwrap_err();
            assert_eq!(error.code, Code::Malformed);
            assert!(error.message.contains("\"actor\"") && error.message.contains("asked twice"), "{error}");
        }
    }
}
