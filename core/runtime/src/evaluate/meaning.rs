//! What recorded sentences mean to a critic: the outcomes that a state holds, and which thoughts are one.
//!
//! A critic with a vocabulary was trained on meanings, so it is judged by meanings. Listed sentences mean what the
//! checkpoint's vocabulary says, and others what the critic reads them as ([`Estimate::known`]).
//! To a critic that says neither, a sentence is its own meaning.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use forethought_api::critic::{Critic, CriticQuery, Estimate, Meaning, Vocabulary};
use forethought_api::trajectory::{Step, Trajectory};
use forethought_api::{Error, Result};

/// The canonical sentences of recorded ones, all trimmed.
#[derive(Debug, Default)]
pub(crate) struct Meanings {
    /// Of outcomes. A sentence that cannot be read and that one episode alone has means nothing, as in training.
    outcomes: HashMap<String, Vec<String>>,
    /// Of thoughts that mean one thing.
    thoughts: HashMap<String, String>,
    /// How many outcomes the critic tells apart, if it says so.
    pub(crate) known: Option<usize>,
}

impl Meanings {
    /// Those of the sentences of `data`, to a `critic` whose checkpoint has this vocabulary.
    pub(crate) async fn of(
        critic: &dyn Critic,
        vocabulary: &Vocabulary,
        data: &[Trajectory],
    ) -> Result<Self> {
        let mut meanings = Self::default();
        for (sentence, mut under) in listed(&vocabulary.thoughts) {
            if under.len() == 1 {
                meanings.thoughts.extend(under.pop().map(|text| (sentence, text)));
            }
        }
        let card = critic.style_card().await?;
        let known: HashSet<&str> = vocabulary.outcomes.iter().map(|one| one.text.trim()).collect();
        let known = if known.is_empty() { card.outcomes.len() } else { known.len() };
        if known == 0 {
            return Ok(meanings);
        }
        (meanings.known, meanings.outcomes) = (Some(known), listed(&vocabulary.outcomes));
        // Each of the others is asked about where it was first said.
        let mut queries: Vec<CriticQuery> = Vec::new();
        let mut episodes: HashMap<&str, (&str, bool)> = HashMap::new();
        for one in data {
            for (step, said) in
                one.steps.iter().flat_map(|step| step.said().map(move |said| (step, said.trim())))
            {
                match episodes.entry(said) {
                    Entry::Occupied(mut first) => {
                        let (episode, again) = first.get_mut();
                        *again |= *episode != one.episode;
                    }
                    Entry::Vacant(new) if !meanings.outcomes.contains_key(said) => {
                        new.insert((&one.episode, false));
                        queries.push(query(step, &step.thought, said));
                    }
                    Entry::Vacant(_) => {}
                }
            }
        }
        let estimates = answers(critic, queries.clone()).await?;
        for (CriticQuery { outcome, .. }, estimate) in queries.into_iter().zip(estimates) {
            let read = estimate.known.and_then(|index| card.outcomes.get(index as usize));
            let literal = || episodes[outcome.as_str()].1.then(|| outcome.clone());
            let meant = read.map(|known| known.text.clone()).or_else(literal).into_iter().collect();
            meanings.outcomes.insert(outcome, meant);
        }
        Ok(meanings)
    }

    /// What an outcome sentence means; nothing if nobody can say it.
    pub(crate) fn outcome<'a>(&'a self, said: &'a str) -> Vec<&'a str> {
        match self.outcomes.get(said.trim()) {
            Some(meant) => meant.iter().map(String::as_str).collect(),
            None => vec![said],
        }
    }

    /// The canonical thought.
    pub(crate) fn thought<'a>(&'a self, said: &'a str) -> &'a str {
        self.thoughts.get(said.trim()).map_or(said, String::as_str)
    }

    /// The outcomes that a step reached, as the data or the critic's vocabulary name them.
    pub(crate) fn held<'a>(&'a self, step: &'a Step) -> Vec<&'a str> {
        let said: Vec<&str> = step.said().flat_map(|said| self.outcome(said)).collect();
        if said.is_empty() && !step.next_state.is_empty() { vec![&step.next_state] } else { said }
    }

    /// Whether the state that a step reached holds this canonical outcome.
    pub(crate) fn holds(&self, step: &Step, outcome: &str) -> bool {
        step.next_state == outcome || step.outcomes.iter().any(|said| self.outcome(said).contains(&outcome))
    }
}

pub(crate) fn query(step: &Step, thought: &str, outcome: &str) -> CriticQuery {
    CriticQuery { state: step.state.clone(), thought: thought.to_owned(), outcome: outcome.to_owned() }
}

/// The canonical sentences that each sentence is listed under.
fn listed(meanings: &[Meaning]) -> HashMap<String, Vec<String>> {
    let mut listed: HashMap<String, Vec<String>> = HashMap::new();
    for meaning in meanings {
        let text = meaning.text.trim();
        for sentence in meaning.sentences.iter().chain([&meaning.text]) {
            let under = listed.entry(sentence.trim().to_owned()).or_default();
            if under.last().is_none_or(|last| last != text) {
                under.push(text.to_owned());
            }
        }
    }
    listed
}

/// The estimates of these queries.
pub(crate) async fn answers(critic: &dyn Critic, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
    let asked = queries.len();
    let estimates = critic.estimate(queries).await?;
    match estimates.len() == asked {
        true => Ok(estimates),
        false => Err(Error::other(format!("the critic gave {} answers to {asked} queries", estimates.len()))),
    }
}
