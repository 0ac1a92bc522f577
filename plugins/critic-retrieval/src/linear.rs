//! What `regression` and `reward-model` share: a checkpoint whose weights are one tensor, and products with it.

use std::path::Path;

use forethought_sdk::calibration::Platt;
use forethought_sdk::checkpoint::{self, CONFIG, Manifest, Split, WEIGHTS, damaged};
use forethought_sdk::prelude::*;
use forethought_sdk::serde::de::DeserializeOwned;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

/// Name of the only tensor: a weight per input.
const TENSOR: &str = "weights";

/// Writes the checkpoint that `fit` requests.
pub(crate) fn write<T: Serialize>(
    fit: &TrainingRequest,
    format: &str,
    split: Split,
    checkpoint: &T,
    weights: &[f32],
    card: &str,
) -> Result<()> {
    let bytes: Vec<u8> = weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
    let tensor = TensorView::new(Dtype::F32, vec![weights.len()], &bytes)?;
    let weights = safetensors::serialize([(TENSOR, tensor)], None)?;
    let manifest = Manifest { format: format.into(), trained_on: fit.trained_on(&split), split };
    checkpoint::write(&fit.out, &manifest, checkpoint, &weights, card)
}

/// Reads a checkpoint and its weights; `says` gives the number of weights and the calibration that the checkpoint states.
///
/// # Errors
/// A file that is missing, damaged, or of another format.
pub(crate) fn read<T: DeserializeOwned>(
    folder: &Path,
    format: &str,
    says: impl Fn(&T) -> (usize, Platt),
) -> Result<(T, Vec<f32>)> {
    let checkpoint: T = checkpoint::read(folder, format)?;
    let (columns, calibration) = says(&checkpoint);
    let path = folder.join(WEIGHTS);
    let bytes = std::fs::read(&path).context(format!("cannot read {}", path.display()))?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| damaged(&path, format, error))?;
    let tensor = tensors.tensor(TENSOR).map_err(|error| damaged(&path, format, error))?;
    let shape = [columns];
    if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
        let (dtype, found) = (tensor.dtype(), tensor.shape());
        let why = format!("tensor {TENSOR:?} is {dtype:?} {found:?}, but {CONFIG} requires F32 {shape:?}");
        return Err(damaged(&path, format, why));
    }
    let (numbers, _) = tensor.data().as_chunks::<4>();
    let weights: Vec<f32> = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
    match weights.iter().all(|weight| weight.is_finite()) && calibration.is_finite() {
        true => Ok((checkpoint, weights)),
        false => Err(damaged(&path, format, "it has numbers that are not finite")),
    }
}

pub(crate) fn dot(weights: &[f32], row: &[f32]) -> f64 {
    const LANES: usize = 16;
    let mut sums = [0.0_f32; LANES];
    let ((a, rest_a), (b, rest_b)) = (weights.as_chunks::<LANES>(), row.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum();
    f64::from(sums.iter().sum::<f32>() + rest)
}
