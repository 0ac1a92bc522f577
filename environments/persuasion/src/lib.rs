//! Dialogues of two parties: an agent persuades a donor to give to Save the Children; by configuration, others.
//!
//! May depend on `forethought-sdk` and plain libraries; never on the runtime or another plugin.
//!
//! # Reading order
//! [`script`] (what is configured), [`dialogue`] (the game), [`observe`] (what seats are told), [`environment`];
//! [`donation`] and [`bargain`] read what binds.

pub mod bargain;
pub mod dialogue;
pub mod donation;
pub mod environment;
pub mod observe;
pub mod script;
