//! Everything between the interfaces and the program: how components are configured and built, and how episodes are
//! run, recorded, replayed and evaluated.
//!
//! It may depend on `forethought-api`, `forethought-plugin-host` and `forethought-hub`, and on no plugin, environment
//! or program: components are found through the registry, by kind.
//!
//! # Reading order
//! [`config`] (what the user asks for), [`host`] (the components built from it), [`run`] (how they play episodes),
//! [`journal`] and [`layers`] (what happens between a planner's call and a model's answer).

pub mod budget;
mod busy;
pub mod cancel;
pub mod clock;
pub mod config;
pub mod evaluate;
mod files;
mod former;
pub mod host;
pub mod journal;
pub mod layers;
pub mod run;
#[cfg(test)]
mod testing;
pub mod trajectories;

pub use forethought_plugin_host::registry;
