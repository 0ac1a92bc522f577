//! Proposals: what could be done in a state.

use forethought_sdk::{answers::Unread, futures::future::join_all, prelude::*};

use super::{Place, Search, tree::Node};
use crate::{allowance, inner::Inner, react::React};

/// Who proposes.
pub(super) enum Proposer {
    /// The model, in one answer. All samples share a prompt.
    Own(Box<React>),
    /// Another planner.
    Named(Inner),
}

impl Proposer {
    pub(super) fn named(&self) -> Option<&Inner> {
        match self {
            Self::Own(_) => None,
            Self::Named(inner) => Some(inner),
        }
    }
}

/// What was found in a state.
#[derive(Default)]
pub(super) struct Growth {
    /// The different actions, in the order in which they were first proposed, each with an estimate.
    pub(super) children: Vec<Node>,
    pub(super) unread: Unread,
    pub(super) rounds: Vec<Round>,
    pub(super) summary: Option<Summary>,
    pub(super) proposed: Vec<Decision>,
}

impl Search<'_> {
    /// Samples proposals in a state, and values the different ones unless nothing depends on it.
    pub(super) async fn grow(&self, place: &Place, samples: usize, valued: bool) -> Result<Growth> {
        let messages = match &self.with.proposer {
            Proposer::Own(react) => react.messages(&place.context)?,
            Proposer::Named(_) => Vec::new(),
        };
        let sample = |index: usize| {
            let seed = seed::derive(self.context.seed, &format!("{} sample {index}", place.name));
            let messages = messages.clone();
            async move {
                match &self.with.proposer {
                    Proposer::Own(react) => react.sample(&place.context, messages, seed, self.models).await,
                    Proposer::Named(inner) => {
                        let context = DecisionContext { seed, ..place.context.clone() };
                        inner.decide(context, &self.models_in(&place.state)).await
                    }
                }
            }
        };
        let root = place.state.depth == 0;
        // Where a budget allows few samples, the first wave has few.
        let said = match root {
            true => allowance::samples(self.models, samples, (1, 0), sample).await?,
            false => {
                let all = join_all((0..samples).map(sample)).await.into_iter().enumerate();
                all.map(|(index, one)| Ok((index, one?))).collect::<Result<_>>()?
            }
        };
        let said: Vec<Decision> = said.into_iter().map(|(_, decision)| decision).collect();
        let mut growth = Growth::default();
        // Nothing is better than an action without words, unless there are no others.
        let words = said.iter().any(|decision| !decision.action.text.is_empty());
        let mut proposals: Vec<(&Decision, usize)> = Vec::new();
        for decision in said.iter().filter(|decision| !(words && decision.action.text.is_empty())) {
            match proposals.iter_mut().find(|(known, _)| known.action.text == decision.action.text) {
                Some((_, times)) => *times += 1,
                None => proposals.push((decision, 1)),
            }
        }
        let child = |(decision, _): &(&Decision, usize)| Node::of(&decision.thought, &decision.action.text);
        growth.children = proposals.iter().map(child).collect();
        if valued {
            let different: Vec<&Decision> = proposals.iter().map(|(decision, _)| *decision).collect();
            match self.estimate(place, &different, &mut growth).await {
                Err(error) if error.code == Code::Budget && root => {
                    growth.unread.without(format!("the proposals have no estimates ({error})"));
                }
                estimated => estimated?,
            }
            for (child, (_, times)) in growth.children.iter_mut().zip(&proposals) {
                child.value = self.with.mixing.of(child.value, *times as f64 / said.len() as f64);
            }
        }
        match self.with.proposer {
            Proposer::Named(_) if root => growth.proposed = said,
            _ => said.into_iter().for_each(|decision| growth.unread.append(difficulties(decision.trace))),
        }
        Ok(growth)
    }
}

/// What a proposer could not read, which says nothing of the action that is taken in the end.
fn difficulties(Trace { recoveries, mut faults, .. }: Trace) -> Unread {
    for of_the_action in ["unread", "unevaluated", "abstained"] {
        faults.remove(of_the_action);
    }
    Unread { recoveries, faults }
}
