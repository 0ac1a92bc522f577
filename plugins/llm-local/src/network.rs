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
