//! Everything between the interfaces and the program: which components there are, how they are configured and built,
//! how episodes are run and kept, and how models are fetched.
//!
//! It may depend on `forethought-api` and on no plugin, environment or program: components are found through the
//! registry, by kind.
//!
//! # Reading order
//! [`registry`] (what there is), [`config`] (what is wanted), [`host`] (what is built of it).

pub mod budget;
pub mod cancel;
mod clock;
pub mod config;
pub mod evaluate;
pub mod host;
pub mod hub;
pub mod journal;
pub mod layers;
pub mod plugin;
pub mod registry;
pub mod run;
#[cfg(test)]
mod testing;
pub mod trajectories;
