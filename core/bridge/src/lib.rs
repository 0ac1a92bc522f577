//! Objects and messages across the C contract: the glue that both sides of a library's boundary are made of, and
//! nearly all of the project's unsafe code.
//!
//! It may depend on `forethought-abi` and `forethought-api`, and needs no async runtime: how work is run, each side says
//! by [`Spawn`], which the feature `tokio` implements for tokio's handles.
//!
//! # Layout
//! [`export`] makes an ABI object of a Rust one, [`import`] a Rust object of an ABI one; objects that come back are
//! recognised and unwrapped, objects of a third party are passed through. `message` carries messages over, `calls`
//! keeps the calls that wait for their completion, [`panics`] catches what must not unwind across the boundary, and
//! [`status`] tells outcomes, over a pipe too.
//!
//! # What is not trusted
//! A completion may come twice, late, from any thread, or with rubbish in it. It finds its call by a number that is
//! never used again, not by a pointer, so the worst that it can do is to be ignored, with a warning that names it. What
//! no check can hold (a wild pointer, a buffer shorter than its length) is what process isolation is for.

mod calls;
mod exported;
mod imported;
mod message;
pub mod panics;
pub mod status;

use std::sync::Arc;

use futures::future::BoxFuture;

pub use self::{
    calls::pending,
    exported::{export, exported},
    imported::import,
};

/// One side's dealings with one other image.
pub struct Side {
    /// Who is on the other side, for errors and logs: a plugin's name.
    pub peer: String,
    /// How this side runs what the other asks of it.
    pub spawn: Box<dyn Spawn>,
}

/// How an image runs work.
pub trait Spawn: Send + Sync + 'static {
    /// Runs a task beside the caller. The function aborts it: the task is then dropped, soon and without fail. A
    /// runtime that is gone drops the task at once.
    fn spawn(&self, task: BoxFuture<'static, ()>) -> Arc<dyn Fn() + Send + Sync>;
    /// Calls `work` where the image's timers and sockets can be used.
    fn enter(&self, work: &mut dyn FnMut());
}

#[cfg(feature = "tokio")]
impl Spawn for tokio::runtime::Handle {
    fn spawn(&self, task: BoxFuture<'static, ()>) -> Arc<dyn Fn() + Send + Sync> {
        let task = self.spawn(task).abort_handle();
        Arc::new(move || task.abort())
    }
    fn enter(&self, work: &mut dyn FnMut()) {
        let _entered = self.enter();
        work();
    }
}
