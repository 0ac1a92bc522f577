//! A library's entry point, and what it sets up: the library's own runtime, and logs and panics that reach the program.
//!
//! The symbol is defined here and not in the author's crate, so two plugins linked into one program do not collide,
//! and it is exported from every library that contains the sdk. In a plugin that is linked in statically, nothing
//! here runs.

use std::mem::{offset_of, size_of};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use forethought_abi as abi;
use forethought_api::{
    Error, Result,
    host::Host,
    module::{Create, Described, Description, Module},
    registry::{Component, Registration, linked},
    wire::{Interface, Message, Object, Reply},
};
use forethought_bridge::{Side, export, panics};
use tokio::runtime::{Builder, Runtime};

use crate::logs;

/// This library's runtime; taken when the program asks for a shutdown.
static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);

// Sizes of the structs in minor version 0, which is all that is used here: a program older than this library has
// shorter tails than this version.
const LEAST_HOST: usize = offset_of!(abi::FthHost, get_extension) + size_of::<usize>();
const LEAST_PLUGIN: usize = offset_of!(abi::FthPlugin, module) + size_of::<abi::FthObj>();

/// The program's function table, which lives until the process exits.
pub(crate) struct HostTable(&'static abi::FthHost);

// SAFETY: the contract lets the table's functions be called from any thread.
unsafe impl Send for HostTable {}
// SAFETY: as above.
unsafe impl Sync for HostTable {}

pub(crate) static HOST: OnceLock<HostTable> = OnceLock::new();

impl HostTable {
    /// The most detailed level that the program logs.
    pub(crate) fn max_level(&self) -> u32 {
        self.0.max_log_level
    }
    /// Writes an event to the program's log.
    pub(crate) fn log(&self, level: u32, target: &str, text: &str) {
        let borrowed = |text: &str| abi::FthStr { ptr: text.as_ptr(), len: text.len() };
        // SAFETY: the table is the program's; the strings are valid for the call.
        unsafe { (self.0.log)(self.0.ctx, level, borrowed(target), borrowed(text)) }
    }
}

/// Hands the library's root object to the program.
///
/// # Safety
/// `host` points to a table that lives until the process exits, `out` to a struct that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forethought_plugin_entry_v1(
    host: *const abi::FthHost,
    out: *mut abi::FthPlugin,
) -> u32 {
    if host.is_null() || out.is_null() {
        return abi::BAD_REQUEST;
    }
    // SAFETY: not null, and of this major version, as the symbol's name says.
    let (host, room) = unsafe { (&*host, (*out).size) };
    if host.size < LEAST_HOST || host.abi_major != abi::ABI_MAJOR || room < LEAST_PLUGIN {
        return abi::BAD_REQUEST;
    }
    match panics::catch(|| start(host)) {
        Ok(Ok(module)) => {
            // SAFETY: `out` is large enough.
            unsafe {
                (*out).abi_major = abi::ABI_MAJOR;
                (*out).abi_minor = abi::ABI_MINOR;
                (*out).module = module;
            }
            abi::OK
        }
        Ok(Err(error)) => {
            let text = format!("the plugin cannot start: {error}");
            HostTable(host).log(1, env!("CARGO_PKG_NAME"), &text);
            abi::ERROR
        }
        Err(_) => abi::PANIC,
    }
}

fn start(host: &'static abi::FthHost) -> Result<abi::FthObj> {
    // A second entry into the same image (a program may enter twice) shares what the first one set up.
    if HOST.set(HostTable(host)).is_ok() {
        panics::hook(|text| {
            if let Some(host) = HOST.get() {
                host.log(1, "panic", text);
            }
        });
        logs::bridge();
    }
    let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    let handle = match &*runtime {
        Some(runtime) => runtime.handle().clone(),
        None => {
            let workers = match host.worker_threads {
                0 => 2,
                some => some as usize,
            };
            let made = Builder::new_multi_thread()
                .worker_threads(workers)
                .thread_name(format!("{}-worker", package().0))
                .enable_all()
                .build()?;
            runtime.insert(made).handle().clone()
        }
    };
    let side = Arc::new(Side { peer: "the program".into(), spawn: Box::new(handle) });
    Ok(export(<dyn Module>::serve(Arc::new(Image)), &side, false))
}

/// This library: every component registered in it.
struct Image;

/// Registrations in a fixed order.
fn registrations() -> Vec<&'static Registration> {
    let mut all: Vec<_> = linked().collect();
    all.sort_by_key(|one| (one.interface, one.kind));
    all
}

/// Name and version of this library's package.
fn package() -> (&'static str, &'static str) {
    registrations().first().map_or(("plugin", "0.0.0"), |first| (first.package, first.version))
}

#[async_trait]
impl Module for Image {
    async fn describe(&self) -> Result<Description> {
        let components = registrations().into_iter().map(|one| Described {
            interface: one.interface.into(),
            kind: one.kind.into(),
            summary: one.summary.into(),
            schema: (one.schema)().to_value(),
        });
        let (package, version) = package();
        Ok(Description::new(package, version, components.collect()))
    }

    async fn create(&self, create: Create, host: Arc<dyn Host>) -> Result<Component> {
        let Create { interface, kind, config } = create;
        let wanted = registrations().into_iter().find(|one| one.interface == interface && one.kind == kind);
        let wanted =
            wanted.ok_or_else(|| Error::not_found(format!("this plugin has no `{kind}` of {interface}")))?;
        let component = (wanted.create)(config, host).await?;
        if !wanted.inline {
            return Ok(component);
        }
        Component::connect(Arc::new(Inline(component.serve())))
    }

    async fn shutdown(&self) -> Result<()> {
        let runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            // Not waited for: this call runs on it.
            runtime.shutdown_background();
        }
        Ok(())
    }
}

/// A component registered as `inline`.
struct Inline(Arc<dyn Object>);

impl Object for Inline {
    fn interface(&self) -> &str {
        self.0.interface()
    }
    fn invoke(&self, method: &str, request: Message) -> Reply {
        self.0.invoke(method, request)
    }
    fn inline(&self) -> bool {
        true
    }
    fn as_any(&self) -> &dyn std::any::Any {
        self // Not what it wraps: a transport would take that for the component itself, which is not inline.
    }
}

// The symbol has the type that the contract gives it.
const _: abi::FthEntry = forethought_plugin_entry_v1;
