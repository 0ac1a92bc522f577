//! Messages over the boundary: conversion between Rust's messages and the contract's.

use std::ffi::c_void;
use std::mem::{ManuallyDrop, size_of};
use std::ptr::{null, null_mut};
use std::sync::Arc;

use bytes::Bytes;
use forethought_abi as abi;
use forethought_api::{
    Error, Result,
    error::Code,
    wire::{Codec, Message, Meta, Object},
};

use crate::{Side, export, import};

/// Smallest size of a message of this major version.
const LEAST: u32 = 144;

/// Converts to the contract's message. `inline` applies to its objects too.
pub(crate) fn give(message: Message, side: &Arc<Side>, inline: bool) -> abi::FthMsg {
    let Message { codec, body, objects, blobs, meta } = message;
    let meta = match meta.is_empty() {
        true => Bytes::new(),
        false => serde_json::to_vec(&meta).unwrap_or_default().into(),
    };
    let objects = objects.into_iter().map(|object| export(object, side, inline)).collect();
    abi::FthMsg {
        size: size_of::<abi::FthMsg>() as u32,
        codec: match codec {
            Codec::Json => abi::CODEC_JSON,
            Codec::MessagePack => abi::CODEC_MESSAGEPACK,
        },
        flags: 0,
        body: give_bytes(body),
        objs: give_array(objects, |ptr, len, owner, release| abi::FthObjs { ptr, len, owner, release }),
        blobs: give_array(blobs.into_iter().map(give_bytes).collect(), |ptr, len, owner, release| {
            abi::FthBufs { ptr, len, owner, release }
        }),
        meta: give_bytes(meta),
    }
}

/// Takes a message from the other side.
///
/// # Safety
/// `message` is null, or points to a message that follows the contract and is not used afterwards.
pub(crate) unsafe fn take(message: *mut abi::FthMsg, side: &Arc<Side>) -> Result<Message> {
    if message.is_null() {
        return Err(broken("a null pointer for a message"));
    }
    // SAFETY: every message of major 1 starts with its size.
    let size = unsafe { (*message).size };
    if size < LEAST {
        return Err(broken(format!("a message of {size} bytes; the minimum is {LEAST}")));
    }
    // SAFETY: it is at least as large as ours; the caller gives it up.
    let raw = unsafe { message.read() };
    // Everything is owned before anything is checked, so that nothing leaks from a message that is refused.
    let (body, meta) = (Buffer(raw.body), Buffer(raw.meta));
    // SAFETY: arrays of a message follow the contract.
    let objects = unsafe { take_array(raw.objs.ptr, raw.objs.len, raw.objs.owner, raw.objs.release) };
    // SAFETY: as above.
    let blobs = unsafe { take_array(raw.blobs.ptr, raw.blobs.len, raw.blobs.owner, raw.blobs.release) };
    let blobs = blobs.map(|blobs| blobs.into_iter().map(Buffer).collect::<Vec<_>>());
    // SAFETY: each element is a strong reference that the other side gives up. All are taken before any is refused.
    let objects =
        objects.map(|all| all.into_iter().map(|raw| unsafe { import(raw, side) }).collect::<Vec<_>>());
    let meta = meta.bytes("meta")?;
    Ok(Message {
        codec: match raw.codec {
            abi::CODEC_JSON => Codec::Json,
            abi::CODEC_MESSAGEPACK => Codec::MessagePack,
            other => return Err(broken(format!("a message in the unknown codec {other}"))),
        },
        body: body.bytes("body")?,
        objects: objects?.into_iter().collect::<Result<Vec<Arc<dyn Object>>>>()?,
        blobs: blobs?.into_iter().map(|blob| blob.bytes("blob")).collect::<Result<_>>()?,
        meta: match meta.is_empty() {
            true => Meta::default(),
            false => serde_json::from_slice(&meta)
                .map_err(|error| broken("a message whose meta is not readable").because(error))?,
        },
    })
}

/// The error for a breach of the contract by the other side.
pub(crate) fn broken(what: impl std::fmt::Display) -> Error {
    Error::new(Code::BadRequest, format!("the contract was broken: {what}"))
}

/// A buffer of the other side, released when dropped.
struct Buffer(abi::FthBuf);

// SAFETY: the contract lets any thread read a buffer and call its release function.
unsafe impl Send for Buffer {}

impl Buffer {
    fn bytes(self, what: &str) -> Result<Bytes> {
        let abi::FthBuf { ptr, len, .. } = self.0;
        if len == 0 {
            return Ok(Bytes::new());
        }
        if ptr.is_null() {
            return Err(broken(format!("a {what} of {len} bytes at a null pointer")));
        }
        if len > isize::MAX as usize {
            return Err(broken(format!("a {what} of {len} bytes, which is impossible")));
        }
        Ok(Bytes::from_owner(self))
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `bytes` has checked the buffer; it is readable until it is released.
        unsafe { std::slice::from_raw_parts(self.0.ptr, self.0.len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(release) = self.0.release {
            // SAFETY: called once, with the arguments that belong to it.
            unsafe { release(self.0.owner, self.0.ptr, self.0.len) }
        }
    }
}

fn give_bytes(bytes: Bytes) -> abi::FthBuf {
    unsafe extern "C" fn release(owner: *mut c_void, _: *const u8, _: usize) {
        // SAFETY: `owner` is the box made below, and this is called once.
        let owner = unsafe { Box::from_raw(owner.cast::<Bytes>()) };
        // It may hold a buffer of another image, or a value whose drop panics.
        let _ = crate::panics::catch(|| drop(owner));
    }
    if bytes.is_empty() {
        return abi::FthBuf { ptr: null(), len: 0, owner: null_mut(), release: None };
    }
    let (ptr, len) = (bytes.as_ptr(), bytes.len());
    abi::FthBuf { ptr, len, owner: Box::into_raw(Box::new(bytes)).cast(), release: Some(release) }
}

type ReleaseArray<T> = Option<unsafe extern "C" fn(*mut c_void, *mut T, usize)>;

fn give_array<T, A>(all: Vec<T>, array: impl FnOnce(*mut T, usize, *mut c_void, ReleaseArray<T>) -> A) -> A {
    unsafe extern "C" fn release<T>(_: *mut c_void, ptr: *mut T, len: usize) {
        // The elements were moved out by the receiver.
        // SAFETY: pointer and length are those of the boxed slice below, and this is called once.
        drop(unsafe {
            Box::from_raw(std::ptr::slice_from_raw_parts_mut(ptr.cast::<ManuallyDrop<T>>(), len))
        });
    }
    if all.is_empty() {
        return array(null_mut(), 0, null_mut(), None);
    }
    let all: Box<[T]> = all.into_boxed_slice();
    let len = all.len();
    array(Box::into_raw(all).cast(), len, null_mut(), Some(release::<T>))
}

/// Moves the elements out, and releases the array.
///
/// # Safety
/// `ptr`, `len`, `owner` and `release` come from one array of a message that is not used again.
unsafe fn take_array<T>(
    ptr: *mut T,
    len: usize,
    owner: *mut c_void,
    release: ReleaseArray<T>,
) -> Result<Vec<T>> {
    let sound = len == 0
        || (!ptr.is_null()
            && ptr.is_aligned()
            && len.checked_mul(size_of::<T>()).is_some_and(|size| size <= isize::MAX as usize));
    let all = match sound {
        // SAFETY: an array of the contract holds `len` elements, each moved out once.
        true => Ok((0..len).map(|index| unsafe { ptr.add(index).read() }).collect()),
        false => Err(broken(format!("an array of {len} elements at {ptr:?}"))),
    };
    if let Some(release) = release {
        // SAFETY: called once, with the arguments that belong to it.
        unsafe { release(owner, ptr, len) }
    }
    all
}

/// A string of the other side, copied.
///
/// # Safety
/// `text` is valid for this call.
pub(crate) unsafe fn text(text: abi::FthStr) -> Result<String> {
    if text.len == 0 {
        return Ok(String::new());
    }
    if text.ptr.is_null() || text.len > isize::MAX as usize {
        return Err(broken(format!("a string of {} bytes at {:?}", text.len, text.ptr)));
    }
    // SAFETY: not null, of a possible length, and valid as guaranteed by the caller.
    let bytes = unsafe { std::slice::from_raw_parts(text.ptr, text.len) };
    String::from_utf8(bytes.to_vec()).map_err(|error| broken("a string that is not UTF-8").because(error))
}

/// A borrowed string for the other side.
pub(crate) fn borrowed(text: &str) -> abi::FthStr {
    abi::FthStr { ptr: text.as_ptr(), len: text.len() }
}
