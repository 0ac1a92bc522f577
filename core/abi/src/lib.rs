//! The frozen C contract between the program and a plugin library: layouts, numbers, names, and no code.
//!
//! It must depend on nothing, not even the standard library. Everything here applies to major version 1 and is pinned
//! by the assertions at the end; `include/forethought.h` is generated from this file (`cargo xtask header`).
//!
//! # Summary of the contract
//! - **Objects.** [`FthObj`] is one owned strong reference. The only operation on an object is
//!   `invoke(method, message, completion) -> call`, from any thread, concurrently. No function here may block.
//! - **Messages.** The callee always moves `*mut FthMsg` out immediately, also on error; the caller never touches it
//!   again. Each buffer has its own release function, which is called exactly once and never replaced by the
//!   receiver's own allocator; `release == None` means there is nothing to free.
//! - **Completion.** `done` is called exactly once for each `invoke`, possibly before it returns, from any thread.
//!   After that the callee no longer uses `ctx`. `done` stores and wakes, so call it without holding locks.
//! - **Calls.** The caller releases [`FthCall`] once, if `data` is not null. `cancel` is idempotent and advisory;
//!   [`CANCELLED`] means that the work has already been dropped.
//! - **Unwinding** never crosses the boundary: each side catches its own panics.
//! - **Growth.** Structs with a `size` grow at their tail, and a field is read only if `size` covers it. The host
//!   table and every vtable live until the process exits: libraries are never unloaded.
#![no_std]

use core::ffi::c_void;

/// Major version: any change here except a longer tail needs a new one, with a new entry symbol.
pub const ABI_MAJOR: u32 = 1;
/// Minor version: number of fields added to tails.
pub const ABI_MINOR: u32 = 1;

/// The only symbol that a library exports; its type is [`FthEntry`].
pub const ENTRY_SYMBOL: &str = "forethought_plugin_entry_v1";
/// Section with metadata records, in ELF and PE files.
pub const METADATA_SECTION: &str = ".fth_meta";
/// Segment and section with metadata records, in Mach-O files.
pub const METADATA_SECTION_MACHO: &str = "__DATA,__fth_meta";
/// Start of each metadata record, followed by a little-endian `u32` length and that much JSON.
pub const METADATA_MAGIC: &[u8; 9] = b"FTHMETA1\0";
/// Interface of the object that the entry function returns.
pub const MODULE_INTERFACE: &str = "forethought.module/1";

/// Status of a completion: the reply follows.
pub const OK: u32 = 0;
/// Status of a completion: the component's own error.
pub const ERROR: u32 = 1;
/// Status of a completion: the callee panicked; the object must not be called again.
pub const PANIC: u32 = 2;
/// Status of a completion: cancelled, and the work is already dropped.
pub const CANCELLED: u32 = 3;
/// Status of a completion: the object has no such method; the caller's default body applies.
pub const UNIMPLEMENTED: u32 = 4;
/// Status of a completion: the request could not be read.
pub const BAD_REQUEST: u32 = 5;
/// Status of a completion: the callee's side is shutting down.
pub const SHUTDOWN: u32 = 6;

/// Body codec: JSON. Every object understands it.
pub const CODEC_JSON: u32 = 0;
/// Body codec: MessagePack with named fields; used if [`FthObjVTable::codecs`] includes it.
pub const CODEC_MESSAGEPACK: u32 = 1;

/// Borrowed UTF-8 text, valid for the duration of the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FthStr {
    /// First byte.
    pub ptr: *const u8,
    /// Length in bytes.
    pub len: usize,
}

/// An owned buffer.
#[repr(C)]
pub struct FthBuf {
    /// First byte; need not be aligned.
    pub ptr: *const u8,
    /// Length in bytes.
    pub len: usize,
    /// Passed to `release`.
    pub owner: *mut c_void,
    /// Frees the buffer; called exactly once with `owner`, `ptr` and `len`.
    pub release: Option<unsafe extern "C" fn(owner: *mut c_void, ptr: *const u8, len: usize)>,
}

/// One owned strong reference to an object.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FthObj {
    /// Its functions.
    pub vtable: *const FthObjVTable,
    /// Passed to every function of the vtable.
    pub data: *const c_void,
}

/// An owned array of objects. The receiver moves the elements out, then releases only the array.
#[repr(C)]
pub struct FthObjs {
    /// First element.
    pub ptr: *mut FthObj,
    /// Number of elements.
    pub len: usize,
    /// Passed to `release`.
    pub owner: *mut c_void,
    /// Frees the array, not its elements.
    pub release: Option<unsafe extern "C" fn(owner: *mut c_void, ptr: *mut FthObj, len: usize)>,
}

/// An owned array of buffers. The receiver moves the elements out, then releases only the array.
#[repr(C)]
pub struct FthBufs {
    /// First element.
    pub ptr: *mut FthBuf,
    /// Number of elements.
    pub len: usize,
    /// Passed to `release`.
    pub owner: *mut c_void,
    /// Frees the array, not its elements.
    pub release: Option<unsafe extern "C" fn(owner: *mut c_void, ptr: *mut FthBuf, len: usize)>,
}

/// A request or a reply.
#[repr(C)]
pub struct FthMsg {
    /// Size of this struct in the version of its maker.
    pub size: u32,
    /// Encoding of `body`: [`CODEC_JSON`] or [`CODEC_MESSAGEPACK`]. A reply uses the codec of its request.
    pub codec: u32,
    /// Reserved; 0.
    pub flags: u64,
    /// Request: a map of arguments by name. Reply: the value, or `{code, message, retryable, chain}` if not [`OK`].
    pub body: FthBuf,
    /// Objects, to which the body refers as `{"object": index}`.
    pub objs: FthObjs,
    /// Binary attachments, to which the body refers by index; numbers in them are little-endian.
    pub blobs: FthBufs,
    /// JSON `{traceparent, deadline_unix_ms}`, both optional; may be empty.
    pub meta: FthBuf,
}

/// Receives the reply of a call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FthCompletion {
    /// Passed to `done`; has a meaning only for the caller.
    pub ctx: *mut c_void,
    /// Called exactly once, from any thread; moves the message out.
    pub done: unsafe extern "C" fn(ctx: *mut c_void, status: u32, msg: *mut FthMsg),
}

/// Functions of a call.
#[repr(C)]
pub struct FthCallVTable {
    /// Size of this struct in the version of its maker.
    pub size: usize,
    /// Requests that the work be dropped. Idempotent.
    pub cancel: unsafe extern "C" fn(*const c_void),
    /// Releases the handle; the call continues.
    pub release: unsafe extern "C" fn(*const c_void),
}

/// A call in flight. `data` is null if it has already finished or cannot be cancelled.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FthCall {
    /// Passed to every function of the vtable.
    pub data: *const c_void,
    /// Its functions.
    pub vtable: *const FthCallVTable,
}

/// Functions of an object.
#[repr(C)]
pub struct FthObjVTable {
    /// Size of this struct in the version of its maker.
    pub size: usize,
    /// Adds a strong reference.
    pub retain: unsafe extern "C" fn(*const c_void),
    /// Releases a strong reference; the last one drops the object.
    pub release: unsafe extern "C" fn(*const c_void),
    /// Interface name and major version, such as `forethought.environment/1`; lives until the process exits.
    pub interface: unsafe extern "C" fn(*const c_void) -> FthStr,
    /// Calls a method. `out` is always written.
    pub invoke: unsafe extern "C" fn(
        data: *const c_void,
        method: FthStr,
        req: *mut FthMsg,
        done: *const FthCompletion,
        out: *mut FthCall,
    ),
    /// Since minor version 1. Codecs that the object understands besides JSON: bit n means codec n.
    pub codecs: u64,
}

/// The program's functions for a library.
#[repr(C)]
pub struct FthHost {
    /// Size of this struct in the version of its maker.
    pub size: usize,
    /// [`ABI_MAJOR`] of the program.
    pub abi_major: u32,
    /// [`ABI_MINOR`] of the program.
    pub abi_minor: u32,
    /// Passed to every function of this struct.
    pub ctx: *const c_void,
    /// Worker threads for the library's async runtime; 0 leaves the number to the library.
    pub worker_threads: u32,
    /// The most detailed level that the program logs: 1 error, 2 warn, 3 info, 4 debug, 5 trace.
    pub max_log_level: u32,
    /// Writes an event to the program's log.
    pub log: unsafe extern "C" fn(ctx: *const c_void, level: u32, target: FthStr, msg: FthStr),
    /// A table of additional functions by name and version; null if the program does not have it.
    pub get_extension: unsafe extern "C" fn(ctx: *const c_void, id: FthStr) -> *const c_void,
}

/// A library's answer to the entry call.
#[repr(C)]
pub struct FthPlugin {
    /// Size of this struct in the program's version; the library must not write past it.
    pub size: usize,
    /// [`ABI_MAJOR`] of the library.
    pub abi_major: u32,
    /// [`ABI_MINOR`] of the library.
    pub abi_minor: u32,
    /// Its root object, of interface [`MODULE_INTERFACE`].
    pub module: FthObj,
}

/// Type of the entry symbol: returns [`OK`] with `out` filled in, or another status with `out` untouched.
pub type FthEntry = unsafe extern "C" fn(host: *const FthHost, out: *mut FthPlugin) -> u32;

#[cfg(target_pointer_width = "64")]
const _: () = {
    use core::mem::{align_of, offset_of, size_of};
    macro_rules! layout {
        ($($type:ident $size:literal { $($field:ident $offset:literal),* })*) => {$(
            assert!(size_of::<$type>() == $size && align_of::<$type>() == 8);
            $(assert!(offset_of!($type, $field) == $offset);)*
        )*};
    }
    layout! {
        FthStr 16 { ptr 0, len 8 }
        FthBuf 32 { ptr 0, len 8, owner 16, release 24 }
        FthObj 16 { vtable 0, data 8 }
        FthObjs 32 { ptr 0, len 8, owner 16, release 24 }
        FthBufs 32 { ptr 0, len 8, owner 16, release 24 }
        FthMsg 144 { size 0, codec 4, flags 8, body 16, objs 48, blobs 80, meta 112 }
        FthCompletion 16 { ctx 0, done 8 }
        FthCallVTable 24 { size 0, cancel 8, release 16 }
        FthCall 16 { data 0, vtable 8 }
        FthObjVTable 48 { size 0, retain 8, release 16, interface 24, invoke 32, codecs 40 }
        FthHost 48 { size 0, abi_major 8, abi_minor 12, ctx 16, worker_threads 24, max_log_level 28, log 32, get_extension 40 }
        FthPlugin 32 { size 0, abi_major 8, abi_minor 12, module 16 }
    }
};
