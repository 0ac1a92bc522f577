//! Plugins from outside: how they are found, looked at, loaded, kept in check, and spoken to.

pub mod guard;
pub mod library;
mod pipe;
pub mod process;
pub mod serve;
