//! The components of a program, linked into it or provided by plugins; and how plugins are found, inspected, loaded,
//! guarded and called.
//!
//! Of this workspace it may depend only on `forethought-api`, `forethought-bridge` and `forethought-abi`.
//!
//! # Reading order
//! [`registry`] (the components), [`settings`] and [`find`] (which files a configuration names), [`metadata`] and
//! [`policy`] (what they are, and whether they may be loaded, before any of their code runs), [`lock`] (the results of
//! earlier inspections), [`trust`] (whether their code may run), [`survey`] and [`open`] (all of these in order, resulting
//! in entries of the registry), [`library`] (a library's root object), [`process`] and [`serve`] (both ends of a plugin
//! in its own process), [`guard`] (the wrapper around every object).

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
pub mod trust;
mod words;

#[cfg(fuzzing)]
pub use self::pipe::rewritten;
pub use self::{
    open::{Launcher, Plugin, Plugins, Transport},
    source::{NamedBy, Request, Wanted},
    survey::{Found, Library},
    trust::{Consent, Store, Trust},
};
