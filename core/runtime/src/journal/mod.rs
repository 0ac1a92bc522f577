//! What comes from outside is recorded before it is used: effects, their durable execution, the journal, and the meter
//! of spending.

pub mod durable;
pub mod effects;
pub mod key;
pub mod meter;
pub(crate) mod pack;
pub mod reading;
pub mod store;

use std::collections::HashSet;

use async_trait::async_trait;
use forethought_api::{Result, llm::Usage};
use serde::{Deserialize, Serialize};

use crate::budget::Spent;
use crate::journal::key::{Blob, EffectKey};

/// Where one episode is recorded. In a run on this machine, that is its [`Store`](store::Store).
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Records an answer. Returns when it cannot be lost any more.
    async fn append(&self, entry: JournalEntry) -> Result<()>;
    /// Records the most that an attempt in this role may use. Returns the number of the record when it cannot be lost any
    /// more.
    async fn charge(&self, role: String, most: Spent) -> Result<i64>;
    /// Records what an attempt did use, some time soon. Until then, the most counts.
    fn settle(&self, charge: i64, used: Spent);
}

/// An effect to be recorded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JournalEntry {
    pub(crate) key: EffectKey,
    /// JSON of the input, without what is in `shared`.
    pub(crate) request: Blob,
    /// Parts of the input that recur.
    pub(crate) shared: Vec<Blob>,
    /// Whether `answer` is the output; else it is the error.
    pub(crate) ok: bool,
    /// JSON of the answer.
    pub(crate) answer: Blob,
    /// Counted against the run's budget; `None` for what costs nothing.
    pub(crate) usage: Option<Usage>,
}

impl JournalEntry {
    /// Leaves out the recurring parts that are `known`; the others are known from now on.
    pub fn leave_out(&mut self, known: &mut HashSet<[u8; 32]>) {
        self.shared.retain(|part| known.insert(part.hash));
    }
}
