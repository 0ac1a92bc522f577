//! AvalonBench's naive bots: exact beliefs and choices, as a planner and, for speed, on the bare game.
//!
//! Reading order: [`mind`] (what one bot believes and does), [`teams`] (its arithmetic), [`witness`] (how the Assassin
//! may look for Merlin), [`speech`], then the two that use them: [`planner`] at a table of text, [`play`] without text.

pub mod mind;
pub mod planner;
pub mod play;
pub mod speech;
pub mod teams;
pub mod witness;
