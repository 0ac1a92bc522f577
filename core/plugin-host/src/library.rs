//! Loads a library: from its inspected bytes to its root object.
//!
//! The bytes that were hashed are the bytes that are loaded: they are copied into a sealed file in memory, which is
//! given to the loader. So the file cannot be swapped in between, and replacing it while it is loaded does no harm.
//! Libraries are never unloaded: their threads, thread-local destructors and vtables live until the process exits.

use std::ffi::c_void;
use std::io::Write as _;
use std::mem::size_of;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use forethought_abi as abi;
use forethought_api::{
    Error, Result,
    error::{Code, Context},
    wire::Object,
};
use forethought_bridge::{Side, import};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW, Symbol};
use tokio::runtime::Handle;

/// Never unload. The same on every platform that has it except Darwin, where it is 0x80.
const RTLD_NODELETE: i32 = if cfg!(target_os = "macos") { 0x80 } else { 0x1000 };

/// Loads a library from its bytes. `name` is the plugin's name, `file` the origin of the bytes; both are for errors and
/// logs. The library's calls to the program run on `runtime`.
///
/// The bytes must have passed [`metadata::read`](super::metadata::read): the system's loader trusts a file's tables,
/// and crashes on a truncated one.
///
/// Foreign code runs from here on: its constructors have all the rights of this process.
///
/// # Errors
/// [`Code::Plugin`] if it cannot be loaded, or its entry point does not follow the contract.
pub fn load(name: &str, file: &Path, bytes: &[u8], runtime: Handle) -> Result<Arc<dyn Object>> {
    let refused = |why: String| Error::new(Code::Plugin, format!("{}: {why}", file.display()));
    let copy =
        sealed_copy(name, bytes).context(format!("{}: no private copy can be made", file.display()))?;
    // SAFETY: a library's constructors are foreign code, trusted by the user who configured it.
    let library = unsafe { Library::open(Some(&copy), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) };
    // The loader's messages name the private copy, which means nothing to a user.
    let reason = |error: libloading::Error| {
        let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        why.replace(&*copy.to_string_lossy(), &file.display().to_string())
    };
    let library = library.map_err(|error| refused(format!("cannot be loaded: {}", reason(error))))?;
    // SAFETY: the contract fixes the type of the symbol of this name.
    let entry: Result<Symbol<abi::FthEntry>, _> = unsafe { library.get(abi::ENTRY_SYMBOL.as_bytes()) };
    let entry = entry.map(|entry| *entry).map_err(|_| {
        refused(format!("has no entry point `{}`; is it built with the sdk as a cdylib?", abi::ENTRY_SYMBOL))
    })?;
    // Never unloaded: see above.
    std::mem::forget(library);

    let mut plugin = abi::FthPlugin {
        size: size_of::<abi::FthPlugin>(),
        abi_major: 0,
        abi_minor: 0,
        module: abi::FthObj { vtable: std::ptr::null(), data: std::ptr::null() },
    };
    // SAFETY: the table lives until the process exits; `plugin` can be written.
    let status = unsafe { entry(host_table(name), &mut plugin) };
    if status != abi::OK {
        return Err(refused(format!("its entry point returned status {status}; the log may say why")));
    }
    if plugin.abi_major != abi::ABI_MAJOR {
        let (theirs, ours) = (plugin.abi_major, abi::ABI_MAJOR);
        return Err(refused(format!("uses major version {theirs} of the contract, this program {ours}")));
    }
    let side = Arc::new(Side { peer: name.into(), spawn: Box::new(runtime) });
    // SAFETY: the entry point passed ownership of the reference to us.
    let module = unsafe { import(plugin.module, &side) }.map_err(|error| refused(error.to_string()))?;
    if module.interface() != abi::MODULE_INTERFACE {
        return Err(refused(format!(
            "its root object is a {}, not a {}",
            module.interface(),
            abi::MODULE_INTERFACE
        )));
    }
    Ok(module)
}

/// A file with `bytes` that cannot be changed.
#[cfg(target_os = "linux")]
fn sealed_copy(name: &str, bytes: &[u8]) -> Result<PathBuf> {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    use rustix::io::Errno;
    use std::os::fd::{AsRawFd as _, IntoRawFd as _};

    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels that can refuse executable memory files require this flag; older ones do not know it.
    let file = match memfd_create(name, flags | MemfdFlags::EXEC) {
        Err(Errno::INVAL) => memfd_create(name, flags),
        other => other,
    };
    let mut file = std::fs::File::from(file?);
    file.write_all(bytes)?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    // The kernel refuses while it holds a page for itself, as when it moves memory: that passes.
    let mut pauses = [1, 4, 16, 64, 256].into_iter();
    while let Err(error) = fcntl_add_seals(&file, seals) {
        match pauses.next() {
            Some(pause) if error == Errno::BUSY => {
                std::thread::sleep(std::time::Duration::from_millis(pause))
            }
            _ => return Err(error.into()),
        }
    }
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    // Kept open forever: the loader identifies libraries by their path, and would mistake the next file with this
    // number for the same one.
    let _ = file.into_raw_fd();
    Ok(path)
}

/// A file with `bytes`, in a folder that only this user can access.
#[cfg(not(target_os = "linux"))]
fn sealed_copy(name: &str, bytes: &[u8]) -> Result<PathBuf> {
    let folder = tempfile::Builder::new().prefix("forethought-").tempdir()?.keep();
    let path = folder.join(name);
    let mut file = std::fs::File::create_new(&path)?;
    file.write_all(bytes)?;
    Ok(path)
}

/// The functions that this program offers to the library `name`. Lives until the process exits, as the contract says.
fn host_table(name: &str) -> &'static abi::FthHost {
    let name: &'static String = Box::leak(Box::new(name.to_string()));
    let level = tracing::level_filters::LevelFilter::current().into_level();
    Box::leak(Box::new(abi::FthHost {
        size: size_of::<abi::FthHost>(),
        abi_major: abi::ABI_MAJOR,
        abi_minor: abi::ABI_MINOR,
        ctx: std::ptr::from_ref(name).cast(),
        worker_threads: 0,
        max_log_level: level.map_or(0, level_number),
        log,
        get_extension,
    }))
}

fn level_number(level: tracing::Level) -> u32 {
    let levels = [
        tracing::Level::ERROR,
        tracing::Level::WARN,
        tracing::Level::INFO,
        tracing::Level::DEBUG,
        tracing::Level::TRACE,
    ];
    levels.iter().position(|known| *known == level).map_or(0, |index| index as u32 + 1)
}

unsafe extern "C" fn log(ctx: *const c_void, level: u32, target: abi::FthStr, message: abi::FthStr) {
    let text = |text: abi::FthStr| match text.ptr.is_null() || text.len > isize::MAX as usize {
        true => String::new(),
        // SAFETY: the library lends the string for this call.
        false => {
            String::from_utf8_lossy(unsafe { std::slice::from_raw_parts(text.ptr, text.len) }).into_owned()
        }
    };
    // SAFETY: the `ctx` of this table is the name that was leaked with it.
    let name = unsafe { &*ctx.cast::<String>() };
    record(name, level, &text(target), &text(message));
}

/// A plugin's event in this program's log, under the plugin's name.
pub(crate) fn record(plugin: &str, level: u32, target: &str, message: &str) {
    match level {
        1 => tracing::error!(target: "plugin", plugin, at = target, "{message}"),
        2 => tracing::warn!(target: "plugin", plugin, at = target, "{message}"),
        3 => tracing::info!(target: "plugin", plugin, at = target, "{message}"),
        4 => tracing::debug!(target: "plugin", plugin, at = target, "{message}"),
        _ => tracing::trace!(target: "plugin", plugin, at = target, "{message}"),
    }
}

unsafe extern "C" fn get_extension(_: *const c_void, _: abi::FthStr) -> *const c_void {
    std::ptr::null() // None yet.
}
