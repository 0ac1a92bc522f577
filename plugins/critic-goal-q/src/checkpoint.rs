//! The checkpoint folder, laid out as on the Hugging Face Hub: `model.safetensors`, `config.json`, `README.md`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use forethought_sdk::api::metrics::ReliabilityBin;
use forethought_sdk::prelude::*;
use forethought_sdk::serde_json;

use crate::calibration::Calibration;
use crate::config::TrainerConfig;
use crate::network::{Architecture, Network};

pub(crate) const WEIGHTS: &str = "model.safetensors";
pub(crate) const CONFIG: &str = "config.json";
pub(crate) const CARD: &str = "README.md";

/// Prefixes of the twins' tensors.
const TWINS: [&str; 2] = ["q1", "q2"];

/// Written into every checkpoint; a reader refuses what it does not know.
const FORMAT: &str = "forethought-goal-q/1";

/// `config.json`.
#[data]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct CheckpointConfig {
    /// Name and version of this format.
    pub(crate) format: String,
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
    /// Transitions and distinct texts in all.
    pub(crate) transitions: usize,
    pub(crate) texts: usize,
    /// Episodes, by part.
    pub(crate) split: Split,
}

/// Episode ids by part. Whoever evaluates must leave out `train`, and had better leave out `validation`.
#[data]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Split {
    /// Learned from.
    pub(crate) train: Vec<String>,
    /// Chose the step, fitted the calibration.
    pub(crate) validation: Vec<String>,
    /// Only measured on.
    pub(crate) test: Vec<String>,
}

impl CheckpointConfig {
    /// The configuration of a fresh checkpoint.
    pub(crate) fn new(
        encoder: EncoderSpec,
        calibration: Calibration,
        training: TrainingRecord,
        metrics: BTreeMap<String, f64>,
        reliability: Vec<ReliabilityBin>,
    ) -> Self {
        let hidden = training.config.hidden.clone();
        Self { format: FORMAT.into(), hidden, encoder, calibration, training, metrics, reliability }
    }
}

/// Writes a checkpoint at `out`. Until all of it is on disk, what stood at `out` stays as it was.
pub(crate) fn write(out: &Path, config: &CheckpointConfig, twins: &[Network; 2]) -> Result<()> {
    replaceable(out)?;
    let parent = match out.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let writing = || format!("cannot write the checkpoint {}", out.display());
    std::fs::create_dir_all(parent).context(writing())?;
    let fresh = tempfile::Builder::new().prefix(".checkpoint-").tempdir_in(parent).context(writing())?;
    let mut tensors = HashMap::new();
    for (prefix, network) in TWINS.into_iter().zip(twins) {
        for (name, part) in network.parts().context(writing())? {
            tensors.insert(format!("{prefix}.{name}"), part.to_device(&Device::Cpu).context(writing())?);
        }
    }
    candle_core::safetensors::save(&tensors, fresh.path().join(WEIGHTS)).context(writing())?;
    let mut json = serde_json::to_string_pretty(config).context(writing())?;
    json.push('\n');
    std::fs::write(fresh.path().join(CONFIG), json).context(writing())?;
    std::fs::write(fresh.path().join(CARD), card(config)).context(writing())?;
    // A temporary folder is private to its owner; a checkpoint is an ordinary folder.
    #[cfg(unix)]
    std::fs::set_permissions(fresh.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .context(writing())?;

    // A folder cannot be renamed over one that is not empty: the old one steps aside, and goes when the new one stands.
    let aside = tempfile::Builder::new().prefix(".checkpoint-old-").tempdir_in(parent).context(writing())?;
    let old = aside.path().join("old");
    let replaced = out.exists();
    if replaced {
        std::fs::rename(out, &old).context(writing())?;
    }
    if let Err(error) = std::fs::rename(fresh.path(), out) {
        if replaced {
            // Better the old checkpoint than none; if even that fails, the first error is the one to show.
            let _ = std::fs::rename(&old, out);
        }
        return Err(error).context(writing());
    }
    // It has moved: there is nothing left for the guard to delete.
    let _ = fresh.keep();
    Ok(())
}

/// Refuses to replace anything but an older checkpoint or an empty folder.
pub(crate) fn replaceable(out: &Path) -> Result<()> {
    if !out.exists() {
        return Ok(());
    }
    let ours = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|entry| [WEIGHTS, CONFIG, CARD].iter().any(|name| entry.file_name() == *name))
    };
    if std::fs::read_dir(out).is_ok_and(|mut entries| entries.all(ours)) {
        return Ok(());
    }
    Err(Error::input(format!(
        "{} exists and holds other things than a checkpoint: choose another folder",
        out.display()
    )))
}

/// Reads the configuration of a checkpoint.
pub(crate) fn read_config(folder: &Path) -> Result<CheckpointConfig> {
    let path = folder.join(CONFIG);
    let reading = || format!("cannot read {}", path.display());
    let text = std::fs::read_to_string(&path).context(reading())?;
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| bad(&path, error))?;
    match value.get("format").and_then(serde_json::Value::as_str) {
        Some(FORMAT) => {}
        Some(other) => {
            return Err(bad(&path, format!("format is {other:?}, this program reads {FORMAT:?}")));
        }
        None => {
            return Err(bad(&path, format!("no key `format`: not a checkpoint of kind goal-q ({FORMAT})")));
        }
    }
    let config: CheckpointConfig = serde_json::from_value(value).map_err(|error| bad(&path, error))?;
    config.calibration.check().map_err(|why| bad(&path, format!("calibration: {why}")))?;
    if config.hidden.is_empty() || config.hidden.contains(&0) || config.encoder.dimension == 0 {
        return Err(bad(&path, "hidden and encoder.dimension must be above 0"));
    }
    Ok(config)
}

/// Reads the twins of a checkpoint whose configuration has been read.
pub(crate) fn read_twins(folder: &Path, config: &CheckpointConfig, device: &Device) -> Result<[Network; 2]> {
    let path = folder.join(WEIGHTS);
    let bytes = std::fs::read(&path).context(format!("cannot read {}", path.display()))?;
    let mut tensors: HashMap<String, Tensor> =
        candle_core::safetensors::load_buffer(&bytes, device).map_err(|error| bad(&path, error))?;
    let architecture = Architecture::q(config.encoder.dimension, &config.hidden);
    let [q1, q2] = TWINS.map(|prefix| {
        let mut parts = Vec::new();
        for (name, shape) in architecture.parts() {
            let name = format!("{prefix}.{name}");
            let tensor = tensors.remove(&name).ok_or_else(|| bad(&path, format!("no tensor {name:?}")))?;
            if tensor.dims() != shape.as_slice() || tensor.dtype() != DType::F32 {
                let (dims, dtype) = (tensor.dims(), tensor.dtype());
                return Err(bad(
                    &path,
                    format!("tensor {name:?} is {dtype:?} {dims:?}, {CONFIG} calls for F32 {shape:?}"),
                ));
            }
            let numbers =
                tensor.flatten_all().and_then(|all| all.to_vec1::<f32>()).map_err(|e| bad(&path, e))?;
            if numbers.iter().any(|number| !number.is_finite()) {
                return Err(bad(&path, format!("tensor {name:?} holds numbers that are not finite")));
            }
            parts.push(tensor);
        }
        Network::from_parts(architecture.clone(), &parts).map_err(|error| bad(&path, error))
    });
    Ok([q1?, q2?])
}

fn bad(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::input(format!("{} is damaged or not a goal-q checkpoint: {why}", path.display()))
}

/// The model card.
fn card(config: &CheckpointConfig) -> String {
    let CheckpointConfig { encoder, training, metrics, reliability, .. } = config;
    let counted = |counts: &BTreeMap<String, usize>| {
        counts.iter().map(|(name, count)| format!("{name} ({count})")).collect::<Vec<_>>().join(", ")
    };
    let mut text =
        String::from("---\nlibrary_name: forethought\ntags: [critic, pnlc, goal-conditioned-rl]\n---\n\n");
    text += "# Goal-conditioned critic\n\n";
    text += "`Q(state, thought, outcome)`: how likely the outcome is if the thought is followed. Trained by implicit \
             Q-learning as in *Planning without Search* (arXiv 2505.18098).\n\n";
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
        training.split.train.len(),
        training.split.validation.len(),
        training.split.test.len(),
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
    text += "\n| stated | count | mean stated | observed |\n|---|---|---|---|\n";
    for bin in reliability.iter().filter(|bin| bin.count > 0.0) {
        text += &format!(
            "| {:.1}–{:.1} | {} | {:.3} | {:.3} |\n",
            bin.low, bin.high, bin.count, bin.predicted, bin.observed
        );
    }
    text
}
