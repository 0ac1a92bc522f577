//! Forethought's interfaces and the data that crosses them.
//!
//! This crate defines the vocabulary of the project: what an environment, a language model, an encoder, a critic and a
//! planner are, and the plain data they exchange. It does no I/O, starts no runtime, and knows no implementation.
//! Of this workspace it may depend on `forethought-macros` alone.
//!
//! # Reading order
//! [`environment`] and [`trajectory`] (what happens), [`llm`], [`encoder`], [`critic`] and [`planner`] (who acts on
//! it), [`metrics`] (how good a critic is), [`behaviour`], [`importer`] and [`verifier`] (what an environment's crate
//! may add), then [`registry`] (how components are found), [`host`] (what the program offers them), [`seed`] (random
//! streams), [`text`] (files that people write), [`tools`] (calls as text), [`wire`] (calls as messages) and [`module`] (a library's root object).
//!
//! # Rules that hold for every interface
//! Methods are async, take `&self` and owned arguments, and return [`Result`]: each call can then cross a plugin
//! boundary or a pipe as one message. Data types are `#[non_exhaustive]` where outsiders rarely construct them, have
//! serde defaults, and ignore unknown fields, so either side may be newer; an enum has a variant for values that it
//! does not know yet. A new method always has a default body. The messages themselves are checked in, under
//! `tests/wire`.

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
pub mod raw;
pub mod registry;
pub mod seed;
pub mod text;
pub mod tools;
pub mod trajectory;
pub mod verifier;
pub mod wire;

pub use error::{Error, Result};
/// Makes a plain async trait an interface: see [`wire`].
pub use forethought_macros::interface;

/// The oldest Rust release that compiles this crate and the sdk.
pub const RUST_VERSION: &str = env!("CARGO_PKG_RUST_VERSION");

// The code that `#[interface]` generates refers to this crate by name, inside this crate too.
extern crate self as forethought_api;

/// For the code that `#[interface]` generates.
#[doc(hidden)]
pub mod __private {
    pub use {async_trait::async_trait, serde};
}
