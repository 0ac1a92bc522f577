//! What is learned from: recorded steps over distinct texts, and what their episodes led to.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use forethought_sdk::checkpoint::{Split, encode};
use forethought_sdk::prelude::*;
use forethought_sdk::seed::{ChaCha8Rng, RngExt, SliceRandom};

/// Index of a distinct text.
pub(crate) type TextId = u32;

/// A recorded step, its texts by their ids.
#[data]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Recorded {
    /// Index of its trajectory.
    pub(crate) trajectory: usize,
    pub(crate) state: TextId,
    pub(crate) thought: TextId,
    /// The outcomes that the state after it holds.
    pub(crate) outcomes: Vec<TextId>,
    /// The summary of that state, which can be asked about as well.
    pub(crate) next: Option<TextId>,
}

/// Some trajectories.
#[derive(Debug, Clone, Default)]
pub(crate) struct Corpus {
    pub(crate) texts: Vec<String>,
    pub(crate) steps: Vec<Recorded>,
    /// First step of each trajectory, and one past the last of all.
    pub(crate) starts: Vec<usize>,
    pub(crate) episodes: Vec<String>,
}

/// Distinct texts, and the id of each.
#[derive(Default)]
pub(crate) struct Interner(pub(crate) Vec<String>, HashMap<String, TextId>);

impl Interner {
    pub(crate) fn id(&mut self, text: &str) -> TextId {
        let text = text.trim();
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
    /// # Errors
    /// A step without a state, or no outcome at all.
    pub(crate) fn new(trajectories: &[&Trajectory]) -> Result<Self> {
        // Without a single sentence, the summaries of states are the outcomes.
        let mut all = trajectories.iter().flat_map(|one| &one.steps);
        let sentences = all.any(|step| step.said().next().is_some());
        let mut interner = Interner::default();
        let mut corpus = Self { starts: vec![0], ..Self::default() };
        for (trajectory, recorded) in trajectories.iter().enumerate() {
            for (index, step) in recorded.steps.iter().enumerate() {
                if step.state.trim().is_empty() {
                    return Err(Error::input(format!(
                        "episode {}, step {index}: the state summary is empty; a critic learns from summaries, so collect or \
                         import with a summariser",
                        recorded.episode
                    )));
                }
                let next = (!step.next_state.trim().is_empty()).then(|| interner.id(&step.next_state));
                let outcomes: Vec<TextId> = match sentences {
                    true => step.said().map(|said| interner.id(said)).collect(),
                    false => next.into_iter().collect(),
                };
                let (state, thought) = (interner.id(&step.state), interner.id(&step.thought));
                corpus.steps.push(Recorded { trajectory, state, thought, outcomes, next });
            }
            corpus.starts.push(corpus.steps.len());
            corpus.episodes.push(recorded.episode.clone());
        }
        corpus.texts = interner.0;
        Ok(corpus)
    }

    /// Every occurrence of an outcome.
    ///
    /// # Errors
    /// If no step names an outcome or a next state.
    pub(crate) fn marginal(&self) -> Result<Vec<TextId>> {
        let marginal: Vec<TextId> = self.steps.iter().flat_map(|step| &step.outcomes).copied().collect();
        match marginal.is_empty() {
            true => Err(Error::input("no step names an outcome or a next state: there is nothing to learn")),
            false => Ok(marginal),
        }
    }

    /// Separates states and thoughts from what followed them: the control of shuffled outcomes.
    pub(crate) fn shuffle(&mut self, rng: &mut ChaCha8Rng) {
        let mut pairs: Vec<_> = self.steps.iter().map(|one| (one.state, one.thought)).collect();
        pairs.shuffle(rng);
        for (step, (state, thought)) in self.steps.iter_mut().zip(pairs) {
            (step.state, step.thought) = (state, thought);
        }
    }

    /// The steps from `step` to the end of its episode.
    pub(crate) fn future(&self, step: usize) -> &[Recorded] {
        &self.steps[step..self.starts[self.steps[step].trajectory + 1]]
    }

    /// How soon the future of a step reached what `likeness` likens to 1, discounted: 1 at once, 0 never.
    pub(crate) fn value(&self, step: usize, gamma: f64, likeness: impl Fn(TextId) -> f64) -> f64 {
        let (mut best, mut discount) = (0.0_f64, 1.0);
        for later in self.future(step) {
            let like = later.outcomes.iter().chain(&later.next).map(|&text| likeness(text));
            best = like.fold(best, |best, like| best.max(discount * like));
            discount *= gamma;
            if discount <= best {
                break;
            }
        }
        best
    }

    /// Whether the future of a step of this corpus holds a text of another.
    pub(crate) fn reached(&self, step: usize, text: &str) -> bool {
        let holds = |later: &Recorded| {
            later.outcomes.iter().chain(&later.next).any(|&id| self.texts[id as usize] == text)
        };
        self.future(step).iter().any(holds)
    }

    /// The embedding of each text.
    pub(crate) async fn embed(
        &self,
        encoder: &dyn TextEncoder,
        spec: &EncoderSpec,
        progress: &dyn Progress,
        stage: &str,
    ) -> Result<Vec<f32>> {
        embed(&self.texts, encoder, spec, progress, stage).await
    }
}

/// The embedding of each text.
pub(crate) async fn embed(
    texts: &[String],
    encoder: &dyn TextEncoder,
    spec: &EncoderSpec,
    progress: &dyn Progress,
    stage: &str,
) -> Result<Vec<f32>> {
    const PIECE: usize = 512;
    let mut vectors = Vec::with_capacity(texts.len() * spec.dimension);
    for piece in texts.chunks(PIECE) {
        vectors.extend_from_slice(encode(encoder, spec, piece.to_vec()).await?.data());
        let done = vectors.len() / spec.dimension.max(1);
        progress.report(stage.into(), done as u64, texts.len() as u64, String::new()).await?;
    }
    Ok(vectors)
}

/// Row `text` of the vectors of a corpus.
pub(crate) fn row(vectors: &[f32], dimension: usize, text: TextId) -> &[f32] {
    &vectors[text as usize * dimension..][..dimension]
}

/// Texts of queries, each embedded once.
pub(crate) struct Texts {
    interner: Interner,
    vectors: Matrix,
}

impl Texts {
    pub(crate) async fn new<'a>(
        encoder: &dyn TextEncoder,
        spec: &EncoderSpec,
        texts: impl Iterator<Item = &'a String>,
    ) -> Result<Self> {
        let mut interner = Interner::default();
        for text in texts {
            interner.id(text);
        }
        let vectors = encode(encoder, spec, interner.0.clone()).await?;
        Ok(Self { interner, vectors })
    }

    pub(crate) fn row(&self, text: &str) -> &[f32] {
        self.vectors.row(self.interner.1[text.trim()] as usize)
    }
}

/// Trajectories by part; those of one episode stay together.
pub(crate) struct Parts<'a> {
    pub(crate) train: Vec<&'a Trajectory>,
    pub(crate) validation: Vec<&'a Trajectory>,
    pub(crate) test: Vec<&'a Trajectory>,
    pub(crate) split: Split,
}

impl<'a> Parts<'a> {
    /// With the same share and seed, the parts are those of `goal-q`, so that all critics can be measured on one test
    /// part.
    pub(crate) fn new(trajectories: &'a [Trajectory], share: f64, seed: u64) -> Result<Self> {
        let trajectories: Vec<&Trajectory> =
            trajectories.iter().filter(|trajectory| !trajectory.steps.is_empty()).collect();
        let episodes: BTreeSet<&str> = trajectories.iter().map(|one| one.episode.as_str()).collect();
        let mut episodes: Vec<&str> = episodes.into_iter().collect();
        if episodes.len() < 4 {
            return Err(Error::input(format!(
                "{} episodes with steps: a critic needs at least 4 (two to learn from, one to calibrate on, one to measure \
                 on), and hundreds to be useful",
                episodes.len()
            )));
        }
        episodes.shuffle(&mut seed::stream(seed, "goal-q/split"));
        let held_out = ((episodes.len() as f64 * share).round() as usize).clamp(2, episodes.len() - 2);
        let sorted = |part: &[&str]| part.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<String>>();
        let validation = sorted(&episodes[..held_out.div_ceil(2)]);
        let test = sorted(&episodes[held_out.div_ceil(2)..held_out]);
        let train = sorted(&episodes[held_out..]);
        let of = |part: &BTreeSet<String>| {
            trajectories.iter().copied().filter(|one| part.contains(&one.episode)).collect()
        };
        Ok(Self {
            train: of(&train),
            validation: of(&validation),
            test: of(&test),
            split: Split {
                train: train.into_iter().collect(),
                validation: validation.into_iter().collect(),
                test: test.into_iter().collect(),
            },
        })
    }
}

impl Parts<'_> {
    /// What is learned from, and what is held out, with shuffled outcomes if `fit` requests the control.
    ///
    /// # Errors
    /// As [`Corpus::new`].
    pub(crate) fn corpora(&self, kind: &str, fit: &TrainingRequest) -> Result<[Corpus; 3]> {
        let corpus = |part: &[&Trajectory], name: &str| {
            let mut corpus = Corpus::new(part)?;
            if fit.shuffle_outcomes {
                corpus.shuffle(&mut seed::stream(fit.seed, &format!("{kind}/shuffle{name}")));
            }
            Ok::<_, Error>(corpus)
        };
        Ok([corpus(&self.train, "")?, corpus(&self.validation, " validation")?, corpus(&self.test, " test")?])
    }
}

/// A question about a held-out step: an outcome of the data that is learned from, and whether it was reached.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question {
    pub(crate) step: usize,
    pub(crate) goal: TextId,
    pub(crate) reached: bool,
}

/// `each` questions about every one of `steps` of `held_out`, with outcomes drawn from `marginal`, which are texts of
/// `learned`.
pub(crate) fn questions(
    held_out: &Corpus,
    steps: &[usize],
    (learned, marginal): (&Corpus, &[TextId]),
    each: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<Question> {
    let mut questions = Vec::with_capacity(steps.len() * each);
    for &step in steps {
        for _ in 0..each {
            let goal = marginal[rng.random_range(0..marginal.len())];
            let reached = held_out.reached(step, &learned.texts[goal as usize]);
            questions.push(Question { step, goal, reached });
        }
    }
    questions
}

/// Where the data come from, counted: for the model card.
pub(crate) fn sources(trajectories: &[Trajectory]) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for one in trajectories {
        *found.entry(one.environment.clone()).or_default() += 1;
    }
    found
}
