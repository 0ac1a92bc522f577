//! What comes from outside is recorded before it is used: effects, their durable execution, the store, and the meter of
//! spending.

pub mod durable;
pub mod effects;
pub mod key;
pub mod meter;
pub(crate) mod pack;
pub mod reading;
pub mod store;
