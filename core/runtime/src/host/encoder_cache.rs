//! A cache around every text encoder: a text is encoded once, regardless of its batch.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use forethought_api::{
    Error, Result,
    encoder::{EncoderSpec, Matrix, TextEncoder},
};
use quick_cache::{Weighter, sync::Cache};

/// An encoder behind a cache of bounded size, keyed by the hash of the text.
pub struct CachedEncoder {
    inner: Arc<dyn TextEncoder>,
    rows: Cache<blake3::Hash, Arc<[f32]>, Bytes>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What a row takes in memory, its key included.
#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<blake3::Hash, Arc<[f32]>> for Bytes {
    fn weight(&self, _: &blake3::Hash, row: &Arc<[f32]>) -> u64 {
        (size_of::<blake3::Hash>() + size_of_val(&**row)) as u64
    }
}

impl CachedEncoder {
    /// Bytes of vectors that an encoder's cache holds by default: 170,000 of dimension 384.
    pub const DEFAULT_BYTES: u64 = 256 << 20;

    /// `inner` behind a cache of at most `bytes` bytes.
    pub fn new(inner: Arc<dyn TextEncoder>, bytes: u64) -> Self {
        // The number of rows is a guess that the cache sizes its tables by.
        let rows = (bytes / 1024).try_into().unwrap_or(usize::MAX);
        let rows = Cache::with_weighter(rows, bytes, Bytes);
        Self { inner, rows, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    /// Texts answered from the cache, and texts that had to be encoded.
    pub fn counts(&self) -> (u64, u64) {
        (self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed))
    }
}

#[async_trait]
impl TextEncoder for CachedEncoder {
    async fn spec(&self) -> Result<EncoderSpec> {
        self.inner.spec().await
    }

    async fn encode(&self, texts: Vec<String>) -> Result<Matrix> {
        let keys: Vec<_> = texts.iter().map(|text| blake3::hash(text.as_bytes())).collect();
        // Rows are held here, not only in the cache: it may drop any of them while this batch is in flight.
        let mut rows: HashMap<blake3::Hash, Option<Arc<[f32]>>> = HashMap::with_capacity(keys.len());
        let mut missing = Vec::new();
        for (key, text) in keys.iter().zip(texts) {
            rows.entry(*key).or_insert_with(|| {
                let row = self.rows.get(key);
                if row.is_none() {
                    missing.push((*key, text));
                }
                row
            });
        }
        self.hits.fetch_add((keys.len() - missing.len()) as u64, Ordering::Relaxed);
        self.misses.fetch_add(missing.len() as u64, Ordering::Relaxed);
        if !missing.is_empty() {
            let (new, texts): (Vec<_>, Vec<_>) = missing.into_iter().unzip();
            let matrix = self.inner.encode(texts).await?;
            if matrix.rows() != new.len() {
                let (asked, got) = (new.len(), matrix.rows());
                return Err(Error::other(format!("the encoder gave {got} vectors for {asked} texts")));
            }
            for (index, key) in new.into_iter().enumerate() {
                let row: Arc<[f32]> = matrix.row(index).into();
                self.rows.insert(key, row.clone());
                rows.insert(key, Some(row));
            }
        }
        let columns = match rows.values().flatten().next() {
            Some(row) => row.len(),
            None => self.inner.spec().await?.dimension,
        };
        let data = keys.iter().filter_map(|key| rows[key].as_deref()).flatten().copied().collect();
        Matrix::new(keys.len(), columns, data)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Encodes a text as (its length, 1) and notes what it was asked.
    #[derive(Default)]
    struct Lengths(Mutex<Vec<Vec<String>>>);

    #[async_trait]
    impl TextEncoder for Lengths {
        async fn spec(&self) -> Result<EncoderSpec> {
            Ok(EncoderSpec { id: "lengths".into(), revision: None, dimension: 2 })
        }
        async fn encode(&self, texts: Vec<String>) -> Result<Matrix> {
            let data = texts.iter().flat_map(|text| [text.len() as f32, 1.0]).collect();
            let matrix = Matrix::new(texts.len(), 2, data);
            self.0.lock().unwrap().push(texts);
            matrix
        }
    }

    fn texts(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).into()).collect()
    }

    #[tokio::test]
    async fn only_misses_reach_the_encoder_and_order_is_kept() {
        let inner = Arc::new(Lengths::default());
        let cached = CachedEncoder::new(inner.clone(), 1 << 20);
        cached.encode(texts(&["a", "ccc"])).await.unwrap();
        let matrix = cached.encode(texts(&["bb", "a", "bb", "dddd", "ccc"])).await.unwrap();
        let lengths: Vec<f32> = (0..5).map(|row| matrix.row(row)[0]).collect();
        assert_eq!(lengths, [2.0, 1.0, 2.0, 4.0, 3.0]);
        assert_eq!(*inner.0.lock().unwrap(), [texts(&["a", "ccc"]), texts(&["bb", "dddd"])]);
        assert_eq!(cached.counts(), (3, 4));
    }

    #[tokio::test]
    async fn a_cache_too_small_for_anything_still_answers() {
        let cached = CachedEncoder::new(Arc::new(Lengths::default()), 1);
        for _ in 0..3 {
            let matrix = cached.encode(texts(&["a", "bb"])).await.unwrap();
            assert_eq!(matrix.data(), [1.0, 1.0, 2.0, 1.0]);
        }
        let empty = cached.encode(Vec::new()).await.unwrap();
        assert_eq!((empty.rows(), empty.columns()), (0, 2));
    }
}
