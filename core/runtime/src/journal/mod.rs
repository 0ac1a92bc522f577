//! What came from outside, written down before it is used: effects, the durable execution of each, the store they are
//! kept in, and the meter that money passes.

pub mod durable;
pub mod effects;
pub mod key;
pub mod meter;
pub mod store;
