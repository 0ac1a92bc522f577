//! Checkpoint folders: trainers write them in one piece, and the critics that they train read them.
//!
//! A trainer calls [`replaceable`] before the work and [`write()`] after it. A critic asks the host for [`files`], reads
//! its part of `config.json` with [`read`], and gets its encoder with [`encoder`].

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use forethought_api::checkpoint::{CARD, CONFIG, Manifest, Split, TrainedOn, WEIGHTS};
use forethought_api::{
    Error, Result,
    encoder::{EncoderSpec, Matrix, TextEncoder},
    error::Context,
    host::{Host, ModelFiles},
    registry::ConfigPath,
    text::unmarked,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{encoder_id::other_prompt, snapshot};

/// The request to the host for the checkpoint at `model`.
pub fn files(model: &ConfigPath) -> ModelFiles {
    ModelFiles {
        source: model.to_string_lossy().into_owned(),
        required: vec![CONFIG.into(), WEIGHTS.into()],
        optional: vec![CARD.into()],
        aside: Vec::new(),
    }
}

/// Checks that a checkpoint can be written at `out`: [`write()`] checks it too, but after the work. Clears away what
/// killed trainings left next to it.
///
/// # Errors
/// If `out` exists and is neither an older checkpoint nor an empty folder, or if its folder cannot be written.
pub fn replaceable(out: &Path) -> Result<()> {
    let out = &target(out);
    let prepared = fs::create_dir_all(parent(out))
        .and_then(|()| recover(out))
        .and_then(|()| Scratch::new(parent(out)).map(drop));
    prepared.map_err(|error| {
        Error::input(format!("a checkpoint cannot be written at {}: {error}", out.display()))
    })?;
    let ours = |entry: io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| [WEIGHTS, CONFIG, CARD].iter().any(|own| entry.file_name() == *own))
    };
    if !out.exists() || fs::read_dir(out).is_ok_and(|mut entries| entries.all(ours)) {
        return Ok(());
    }
    Err(Error::input(format!(
        "{} exists and contains other things than a checkpoint: choose another folder",
        out.display()
    )))
}

/// Writes a checkpoint at `out`: `config` with the manifest's keys and the hash of the weights as `config.json`, the
/// bytes of a safetensors file, and the model card. The folder appears in one piece: until all of it is on disk, `out`
/// stays as it was. Its [snapshots](crate::snapshot) are then removed.
///
/// # Errors
/// If `out` may not be [replaced](replaceable), if `config` is not an object, or if a file cannot be written.
pub fn write<T: Serialize>(
    out: &Path,
    manifest: &Manifest,
    config: &T,
    weights: &[u8],
    card: &str,
) -> Result<()> {
    #[derive(Serialize)]
    struct Whole<'a, T> {
        format: &'a str,
        #[serde(flatten)]
        config: &'a T,
        split: &'a Split,
        #[serde(skip_serializing_if = "Option::is_none")]
        trained_on: &'a Option<TrainedOn>,
        weights_blake3: &'a str,
    }
    replaceable(out)?;
    let Manifest { format, split, trained_on } = manifest;
    let writing = || format!("cannot write the checkpoint {}", out.display());
    let weights_blake3 = &*blake3::hash(weights).to_hex();
    let whole = Whole { format, config, split, trained_on, weights_blake3 };
    let mut json = serde_json::to_string_pretty(&whole).context(writing())?;
    json.push('\n');
    put(out, [(WEIGHTS, weights), (CONFIG, json.as_bytes()), (CARD, card.as_bytes())]).context(writing())?;
    snapshot::clear(&target(out))
}

/// Where a checkpoint at `out` is: a link stays a link.
pub(crate) fn target(out: &Path) -> PathBuf {
    out.canonicalize().unwrap_or_else(|_| out.to_owned())
}

pub(crate) fn parent(out: &Path) -> &Path {
    out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Replaces the folder `out` by one with these files.
fn put(out: &Path, files: [(&str, &[u8]); 3]) -> Result<()> {
    let out = &target(out);
    let parent = parent(out);
    fs::create_dir_all(parent)?;
    let fresh = Scratch::new(parent)?;
    for (name, bytes) in files {
        let mut file = fs::File::create(fresh.0.join(name))?;
        file.write_all(bytes)?;
        file.sync_all()?;
    }
    let replaces = out.exists();
    // In one step where the file system can: at no time is there no checkpoint. The older one is deleted then.
    #[cfg(target_os = "linux")]
    if replaces {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        if renameat_with(CWD, &fresh.0, CWD, out, RenameFlags::EXCHANGE).is_ok() {
            return Ok(());
        }
    }
    // A folder cannot be renamed over one that is not empty: the old one moves aside first, under a name by which it is
    // found again.
    let aside = Scratch::new(parent)?;
    let old = aside.0.join(out.file_name().unwrap_or_default());
    if replaces {
        fs::rename(out, &old)?;
    }
    if let Err(error) = fs::rename(&fresh.0, out) {
        if replaces && fs::rename(&old, out).is_err() {
            std::mem::forget(aside);
            let place = format!("the older checkpoint is now {}", old.display());
            return Err(Error::from(error).context(place));
        }
        return Err(error.into());
    }
    // It has moved: another writer may use its name by now.
    std::mem::forget(fresh);
    Ok(())
}

/// Clears away the scratch folders that killed trainings left next to `out`. An older checkpoint in one moves back if
/// nothing has taken its place.
fn recover(out: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent(out))? {
        let left = entry?.path();
        let scratch = left.file_name().is_some_and(|name| name.to_string_lossy().starts_with(SCRATCH));
        if !scratch || !left.is_dir() {
            continue;
        }
        // What a running training uses is locked, and what another one cleared away meanwhile is gone.
        let Ok(folder) = fs::File::open(&left) else { continue };
        let cleared = if lock(&folder).is_ok() { clear(&left, out) } else { Ok(()) };
        cleared.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    }
    Ok(())
}

/// Clears away the scratch folder `left`.
fn clear(left: &Path, out: &Path) -> io::Result<()> {
    let old = left.join("old"); // As release 0.1.0 called it, of whatever checkpoint.
    if old.exists() {
        if out.exists() {
            return Ok(());
        }
        fs::rename(&old, out)?;
    }
    for older in fs::read_dir(left)?.collect::<io::Result<Vec<_>>>()? {
        let place = parent(out).join(older.file_name());
        if older.path().is_dir() && !place.exists() {
            fs::rename(older.path(), place)?;
        }
    }
    fs::remove_dir_all(left)
}

/// How the names of scratch folders begin.
const SCRATCH: &str = ".checkpoint-";

/// A new folder, locked while it is in use and deleted when dropped.
struct Scratch(PathBuf, #[expect(dead_code, reason = "holds the lock")] fs::File);

impl Scratch {
    fn new(parent: &Path) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("{SCRATCH}{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                // Another copy of this crate in the process, another machine, or what a killed process left.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                made => made?,
            }
            let folder = match fs::File::open(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                opened => opened?,
            };
            // Not on every file system; where there are no locks, nothing is cleared away too early. Until it is locked,
            // another training may take it for what a killed one left.
            let taken = lock(&folder).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
            if !taken && path.exists() {
                return Ok(Self(path, folder));
            }
        }
    }
}

/// Locks the folder for this process. `File::try_lock` does the same, in newer Rust than this crate needs.
fn lock(folder: &fs::File) -> io::Result<()> {
    #[cfg(unix)]
    rustix::fs::flock(folder, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Reads `config.json` of a checkpoint of this format, and compares the weights with their hash in it. Checkpoints of
/// release 0.1 have none.
///
/// # Errors
/// If a file cannot be read, if it is of another format, or if the weights are not those that were written.
pub fn read<T: DeserializeOwned>(folder: &Path, format: &str) -> Result<T> {
    let path = folder.join(CONFIG);
    let text = fs::read_to_string(&path).context(format!("cannot read {}", path.display()))?;
    let value: Value =
        serde_json::from_str(unmarked(&text)).map_err(|error| damaged(&path, format, error))?;
    match value.get("format").map(|found| found.as_str().unwrap_or_default()) {
        Some(found) if found == format => {}
        Some(found) => {
            let why = format!("its format is {found:?}, this program reads {format:?}");
            return Err(damaged(&path, format, why));
        }
        None => return Err(damaged(&path, format, "no key `format`")),
    }
    if let Some(written) = value.get("weights_blake3").and_then(Value::as_str) {
        let weights = folder.join(WEIGHTS);
        let bytes = fs::read(&weights).context(format!("cannot read {}", weights.display()))?;
        if *blake3::hash(&bytes).to_hex() != *written {
            return Err(damaged(&weights, format, format!("{CONFIG} has the hash of other weights")));
        }
    }
    serde_json::from_value(value).map_err(|error| damaged(&path, format, error))
}

/// The error about a file of a checkpoint that cannot be used.
pub fn damaged(path: &Path, format: &str, why: impl std::fmt::Display) -> Error {
    Error::input(format!(
        "{} is damaged or not from a checkpoint of format {format:?}: {why}",
        path.display()
    ))
}

/// The encoder called `name`, which must be the one that the critic at `model` was `trained` with.
///
/// # Errors
/// If there is no such encoder, or its id or dimension differ.
pub async fn encoder(
    host: &dyn Host,
    name: &str,
    trained: &EncoderSpec,
    model: &Path,
) -> Result<Arc<dyn TextEncoder>> {
    let encoder = host.encoder(name.to_owned()).await?;
    let found = encoder.spec().await?;
    if (&found.id, found.dimension) != (&trained.id, trained.dimension) {
        let way_out = match other_prompt(&found.id, &trained.id) {
            Some(prompt) => format!("set `prompt = {prompt:?}` in [encoder.{name}]"),
            None => "configure the encoder it was trained with".to_owned(),
        };
        return Err(Error::config(format!(
            "the critic {model:?} was trained with encoder {:?} (dimension {}), but [encoder.{name}] is {:?} \
             (dimension {}): {way_out}, or train a critic with this one",
            trained.id, trained.dimension, found.id, found.dimension
        )));
    }
    Ok(encoder)
}

/// The embeddings of `texts`, one row per text.
///
/// # Errors
/// If the encoder fails, or its answer is not what its `spec` promises: of another shape, or not finite.
pub async fn encode(encoder: &dyn TextEncoder, spec: &EncoderSpec, texts: Vec<String>) -> Result<Matrix> {
    let count = texts.len();
    let matrix = encoder.encode(texts).await?;
    let EncoderSpec { id, dimension, .. } = spec;
    let (rows, columns) = (matrix.rows(), matrix.columns());
    if (rows, columns) != (count, *dimension) {
        return Err(Error::other(format!(
            "encoder {id:?} gave {rows} x {columns} numbers for {count} texts of dimension {dimension}"
        )));
    }
    if matrix.data().iter().any(|number| !number.is_finite()) {
        return Err(Error::other(format!("encoder {id:?} gave a number that is not finite")));
    }
    Ok(matrix)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FORMAT: &str = "mine/1";

    fn manifest() -> Manifest {
        let split = Split { train: vec!["e1".into()], ..Split::default() };
        let tasks = [("shop".into(), [1, 2].into())].into();
        let trained_on = Some(TrainedOn { configuration: "c".into(), tasks });
        Manifest { format: FORMAT.into(), split, trained_on }
    }

    #[test]
    fn a_checkpoint_is_written_read_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("new/critic");
        for (width, weights) in [(3, b"first".as_slice()), (4, b"second")] {
            replaceable(&out).unwrap();
            write(&out, &manifest(), &json!({ "width": width }), weights, "# A critic\n").unwrap();
            assert_eq!(read::<Value>(&out, FORMAT).unwrap()["width"], width);
            let config: Value = serde_json::from_slice(&fs::read(out.join(CONFIG)).unwrap()).unwrap();
            assert_eq!(Manifest::of(&config).unwrap(), manifest());
            assert_eq!(fs::read(out.join(WEIGHTS)).unwrap(), weights);
            assert_eq!(fs::read_to_string(out.join(CARD)).unwrap(), "# A critic\n");
            fs::write(out.join(WEIGHTS), b"other").unwrap();
            let error = read::<Value>(&out, FORMAT).unwrap_err().to_string();
            assert!(error.contains("model.safetensors is damaged"), "{error}");
            fs::write(out.join(WEIGHTS), weights).unwrap();
            assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 1, "nothing is left behind");
        }
        // What a killed training left is cleared away, and an older checkpoint that it had moved aside comes back.
        let left = folder.path().join("new/.checkpoint-1-0");
        fs::create_dir(&left).unwrap();
        fs::rename(&out, left.join("critic")).unwrap();
        replaceable(&out).unwrap();
        assert!(!left.exists());
        assert_eq!(fs::read(out.join(WEIGHTS)).unwrap(), b"second");
        // A checkpoint that cannot be written leaves the older one.
        write(&out, &manifest(), &[1], b"third", "").unwrap_err();
        assert_eq!(fs::read(out.join(WEIGHTS)).unwrap(), b"second");
    }

    #[test]
    fn what_is_not_a_checkpoint_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("thesis.tex");
        fs::write(&file, "years of work").unwrap();
        for out in [folder.path(), &file] {
            for error in [replaceable(out), write(out, &manifest(), &json!({}), b"", "")] {
                let error = error.unwrap_err().to_string();
                assert!(error.contains("choose another folder"), "{error}");
            }
        }
        assert_eq!(fs::read(&file).unwrap(), b"years of work");
    }

    #[test]
    fn trainings_next_to_each_other_do_not_clear_away_what_they_use() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for number in 0..4 {
                let out = folder.path().join(format!("critic-{number}"));
                scope.spawn(move || {
                    for _ in 0..10 {
                        write(&out, &manifest(), &json!({}), b"weights", "").unwrap();
                        assert_eq!(read::<Value>(&out, FORMAT).unwrap()["format"], FORMAT);
                    }
                });
            }
        });
        replaceable(&folder.path().join("critic-0")).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4, "nothing is left behind");
    }

    #[test]
    fn scratch_folders_never_share_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let first = Scratch::new(folder.path()).unwrap();
        let number: u64 = first.0.to_str().unwrap().rsplit('-').next().unwrap().parse().unwrap();
        // As another copy of this crate, with a counter of its own, would have made them.
        let taken: Vec<_> = (1..=20)
            .map(|ahead| folder.path().join(format!(".checkpoint-{}-{}", std::process::id(), number + ahead)))
            .collect();
        taken.iter().for_each(|path| fs::create_dir(path).unwrap());
        let second = Scratch::new(folder.path()).unwrap();
        assert!(!taken.contains(&second.0));
        drop((first, second));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), taken.len());
    }

    /// A host with an encoder of this id.
    struct Has(&'static str);

    #[async_trait::async_trait]
    impl Host for Has {
        async fn encoder(&self, _: String) -> Result<Arc<dyn TextEncoder>> {
            Ok(Arc::new(Self(self.0)))
        }
    }

    #[async_trait::async_trait]
    impl TextEncoder for Has {
        async fn spec(&self) -> Result<EncoderSpec> {
            Ok(EncoderSpec { id: self.0.into(), revision: None, dimension: 2 })
        }
        async fn encode(&self, _: Vec<String>) -> Result<Matrix> {
            Matrix::new(0, 2, Vec::new())
        }
    }

    #[tokio::test]
    async fn a_critic_is_held_to_its_encoder_and_a_prompt_is_named() {
        let plain = "bert/v1?weights=a&lowercase=false";
        let prompted = "bert/v1?weights=a&lowercase=false&prompt=query: ";
        let refusal = async |has, trained: &str| {
            let trained = EncoderSpec { id: trained.into(), revision: None, dimension: 2 };
            let found = encoder(&Has(has), "mini", &trained, Path::new("critic")).await;
            found.err().map_or_else(String::new, |error| error.message)
        };
        assert_eq!(refusal(plain, plain).await, "");
        for (has, trained, way_out) in [
            (prompted, plain, "set `prompt = \"\"` in [encoder.mini]"),
            (plain, prompted, "set `prompt = \"query: \"` in [encoder.mini]"),
            (plain, "bert/v1?weights=b&lowercase=false", "configure the encoder it was trained with"),
        ] {
            let error = refusal(has, trained).await;
            assert!(error.contains(way_out) && error.contains("train a critic with this one"), "{error}");
        }
    }

    #[test]
    fn a_config_of_another_format_is_refused_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let error = read::<Value>(folder.path(), FORMAT).unwrap_err().to_string();
        assert!(error.contains(CONFIG), "{error}");
        for (text, part) in [
            ("{", "EOF"),
            (r#"{ "model_type": "bert" }"#, "no key `format`"),
            (r#"{ "format": "mine/2" }"#, "its format is \"mine/2\", this program reads \"mine/1\""),
        ] {
            fs::write(folder.path().join(CONFIG), text).unwrap();
            let error = read::<Value>(folder.path(), FORMAT).unwrap_err().to_string();
            assert!(error.contains(CONFIG) && error.contains("damaged") && error.contains(part), "{error}");
        }
    }
}
