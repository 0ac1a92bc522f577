//! A critic that reads for another one: a language model says which of that critic's own sentences an outcome or a
//! thought means.
//!
//! A critic that knows how its data speak ([`StyleCard`]) judges well what is said in its own words, and calls the rest
//! outside its data. Embeddings read other words with errors, and hardly see a "not". A language model does both, so it
//! is asked about sentences that the critic does not know: one call for outcomes, one for thoughts, and no call where
//! the critic knows all of them. An outcome that denies a known one has what is left of its probability.

use std::collections::BTreeMap;

use forethought_sdk::{
    answers::{Answer, Complaint, Unread, ask_again},
    futures::join,
    prelude::*,
};

/// Settings of a reader.
#[config]
#[derive(Debug, Clone)]
pub struct ReaderConfig {
    /// Name of the critic that it reads for, as in `[critic.<name>]`: one with a style card.
    #[schemars(with = "CriticName")]
    pub critic: String,
    /// Name of the language model, as in `[llm.<name>]`.
    #[schemars(with = "LlmName")]
    pub llm: String,
    /// What the sentences are about, in a sentence or two, for the model.
    #[serde(default)]
    pub about: String,
    /// Sampling temperature.
    #[serde(default)]
    pub temperature: f64,
}

/// The reader.
pub struct Reader {
    config: ReaderConfig,
    host: Arc<dyn Host>,
}

/// What a sentence says, in a critic's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// The known sentence of this index.
    Says(usize),
    /// That the known sentence of this index is not so.
    Denies(usize),
    /// Neither.
    Other,
}

impl Reader {
    /// A reader with these settings. `host` gives critic and model outside of episodes.
    pub fn new(config: ReaderConfig, host: Arc<dyn Host>) -> Self {
        Self { config, host }
    }

    async fn read_and_ask(
        &self,
        queries: Vec<CriticQuery>,
        critic: &dyn Critic,
        llm: &dyn LlmBackend,
        unread: &mut Unread,
    ) -> Result<Vec<Estimate>> {
        let mut estimates = critic.estimate(queries.clone()).await?;
        let card = critic.style_card().await?;
        let outcomes: Vec<&str> = card.outcomes.iter().map(|outcome| outcome.text.as_str()).collect();
        let thoughts: Vec<&str> = card.thoughts.iter().map(String::as_str).collect();
        let (mut new_outcomes, mut new_thoughts) = (Vec::new(), Vec::new());
        for (query, estimate) in queries.iter().zip(&estimates) {
            if estimate.known.is_none() {
                note(&mut new_outcomes, &outcomes, &query.outcome);
            }
            if estimate.outside {
                note(&mut new_thoughts, &thoughts, &query.thought);
            }
        }
        let ([mut first, mut second], about) = (<[Unread; 2]>::default(), &self.config.about);
        let ask = |what, known, new, unread| ask(llm, &self.config, [about, what], known, new, unread);
        let (read_outcomes, read_thoughts) = join!(
            ask("Each sentence describes what may be reached.", &outcomes, &new_outcomes, &mut first),
            ask("Each sentence is a strategy for the next step.", &thoughts, &new_thoughts, &mut second),
        );
        unread.append(first);
        unread.append(second);
        let (read_outcomes, read_thoughts) = (read_outcomes?, read_thoughts?);

        let (mut again, mut places) = (Vec::new(), Vec::new());
        for (place, mut query) in queries.into_iter().enumerate() {
            let read = read_outcomes.get(&query.outcome).copied().unwrap_or(Reading::Other);
            let thought = read_thoughts.get(&query.thought).copied().unwrap_or(Reading::Other);
            if let Reading::Says(index) | Reading::Denies(index) = read {
                query.outcome = outcomes[index].into();
            }
            if let Reading::Says(index) = thought {
                query.thought = thoughts[index].into();
            }
            if read != Reading::Other || matches!(thought, Reading::Says(_)) {
                again.push(query);
                places.push((place, matches!(read, Reading::Denies(_))));
            }
        }
        if !again.is_empty() {
            for ((place, denied), estimate) in places.into_iter().zip(critic.estimate(again).await?) {
                estimates[place] = if denied { opposite(estimate) } else { estimate };
            }
        }
        Ok(estimates)
    }
}

/// Adds a sentence that is neither known nor noted.
fn note<'q>(new: &mut Vec<&'q str>, known: &[&str], sentence: &'q str) {
    let spoken = !sentence.trim().is_empty() && !known.contains(&sentence.trim());
    if spoken && !new.contains(&sentence) {
        new.push(sentence);
    }
}

/// The estimate of what denies an outcome.
fn opposite(estimate: Estimate) -> Estimate {
    let Estimate { probability, raw, .. } = estimate;
    Estimate { probability: 1.0 - probability, raw: 1.0 - raw, known: None, ..estimate }
}

/// How the model reads each new sentence; nothing where there is nothing to read, or where its answer could not be read
/// twice.
async fn ask(
    llm: &dyn LlmBackend,
    config: &ReaderConfig,
    [about, what]: [&str; 2],
    known: &[&str],
    new: &[&str],
    unread: &mut Unread,
) -> Result<BTreeMap<String, Reading>> {
    if known.is_empty() || new.is_empty() {
        return Ok(BTreeMap::new());
    }
    let numbered = |first: usize, sentences: &[&str]| -> String {
        let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = |(number, text): (usize, &&str)| format!("{}: {}\n", first + number, one_line(text));
        sentences.iter().enumerate().map(line).collect()
    };
    let prompt = format!(
        "{about}\n\n{what}\n\nKnown:\n{}\nNew:\n{}\nFor each new sentence, name the known sentence that says the same in \
         other words. If it says that a known sentence is not so, write \"not\" and that sentence's number. If it says \
         anything else, write \"new\". Reply with one line per new sentence:\n\
         <number of a new sentence>: <number of the known sentence that says the same, \"not\" and a number, or new>",
        numbered(1, known),
        numbered(1 + known.len(), new),
    );
    let mut request = ChatRequest::new(Purpose::Other, vec![Message::user(prompt.trim())]);
    request.temperature = Some(config.temperature);
    request.seed = Some(0);
    for last in [false, true] {
        let choice = llm.complete(request.clone()).await?.choices.into_iter().next().unwrap_or_default();
        let complaint = match read(&Answer::of(&choice), known.len(), new.len()) {
            Ok(read) => return Ok(new.iter().map(|text| (*text).to_owned()).zip(read).collect()),
            Err(complaint) => complaint,
        };
        if last {
            unread.count(complaint.fault.key());
        } else {
            unread.repeated("Reading", &complaint);
            ask_again(&mut request.messages, choice, &complaint);
        }
    }
    Ok(BTreeMap::new())
}

/// Reads a line for each of the `new` sentences, which are numbered after the `known` ones. One that is said to be the
/// same as another new one means what that one means.
///
/// # Errors
/// A sentence without a line, or with one that names no other sentence.
fn read(answer: &Answer, known: usize, new: usize) -> Result<Vec<Reading>, Complaint> {
    let mut found: Vec<Option<Reading>> = vec![None; new];
    for (number, said) in answer.numbered() {
        let Some(index) = number.checked_sub(known + 1).filter(|index| *index < new) else { continue };
        let said = said.to_lowercase();
        let denies = said.trim_start_matches(|sign: char| !sign.is_alphanumeric()).starts_with("not");
        let digits = said.trim_start_matches(|sign: char| !sign.is_ascii_digit());
        let digits = digits.split(|sign: char| !sign.is_ascii_digit()).next().unwrap_or_default();
        let read = match digits.parse::<usize>() {
            Ok(named) if (1..=known).contains(&named) && denies => Reading::Denies(named - 1),
            Ok(named) if (1..=known).contains(&named) => Reading::Says(named - 1),
            Ok(named) if (known + 1..number).contains(&named) && !denies => {
                found[named - known - 1].unwrap_or(Reading::Other)
            }
            Err(_) if said.contains("new") => Reading::Other,
            _ => continue,
        };
        found[index] = Some(read);
    }
    let complete: Option<Vec<_>> = found.into_iter().collect();
    complete.ok_or_else(|| {
        answer.complaint(
            "not every new sentence has a line with a known number, \"not\" and a number, or \"new\"",
        )
    })
}

#[async_trait]
impl Critic for Reader {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        let critic = self.host.critic(self.config.critic.clone()).await?;
        let llm = self.host.llm(self.config.llm.clone()).await?;
        self.read_and_ask(queries, &*critic, &*llm, &mut Unread::default()).await
    }

    async fn style_card(&self) -> Result<StyleCard> {
        self.host.critic(self.config.critic.clone()).await?.style_card().await
    }

    async fn requires(&self) -> Result<Requirements> {
        let ReaderConfig { critic, llm, .. } = self.config.clone();
        Ok(Requirements { llms: vec![llm], critics: vec![critic], ..Requirements::default() })
    }

    async fn estimate_with(
        &self,
        queries: Vec<CriticQuery>,
        models: Arc<dyn Models>,
    ) -> Result<Vec<Estimate>> {
        let critic = models.critic(self.config.critic.clone()).await?;
        let llm = models.llm(self.config.llm.clone()).await?;
        let mut unread = Unread::default();
        let estimates = self.read_and_ask(queries, &*critic, &*llm, &mut unread).await;
        unread.note(&*models).await;
        estimates
    }
}

register! {
    interface: dyn Critic, kind: "reader", summary: "another critic, to which a language model says unknown sentences in its own words",
    config: ReaderConfig,
    new: |config, host| async move { Ok(Arc::new(Reader::new(config, host)) as _) },
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::executor::block_on;

    use super::*;

    /// A critic that knows two outcomes and one thought, and thinks the first outcome likely.
    struct Known;

    #[async_trait]
    impl Critic for Known {
        async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
            let judge = |CriticQuery { thought, outcome, .. }: CriticQuery| {
                let known = ["It arrives.", "It is lost."].iter().position(|one| **one == outcome);
                let probability = [0.9, 0.2].get(known.unwrap_or(2)).copied().unwrap_or(0.5);
                let outside = known.is_none() || thought != "Wait.";
                Estimate { known: known.map(|index| index as u32), outside, ..Estimate::of(probability) }
            };
            Ok(queries.into_iter().map(judge).collect())
        }
        async fn style_card(&self) -> Result<StyleCard> {
            let outcome = |text: &str| KnownOutcome { text: text.into(), ..KnownOutcome::default() };
            let outcomes = vec![outcome("It arrives."), outcome("It is lost.")];
            Ok(StyleCard { outcomes, thoughts: vec!["Wait.".into()], ..StyleCard::default() })
        }
    }

    /// A model that gives listed answers in order, to outcomes and to thoughts, and counts.
    #[derive(Default)]
    struct Script {
        outcomes: Vec<&'static str>,
        asked: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl LlmBackend for Script {
        async fn capabilities(&self) -> Result<LlmCapabilities> {
            Ok(LlmCapabilities::default())
        }
        async fn complete(&self, request: ChatRequest) -> Result<Completion> {
            let mut asked = self.asked.lock().unwrap();
            let prompt = request.messages[0].content.clone();
            let earlier = asked.iter().filter(|one| one.contains("may be reached")).count();
            let text =
                if prompt.contains("may be reached") { self.outcomes[earlier] } else { "2: 1" }.to_owned();
            asked.push(prompt);
            Ok(Completion { choices: vec![Choice { text, ..Choice::default() }], ..Completion::default() })
        }
    }

    struct World(Arc<Script>, Mutex<Unread>);

    #[async_trait]
    impl Models for World {
        async fn llm(&self, _: String) -> Result<Arc<dyn LlmBackend>> {
            Ok(self.0.clone())
        }
        async fn critic(&self, _: String) -> Result<Arc<dyn Critic>> {
            Ok(Arc::new(Known))
        }
        async fn note(&self, recoveries: Vec<String>, faults: BTreeMap<String, u32>) -> Result<()> {
            self.1.lock().unwrap().append(Unread { recoveries, faults });
            Ok(())
        }
    }
    impl Host for World {}

    fn asked(answers: &[&'static str], thought: &str, outcomes: &[&str]) -> (Vec<Estimate>, Arc<World>) {
        let script = Script { outcomes: answers.into(), ..Script::default() };
        let world = Arc::new(World(Arc::new(script), Mutex::default()));
        let config = ReaderConfig {
            critic: "known".into(),
            llm: "actor".into(),
            about: "A parcel.".into(),
            temperature: 0.0,
        };
        let query = |outcome: &&str| CriticQuery {
            thought: thought.into(),
            outcome: (*outcome).into(),
            ..CriticQuery::default()
        };
        let queries = outcomes.iter().map(query).collect();
        let reader = Reader::new(config, world.clone());
        (block_on(reader.estimate_with(queries, world.clone())).unwrap(), world)
    }

    #[test]
    fn what_the_critic_knows_is_asked_of_nobody() {
        let (estimates, world) = asked(&[], "Wait.", &["It arrives.", "It is lost."]);
        assert_eq!(estimates.iter().map(|one| one.probability).collect::<Vec<_>>(), [0.9, 0.2]);
        assert!(world.0.asked.lock().unwrap().is_empty());
    }

    #[test]
    fn other_words_and_denials_are_read_and_the_rest_stays_outside() {
        let outcomes = ["It gets here.", "It does not get lost.", "The sun shines.", "It reaches me."];
        let (estimates, world) = asked(&["3: 1\n**4**: not 2\n5: new\n6: 3"], "Be patient.", &outcomes);
        let read: Vec<_> = estimates.iter().map(|one| (one.probability, one.known, one.outside)).collect();
        assert_eq!(
            read,
            [(0.9, Some(0), false), (0.8, None, false), (0.5, None, true), (0.9, Some(0), false)]
        );
        let prompts = world.0.asked.lock().unwrap();
        assert!(
            prompts[0].starts_with("A parcel.")
                && prompts[0].contains("Known:\n1: It arrives.\n2: It is lost.\n")
        );
        assert!(prompts[1].contains("\nNew:\n2: Be patient.\n"), "{}", prompts[1]);
        assert_eq!(prompts.len(), 2);
    }

    #[test]
    fn an_answer_that_cannot_be_read_twice_leaves_what_the_critic_said() {
        for answers in [["3: 7", "no idea"], ["", "4: 1"]] {
            let (estimates, world) = asked(&answers, "Wait.", &["It gets here."]);
            assert!(estimates[0].outside, "{answers:?}");
            let faults = world.1.lock().unwrap().faults.clone();
            assert_eq!(faults.values().sum::<u32>(), 3, "{faults:?}");
        }
        let (estimates, _) = asked(&["Sure!", "3: 1"], "Wait.", &["It gets here."]);
        assert_eq!(estimates[0].probability, 0.9);
    }
}
