//! What the plugins on candle share: the choice of a device, safetensors files with checks, tokenizers with checks,
//! products of matrices on the CPU.
//!
//! It is not a plugin, and registers nothing. It may depend on `forethought-sdk`, candle, and the crate `tokenizers`
//! (feature `tokenizers`). Its feature `cuda` is forwarded by the features of that name of the plugins.

pub mod cpu;
mod device;
mod tensors;
#[cfg(feature = "tokenizers")]
mod tokenizer;

pub use device::device;
pub use tensors::{FLOATS, Tensors, misshapen, missing, refuse_pointer, serialize};
#[cfg(feature = "tokenizers")]
pub use tokenizer::tokenizer;
