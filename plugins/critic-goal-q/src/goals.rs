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

use std::collections::hash_map::{DefaultHasher, Entry};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{Hash, Hasher};

use forethought_sdk::prelude::*;
use forethought_sdk::seed::{ChaCha8Rng, RngExt, SliceRandom};

use crate::config::{FutureSteps, GoalConfig, Method, TrainerConfig};

/// Index of a distinct text.
pub(crate) type TextId = u32;

/// One step, its texts interned.
#[derive(Debug, Clone)]
pub(crate) struct Transition {
    pub(crate) trajectory: u32,
    pub(crate) state: TextId,
    pub(crate) thought: TextId,
    pub(crate) next: TextId,
    pub(crate) terminated: bool,
}

/// All trajectories as transitions over distinct texts.
pub(crate) struct Corpus {
    pub(crate) texts: Vec<String>,
    transitions: Vec<Transition>,
    /// First transition of each trajectory, and one past the last of all.
    starts: Vec<usize>,
    /// Goal texts of the states after the steps.
    reached: Lists,
    /// Goal texts of the first state of each trajectory.
    openings: Lists,
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
    /// 1 where the rest of the episode reaches the goal, if the sampler looks ahead.
    pub(crate) came: Vec<f32>,
}

impl Batch {
    fn clear(&mut self) {
        for texts in [&mut self.states, &mut self.thoughts, &mut self.nexts, &mut self.goals] {
            texts.clear();
        }
        for numbers in [&mut self.reached, &mut self.alive, &mut self.came] {
            numbers.clear();
        }
    }
}

/// Lists of texts, one after the other.
#[derive(Debug, Default)]
struct Lists {
    texts: Vec<TextId>,
    ends: Vec<usize>,
}

impl Lists {
    fn push(&mut self, list: impl IntoIterator<Item = TextId>) {
        self.texts.extend(list);
        self.ends.push(self.texts.len());
    }
    fn get(&self, index: usize) -> &[TextId] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.texts[start..self.ends[index]]
    }
    /// Each list replaced by what `by` makes of it.
    fn map(&self, mut by: impl FnMut(&[TextId]) -> Vec<TextId>) -> Self {
        let mut mapped = Self::default();
        for index in 0..self.ends.len() {
            mapped.push(by(self.get(index)));
        }
        mapped
    }
}

/// Where an outcome occurs.
#[derive(Debug, Default)]
pub(crate) struct Occurrences {
    pub(crate) trajectories: Vec<usize>,
    pub(crate) steps: u32,
}

/// Distinct texts. They are found by their hash, because a second copy of each would take as much memory again.
#[derive(Default)]
struct Interner {
    texts: Vec<String>,
    /// The first text of each hash, and those that share the hash of another.
    ids: HashMap<u64, TextId>,
    others: HashMap<String, TextId>,
}

impl Interner {
    fn id(&mut self, text: &str) -> TextId {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let id = self.texts.len() as TextId;
        match self.ids.entry(hasher.finish()) {
            Entry::Vacant(free) => {
                free.insert(id);
            }
            Entry::Occupied(taken) if self.texts[*taken.get() as usize] == text => return *taken.get(),
            Entry::Occupied(_) => match self.others.get(text) {
                Some(&other) => return other,
                None => {
                    self.others.insert(text.to_owned(), id);
                }
            },
        }
        self.texts.push(text.to_owned());
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
        let (mut reached, mut openings) = (Lists::default(), Lists::default());
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
                let summary = (goals.use_states_as_goals && !step.next_state.is_empty())
                    .then(|| interner.id(&step.next_state));
                let outcomes = sentences(step, goals.use_states_as_goals)
                    .filter(|_| goals.use_outcomes_as_goals)
                    .map(|outcome| interner.id(outcome));
                reached.push(summary.into_iter().chain(outcomes));
                transitions.push(Transition {
                    trajectory: trajectory as u32,
                    state: interner.id(&step.state),
                    thought: interner.id(&step.thought),
                    next: interner.id(next),
                    terminated: step.terminated,
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
            texts: interner.texts,
            transitions,
            starts,
            reached,
            openings: Lists::default(),
            marginal: Vec::new(),
            sentences: !outcomes.is_empty(),
            goals_said: HashMap::new(),
            thoughts_said: HashMap::new(),
            rivals: HashMap::new(),
        };
        if let Some(rng) = shuffle {
            corpus.shuffle(rng);
        }
        let everything = corpus.reached.texts.iter().copied();
        // Without outcome sentences there is only one style of goal: the summaries.
        corpus.marginal = everything
            .filter(|&goal| outcomes.is_empty() || outcomes.contains(corpus.texts[goal as usize].as_str()))
            .collect();
        if corpus.marginal.is_empty() {
            return Err(Error::input(
                "no step names an outcome: goals come from Step.outcomes and Step.next_state, as allowed by goals.use_*_as_goals",
            ));
        }
        for trajectory in 0..corpus.trajectories() {
            let steps = &corpus.transitions[corpus.steps(trajectory)];
            openings.push(steps.first().map(|step| step.state).filter(|_| goals.use_states_as_goals));
        }
        corpus.openings = openings;
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
        (self.reached, self.openings) = (self.reached.map(canonical), self.openings.map(canonical));
        for step in &mut self.transitions {
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
        for (index, step) in self.transitions.iter().enumerate() {
            for goal in self.reached.get(index).iter().filter(|goal| asked.contains(goal)) {
                let occurrences = found.entry(*goal).or_default();
                occurrences.steps += 1;
                if occurrences.trajectories.last() != Some(&(step.trajectory as usize)) {
                    occurrences.trajectories.push(step.trajectory as usize);
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
    fn settles(&self, index: usize, goal: TextId) -> Option<bool> {
        let reached = self.reached.get(index);
        if reached.contains(&goal) {
            return Some(true);
        }
        let mut rivals = self.rivals.get(&goal)?.iter();
        rivals.any(|rival| reached.contains(rival)).then_some(false)
    }

    /// Whether the rest of the recorded episode, this step included, reaches the goal.
    fn comes(&self, index: usize, goal: TextId) -> bool {
        let end = self.steps(self.transitions[index].trajectory as usize).end;
        (index..end).find_map(|later| self.settles(later, goal)).unwrap_or(false)
    }

    /// Goal texts of the state before a step.
    fn current(&self, index: usize) -> &[TextId] {
        let trajectory = self.transitions[index].trajectory as usize;
        if index > self.starts[trajectory] {
            self.reached.get(index - 1)
        } else {
            self.openings.get(trajectory)
        }
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
            for index in self.steps(trajectory) {
                let step = &self.transitions[index];
                for _ in 0..per_step {
                    let goal = self.marginal[rng.random_range(0..self.marginal.len())];
                    let reached = self.comes(index, goal);
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
    /// Whether to say of each goal if the rest of the episode reaches it.
    looks_ahead: bool,
    /// Transitions and goals of each in a batch.
    size: (usize, usize),
    /// Transitions trained on.
    pool: Vec<u32>,
}

impl<'a> Sampler<'a> {
    pub(crate) fn new(corpus: &'a Corpus, trajectories: &[usize], config: &'a TrainerConfig) -> Self {
        let steps = trajectories.iter().flat_map(|&trajectory| corpus.steps(trajectory));
        let goals_each = config.goals_per_transition;
        Self {
            corpus,
            goals: &config.goals,
            gamma: config.gamma,
            looks_ahead: config.method == Method::Hindsight,
            size: (config.batch / goals_each, goals_each),
            pool: steps.map(|index| index as u32).collect(),
        }
    }

    /// Transitions trained on.
    pub(crate) fn pool(&self) -> usize {
        self.pool.len()
    }

    /// Replaces `batch` by a fresh one.
    pub(crate) fn draw(&self, rng: &mut ChaCha8Rng, batch: &mut Batch) {
        batch.clear();
        let (transitions, goals_each) = self.size;
        for _ in 0..transitions {
            let index = self.pool[rng.random_range(0..self.pool.len())] as usize;
            let step = &self.corpus.transitions[index];
            for _ in 0..goals_each {
                let goal = self.goal(index, rng);
                batch.states.push(step.state);
                batch.thoughts.push(say(&self.corpus.thoughts_said, step.thought, rng));
                batch.nexts.push(step.next);
                batch.goals.push(say(&self.corpus.goals_said, goal, rng));
                let settled = self.corpus.settles(index, goal);
                batch.reached.push(if settled == Some(true) { 1.0 } else { 0.0 });
                batch.alive.push(if step.terminated || settled == Some(false) { 0.0 } else { 1.0 });
                if self.looks_ahead {
                    batch.came.push(if self.corpus.comes(index, goal) { 1.0 } else { 0.0 });
                }
            }
        }
    }

    /// A goal from the mixture. If the chosen source has none (a first state without a summary), a goal of another
    /// trajectory replaces it.
    fn goal(&self, index: usize, rng: &mut ChaCha8Rng) -> TextId {
        let GoalConfig { current, future, other, .. } = *self.goals;
        let draw = rng.random::<f64>() * (current + future + other);
        let own = if draw < current {
            pick(self.corpus.current(index), rng)
        } else if draw < current + future {
            pick(self.corpus.reached.get(self.future(index, rng)), rng)
        } else {
            None
        };
        own.unwrap_or_else(|| self.other(index, rng))
    }

    /// A step of its own future, this one included. The geometric law is cut at the end of the trajectory and
    /// renormalised; clipping instead would pile the mass of all later steps on the last one.
    fn future(&self, index: usize, rng: &mut ChaCha8Rng) -> usize {
        let end = self.corpus.steps(self.corpus.transitions[index].trajectory as usize).end;
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
            let other = self.pool[rng.random_range(0..self.pool.len())] as usize;
            if self.corpus.transitions[other].trajectory != own
                && let Some(goal) = pick(self.corpus.reached.get(other), rng)
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
