//! WebShop (Yao et al., 2022), exactly: a shop of searchable products and shoppers' instructions.
//!
//! May depend on `forethought-sdk` and plain libraries; never on the runtime or another plugin.

pub mod action;
pub mod behaviour;
pub mod catalogue;
pub mod dialect;
pub mod environment;
pub mod fuzzy;
pub mod generated;
pub mod goals;
pub mod import;
pub mod nouns;
pub mod page;
pub mod product;
pub mod python;
pub mod python_random;
pub mod render;
pub mod reward;
pub mod search;
pub mod session;
pub mod shop;
pub mod spoken;
mod tools;
pub mod verify;

/// First line of the instructions: readers of a prompt recognise the task by it.
pub(crate) const INSTRUCTIONS_OPENING: &str = "You are shopping on WebShop.";
