//! Devices by the words of the configuration.

use std::panic::{AssertUnwindSafe, catch_unwind};

use candle_core::Device;
use forethought_sdk::prelude::*;

/// The device called `auto` (the first GPU if there is one, otherwise the CPU), `cpu`, or `cuda:<number>`.
///
/// # Errors
/// A name of another form; a GPU in a build without the feature `cuda`; a GPU that cannot be opened.
pub fn device(name: &str) -> Result<Device> {
    select(name, cfg!(feature = "cuda"), Device::new_cuda)
}

fn select(
    name: &str,
    with_cuda: bool,
    open: impl Fn(usize) -> candle_core::Result<Device>,
) -> Result<Device> {
    let cuda = |index: usize| {
        // The CUDA bindings panic where the driver's library is missing.
        catch_unwind(AssertUnwindSafe(|| open(index)))
            .map_err(|_| Error::config("the CUDA driver is not installed"))?
            .context(format!("opening GPU {index}"))
    };
    match name {
        "cpu" => Ok(Device::Cpu),
        "auto" if with_cuda => Ok(cuda(0).unwrap_or(Device::Cpu)),
        "auto" => Ok(Device::Cpu),
        _ => {
            let index = name.strip_prefix("cuda:").and_then(|index| index.parse().ok()).ok_or_else(|| {
                Error::config(format!(
                    "`device` is {name:?}; it must be \"auto\", \"cpu\" or \"cuda:<number>\""
                ))
            })?;
            if !with_cuda {
                return Err(Error::config(format!(
                    "`device` is {name:?}, but this program was built without CUDA; build it with \
                     `--features cuda`, or use \"auto\" or \"cpu\""
                )));
            }
            cuda(index)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_driver(_: usize) -> candle_core::Result<Device> {
        panic!("unable to dynamically load the \"cuda\" shared library")
    }

    fn no_gpu(index: usize) -> candle_core::Result<Device> {
        candle_core::bail!("invalid device ordinal {index}")
    }

    #[test]
    fn cpu_and_auto_always_give_a_device() {
        assert!(device("cpu").unwrap().is_cpu());
        assert!(select("auto", false, |_| panic!("must not be opened")).unwrap().is_cpu());
        for open in [no_driver, no_gpu] {
            assert!(select("auto", true, open).unwrap().is_cpu());
            assert!(select("cpu", true, open).unwrap().is_cpu());
        }
    }

    #[test]
    fn a_gpu_that_is_not_there_is_an_error_that_says_why() {
        let refusal = |with_cuda, open: fn(usize) -> candle_core::Result<Device>| {
            select("cuda:3", with_cuda, open).unwrap_err().to_string()
        };
        assert_eq!(refusal(true, no_driver), "the CUDA driver is not installed");
        assert!(refusal(true, no_gpu).starts_with("opening GPU 3: invalid device ordinal 3"));
        assert!(refusal(false, no_gpu).contains("--features cuda"));
    }

    #[test]
    fn other_words_are_refused() {
        for name in ["", "gpu", "cuda", "cuda:", "cuda:-1", "cuda:x", "CPU"] {
            let error = select(name, true, no_gpu).unwrap_err();
            assert_eq!(error.code, Code::Config);
            assert!(error.message.contains(&format!("{name:?}; it must be")), "{error}");
        }
    }
}
