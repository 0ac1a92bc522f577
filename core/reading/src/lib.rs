//! Reading runs: a report to share, and a viewer in the browser that shows why.
//!
//! Both are pages of plain HTML, made from a run's folder by templates that are compiled in; every text of a model, a
//! world or a file is escaped. It may depend on `forethought-api` and `forethought-runtime`, and on no plugin or
//! environment: how a world's page is drawn depends on the shape of its data, never on its name.
//!
//! # Reading order
//! [`played`] (a run that was read back), `story` (an episode as something to read) with `world` (what a seat saw),
//! [`report`] with `tally` (what it adds up) and [`svg`], [`tables`] (decisions for data tools), `index` (a run's
//! episodes without holding them), [`web`] (the viewer).

mod index;
mod pages;
pub mod played;
pub mod report;
mod story;
pub mod svg;
pub mod tables;
mod tally;
pub mod text;
pub mod web;
mod world;
