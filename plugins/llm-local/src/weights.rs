//! Weights by the names that transformers gives them, from safetensors or GGUF files, each checked against the shape
//! that the network expects. All must be there, and none left over: that would be a layer that is not computed.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use candle_core::{
    DType, Device, Tensor,
    quantized::{
        GgmlDType, QMatMul, QTensor,
        gguf_file::{Content, TensorInfo},
    },
};
use forethought_candle::{FLOATS, Tensors, misshapen, missing, refuse_pointer};
use forethought_sdk::prelude::*;

use crate::kernels::Form;

/// Weights on their way into a network.
pub(crate) struct Weights {
    device: Device,
    /// What the network computes in; `None` until the first tensor decides.
    dtype: Option<DType>,
    source: Source,
}

enum Source {
    Safetensors(Tensors),
    Gguf(Gguf),
}

impl Weights {
    /// Those of safetensors files, computed with as `dtype` or as they are on disk.
    pub(crate) fn from_safetensors(tensors: Tensors, dtype: Option<DType>, device: &Device) -> Self {
        Self { device: device.clone(), dtype, source: Source::Safetensors(tensors) }
    }

    /// Those of a GGUF file, multiplied as they are and computed with in float32.
    pub(crate) fn from_gguf(file: Gguf, device: &Device) -> Self {
        Self { device: device.clone(), dtype: Some(DType::F32), source: Source::Gguf(file) }
    }

    /// A matrix of (rows, columns).
    pub(crate) fn matrix(&mut self, name: &str, rows: usize, columns: usize) -> Result<QMatMul> {
        match &mut self.source {
            Source::Safetensors(_) => self.dense(name, &[rows, columns]).map(QMatMul::Tensor),
            Source::Gguf(file) => {
                Ok(QMatMul::from_qtensor(file.named(name, &[rows, columns], &self.device)?)?)
            }
        }
    }

    /// A matrix for the CPU, as compact as it was published. Quantised weights are kept in 8 bits, whatever their own form.
    pub(crate) fn compact(&mut self, name: &str, rows: usize, columns: usize) -> Result<(Form, Vec<f32>)> {
        let shape = [rows, columns];
        let (form, tensor) = match &mut self.source {
            Source::Safetensors(tensors) => {
                let tensor = tensors.take(name, &shape, FLOATS)?;
                let dtype = self.dtype.filter(|dtype| *dtype != DType::F32).unwrap_or(tensor.dtype());
                (Form::of(dtype), tensor.to_dtype(dtype)?)
            }
            Source::Gguf(file) => {
                let tensor = file.named(name, &shape, &self.device)?;
                let form = match tensor.dtype() {
                    GgmlDType::F32 => Form::F32,
                    GgmlDType::F16 => Form::F16,
                    GgmlDType::BF16 => Form::Bf16,
                    _ => Form::Q8,
                };
                (form, tensor.dequantize(&self.device)?)
            }
        };
        Ok((form, tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?))
    }

    pub(crate) fn on_cpu(&self) -> bool {
        self.device.is_cpu()
    }

    /// A vector.
    pub(crate) fn vector(&mut self, name: &str, size: usize) -> Result<Tensor> {
        self.dense(name, &[size])
    }

    fn dense(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let tensor = match &mut self.source {
            Source::Safetensors(tensors) => tensors.take(name, shape, FLOATS)?,
            Source::Gguf(file) => file.named(name, shape, &self.device)?.dequantize(&self.device)?,
        };
        let dtype = *self.dtype.get_or_insert(tensor.dtype());
        Ok(tensor.to_dtype(dtype)?)
    }

    /// Where and in what type the network computes, once it has all that it needs.
    pub(crate) fn finish(self, tied: bool) -> Result<(Device, DType)> {
        // Older files contain what is computed from the configuration, and some a tied output layer once more.
        let known = |name: &str| name.ends_with("rotary_emb.inv_freq") || (tied && name == "lm_head.weight");
        let (path, mut left) = match self.source {
            Source::Safetensors(tensors) => tensors.rest(),
            Source::Gguf(file) => (file.path, file.tensors.into_keys().collect()),
        };
        left.retain(|name| !known(name));
        left.sort();
        match left.first() {
            None => Ok((self.device, self.dtype.unwrap_or(DType::F32))),
            Some(name) => Err(Error::config(format!(
                "{}: {} tensors, such as {name}, are not part of the network that the configuration describes; this \
                 variant of the model is not supported",
                path.display(),
                left.len()
            ))),
        }
    }
}

/// A GGUF model whose headers have been read: one file, or several with a share of the tensors each.
pub(crate) struct Gguf {
    /// The first file.
    pub(crate) path: PathBuf,
    /// The header of the first file, which describes the model. Its tensors are among those below.
    pub(crate) content: Content,
    tensors: HashMap<String, (usize, TensorInfo)>,
    files: Vec<(PathBuf, u64, BufReader<File>)>,
}

impl Gguf {
    /// Opens the files, and adds their contents to `identity`.
    pub(crate) fn open(paths: &[PathBuf], identity: &mut blake3::Hasher) -> Result<Self> {
        let (mut first, mut tensors, mut files) = (None, HashMap::new(), Vec::new());
        for (number, path) in paths.iter().enumerate() {
            let (mut content, file) = Self::open_one(path, identity)?;
            let infos = std::mem::take(&mut content.tensor_infos).into_iter();
            tensors.extend(infos.map(|(name, info)| (name, (number, info))));
            files.push((path.clone(), content.tensor_data_offset, file));
            first.get_or_insert((path.clone(), content));
        }
        let (path, content) = first.ok_or_else(|| Error::input("a GGUF model has no file"))?;
        Ok(Self { path, content, tensors, files })
    }

    fn open_one(path: &Path, identity: &mut blake3::Hasher) -> Result<(Content, BufReader<File>)> {
        let malformed = |error: &dyn std::fmt::Display| {
            Error::input(format!("{} is damaged or not a GGUF file: {error}", path.display()))
        };
        let mut file = File::open(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::not_found(format!("{} is missing", path.display())),
            _ => malformed(&error),
        })?;
        let mut start = Vec::new();
        (&file).take(64).read_to_end(&mut start)?;
        refuse_pointer(path, &start)?;
        file.rewind()?;
        identity.update_reader(&file)?;
        file.rewind()?;
        let mut file = BufReader::new(file);
        // Some malformed headers make candle panic: an alignment of 0, for one.
        let content = catch_unwind(AssertUnwindSafe(|| Content::read(&mut file)))
            .map_err(|_| malformed(&"its header cannot be read"))?
            .map_err(|error| malformed(&error))?;
        Ok((content, file))
    }

    /// The number of files.
    pub(crate) fn parts(&self) -> usize {
        self.files.len()
    }

    /// The shape of a tensor, by its name in the file.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|(_, info)| info.shape.dims())
    }

    /// The factors by which positions are scaled, if the file has them.
    pub(crate) fn factors(&mut self) -> Result<Option<Vec<f32>>> {
        let Some(shape) = self.shape("rope_freqs.weight").map(<[_]>::to_vec) else { return Ok(None) };
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
        let (number, info) = self.tensors.remove(name).ok_or_else(|| missing(&self.path, name))?;
        let (path, offset, file) = &mut self.files[number];
        if info.shape.dims() != shape {
            return Err(misshapen(path, name, info.shape.dims(), shape));
        }
        // candle multiplies the sizes without a check before it compares them with the file's, and makes a slice of a
        // null pointer where nothing is to be read.
        let count = shape.iter().try_fold(1_usize, |count, size| count.checked_mul(*size));
        if count.is_none_or(|count| count == 0 || count > 1 << 48) {
            return Err(Error::input(format!(
                "{}: the tensor {name} of {shape:?} is empty or too large",
                path.display()
            )));
        }
        info.read(file, *offset, device)
            .map_err(|error| Error::input(format!("{}: the tensor {name}: {error}", path.display())))
    }
}
