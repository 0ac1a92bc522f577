//! Planners, one file each: they choose the actions of a seat by asking language models.
//!
//! May depend on `forethought-sdk` and a template engine; knows no environment, no backend and no critic by name.
//!
//! # Reading order
//! [`react`] (the simplest whole planner), [`pnlc`] (the method that this project exists for), `deliberate` and
//! `weigh` (how it decides), [`imagine`] (the same without a critic), [`summarise`] (what critics see of a history),
//! [`strategist`] (search over hidden roles), [`gdp_zero`] (search over dialogue acts), [`ppdpp`] (a trained policy
//! over them), [`random`] (the baseline).
//!
//! Planners over planners: [`inner`] (what they share), [`vote`], [`best_of_n`] and `score` (a critic selects),
//! [`fallback`] and [`retry`], [`switch`], [`budgeted`] and [`cached`] with `around` (between planner and models).
//!
//! Below them [`prompts`] (templates) and [`ask`] (asking, in any form of answer, and once more if it could not be
//! read).

mod around;
pub mod ask;
pub mod best_of_n;
pub mod budgeted;
pub mod cached;
pub mod deliberate;
pub mod fallback;
pub mod gdp_zero;
pub mod imagine;
pub mod inner;
pub mod octo;
mod plan;
pub mod pnlc;
pub mod ppdpp;
pub mod prompts;
pub mod random;
pub mod react;
pub mod reflexion;
pub mod replan;
pub mod retry;
mod score;
pub mod self_plan;
pub mod spine;
pub mod strategist;
pub mod summarise;
pub mod switch;
pub mod tree_planner;
pub mod vote;
mod weigh;
pub mod when2ask;
