//! Snapshots of a training, next to its checkpoint: what was learned so far, so that a killed training continues.
//!
//! A trainer keeps all that decides its next steps: weights, the state of its optimiser, the position of its random
//! stream. Trained in one go or in parts, the checkpoint is then the same, byte for byte.
//! [`checkpoint::write`](crate::checkpoint::write()) removes the snapshots of its folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use forethought_api::{Result, critic::TrainingRequest, error::Context};
use serde::Serialize;

use crate::checkpoint::{parent, target};
use crate::files::{remove, replace};

/// Writing takes at most this share of the time of a training: a twentieth.
const SHARE: u32 = 20;
/// Bytes of the digest that a file begins with.
const DIGEST: usize = 32;

/// The snapshot of one stage of one training.
///
/// ```
/// # use forethought_sdk::{prelude::*, snapshot::Snapshot};
/// # let folder = std::env::temp_dir().join(format!("forethought-snapshot-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let fit = TrainingRequest { out: folder.join("critic"), ..Default::default() };
/// let mut snapshot = Snapshot::new(&fit, "train", &("my-critic/1", 0.001))?;
/// let mut step = snapshot.read().map_or(0, |state| state[0]);
/// while step < 100 {
///     step += 1;
///     snapshot.keep(|| Ok(vec![step]));
/// }
/// # std::fs::remove_dir_all(folder)?;
/// # Result::<()>::Ok(())
/// ```
#[derive(Debug)]
pub struct Snapshot {
    path: PathBuf,
    written: Option<Instant>,
    /// How long writing took.
    took: Duration,
}

impl Snapshot {
    /// That of a `stage` of the training that `fit` describes. `identity` is what decides the state besides the
    /// request: the format of the state, the trainer's configuration, the encoder. A training of another identity has
    /// other snapshots. If `fit` is to start over, what an earlier one left is removed.
    ///
    /// # Errors
    /// If `identity` cannot be serialised.
    pub fn new(fit: &TrainingRequest, stage: &str, identity: &impl Serialize) -> Result<Self> {
        let mut hasher = blake3::Hasher::new();
        let data = (&fit.trajectories, fit.seed, fit.shuffle_outcomes);
        serde_json::to_writer(&mut hasher, &(env!("CARGO_PKG_VERSION"), stage, identity, data))
            .context("the identity of a training")?;
        let out = target(&fit.out);
        let name = format!("{}{stage}-{}", start(&out), &hasher.finalize().to_hex()[..16]);
        let path = parent(&out).join(name);
        if fit.fresh {
            remove(&path)?;
        }
        Ok(Self { path, written: None, took: Duration::ZERO })
    }

    /// A file next to the snapshot, for state that grows and that the snapshot only counts. It is removed with the
    /// snapshots of its folder.
    pub fn beside(&self, name: &str) -> PathBuf {
        let own = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.path.with_file_name(format!("{own}-{name}"))
    }

    /// The state that an interrupted training left; `None` if no training left one, or if the file is damaged.
    pub fn read(&self) -> Option<Vec<u8>> {
        let bytes = fs::read(&self.path).ok()?;
        let (digest, state) = bytes.split_at_checked(DIGEST)?;
        (blake3::hash(state).as_bytes() == digest).then(|| state.to_vec())
    }

    /// Replaces the state, unless too little time has passed since the last one was written. A disk that is full costs
    /// the snapshot, not the training.
    pub fn keep(&mut self, state: impl FnOnce() -> Result<Vec<u8>>) {
        if self.written.is_some_and(|written| written.elapsed() < self.took.saturating_mul(SHARE)) {
            return;
        }
        let began = Instant::now();
        if let Err(error) = state().and_then(|state| Ok(self.replace(&state)?)) {
            let path = self.path.display();
            tracing::warn!(
                "the snapshot {path} cannot be written; if interrupted, this training starts over: {error}"
            );
        }
        self.written = Some(Instant::now());
        self.took = began.elapsed();
    }

    /// Not synced to the disk: what a power cut leaves is recognised by its digest.
    fn replace(&self, state: &[u8]) -> io::Result<()> {
        replace(&self.path, &[blake3::hash(state).as_bytes(), state])
    }
}

/// Removes the snapshots of all trainings into the folder `out`, which is a [`target`].
pub(crate) fn clear(out: &Path) -> Result<()> {
    let start = start(out);
    for entry in fs::read_dir(parent(out))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&start) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// How the names of all snapshots of `out` begin.
fn start(out: &Path) -> String {
    format!(".{}.snapshot-", out.file_name().unwrap_or_default().to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_belongs_to_one_training_and_is_whole_or_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let fit = TrainingRequest { out: folder.path().join("critic"), seed: 3, ..Default::default() };
        let of = |fit: &TrainingRequest, rate: f64| Snapshot::new(fit, "train", &rate).unwrap();
        let mut snapshot = of(&fit, 0.1);
        assert_eq!(snapshot.read(), None);
        snapshot.keep(|| Ok(b"step 5".to_vec()));
        assert_eq!(of(&fit, 0.1).read().as_deref(), Some(b"step 5".as_slice()));
        for other in [of(&fit, 0.2), of(&TrainingRequest { seed: 4, ..fit.clone() }, 0.1)] {
            assert_eq!(other.read(), None);
        }
        // Torn by a power cut.
        let whole = fs::read(&snapshot.path).unwrap();
        fs::write(&snapshot.path, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(of(&fit, 0.1).read(), None);
        fs::write(&snapshot.path, whole).unwrap();
        assert_eq!(of(&TrainingRequest { fresh: true, ..fit.clone() }, 0.1).read(), None);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "started over");
    }

    #[test]
    fn the_snapshots_of_a_folder_are_removed_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["critic", "critic-2"] {
            let fit = TrainingRequest { out: folder.path().join(name), ..Default::default() };
            Snapshot::new(&fit, "train", &()).unwrap().keep(|| Ok(Vec::new()));
        }
        clear(&folder.path().join("critic")).unwrap();
        let left = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap();
        assert!(left.file_name().to_string_lossy().starts_with(".critic-2.snapshot-train-"));
    }
}
