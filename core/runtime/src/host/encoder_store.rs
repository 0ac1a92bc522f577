//! Vectors of texts kept across runs, so that a second training or evaluation encodes nothing.
//!
//! One SQLite file holds the vectors of all encoders, keyed by a hash of the encoder's identity, its revision and
//! dimension, and the text; the texts themselves are not in it. Several processes may use the file, and be killed. SQLite
//! writes a batch whole or not at all; beside each vector there is a hash of it, and what does not agree is encoded again.
//! A store is a convenience: what fails is said once, and the encoder is asked.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once, PoisonError};

use async_trait::async_trait;
use forethought_api::{
    Error, Result,
    encoder::{EncoderSpec, Matrix, TextEncoder},
    error::Context,
};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use tokio::sync::OnceCell;

use crate::config::EmbeddingsConfig;
use crate::layers::cache::connect;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS vectors (
        id INTEGER PRIMARY KEY, text BLOB NOT NULL UNIQUE, vector BLOB NOT NULL, hash BLOB NOT NULL);
";

/// Texts that are encoded before their vectors are kept.
const PIECE: usize = 512;

/// One file of vectors.
pub struct Store {
    path: PathBuf,
    database: Mutex<Connection>,
    most_bytes: u64,
    warned: Once,
}

impl Store {
    /// The store that a configuration names, if any. If it names none and the default file cannot be opened, a warning
    /// says so and nothing is kept.
    ///
    /// # Errors
    /// If the file that `embeddings.file` names cannot be opened, or is not such a store.
    pub fn of(config: &EmbeddingsConfig) -> Result<Option<Arc<Self>>> {
        let Some(path) = config.path() else { return Ok(None) };
        match Self::open(&path, config.max_mb << 20) {
            Ok(store) => Ok(Some(Arc::new(store))),
            Err(error) if config.file.is_some() => Err(error),
            Err(error) => {
                tracing::warn!("vectors of texts are not kept across runs: {error}");
                Ok(None)
            }
        }
    }

    /// The file at `path`, created if missing, of at most about `most_bytes` bytes.
    ///
    /// # Errors
    /// If it cannot be opened, or is something else.
    pub fn open(path: &Path, most_bytes: u64) -> Result<Self> {
        let database = connect(path, TABLES).context(format!(
            "the vectors kept in {} cannot be opened; remove the file, or set `embeddings.file` to another one, or \
             `embeddings.max_mb = 0` to keep none",
            path.display()
        ))?;
        Ok(Self { path: path.into(), database: Mutex::new(database), most_bytes, warned: Once::new() })
    }

    /// The vectors under these keys, as far as they are there and whole.
    fn find(&self, keys: &[blake3::Hash], dimension: usize) -> rusqlite::Result<Vec<Option<Vec<f32>>>> {
        let mut database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        // One view of the file, and one lock for all.
        let reading = database.transaction()?;
        let mut find = reading.prepare_cached("SELECT vector, hash FROM vectors WHERE text = ?")?;
        let find = keys.iter().map(|key| {
            let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?));
            let found = find.query_row([key.as_bytes()], row).optional()?;
            let whole = found.filter(|(vector, hash)| {
                vector.len() == dimension * size_of::<f32>() && *hash == self::hash(key, vector)
            });
            Ok(whole.map(|(vector, _)| {
                vector.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
            }))
        });
        find.collect()
    }

    /// Keeps a row for each key.
    fn keep(&self, keys: &[blake3::Hash], rows: &Matrix) -> rusqlite::Result<()> {
        let mut database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let writing = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut keep = writing
                .prepare_cached("INSERT OR REPLACE INTO vectors (text, vector, hash) VALUES (?, ?, ?)")?;
            for (index, key) in keys.iter().enumerate() {
                let vector: Vec<u8> =
                    rows.row(index).iter().flat_map(|number| number.to_le_bytes()).collect();
                keep.execute(params![key.as_bytes(), vector, self::hash(key, &vector)])?;
            }
        }
        make_room(&writing, self.most_bytes)?;
        writing.commit()
    }

    /// Once: what fails for one batch fails for the next.
    fn warn(&self, what: &str, error: &Error) {
        self.warned.call_once(|| {
            tracing::warn!(
                "the vectors kept in {} {what}: {error}; `embeddings.max_mb = 0` keeps none",
                self.path.display()
            );
        });
    }

    /// Runs disk work outside of the async threads.
    async fn with<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || work(&store)).await?.map_err(Error::from)
    }
}

/// What is kept beside a vector: a vector under another key is as wrong as a damaged one.
fn hash(key: &blake3::Hash, vector: &[u8]) -> Vec<u8> {
    blake3::keyed_hash(key.as_bytes(), vector).as_bytes()[..16].to_vec()
}

/// Removes the eighth that was kept first, until what is left fits.
fn make_room(database: &Connection, most_bytes: u64) -> rusqlite::Result<()> {
    let number = |name: &str| database.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let used = || -> rusqlite::Result<i64> {
        Ok((number("page_count")? - number("freelist_count")?) * number("page_size")?)
    };
    while used()?.cast_unsigned() > most_bytes {
        let removed = database.execute(
            "DELETE FROM vectors WHERE id <= \
             (SELECT min(id) + (max(id) - min(id)) / 8 FROM vectors)",
            [],
        )?;
        if removed == 0 {
            break;
        }
    }
    Ok(())
}

/// The store of a configuration, opened when the first encoder needs it.
pub struct Embeddings {
    config: EmbeddingsConfig,
    store: OnceCell<Option<Arc<Store>>>,
}

impl Embeddings {
    /// The store that `config` names, if any.
    pub fn new(config: EmbeddingsConfig) -> Self {
        Self { config, store: OnceCell::new() }
    }

    async fn store(&self) -> Result<Option<Arc<Store>>> {
        let open = async || {
            let config = self.config.clone();
            tokio::task::spawn_blocking(move || Store::of(&config)).await?
        };
        self.store.get_or_try_init(open).await.cloned()
    }
}

/// An encoder behind a store, if it has weights: others are faster than a disk.
pub struct StoredEncoder {
    inner: Arc<dyn TextEncoder>,
    embeddings: Arc<Embeddings>,
    known: OnceCell<Known>,
}

/// What an encoder says of itself, and where its vectors are kept. Asked for at its first use, because an encoder may
/// have to ask a server.
struct Known {
    spec: EncoderSpec,
    store: Option<(Arc<Store>, blake3::Hash)>,
}

impl StoredEncoder {
    /// `inner` behind the store of `embeddings`.
    pub fn new(inner: Arc<dyn TextEncoder>, embeddings: Arc<Embeddings>) -> Self {
        Self { inner, embeddings, known: OnceCell::new() }
    }

    async fn known(&self) -> Result<&Known> {
        let ask = async || {
            let spec = self.inner.spec().await?;
            let store = if spec.revision.is_some() { self.embeddings.store().await? } else { None };
            let identity = identity(&spec);
            Ok(Known { spec, store: store.map(|store| (store, identity)) })
        };
        self.known.get_or_try_init(ask).await
    }
}

fn identity(spec: &EncoderSpec) -> blake3::Hash {
    let mut identity = blake3::Hasher::new_derive_key("forethought embedding store v1");
    for part in [&spec.id, spec.revision.as_deref().unwrap_or_default(), &spec.dimension.to_string()] {
        identity.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    identity.finalize()
}

#[async_trait]
impl TextEncoder for StoredEncoder {
    async fn spec(&self) -> Result<EncoderSpec> {
        Ok(self.known().await?.spec.clone())
    }

    async fn encode(&self, texts: Vec<String>) -> Result<Matrix> {
        let Known { spec, store } = self.known().await?;
        let Some((store, identity)) = store else { return self.inner.encode(texts).await };
        let (count, dimension) = (texts.len(), spec.dimension);
        let key = |text: &String| blake3::keyed_hash(identity.as_bytes(), text.as_bytes());
        let keys: Vec<_> = texts.iter().map(key).collect();
        let wanted = keys.clone();
        let found = store.with(move |store| store.find(&wanted, dimension)).await;
        let mut rows = found.unwrap_or_else(|error| {
            store.warn("cannot be read; texts are encoded", &error);
            vec![None; count]
        });
        let missing: Vec<usize> = (0..count).filter(|&index| rows[index].is_none()).collect();
        let mut texts: Vec<_> = texts.into_iter().map(Some).collect();
        for piece in missing.chunks(PIECE) {
            let matrix =
                self.inner.encode(piece.iter().filter_map(|&index| texts[index].take()).collect()).await?;
            if (matrix.rows(), matrix.columns()) != (piece.len(), dimension) {
                return Err(Error::other(format!(
                    "encoder {:?} gave {} x {} numbers for {} texts of dimension {dimension}",
                    spec.id,
                    matrix.rows(),
                    matrix.columns(),
                    piece.len()
                )));
            }
            for (row, &index) in piece.iter().enumerate() {
                rows[index] = Some(matrix.row(row).to_vec());
            }
            if matrix.data().iter().all(|number| number.is_finite()) {
                let keys: Vec<_> = piece.iter().map(|&index| keys[index]).collect();
                if let Err(error) = store.with(move |store| store.keep(&keys, &matrix)).await {
                    store.warn("cannot be added to; vectors are used and not kept", &error);
                }
            }
        }
        Matrix::new(count, dimension, rows.into_iter().flatten().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::*;

    /// Encodes a text as its length and its first bytes, and counts what it was asked.
    #[derive(Default)]
    struct Counting(Mutex<Vec<usize>>);

    fn spec(id: &str, revision: &str) -> EncoderSpec {
        EncoderSpec { id: id.into(), revision: Some(revision.into()), dimension: 9 }
    }

    fn vector(text: &str) -> Vec<f32> {
        let letters = text.bytes().chain(std::iter::repeat(0)).map(|byte| f32::from(byte) / 3.0);
        std::iter::once(text.len() as f32).chain(letters).take(9).collect()
    }

    #[async_trait]
    impl TextEncoder for Counting {
        async fn spec(&self) -> Result<EncoderSpec> {
            Ok(spec("counting", "1"))
        }
        async fn encode(&self, texts: Vec<String>) -> Result<Matrix> {
            self.0.lock().unwrap().push(texts.len());
            Matrix::new(texts.len(), 9, texts.iter().flat_map(|text| vector(text)).collect())
        }
    }

    fn texts(range: std::ops::Range<usize>) -> Vec<String> {
        range.map(|number| format!("text {number}")).collect()
    }

    fn expected(texts: &[String]) -> Vec<f32> {
        texts.iter().flat_map(|text| vector(text)).collect()
    }

    /// `inner` with another specification, behind `store`.
    fn stored(inner: Arc<Counting>, spec: EncoderSpec, store: Store) -> StoredEncoder {
        let identity = identity(&spec);
        let known = Known { spec, store: Some((Arc::new(store), identity)) };
        let embeddings = Arc::new(Embeddings::new(EmbeddingsConfig::default()));
        StoredEncoder { inner, embeddings, known: OnceCell::new_with(Some(known)) }
    }

    /// What a new process with this encoder gives for the texts, and what it asks the encoder.
    async fn encode(path: &Path, spec: EncoderSpec, texts: &[String]) -> (Vec<f32>, Vec<usize>) {
        let inner = Arc::new(Counting::default());
        let store = Store::open(path, 1 << 30).unwrap();
        let rows = stored(inner.clone(), spec, store).encode(texts.to_vec()).await.unwrap();
        let asked = inner.0.lock().unwrap().clone();
        (rows.into_data(), asked)
    }

    #[tokio::test]
    async fn what_was_encoded_is_not_encoded_again_by_the_same_encoder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/vectors");
        let all = texts(0..1100);
        assert_eq!(encode(&path, spec("a", "1"), &all).await, (expected(&all), vec![512, 512, 76]));
        assert_eq!(encode(&path, spec("a", "1"), &all).await, (expected(&all), vec![]));
        let more = [texts(1098..1102), texts(5..6)].concat();
        assert_eq!(encode(&path, spec("a", "1"), &more).await, (expected(&more), vec![2]));
        // Another revision, other settings: another encoder.
        for other in [spec("a", "2"), spec("b", "1"), spec("a1", "")] {
            assert_eq!(encode(&path, other, &all[..3]).await.1, [3]);
        }
    }

    #[tokio::test]
    async fn a_damaged_vector_is_encoded_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vectors");
        let all = texts(0..4);
        encode(&path, spec("a", "1"), &all).await;
        let database = Connection::open(&path).unwrap();
        // A torn vector, one that belongs to another text, and one that lost its end.
        for damage in [
            "UPDATE vectors SET vector = zeroblob(36) WHERE id = 1",
            "UPDATE vectors SET (vector, hash) = (SELECT vector, hash FROM vectors WHERE id = 4) WHERE id = 2",
            "UPDATE vectors SET vector = substr(vector, 1, 32) WHERE id = 3",
        ] {
            assert_eq!(database.execute(damage, []).unwrap(), 1);
        }
        assert_eq!(encode(&path, spec("a", "1"), &all).await, (expected(&all), vec![3]));
        assert_eq!(encode(&path, spec("a", "1"), &all).await, (expected(&all), vec![]));
    }

    #[tokio::test]
    async fn the_file_stays_within_its_size_and_keeps_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vectors");
        let most = 256 << 10;
        let inner = Arc::new(Counting::default());
        let encoder = stored(inner.clone(), spec("a", "1"), Store::open(&path, most).unwrap());
        for start in (0..20_000).step_by(500) {
            encoder.encode(texts(start..start + 500)).await.unwrap();
            let size = std::fs::metadata(&path).unwrap().len();
            assert!(size < 2 * most, "{size}");
        }
        inner.0.lock().unwrap().clear();
        encoder.encode(texts(19_900..20_000)).await.unwrap();
        assert!(inner.0.lock().unwrap().is_empty(), "the newest are kept");
        encoder.encode(texts(0..100)).await.unwrap();
        assert_eq!(*inner.0.lock().unwrap(), [100], "the oldest made room");
    }

    #[tokio::test]
    async fn a_file_that_is_no_store_is_refused_if_named_and_done_without_if_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vectors");
        std::fs::write(&path, "a diary, and no database at all".repeat(99)).unwrap();
        let config = EmbeddingsConfig {
            file: Some(forethought_api::registry::ConfigPath(path.clone())),
            ..EmbeddingsConfig::default()
        };
        let error = Store::of(&config).err().expect("is no database").to_string();
        assert!(
            error.contains("vectors cannot be opened") && error.contains("embeddings.max_mb = 0"),
            "{error}"
        );
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("a diary"));
        assert!(Store::of(&EmbeddingsConfig { max_mb: 0, ..config }).unwrap().is_none());
    }

    #[tokio::test]
    async fn a_store_that_breaks_while_it_is_used_costs_only_the_encoding() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vectors");
        let store = Store::open(&path, 1 << 30).unwrap();
        let inner = Arc::new(Counting::default());
        let encoder = stored(inner.clone(), spec("a", "1"), store);
        Connection::open(&path).unwrap().execute_batch("DROP TABLE vectors").unwrap();
        for _ in 0..2 {
            assert_eq!(encoder.encode(texts(0..3)).await.unwrap().into_data(), expected(&texts(0..3)));
        }
        assert_eq!(*inner.0.lock().unwrap(), [3, 3]);
    }

    const CHILD: &str = "FORETHOUGHT_TEST_STORE_CHILD";

    /// Not a test by itself: what the next one starts, and kills.
    #[tokio::test]
    async fn a_writer_for_ever() {
        let Some(path) = std::env::var_os(CHILD) else { return };
        let store = Store::open(Path::new(&path), 64 << 10).unwrap();
        let encoder = stored(Arc::default(), spec("a", "1"), store);
        for start in (0..).step_by(20) {
            encoder.encode(texts(start % 4000..start % 4000 + 40)).await.unwrap();
        }
    }

    #[tokio::test]
    async fn several_processes_write_and_are_killed_and_no_vector_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vectors");
        for round in 0..6 {
            let start = || {
                let mut child = Command::new(std::env::current_exe().unwrap());
                child.args(["--exact", "host::encoder_store::tests::a_writer_for_ever"]).env(CHILD, &path);
                child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
            };
            let mut children = [start(), start()];
            // Long enough to be in the middle of a write, and not always of the same one.
            std::thread::sleep(Duration::from_millis(150 + 37 * round));
            for child in &mut children {
                child.kill().unwrap();
                child.wait().unwrap();
            }
            let (found, asked) = encode(&path, spec("a", "1"), &texts(0..4000)).await;
            assert_eq!(found, expected(&texts(0..4000)));
            assert!(asked.iter().sum::<usize>() <= 4000);
            let whole: String = Connection::open(&path)
                .unwrap()
                .query_row("PRAGMA integrity_check", [], |row| row.get(0))
                .unwrap();
            assert_eq!(whole, "ok");
        }
    }
}
