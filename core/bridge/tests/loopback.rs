//! Both sides of the boundary in one image: correct use, and breaches of the contract.
//!
//! No async runtime and no I/O, so that Miri can run all of it (`.ci/miri`).

use std::any::Any;
use std::ffi::c_void;
use std::mem::{ManuallyDrop, offset_of, size_of};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use forethought_abi as abi;
use forethought_api::{
    Error, Result,
    error::Code,
    wire::{Codec, Message, Object, Reply},
};
use forethought_bridge::{Side, Spawn, export, exported, import, pending};
use futures::{
    executor::block_on,
    future::{BoxFuture, abortable},
};

/// A thread for each task.
struct Threads;

impl Spawn for Threads {
    fn spawn(&self, task: BoxFuture<'static, ()>) -> Arc<dyn Fn() + Send + Sync> {
        let (task, handle) = abortable(task);
        std::thread::spawn(move || block_on(task));
        Arc::new(move || handle.abort())
    }
    fn enter(&self, work: &mut dyn FnMut()) {
        work();
    }
}

/// A runtime that has shut down.
struct ShutDown;

impl Spawn for ShutDown {
    fn spawn(&self, task: BoxFuture<'static, ()>) -> Arc<dyn Fn() + Send + Sync> {
        drop(task);
        Arc::new(|| {})
    }
    fn enter(&self, work: &mut dyn FnMut()) {
        work();
    }
}

fn side(spawn: impl Spawn) -> Arc<Side> {
    Arc::new(Side { peer: "loopback".into(), spawn: Box::new(spawn) })
}

/// Live objects and calls are counted per process, so the tests run one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until a test has left nothing behind.
fn nothing_is_left(living: &AtomicUsize) {
    for _ in 0..2000 {
        if living.load(Ordering::SeqCst) == 0 && pending() == 0 && exported() == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!(
        "{} tasks, {} calls and {} objects are left",
        living.load(Ordering::SeqCst),
        pending(),
        exported()
    );
}

/// Counts while it is alive.
struct Living(Arc<AtomicUsize>);

impl Living {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// An object that behaves differently for each method.
#[derive(Default)]
struct Moody {
    living: Arc<AtomicUsize>,
    inline: bool,
    /// Makes the destructor panic.
    #[expect(dead_code, reason = "its drop matters")]
    bomb: Option<PanicsInDrop>,
}

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("in a drop");
    }
}

impl Object for Moody {
    fn interface(&self) -> &str {
        "forethought.moody/1"
    }
    fn invoke(&self, method: &str, request: Message) -> Reply {
        assert_ne!(method, "panic_at_once", "at once");
        let (method, living) = (method.to_owned(), Living::new(&self.living));
        Box::pin(async move {
            let _living = living;
            match &*method {
                "echo" => Ok(request),
                "later" => {
                    yield_once().await;
                    Ok(request)
                }
                "hang" => std::future::pending().await,
                "call_back" => {
                    let object = request.objects[0].clone();
                    object.invoke("echo", Message { objects: vec![], ..request }).await
                }
                "panic" => panic!("before waiting"),
                "panic_later" => {
                    yield_once().await;
                    panic!("after waiting")
                }
                "panic_payload" => std::panic::panic_any(PanicsInDrop),
                "panic_in_drop_of_work" => {
                    let _late = PanicsInDrop;
                    Ok(request)
                }
                "fail" => Err(Error::input("nothing here").retryable().because(Error::other("it is empty"))),
                other => Err(forethought_api::wire::unknown_method("forethought.moody/1", other)),
            }
        })
    }
    fn inline(&self) -> bool {
        self.inline
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

async fn yield_once() {
    let mut waited = false;
    std::future::poll_fn(move |context| {
        if std::mem::replace(&mut waited, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// The object as if from another image: its vtable is elsewhere, so it is not recognised as this image's own.
fn foreign(object: impl Object, side: &Arc<Side>) -> Arc<dyn Object> {
    let raw = export(Arc::new(object), side, false);
    // SAFETY: a plain copy of a static table.
    let vtable = Box::leak(Box::new(unsafe { raw.vtable.read() }));
    // SAFETY: the reference is ours.
    unsafe { import(abi::FthObj { vtable, data: raw.data }, side) }.unwrap()
}

fn call(object: &Arc<dyn Object>, method: &str, request: Message) -> Result<Message> {
    block_on(object.invoke(method, request))
}

fn words(text: &str) -> Message {
    Message::encode(Codec::Json, &text).unwrap()
}

#[test]
fn a_message_crosses_both_ways() {
    let _alone = alone();
    for inline in [false, true] {
        let moody = Moody { inline, ..Moody::default() };
        let living = moody.living.clone();
        let object = foreign(moody, &side(Threads));
        assert_eq!((object.interface(), object.origin()), ("forethought.moody/1", Some("loopback")));
        for method in ["echo", "later"] {
            for codec in [Codec::Json, Codec::MessagePack] {
                let mut request = Message::encode(codec, &("grüße", u64::MAX, i64::MIN, 0.1)).unwrap();
                request.blobs = vec![Bytes::from(vec![7; 1 << 16]), Bytes::new()];
                request.meta.deadline_unix_ms = Some(5);
                let reply = call(&object, method, request.clone()).unwrap();
                assert_eq!((reply.codec, &reply.blobs, &reply.meta), (codec, &request.blobs, &request.meta));
                let value: (String, u64, i64, f64) = reply.decode().unwrap();
                assert_eq!(value, ("grüße".into(), u64::MAX, i64::MIN, 0.1));
            }
        }
        drop(object);
        nothing_is_left(&living);
    }
}

#[test]
fn objects_come_back_as_themselves_and_can_be_called_by_the_other_side() {
    let _alone = alone();
    let side = side(Threads);
    let object = foreign(Moody::default(), &side);
    let mine: Arc<dyn Object> = Arc::new(Moody::default());
    let reply = call(&object, "echo", Message { objects: vec![mine.clone()], ..words("") }).unwrap();
    assert!(Arc::ptr_eq(&reply.objects[0], &mine), "an object of this image is unwrapped");
    let reply =
        call(&object, "call_back", Message { objects: vec![mine.clone()], ..words("hello") }).unwrap();
    assert_eq!(reply.decode::<String>().unwrap(), "hello");
    // A third party's object is passed through, not wrapped again: one more reference, and no new object.
    let third = foreign(Moody::default(), &side);
    let before = exported();
    let reply = call(&object, "echo", Message { objects: vec![third.clone()], ..words("") }).unwrap();
    assert_eq!(exported(), before);
    assert_eq!(call(&reply.objects[0], "echo", words("x")).unwrap().decode::<String>().unwrap(), "x");
    drop((object, mine, third, reply));
    nothing_is_left(&AtomicUsize::new(0));
}

#[test]
fn a_panic_anywhere_is_an_error() {
    let _alone = alone();
    for inline in [false, true] {
        let object = foreign(Moody { inline, ..Moody::default() }, &side(Threads));
        for (method, text) in [
            ("panic_at_once", "at once"),
            ("panic", "before waiting"),
            ("panic_later", "after waiting"),
            ("panic_payload", "a panic without a message"),
            ("panic_in_drop_of_work", "in a drop"),
        ] {
            let error = call(&object, method, words("")).unwrap_err();
            assert!(error.code == Code::Panic && error.message.contains(text), "{method}: {error}");
        }
        assert!(call(&object, "echo", words("still there")).is_ok());
    }
    let last = foreign(Moody { bomb: Some(PanicsInDrop), ..Moody::default() }, &side(Threads));
    drop(last);
    nothing_is_left(&AtomicUsize::new(0));
}

#[test]
fn an_error_keeps_its_code_its_causes_and_whether_to_retry() {
    let _alone = alone();
    let object = foreign(Moody::default(), &side(Threads));
    for codec in [Codec::Json, Codec::MessagePack] {
        let error = call(&object, "fail", Message { codec, ..Message::default() }).unwrap_err();
        assert_eq!(error, Error::input("nothing here").retryable().because(Error::other("it is empty")));
        let error = call(&object, "dance", Message { codec, ..Message::default() }).unwrap_err();
        assert_eq!(error.code, Code::Unimplemented);
    }
}

#[test]
fn a_dropped_call_drops_its_work_and_a_runtime_that_has_shut_down_is_an_error() {
    let _alone = alone();
    let moody = Moody::default();
    let living = moody.living.clone();
    let object = foreign(moody, &side(Threads));
    let calls = if cfg!(miri) { 20 } else { 300 };
    for index in 0..calls {
        let mut call = object.invoke("hang", words(""));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending());
        if index % 3 == 0 {
            std::thread::yield_now();
        }
        drop(call);
    }
    drop(object.invoke("hang", words(""))); // Never polled, so never started.
    drop(object);
    nothing_is_left(&living);

    let object = foreign(Moody::default(), &side(ShutDown));
    assert_eq!(call(&object, "echo", words("")).unwrap_err().code, Code::Shutdown);
    drop(object);
    nothing_is_left(&AtomicUsize::new(0));
}

// ---- A side that breaks the contract -------------------------------------------------------------------------------

type Misdeed = unsafe fn(abi::FthCompletion, abi::FthMsg);

/// An object of the other side, made by hand; its `data` is the misdeed that it commits when called.
fn hostile(misdeed: Misdeed, size: usize) -> abi::FthObj {
    unsafe extern "C" fn nothing(_: *const c_void) {}
    unsafe extern "C" fn interface(_: *const c_void) -> abi::FthStr {
        let name = "forethought.hostile/1";
        abi::FthStr { ptr: name.as_ptr(), len: name.len() }
    }
    unsafe extern "C" fn invoke(
        data: *const c_void,
        _: abi::FthStr,
        request: *mut abi::FthMsg,
        done: *const abi::FthCompletion,
        out: *mut abi::FthCall,
    ) {
        // SAFETY: `data` is the misdeed below; the pointers follow the contract.
        unsafe {
            out.write(abi::FthCall { data: null(), vtable: null() });
            (*data.cast::<Misdeed>())(done.read(), request.read());
        }
    }
    let vtable =
        abi::FthObjVTable { size, retain: nothing, release: nothing, interface, invoke, codecs: u64::MAX };
    let data: *const Misdeed = Box::leak(Box::new(misdeed));
    abi::FthObj { vtable: Box::leak(Box::new(vtable)), data: data.cast() }
}

fn blank() -> abi::FthMsg {
    abi::FthMsg {
        size: size_of::<abi::FthMsg>() as u32,
        codec: abi::CODEC_JSON,
        flags: 0,
        body: abi::FthBuf { ptr: null(), len: 0, owner: null_mut(), release: None },
        objs: abi::FthObjs { ptr: null_mut(), len: 0, owner: null_mut(), release: None },
        blobs: abi::FthBufs { ptr: null_mut(), len: 0, owner: null_mut(), release: None },
        meta: abi::FthBuf { ptr: null(), len: 0, owner: null_mut(), release: None },
    }
}

fn text(text: &'static str) -> abi::FthBuf {
    abi::FthBuf { ptr: text.as_ptr(), len: text.len(), owner: null_mut(), release: None }
}

/// Completes the call with a blank message after `change`.
unsafe fn complete(done: abi::FthCompletion, status: u32, change: impl FnOnce(&mut abi::FthMsg)) {
    let mut reply = ManuallyDrop::new(blank());
    change(&mut reply);
    // SAFETY: follows the contract, except for what `change` did.
    unsafe { (done.done)(done.ctx, status, &mut *reply) }
}

unsafe fn release(request: abi::FthMsg) {
    if let Some(release) = request.body.release {
        // SAFETY: called once.
        unsafe { release(request.body.owner, request.body.ptr, request.body.len) }
    }
}

macro_rules! misdeed {
    ($status:expr, $change:expr) => {{
        unsafe fn misdeed(done: abi::FthCompletion, request: abi::FthMsg) {
            // SAFETY: follows the contract, except for the deliberate breach.
            unsafe {
                release(request);
                complete(done, $status, $change);
            }
        }
        misdeed as Misdeed
    }};
}

#[test]
fn breaches_of_the_contract_are_refused_and_named() {
    let _alone = alone();
    let side = side(Threads);
    let whole = size_of::<abi::FthObjVTable>();
    let deeds: [(Misdeed, &str); 9] = [
        (misdeed!(abi::OK, |reply| reply.size = 8), "a message of 8 bytes"),
        (misdeed!(abi::OK, |reply| reply.codec = 77), "codec 77"),
        (misdeed!(abi::OK, |reply| reply.body.len = 9), "a body of 9 bytes at a null pointer"),
        (
            misdeed!(abi::OK, |reply| reply.body = abi::FthBuf { len: usize::MAX, ..text("x") }),
            "which is impossible",
        ),
        (misdeed!(abi::OK, |reply| reply.objs.len = 3), "an array of 3 elements"),
        (
            misdeed!(abi::OK, |reply| {
                reply.blobs.ptr = std::ptr::without_provenance_mut(8);
                reply.blobs.len = usize::MAX / 2;
            }),
            "an array of",
        ),
        (misdeed!(abi::OK, |reply| reply.meta = text("{")), "meta is not readable"),
        (misdeed!(99, |_| ()), "unknown status 99"),
        (misdeed!(abi::ERROR, |reply| reply.body = text("\u{1}")), "an error that cannot be read"),
    ];
    for (misdeed, says) in deeds {
        // SAFETY: the reference is given up.
        let object = unsafe { import(hostile(misdeed, whole), &side) }.unwrap();
        let error = call(&object, "step", words("")).unwrap_err();
        assert!(error.code == Code::Plugin && error.to_string().contains(says), "{says}: {error:?}");
    }
    let nowhere = abi::FthObj { vtable: null(), data: null() };
    // SAFETY: null pointers are checked before use.
    assert!(unsafe { import(nowhere, &side) }.is_err());
    let short = hostile(misdeed!(abi::OK, |_| ()), 16);
    // SAFETY: as above.
    let error = unsafe { import(short, &side) }.err().expect("the vtable is too short");
    assert!(error.message.contains("vtable has 16 bytes"), "{error}");
}

#[test]
fn a_second_completion_and_one_without_a_call_are_ignored() {
    let _alone = alone();
    unsafe fn twice(done: abi::FthCompletion, request: abi::FthMsg) {
        // SAFETY: follows the contract, except for the deliberate repetition.
        unsafe {
            release(request);
            complete(done, abi::OK, |reply| reply.body = text("1"));
            complete(done, abi::OK, |reply| reply.body = text("2"));
            let nowhere = abi::FthCompletion { ctx: null_mut(), ..done };
            complete(nowhere, abi::OK, |reply| reply.body = text("3"));
        }
    }
    // SAFETY: the reference is given up.
    let object = unsafe { import(hostile(twice, size_of::<abi::FthObjVTable>()), &side(Threads)) }.unwrap();
    for _ in 0..3 {
        assert_eq!(call(&object, "step", words("")).unwrap().decode::<u32>().unwrap(), 1);
    }
}

#[test]
fn a_field_of_the_tail_is_read_only_if_it_exists() {
    let _alone = alone();
    let side = side(Threads);
    let older = offset_of!(abi::FthObjVTable, codecs);
    for (size, messagepack) in [(older, false), (older + 4, false), (older + 8, true), (older + 64, true)] {
        // SAFETY: the reference is given up.
        let object = unsafe { import(hostile(misdeed!(abi::OK, |_| ()), size), &side) }.unwrap();
        assert!(object.understands(Codec::Json));
        assert_eq!(object.understands(Codec::MessagePack), messagepack, "a vtable of {size} bytes");
    }
}
