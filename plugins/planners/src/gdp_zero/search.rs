//! Open-loop Monte-Carlo tree search: a node is a sequence of acts, regardless of the words that
//! carried them out.

use std::collections::HashMap;

use forethought_sdk::{
    prelude::*,
    seed::{ChaCha8Rng, RngExt},
};

use super::{
    config::GdpZeroConfig,
    dialogue::Said,
    talk::{Sampling, Talk},
};

/// One decision's search.
pub(super) struct Search<'a> {
    config: &'a GdpZeroConfig,
    talk: Talk<'a>,
    rng: ChaCha8Rng,
    /// By the acts from the root.
    nodes: HashMap<Vec<usize>, Node>,
}

/// A possible dialogue, up to an answer of the other side.
#[derive(Debug, Clone, PartialEq)]
struct State {
    turns: Vec<Said>,
    /// Value of the last answer; 0 at the root.
    reply: f64,
}

struct Node {
    visits: u32,
    edges: Vec<Edge>,
    realisations: Vec<State>,
}

/// An act tried in a node.
#[derive(Debug, Clone)]
pub(super) struct Edge {
    pub(super) act: usize,
    pub(super) prior: f64,
    pub(super) visits: u32,
    pub(super) value: f64,
    /// Utterances that carried it out, each with its mean value and number of tries.
    said: Vec<(String, f64, u32)>,
}

/// Value of an answer that ends the search below it: the other side is persuaded.
const WON: f64 = 1.0;

impl<'a> Search<'a> {
    pub(super) fn new(config: &'a GdpZeroConfig, talk: Talk<'a>, seed: u64) -> Self {
        Self { config, talk, rng: seed::stream(seed, "gdp-zero/search"), nodes: HashMap::new() }
    }

    /// The act to carry out, an utterance for it, every act tried, and the requests made.
    pub(super) async fn run(mut self) -> Result<(usize, String, Vec<Edge>, Talk<'a>)> {
        let root = State { turns: self.talk.dialogue.turns.clone(), reply: 0.0 };
        for _ in 0..self.config.simulations {
            self.simulate(&root).await?;
        }
        let edges = self.nodes.remove(&Vec::new()).map(|node| node.edges).unwrap_or_default();
        // The first of the most visited acts; if none was visited, as after one simulation, the most likely one.
        let best = edges.iter().rev().max_by(|a, b| {
            a.visits.cmp(&b.visits).then_with(|| {
                if a.visits == 0 { a.prior.total_cmp(&b.prior) } else { std::cmp::Ordering::Equal }
            })
        });
        let best = best.ok_or_else(|| Error::other("a search without simulations finds nothing"))?.clone();
        let said = best.said.iter().rev().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(text, ..)| text.clone());
        let said = match said {
            Some(said) => said,
            None => {
                let act = &self.talk.dialogue.acts[best.act];
                self.talk.utter(&root.turns, act, self.config.temperature).await?
            }
        };
        Ok((best.act, said, edges, self.talk))
    }

    /// Goes down to a new sequence of acts, or until the other side is persuaded, and passes the value back up.
    async fn simulate(&mut self, root: &State) -> Result<()> {
        let (mut acts, mut state) = (Vec::new(), root.clone());
        let mut path: Vec<(Vec<usize>, usize, String)> = Vec::new();
        let value = loop {
            if state.reply >= WON {
                break WON;
            }
            if !self.nodes.contains_key(&acts) {
                break self.expand(&acts, state).await?;
            }
            let exploration = self.config.exploration;
            let node = self.nodes.get_mut(&acts).expect("checked above");
            if !node.realisations.contains(&state) {
                node.realisations.push(state);
            }
            let chosen = node.choose(exploration);
            let act = node.edges[chosen].act;
            let from = self.realisation(&acts);
            path.push((acts.clone(), chosen, String::new()));
            acts.push(act);
            let full = |node: &Node| node.realisations.len() >= self.config.realisations;
            state = if self.nodes.get(&acts).is_some_and(full) {
                self.realisation(&acts)
            } else {
                self.play(from, act).await?
            };
            let own = self.talk.context.seat;
            let said = state.turns.iter().rfind(|said| said.seat == own).map(|said| said.text.clone());
            path.last_mut().expect("pushed above").2 = said.unwrap_or_default();
        };
        for (acts, chosen, text) in path {
            let node = self.nodes.get_mut(&acts).expect("the path is in the tree");
            node.visits += 1;
            let edge = &mut node.edges[chosen];
            edge.visits += 1;
            edge.value += (value - edge.value) / f64::from(edge.visits);
            match edge.said.iter_mut().find(|said| said.0 == text) {
                Some((_, mean, times)) => {
                    *times += 1;
                    *mean += (value - *mean) / f64::from(*times);
                }
                None => edge.said.push((text, value, 1)),
            }
        }
        Ok(())
    }

    /// A new node, and the value of the dialogue that led to it.
    async fn expand(&mut self, acts: &[usize], state: State) -> Result<f64> {
        let allowed = self.talk.dialogue.allowed(state.turns.len());
        let config = self.config;
        let sampling = Sampling {
            samples: config.prior_samples,
            temperature: config.prior_temperature,
            max_tokens: None,
        };
        let drawn = self.talk.acts(&state.turns, &allowed, sampling).await?;
        let total = (drawn.len() + allowed.len()) as f64;
        let edge = |&act: &usize| {
            // Add-one smoothing.
            let prior = (drawn.iter().filter(|drawn| **drawn == act).count() + 1) as f64 / total;
            Edge { act, prior, visits: 0, value: config.initial_value, said: Vec::new() }
        };
        let edges = allowed.iter().map(edge).collect();

        let mut asked = state.turns.clone();
        asked.push(Said { seat: self.talk.context.seat, text: self.talk.dialogue.question.clone() });
        let answers = self.talk.answers(&asked, self.partner(config.value_samples)).await?;
        let values: Vec<f64> = answers
            .iter()
            .filter_map(|(reply, _)| Some(self.talk.dialogue.replies[(*reply)?].value))
            .collect();
        self.nodes.insert(acts.to_vec(), Node { visits: 0, edges, realisations: vec![state] });
        Ok(values.iter().sum::<f64>() / values.len().max(1) as f64)
    }

    /// One more exchange: an utterance for the act, and an answer.
    async fn play(&mut self, mut state: State, act: usize) -> Result<State> {
        let seat = self.talk.context.seat;
        let act = &self.talk.dialogue.acts[act];
        let text = self.talk.utter(&state.turns, act, self.config.temperature).await?;
        state.turns.push(Said { seat, text });
        let answers = self.talk.answers(&state.turns, self.partner(1)).await?;
        let (reply, text) = answers.into_iter().next().unwrap_or_default();
        state.turns.push(Said { seat: 1 - seat.min(1), text });
        // An answer that names no reply is neutral.
        state.reply = reply.map_or(0.0, |reply| self.talk.dialogue.replies[reply].value);
        Ok(state)
    }

    fn partner(&self, samples: u32) -> Sampling {
        Sampling { samples, temperature: self.config.partner_temperature, max_tokens: Some(128) }
    }

    fn realisation(&mut self, acts: &[usize]) -> State {
        let known = &self.nodes[acts].realisations;
        known[self.rng.random_range(0..known.len())].clone()
    }
}

impl Node {
    /// The edge with the highest `Q + c P sqrt(N) / (1 + n)`, the first of equals.
    fn choose(&self, exploration: f64) -> usize {
        // Before the first visit the prior alone decides.
        let root = f64::from(self.visits).max(1e-8).sqrt();
        let score = |edge: &Edge| edge.value + exploration * edge.prior * root / f64::from(1 + edge.visits);
        let best = (0..self.edges.len())
            .rev()
            .max_by(|&a, &b| score(&self.edges[a]).total_cmp(&score(&self.edges[b])));
        best.expect("a dialogue has acts")
    }
}
