//! Calls that wait for their completion, by number.
//!
//! A completion's `ctx` is the number of its call, cast to a pointer. A number is never used twice, so a completion
//! that comes a second time, or without a call, finds nothing.

use std::collections::{HashMap, VecDeque};
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use forethought_api::{Result, wire::Message};
use futures_channel::oneshot::{self, Receiver, Sender};

use crate::Side;

/// Each lock is held for one look-up; several shards reduce contention.
const SHARDS: usize = 16;
/// How many completed calls each shard remembers, to name a call that is completed twice.
const REMEMBERED: usize = 32;

static NEXT: AtomicUsize = AtomicUsize::new(1);
static CALLS: [Mutex<Option<Shard>>; SHARDS] = [const { Mutex::new(None) }; SHARDS];

#[derive(Default)]
struct Shard {
    open: HashMap<usize, Open>,
    recent: VecDeque<(usize, Label)>,
}

/// Where to send the outcome; `None` once the caller has cancelled: the completion is then expected but discarded.
type Caller = Option<Sender<Result<Message>>>;

struct Open {
    caller: Caller,
    label: Label,
}

/// Which call it is, for messages.
#[derive(Clone)]
pub(crate) struct Label {
    pub(crate) side: Arc<Side>,
    pub(crate) method: Arc<str>,
}

/// Number of calls without a completion so far, including cancelled ones.
pub fn pending() -> usize {
    CALLS.iter().map(|shard| lock(shard).as_ref().map_or(0, |shard| shard.open.len())).sum()
}

/// Opens a call: its number, and the receiver of its outcome.
pub(crate) fn open(label: Label) -> (usize, Receiver<Result<Message>>) {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let (sender, receiver) = oneshot::channel();
    let open = Open { caller: Some(sender), label };
    lock(shard(number)).get_or_insert_default().open.insert(number, open);
    (number, receiver)
}

/// The caller no longer waits.
pub(crate) fn withdraw(number: usize) {
    let caller = lock(shard(number)).as_mut().and_then(|shard| shard.open.get_mut(&number)?.caller.take());
    // Dropped outside of the lock: it may already hold an outcome, with objects whose release may run any code.
    drop(caller);
}

/// Closes the call that a completion is for; `Err` names it if it was closed before.
pub(crate) fn close(number: usize) -> Result<(Label, Caller), Option<Label>> {
    let mut shard = lock(shard(number));
    let shard = shard.get_or_insert_default();
    let Some(Open { caller, label }) = shard.open.remove(&number) else {
        return Err(shard
            .recent
            .iter()
            .find(|(closed, _)| *closed == number)
            .map(|(_, label)| label.clone()));
    };
    if shard.recent.len() == REMEMBERED {
        shard.recent.pop_front();
    }
    shard.recent.push_back((number, label.clone()));
    Ok((label, caller))
}

/// A number as a pointer without provenance, which cannot be dereferenced.
pub(crate) fn as_pointer(number: usize) -> *mut c_void {
    std::ptr::without_provenance_mut(number)
}

fn shard(number: usize) -> &'static Mutex<Option<Shard>> {
    &CALLS[number % SHARDS]
}

fn lock(shard: &Mutex<Option<Shard>>) -> MutexGuard<'_, Option<Shard>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
