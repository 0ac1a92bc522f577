//! Walks: from a leaf on, to the end of an episode or to the limit of depth.

use forethought_sdk::{answers::Unread, futures::future::join_all, prelude::*, serde_json::json};

use super::{
    Place, Search,
    grow::Growth,
    tree::{Node, ROOT, best},
    world::State,
};
use crate::ask::{Label::One, Said};

/// How a walk goes on below the tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RollOut {
    /// Proposals per step, of which the best is followed; 0 for no roll-out.
    pub(crate) samples: usize,
    /// Most actions from the root on.
    pub(crate) depth: usize,
}

/// Where a walk came to.
pub(crate) struct Walk {
    /// The last node of the tree on the way: the best child of the leaf, or the leaf if nothing comes after it.
    pub(crate) node: u32,
    /// What the seat got on the way, in a copy of the world.
    pub(crate) reward: f64,
    pub(crate) ended: bool,
    pub(crate) success: bool,
    /// The estimates of the node and of the steps of the roll-out after it.
    pub(crate) estimates: Vec<f64>,
    end: Place,
}

impl Walk {
    /// Its true reward, with this weight; the rest is the estimate.
    pub(crate) fn value(&self, rewards: f64) -> f64 {
        let estimate = if self.ended { 1.0 - rewards } else { 1.0 };
        rewards * self.reward + estimate * self.estimates.last().copied().unwrap_or_default()
    }
}

/// What a walk found, before it is put into the tree.
struct Found {
    /// The state of the leaf, if it was not known before.
    entered: Option<Arc<State>>,
    growth: Growth,
    chosen: Option<usize>,
    end: Place,
    estimates: Vec<f64>,
}

impl Search<'_> {
    /// [`Search::walk`], if the budget of the decision allows it. The first wave makes do with what it allows; of a later
    /// one that comes to its limit nothing is used, because which of its calls was refused is chance.
    pub(crate) async fn advance(
        &mut self,
        leaves: &[u32],
        breadth: usize,
        on: RollOut,
    ) -> Result<Option<Vec<Walk>>> {
        let first = self.tree.children(ROOT).is_empty();
        if !self.waves.affordable(self.models, 0).await? && !first {
            return Ok(None);
        }
        match self.walk(leaves, breadth, on).await {
            Err(error) if error.code == Code::Budget && !first => Ok(None),
            walks => Ok(Some(walks?)),
        }
    }

    /// Walks on from several leaves at once: expands each, and rolls out from its best child.
    async fn walk(&mut self, leaves: &[u32], breadth: usize, on: RollOut) -> Result<Vec<Walk>> {
        let found = join_all(leaves.iter().map(|leaf| self.explore(*leaf, breadth, on))).await;
        let mut walks = Vec::new();
        for (&leaf, found) in leaves.iter().zip(found) {
            let Found { entered, growth, chosen, end, estimates } = found?;
            if let Some(state) = entered {
                self.tree.at_mut(leaf).state = Some(state);
                self.tree.settle(self.tree.at(leaf).parent);
            }
            let children = self.add(leaf, growth);
            let node = chosen.map_or(leaf, |chosen| children.start + chosen as u32);
            let State { reward, ended, .. } = *end.state;
            let success = ended && self.with.rewards > 0.0 && reward >= self.with.solved;
            // With other seats it proves nothing: in another imagined world the same may fail.
            let alone = self.context.environment.seats.len() <= 1;
            if success && alone && self.solution.is_empty() {
                let steps = end.context.history.iter().skip(self.context.history.len());
                let step = |step: &Exchange| (step.thought.clone(), step.action.clone());
                self.solution = steps.map(step).collect();
            }
            walks.push(Walk { node, reward, ended, success, estimates, end });
        }
        Ok(walks)
    }

    /// Puts what was found in a leaf into the tree.
    pub(super) fn add(&mut self, leaf: u32, growth: Growth) -> std::ops::Range<u32> {
        self.unread.append(growth.unread);
        if leaf == ROOT {
            (self.rounds, self.summary, self.proposed) = (growth.rounds, growth.summary, growth.proposed);
        }
        let children = self.tree.expand(leaf, growth.children);
        self.tree.settle(leaf);
        children
    }

    /// Goes on from a leaf, level by level. Only the first level is kept; what comes below is a roll-out.
    async fn explore(&self, leaf: u32, breadth: usize, on: RollOut) -> Result<Found> {
        let (mut place, entered, mut unread) = self.arrive(leaf).await?;
        let mut estimates = vec![self.tree.at(leaf).value];
        let (mut kept, mut samples) = (None, breadth);
        while samples > 0 && !place.state.ended && place.state.depth < on.depth {
            // Values that choose nothing are of use at the end alone.
            let valued = kept.is_none() || samples > 1 || place.state.depth + 1 == on.depth;
            let (mut growth, chosen, next) = match self.level(&place, samples, valued, on.samples > 0).await {
                // What the first wave has is better than nothing.
                Err(error) if error.code == Code::Budget && leaf == ROOT && kept.is_some() => break,
                level => level?,
            };
            unread.append(std::mem::take(&mut growth.unread));
            let Some(chosen) = chosen else { break };
            if kept.is_none() {
                estimates.clear();
            }
            estimates.push(growth.children[chosen].value);
            kept = kept.or(Some((growth, chosen)));
            // Without a roll-out, an action that nobody took leads nowhere yet.
            let Some(next) = next else { break };
            place = next;
            samples = on.samples;
        }
        let (mut growth, chosen) = match kept {
            Some((growth, chosen)) => (growth, Some(chosen)),
            None => (Growth::default(), None),
        };
        growth.unread = unread;
        Ok(Found { entered, growth, chosen, end: place, estimates })
    }

    /// One level of a walk: what could be done, the best of it, and where that leads, if it is to be taken or was.
    async fn level(
        &self,
        place: &Place,
        samples: usize,
        valued: bool,
        taken: bool,
    ) -> Result<(Growth, Option<usize>, Option<Place>)> {
        let mut growth = self.grow(place, samples, valued).await?;
        let chosen = best(0..growth.children.len(), |child| growth.children[child].value);
        let Some(index) = chosen else { return Ok((growth, None, None)) };
        let child = &mut growth.children[index];
        if child.state.is_none() && taken {
            let draw = format!("{} taken", place.name);
            let (state, unread) = self.enter(place, &child.thought, &child.action, &draw).await?;
            child.state = Some(Arc::new(state));
            growth.unread.append(unread);
        }
        let next = place.after(&growth.children[index], format!("{} on", place.name));
        Ok((growth, chosen, next))
    }

    /// The place of a node. If its action was not taken yet, it is taken now: then also the state.
    async fn arrive(&self, node: u32) -> Result<(Place, Option<Arc<State>>, Unread)> {
        let Node { parent, thought, action, state, .. } = self.tree.at(node);
        if state.is_some() {
            return Ok((self.place(node)?, None, Unread::default()));
        }
        let before = self.place(*parent)?;
        let (state, unread) = self.enter(&before, thought, action, &format!("node {node} entered")).await?;
        let state = Arc::new(state);
        let mut taken = Node::of(thought, action);
        taken.state = Some(state.clone());
        let place = before.after(&taken, format!("node {node}"));
        Ok((place.ok_or_else(|| Error::other("a node without a state"))?, Some(state), unread))
    }

    /// Has the model say why an attempt failed, and what to do differently.
    pub(crate) async fn reflect(&mut self, walk: &Walk) -> Result<()> {
        let mut asker = self.asker(&format!("{} reflect {}", walk.end.name, self.reflections.len()));
        let messages = self.with.prompts.messages("reflexion", &walk.end.context, json!({}))?;
        let read = |said: &Said<'_>| said.text("Reflection");
        let reflection = match asker.ask_for(&[One("Reflection")], Purpose::Reflect, messages, read).await {
            // What the budget does not pay is not learned.
            Err(error) if error.code == Code::Budget => return Ok(()),
            reflection => reflection?,
        };
        self.unread.append(asker.unread);
        self.reflections.extend(reflection.ok());
        Ok(())
    }
}
