//! What a snapshot of a training holds: everything that decides its next steps.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use forethought_candle::{Tensors, serialize};
use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::{self, Value};

use crate::engine::Engine;
use crate::network::Network;

/// Names of the tensors of the best twins, and of [`Place`] as JSON.
const BEST: [&str; 2] = ["best.q1", "best.q2"];
const PLACE: &str = "place";

/// Where a training is, besides its networks.
#[data]
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Place {
    /// Steps taken.
    pub(crate) steps: u64,
    /// Evaluations since the best one.
    pub(crate) stale: u32,
    /// The step of the best one.
    pub(crate) best: u64,
    /// The report's entries so far.
    pub(crate) history: Vec<Value>,
    /// Words drawn from the stream of batches.
    pub(crate) drawn: u64,
}

/// The state of `engine` at `place`; `best` are the weights to keep so far.
pub(crate) fn state(place: &Place, engine: &mut Engine, best: &[Network; 2]) -> Result<Vec<u8>> {
    let place = serde_json::to_vec(place)?;
    let mut tensors: HashMap<String, Tensor> = engine.state()?.into_iter().collect();
    tensors.extend(BEST.into_iter().zip(best).map(|(name, one)| (name.into(), one.weights().clone())));
    tensors.insert(PLACE.into(), Tensor::from_slice(&place, place.len(), &Device::Cpu)?);
    serialize(&tensors)
}

/// Sets `engine` to a state. Returns where it was, and the weights to keep so far.
pub(crate) fn restore(state: &[u8], engine: &mut Engine) -> Result<(Place, [Network; 2])> {
    let mut tensors = Tensors::new(Path::new("the snapshot"), state, &Device::Cpu)?;
    let place = tensors.take_vector(PLACE, DType::U8)?.to_vec1::<u8>()?;
    let place: Place = serde_json::from_slice(&place).context("the place in the snapshot")?;
    engine.restore(place.steps, |name| tensors.take_vector(name, DType::F32))?;
    let [q1, q2] = engine.averaged()?;
    let mut best = [q1.copy()?, q2.copy()?];
    for (name, network) in BEST.into_iter().zip(&mut best) {
        network.set_weights(tensors.take_vector(name, DType::F32)?)?;
    }
    Ok((place, best))
}
