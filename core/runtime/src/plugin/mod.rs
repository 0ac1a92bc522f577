//! Plugins from outside: how they are found, looked at, loaded, kept in check, and spoken to.
//!
//! # Reading order
//! [`find`] (which files), [`metadata`] and [`policy`] (what they are, and whether they are loaded, before a byte of
//! them runs), [`lock`] (what was found out earlier), [`open`] (all of that in order, and what comes of it: entries of
//! the registry), [`library`] (a library's root object), [`process`] and [`serve`] (both ends of a plugin in a process
//! of its own), [`guard`] (what is put around every object).

pub mod find;
pub mod guard;
pub mod library;
pub mod lock;
pub mod metadata;
pub mod open;
mod pipe;
pub mod policy;
pub mod process;
pub mod serve;
#[cfg(test)]
pub(crate) mod testing;

pub use self::open::{Found, Launcher, Library, Plugin, Plugins, Request, Transport, Wanted, survey};
