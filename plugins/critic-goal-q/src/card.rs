//! The style card: how the data speak, for the prompts of planners.

use std::collections::{BTreeMap, HashMap, HashSet};

use forethought_sdk::api::metrics::evenly;
use forethought_sdk::prelude::*;

use crate::goals::{Corpus, TextId, Triple};
use crate::table::Table;
use crate::vocabulary::split;

const STATES: usize = 16;
const THOUGHTS: usize = 24;
/// Held-out steps over which a usual value is averaged, and states among which typical ones are chosen.
const STEPS: usize = 200;
const CANDIDATES: usize = 400;

/// What [`style_card`] looks at.
pub(crate) struct Sources<'a> {
    pub(crate) corpus: &'a Corpus,
    pub(crate) table: &'a Table,
    pub(crate) train: &'a [usize],
    pub(crate) held_out: &'a [usize],
    /// The score of each trajectory.
    pub(crate) scores: &'a [f64],
    pub(crate) vocabulary: &'a Vocabulary,
}

/// The card; `values` gives calibrated values.
pub(crate) fn style_card(
    sources: &Sources,
    values: impl Fn(&[Triple]) -> Result<Vec<f64>>,
) -> Result<StyleCard> {
    let Sources { corpus, table, train, held_out, scores, vocabulary } = *sources;
    let steps = |part: &[usize]| part.iter().flat_map(|&one| corpus.steps(one)).collect::<Vec<_>>();

    let listed: HashSet<&str> = vocabulary.outcomes.iter().map(|meaning| meaning.text.as_str()).collect();
    let mut known: Vec<_> = corpus.outcomes().into_iter().collect();
    known.retain(|(id, _)| listed.contains(corpus.texts[*id as usize].as_str()));
    known.sort_by_key(|(_, occurrences)| std::cmp::Reverse(occurrences.steps));
    let asked: Vec<usize> = evenly(&steps(held_out), STEPS).collect();
    let mut outcomes = Vec::new();
    for (goal, occurrences) in known {
        let triple = |&index: &usize| {
            let step = &corpus.all()[index];
            Triple { state: step.state, thought: step.thought, goal, reached: false }
        };
        let values = values(&asked.iter().map(triple).collect::<Vec<_>>())?;
        let returns = occurrences.trajectories.iter().map(|&one| scores[one]).sum::<f64>();
        outcomes.push(KnownOutcome {
            text: corpus.texts[goal as usize].trim().to_owned(),
            usual: values.iter().sum::<f64>() / values.len().max(1) as f64,
            mean_return: Some(returns / occurrences.trajectories.len() as f64),
        });
    }

    let mut distinct = HashSet::new();
    let mut counts: BTreeMap<TextId, usize> = BTreeMap::new();
    let mut states = Vec::new();
    for index in steps(train) {
        let step = &corpus.all()[index];
        *counts.entry(step.thought).or_default() += 1;
        if distinct.insert(step.state) {
            states.push(step.state);
        }
    }
    let mut thoughts: Vec<_> = counts.into_iter().collect();
    thoughts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let text = |id: TextId| corpus.texts[id as usize].trim().to_owned();
    let thoughts = thoughts.into_iter().map(|(id, _)| text(id)).filter(|text| !text.is_empty());
    let typical = match vocabulary.states.is_empty() {
        true => medoids(table, &evenly(&states, CANDIDATES).collect::<Vec<_>>())?,
        false => covering(corpus, &states),
    };
    Ok(StyleCard {
        outcomes,
        states: typical.into_iter().map(text).collect(),
        thoughts: thoughts.take(THOUGHTS).collect(),
    })
}

/// Some of `states` that together show as many sentences as possible, the frequent ones first: a model says a sentence
/// as the data do only if it has seen it.
fn covering(corpus: &Corpus, states: &[TextId]) -> Vec<TextId> {
    let sentences: Vec<HashSet<&str>> =
        states.iter().map(|id| split(&corpus.texts[*id as usize]).collect()).collect();
    let mut unseen: HashMap<&str, usize> = HashMap::new();
    for sentence in sentences.iter().flatten() {
        *unseen.entry(sentence).or_default() += 1;
    }
    let mut chosen = Vec::new();
    while chosen.len() < STATES {
        let gain = |index: &usize| {
            sentences[*index].iter().filter_map(|sentence| unseen.get(sentence)).sum::<usize>()
        };
        // The earlier of equals: `max_by_key` would return the last.
        let Some(best) = (0..states.len()).rev().max_by_key(gain).filter(|best| gain(best) > 0) else {
            break;
        };
        for sentence in &sentences[best] {
            unseen.remove(sentence);
        }
        chosen.push(states[best]);
    }
    chosen
}

/// Some of `candidates` that are near to all of them together: each is the one that shortens the distances most.
fn medoids(table: &Table, candidates: &[TextId]) -> Result<Vec<TextId>> {
    if candidates.is_empty() {
        return Ok(Vec::new());
    }
    let rows = table.rows(candidates)?;
    let products = rows.matmul(&rows.t()?.contiguous()?)?.to_vec2::<f32>()?;
    let distance = |a: usize, b: usize| products[a][a] + products[b][b] - 2.0 * products[a][b];
    let everyone = 0..candidates.len();
    let mut nearest: Vec<f32> =
        everyone.clone().map(|a| everyone.clone().map(|b| distance(a, b)).fold(0.0, f32::max)).collect();
    let mut chosen: Vec<usize> = Vec::new();
    while chosen.len() < STATES.min(candidates.len()) {
        let left = |added: usize| -> f32 {
            everyone.clone().map(|other| nearest[other].min(distance(added, other))).sum()
        };
        let rest = everyone.clone().filter(|index| !chosen.contains(index)).map(|index| (index, left(index)));
        let Some((best, _)) = rest.min_by(|a, b| a.1.total_cmp(&b.1)) else { break };
        chosen.push(best);
        for other in everyone.clone() {
            nearest[other] = nearest[other].min(distance(best, other));
        }
    }
    Ok(chosen.into_iter().map(|index| candidates[index]).collect())
}
