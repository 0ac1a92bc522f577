//! The checkpoint: what `config.json` states besides the manifest, the weights, and the model card.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{Device, Tensor};
use forethought_candle::Tensors;
use forethought_sdk::api::metrics::ReliabilityBin;
use forethought_sdk::checkpoint::{self, CONFIG, Manifest, Split, TrainedOn, WEIGHTS, damaged};
use forethought_sdk::prelude::*;

use crate::architecture::Architecture;
use crate::calibration::Calibration;
use crate::config::{Method, TrainerConfig, is_default};
use crate::network::Network;
use crate::seen::Seen;
use crate::understanding::{Understanding, Understood};
use crate::vocabulary::{Classifier, Reader, States};

/// Prefixes of the twins' tensors.
const TWINS: [&str; 2] = ["q1", "q2"];

/// Written into every checkpoint; other formats are refused.
pub(crate) const FORMAT: &str = "forethought-goal-q/1";

/// `config.json`, without the manifest.
#[data]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct CheckpointConfig {
    /// Widths of the hidden layers.
    pub(crate) hidden: Vec<usize>,
    /// The encoder whose vectors the networks read.
    pub(crate) encoder: EncoderSpec,
    /// The map from raw values to probabilities.
    pub(crate) calibration: Calibration,
    /// What it was trained on, and how.
    pub(crate) training: TrainingRecord,
    /// Measures on the test part.
    pub(crate) metrics: BTreeMap<String, f64>,
    /// Reliability table on the test part.
    pub(crate) reliability: Vec<ReliabilityBin>,
    /// How the data speak.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) style: StyleCard,
    /// How texts are read, if it was trained with a vocabulary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) understanding: Option<UnderstandingRecord>,
}

/// An [`Understanding`] without its tensors.
#[data]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct UnderstandingRecord {
    vocabulary: Vocabulary,
    /// The classifiers, where there are sentences enough to train one.
    outcome_reader: Option<ReaderRecord>,
    thought_reader: Option<ReaderRecord>,
    states: SeenRecord,
    thoughts: SeenRecord,
}

/// A [`Classifier`] without its tensors.
#[data]
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct ReaderRecord {
    threshold: f64,
    /// Whether its last row is for what has none of the meanings.
    #[serde(default)]
    refuses: bool,
    near: SeenRecord,
}

/// A [`Seen`] without its embeddings: how many there are, and up to which squared distance a text is inside.
#[data]
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct SeenRecord {
    count: usize,
    limit: Option<f64>,
}

impl UnderstandingRecord {
    pub(crate) fn of(understanding: &Understanding, dimension: usize) -> Self {
        let seen = |one: &Seen| SeenRecord { count: one.embeddings.len() / dimension, limit: one.limit };
        let reader = |one: &Understood| {
            let Classifier { weights, meanings, threshold, near } = one.reader.classifier()?;
            let refuses = weights.len() > meanings * (dimension + 1);
            Some(ReaderRecord { threshold: *threshold, refuses, near: seen(near) })
        };
        Self {
            vocabulary: understanding.vocabulary.clone(),
            outcome_reader: reader(&understanding.outcomes),
            thought_reader: reader(&understanding.thoughts),
            states: seen(&understanding.states),
            thoughts: seen(&understanding.others),
        }
    }
}

/// What a critic was trained on, and how.
#[data]
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct TrainingRecord {
    /// Seed of weights, batches and split.
    pub(crate) seed: u64,
    /// Whether this is the control of shuffled outcomes.
    pub(crate) shuffled_outcomes: bool,
    /// Gradient steps taken, and the one whose weights these are.
    pub(crate) steps: u64,
    pub(crate) best_step: u64,
    /// The whole configuration of the trainer.
    pub(crate) config: TrainerConfig,
    /// Environments and sources of the trajectories, with counts.
    pub(crate) environments: BTreeMap<String, usize>,
    pub(crate) sources: BTreeMap<String, usize>,
    /// Transitions and distinct texts in total.
    pub(crate) transitions: usize,
    pub(crate) texts: usize,
}

/// Writes a checkpoint at `out`.
pub(crate) fn write(
    out: &Path,
    split: Split,
    trained_on: Option<TrainedOn>,
    config: &CheckpointConfig,
    twins: &[Network; 2],
    understanding: Option<&Understanding>,
) -> Result<()> {
    let mut tensors = HashMap::new();
    for (prefix, network) in TWINS.into_iter().zip(twins) {
        for (name, part) in network.parts()? {
            tensors.insert(format!("{prefix}.{name}"), part.to_device(&Device::Cpu)?);
        }
    }
    if let Some(Understanding { outcomes, thoughts, states, others, .. }) = understanding {
        let dimension = config.encoder.dimension;
        let mut add = |name: &str, numbers: &[f32], columns: usize| {
            // A safetensors file cannot have empty tensors.
            if !numbers.is_empty() {
                let tensor = Tensor::from_slice(numbers, (numbers.len() / columns, columns), &Device::Cpu)?;
                tensors.insert(name.to_owned(), tensor);
            }
            Ok::<_, Error>(())
        };
        for (name, one) in [("outcomes", outcomes), ("thoughts", thoughts)] {
            add(&format!("{name}.canonical"), &one.canonical, dimension)?;
            if let Some(classifier) = one.reader.classifier() {
                add(&format!("{name}.reader"), &classifier.weights, dimension + 1)?;
                add(&format!("{name}.near"), &classifier.near.embeddings, dimension)?;
            }
        }
        add("seen.states", &states.embeddings, dimension)?;
        add("seen.thoughts", &others.embeddings, dimension)?;
    }
    let weights = forethought_candle::serialize(&tensors)?;
    let card = card(config, &split);
    let manifest = Manifest { format: FORMAT.into(), split, trained_on };
    checkpoint::write(out, &manifest, config, &weights, &card)
}

/// Reads the configuration of a checkpoint.
pub(crate) fn read_config(folder: &Path) -> Result<CheckpointConfig> {
    let config: CheckpointConfig = checkpoint::read(folder, FORMAT)?;
    let bad = |why: &str| damaged(&folder.join(CONFIG), FORMAT, why);
    config.calibration.check().map_err(|why| bad(&format!("calibration: {why}")))?;
    if config.hidden.is_empty() || config.hidden.contains(&0) || config.encoder.dimension == 0 {
        return Err(bad("hidden and encoder.dimension must be above 0"));
    }
    Ok(config)
}

/// Reads the twins of a checkpoint whose configuration has been read, and how it understands texts.
pub(crate) fn read_weights(
    folder: &Path,
    config: &CheckpointConfig,
) -> Result<([Network; 2], Option<Understanding>)> {
    let path = folder.join(WEIGHTS);
    let bytes = std::fs::read(&path).context(format!("cannot read {}", path.display()))?;
    let mut tensors = Tensors::new(&path, &bytes, &Device::Cpu)?;
    let architecture = Architecture::q(config.encoder.dimension, &config.hidden);
    let [q1, q2] = TWINS.map(|prefix| {
        let part =
            |(name, shape): (String, Vec<usize>)| tensors.take_finite(&format!("{prefix}.{name}"), &shape);
        let parts = architecture.parts().into_iter().map(part).collect::<Result<Vec<_>>>()?;
        Ok::<_, Error>(Network::from_parts(architecture.clone(), &parts)?)
    });
    let twins = [q1?, q2?];
    let Some(record) = &config.understanding else { return Ok((twins, None)) };
    let dimension = config.encoder.dimension;
    let mut take = |name: String, rows: usize, columns: usize| match rows {
        0 => Ok(Vec::new()),
        _ => Ok::<_, Error>(tensors.take_finite(&name, &[rows, columns])?.flatten_all()?.to_vec1::<f32>()?),
    };
    let mut understood = |name: &str, meanings: &[Meaning], record: Option<ReaderRecord>| {
        let canonical = take(format!("{name}.canonical"), meanings.len(), dimension)?;
        let classifier = match record {
            None => None,
            Some(ReaderRecord { threshold, refuses, near }) => {
                let (meanings, rows) = (meanings.len(), meanings.len() + usize::from(refuses));
                let weights = take(format!("{name}.reader"), rows, dimension + 1)?;
                let embeddings = take(format!("{name}.near"), near.count, dimension)?;
                Some(Classifier {
                    weights,
                    meanings,
                    threshold,
                    near: Seen { embeddings, limit: near.limit },
                })
            }
        };
        Ok::<_, Error>(Understood { reader: Reader::new(meanings, classifier), canonical })
    };
    let vocabulary = record.vocabulary.clone();
    let outcomes = understood("outcomes", &vocabulary.outcomes, record.outcome_reader)?;
    let thoughts = understood("thoughts", &vocabulary.thoughts, record.thought_reader)?;
    let mut seen = |name: &str, record: SeenRecord| {
        let embeddings = take(format!("seen.{name}"), record.count, dimension)?;
        Ok::<_, Error>(Seen { embeddings, limit: record.limit })
    };
    let (states, others) = (seen("states", record.states)?, seen("thoughts", record.thoughts)?);
    let said = States::new(&vocabulary.states);
    Ok((twins, Some(Understanding { vocabulary, outcomes, thoughts, said, states, others })))
}

/// The model card.
fn card(config: &CheckpointConfig, split: &Split) -> String {
    let CheckpointConfig { encoder, training, metrics, reliability, .. } = config;
    let counted = |counts: &BTreeMap<String, usize>| {
        counts.iter().map(|(name, count)| format!("{name} ({count})")).collect::<Vec<_>>().join(", ")
    };
    let mut text =
        String::from("---\nlibrary_name: forethought\ntags: [critic, pnlc, goal-conditioned-rl]\n---\n\n");
    text += "# Goal-conditioned critic\n\n";
    text += "`Q(state, thought, outcome)`: how likely the outcome is if the thought is followed. ";
    text += match training.config.method {
        Method::Iql => {
            "Trained by implicit Q-learning as in *Planning without Search* (arXiv 2505.18098).\n\n"
        }
        Method::Hindsight => {
            "Trained as a classifier on hindsight labels: what the recorded episode reached.\n\n"
        }
    };
    if training.shuffled_outcomes {
        text +=
            "**A control, not a critic:** outcomes were shuffled between trajectories before training.\n\n";
    }
    text += &format!(
        "- Encoder: `{}`, dimension {}{}. Another encoder is refused.\n",
        encoder.id,
        encoder.dimension,
        encoder.revision.as_ref().map(|revision| format!(", revision `{revision}`")).unwrap_or_default()
    );
    text += &format!(
        "- Trajectories: {} trained on, {} for validation and calibration, {} for the figures below; {} transitions.\n",
        split.train.len(),
        split.validation.len(),
        split.test.len(),
        training.transitions
    );
    text += &format!(
        "- Environments: {}. Sources: {}.\n",
        counted(&training.environments),
        counted(&training.sources)
    );
    text += &format!("- Step {} of {}; seed {}.\n\n", training.best_step, training.steps, training.seed);
    text += "## On held-out (state, thought, outcome) triples\n\nOutcomes are drawn from all outcomes in the data.\n\n";
    text += "| measure | value |\n|---|---|\n";
    for (name, value) in metrics {
        text += &format!("| {name} | {value:.4} |\n");
    }
    if !config.style.outcomes.is_empty() {
        text += "\n| outcome | usual value | mean return |\n|---|---|---|\n";
        for KnownOutcome { text: outcome, usual, mean_return } in &config.style.outcomes {
            let mean_return = mean_return.map(|mean| format!("{mean:.3}")).unwrap_or_default();
            text += &format!("| {} | {usual:.3} | {mean_return} |\n", outcome.replace(['|', '\n'], " "));
        }
    }
    text += "\n| stated | count | mean stated | observed |\n|---|---|---|---|\n";
    for bin in reliability.iter().filter(|bin| bin.count > 0.0) {
        text += &format!(
            "| {:.1}–{:.1} | {} | {:.3} | {:.3} |\n",
            bin.low, bin.high, bin.count, bin.predicted, bin.observed
        );
    }
    if config.understanding.is_none() && matches!(config.calibration, Calibration::Isotonic { .. }) {
        text += &format!(
            "\nAn estimate in Python, from the encoder's embeddings:\n\n```python\n{}```\n",
            include_str!("estimate.py")
        );
    }
    text
}
