//! Files of weights: safetensors, or else PyTorch's own format.

use std::path::{Path, PathBuf};

use candle_core::Device;
use forethought_candle::Tensors;
use forethought_sdk::prelude::*;

use crate::folder::read;

/// Weights as they are on disk.
pub(crate) struct Weights {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
    pub(crate) hash: blake3::Hash,
    pickled: bool,
}

impl Weights {
    pub(crate) const FILE: &str = "model.safetensors";
    /// What models from before safetensors have instead.
    pub(crate) const PICKLED: &str = "pytorch_model.bin";

    /// Those in `folder`: safetensors if it has both.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let pickled = !folder.join(Self::FILE).exists() && folder.join(Self::PICKLED).exists();
        let path = folder.join(if pickled { Self::PICKLED } else { Self::FILE });
        let bytes = read(&path)?;
        Ok(Self { hash: blake3::hash(&bytes), path, bytes, pickled })
    }

    pub(crate) fn tensors(&self, device: &Device) -> Result<Tensors> {
        match self.pickled {
            true => Tensors::pickled(&self.path, &self.bytes, device),
            false => Tensors::new(&self.path, &self.bytes, device),
        }
    }
}
