//! What the critic learns from: transitions over interned texts, and the goals that are drawn for them.
//!
//! # When is a goal reached?
//! `r(s', g) = 1` iff `s'` *is* the goal state: the goal was taken from that very state, or its text is literally a
//! text of that state (its summary or one of its outcome sentences). Never an embedding distance. Since every goal is
//! a text of some state, one test covers both: does the text belong to `s'`?
//!
//! Literal identity across trajectories matters. In the two-outcome check (action a reaches G with probability .9, b
//! with .1; half of the goals from other trajectories), counting a foreign goal of the same text as reached gives
//! Q = (.45 + .225) / (.45 + .225 + .025) = .964 and (.05 + .025) / (.05 + .025 + .225) = .25. Counting only
//! same-trajectory-same-index would call another trajectory's G a failure even where this one reached G as well, and
//! gives .45 / .70 = .643 and .05 / .30 = .167, further from the truth.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use forethought_sdk::prelude::*;
use forethought_sdk::seed::{ChaCha8Rng, RngExt, SliceRandom};

use crate::config::{FutureSteps, GoalConfig};

/// Index of a distinct text.
pub(crate) type TextId = u32;

/// One step, its texts interned.
#[derive(Debug, Clone)]
pub(crate) struct Transition {
    pub(crate) trajectory: usize,
    pub(crate) state: TextId,
    pub(crate) thought: TextId,
    pub(crate) next: TextId,
    pub(crate) terminated: bool,
    /// Goal texts of the state before the step.
    current: Vec<TextId>,
    /// Goal texts of the state after the step.
    reached: Vec<TextId>,
}

/// All trajectories as transitions over distinct texts.
pub(crate) struct Corpus {
    pub(crate) texts: Vec<String>,
    transitions: Vec<Transition>,
    /// First transition of each trajectory, and one past the last of all.
    starts: Vec<usize>,
    /// Every occurrence of a goal in the style that critics are asked about: the marginal of outcomes.
    marginal: Vec<TextId>,
    /// Whether these are outcome sentences, not summaries of states.
    sentences: bool,
    /// What else a canonical outcome or thought is said as, where a vocabulary lists it.
    goals_said: HashMap<TextId, Vec<TextId>>,
    thoughts_said: HashMap<TextId, Vec<TextId>>,
    /// What a goal competes with.
    rivals: HashMap<TextId, Vec<TextId>>,
}

/// How a vocabulary reads the texts of a corpus.
#[derive(Default)]
pub(crate) struct Meanings {
    /// The canonical texts of an outcome's text.
    pub(crate) outcomes: HashMap<TextId, Vec<TextId>>,
    /// The canonical text of a thought.
    pub(crate) thoughts: HashMap<TextId, TextId>,
    /// Other sentences of a canonical outcome.
    pub(crate) goals_said: HashMap<TextId, Vec<TextId>>,
    /// Other sentences of a canonical thought.
    pub(crate) thoughts_said: HashMap<TextId, Vec<TextId>>,
    /// The canonical outcomes that a canonical outcome competes with.
    pub(crate) rivals: HashMap<TextId, Vec<TextId>>,
}

/// A (state, thought, outcome) triple of a held-out trajectory and whether its own future reached the outcome.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Triple {
    pub(crate) state: TextId,
    pub(crate) thought: TextId,
    pub(crate) goal: TextId,
    pub(crate) reached: bool,
}

/// Rows of (transition, goal) to learn from.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) states: Vec<TextId>,
    pub(crate) thoughts: Vec<TextId>,
    pub(crate) nexts: Vec<TextId>,
    pub(crate) goals: Vec<TextId>,
    /// 1 where the next state is the goal.
    pub(crate) reached: Vec<f32>,
    /// 1 where the episode goes on after the step, and no rival of the goal has come.
    pub(crate) alive: Vec<f32>,
}

/// Where an outcome occurs.
#[derive(Debug, Default)]
pub(crate) struct Occurrences {
    pub(crate) trajectories: Vec<usize>,
    pub(crate) steps: u32,
}

#[derive(Default)]
struct Interner(Vec<String>, HashMap<String, TextId>);

impl Interner {
    fn id(&mut self, text: &str) -> TextId {
        if let Some(&id) = self.1.get(text) {
            return id;
        }
        let id = self.0.len() as TextId;
        self.0.push(text.to_owned());
        self.1.insert(text.to_owned(), id);
        id
    }
}

impl Corpus {
    /// Interns `trajectories`. With `shuffle`, thoughts are separated from what followed them.
    pub(crate) fn new(
        trajectories: &[Trajectory],
        goals: &GoalConfig,
        shuffle: Option<&mut ChaCha8Rng>,
    ) -> Result<Self> {
        let mut interner = Interner::default();
        let mut transitions = Vec::new();
        let mut starts = vec![0];
        for (trajectory, recorded) in trajectories.iter().enumerate() {
            for (index, step) in recorded.steps.iter().enumerate() {
                let place = || format!("episode {}, step {index}", recorded.episode);
                if step.state.trim().is_empty() {
                    return Err(Error::input(format!(
                        "{}: the state summary is empty; a critic learns from summaries, so collect or import with a summariser",
                        place()
                    )));
                }
                let following = recorded.steps.get(index + 1).map(|next| next.state.as_str());
                let next = match (step.next_state.as_str(), following) {
                    ("", Some(state)) => state,
                    // Nothing is bootstrapped from a terminal state, so its summary may be missing.
                    ("", None) if step.terminated => step.state.as_str(),
                    ("", None) => {
                        return Err(Error::input(format!(
                            "{}: next_state is empty, and there is neither a following step nor an ended episode to replace it",
                            place()
                        )));
                    }
                    (state, _) => state,
                };
                let mut reached = Vec::new();
                if goals.use_states_as_goals && !step.next_state.is_empty() {
                    reached.push(interner.id(&step.next_state));
                }
                if goals.use_outcomes_as_goals {
                    reached.extend(
                        sentences(step, goals.use_states_as_goals).map(|outcome| interner.id(outcome)),
                    );
                }
                transitions.push(Transition {
                    trajectory,
                    state: interner.id(&step.state),
                    thought: interner.id(&step.thought),
                    next: interner.id(next),
                    terminated: step.terminated,
                    current: Vec::new(),
                    reached,
                });
            }
            starts.push(transitions.len());
        }
        let outcomes: BTreeSet<&str> = if goals.use_outcomes_as_goals {
            trajectories
                .iter()
                .flat_map(|one| &one.steps)
                .flat_map(|step| sentences(step, goals.use_states_as_goals))
                .collect()
        } else {
            BTreeSet::new()
        };
        let mut corpus = Self {
            texts: interner.0,
            transitions,
            starts,
            marginal: Vec::new(),
            sentences: !outcomes.is_empty(),
            goals_said: HashMap::new(),
            thoughts_said: HashMap::new(),
            rivals: HashMap::new(),
        };
        if let Some(rng) = shuffle {
            corpus.shuffle(rng);
        }
        let everything = corpus.transitions.iter().flat_map(|one| one.reached.iter().copied());
        // Without outcome sentences there is only one style of goal: the summaries.
        corpus.marginal = everything
            .filter(|&goal| outcomes.is_empty() || outcomes.contains(corpus.texts[goal as usize].as_str()))
            .collect();
        if corpus.marginal.is_empty() {
            return Err(Error::input(
                "no step names an outcome: goals come from Step.outcomes and Step.next_state, as allowed by goals.use_*_as_goals",
            ));
        }
        for index in 0..corpus.transitions.len() {
            let trajectory = corpus.transitions[index].trajectory;
            corpus.transitions[index].current = if index > corpus.starts[trajectory] {
                corpus.transitions[index - 1].reached.clone()
            } else if goals.use_states_as_goals {
                vec![corpus.transitions[index].state]
            } else {
                Vec::new()
            };
        }
        Ok(corpus)
    }

    /// Randomly redistributes the (state, thought) pairs among all transitions. What followed which pair then says
    /// nothing, not even that some thoughts end an episode; texts, lengths, and how often and when each goal occurs
    /// stay the same.
    fn shuffle(&mut self, rng: &mut ChaCha8Rng) {
        let mut pairs: Vec<_> = self.transitions.iter().map(|one| (one.state, one.thought)).collect();
        pairs.shuffle(rng);
        for (transition, (state, thought)) in self.transitions.iter_mut().zip(pairs) {
            (transition.state, transition.thought) = (state, thought);
        }
    }

    /// Adds texts that no step has.
    pub(crate) fn add<'a>(&mut self, texts: impl Iterator<Item = &'a str>) {
        let mut known: HashSet<String> = self.texts.iter().cloned().collect();
        for text in texts {
            if known.insert(text.to_owned()) {
                self.texts.push(text.to_owned());
            }
        }
    }

    /// Replaces texts by their canonical ones. From then on a goal is reached when the state holds its canonical text.
    pub(crate) fn read_as(&mut self, meanings: Meanings) -> Result<()> {
        let Meanings { outcomes, thoughts, goals_said, thoughts_said, rivals } = meanings;
        let canonical = |goals: &[TextId]| {
            let mut taken = HashSet::new();
            goals
                .iter()
                .flat_map(|goal| outcomes.get(goal).map_or(std::slice::from_ref(goal), Vec::as_slice))
                .copied()
                .filter(|goal| taken.insert(*goal))
                .collect::<Vec<_>>()
        };
        for step in &mut self.transitions {
            (step.current, step.reached) = (canonical(&step.current), canonical(&step.reached));
            step.thought = *thoughts.get(&step.thought).unwrap_or(&step.thought);
        }
        self.marginal = self.marginal.iter().flat_map(|goal| canonical(&[*goal])).collect();
        (self.goals_said, self.thoughts_said, self.rivals) = (goals_said, thoughts_said, rivals);
        if self.marginal.is_empty() {
            return Err(Error::input(
                "no outcome of the data is listed in the vocabulary, read as one of its meanings, or said in two episodes",
            ));
        }
        Ok(())
    }

    /// The distinct outcome texts, with the number of trajectories and of steps that have them.
    pub(crate) fn outcomes(&self) -> BTreeMap<TextId, Occurrences> {
        let asked: HashSet<TextId> = self.marginal.iter().copied().collect();
        let mut found: BTreeMap<TextId, Occurrences> = BTreeMap::new();
        for step in &self.transitions {
            for goal in step.reached.iter().filter(|goal| asked.contains(goal)) {
                let occurrences = found.entry(*goal).or_default();
                occurrences.steps += 1;
                if occurrences.trajectories.last() != Some(&step.trajectory) {
                    occurrences.trajectories.push(step.trajectory);
                }
            }
        }
        found
    }

    /// The share of outcomes whose text one trajectory alone has; `None` if summaries of states are the only goals.
    pub(crate) fn said_once(&self) -> Option<f64> {
        let found = self.outcomes();
        let total: u32 = found.values().map(|one| one.steps).sum();
        let once: u32 = found.values().filter(|one| one.trajectories.len() == 1).map(|one| one.steps).sum();
        self.sentences.then(|| f64::from(once) / f64::from(total.max(1)))
    }

    /// All transitions, in order.
    pub(crate) fn all(&self) -> &[Transition] {
        &self.transitions
    }

    /// How many trajectories there are.
    pub(crate) fn trajectories(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many transitions there are.
    pub(crate) fn transitions(&self) -> usize {
        self.transitions.len()
    }

    /// Steps of one trajectory.
    pub(crate) fn steps(&self, trajectory: usize) -> std::ops::Range<usize> {
        self.starts[trajectory]..self.starts[trajectory + 1]
    }

    /// Whether the goal is reached by a step, or can no longer be because a rival came first; `None` if it is open.
    fn settles(&self, step: &Transition, goal: TextId) -> Option<bool> {
        if step.reached.contains(&goal) {
            return Some(true);
        }
        let mut rivals = self.rivals.get(&goal)?.iter();
        rivals.any(|rival| step.reached.contains(rival)).then_some(false)
    }

    /// Held-out triples: for each step of `trajectories`, `per_step` goals from the marginal of all outcomes (not from
    /// its own future), labelled by whether its own future contains them.
    pub(crate) fn triples(
        &self,
        trajectories: &[usize],
        per_step: usize,
        rng: &mut ChaCha8Rng,
    ) -> Vec<Triple> {
        let mut triples = Vec::new();
        for &trajectory in trajectories {
            let steps = self.steps(trajectory);
            for index in steps.clone() {
                let step = &self.transitions[index];
                for _ in 0..per_step {
                    let goal = self.marginal[rng.random_range(0..self.marginal.len())];
                    let mut future = self.transitions[index..steps.end].iter();
                    let reached = future.find_map(|later| self.settles(later, goal)).unwrap_or(false);
                    triples.push(Triple { state: step.state, thought: step.thought, goal, reached });
                }
            }
        }
        triples
    }
}

/// Draws batches from the trajectories that are trained on.
pub(crate) struct Sampler<'a> {
    corpus: &'a Corpus,
    goals: &'a GoalConfig,
    gamma: f64,
    /// Transitions trained on.
    pool: Vec<usize>,
}

impl<'a> Sampler<'a> {
    pub(crate) fn new(corpus: &'a Corpus, trajectories: &[usize], goals: &'a GoalConfig, gamma: f64) -> Self {
        let pool = trajectories.iter().flat_map(|&trajectory| corpus.steps(trajectory)).collect();
        Self { corpus, goals, gamma, pool }
    }

    pub(crate) fn batch(&self, transitions: usize, goals_each: usize, rng: &mut ChaCha8Rng) -> Batch {
        let mut batch = Batch::default();
        for _ in 0..transitions {
            let index = self.pool[rng.random_range(0..self.pool.len())];
            let step = &self.corpus.transitions[index];
            for _ in 0..goals_each {
                let goal = self.goal(index, rng);
                batch.states.push(step.state);
                batch.thoughts.push(say(&self.corpus.thoughts_said, step.thought, rng));
                batch.nexts.push(step.next);
                batch.goals.push(say(&self.corpus.goals_said, goal, rng));
                let settled = self.corpus.settles(step, goal);
                batch.reached.push(if settled == Some(true) { 1.0 } else { 0.0 });
                batch.alive.push(if step.terminated || settled == Some(false) { 0.0 } else { 1.0 });
            }
        }
        batch
    }

    /// A goal from the mixture. If the chosen source has none (a first state without a summary), a goal of another
    /// trajectory replaces it.
    fn goal(&self, index: usize, rng: &mut ChaCha8Rng) -> TextId {
        let GoalConfig { current, future, other, .. } = *self.goals;
        let draw = rng.random::<f64>() * (current + future + other);
        let own = if draw < current {
            pick(&self.corpus.transitions[index].current, rng)
        } else if draw < current + future {
            pick(&self.corpus.transitions[self.future(index, rng)].reached, rng)
        } else {
            None
        };
        own.unwrap_or_else(|| self.other(index, rng))
    }

    /// A step of its own future, this one included. The geometric law is cut at the end of the trajectory and
    /// renormalised; clipping instead would pile the mass of all later steps on the last one.
    fn future(&self, index: usize, rng: &mut ChaCha8Rng) -> usize {
        let end = self.corpus.steps(self.corpus.transitions[index].trajectory).end;
        let left = end - index;
        match self.goals.future_steps {
            FutureSteps::Geometric if self.gamma < 1.0 => {
                let mass = 1.0 - self.gamma.powi(left as i32);
                let ahead = (1.0 - rng.random::<f64>() * mass).ln() / self.gamma.ln();
                index + (ahead as usize).min(left - 1)
            }
            _ => index + rng.random_range(0..left),
        }
    }

    /// A goal of another trajectory. Attempts are bounded, because it may be that only one trajectory has goals.
    fn other(&self, index: usize, rng: &mut ChaCha8Rng) -> TextId {
        let own = self.corpus.transitions[index].trajectory;
        for _ in 0..64 {
            let other = &self.corpus.transitions[self.pool[rng.random_range(0..self.pool.len())]];
            if other.trajectory != own
                && let Some(goal) = pick(&other.reached, rng)
            {
                return goal;
            }
        }
        self.corpus.marginal[rng.random_range(0..self.corpus.marginal.len())]
    }
}

/// What a canonical text is said as in one row of a batch: half the time as it is, because critics are asked so where
/// they can read the words, and half the time in other words, so that the networks learn what these have in common.
fn say(said: &HashMap<TextId, Vec<TextId>>, text: TextId, rng: &mut ChaCha8Rng) -> TextId {
    match said.get(&text) {
        Some(others) if rng.random::<bool>() => pick(others, rng).unwrap_or(text),
        _ => text,
    }
}

/// The outcome sentences of a step, `without_summary` if the summary counts elsewhere.
fn sentences(step: &Step, without_summary: bool) -> Box<dyn Iterator<Item = &str> + '_> {
    match without_summary {
        true => Box::new(step.said()),
        false => Box::new(step.outcomes.iter().map(String::as_str).filter(|said| !said.trim().is_empty())),
    }
}

fn pick(goals: &[TextId], rng: &mut ChaCha8Rng) -> Option<TextId> {
    (!goals.is_empty()).then(|| goals[rng.random_range(0..goals.len())])
}
