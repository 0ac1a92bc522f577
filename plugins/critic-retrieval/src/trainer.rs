//! A training of `retrieval` from start to end: split, encode, choose the distances, calibrate, measure, write.

use std::collections::{BTreeMap, HashMap};

use forethought_sdk::api::metrics::{self, Ranking, Scored, evenly};
use forethought_sdk::calibration::Platt;
use forethought_sdk::checkpoint::replaceable;
use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::{Value, json};

use crate::checkpoint::{self, Checkpoint, Learned};
use crate::config::RetrievalConfig;
use crate::data::{self, Corpus, Parts, Question, questions, sources};
use crate::index::{Goal, Index, Scales};

/// Weights of the thought's distance that are tried.
const THOUGHT: [f32; 5] = [0.5, 1.0, 2.0, 4.0, 8.0];
/// Widths that are tried, as shares of the usual distance of a question's neighbours.
const WIDTH: [f32; 3] = [0.1, 0.3, 1.0];
/// Held-out steps that are asked about, and those of them whose thoughts are compared with others.
const ASKED: usize = 400;
const RANKED: usize = 100;
/// Held-out steps between two reports of progress.
const PIECE: usize = 8;
/// Fewer trajectories than this rarely make a critic that helps.
const FEW: usize = 100;

struct RetrievalTrainer {
    config: RetrievalConfig,
    encoder: Arc<dyn TextEncoder>,
}

register! {
    interface: dyn CriticTrainer,
    kind: "retrieval",
    summary: "keeps recorded steps, and chooses how near they must be to a question to count",
    config: RetrievalConfig,
    new: |config: RetrievalConfig, host: Arc<dyn Host>| async move {
        config.check()?;
        let encoder = host.encoder(config.encoder.clone()).await?;
        Ok(Arc::new(RetrievalTrainer { config, encoder }) as _)
    },
}

#[async_trait]
impl CriticTrainer for RetrievalTrainer {
    async fn fit(&self, fit: TrainingRequest, progress: Arc<dyn Progress>) -> Result<TrainingReport> {
        replaceable(&fit.out)?;
        let parts = Parts::new(&fit.trajectories, self.config.validation_fraction, fit.seed)?;
        let [train, validation, test] = parts.corpora("retrieval", &fit)?;
        train.marginal()?;
        let spec = self.encoder.spec().await?;
        let embed =
            async |corpus: &Corpus, stage| corpus.embed(&*self.encoder, &spec, &*progress, stage).await;
        let vectors = embed(&train, "encode").await?;
        let index = Arc::new(Index::new(train, vectors, spec.dimension));
        let held_out = async |corpus: Corpus, stage: &'static str| {
            let vectors = embed(&corpus, stage).await?;
            Ok::<_, Error>(HeldOut::new(index.clone(), corpus, vectors, (&self.config, fit.seed, stage)))
        };
        let validation = Arc::new(held_out(validation, "encode validation").await?);
        let test = Arc::new(held_out(test, "encode test").await?);

        let all: Vec<Scales> = THOUGHT
            .into_iter()
            .flat_map(|thought| {
                let usual = validation.usual_distance(thought);
                WIDTH.map(|share| Scales { thought, width: share * usual })
            })
            .collect();
        let tried = tried(&validation, all.clone(), "choose", &*progress).await?;
        let measured: Vec<(Platt, f64, Option<f64>)> = tried.iter().map(Tried::measured).collect();
        let loss = |&(_, brier, gain): &(Platt, f64, Option<f64>)| brier - gain.unwrap_or_default();
        let best = (0..all.len()).min_by(|&a, &b| loss(&measured[a]).total_cmp(&loss(&measured[b])));
        let best = best.expect("several are tried");
        let (scales, calibration) = (all[best], measured[best].0);

        let on_test = tried_once(&test, scales, &*progress).await?;
        let base = share(&tried[best].pairs);
        let mut measures = on_test.metrics(calibration, base);
        measures.insert("thought_weight".into(), f64::from(scales.thought));
        measures.insert("width".into(), f64::from(scales.width));
        let mut warnings = Vec::new();
        if fit.trajectories.len() < FEW {
            let few = fit.trajectories.len();
            warnings.push(format!("{few} trajectories are few: a critic that helps needs hundreds"));
        }
        if !fit.shuffle_outcomes && measures["brier"] >= measures["brier_base_rate"] {
            warnings.push("on held-out data this critic is no better than the base rate alone".to_owned());
        }
        let choice = |(scales, (_, brier, gain)): (&Scales, &(Platt, f64, Option<f64>))| json!({ "thought": scales.thought, "width": scales.width, "brier": brier, "thought_gain": gain });
        let details = json!({
            "tried": all.iter().zip(&measured).map(choice).collect::<Vec<Value>>(), "warnings": warnings,
        });
        let report = TrainingReport {
            steps: all.len() as u64,
            best_step: best as u64 + 1,
            train_trajectories: parts.train.len(),
            validation_trajectories: parts.validation.len() + parts.test.len(),
            metrics: measures.clone(),
            details,
        };
        let learned = Learned {
            scales,
            outcome_width: validation.outcome_width,
            calibration,
            distances: validation.distances(scales.thought),
            outcome_distances: validation.outcome_distances(),
        };
        let checkpoint = Checkpoint {
            encoder: spec,
            config: self.config.clone(),
            learned,
            seed: fit.seed,
            shuffled_outcomes: fit.shuffle_outcomes,
            environments: sources(&fit.trajectories),
            metrics: measures,
        };
        checkpoint::write(&fit, parts.split, &checkpoint, &index)?;
        Ok(report)
    }
}

/// A held-out part, and what is asked about it.
struct HeldOut {
    index: Arc<Index>,
    corpus: Corpus,
    vectors: Vec<f32>,
    /// Steps, each with the questions about it.
    asked: Vec<(usize, Vec<Question>)>,
    goals: HashMap<u32, Goal>,
    outcome_width: f32,
    neighbours: usize,
    gamma: f64,
}

/// What one choice of [`Scales`] says of a part.
#[derive(Default)]
struct Tried {
    pairs: Vec<(f64, bool)>,
    /// The values of a thought and of others in its place, and whether the outcome was reached.
    compared: Vec<(f64, Vec<f64>, bool)>,
}

impl Tried {
    fn add(&mut self, other: Self) {
        self.pairs.extend(other.pairs);
        self.compared.extend(other.compared);
    }

    fn ranking(&self, calibration: Platt) -> Ranking {
        let estimate =
            |&raw: &f64| Estimate { raw, probability: calibration.probability(raw), ..Estimate::default() };
        let mut ranking = Ranking::default();
        for (own, others, reached) in &self.compared {
            ranking.add(&estimate(own), &others.iter().map(estimate).collect::<Vec<_>>(), *reached);
        }
        ranking
    }

    /// The calibration on these values, the Brier score under it, and what knowing the thought adds.
    fn measured(&self) -> (Platt, f64, Option<f64>) {
        let calibration = Platt::fit(&self.pairs);
        (calibration, metrics::brier(&scored(&self.pairs, calibration)), self.ranking(calibration).gain())
    }

    fn metrics(&self, calibration: Platt, base: f64) -> BTreeMap<String, f64> {
        let mut measures = measures(&self.pairs, calibration, base);
        let ranking = self.ranking(calibration);
        let more = [
            ("thought_spread", ranking.spread()),
            ("thought_gain", ranking.gain()),
            ("advantage_auc", ranking.auc()),
        ];
        measures.extend(more.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        measures
    }
}

impl HeldOut {
    fn new(
        index: Arc<Index>,
        corpus: Corpus,
        vectors: Vec<f32>,
        (config, seed, name): (&RetrievalConfig, u64, &str),
    ) -> Self {
        let steps: Vec<usize> = (0..corpus.steps.len()).collect();
        let steps: Vec<usize> = evenly(&steps, ASKED).collect();
        let mut rng = seed::stream(seed, &format!("retrieval/{name}"));
        let marginal = index.corpus.marginal().unwrap_or_default();
        let each = config.validation_goals;
        let all = questions(&corpus, &steps, (&index.corpus, &marginal), each, &mut rng);
        let outcome_width = index.between_outcomes();
        let mut goals = HashMap::new();
        for one in &all {
            let text = &index.corpus.texts[one.goal as usize];
            let goal = || index.goal(text, index.row(one.goal), (outcome_width, config.gamma));
            goals.entry(one.goal).or_insert_with(goal);
        }
        let asked = steps.into_iter().zip(all.chunks(each)).map(|(step, all)| (step, all.to_vec())).collect();
        let (neighbours, gamma) = (config.neighbours, config.gamma);
        Self { index, corpus, vectors, asked, goals, outcome_width, neighbours, gamma }
    }

    fn row(&self, text: u32) -> &[f32] {
        data::row(&self.vectors, self.index.dimension, text)
    }

    /// Distances of a step to the distinct states and thoughts.
    fn distances_of(&self, step: usize) -> [Vec<f32>; 2] {
        let step = &self.corpus.steps[step];
        [self.index.to_states(self.row(step.state)), self.index.to_thoughts(self.row(step.thought))]
    }

    /// The median distance of the neighbours of a question.
    fn usual_distance(&self, thought: f32) -> f32 {
        let mean = |(step, _): &(usize, Vec<Question>)| {
            let [states, thoughts] = self.distances_of(*step);
            let near = self.index.nearest(&states, &thoughts, thought, self.neighbours);
            near.iter().map(|one| one.distance).sum::<f32>() / near.len().max(1) as f32
        };
        let mut all: Vec<f32> =
            self.asked.iter().step_by(self.asked.len().div_ceil(RANKED)).map(mean).collect();
        all.sort_by(f32::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or(1.0).max(1e-3)
    }

    /// What each of `scales` says about the step at `place`.
    fn try_step(&self, place: usize, scales: &[Scales]) -> Vec<Tried> {
        let Self { index, gamma, .. } = self;
        let (step, questions) = &self.asked[place];
        let [states, thoughts] = self.distances_of(*step);
        let ranked = place.is_multiple_of(self.asked.len().div_ceil(RANKED));
        let others = if ranked { self.others(*step, &states) } else { Vec::new() };
        let others: Vec<Vec<f32>> =
            others.into_iter().map(|text| index.to_thoughts(index.row(text))).collect();
        let mut found = Vec::with_capacity(scales.len());
        let mut near = Vec::new();
        let mut near_others = Vec::new();
        let mut before = f32::NAN;
        for &one in scales {
            if one.thought != before {
                let nearest = |said| index.nearest(&states, said, one.thought, self.neighbours);
                near = nearest(&thoughts);
                near_others = others.iter().map(|said| nearest(said)).collect::<Vec<_>>();
                before = one.thought;
            }
            let mut tried = Tried::default();
            for question in questions {
                let goal = &self.goals[&question.goal];
                let own = index.value(&near, goal, one, *gamma).value;
                tried.pairs.push((own, question.reached));
                let value = |near: &Vec<_>| index.value(near, goal, one, *gamma).value;
                let others: Vec<f64> = near_others.iter().map(value).collect();
                if !others.is_empty() {
                    tried.compared.push((own, others, question.reached));
                }
            }
            found.push(tried);
        }
        found
    }

    /// Thoughts that the recorded steps of the most similar states have.
    fn others(&self, step: usize, states: &[f32]) -> Vec<u32> {
        let steps: Vec<usize> = (0..self.index.corpus.steps.len()).collect();
        let pool: Vec<usize> = evenly(&steps, Ranking::POOL).collect();
        let of_steps = self.index.of_steps(states);
        let distances: Vec<f32> = pool.iter().map(|&one| of_steps[one]).collect();
        let said: Vec<&str> = pool.iter().map(|&one| self.thought_of(one)).collect();
        let own = self.corpus.texts[self.corpus.steps[step].thought as usize].as_str();
        let others = Ranking::others(own, &said, &distances);
        let first: HashMap<&str, u32> = pool
            .iter()
            .rev()
            .map(|&one| (self.thought_of(one), self.index.corpus.steps[one].thought))
            .collect();
        others.into_iter().map(|text| first[text]).collect()
    }

    fn thought_of(&self, step: usize) -> &str {
        &self.index.corpus.texts[self.index.corpus.steps[step].thought as usize]
    }

    /// How far the nearest recorded step of held-out ones is, in order.
    fn distances(&self, thought: f32) -> Vec<f32> {
        let nearest = |(step, _): &(usize, Vec<Question>)| {
            let [states, thoughts] = self.distances_of(*step);
            self.index.nearest(&states, &thoughts, thought, 1)[0].distance
        };
        let mut all: Vec<f32> = self.asked.iter().map(nearest).collect();
        all.sort_by(f32::total_cmp);
        all
    }

    /// How far the nearest recorded outcome of held-out ones is, in order.
    fn outcome_distances(&self) -> Vec<f32> {
        let said: Vec<u32> =
            self.corpus.steps.iter().flat_map(|step| step.outcomes.iter().copied()).collect();
        let nearest = |text: u32| {
            let goal = self.corpus.texts[text as usize].as_str();
            self.index.goal(goal, self.row(text), (self.outcome_width, self.gamma)).distance
        };
        let mut all: Vec<f32> = evenly(&said, ASKED).map(nearest).collect();
        all.sort_by(f32::total_cmp);
        all
    }
}

/// What each of `scales` says of a part, in a thread of its own.
async fn tried(
    part: &Arc<HeldOut>,
    scales: Vec<Scales>,
    stage: &str,
    progress: &dyn Progress,
) -> Result<Vec<Tried>> {
    let scales = Arc::new(scales);
    let mut all: Vec<Tried> = scales.iter().map(|_| Tried::default()).collect();
    let total = part.asked.len();
    for start in (0..total).step_by(PIECE) {
        let (part, scales) = (part.clone(), scales.clone());
        let piece = start..(start + PIECE).min(total);
        let done = piece.end as u64;
        let work = move || piece.map(|place| part.try_step(place, &scales)).collect::<Vec<_>>();
        for step in tokio::task::spawn_blocking(work).await.context("the training thread died")? {
            all.iter_mut().zip(step).for_each(|(all, one)| all.add(one));
        }
        progress.report(stage.into(), done, total as u64, String::new()).await?;
    }
    Ok(all)
}

async fn tried_once(part: &Arc<HeldOut>, scales: Scales, progress: &dyn Progress) -> Result<Tried> {
    Ok(tried(part, vec![scales], "measure", progress).await?.pop().expect("one was tried"))
}

pub(crate) fn scored(pairs: &[(f64, bool)], calibration: Platt) -> Vec<Scored> {
    pairs.iter().map(|&(raw, reached)| Scored::new(calibration.probability(raw), reached)).collect()
}

pub(crate) fn share(pairs: &[(f64, bool)]) -> f64 {
    pairs.iter().filter(|(_, reached)| *reached).count() as f64 / pairs.len().max(1) as f64
}

/// The measures of values and whether each outcome was reached.
pub(crate) fn measures(pairs: &[(f64, bool)], calibration: Platt, base: f64) -> BTreeMap<String, f64> {
    let shown = scored(pairs, calibration);
    let by_base: Vec<Scored> = pairs.iter().map(|&(_, reached)| Scored::new(base, reached)).collect();
    let mut measures = BTreeMap::from([
        ("triples".to_owned(), shown.len() as f64),
        ("base_rate".to_owned(), metrics::base_rate(&shown)),
        ("brier".to_owned(), metrics::brier(&shown)),
        ("brier_base_rate".to_owned(), metrics::brier(&by_base)),
        ("ece".to_owned(), metrics::ece(&shown, 10)),
    ]);
    // Undefined if every outcome was reached, or none.
    measures.extend(metrics::auc(&shown).map(|auc| ("auc".to_owned(), auc)));
    measures
}
