//! How a critic with a vocabulary understands texts: what it reads them as, and what is outside its data.

use std::collections::HashMap;

use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::{Value, json};

use crate::goals::{Corpus, Meanings, TextId};
use crate::seen::Seen;
use crate::vocabulary::{Look, Reader, Relations, States, affirmed, bare, sentences};

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
    /// The texts whose embeddings [`Understanding::learn`] needs besides those of the corpus.
    pub(crate) fn texts(vocabulary: &Vocabulary, corpus: &Corpus) -> Vec<String> {
        let all = vocabulary.outcomes.iter().chain(&vocabulary.thoughts);
        let listed: Vec<&str> = all.flat_map(sentences).collect();
        let said = corpus.outcomes().into_keys().chain(corpus.all().iter().map(|step| step.thought));
        let said = said.map(|id| corpus.texts[id as usize].as_str());
        let read: Vec<String> = said.chain(listed.iter().copied()).map(bare).collect();
        let affirmed: Vec<String> = read.iter().filter_map(|text| affirmed(text)).collect();
        listed.iter().copied().map(String::from).chain(read).chain(affirmed).collect()
    }

    /// Learns to read texts as `vocabulary` groups them, and has `corpus` read so. `embeddings` are those of its texts,
    /// which include [`Understanding::texts`]. Also what to report.
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
        let look = |text: &str| {
            let read = bare(text);
            let affirmed = affirmed(&read).map(|affirmed| row(ids[affirmed.as_str()]));
            Look { embedding: row(ids[read.as_str()]), affirmed }
        };
        let learn = |meanings: &[Meaning], others: &[Meaning]| {
            let (reader, reading) = Reader::train([meanings, others], dimension, look)?;
            let canonical = meanings.iter().flat_map(|meaning| row(ids[meaning.text.as_str()])).copied();
            Ok::<_, Error>((Understood { reader, canonical: canonical.collect() }, reading))
        };
        let (outcomes, read_outcomes) = learn(&vocabulary.outcomes, &vocabulary.thoughts)?;
        let (thoughts, read_thoughts) = learn(&vocabulary.thoughts, &vocabulary.outcomes)?;
        let column = |part: &[usize], text: fn(&crate::goals::Transition) -> TextId| {
            let steps = part.iter().flat_map(|&trajectory| corpus.steps(trajectory));
            steps.map(|index| text(&corpus.all()[index])).collect::<Vec<_>>()
        };
        let seen = |text| Seen::new(embeddings, dimension, &column(train, text), &column(held_out, text));
        let (states, others) = (seen(|step| step.state), seen(|step| step.thought));

        let canonical = |index: &usize| ids[vocabulary.outcomes[*index].text.as_str()];
        let Relations { implied, rivals } = Relations::of(&vocabulary.outcomes);
        let mut meanings = Meanings::default();
        for (index, rivals) in rivals.iter().enumerate().filter(|(_, rivals)| !rivals.is_empty()) {
            meanings.rivals.insert(canonical(&index), rivals.iter().map(&canonical).collect());
        }
        let (mut steps, mut unread) = (0, 0);
        for (id, occurrences) in corpus.outcomes() {
            if vocabulary.outcomes.is_empty() {
                break;
            }
            let read = outcomes.reader.read(&texts[id as usize], look(&texts[id as usize]));
            steps += occurrences.steps;
            if read.is_empty() {
                unread += occurrences.steps;
                // What nobody listed and nobody repeats would only teach that it does not happen.
                if occurrences.trajectories.len() < 2 {
                    meanings.outcomes.insert(id, Vec::new());
                }
            } else {
                let held = read.iter().flat_map(|&index| &implied[index]).map(&canonical);
                meanings.outcomes.insert(id, held.collect());
            }
        }
        for step in corpus.all() {
            // A thought of several meanings is not replaced by one of them.
            let text = &texts[step.thought as usize];
            if let [index] = thoughts.reader.read(text, look(text))[..] {
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
