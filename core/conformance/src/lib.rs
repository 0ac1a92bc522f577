//! The checks that every component must pass, for plugin authors and for this project.
//!
//! The kit sees components only through their interfaces, as the program does, so the same rules apply to a component
//! that is linked in, loaded from a library or running in another process. The kit's own stand-ins provide what a
//! component needs during the check (models, critics, encoders, a world to act in). It may depend on `forethought-api`
//! and on no implementation.
//!
//! An author's test is one line, plus one that links the component into the test:
//! ```no_run
//! # /*
//! use tide_pools as _;
//! # */
//!
//! #[test]
//! fn the_environment_conforms() {
//!     forethought_conformance::assert_conforms("environment", "tide-pools", serde_json::json!({}));
//! }
//! ```
//!
//! # Reading order
//! [`Subject`] (what is checked), [`Options`], [`Report`]; then one file of rules per interface, such as `environment`,
//! and `common` for the rules of all; below them `trial` (how a rule is run) and `stand_in`.

mod behaviour;
mod common;
mod config;
mod critic;
mod encoder;
mod environment;
mod files;
mod llm;
mod options;
mod planner;
mod report;
mod schema;
mod stand_in;
mod subject;
mod summariser;
mod trainer;
mod trial;

use forethought_api::registry::Component;
use serde_json::Value;

use self::{common::Work, trial::Trial};
pub use self::{
    common::resident,
    options::Options,
    report::{Checked, Finding, Outcome, Report},
    subject::{Factory, Subject},
    trial::Rule,
};

/// Checks a component against every rule for its interface. Never fails: problems are in the report.
///
/// Needs a tokio runtime with timers; with several threads, calls run in parallel.
pub async fn check(subject: &Subject, options: &Options) -> Report {
    let mut trial = Trial::new(subject, options);
    if let Some(component) = config::check(&mut trial).await {
        let work = by_interface(&trial, component).await;
        common::check(&trial, work).await;
    }
    trial.report()
}

/// Checks the rules of the component's own interface; returns the work that the common rules repeat.
async fn by_interface(trial: &Trial<'_>, component: Component) -> Option<Work> {
    match component {
        Component::Environment(world) => environment::check(trial, world).await,
        Component::Llm(llm) => llm::check(trial, llm).await,
        Component::Encoder(encoder) => encoder::check(trial, encoder).await,
        Component::Critic(critic) => critic::check(trial, critic).await,
        Component::Trainer(trainer) => trainer::check(trial, trainer).await,
        Component::Planner(planner) => planner::check(trial, planner).await,
        Component::Summariser(summariser) => summariser::check(trial, summariser).await,
        Component::Behaviour(behaviour) => behaviour::check(trial, behaviour).await,
        Component::Importer(importer) => files::check_importer(trial, importer).await,
        Component::Verifier(verifier) => files::check_verifier(trial, verifier).await,
        _ => None,
    }
}

/// Every rule of the kit.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    let own = [config::RULES, environment::RULES, llm::RULES, encoder::RULES, critic::RULES, trainer::RULES];
    let rest = [planner::RULES, summariser::RULES, behaviour::RULES, files::RULES, common::RULES];
    own.into_iter().chain(rest).flatten().copied()
}

/// Checks the linked component for `[<word>.<name>] kind = "<kind>"`, with these settings.
///
/// # Panics
/// If a rule is broken, with every finding; if no such component is linked, or it cannot be built.
pub fn assert_conforms(word: &str, kind: &str, config: Value) {
    let subject = Subject::linked(word, kind).unwrap_or_else(|error| panic!("{error}"));
    let Value::Object(config) = config else {
        panic!("the configuration must be a JSON object, not {config}")
    };
    let options = Options { config, ..Options::default() };
    let runtime = tokio::runtime::Runtime::new().expect("a tokio runtime");
    let report = runtime.block_on(check(&subject, &options));
    let built = report
        .checked
        .iter()
        .all(|checked| checked.rule != config::BUILDS.id || checked.outcome == Outcome::Passed);
    assert!(report.passed() && built, "{report}");
}
