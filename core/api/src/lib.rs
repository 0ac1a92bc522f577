//! Forethought's interfaces and the data that crosses them.
//!
//! This crate owns the words of the project: what an environment, a language model, an encoder, a critic and a
//! planner are, and the plain data they exchange. It does no I/O, starts no runtime, and knows no implementation.
//! It may depend on serde, schemars, async-trait, inventory and, of this workspace, on `forethought-macros` alone.
//!
//! # Reading order
//! [`environment`] and [`trajectory`] (what happens), [`llm`], [`encoder`], [`critic`] and [`planner`] (who acts on
//! it), [`metrics`] (how good a critic is), [`behaviour`], [`importer`] and [`verifier`] (what an environment may bring
//! along), then [`registry`] (how components are found), [`host`] (what the program offers them), [`wire`] (calls as
//! messages) and [`module`] (a library's root object).
//!
//! # Rules that hold for every interface
//! Methods are async, take `&self` and owned arguments, and return [`Result`]: each call can then cross a plugin
//! boundary or a pipe as one message. Data types are `#[non_exhaustive]` where outsiders construct them rarely, carry
//! serde defaults, and ignore unknown fields, so either side may be newer; an enum has a variant for words that it does not
//! know yet. A new method always has a default body. The messages themselves are checked in, under `tests/wire`.

pub mod behaviour;
pub mod checkpoint;
pub mod critic;
pub mod encoder;
pub mod environment;
pub mod error;
pub mod host;
pub mod importer;
pub mod llm;
pub mod metrics;
pub mod module;
pub mod planner;
pub mod registry;
pub mod seed;
pub mod trajectory;
pub mod verifier;
pub mod wire;

pub use error::{Error, Result};
/// Makes a plain async trait an interface: see [`wire`].
pub use forethought_macros::interface;

// What `#[interface]` writes names this crate from outside, here too.
extern crate self as forethought_api;

/// For what `#[interface]` writes.
#[doc(hidden)]
pub mod __private {
    pub use {async_trait::async_trait, serde};
}
