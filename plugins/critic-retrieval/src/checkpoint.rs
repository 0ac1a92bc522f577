//! The checkpoint of `retrieval`: what `config.json` states besides the manifest, the recorded steps with the
//! embeddings of their texts, and the model card.

use std::collections::BTreeMap;
use std::path::Path;

use forethought_sdk::calibration::Platt;
use forethought_sdk::checkpoint::{self, CONFIG, Manifest, Split, WEIGHTS, damaged};
use forethought_sdk::prelude::*;
use forethought_sdk::serde_json;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::config::RetrievalConfig;
use crate::data::{Corpus, Recorded};
use crate::index::{Index, Scales};

/// Written into every checkpoint; other formats are refused.
pub(crate) const FORMAT: &str = "forethought-retrieval/1";

/// The embeddings, of shape (texts, dimension), and the recorded steps as JSON.
const VECTORS: &str = "vectors";
const STEPS: &str = "steps";

/// `config.json`, without the manifest.
#[data]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Checkpoint {
    /// The encoder whose vectors are compared.
    pub(crate) encoder: EncoderSpec,
    /// How it was trained.
    pub(crate) config: RetrievalConfig,
    /// What was chosen on held-out episodes.
    pub(crate) learned: Learned,
    /// Seed of the split.
    pub(crate) seed: u64,
    /// Whether this is the control of shuffled outcomes.
    pub(crate) shuffled_outcomes: bool,
    /// Trajectories by environment.
    pub(crate) environments: BTreeMap<String, usize>,
    /// Measures on the test part.
    pub(crate) metrics: BTreeMap<String, f64>,
}

/// What was chosen on held-out episodes.
#[data]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Learned {
    /// How distances count.
    pub(crate) scales: Scales,
    /// The distance at which an outcome in other words is 1/e like a recorded one.
    pub(crate) outcome_width: f32,
    /// From values to probabilities.
    pub(crate) calibration: Platt,
    /// How far the nearest recorded step of held-out ones was, and the nearest outcome of theirs, in order.
    pub(crate) distances: Vec<f32>,
    pub(crate) outcome_distances: Vec<f32>,
}

/// A [`Corpus`] as it is written.
#[data]
#[derive(Debug, Serialize)]
struct Written {
    texts: Vec<String>,
    steps: Vec<Recorded>,
    starts: Vec<usize>,
    episodes: Vec<String>,
}

pub(crate) fn write(
    fit: &TrainingRequest,
    split: Split,
    checkpoint: &Checkpoint,
    index: &Index,
) -> Result<()> {
    let Corpus { texts, steps, starts, episodes } = index.corpus.clone();
    let steps = serde_json::to_vec(&Written { texts, steps, starts, episodes })?;
    let vectors: Vec<u8> = index.vectors.iter().flat_map(|number| number.to_le_bytes()).collect();
    let shape = vec![index.corpus.texts.len(), index.dimension];
    let tensors = [
        (VECTORS, TensorView::new(Dtype::F32, shape, &vectors)?),
        (STEPS, TensorView::new(Dtype::U8, vec![steps.len()], &steps)?),
    ];
    let weights = safetensors::serialize(tensors, None)?;
    let card = card(checkpoint, &split, index);
    let manifest = Manifest { format: FORMAT.into(), trained_on: fit.trained_on(&split), split };
    checkpoint::write(&fit.out, &manifest, checkpoint, &weights, &card)
}

/// Reads a checkpoint and its recorded steps.
///
/// # Errors
/// A file that is missing, damaged, or of another format.
pub(crate) fn read(folder: &Path) -> Result<(Checkpoint, Index)> {
    let checkpoint: Checkpoint = checkpoint::read(folder, FORMAT)?;
    let path = folder.join(WEIGHTS);
    let bytes = std::fs::read(&path).context(format!("cannot read {}", path.display()))?;
    let bad = |why: String| damaged(&path, FORMAT, why);
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| bad(error.to_string()))?;
    let tensor = |name, dtype| {
        let tensor = tensors.tensor(name).map_err(|error| bad(error.to_string()))?;
        if tensor.dtype() != dtype {
            return Err(bad(format!("tensor {name:?} is {:?}, not {dtype:?}", tensor.dtype())));
        }
        Ok(tensor)
    };
    let Written { texts, steps, starts, episodes } =
        serde_json::from_slice(tensor(STEPS, Dtype::U8)?.data()).map_err(|error| bad(error.to_string()))?;
    let vectors = tensor(VECTORS, Dtype::F32)?;
    let shape = [texts.len(), checkpoint.encoder.dimension];
    if vectors.shape() != shape {
        let why = format!("tensor {VECTORS:?} is {:?}, but {CONFIG} requires {shape:?}", vectors.shape());
        return Err(bad(why));
    }
    let (numbers, _) = vectors.data().as_chunks::<4>();
    let vectors: Vec<f32> = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
    let known = |step: &Recorded| {
        let ids =
            [step.state, step.thought].into_iter().chain(step.outcomes.iter().copied()).chain(step.next);
        ids.into_iter().all(|id| (id as usize) < texts.len()) && step.trajectory < episodes.len()
    };
    let ascends = starts.windows(2).all(|pair| pair[0] <= pair[1]);
    let whole = starts.len() == episodes.len() + 1 && starts.last() == Some(&steps.len());
    let Learned { scales, calibration, outcome_width, .. } = &checkpoint.learned;
    let finite = calibration.is_finite() && scales.width > 0.0 && *outcome_width > 0.0;
    if steps.is_empty() || !whole || !ascends || !finite || !steps.iter().all(known) {
        return Err(bad("its recorded steps do not fit together".into()));
    }
    if vectors.iter().any(|number| !number.is_finite()) {
        return Err(bad(format!("tensor {VECTORS:?} has numbers that are not finite")));
    }
    let index = Index::new(Corpus { texts, steps, starts, episodes }, vectors, checkpoint.encoder.dimension);
    Ok((checkpoint, index))
}

/// The model card.
fn card(checkpoint: &Checkpoint, split: &Split, index: &Index) -> String {
    let Checkpoint { encoder, config, learned, metrics, shuffled_outcomes, environments, .. } = checkpoint;
    let from: Vec<String> = environments.iter().map(|(name, count)| format!("{count} of {name}")).collect();
    let text = format!(
        "It says how likely an outcome is after a thought in a state, by what the {} nearest of {} recorded steps led to. \
         **The checkpoint contains the texts of these steps.** Trajectories: {}; {} of them are kept, {} chose the \
         distances, {} were only measured on. Encoder `{}`, dimension {}: another is refused. A thought's distance counts \
         {} times a state's.",
        config.neighbours,
        index.corpus.steps.len(),
        from.join(", "),
        split.train.len(),
        split.validation.len(),
        split.test.len(),
        encoder.id,
        encoder.dimension,
        learned.scales.thought,
    );
    let shuffled = shuffled_outcomes.then_some("outcomes");
    card_of("critic, retrieval", "A critic that looks up recorded steps", shuffled, &text, metrics)
}

/// A model card: whether it is a control for which something was `shuffled`, what it is, and its measures.
pub(crate) fn card_of(
    tags: &str,
    title: &str,
    shuffled: Option<&str>,
    text: &str,
    metrics: &BTreeMap<String, f64>,
) -> String {
    let mut card = format!("---\nlibrary_name: forethought\ntags: [{tags}]\n---\n\n# {title}\n\n");
    if let Some(what) = shuffled {
        card += &format!("**A control, not a critic:** {what} were shuffled before training.\n\n");
    }
    card += &format!("{text}\n\n| measure on the test part | value |\n|---|---|\n");
    for (name, value) in metrics {
        card += &format!("| {name} | {value:.4} |\n");
    }
    card
}
