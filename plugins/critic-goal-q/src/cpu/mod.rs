//! Training on a CPU: one pass over the data for each operation, on one thread.
//!
//! From 65,536 numbers on, candle's own operations spread over all cores and wait for each other by spinning; each also
//! allocates its result. With other work on two cores, a training step of 256 hidden units took 13 times as long that
//! way, and one of 128, where candle mostly stays on one core, 2.5 times.

mod fused;
mod kernel;

pub(crate) use fused::{Fused, Gradient};
pub(crate) use kernel::{AdamStep, Average, FlushDenormals};
