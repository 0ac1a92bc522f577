//! What effects and the journal have in common: the key of an answer, and the bytes that are kept under a hash.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A BLAKE3 hash.
pub(crate) type Hash = [u8; 32];

/// The position of an effect in an episode. Independent of time: calls made at once get the same keys in any order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EffectKey {
    /// Decisions made before, by any seat.
    pub step: u32,
    /// The seat that acts.
    pub seat: u32,
    /// [`Effect::NAME`](crate::journal::effects::Effect::NAME).
    pub effect: Cow<'static, str>,
    /// The role, or the model's configured name; empty for the environment.
    pub target: String,
    /// BLAKE3 of the input's JSON.
    pub input: [u8; 32],
    /// How many equal inputs came before within this step.
    pub occurrence: u32,
}

/// What is kept once, and known by its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    pub(crate) hash: Hash,
    pub(crate) data: Vec<u8>,
}

/// Its text: all that is recorded is JSON.
impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        std::str::from_utf8(&self.data).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::new(text.into_bytes()))
    }
}

impl Blob {
    /// Hashes `data`: once, and on the caller's thread, because the journal has only one.
    pub(crate) fn new(data: Vec<u8>) -> Self {
        Self { hash: *blake3::hash(&data).as_bytes(), data }
    }
    /// The hash in hexadecimal digits.
    pub(crate) fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.hash).to_hex().to_string()
    }
}
