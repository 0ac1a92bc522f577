//! Calls over a pipe: the messages of `forethought_api::wire`, framed, both ways over one pair of byte streams.
//! `docs/plugin-pipe.md` describes the protocol.
//!
//! # Ownership
//! A [`Peer`] is this side's end. Each object of the other side that this side holds, and each call in flight, keeps it
//! alive; when the last of them is dropped, the queue of frames closes, and with it the written stream: the other side
//! reads the end of the stream, and ends.
//!
//! # Counting references
//! Each time an object is sent, it gets a fresh handle, which the receiver releases once. So there is no count on which
//! the two sides could disagree. Frames keep their order, and a frame that names an object is queued before the object
//! can be dropped, so no frame names a handle that was already released.

mod frame;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use forethought_abi as abi;
use forethought_api::{
    Error, Result,
    error::Code,
    wire::{Codec, Message, Object, Reply},
};
use forethought_bridge::{panics::catch, status};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, BufWriter};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

#[cfg(fuzzing)]
pub use self::frame::rewritten;
use self::frame::{Head, Incoming, MAX_FRAME, Outgoing, Reference, json};
use super::words::Words;

const PROTOCOL: &str = "forethought";
/// Sides with the same major version understand each other; a minor version only adds.
const VERSION: (u64, u64) = (1, 0);
/// The feature that drops a call's work on `cancel`. Without it, abandoned work continues.
const CANCEL: &str = "cancel";
/// The longest hello, in bytes.
const MAX_HELLO: usize = 1 << 16;
/// Handle of the object that a plugin starts with.
const ROOT: u64 = 0;
/// How long to wait for frames that the other side sent before it closed its end.
pub(super) const LAST_MOMENT: Duration = Duration::from_millis(250);
/// Bytes read or written at once, if frames are small.
const BUFFER: usize = 1 << 16;

/// This side's end of a pipe.
pub(super) struct Peer {
    /// The name of the other side, for errors and logs: a plugin's name.
    name: String,
    queue: mpsc::UnboundedSender<Outgoing>,
    state: Mutex<State>,
    runtime: Handle,
    /// Whether the other side drops work on `cancel`.
    cancels: bool,
    /// Dropped with this end, which wakes the task that waits for that.
    _alive: oneshot::Sender<()>,
    /// Says why the other side must be ended, once.
    condemn: Mutex<Option<oneshot::Sender<String>>>,
    /// What the other side says on standard error, if it is a process.
    words: OnceLock<Arc<Words>>,
}

#[derive(Default)]
struct State {
    /// Why the connection ended, once it has.
    end: Option<Error>,
    /// The last number given to a call or a handle.
    last: u64,
    /// Calls of the other side's objects; `None` if the caller is gone, but the return is still to come.
    calls: HashMap<u64, Option<oneshot::Sender<Result<Message>>>>,
    /// Calls of this side's objects, by the other side's numbers; dropping the sender withdraws the call.
    served: HashMap<u64, oneshot::Sender<()>>,
    /// This side's objects that the other side holds.
    exports: HashMap<u64, Arc<dyn Object>>,
}

/// A pipe after the exchange of hellos.
pub(super) struct Connection<R, W> {
    /// This end.
    pub(super) peer: Arc<Peer>,
    /// Resolves when this end is dropped: this side no longer uses the other side.
    pub(super) dropped: oneshot::Receiver<()>,
    /// Resolves if the other side must be ended, with the reason.
    pub(super) condemned: oneshot::Receiver<String>,
    /// Must be run for frames to be read and written.
    pub(super) traffic: Traffic<R, W>,
}

/// Reads and writes the frames of a pipe.
pub(super) struct Traffic<R, W> {
    peer: Weak<Peer>,
    reader: BufReader<R>,
    writer: BufWriter<W>,
    queue: mpsc::UnboundedReceiver<Outgoing>,
}

/// Sends a hello and waits for the other side's. `root` is the object that it may call from the start.
///
/// # Errors
/// A message, if the other side sends no hello within `limit`, or speaks another protocol.
pub(super) async fn open<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    name: &str,
    root: Option<Arc<dyn Object>>,
    (reader, writer): (R, W),
    limit: Duration,
) -> Result<Connection<R, W>, String> {
    let mut reader = BufReader::with_capacity(BUFFER, reader);
    let mut writer = BufWriter::with_capacity(BUFFER, writer);
    let greeting = Head::Hello {
        protocol: PROTOCOL.into(),
        version: format!("{}.{}", VERSION.0, VERSION.1),
        features: vec![CANCEL.into()],
    };
    let greeting = Outgoing::new(&greeting, Vec::new()).map_err(|error| error.to_string())?;
    // The other side may end without reading it; then reading its frames gives the better error.
    let _ = async {
        greeting.write(&mut writer).await?;
        writer.flush().await
    }
    .await;
    let hello = timeout(limit, Incoming::read(&mut reader, MAX_HELLO)).await;
    let hello = hello.map_err(|_| format!("it said nothing within {limit:?}"))??;
    let hello = hello.ok_or("it ended before it said anything")?;
    let features = understood(hello.head()?)?;
    let (queue, queued) = mpsc::unbounded_channel();
    let (alive, dropped) = oneshot::channel();
    let (condemn, condemned) = oneshot::channel();
    let exports = root.into_iter().map(|root| (ROOT, root)).collect();
    let peer = Arc::new(Peer {
        name: name.into(),
        queue,
        state: Mutex::new(State { exports, ..Default::default() }),
        runtime: Handle::current(),
        cancels: features.iter().any(|feature| feature == CANCEL),
        _alive: alive,
        condemn: Mutex::new(Some(condemn)),
        words: OnceLock::new(),
    });
    let traffic = Traffic { peer: Arc::downgrade(&peer), reader, writer, queue: queued };
    Ok(Connection { peer, dropped, condemned, traffic })
}

/// The features of a hello, if this side understands its version.
fn understood(hello: Head<'_>) -> Result<Vec<String>, String> {
    let Head::Hello { protocol, version, features } = hello else {
        return Err("its first frame is not a hello".into());
    };
    let major = version.split('.').next().and_then(|major| major.parse::<u64>().ok());
    if protocol != PROTOCOL || major != Some(VERSION.0) {
        let (major, minor) = VERSION;
        return Err(format!("it speaks {protocol} {version}, and this side {PROTOCOL} {major}.{minor}"));
    }
    Ok(features)
}

/// Has the process behind `object` ended, if there is one: it no longer answers, and neither would its other objects.
/// Returns whether it was sound until now, and no other call waits for it.
pub(super) fn condemn(object: &dyn Object, why: &str) -> Option<bool> {
    let Remote(held) = object.as_any().downcast_ref()?;
    let alone = held.peer.state().calls.values().flatten().next().is_none();
    let mut condemn = held.peer.condemn.lock().unwrap_or_else(PoisonError::into_inner);
    match condemn.take() {
        Some(condemn) => condemn.send(why.into()).is_ok().then_some(alone),
        None => Some(false),
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Traffic<R, W> {
    /// Reads and writes until the other side closes its end or ends.
    ///
    /// # Errors
    /// A message that says how the other side broke the protocol.
    pub(super) async fn run(self) -> Result<(), String> {
        let Self { peer, reader, writer, queue } = self;
        let mut reading = pin!(read(&peer, reader));
        tokio::select! {
            outcome = &mut reading => outcome,
            // Closing one stream closes both; earlier frames may still arrive.
            Err(_) = write(queue, writer) => timeout(LAST_MOMENT, reading).await.unwrap_or(Ok(())),
        }
    }
}

async fn read(peer: &Weak<Peer>, mut reader: impl AsyncRead + Unpin) -> Result<(), String> {
    while let Some(frame) = Incoming::read(&mut reader, MAX_FRAME).await? {
        // Frames that arrive after this end was dropped are ignored.
        if let Some(peer) = peer.upgrade() {
            peer.receive(&frame)?;
        }
    }
    Ok(())
}

/// Writes queued frames, and closes the stream after the last one. One flush covers all that are queued.
async fn write(
    mut queue: mpsc::UnboundedReceiver<Outgoing>,
    mut writer: BufWriter<impl AsyncWrite + Unpin>,
) -> io::Result<()> {
    while let Some(frame) = queue.recv().await {
        frame.write(&mut writer).await?;
        if queue.is_empty() {
            writer.flush().await?;
        }
    }
    writer.shutdown().await
}

impl Peer {
    /// The object that the other side starts with.
    pub(super) fn root(self: &Arc<Self>) -> Arc<dyn Object> {
        self.remote(ROOT, abi::MODULE_INTERFACE.into())
    }

    /// Adds to errors what the other side says on standard error during the call, such as a traceback.
    pub(super) fn hear(&self, words: Arc<Words>) {
        let _ = self.words.set(words);
    }

    /// Ends the connection: all calls in flight, and all later ones, fail with `why`.
    pub(super) fn end(&self, why: Error) {
        let mut state = self.state();
        let gone = std::mem::replace(&mut *state, State { end: Some(why), ..State::default() });
        drop(state);
        self.discard(gone);
    }

    /// Drops a value whose destructor may be foreign code, in a task where a panic does no harm.
    fn discard(&self, what: impl Send + 'static) {
        self.runtime.spawn(async move {
            let _ = catch(|| drop(what));
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Frames for a side that has ended are lost, as are the calls that wait for their answers.
    fn send(&self, head: &Head<'_>, blobs: Vec<bytes::Bytes>) -> Result<()> {
        let _ = self.queue.send(Outgoing::new(head, blobs)?);
        Ok(())
    }

    fn remote(self: &Arc<Self>, handle: u64, interface: String) -> Arc<dyn Object> {
        Arc::new(Remote(Arc::new(Held { peer: self.clone(), handle, interface })))
    }

    /// References to objects, for a frame: the other side's own ones as such, all others under a fresh handle.
    fn give(&self, state: &mut State, objects: &[Arc<dyn Object>]) -> Vec<Reference> {
        let give = |object: &Arc<dyn Object>| {
            if let Some(Remote(held)) = object.as_any().downcast_ref()
                && std::ptr::eq(&*held.peer, self)
            {
                return Reference { handle: held.handle, interface: held.interface.clone(), yours: true };
            }
            let handle = state.number();
            state.exports.insert(handle, object.clone());
            Reference { handle, interface: object.interface().into(), yours: false }
        };
        objects.iter().map(give).collect()
    }

    /// The objects of a frame. All of them are taken, so that those of a refused message are released.
    fn take(self: &Arc<Self>, objects: Vec<Reference>) -> Result<Vec<Arc<dyn Object>>> {
        let taken: Vec<_> = objects
            .into_iter()
            .map(|Reference { handle, interface, yours }| match yours {
                true => self.state().exports.get(&handle).cloned().ok_or(handle),
                false => Ok(self.remote(handle, interface)),
            })
            .collect();
        taken.into_iter().collect::<Result<_, _>>().map_err(|handle| self.no_object(handle))
    }

    fn no_object(&self, handle: u64) -> Error {
        let what =
            format!("there is no object {handle}: it was never given to {}, or was released", self.name);
        Error::new(Code::BadRequest, what)
    }

    /// Handles a frame.
    fn receive(self: &Arc<Self>, frame: &Incoming) -> Result<(), String> {
        match frame.head()? {
            Head::Hello { .. } => return Err("a second hello".into()),
            Head::Call { id, object, method, body, objects, blobs, meta } => {
                let target = self.state().exports.get(&object).cloned();
                let (body, blobs) = (frame.body(body, "{}"), frame.blobs(&blobs)?);
                let objects = self.take(objects);
                let (withdraw, withdrawn) = oneshot::channel();
                if self.state().served.insert(id, withdraw).is_some() {
                    return Err(format!("two calls with the number {id} at once"));
                }
                let work = objects.and_then(|objects| {
                    let target = target.ok_or_else(|| self.no_object(object))?;
                    let request = Message { codec: Codec::Json, body, objects, blobs, meta };
                    Ok((target, method.into_owned(), request))
                });
                let peer = Arc::downgrade(self);
                self.runtime.spawn(async move {
                    let outcome = match work {
                        Ok((target, method, request)) => serve(target, method, request, withdrawn).await,
                        Err(error) => Err(error),
                    };
                    if let Some(peer) = peer.upgrade() {
                        peer.answer(id, outcome);
                    }
                });
            }
            Head::Return { id, status, body, objects, blobs } => {
                let reply = Message {
                    body: frame.body(body, "null"),
                    blobs: frame.blobs(&blobs)?,
                    objects: Vec::new(),
                    ..Message::default()
                };
                let objects = self.take(objects);
                let Some(caller) = self.state().calls.remove(&id) else {
                    return Err(format!("an answer to call {id}, which is not in flight"));
                };
                let outcome = match objects {
                    Ok(objects) => status::outcome(status, Message { objects, ..reply }),
                    Err(mut error) => {
                        error.code = Code::Plugin;
                        Err(error)
                    }
                };
                match caller {
                    Some(caller) => drop(caller.send(outcome)),
                    None => drop(outcome),
                }
            }
            Head::Cancel { id } => {
                // It may already be answered: the two frames crossed.
                self.state().served.remove(&id);
            }
            Head::Release { object } => {
                let released = self.state().exports.remove(&object);
                self.discard(released.ok_or_else(|| self.no_object(object).message)?);
            }
            Head::Log { level, target, message } => self.log(&level, &target, &message),
        }
        Ok(())
    }

    fn answer(self: &Arc<Self>, id: u64, outcome: Result<Message>) {
        // Before the answer is sent, because the other side may reuse the number after it.
        self.state().served.remove(&id);
        let sent = match outcome {
            Ok(reply) => self.send_reply(id, abi::OK, reply),
            Err(error) => self.send_error(id, &error),
        };
        if let Err(error) = sent {
            // The answer was refused as a whole, so an error can be sent instead.
            let cause = Error::new(Code::Malformed, "the answer cannot be sent").because(error);
            let _ = self.send_error(id, &cause);
        }
    }

    fn send_error(&self, id: u64, error: &Error) -> Result<()> {
        self.send_reply(id, status::of(error), Message::encode(Codec::Json, error)?)
    }

    fn send_reply(&self, id: u64, status: u32, reply: Message) -> Result<()> {
        let body = Some(json(&reply)?);
        let mut state = self.state();
        if state.end.is_some() {
            return Ok(()); // The other side has ended, and would not release the objects.
        }
        let objects = self.give(&mut state, &reply.objects);
        drop(state);
        let blobs = reply.blobs.iter().map(bytes::Bytes::len).collect();
        self.send(&Head::Return { id, status, body, objects, blobs }, reply.blobs.clone())
    }

    /// Writes a line of the other side to this side's log.
    fn log(&self, level: &str, target: &str, message: &str) {
        let plugin = &*self.name;
        match level {
            "error" => tracing::error!(plugin, target, "{message}"),
            "warn" => tracing::warn!(plugin, target, "{message}"),
            "info" => tracing::info!(plugin, target, "{message}"),
            "debug" => tracing::debug!(plugin, target, "{message}"),
            _ => tracing::trace!(plugin, target, "{message}"),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let gone = std::mem::take(&mut *self.state());
        self.discard(gone);
    }
}

/// Runs a call. Its work is dropped when it is withdrawn, and always before its outcome is sent.
async fn serve(
    target: Arc<dyn Object>,
    method: String,
    request: Message,
    mut withdrawn: oneshot::Receiver<()>,
) -> Result<Message> {
    let mut work = catch(|| target.invoke(&method, request))?;
    let outcome = {
        let work = poll_fn(|context| match catch(|| work.as_mut().poll(context)) {
            Ok(poll) => poll,
            Err(panicked) => Poll::Ready(Err(panicked)),
        });
        tokio::select! {
            biased;
            _ = &mut withdrawn => Err(Error::new(Code::Cancelled, "the call was withdrawn")),
            outcome = work => outcome,
        }
    };
    catch(|| drop((work, target)))?;
    outcome
}

impl State {
    /// A fresh number.
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

/// An object of the other side.
struct Remote(Arc<Held>);

/// The handle itself. Calls in flight share it.
struct Held {
    peer: Arc<Peer>,
    handle: u64,
    interface: String,
}

impl Drop for Held {
    fn drop(&mut self) {
        // The root object is never released.
        if self.handle != ROOT {
            let _ = self.peer.send(&Head::Release { object: self.handle }, Vec::new());
        }
    }
}

impl Object for Remote {
    fn interface(&self) -> &str {
        &self.0.interface
    }
    fn invoke(&self, method: &str, request: Message) -> Reply {
        let (held, method) = (self.0.clone(), method.to_owned());
        Box::pin(async move { held.call(&method, request).await })
    }
    fn understands(&self, codec: Codec) -> bool {
        codec == Codec::Json
    }
    fn origin(&self) -> Option<&str> {
        Some(&self.0.peer.name)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Held {
    async fn call(&self, method: &str, request: Message) -> Result<Message> {
        let words = self.peer.words.get();
        let before = words.map_or(0, |words| words.count());
        let (call, answer) = Call::start(self, method, request)?;
        let answer = answer.await;
        drop(call);
        let Ok(mut answer) = answer else { return Err(self.ended("during", method)) };
        if let (Err(error), Some(words)) = (&mut answer, words)
            && let Some(words) = words.take_late(before).await
        {
            error.chain.push(format!("on its standard error, at that time:{words}"));
        }
        answer
    }

    /// The error of a call after the other side has ended.
    fn ended(&self, when: &str, method: &str) -> Error {
        let interface = self.interface.strip_prefix("forethought.").unwrap_or(&self.interface);
        let interface = interface.split('/').next().unwrap_or(interface);
        let mut error =
            self.peer.state().end.clone().unwrap_or_else(|| Error::new(Code::Shutdown, "going down"));
        error.refused = when == "before";
        error.message = format!("{}, {when} {interface}.{method}", error.message);
        error
    }
}

/// A call in flight; it is withdrawn if it is dropped before its answer arrives.
struct Call<'a> {
    peer: &'a Peer,
    id: u64,
}

impl<'a> Call<'a> {
    fn start(
        held: &'a Held,
        method: &str,
        request: Message,
    ) -> Result<(Self, oneshot::Receiver<Result<Message>>)> {
        let peer = &*held.peer;
        let body = Some(json(&request)?);
        let (caller, answer) = oneshot::channel();
        let mut state = peer.state();
        if state.end.is_some() {
            drop(state);
            return Err(held.ended("before", method));
        }
        let id = state.number();
        state.calls.insert(id, Some(caller));
        let objects = peer.give(&mut state, &request.objects);
        drop(state);
        let call = Self { peer, id };
        let head = Head::Call {
            id,
            object: held.handle,
            method: method.into(),
            body,
            objects,
            blobs: request.blobs.iter().map(bytes::Bytes::len).collect(),
            meta: request.meta.clone(),
        };
        peer.send(&head, request.blobs.clone())?;
        Ok((call, answer))
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let in_flight = match self.peer.state().calls.get_mut(&self.id) {
            Some(caller) => caller.take().is_some(),
            None => false,
        };
        if in_flight && self.peer.cancels {
            let _ = self.peer.send(&Head::Cancel { id: self.id }, Vec::new());
        }
    }
}
