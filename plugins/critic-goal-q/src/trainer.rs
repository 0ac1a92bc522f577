//! A training from start to end: split, intern, encode, learn, calibrate, measure, write.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use candle_core::Device;
use forethought_candle::device;
use forethought_sdk::api::metrics::{self, Scored};
use forethought_sdk::checkpoint::{Split, TrainedOn, replaceable};
use forethought_sdk::prelude::*;
use forethought_sdk::seed::{ChaCha8Rng, SliceRandom};
use forethought_sdk::serde_json::json;
use forethought_sdk::snapshot::Snapshot;
use rayon::prelude::*;
use tokio::sync::mpsc;

use crate::architecture::Input;
use crate::calibration::Calibration;
use crate::card::{self, style_card};
use crate::checkpoint::{self, CheckpointConfig, TrainingRecord, UnderstandingRecord};
use crate::config::{CalibrationKind, TrainerConfig};
use crate::cpu::FlushDenormals;
use crate::engine::{Ahead, Engine};
use crate::goals::{Corpus, Sampler, TextId, Triple};
use crate::label::label;
use crate::network::Network;
use crate::ranking::Thoughts;
use crate::snapshot::{self, Place};
use crate::table::{Embeddings, Table};
use crate::understanding::Understanding;
use crate::vocabulary::{self, States};

/// Fewer trajectories than this rarely make a critic that helps.
const FEW: usize = 100;

struct GoalQTrainer {
    config: TrainerConfig,
    encoder: Arc<dyn TextEncoder>,
    host: Arc<dyn Host>,
    vocabulary: Option<Vocabulary>,
}

register! {
    interface: dyn CriticTrainer,
    kind: "goal-q",
    summary: "trains a goal-conditioned critic by implicit Q-learning (PNLC, arXiv 2505.18098) or on hindsight labels",
    config: TrainerConfig,
    new: |config: TrainerConfig, host: Arc<dyn Host>| async move {
        config.check()?;
        let vocabulary = config.vocabulary.as_ref().map(vocabulary::load).transpose()?;
        let encoder = host.encoder(config.encoder.clone()).await?;
        Ok(Arc::new(GoalQTrainer { config, encoder, host, vocabulary }) as _)
    },
}

#[async_trait]
impl CriticTrainer for GoalQTrainer {
    async fn fit(&self, mut fit: TrainingRequest, progress: Arc<dyn Progress>) -> Result<TrainingReport> {
        // Checked now rather than after minutes of work.
        replaceable(&fit.out)?;
        let device = device(&self.config.device).context("trainer goal-q")?;
        Engine::check(&self.config, &device)?;
        fit.trajectories.retain(|trajectory| !trajectory.steps.is_empty());
        let parts = Parts::new(&fit.trajectories, self.config.validation_fraction, fit.seed)?;
        let mut shuffle = seed::stream(fit.seed, "goal-q/shuffle");
        if let Some(Vocabulary { states, .. }) = &self.vocabulary {
            let states = States::new(states);
            for step in fit.trajectories.iter_mut().flat_map(|one| &mut one.steps) {
                for text in [&mut step.state, &mut step.next_state] {
                    *text = states.read(std::mem::take(text));
                }
            }
        }
        let mut corpus =
            Corpus::new(&fit.trajectories, &self.config.goals, fit.shuffle_outcomes.then_some(&mut shuffle))?;
        if let Some(vocabulary) = &self.vocabulary {
            corpus.add(Understanding::texts(vocabulary, &corpus).iter().map(String::as_str));
        }
        let encoder = self.encoder.spec().await?;
        let snapshot = |stage| {
            Snapshot::new(&fit, stage, &(checkpoint::FORMAT, &self.config, &encoder, &self.vocabulary))
        };
        let (embedded, snapshot) = (snapshot("encode")?, snapshot("train")?);
        let (record, trained_on) = (describe(&fit.trajectories), fit.trained_on(&parts.split));
        let scores = fit.trajectories.iter().map(Trajectory::score).collect();
        // The texts are in the corpus. Beyond a million steps the rest is more than all that follows needs.
        drop(std::mem::take(&mut fit.trajectories));
        let memory = self.config.embeddings_in_memory_mb.saturating_mul(1 << 20);
        let asked = (&*self.encoder, &encoder);
        let embeddings = Embeddings::of(&corpus.texts, asked, memory, &*progress, embedded).await?;

        let train_transitions = parts.train.iter().map(|&one| corpus.steps(one).len()).sum();
        let (steps, _) = self.config.schedule(train_transitions);
        let (updates, mut received) = mpsc::channel(4);
        let work = Work {
            config: self.config.clone(),
            seed: fit.seed,
            shuffled: fit.shuffle_outcomes,
            out: fit.out.clone(),
            record,
            scores,
            vocabulary: self.vocabulary.clone(),
            trained_on,
            parts,
            corpus,
            encoder,
            device,
            snapshot,
            updates,
        };
        let training = tokio::task::spawn_blocking(move || {
            let pool = threads(work.config.threads)?;
            pool.install(|| work.run(embeddings))
        });
        // When this future is dropped the receiver goes with it, and the training stops at its next step.
        let mut reported = Ok(());
        while reported.is_ok()
            && let Some(Update { done, note }) = received.recv().await
        {
            reported = progress.report("train".into(), done, steps, note).await;
        }
        // After the error nothing is written any more: the same training may begin again at once.
        drop(received);
        let trained = training.await.context("the training thread died")?;
        reported.and(trained)
    }

    async fn label(&self, request: LabelRequest, progress: Arc<dyn Progress>) -> Result<Vocabulary> {
        let config = &self.config.label;
        let name = config.llm.clone().ok_or_else(|| {
            Error::config(
                "trainer goal-q: label.llm is missing: name the language model that reads the sentences",
            )
        })?;
        let llm = self.host.llm(name).await?;
        label(config, &*llm, &request, &*progress).await
    }
}

/// Threads for the arithmetic; 0 is one for each core.
pub(crate) fn threads(count: usize) -> Result<rayon::ThreadPool> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(count).thread_name(|at| format!("goal-q {at}"));
    // The threads compute nothing else, so the setting stays.
    let pool = pool.start_handler(|_| std::mem::forget(FlushDenormals::new()));
    pool.build().context("trainer goal-q: threads: cannot start them")
}

/// Indices of trajectories by part; trajectories of one episode stay together.
struct Parts {
    train: Vec<usize>,
    validation: Vec<usize>,
    test: Vec<usize>,
    split: Split,
}

impl Parts {
    fn new(trajectories: &[Trajectory], fraction: f64, seed: u64) -> Result<Self> {
        // Sorted, so that the split does not depend on the order in which files were read.
        let episodes: BTreeSet<&str> = trajectories.iter().map(|one| one.episode.as_str()).collect();
        let mut episodes: Vec<&str> = episodes.into_iter().collect();
        if episodes.len() < 4 {
            return Err(Error::input(format!(
                "{} episodes with steps: a critic needs at least 4 (two to learn from, one to calibrate on, one to \
                 measure on), and hundreds to be useful",
                episodes.len()
            )));
        }
        episodes.shuffle(&mut seed::stream(seed, "goal-q/split"));
        let held_out = ((episodes.len() as f64 * fraction).round() as usize).clamp(2, episodes.len() - 2);
        let sorted = |part: &[&str]| part.iter().map(|id| id.to_string()).collect::<BTreeSet<_>>();
        let validation = sorted(&episodes[..held_out.div_ceil(2)]);
        let test = sorted(&episodes[held_out.div_ceil(2)..held_out]);
        let train = sorted(&episodes[held_out..]);
        let members = |part: &BTreeSet<String>| {
            (0..trajectories.len()).filter(|&index| part.contains(&trajectories[index].episode)).collect()
        };
        Ok(Self {
            train: members(&train),
            validation: members(&validation),
            test: members(&test),
            split: Split {
                train: train.into_iter().collect(),
                validation: validation.into_iter().collect(),
                test: test.into_iter().collect(),
            },
        })
    }
}

/// Where the data come from, counted.
fn describe(trajectories: &[Trajectory]) -> TrainingRecord {
    let mut record = TrainingRecord::default();
    for trajectory in trajectories {
        *record.environments.entry(trajectory.environment.clone()).or_default() += 1;
        *record.sources.entry(trajectory.source.clone()).or_default() += 1;
    }
    record
}

struct Update {
    done: u64,
    note: String,
}

/// Everything that the training thread needs.
struct Work {
    config: TrainerConfig,
    seed: u64,
    shuffled: bool,
    out: PathBuf,
    record: TrainingRecord,
    /// The score of each trajectory.
    scores: Vec<f64>,
    vocabulary: Option<Vocabulary>,
    parts: Parts,
    trained_on: Option<TrainedOn>,
    corpus: Corpus,
    encoder: EncoderSpec,
    device: Device,
    snapshot: Snapshot,
    updates: mpsc::Sender<Update>,
}

/// The weights to keep so far.
struct Best {
    measured: Measured,
    step: u64,
    twins: [Network; 2],
}

/// What the validation part says of a step's weights.
struct Measured {
    /// Brier score after Platt scaling, and how much of it is owed to knowing the thought.
    brier: f64,
    thought_gain: Option<f64>,
    /// Raw values of the validation triples, and whether each outcome was reached.
    pairs: Vec<(f64, bool)>,
}

impl Measured {
    /// Whether a planner gains more by these weights: by what they know of the state, and once more by what they know
    /// of the thought. The Brier score alone is flat while the thought is still learned. The gain alone is high after
    /// few steps, when all that is known is little.
    fn beats(&self, other: &Self) -> bool {
        let loss = |one: &Self| one.brier - one.thought_gain.unwrap_or_default();
        loss(self) < loss(other)
    }
}

impl Work {
    fn run(self, embeddings: Embeddings) -> Result<TrainingReport> {
        let Self { config, seed, shuffled, out, record, scores, vocabulary, parts, .. } = self;
        let Self { trained_on, mut corpus, encoder, device, mut snapshot, updates, .. } = self;
        let held_out: Vec<usize> = parts.validation.iter().chain(&parts.test).copied().collect();
        let mut warnings = Vec::new();
        if corpus.trajectories() < FEW {
            let few = corpus.trajectories();
            warnings.push(format!("{few} trajectories are few: a critic that helps needs hundreds"));
        }
        let mut understanding = None;
        let mut reading = None;
        if let Some(vocabulary) = &vocabulary {
            let parts = [parts.train.as_slice(), &held_out];
            let (learned, report) = Understanding::learn(
                vocabulary,
                &mut corpus,
                embeddings.numbers(),
                encoder.dimension,
                parts,
            )?;
            let unread = report["unread_outcomes"].as_f64().unwrap_or_default();
            if unread > 0.5 {
                warnings.push(format!(
                    "{:.0} % of the outcome sentences are not read as any meaning of the vocabulary: label these data \
                     again with `forethought label`",
                    100.0 * unread
                ));
            }
            let accepted = report["outcomes"]["accepted"].as_f64().unwrap_or_default();
            if accepted < 0.3 && !vocabulary.outcomes.is_empty() {
                warnings.push(format!(
                    "only {:.0} % of the outcome sentences can be read when they are left out of the vocabulary, so the \
                     critic will call most new ones outside its data: list more sentences, or use an encoder of meanings \
                     such as [encoder.minilm]",
                    100.0 * accepted
                ));
            }
            (understanding, reading) = (Some(learned), Some(report));
        } else if let Some(share) = corpus.said_once()
            && share > 0.5
        {
            warnings.push(format!(
                "{:.0} % of the outcome sentences occur in one episode only: an outcome in other words counts as not \
                 reached. Group sentences of one meaning with `forethought label`, and name its file in [trainer.NAME] \
                 vocabulary",
                100.0 * share
            ));
        }
        let table = Table::new(embeddings, &device)?;
        let triples = |part: &[usize], name| {
            corpus.triples(part, config.validation_goals, &mut seed::stream(seed, name))
        };
        let validation = triples(&parts.validation, "goal-q/validation");
        let test = triples(&parts.test, "goal-q/test");
        let mut looks = seed::stream(seed, "goal-q/looks");
        let sample = sample(&validation, config.validation_goals, config.validation_triples, &mut looks);
        let mut engine =
            Engine::new(&config, encoder.dimension, &device, &mut seed::stream(seed, "goal-q/weights"))?;

        // Learn. Keep the step that knows most on the validation part; losses are not comparable across steps,
        // because V moves the targets.
        let ranking =
            |triples| Thoughts::new(&corpus, &table, &parts.train, (triples, config.validation_goals));
        let thoughts = ranking(&validation)?;
        let sampler = Sampler::new(&corpus, &parts.train, &config);
        let mut rng = seed::stream(seed, "goal-q/batches");
        let (most, every) = config.schedule(sampler.pool());
        let pass = config.steps_of_pass(sampler.pool());
        let mut best: Option<Best> = None;
        let (mut stale, mut history, mut steps) = (0, Vec::new(), 0);
        let patient = |stale| config.patience == 0 || stale < config.patience;
        // Elsewhere than on the CPU, the state of the optimiser cannot be read.
        if let Some(state) = snapshot.read().filter(|_| device.is_cpu()) {
            let (place, twins) = snapshot::restore(&state, &mut engine)?;
            rng.set_word_pos(place.drawn.into());
            (stale, history, steps) = (place.stale, place.history, place.steps);
            let measured = measured(&twins, &table, &sample, &thoughts)?;
            best = Some(Best { measured, step: place.best, twins });
        }
        std::thread::scope(|scope| {
            let ahead = Ahead::new(scope, &sampler, &table, &engine, rng)?;
            while steps < most && patient(stale) {
                let ready = ahead.next()?;
                let losses = engine.step(&table, &ready)?;
                steps += 1;
                if updates.is_closed() {
                    return Err(Error::new(Code::Cancelled, "training was cancelled"));
                }
                if steps % every == 0 || steps == most {
                    let averaged = engine.averaged()?;
                    let measured = measured(averaged, &table, &sample, &thoughts)?;
                    let (brier, gain) = (measured.brier, measured.thought_gain);
                    history.push(json!({
                        "step": steps, "loss_q": losses.q, "loss_v": losses.v, "brier": brier, "thought_gain": gain,
                    }));
                    let gain = gain.map(|gain| format!(", thought gain {gain:.4}")).unwrap_or_default();
                    let passes = steps as f64 / pass;
                    let note = format!(
                        "loss {:.4}, validation Brier {brier:.4}{gain}, {passes:.1} passes",
                        losses.q
                    );
                    if best.as_ref().is_none_or(|best| measured.beats(&best.measured)) {
                        let [q1, q2] = averaged;
                        best = Some(Best { measured, step: steps, twins: [q1.copy()?, q2.copy()?] });
                        stale = 0;
                    } else {
                        stale += 1;
                    }
                    if let Some(best) = best.as_ref().filter(|_| device.is_cpu()) {
                        let history = history.clone();
                        let place = Place { steps, stale, best: best.step, history, drawn: ready.drawn };
                        snapshot.keep(|| snapshot::state(&place, &mut engine, &best.twins));
                    }
                    // A slow reader of progress must not slow the training: updates that do not fit are dropped.
                    let _ = updates.try_send(Update { done: steps, note });
                }
                ahead.recycle(ready);
            }
            Ok(())
        })?;
        let Best { step: best_step, twins, measured: Measured { mut pairs, .. } } =
            best.expect("the last step is always evaluated");
        if sample.len() < validation.len() {
            pairs = labelled(&raw_values(&twins, &table, &validation)?, &validation);
        }

        // Calibrate on the validation part, measure on the test part.
        let calibration = Calibration::fit(config.calibration, &pairs);
        let on_test = labelled(&raw_values(&twins, &table, &test)?, &test);
        let shown = scored(&calibration, &on_test);
        let raw = scored(&Calibration::None, &on_test);
        let base = pairs.iter().filter(|(_, reached)| *reached).count() as f64 / pairs.len() as f64;
        let by_base: Vec<Scored> = on_test.iter().map(|&(_, reached)| Scored::new(base, reached)).collect();
        let mut measures = BTreeMap::from([
            ("triples".to_owned(), shown.len() as f64),
            ("base_rate".to_owned(), metrics::base_rate(&shown)),
            ("brier".to_owned(), metrics::brier(&shown)),
            ("brier_raw".to_owned(), metrics::brier(&raw)),
            ("brier_base_rate".to_owned(), metrics::brier(&by_base)),
            ("ece".to_owned(), metrics::ece(&shown, 10)),
            ("ece_raw".to_owned(), metrics::ece(&raw, 10)),
        ]);
        // Undefined if every outcome was reached, or none.
        if let Some(auc) = metrics::auc(&shown) {
            measures.insert("auc".to_owned(), auc);
        }
        let values = |triples: &[Triple]| raw_values(&twins, &table, triples);
        let thoughts = ranking(&test)?;
        let ranked = thoughts.ranked(&values(&thoughts.asked)?, &calibration);
        measures.extend(ranked.spread().map(|spread| ("thought_spread".to_owned(), spread)));
        measures.extend(ranked.gain().map(|gain| ("thought_gain".to_owned(), gain)));
        measures.extend(ranked.auc().map(|auc| ("advantage_auc".to_owned(), auc)));
        if !shuffled && measures["brier"] >= measures["brier_base_rate"] {
            warnings.push("on held-out data this critic is no better than the base rate alone".to_owned());
        }
        let card = |vocabulary: &Vocabulary| {
            let sources = card::Sources {
                corpus: &corpus,
                table: &table,
                train: &parts.train,
                held_out: &held_out,
                scores: &scores,
                vocabulary,
            };
            style_card(&sources, |triples| {
                Ok(values(triples)?.into_iter().map(|raw| calibration.probability(raw)).collect())
            })
        };
        let style = vocabulary.as_ref().map(card).transpose()?.unwrap_or_default();
        let record = TrainingRecord {
            seed,
            shuffled_outcomes: shuffled,
            steps,
            best_step,
            // The checkpoint has the vocabulary itself; where it was is nobody else's business.
            config: TrainerConfig { vocabulary: None, ..config.clone() },
            transitions: corpus.transitions(),
            texts: corpus.texts.len(),
            ..record
        };
        let details = json!({
            "history": history, "calibration": calibration, "device": config.device, "vocabulary": reading,
            "warnings": warnings, "passes": steps as f64 / pass,
            "validation_triples": validation.len(), "validation_sample": sample.len(),
        });
        let checkpoint = CheckpointConfig {
            hidden: config.hidden,
            understanding: understanding.as_ref().map(|one| UnderstandingRecord::of(one, encoder.dimension)),
            encoder,
            calibration,
            training: record,
            metrics: measures.clone(),
            reliability: metrics::reliability(&shown, 10),
            style,
        };
        // Its file, if it has one, is removed with the snapshots.
        drop(table);
        checkpoint::write(&out, parts.split, trained_on, &checkpoint, &twins, understanding.as_ref())?;
        Ok(TrainingReport {
            steps,
            best_step,
            train_trajectories: parts.train.len(),
            validation_trajectories: parts.validation.len() + parts.test.len(),
            metrics: measures,
            details,
        })
    }
}

/// At most `most` of the triples, of which `per_step` in a row are of one step: those of steps that are drawn evenly.
fn sample(triples: &[Triple], per_step: usize, most: usize, rng: &mut ChaCha8Rng) -> Vec<Triple> {
    if triples.len() <= most {
        return triples.to_vec();
    }
    let mut steps: Vec<usize> = (0..triples.len() / per_step).collect();
    let (drawn, _) = steps.partial_shuffle(rng, (most / per_step).max(1));
    drawn.sort_unstable();
    drawn.iter().flat_map(|step| &triples[step * per_step..][..per_step]).copied().collect()
}

/// The raw value of each triple: the mean of the twins.
fn raw_values(twins: &[Network; 2], table: &Table, triples: &[Triple]) -> Result<Vec<f64>> {
    const ROWS: usize = 1024;
    let values = |piece: &[Triple]| {
        let input =
            |text: fn(&Triple) -> TextId| Input::new(table, &piece.iter().map(text).collect::<Vec<_>>());
        let inputs = [input(|one| one.state)?, input(|one| one.thought)?, input(|one| one.goal)?];
        let [q1, q2] = twins.each_ref().map(|network| network.forward(&inputs.each_ref())?.to_vec1::<f32>());
        Ok(q1?.iter().zip(q2?).map(|(q1, q2)| (f64::from(*q1) + f64::from(q2)) / 2.0).collect::<Vec<_>>())
    };
    let pieces = triples.par_chunks(ROWS).map(values).collect::<Result<Vec<_>>>()?;
    Ok(pieces.concat())
}

fn measured(
    twins: &[Network; 2],
    table: &Table,
    triples: &[Triple],
    thoughts: &Thoughts,
) -> Result<Measured> {
    let pairs = labelled(&raw_values(twins, table, triples)?, triples);
    let calibration = Calibration::fit(CalibrationKind::Platt, &pairs);
    let brier = metrics::brier(&scored(&calibration, &pairs));
    let thought_gain = thoughts.ranked(&raw_values(twins, table, &thoughts.asked)?, &calibration).gain();
    Ok(Measured { brier, thought_gain, pairs })
}

fn labelled(values: &[f64], triples: &[Triple]) -> Vec<(f64, bool)> {
    values.iter().zip(triples).map(|(&value, triple)| (value, triple.reached)).collect()
}

fn scored(calibration: &Calibration, pairs: &[(f64, bool)]) -> Vec<Scored> {
    pairs.iter().map(|&(raw, reached)| Scored::new(calibration.probability(raw), reached)).collect()
}
