//! Everything between the interfaces and the program: which components there are, how they are configured and built,
//! how episodes are run and kept, and how models are fetched.
//!
//! It may depend on `forethought-api` and on no plugin, environment or program: components are found through the
//! registry, by kind.
//!
//! # Reading order
//! [`registry`] (what there is), [`config`] (what is wanted), [`host`] (what is built of it).

pub mod assemble;
pub mod config;
pub mod encoder_cache;
pub mod host;
pub mod hub;
pub mod plugin;
pub mod registry;
#[cfg(test)]
mod testing;

pub mod budget;
pub mod cancel;
mod clock;
pub mod critic;
pub mod effects;
pub mod episode;
pub mod events;
pub mod folder;
pub mod journaled;
pub mod layers;
mod meter;
pub mod models;
pub mod prices;
pub mod replay;
pub mod run;
pub mod stats;
pub mod store;
pub mod tournament;
pub mod trajectories;
