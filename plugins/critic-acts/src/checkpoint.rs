//! The checkpoint: what `config.json` states besides the manifest, the weights, and the model card.

use std::collections::BTreeMap;
use std::path::Path;

use forethought_sdk::{
    checkpoint::{self, CONFIG, Manifest, Split, WEIGHTS, damaged},
    prelude::*,
    serde_json::Value,
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::{
    config::{Input, TrainerConfig},
    features::columns,
};

/// Written into every checkpoint; other formats are refused.
pub(crate) const FORMAT: &str = "forethought-acts/1";

/// Name of the only tensor, of shape (columns, acts).
const TENSOR: &str = "weights";

/// `config.json`, without the manifest.
#[data]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Checkpoint {
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
    /// Measures on the dialogues held out.
    pub(crate) metrics: BTreeMap<String, f64>,
    /// Counts and F1 of each act.
    pub(crate) details: Value,
}

impl Checkpoint {
    fn shape(&self) -> [usize; 2] {
        [columns(self.encoder.dimension), self.acts.len()]
    }
}

/// Writes the checkpoint that `fit` requests.
pub(crate) fn write(
    fit: &TrainingRequest,
    split: Split,
    checkpoint: &Checkpoint,
    weights: &[f32],
) -> Result<()> {
    let bytes: Vec<u8> = weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
    let tensor = TensorView::new(Dtype::F32, checkpoint.shape().to_vec(), &bytes)?;
    let weights = safetensors::serialize([(TENSOR, tensor)], None)?;
    let card = card(checkpoint, &split);
    let manifest = Manifest { format: FORMAT.into(), trained_on: fit.trained_on(&split), split };
    checkpoint::write(&fit.out, &manifest, checkpoint, &weights, &card)
}

/// Reads a checkpoint and its weights.
///
/// # Errors
/// A file that is missing, damaged, or of another format.
pub(crate) fn read(folder: &Path) -> Result<(Checkpoint, Vec<f32>)> {
    let checkpoint: Checkpoint = checkpoint::read(folder, FORMAT)?;
    let path = folder.join(WEIGHTS);
    let bytes = std::fs::read(&path).context(format!("cannot read {}", path.display()))?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| damaged(&path, FORMAT, error))?;
    let tensor = tensors.tensor(TENSOR).map_err(|error| damaged(&path, FORMAT, error))?;
    let shape = checkpoint.shape();
    if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
        let why = format!(
            "tensor {TENSOR:?} is {:?} {:?}, but {CONFIG} requires F32 {shape:?}",
            tensor.dtype(),
            tensor.shape()
        );
        return Err(damaged(&path, FORMAT, why));
    }
    let (numbers, _) = tensor.data().as_chunks::<4>();
    let weights: Vec<f32> = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
    match weights.iter().all(|weight| weight.is_finite()) {
        true => Ok((checkpoint, weights)),
        false => Err(damaged(&path, FORMAT, format!("tensor {TENSOR:?} has numbers that are not finite"))),
    }
}

/// The model card.
fn card(checkpoint: &Checkpoint, split: &Split) -> String {
    let Checkpoint { acts, encoder, config, metrics, details, shuffled_labels, .. } = checkpoint;
    let mut text =
        String::from("---\nlibrary_name: forethought\ntags: [dialogue-acts]\n---\n\n# Dialogue acts\n\n");
    if *shuffled_labels {
        text += "**A control, not a classifier:** labels were shuffled before training.\n\n";
    }
    text += &format!(
        "Softmax regression over {} acts, predicted from the {}; encoder `{}`, dimension {}: another is refused. Trained \
         on {} dialogues, measured on {} others.\n\n| measure | value |\n|---|---|\n",
        acts.len(),
        match config.input {
            Input::Utterance => "utterance",
            Input::State => "dialogue before it",
        },
        encoder.id,
        encoder.dimension,
        split.train.len(),
        split.test.len()
    );
    for (name, value) in metrics {
        text += &format!("| {name} | {value:.4} |\n");
    }
    text += "\n| act | trained on | measured on | F1 |\n|---|---|---|---|\n";
    for act in acts {
        let row = &details["acts"][act];
        let f1 = row["f1"].as_f64().map_or("-".into(), |f1| format!("{f1:.3}"));
        text += &format!("| {act} | {} | {} | {f1} |\n", row["train"], row["held_out"]);
    }
    text
}
