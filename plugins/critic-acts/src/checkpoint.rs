//! The checkpoint folder, laid out as on the Hugging Face Hub: `model.safetensors`, `config.json`, `README.md`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{Device, Tensor};
use forethought_sdk::{
    prelude::*,
    serde_json::{self, Value},
};

use crate::trainer::{TrainerConfig, columns};

pub(crate) const WEIGHTS: &str = "model.safetensors";
pub(crate) const CONFIG: &str = "config.json";
pub(crate) const CARD: &str = "README.md";

/// Written into every checkpoint; a reader refuses what it does not know.
pub(crate) const FORMAT: &str = "forethought-acts/1";

/// `config.json`.
#[data]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Checkpoint {
    /// Name and version of this format.
    pub(crate) format: String,
    /// Names of the acts, in the order of the weights.
    pub(crate) acts: Vec<String>,
    /// The encoder whose vectors are read.
    pub(crate) encoder: EncoderSpec,
    /// How it was trained, and how a query is read.
    pub(crate) config: TrainerConfig,
    /// Seed of the split.
    pub(crate) seed: u64,
    /// Whether this is the control of shuffled labels.
    pub(crate) shuffled_labels: bool,
    /// Dialogues by part.
    pub(crate) split: Split,
    /// Measures on the dialogues held out.
    pub(crate) metrics: BTreeMap<String, f64>,
    /// Counts and F1 of each act.
    pub(crate) details: Value,
}

/// Episodes by part.
#[data]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Split {
    /// Learned from.
    pub(crate) train: Vec<String>,
    /// Only measured on.
    pub(crate) test: Vec<String>,
}

/// Refuses to replace anything but an older checkpoint or an empty folder.
pub(crate) fn replaceable(out: &Path) -> Result<()> {
    let ours = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|entry| [WEIGHTS, CONFIG, CARD].iter().any(|name| entry.file_name() == *name))
    };
    if !out.exists() || std::fs::read_dir(out).is_ok_and(|mut entries| entries.all(ours)) {
        return Ok(());
    }
    Err(Error::input(format!(
        "{} exists and holds other things than a checkpoint: choose another folder",
        out.display()
    )))
}

/// Writes a checkpoint at `out`. `config.json` goes first and comes last: without it a folder is no checkpoint.
pub(crate) fn write(out: &Path, checkpoint: &Checkpoint, weights: Vec<f32>) -> Result<()> {
    let writing = || format!("cannot write the checkpoint {}", out.display());
    std::fs::create_dir_all(out).context(writing())?;
    if out.join(CONFIG).exists() {
        std::fs::remove_file(out.join(CONFIG)).context(writing())?;
    }
    let shape = (columns(checkpoint.encoder.dimension), checkpoint.acts.len());
    let tensor = Tensor::from_vec(weights, shape, &Device::Cpu).context(writing())?;
    let tensors = HashMap::from([("weights".to_owned(), tensor)]);
    candle_core::safetensors::save(&tensors, out.join(WEIGHTS)).context(writing())?;
    std::fs::write(out.join(CARD), card(checkpoint)).context(writing())?;
    let json = serde_json::to_string_pretty(checkpoint).context(writing())?;
    std::fs::write(out.join(CONFIG), json + "\n").context(writing())
}

/// Reads a checkpoint and its weights.
///
/// # Errors
/// A file that is missing, damaged, or of another format.
pub(crate) fn read(folder: &Path) -> Result<(Checkpoint, Vec<f32>)> {
    let path = folder.join(CONFIG);
    let bad =
        |path: &Path, why: String| Error::input(format!("{} is no acts checkpoint: {why}", path.display()));
    let text = std::fs::read_to_string(&path).context(format!("cannot read {}", path.display()))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| bad(&path, error.to_string()))?;
    if value["format"] != FORMAT {
        return Err(bad(&path, format!("format is {}, this program reads {FORMAT:?}", value["format"])));
    }
    let checkpoint: Checkpoint =
        serde_json::from_value(value).map_err(|error| bad(&path, error.to_string()))?;
    let path = folder.join(WEIGHTS);
    let weights = candle_core::safetensors::load(&path, &Device::Cpu)
        .map_err(|error| bad(&path, error.to_string()))?
        .remove("weights")
        .ok_or_else(|| bad(&path, "there is no tensor \"weights\"".into()))?;
    let shape = (columns(checkpoint.encoder.dimension), checkpoint.acts.len());
    if weights.dims2().ok() != Some(shape) {
        return Err(bad(&path, format!("weights of shape {:?}, not {shape:?}", weights.dims())));
    }
    let weights = weights
        .flatten_all()
        .and_then(|weights| weights.to_vec1())
        .map_err(|error| bad(&path, error.to_string()))?;
    Ok((checkpoint, weights))
}

/// The model card.
fn card(checkpoint: &Checkpoint) -> String {
    let Checkpoint { acts, encoder, config, split, metrics, details, shuffled_labels, .. } = checkpoint;
    let mut text =
        String::from("---\nlibrary_name: forethought\ntags: [dialogue-acts]\n---\n\n# Dialogue acts\n\n");
    if *shuffled_labels {
        text += "**A control, not a classifier:** labels were shuffled before training.\n\n";
    }
    text += &format!(
        "Softmax regression over {} acts, told by the {:?}; encoder `{}`, dimension {}: another is refused. Learned from {} \
         dialogues, measured on {} others.\n\n| measure | value |\n|---|---|\n",
        acts.len(),
        config.input,
        encoder.id,
        encoder.dimension,
        split.train.len(),
        split.test.len()
    );
    for (name, value) in metrics {
        text += &format!("| {name} | {value:.4} |\n");
    }
    text += "\n| act | learned from | measured on | F1 |\n|---|---|---|---|\n";
    for act in acts {
        let row = &details["acts"][act];
        let f1 = row["f1"].as_f64().map_or("-".into(), |f1| format!("{f1:.3}"));
        text += &format!("| {act} | {} | {} | {f1} |\n", row["train"], row["held_out"]);
    }
    text
}
