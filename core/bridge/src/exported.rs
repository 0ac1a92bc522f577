//! This side's objects, called by the other side.

use std::collections::BTreeSet;
use std::ffi::c_void;
use std::mem::{ManuallyDrop, size_of};
use std::pin::Pin;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use forethought_abi as abi;
use forethought_api::{
    Error, Result,
    error::Code,
    wire::{Codec, Message, Object, Reply},
};

use crate::{Side, imported, message, panics, status};

static EXPORTED: AtomicUsize = AtomicUsize::new(0);

/// Number of objects of this image that other images hold.
pub fn exported() -> usize {
    EXPORTED.load(Ordering::Relaxed)
}

/// One strong reference to `object` for the other side. An object that came from another image is passed through.
/// With `inline`, its calls may run on the caller's thread until they first wait.
pub fn export(object: Arc<dyn Object>, side: &Arc<Side>, inline: bool) -> abi::FthObj {
    if let Some(foreign) = imported::raw(&*object) {
        return foreign;
    }
    let vtable = if object.understands(Codec::MessagePack) { &MESSAGEPACK } else { &JSON };
    let inline = inline || object.inline();
    EXPORTED.fetch_add(1, Ordering::Relaxed);
    let exported = Arc::new(Exported { object, side: side.clone(), inline });
    abi::FthObj { vtable, data: Arc::into_raw(exported).cast() }
}

/// The object behind a reference if it is one of this image's own; this consumes the reference.
///
/// # Safety
/// `raw` is an owned reference.
pub(crate) unsafe fn unwrap(raw: abi::FthObj) -> Option<Arc<dyn Object>> {
    if !std::ptr::eq(raw.vtable, &MESSAGEPACK) && !std::ptr::eq(raw.vtable, &JSON) {
        return None;
    }
    // SAFETY: objects with our vtables have data made by `export`.
    let exported = unsafe { Arc::from_raw(raw.data.cast::<Exported>()) };
    Some(exported.object.clone())
}

/// What `data` points to.
struct Exported {
    object: Arc<dyn Object>,
    side: Arc<Side>,
    inline: bool,
}

impl Drop for Exported {
    fn drop(&mut self) {
        EXPORTED.fetch_sub(1, Ordering::Relaxed);
    }
}

const fn vtable(codecs: u64) -> abi::FthObjVTable {
    abi::FthObjVTable { size: size_of::<abi::FthObjVTable>(), retain, release, interface, invoke, codecs }
}
static JSON: abi::FthObjVTable = vtable(1 << abi::CODEC_JSON);
static MESSAGEPACK: abi::FthObjVTable = vtable(1 << abi::CODEC_JSON | 1 << abi::CODEC_MESSAGEPACK);

unsafe extern "C" fn retain(data: *const c_void) {
    // SAFETY: the caller holds a reference.
    unsafe { Arc::increment_strong_count(data.cast::<Exported>()) }
}

unsafe extern "C" fn release(data: *const c_void) {
    // SAFETY: the caller gives up one reference.
    let exported = unsafe { Arc::from_raw(data.cast::<Exported>()) };
    let Some(last) = Arc::into_inner(exported) else { return };
    // A component's destructor is the author's code: it may panic, and expects the runtime in which it was built.
    let side = last.side.clone();
    let mut last = Some(last);
    let _ = panics::catch(|| side.spawn.enter(&mut || drop(last.take())));
}

unsafe extern "C" fn interface(data: *const c_void) -> abi::FthStr {
    // SAFETY: the caller holds a reference.
    let exported = unsafe { &*data.cast::<Exported>() };
    message::borrowed(eternal(exported.object.interface()))
}

/// The contract needs names that live until the process exits. There are few interfaces, so they are leaked once each.
fn eternal(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    match names.get(name) {
        Some(name) => name,
        None => {
            let name: &'static str = name.to_owned().leak();
            names.insert(name);
            name
        }
    }
}

unsafe extern "C" fn invoke(
    data: *const c_void,
    method: abi::FthStr,
    request: *mut abi::FthMsg,
    done: *const abi::FthCompletion,
    out: *mut abi::FthCall,
) {
    // SAFETY: the caller holds a reference for the duration of this call.
    let exported = unsafe { &*data.cast::<Exported>() };
    // SAFETY: `out` can be written, `done` can be read; the caller does not use the request again.
    let (request, method) = unsafe {
        out.write(abi::FthCall { data: null(), vtable: null() });
        (message::take(request, &exported.side), message::text(method))
    };
    let withdrawn = Arc::new(AtomicBool::new(false));
    let codec = request.as_ref().map_or(Codec::Json, |request| request.codec);
    let completion = Completion {
        // SAFETY: as above.
        raw: unsafe { done.read() },
        codec,
        side: exported.side.clone(),
        inline: exported.inline,
        withdrawn: withdrawn.clone(),
        fired: false,
    };
    let work = request.and_then(|request| {
        let method = method?;
        panics::catch(|| exported.object.invoke(&method, request))
    });
    let work = match work {
        Ok(work) => work,
        Err(error) => return completion.fire(Err(error)),
    };
    let mut task = Task { work: Some(work), completion: Some(completion) };
    if exported.inline {
        let mut ready = false;
        exported.side.spawn.enter(&mut || {
            ready = Pin::new(&mut task).poll(&mut Context::from_waker(Waker::noop())).is_ready();
        });
        if ready {
            return;
        }
    }
    let abort = exported.side.spawn.spawn(Box::pin(task));
    let running = Arc::into_raw(Arc::new(Running { withdrawn, abort }));
    // SAFETY: as above.
    unsafe { out.write(abi::FthCall { data: running.cast(), vtable: &CALL }) }
}

/// A call in flight, as its caller sees it.
struct Running {
    withdrawn: Arc<AtomicBool>,
    abort: Arc<dyn Fn() + Send + Sync>,
}

static CALL: abi::FthCallVTable =
    abi::FthCallVTable { size: size_of::<abi::FthCallVTable>(), cancel, release: release_call };

unsafe extern "C" fn cancel(data: *const c_void) {
    // SAFETY: the caller has not released the call yet.
    let running = unsafe { &*data.cast::<Running>() };
    running.withdrawn.store(true, Ordering::Release);
    let _ = panics::catch(|| (running.abort)());
}

unsafe extern "C" fn release_call(data: *const c_void) {
    // SAFETY: the caller releases the call once.
    let running = unsafe { Arc::from_raw(data.cast::<Running>()) };
    let _ = panics::catch(|| drop(running));
}

/// A call's work and its completion. However the call ends, the work is dropped first, as CANCELLED promises.
struct Task {
    work: Option<Reply>,
    completion: Option<Completion>,
}

impl Task {
    fn drop_work(&mut self) -> Result<()> {
        let work = self.work.take();
        panics::catch(|| drop(work))
    }
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(work) = &mut self.work else { return Poll::Ready(()) };
        let outcome = match panics::catch(|| work.as_mut().poll(context)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(outcome)) => outcome,
            Err(panicked) => Err(panicked),
        };
        let dropped = self.drop_work();
        if let Some(completion) = self.completion.take() {
            completion.fire(dropped.and(outcome));
        }
        Poll::Ready(())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let _ = self.drop_work();
    }
}

/// Calls `done` exactly once, at the latest when it is dropped.
struct Completion {
    raw: abi::FthCompletion,
    codec: Codec,
    side: Arc<Side>,
    inline: bool,
    withdrawn: Arc<AtomicBool>,
    fired: bool,
}

// SAFETY: the contract lets `done` be called with `ctx` from any thread.
unsafe impl Send for Completion {}

impl Completion {
    fn fire(mut self, outcome: Result<Message>) {
        self.complete(outcome);
    }
    fn complete(&mut self, outcome: Result<Message>) {
        self.fired = true;
        let (status, reply) = match outcome {
            Ok(reply) => (abi::OK, reply),
            Err(error) => (status::of(&error), Message::encode(self.codec, &error).unwrap_or_default()),
        };
        // The receiver always moves it out.
        let mut reply = ManuallyDrop::new(message::give(reply, &self.side, self.inline));
        // SAFETY: called once, and `ctx` is not used afterwards.
        unsafe { (self.raw.done)(self.raw.ctx, status, &mut *reply) }
        self.raw.ctx = null_mut();
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if !self.fired {
            let error = match self.withdrawn.load(Ordering::Acquire) {
                true => Error::new(Code::Cancelled, "the call was cancelled"),
                false => Error::new(Code::Shutdown, "this side is shutting down"),
            };
            self.complete(Err(error));
        }
    }
}
