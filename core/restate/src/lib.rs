//! Runs spread over machines by [Restate](https://restate.dev), a durable execution engine: `[run] engine = "restate"`.
//!
//! [`Client`] hands episodes to a Restate server, which calls a worker for each. [`serve`] is such a worker. Each answer
//! of the world is kept by the server before it is used, so an episode whose worker dies goes on at another one. An
//! episode comes back as it would have been recorded here; see `forethought_runtime::run::elsewhere`.
//!
//! Depends on `forethought-api` and `forethought-runtime`; only the program depends on it, with its feature `restate`.

mod client;
mod service;
mod steps;

use forethought_api::{Error, Result, error::Context};
use serde::{Serialize, de::DeserializeOwned};

pub use client::Client;
pub use service::serve;

/// What is sent and kept: JSON, packed.
fn pack(data: &impl Serialize) -> Result<Vec<u8>> {
    Ok(zstd::bulk::compress(&serde_json::to_vec(data)?, 1)?)
}

/// The largest that is accepted, unpacked, in bytes.
const LARGEST: usize = 1 << 30;

fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let unreadable = "what came through Restate cannot be read; are all workers of the same version?";
    let size = zstd::bulk::Decompressor::upper_bound(bytes).unwrap_or(LARGEST);
    if size > LARGEST {
        return Err(Error::malformed(format!("{unreadable} It has {size} bytes")));
    }
    let json = zstd::bulk::decompress(bytes, size).context(unreadable)?;
    serde_json::from_slice(&json).context(unreadable)
}
