//! Objects and messages across the C contract: the code shared by both sides of a library's boundary, with nearly all
//! of the project's unsafe code.
//!
//! It may depend on `forethought-abi` and `forethought-api`, and needs no async runtime: each side implements
//! [`Spawn`], which the feature `tokio` does for tokio's handles.
//!
//! # Layout
//! [`export`] turns a Rust object into an ABI object, [`import`] the reverse; objects that come back are recognised
//! and unwrapped, objects of a third party are passed through. `message` converts messages, `calls` holds the calls
//! that wait for their completion, [`panics`] catches what must not unwind across the boundary, and [`status`]
//! converts outcomes, also over a pipe. `child`, with the feature `process`, starts processes.
//!
//! # What is not trusted
//! A completion may come twice, late, from any thread, or with garbage in it. It finds its call by a number that is
//! never used again, not by a pointer, so an invalid one is ignored, with a warning that names it. What no check can
//! catch (a wild pointer, a buffer shorter than its length) is what process isolation is for.

mod calls;
#[cfg(feature = "process")]
pub mod child;
mod exported;
mod imported;
mod message;
pub mod panics;
pub mod status;

use std::sync::Arc;

use futures_core::future::BoxFuture;

pub use self::{
    calls::pending,
    exported::{export, exported},
    imported::import,
};

/// One side's connection to one other image.
pub struct Side {
    /// Name of the other side, such as a plugin's, for errors and logs.
    pub peer: String,
    /// How this side runs the calls of the other side.
    pub spawn: Box<dyn Spawn>,
}

/// Runs work of an image.
pub trait Spawn: Send + Sync + 'static {
    /// Runs a task concurrently. The returned function aborts it, which drops the task soon and reliably. A runtime
    /// that has shut down drops the task immediately.
    fn spawn(&self, task: BoxFuture<'static, ()>) -> Arc<dyn Fn() + Send + Sync>;
    /// Calls `work` in a context where the image's timers and sockets work.
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
