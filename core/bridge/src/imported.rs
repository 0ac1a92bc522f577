//! The other side's objects, called by this side.

use std::any::Any;
use std::ffi::c_void;
use std::mem::{ManuallyDrop, offset_of};
use std::ptr::null;
use std::sync::Arc;

use forethought_abi as abi;
use forethought_api::{
    Error, Result,
    error::Code,
    wire::{Codec, Message, Object, Reply},
};
use futures_channel::oneshot::Receiver;

use crate::{
    Side,
    calls::{self, Label},
    exported,
    message::{self, broken},
    status,
};

/// The object behind a reference from the other side; an object of this image is unwrapped.
///
/// # Errors
/// If it is not an object of this contract. The reference then leaks, because nobody knows how to release it.
///
/// # Safety
/// `raw` is an owned reference, made as the contract says.
pub unsafe fn import(raw: abi::FthObj, side: &Arc<Side>) -> Result<Arc<dyn Object>> {
    // SAFETY: guaranteed by the caller.
    if let Some(own) = unsafe { exported::unwrap(raw) } {
        return Ok(own);
    }
    if raw.vtable.is_null() || !raw.vtable.is_aligned() {
        return Err(broken(format!("an object whose vtable is at {:?}", raw.vtable)));
    }
    // SAFETY: every vtable of major 1 starts with its size, and lives until the process exits.
    let size = unsafe { (*raw.vtable).size };
    if size < offset_of!(abi::FthObjVTable, codecs) {
        return Err(broken(format!("an object whose vtable has {size} bytes")));
    }
    // A field of the tail exists only if the maker of the vtable knew it.
    let codecs = match size >= offset_of!(abi::FthObjVTable, codecs) + size_of::<u64>() {
        // SAFETY: the vtable is long enough.
        true => unsafe { (*raw.vtable).codecs },
        false => 1 << abi::CODEC_JSON,
    };
    let mut remote = Remote { raw, interface: String::new(), codecs, side: side.clone() };
    // SAFETY: this side holds a reference; the name lives until the process exits.
    remote.interface = unsafe { message::text(((*raw.vtable).interface)(raw.data)) }?;
    Ok(Arc::new(Imported(Arc::new(remote))))
}

/// One more reference to an object that came from another image, to pass it on.
pub(crate) fn raw(object: &dyn Object) -> Option<abi::FthObj> {
    let Imported(remote) = object.as_any().downcast_ref()?;
    // SAFETY: this side holds a reference.
    unsafe { ((*remote.raw.vtable).retain)(remote.raw.data) };
    Some(remote.raw)
}

/// An object of another image.
struct Imported(Arc<Remote>);

/// The reference itself, shared by calls in flight.
struct Remote {
    raw: abi::FthObj,
    interface: String,
    codecs: u64,
    side: Arc<Side>,
}

// SAFETY: the contract lets every function of an object be called from any thread, concurrently.
unsafe impl Send for Remote {}
// SAFETY: as above.
unsafe impl Sync for Remote {}

impl Drop for Remote {
    fn drop(&mut self) {
        // SAFETY: the one reference that this side held.
        unsafe { ((*self.raw.vtable).release)(self.raw.data) }
    }
}

impl Object for Imported {
    fn interface(&self) -> &str {
        &self.0.interface
    }
    fn invoke(&self, method: &str, request: Message) -> Reply {
        let (remote, method) = (self.0.clone(), Arc::from(method));
        Box::pin(async move {
            let mut call = Call::start(remote, method, request);
            let outcome = (&mut call.outcome).await;
            call.number = None;
            outcome
                .unwrap_or_else(|_| Err(Error::new(Code::Plugin, "the call was dropped without an answer")))
        })
    }
    fn understands(&self, codec: Codec) -> bool {
        match codec {
            Codec::Json => true,
            Codec::MessagePack => self.0.codecs & 1 << abi::CODEC_MESSAGEPACK != 0,
        }
    }
    fn origin(&self) -> Option<&str> {
        Some(&self.0.side.peer)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A call in flight; dropping it before its outcome has arrived cancels it.
struct Call {
    /// `None` once the outcome has arrived.
    number: Option<usize>,
    outcome: Receiver<Result<Message>>,
    raw: abi::FthCall,
    /// Keeps the object alive during the call.
    _remote: Arc<Remote>,
}

// SAFETY: the contract lets a call be cancelled and released from any thread.
unsafe impl Send for Call {}

impl Call {
    fn start(remote: Arc<Remote>, method: Arc<str>, request: Message) -> Self {
        let (number, outcome) = calls::open(Label { side: remote.side.clone(), method: method.clone() });
        let mut call = Self {
            number: Some(number),
            outcome,
            raw: abi::FthCall { data: null(), vtable: null() },
            _remote: remote,
        };
        let remote = &call._remote;
        // The callee always moves it out.
        let mut request = ManuallyDrop::new(message::give(request, &remote.side, false));
        let completion = abi::FthCompletion { ctx: calls::as_pointer(number), done };
        // SAFETY: this side holds a reference; all pointers are valid for the call.
        unsafe {
            ((*remote.raw.vtable).invoke)(
                remote.raw.data,
                message::borrowed(&method),
                &mut *request,
                &completion,
                &mut call.raw,
            );
        }
        call
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            calls::withdraw(number);
        }
        let abi::FthCall { data, vtable } = self.raw;
        if data.is_null() || vtable.is_null() {
            return;
        }
        // SAFETY: released once, here, and cancelled only before that.
        unsafe {
            if self.number.is_some() {
                ((*vtable).cancel)(data);
            }
            ((*vtable).release)(data);
        }
    }
}

/// Receives an outcome, on a thread of the other side: stores it, wakes the caller, and never unwinds.
unsafe extern "C" fn done(ctx: *mut c_void, code: u32, reply: *mut abi::FthMsg) {
    let _ = crate::panics::catch(|| {
        let (label, caller) = match calls::close(ctx.addr()) {
            Ok(open) => open,
            Err(Some(Label { side, method })) => {
                tracing::warn!(plugin = side.peer, method = &*method, "a call was completed twice; ignored");
                return;
            }
            Err(None) => {
                return tracing::warn!("a completion came for a call that is not in flight; ignored");
            }
        };
        // Taken even if nobody waits: its contents must be released.
        // SAFETY: a completion's message follows the contract, and the caller gives it up.
        let reply = unsafe { message::take(reply, &label.side) };
        let Some(caller) = caller else { return };
        let _ = caller.send(reply.and_then(|reply| status::outcome(code, reply)).map_err(|mut error| {
            if error.code == Code::BadRequest && code != abi::BAD_REQUEST {
                error.code = Code::Plugin; // It is the answer that cannot be read.
            }
            error
        }));
    });
}
