//! How a critic with a vocabulary understands texts: what it reads them as, and what is outside its data.

use std::collections::HashMap;

use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::{Value, json};

use crate::goals::{Corpus, Meanings, TextId};
use crate::seen::Seen;
use crate::vocabulary::{Reader, States, sentences};

/// What a critic with a vocabulary knows besides its networks.
pub(crate) struct Understanding {
    pub(crate) vocabulary: Vocabulary,
    pub(crate) outcomes: Understood,
    pub(crate) thoughts: Understood,
    pub(crate) said: States,
    pub(crate) states: Seen,
    pub(crate) others: Seen,
}

/// How one kind of text is read.
pub(crate) struct Understood {
    pub(crate) reader: Reader,
    /// The embedding of each meaning's canonical sentence.
    pub(crate) canonical: Vec<f32>,
}

impl Understanding {
    /// Learns to read texts as `vocabulary` groups them, and has `corpus` read so. `embeddings` are those of its texts,
    /// which include all sentences of the vocabulary. Also what to report.
    pub(crate) fn learn(
        vocabulary: &Vocabulary,
        corpus: &mut Corpus,
        embeddings: &[f32],
        dimension: usize,
        [train, held_out]: [&[usize]; 2],
    ) -> Result<(Self, Value)> {
        let texts = corpus.texts.clone();
        let ids: HashMap<&str, TextId> = texts.iter().map(String::as_str).zip(0..).collect();
        let row = |id: TextId| &embeddings[id as usize * dimension..][..dimension];
        let learn = |meanings: &[Meaning]| {
            let (reader, reading) = Reader::train(meanings, dimension, |text| row(ids[text]))?;
            let canonical = meanings.iter().flat_map(|meaning| row(ids[meaning.text.as_str()])).copied();
            Ok::<_, Error>((Understood { reader, canonical: canonical.collect() }, reading))
        };
        let (outcomes, read_outcomes) = learn(&vocabulary.outcomes)?;
        let (thoughts, read_thoughts) = learn(&vocabulary.thoughts)?;
        let column = |part: &[usize], text: fn(&crate::goals::Transition) -> TextId| {
            let steps = part.iter().flat_map(|&trajectory| corpus.steps(trajectory));
            steps.map(|index| text(&corpus.all()[index])).collect::<Vec<_>>()
        };
        let seen = |text| Seen::new(embeddings, dimension, &column(train, text), &column(held_out, text));
        let (states, others) = (seen(|step| step.state), seen(|step| step.thought));

        let mut meanings = Meanings::default();
        let (mut steps, mut unread) = (0, 0);
        for (id, occurrences) in corpus.outcomes() {
            if vocabulary.outcomes.is_empty() {
                break;
            }
            let read = outcomes.reader.read(&texts[id as usize], row(id));
            steps += occurrences.steps;
            if read.is_empty() {
                unread += occurrences.steps;
                // What nobody listed and nobody repeats would only teach that it does not happen.
                if occurrences.trajectories.len() < 2 {
                    meanings.outcomes.insert(id, Vec::new());
                }
            } else {
                let canonical = read.iter().map(|&index| ids[vocabulary.outcomes[index].text.as_str()]);
                meanings.outcomes.insert(id, canonical.collect());
            }
        }
        for step in corpus.all() {
            // A thought of several meanings is not replaced by one of them.
            if let [index] = thoughts.reader.read(&texts[step.thought as usize], row(step.thought))[..] {
                meanings.thoughts.insert(step.thought, ids[vocabulary.thoughts[index].text.as_str()]);
            }
        }
        let said = |understood: &Understood, all: &[Meaning]| {
            let alone = |sentence: &&str| understood.reader.listed(sentence).len() == 1;
            all.iter()
                .map(|meaning| {
                    let others = sentences(meaning).skip(1).filter(alone).map(|sentence| ids[sentence]);
                    (ids[meaning.text.as_str()], others.collect())
                })
                .collect()
        };
        meanings.goals_said = said(&outcomes, &vocabulary.outcomes);
        meanings.thoughts_said = said(&thoughts, &vocabulary.thoughts);
        corpus.read_as(meanings)?;
        let unread = if steps == 0 { 0.0 } else { f64::from(unread) / f64::from(steps) };
        let report =
            json!({ "outcomes": read_outcomes, "thoughts": read_thoughts, "unread_outcomes": unread });
        let vocabulary = vocabulary.clone();
        let said = States::new(&vocabulary.states);
        Ok((Self { vocabulary, outcomes, thoughts, said, states, others }, report))
    }
}

impl Understood {
    /// The embedding of the canonical sentence of a meaning.
    pub(crate) fn canonical(&self, meaning: usize, dimension: usize) -> &[f32] {
        &self.canonical[meaning * dimension..][..dimension]
    }
}
