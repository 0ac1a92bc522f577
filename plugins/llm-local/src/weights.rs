//! Weights by the names that transformers gives them, from safetensors or GGUF files, each checked against the shape
//! that the network expects. None may be missing, and none left over: a layer that nobody computes would be one.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use candle_core::{
    DType, Device, Tensor,
    quantized::{QMatMul, QTensor, gguf_file::Content},
    safetensors::{BufferedSafetensors, Load},
};
use forethought_sdk::prelude::*;

use crate::files::read;

/// Weights on their way into a network.
pub(crate) struct Weights {
    device: Device,
    dtype: DType,
    source: Source,
}

enum Source {
    Safetensors {
        tensors: HashMap<String, Tensor>,
        /// The file, or the first of several.
        path: PathBuf,
    },
    Gguf(Gguf),
}

impl Weights {
    /// Those of a model in one or several safetensors files, as `dtype` or as they are on disk. What the files hold
    /// goes into `identity`.
    pub(crate) fn from_safetensors(
        paths: &[PathBuf],
        dtype: Option<DType>,
        device: &Device,
        identity: &mut blake3::Hasher,
    ) -> Result<Self> {
        let mut tensors = HashMap::new();
        let mut dtype = dtype;
        for path in paths {
            // One file after the other, so that only one is in memory besides the tensors.
            let bytes = read(path)?;
            identity.update(blake3::hash(&bytes).as_bytes());
            let malformed = |error: &dyn std::fmt::Display| {
                Error::input(format!("{} is not a whole safetensors file: {error}", path.display()))
            };
            let file = BufferedSafetensors::new(bytes).map_err(|error| malformed(&error))?;
            for (name, view) in file.tensors() {
                let tensor = view.load(device).map_err(|error| malformed(&error))?;
                if !matches!(tensor.dtype(), DType::F32 | DType::F16 | DType::BF16) {
                    return Err(Error::config(format!(
                        "{}: the tensor {name} is of type {:?}; F32, F16 and BF16 are supported",
                        path.display(),
                        tensor.dtype()
                    )));
                }
                let dtype = *dtype.get_or_insert(tensor.dtype());
                tensors.insert(name, tensor.to_dtype(dtype)?);
            }
        }
        let path = paths.first().cloned().unwrap_or_default();
        Ok(Self {
            device: device.clone(),
            dtype: dtype.unwrap_or(DType::F32),
            source: Source::Safetensors { tensors, path },
        })
    }

    /// Those of a GGUF file, multiplied as they are and computed with in float32.
    pub(crate) fn from_gguf(file: Gguf, device: &Device) -> Self {
        Self { device: device.clone(), dtype: DType::F32, source: Source::Gguf(file) }
    }

    /// A matrix of (rows, columns).
    pub(crate) fn matrix(&mut self, name: &str, rows: usize, columns: usize) -> Result<QMatMul> {
        match &mut self.source {
            Source::Safetensors { tensors, path } => {
                dense(tensors, path, name, &[rows, columns]).map(QMatMul::Tensor)
            }
            Source::Gguf(file) => {
                Ok(QMatMul::from_qtensor(file.named(name, &[rows, columns], &self.device)?)?)
            }
        }
    }

    /// A vector.
    pub(crate) fn vector(&mut self, name: &str, size: usize) -> Result<Tensor> {
        match &mut self.source {
            Source::Safetensors { tensors, path } => dense(tensors, path, name, &[size]),
            Source::Gguf(file) => Ok(file.named(name, &[size], &self.device)?.dequantize(&self.device)?),
        }
    }

    /// Where and in what type the network computes, once it has all that it wants.
    pub(crate) fn finish(self, tied: bool) -> Result<(Device, DType)> {
        // Older files carry what is computed from the configuration, and some a tied output layer once more.
        let known = |name: &str| name.ends_with("rotary_emb.inv_freq") || (tied && name == "lm_head.weight");
        let (path, mut left): (_, Vec<_>) = match self.source {
            Source::Safetensors { tensors, path } => {
                (path, tensors.into_keys().filter(|name| !known(name)).collect())
            }
            Source::Gguf(file) => (file.path, file.content.tensor_infos.into_keys().collect()),
        };
        left.sort();
        match left.first() {
            None => Ok((self.device, self.dtype)),
            Some(name) => Err(Error::config(format!(
                "{}: {} tensors, such as {name}, are not part of the network that the configuration describes; the \
                 model is of a variant that is not supported",
                path.display(),
                left.len()
            ))),
        }
    }
}

fn dense(tensors: &mut HashMap<String, Tensor>, path: &Path, name: &str, shape: &[usize]) -> Result<Tensor> {
    let tensor = tensors.remove(name).ok_or_else(|| missing(path, name))?;
    if tensor.dims() != shape {
        return Err(misshapen(path, name, tensor.dims(), shape));
    }
    Ok(tensor)
}

fn missing(path: &Path, name: &str) -> Error {
    Error::input(format!("{}: there is no tensor {name}", path.display()))
}

fn misshapen(path: &Path, name: &str, found: &[usize], wanted: &[usize]) -> Error {
    Error::input(format!(
        "{}: the tensor {name} is of shape {found:?}, but the configuration makes it {wanted:?}",
        path.display()
    ))
}

/// A GGUF file whose head has been read.
pub(crate) struct Gguf {
    pub(crate) path: PathBuf,
    pub(crate) content: Content,
    file: BufReader<File>,
}

impl Gguf {
    /// Opens the file, and puts what it holds into `identity`.
    pub(crate) fn open(path: PathBuf, identity: &mut blake3::Hasher) -> Result<Self> {
        let malformed = |error: &dyn std::fmt::Display| {
            Error::input(format!("{} is not a whole GGUF file: {error}", path.display()))
        };
        let mut file = File::open(&path).map_err(|error| malformed(&error))?;
        identity.update_reader(&file)?;
        file.rewind()?;
        let mut file = BufReader::new(file);
        // A few malformed heads make candle panic: an alignment of 0, for one.
        let content = catch_unwind(AssertUnwindSafe(|| Content::read(&mut file)))
            .map_err(|_| malformed(&"its head makes no sense"))?
            .map_err(|error| malformed(&error))?;
        Ok(Self { path, content, file })
    }

    /// The factors by which positions are scaled, where the file has them.
    pub(crate) fn factors(&mut self) -> Result<Option<Vec<f32>>> {
        let Some(info) = self.content.tensor_infos.get("rope_freqs.weight") else { return Ok(None) };
        let shape = info.shape.dims().to_vec();
        let tensor = self.take("rope_freqs.weight", &shape, &Device::Cpu)?;
        Ok(Some(tensor.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()?))
    }

    /// The tensor that transformers calls `name`.
    fn named(&mut self, name: &str, shape: &[usize], device: &Device) -> Result<QTensor> {
        const NAMES: &[(&str, &str)] = &[
            ("model.layers.", "blk."),
            ("model.embed_tokens.", "token_embd."),
            ("model.norm.", "output_norm."),
            ("lm_head.", "output."),
            (".self_attn.q_proj.", ".attn_q."),
            (".self_attn.k_proj.", ".attn_k."),
            (".self_attn.v_proj.", ".attn_v."),
            (".self_attn.o_proj.", ".attn_output."),
            (".self_attn.q_norm.", ".attn_q_norm."),
            (".self_attn.k_norm.", ".attn_k_norm."),
            (".input_layernorm.", ".attn_norm."),
            (".post_attention_layernorm.", ".ffn_norm."),
            (".mlp.gate_proj.", ".ffn_gate."),
            (".mlp.up_proj.", ".ffn_up."),
            (".mlp.down_proj.", ".ffn_down."),
        ];
        let name = NAMES.iter().fold(name.to_owned(), |name, (theirs, ours)| name.replace(theirs, ours));
        self.take(&name, shape, device)
    }

    fn take(&mut self, name: &str, shape: &[usize], device: &Device) -> Result<QTensor> {
        let info = self.content.tensor_infos.remove(name).ok_or_else(|| missing(&self.path, name))?;
        if info.shape.dims() != shape {
            return Err(misshapen(&self.path, name, info.shape.dims(), shape));
        }
        info.read(&mut self.file, self.content.tensor_data_offset, device)
            .map_err(|error| Error::input(format!("{}: the tensor {name}: {error}", self.path.display())))
    }
}
