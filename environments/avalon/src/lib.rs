//! Avalon: hidden roles, quests, talk and an assassination, exactly as AvalonBench plays it, and its usual options.
//!
//! May depend on `forethought-sdk` and plain libraries; never on the runtime or another plugin.
//!
//! Reading order: [`rules`] (the bare game), [`role`] and [`knowledge`] (who knows what), [`table`] (seat by seat),
//! [`grammar`] and [`observe`] (the table as text), [`environment`] (the table as an episode); then [`naive`]
//! (AvalonBench's bots) and [`verify`] (games that they played under AvalonBench).

pub mod behaviour;
pub mod environment;
pub mod grammar;
pub mod import;
pub mod knowledge;
pub mod metrics;
pub mod naive;
pub mod observe;
pub mod role;
pub mod rules;
pub mod seats;
pub mod table;
pub mod verify;
