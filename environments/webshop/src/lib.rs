//! WebShop (Yao et al., 2022), exactly: a shop of searchable products and shoppers' instructions.
//!
//! May depend on `forethought-sdk` and plain libraries; never on the runtime or another plugin.

pub mod generated;
pub mod product;
pub mod search;
pub mod skill;

/// First line of the instructions: by it, readers of a prompt know which task it is about.
pub(crate) const INSTRUCTIONS_OPENING: &str = "You are shopping on WebShop.";
