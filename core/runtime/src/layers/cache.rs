//! Answers kept across runs, keyed by the request.
//!
//! The key has everything that decides an answer: the model's identity (including its configuration, base URL and
//! files), the messages, tools and settings, and the number of equal requests before it in this process, so that five
//! samples of one prompt stay five samples. The purpose is not part of it, because the model never sees it. Errors are
//! not kept, and neither streams nor requests that are passed on are answered from here.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use forethought_api::{
    Error, Result,
    error::Context,
    llm::{ChatRequest, Completion, LlmBackend, LlmCapabilities, Purpose, TokenStream},
    raw::{RawRequest, RawStream},
};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::Value;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS answers (request BLOB PRIMARY KEY, answer BLOB NOT NULL) WITHOUT ROWID;
";

/// A file that is kept across runs and used by several processes, created with `tables` if it is missing.
///
/// # Errors
/// If it cannot be opened, or is something else.
pub(crate) fn connect(path: &Path, tables: &str) -> Result<Connection> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let database = Connection::open(path)?;
    database.busy_timeout(Duration::from_secs(10))?;
    database.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")?;
    database.execute_batch(tables)?;
    Ok(database)
}

/// A backend whose answers are kept.
pub struct Cache {
    inner: Arc<dyn LlmBackend>,
    identity: blake3::Hash,
    path: PathBuf,
    database: Arc<Mutex<Connection>>,
    asked: Mutex<HashMap<blake3::Hash, u64>>,
    warned: Once,
}

impl Cache {
    /// `inner`, with its answers in the file at `path`, created if missing. `identity` has everything that decides its
    /// answers besides the request. Several processes may share the file.
    ///
    /// # Errors
    /// If the file cannot be opened, or is not a cache.
    pub fn open(inner: Arc<dyn LlmBackend>, path: &Path, identity: &Value) -> Result<Self> {
        let database = connect(path, TABLES)
            .context(format!("the cache of answers {} cannot be opened", path.display()))?;
        Ok(Self {
            inner,
            identity: blake3::hash(&serde_json::to_vec(identity)?),
            path: path.into(),
            database: Arc::new(Mutex::new(database)),
            asked: Mutex::default(),
            warned: Once::new(),
        })
    }

    fn key(&self, request: &ChatRequest) -> Result<blake3::Hash> {
        let unpurposed = ChatRequest { purpose: Purpose::default(), ..request.clone() };
        let question = blake3::hash(&serde_json::to_vec(&unpurposed)?);
        let before = {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            let count = asked.entry(question).or_default();
            *count += 1;
            *count - 1
        };
        let mut key = blake3::Hasher::new_derive_key("forethought answer cache v1");
        key.update(self.identity.as_bytes()).update(question.as_bytes()).update(&before.to_le_bytes());
        Ok(key.finalize())
    }

    /// Once: what fails for one answer fails for the next, and a cache is a convenience.
    fn warn(&self, what: &str, error: &Error) {
        self.warned.call_once(|| {
            tracing::warn!("the cache of answers {} {what}: {error}", self.path.display());
        });
    }

    /// Runs disk work outside of the async threads.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let database = self.database.clone();
        let done = tokio::task::spawn_blocking(move || {
            work(&database.lock().unwrap_or_else(PoisonError::into_inner))
        });
        done.await?.map_err(Error::from)
    }
}

#[async_trait]
impl LlmBackend for Cache {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        self.inner.capabilities().await
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let key = *self.key(&request)?.as_bytes();
        let kept = self.with(move |database| {
            let mut find = database.prepare_cached("SELECT answer FROM answers WHERE request = ?")?;
            find.query_row([key], |row| row.get::<_, Vec<u8>>(0)).optional()
        });
        let read = |answer: Option<Vec<u8>>| -> Result<Option<Completion>> {
            let Some(answer) = answer else { return Ok(None) };
            Ok(Some(serde_json::from_slice(&zstd::decode_all(&*answer)?)?))
        };
        match kept.await.and_then(read) {
            Ok(Some(completion)) => return Ok(completion),
            Ok(None) => {}
            Err(error) => self.warn("has an answer that cannot be read; the model is asked", &error),
        }
        let completion = self.inner.complete(request).await?;
        let answer = zstd::bulk::compress(&serde_json::to_vec(&completion)?, 3)?;
        let kept = self.with(move |database| {
            let mut keep = database.prepare_cached("INSERT OR REPLACE INTO answers VALUES (?, ?)")?;
            keep.execute(params![key, answer])
        });
        if let Err(error) = kept.await {
            self.warn("cannot be written; answers are used and not kept", &error);
        }
        Ok(completion)
    }
    async fn stream(&self, request: ChatRequest) -> Result<Arc<dyn TokenStream>> {
        self.inner.stream(request).await
    }
    async fn formats(&self) -> Result<Vec<String>> {
        self.inner.formats().await
    }
    async fn forward(&self, request: RawRequest) -> Result<Arc<dyn RawStream>> {
        self.inner.forward(request).await
    }
}
