//! The network of a model, where it runs: `decoder` on the CPU, `tensors` on a GPU.

use forethought_sdk::prelude::*;

use crate::{
    architecture::Architecture,
    decoder::{self, Block, Decoder},
    tensors::{self, TensorNetwork},
    weights::Weights,
};

pub(crate) enum Network {
    Cpu(Decoder),
    Gpu(TensorNetwork),
}

/// Keys and values of the earlier tokens of a text. Of the kind that the network made.
pub(crate) enum Past {
    Cpu(decoder::Past),
    Gpu(tensors::Past),
}

/// The next tokens of one text.
pub(crate) struct Part<'a, P = Past> {
    pub(crate) past: &'a mut P,
    pub(crate) tokens: &'a [u32],
}

impl Network {
    pub(crate) fn new(architecture: Architecture, weights: Weights) -> Result<Self> {
        match weights.on_cpu() {
            true => Decoder::new(architecture, weights).map(Self::Cpu),
            false => TensorNetwork::new(architecture, weights).map(Self::Gpu),
        }
    }

    pub(crate) fn architecture(&self) -> &Architecture {
        match self {
            Self::Cpu(network) => network.architecture(),
            Self::Gpu(network) => network.architecture(),
        }
    }

    /// The past of a new text: empty.
    pub(crate) fn past(&self) -> Past {
        match self {
            Self::Cpu(_) => Past::Cpu(decoder::Past::default()),
            Self::Gpu(network) => Past::Gpu(network.past()),
        }
    }

    /// Bytes of a block of keys and values, if the past is made of blocks that can be kept.
    pub(crate) fn block_bytes(&self) -> Option<usize> {
        match self {
            Self::Cpu(network) => Some(network.block_bytes()),
            Self::Gpu(_) => None,
        }
    }

    /// Reads the parts, each after its own past, and gives the logits of each one's next token.
    pub(crate) fn forward(&self, parts: &mut [Part]) -> Result<Vec<Vec<f32>>> {
        match self {
            Self::Cpu(network) => {
                let parts = parts.iter_mut().filter_map(|part| match part.past {
                    Past::Cpu(past) => Some(Part { past, tokens: part.tokens }),
                    Past::Gpu(_) => None,
                });
                Ok(network.forward(&mut parts.collect::<Vec<_>>()))
            }
            Self::Gpu(network) => {
                let parts = parts.iter_mut().filter_map(|part| match part.past {
                    Past::Gpu(past) => Some(Part { past, tokens: part.tokens }),
                    Past::Cpu(_) => None,
                });
                Ok(network.forward(&mut parts.collect::<Vec<_>>())?)
            }
        }
    }
}

impl Past {
    /// An independent copy.
    pub(crate) fn fork(&self) -> Result<Self> {
        Ok(match self {
            Self::Cpu(past) => Self::Cpu(past.clone()),
            Self::Gpu(past) => Self::Gpu(past.fork()?),
        })
    }

    /// What it consists of, if that can be kept.
    pub(crate) fn blocks(&self) -> &[Arc<Block>] {
        match self {
            Self::Cpu(past) => past.blocks(),
            Self::Gpu(_) => &[],
        }
    }

    /// The past of a text whose blocks were kept.
    pub(crate) fn of(blocks: Vec<Arc<Block>>) -> Self {
        Self::Cpu(decoder::Past::of(blocks))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use candle_core::{DType, Device};
    use forethought_candle::Tensors;

    use super::*;

    #[test]
    fn the_decoder_computes_what_tensors_compute() {
        for name in ["llama", "llama3", "qwen3"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
            let config = folder.join("config.json");
            let architecture = Architecture::from_config(&config, &std::fs::read(&config).unwrap()).unwrap();
            let weights = || {
                let path = folder.join("model.safetensors");
                let mut tensors = Tensors::default();
                tensors.add(&path, &std::fs::read(&path).unwrap(), &Device::Cpu).unwrap();
                Weights::from_safetensors(tensors, Some(DType::F32), &Device::Cpu)
            };
            let decoder = Network::Cpu(Decoder::new(architecture.clone(), weights()).unwrap());
            let tensors = Network::Gpu(TensorNetwork::new(architecture, weights()).unwrap());
            let (mut past, mut theirs) = (decoder.past(), tensors.past());
            for tokens in [&[5, 17, 40, 8, 33][..], &[9], &[21, 3], &[30]] {
                let found = decoder.forward(&mut [Part { past: &mut past, tokens }]).unwrap().concat();
                let expected = tensors.forward(&mut [Part { past: &mut theirs, tokens }]).unwrap().concat();
                let off = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(off < 1e-4, "{name}: {off}");
            }
        }
    }
}
