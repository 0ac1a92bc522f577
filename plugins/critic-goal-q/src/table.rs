//! The embedding of each distinct text: in memory, in a file that is mapped, or on a GPU.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use forethought_sdk::checkpoint::encode;
use forethought_sdk::prelude::*;
use forethought_sdk::snapshot::Snapshot;

use crate::cpu::Mapped;
use crate::goals::TextId;

/// Texts in one request to the encoder.
const PIECE: usize = 512;

/// Rows of `dimension` numbers, one for each text.
pub(crate) struct Embeddings {
    numbers: Numbers,
    pub(crate) dimension: usize,
}

enum Numbers {
    Memory(Vec<f32>),
    Mapped(Mapped),
}

impl Embeddings {
    /// Asks `encoder` for the embedding of each text, in pieces to show progress. More than `memory` bytes are kept in
    /// a file next to the snapshot; with that, too, an interrupted encoding continues.
    pub(crate) async fn of(
        texts: &[String],
        (encoder, spec): (&dyn TextEncoder, &EncoderSpec),
        memory: u64,
        progress: &dyn Progress,
        mut snapshot: Snapshot,
    ) -> Result<Self> {
        let bytes = (texts.len() * spec.dimension * size_of::<f32>()) as u64;
        let mut growing = match bytes > memory {
            true => Growing::file(&snapshot, spec.dimension)?,
            false => Growing::memory(&snapshot),
        };
        for piece in texts[growing.count() / spec.dimension..].chunks(PIECE) {
            let matrix = encode(encoder, spec, piece.to_vec()).await?;
            growing.add(matrix.data())?;
            growing.keep(&mut snapshot);
            let done = growing.count() / spec.dimension;
            progress.report("encode".into(), done as u64, texts.len() as u64, String::new()).await?;
        }
        Ok(Self { numbers: growing.finish()?, dimension: spec.dimension })
    }

    /// These numbers, in memory.
    pub(crate) fn in_memory(numbers: Vec<f32>, dimension: usize) -> Self {
        Self { numbers: Numbers::Memory(numbers), dimension }
    }

    /// All rows, one after the other.
    pub(crate) fn numbers(&self) -> &[f32] {
        match &self.numbers {
            Numbers::Memory(numbers) => numbers,
            Numbers::Mapped(mapped) => mapped.numbers(),
        }
    }

    /// The embedding of a text.
    pub(crate) fn row(&self, id: TextId) -> &[f32] {
        &self.numbers()[id as usize * self.dimension..][..self.dimension]
    }
}

/// Embeddings while they are made.
enum Growing {
    Memory(Vec<f32>),
    File { file: File, path: PathBuf, count: usize },
}

impl Growing {
    fn memory(snapshot: &Snapshot) -> Self {
        let bytes = snapshot.read().unwrap_or_default();
        Self::Memory(bytes.as_chunks().0.iter().map(|number| f32::from_le_bytes(*number)).collect())
    }

    /// Of the numbers in the file, those count that were written before the last snapshot.
    fn file(snapshot: &Snapshot, dimension: usize) -> Result<Self> {
        let path = snapshot.beside("rows");
        let kept = snapshot.read().and_then(|state| Some(u64::from_le_bytes(state.try_into().ok()?)));
        let place = || format!("cannot write the embeddings to {}", path.display());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).context(place())?;
        }
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = options.context(place())?;
        let row = (dimension * size_of::<f32>()) as u64;
        let length = kept.unwrap_or(0).min(file.metadata().context(place())?.len()) / row * row;
        file.set_len(length).context(place())?;
        file.seek(SeekFrom::Start(length)).context(place())?;
        Ok(Self::File { file, path, count: length as usize / size_of::<f32>() })
    }

    fn count(&self) -> usize {
        match self {
            Self::Memory(numbers) => numbers.len(),
            Self::File { count, .. } => *count,
        }
    }

    fn add(&mut self, numbers: &[f32]) -> Result<()> {
        match self {
            Self::Memory(all) => all.extend_from_slice(numbers),
            Self::File { file, path, count } => {
                file.write_all(bytemuck::cast_slice(numbers)).context(format!(
                    "cannot write the embeddings to {}; a file system with more room, or a larger \
                     `embeddings_in_memory_mb`, avoids it",
                    path.display()
                ))?;
                *count += numbers.len();
            }
        }
        Ok(())
    }

    fn keep(&self, snapshot: &mut Snapshot) {
        snapshot.keep(|| match self {
            Self::Memory(numbers) => Ok(numbers.iter().flat_map(|number| number.to_le_bytes()).collect()),
            Self::File { file, count, .. } => {
                file.sync_data()?;
                Ok(((count * size_of::<f32>()) as u64).to_le_bytes().to_vec())
            }
        });
    }

    fn finish(self) -> Result<Numbers> {
        Ok(match self {
            Self::Memory(numbers) => Numbers::Memory(numbers),
            Self::File { file, path, count } => Numbers::Mapped(
                Mapped::new(&file, count).context(format!("cannot map {} into memory", path.display()))?,
            ),
        })
    }
}

/// The embeddings where the networks are.
pub(crate) enum Table {
    Host(Embeddings),
    Device(Tensor),
}

impl Table {
    pub(crate) fn new(embeddings: Embeddings, device: &Device) -> Result<Self> {
        if device.is_cpu() {
            return Ok(Self::Host(embeddings));
        }
        let shape = (embeddings.numbers().len() / embeddings.dimension, embeddings.dimension);
        Ok(Self::Device(Tensor::from_slice(embeddings.numbers(), shape, device)?))
    }

    pub(crate) fn device(&self) -> &Device {
        match self {
            Self::Host(_) => &Device::Cpu,
            Self::Device(table) => table.device(),
        }
    }

    /// The embeddings of some texts, as a matrix.
    pub(crate) fn rows(&self, ids: &[TextId]) -> candle_core::Result<Tensor> {
        match self {
            Self::Host(embeddings) => {
                let rows: Vec<f32> = ids.iter().flat_map(|&id| embeddings.row(id)).copied().collect();
                Tensor::from_vec(rows, (ids.len(), embeddings.dimension), &Device::Cpu)
            }
            Self::Device(table) => table.index_select(&Tensor::new(ids, table.device())?, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use forethought_sdk::api::critic::NoProgress;
    use forethought_testkit::block_on;

    use super::*;

    /// A text's length and its first byte; breaks down at the given request.
    struct Breaking(Mutex<usize>);

    #[async_trait]
    impl TextEncoder for Breaking {
        async fn spec(&self) -> Result<EncoderSpec> {
            Ok(EncoderSpec { dimension: 2, ..EncoderSpec::default() })
        }
        async fn encode(&self, texts: Vec<String>) -> Result<Matrix> {
            let mut left = self.0.lock().unwrap();
            *left = left.checked_sub(1).ok_or_else(|| Error::other("broken down"))?;
            let row = |text: &String| [text.len() as f32, f32::from(text.as_bytes()[0])];
            Matrix::new(texts.len(), 2, texts.iter().flat_map(row).collect())
        }
    }

    #[test]
    fn an_interrupted_encoding_continues_in_memory_and_on_disk() {
        let texts: Vec<String> = (0..3 * PIECE + 5).map(|index| format!("{}", index * 7)).collect();
        let folder = tempfile::tempdir().unwrap();
        for memory in [u64::MAX, 0] {
            let fit = TrainingRequest { out: folder.path().join("critic"), ..TrainingRequest::default() };
            let of = |requests| {
                let encoder = Breaking(Mutex::new(requests));
                let spec = block_on(encoder.spec()).unwrap();
                let snapshot = Snapshot::new(&fit, "encode", &memory).unwrap();
                block_on(Embeddings::of(&texts, (&encoder, &spec), memory, &NoProgress, snapshot))
            };
            let error = of(2).err().expect("it broke down");
            assert!(error.to_string().contains("broken down"), "{error}");
            // What had been encoded is not requested again: where writing a snapshot takes long, less is kept.
            let embeddings = of(3).unwrap();
            for (id, text) in (0..).zip(&texts) {
                assert_eq!(embeddings.row(id), [text.len() as f32, f32::from(text.as_bytes()[0])]);
            }
        }
    }
}
