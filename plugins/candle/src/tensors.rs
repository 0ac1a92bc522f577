//! Tensors from safetensors files, each checked against what the network expects.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor, pickle::read_all, safetensors::load_buffer};
use forethought_sdk::prelude::*;

/// Types of weights that can be converted to the type of a computation.
pub const FLOATS: &[DType] = &[DType::F32, DType::F16, DType::BF16];

/// The tensors of a model, from one or several safetensors files.
#[derive(Default)]
pub struct Tensors {
    /// The file, or the first of several, for error messages.
    path: PathBuf,
    tensors: HashMap<String, Tensor>,
}

impl Tensors {
    /// Those in `bytes`, which were read from `path`.
    ///
    /// # Errors
    /// If it is not a whole safetensors file, or does not fit on the device.
    pub fn new(path: &Path, bytes: &[u8], device: &Device) -> Result<Self> {
        let mut all = Self::default();
        all.add(path, bytes, device)?;
        Ok(all)
    }

    /// Those of a state dict in PyTorch's own format, read from `bytes` of the file `path`. It is a pickle, of which only
    /// what describes tensors is understood: nothing in it is run.
    ///
    /// # Errors
    /// If it is not such a file, is older than PyTorch 1.6, has no tensors, or does not fit on the device.
    pub fn pickled(path: &Path, bytes: &[u8], device: &Device) -> Result<Self> {
        refuse_pointer(path, bytes)?;
        let refused = |why: &str| {
            Error::input(format!(
                "{} cannot be read: {why}; write it as safetensors, with `save_pretrained` of transformers",
                path.display()
            ))
        };
        if !bytes.starts_with(b"PK") {
            return Err(refused("it is not a zip archive, as files of PyTorch are since version 1.6"));
        }
        // The reader trusts the shapes of what it finds.
        let read = catch_unwind(AssertUnwindSafe(|| read_all(path)));
        let tensors = read
            .map_err(|_| refused("it is damaged, or no plain state dict"))?
            .map_err(|error| refused(&error.to_string()))?;
        if tensors.is_empty() {
            return Err(refused("it has no tensors at its top level"));
        }
        let on_device =
            tensors.into_iter().map(|(name, tensor)| Ok((name, tensor.to_device(device)?.contiguous()?)));
        Ok(Self { path: path.to_owned(), tensors: on_device.collect::<Result<_>>()? })
    }

    /// Adds those of another file of the same model.
    ///
    /// # Errors
    /// As [`Tensors::new`].
    pub fn add(&mut self, path: &Path, bytes: &[u8], device: &Device) -> Result<()> {
        refuse_pointer(path, bytes)?;
        let tensors = load_buffer(bytes, device).map_err(|error| {
            Error::input(format!("{} is damaged or not a safetensors file: {error}", path.display()))
        })?;
        if self.tensors.is_empty() {
            self.path = path.to_owned();
        }
        self.tensors.extend(tensors);
        Ok(())
    }

    /// Whether there is a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Takes out the tensor of this name, which must have this shape and one of these types.
    ///
    /// # Errors
    /// If it is missing, or of another shape or type.
    pub fn take(&mut self, name: &str, shape: &[usize], types: &[DType]) -> Result<Tensor> {
        let tensor = self.tensors.remove(name).ok_or_else(|| missing(&self.path, name))?;
        if tensor.dims() != shape {
            return Err(misshapen(&self.path, name, tensor.dims(), shape));
        }
        if !types.contains(&tensor.dtype()) {
            return Err(Error::config(format!(
                "{}: the tensor {name} is of type {:?}, supported are {types:?}",
                self.path.display(),
                tensor.dtype()
            )));
        }
        Ok(tensor)
    }

    /// Takes out the vector of this name and type, of whatever length.
    ///
    /// # Errors
    /// If it is missing, or not such a vector.
    pub fn take_vector(&mut self, name: &str, dtype: DType) -> Result<Tensor> {
        let length = self.tensors.get(name).map_or(0, Tensor::elem_count);
        self.take(name, &[length], &[dtype])
    }

    /// Takes out an F32 tensor of this name and shape, all of whose numbers must be finite.
    ///
    /// # Errors
    /// As [`Tensors::take`]; a number that is not finite.
    pub fn take_finite(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let tensor = self.take(name, shape, &[DType::F32])?;
        if tensor.flatten_all()?.to_vec1::<f32>()?.iter().any(|number| !number.is_finite()) {
            return Err(Error::input(format!(
                "{}: the tensor {name} has numbers that are not finite",
                self.path.display()
            )));
        }
        Ok(tensor)
    }

    /// The file, or the first of several, and the names of the tensors that nobody took, sorted.
    pub fn rest(self) -> (PathBuf, Vec<String>) {
        let mut names: Vec<String> = self.tensors.into_keys().collect();
        names.sort();
        (self.path, names)
    }
}

/// Refuses a file that only says where Git LFS keeps the real one.
///
/// # Errors
/// If `bytes`, which were read from `path`, begin as such a file does.
pub fn refuse_pointer(path: &Path, bytes: &[u8]) -> Result<()> {
    if bytes.starts_with(b"version https://git-lfs.github.com/spec") {
        return Err(Error::input(format!(
            "{} is a Git LFS pointer, not the file itself; run `git lfs pull` in its folder, or let the hub \
             deliver the model: hf:owner/name",
            path.display()
        )));
    }
    Ok(())
}

/// The bytes of a safetensors file with these tensors, which must be on the CPU.
///
/// # Errors
/// If a tensor cannot be read.
pub fn serialize(tensors: &HashMap<String, Tensor>) -> Result<Vec<u8>> {
    Ok(safetensors::serialize(tensors, None)?)
}

/// The error about a tensor that is not in a file.
pub fn missing(path: &Path, name: &str) -> Error {
    Error::input(format!("{} has no tensor {name}, which the model's configuration requires", path.display()))
}

/// The error about a tensor of a shape other than the `expected`.
pub fn misshapen(path: &Path, name: &str, found: &[usize], expected: &[usize]) -> Error {
    Error::input(format!(
        "{}: the tensor {name} has shape {found:?}, but the model's configuration requires {expected:?}",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of one tensor `w` of shape (2, 3).
    fn file(numbers: &[f32], dtype: DType) -> Vec<u8> {
        let tensor = Tensor::new(numbers, &Device::Cpu).unwrap().reshape((2, 3)).unwrap();
        serialize(&HashMap::from([("w".to_owned(), tensor.to_dtype(dtype).unwrap())])).unwrap()
    }

    fn tensors(numbers: &[f32], dtype: DType) -> Tensors {
        Tensors::new(Path::new("some/model.safetensors"), &file(numbers, dtype), &Device::Cpu).unwrap()
    }

    const NUMBERS: &[f32] = &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0];

    #[test]
    fn a_tensor_is_taken_once() {
        let mut tensors = tensors(NUMBERS, DType::F32);
        tensors.add(Path::new("some/other.safetensors"), &file(NUMBERS, DType::F32), &Device::Cpu).unwrap();
        assert!(tensors.contains("w") && !tensors.contains("v"));
        let tensor = tensors.take_finite("w", &[2, 3]).unwrap();
        assert_eq!(tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap(), NUMBERS);
        let error = tensors.take_finite("w", &[2, 3]).unwrap_err().to_string();
        assert!(error.contains("model.safetensors has no tensor w"), "{error}");
        let rest = Tensors::new(Path::new("a"), &file(NUMBERS, DType::F32), &Device::Cpu).unwrap().rest();
        assert_eq!(rest, ("a".into(), vec!["w".to_owned()]));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_file_and_tensor() {
        let check = |result: Result<Tensor>, part: &str| {
            let error = result.unwrap_err().to_string();
            assert!(error.contains("model.safetensors") && error.contains(part), "{error}");
        };
        let of = |dtype| tensors(NUMBERS, dtype);
        check(of(DType::F32).take("v", &[2, 3], FLOATS), "no tensor v");
        check(of(DType::F32).take("w", &[3, 2], FLOATS), "w has shape [2, 3], but");
        check(of(DType::U8).take("w", &[2, 3], FLOATS), "type U8, supported are [F32, F16, BF16]");
        check(of(DType::F16).take_finite("w", &[2, 3]), "type F16, supported are [F32]");
        let infinite = &[0.0, 1.0, 2.0, f32::INFINITY, 4.0, 5.0];
        check(tensors(infinite, DType::F32).take_finite("w", &[2, 3]), "not finite");
        let bytes = file(NUMBERS, DType::F32);
        for bytes in [&bytes[..bytes.len() - 4], b"{ not what it should be", b""] {
            let error = Tensors::new(Path::new("torn.safetensors"), bytes, &Device::Cpu).err().unwrap();
            assert!(error.message.contains("torn.safetensors is damaged"), "{error}");
        }
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n";
        let error = Tensors::new(Path::new("m.safetensors"), pointer, &Device::Cpu).err().unwrap();
        assert!(error.message.contains("m.safetensors is a Git LFS pointer"), "{error}");
        assert!(error.message.contains("`git lfs pull`"), "{error}");
    }
}
