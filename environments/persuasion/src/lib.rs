//! Dialogues of two parties: an agent persuades a donor to give to Save the Children; by configuration, others.
//!
//! May depend on `forethought-sdk` and plain libraries; never on the runtime or another plugin.
//!
//! # Reading order
//! [`script`] (what is configured), [`dialogue`] (the game), [`observe`] (what seats are shown), [`environment`];
//! [`donation`] and [`bargain`] read what binds; [`donor`], [`persona`] and [`haggler`] take the second seat;
//! [`behaviour`] is for the simulated LLM, [`import`] reads real dialogues.

pub mod bargain;
pub mod behaviour;
pub mod dialogue;
pub mod donation;
pub mod donor;
pub mod environment;
pub mod haggler;
pub mod import;
pub mod observe;
pub mod persona;
pub mod script;
