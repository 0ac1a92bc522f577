//! Which components a program has, linked into it or brought by plugins; and how plugins are found, inspected, loaded,
//! guarded and spoken to.
//!
//! It may depend on `forethought-api`, `forethought-bridge` and `forethought-abi`, and on nothing else of this workspace.
//!
//! # Reading order
//! [`registry`] (which components there are), [`settings`] and [`find`] (which files a configuration names),
//! [`metadata`] and [`policy`] (what they are, and whether they are loaded, before a byte of them runs), [`lock`] (what
//! was found out earlier), [`survey`] and [`open`] (all of that in order, and its result: entries of the registry),
//! [`library`] (a library's root object), [`process`] and [`serve`] (both ends of a plugin in its own process),
//! [`guard`] (what is put around every object).

pub mod find;
pub mod guard;
pub mod library;
pub mod lock;
pub mod metadata;
pub mod open;
mod pipe;
pub mod policy;
pub mod process;
pub mod registry;
pub mod serve;
pub mod settings;
pub mod source;
pub mod survey;
#[cfg(test)]
mod testing;

pub use self::{
    open::{Launcher, Plugin, Plugins, Transport},
    source::{Request, Wanted},
    survey::{Found, Library, survey},
};
