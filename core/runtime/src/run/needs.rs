//! Checks before the first step: whether models, critics and environment can do what planners and summariser need, and
//! whether every price is known where money has a limit.
//!
//! A configuration is checked when it is read ([`RuntimeHost`](crate::host::RuntimeHost)), and a [`RunSpec`] that was
//! put together by hand when it is run. Both look components up in their own way ([`Lookup`]) and share the checks.
//!
//! [`RunSpec`]: crate::run::RunSpec

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use forethought_api::{
    Error, Result, critic::Critic, environment::EnvironmentSpec, error::Context, llm::LlmCapabilities,
    planner::Requirements,
};

use crate::{budget::prices::Price, run::copies::repeatable};

/// The section of a component, such as `["planner", "pnlc"]`.
pub(crate) type Section = Vec<String>;

/// Where components are looked up, and how messages name what is wrong.
pub(crate) trait Lookup: Sync {
    /// The models that may answer `asker` for `name`: the name of each, and what it can do.
    fn models(
        &self,
        asker: &[String],
        name: &str,
    ) -> impl Future<Output = Result<Vec<(String, LlmCapabilities)>>> + Send;
    /// The critic that `asker` calls `name`.
    fn critic(&self, asker: &[String], name: &str) -> impl Future<Output = Result<Arc<dyn Critic>>> + Send;
    /// Whether `name` is a role, whose models have their own names.
    fn is_role(&self, name: &str) -> bool;
    /// Whether there is a summariser.
    fn summarises(&self) -> bool;
    /// Whether money has a limit.
    fn limits_money(&self) -> bool;
    /// What every model costs that may be asked on behalf of `names`, where that is known.
    fn prices(
        &self,
        names: &[String],
    ) -> impl Future<Output = Result<BTreeMap<String, Option<Price>>>> + Send;
    /// An error about `asker`.
    fn error(&self, asker: &[String], message: String) -> Error;
    /// The error that the price of `[llm.<llm>]` is not known.
    fn unknown_price(&self, llm: &str) -> impl Future<Output = Error> + Send;
}

/// What is needed.
pub(crate) struct Needs {
    /// Everything together, the needs of critics included.
    pub(crate) all: Requirements,
    /// The critics, and what each of them needs.
    pub(crate) critics: BTreeMap<String, (Arc<dyn Critic>, Requirements)>,
}

/// Checks what `askers` need, and what the critics among it need in turn.
///
/// # Errors
/// The first need that is not met.
pub(crate) async fn check(
    lookup: &impl Lookup,
    environment: &EnvironmentSpec,
    askers: impl IntoIterator<Item = (Section, Requirements)>,
) -> Result<Needs> {
    let mut needs = Needs { all: Requirements::default(), critics: BTreeMap::new() };
    let mut open = VecDeque::from_iter(askers);
    while let Some((asker, mut own)) = open.pop_front() {
        // Those within come first, because their names are among this one's own: errors are then about the right one.
        let inner = std::mem::take(&mut own.planners);
        if !inner.is_empty() {
            open.push_front((asker, own));
            inner.into_iter().rev().for_each(|(name, theirs)| {
                open.push_front((vec!["planner".into(), name], theirs));
            });
            continue;
        }
        for name in &own.llms {
            for (llm, capabilities) in lookup.models(&asker, name).await? {
                if let Some(lack) = own.unmet(&capabilities) {
                    let role = match lookup.is_role(name) {
                        true => format!(", one of the role `{name}`,"),
                        false => String::new(),
                    };
                    let message = format!(
                        "needs {lack}, and `{}` ([llm.{llm}]){role} offers none; choose another model, or settings that \
                         need none",
                        capabilities.model
                    );
                    return Err(lookup.error(&asker, message));
                }
            }
        }
        if own.summariser && !lookup.summarises() {
            let message =
                "needs a summariser; add [summariser] with llm = \"...\", the name of a language model";
            return Err(lookup.error(&asker, message.into()));
        }
        if own.fork && !environment.fork && !repeatable(environment) {
            let message = format!(
                "needs copies of the environment, and `{}` cannot be copied, nor repeated up to a step (one seat, and recovery = \"replay\"); choose \
                 another planner",
                environment.name
            );
            return Err(lookup.error(&asker, message));
        }
        for name in &own.critics {
            // Also a known one: a configuration notes who needs it.
            let critic = lookup.critic(&asker, name).await?;
            if !needs.critics.contains_key(name) {
                let theirs = critic.requires().await.context(format!("[critic.{name}]"))?;
                open.push_back((vec!["critic".into(), name.clone()], theirs.clone()));
                needs.critics.insert(name.clone(), (critic, theirs));
            }
        }
        needs.all = needs.all.and(own);
    }
    if lookup.limits_money() {
        let prices = lookup.prices(&needs.all.llms).await?;
        if let Some((llm, _)) = prices.iter().find(|(_, price)| price.is_none()) {
            return Err(lookup.unknown_price(llm).await);
        }
    }
    Ok(needs)
}
