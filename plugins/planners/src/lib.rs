//! Planners, one file each: they choose the actions of a seat by asking language models.
//!
//! May depend on `forethought-sdk` and a template engine; knows no environment, no backend and no critic by name.
//!
//! # Reading order
//! [`act`] and [`react`] (the simplest whole planners), [`pnlc`] (the method that this project exists for), `deliberate` and
//! `weigh` (how it decides), [`imagine`] (the same without a critic), [`summarise`] (what critics see of a history),
//! [`strategist`] (search over hidden roles), [`gdp_zero`] (search over dialogue acts), [`ppdpp`] (a trained policy
//! over them), [`random`] (the baseline).
//!
//! Choosing among a model's own proposals: [`self_consistency`], [`grounded_decoding`] and [`saycan`] with `likelihood`
//! (what the model would do, times what critics say), [`read`] (proposing until a critic's advantage is high),
//! [`plangen`] (choosing a planner by what a verifier says), [`dots`] (choosing how to reason).
//!
//! Following a plan over several decisions, with `plan` (how it is kept): [`replan`], [`spine`], [`octo`] and
//! [`when2ask`] (two models), [`tree_planner`] and [`cpl`] (a search over plans). [`self_plan`] is PNLC with the model as its own critic.
//!
//! Searches: [`search`] (what they share), [`lats`], [`agent_q`] and [`q_star`] in copies of the world, [`rap`] and
//! [`rafa`] in what the model predicts, [`tree_of_thoughts`] among thoughts.
//!
//! Planners over planners: [`inner`] (what they share), [`vote`], [`best_of_n`] and `score` (a critic selects),
//! [`fallback`] and [`retry`], [`switch`], [`budgeted`] and [`cached`] with `around` (between planner and models),
//! [`reflexion`] (trials in copies of the world).
//! What all of them do about a budget is in [`allowance`].
//!
//! Below them [`prompts`] (templates) and [`ask`] (asking, in any form of answer, and once more if it could not be
//! read).

pub mod act;
pub mod agent_q;
pub mod allowance;
mod around;
pub mod ask;
pub mod best_of_n;
pub mod budgeted;
pub mod cached;
pub mod cpl;
pub mod deliberate;
pub mod dots;
pub mod fallback;
pub mod gdp_zero;
pub mod grounded_decoding;
pub mod imagine;
pub mod inner;
pub mod lats;
mod likelihood;
pub mod observe;
pub mod octo;
mod plan;
pub mod plangen;
pub mod pnlc;
pub mod ppdpp;
pub mod prompts;
pub mod q_star;
pub mod rafa;
pub mod random;
pub mod rap;
pub mod react;
pub mod read;
pub mod reflexion;
pub mod replan;
pub mod retry;
pub mod saycan;
mod score;
pub mod search;
pub mod self_consistency;
pub mod self_plan;
pub mod spine;
pub mod strategist;
pub mod summarise;
pub mod switch;
mod toolbox;
pub mod tree_of_thoughts;
pub mod tree_planner;
pub mod vote;
mod weigh;
pub mod when2ask;
