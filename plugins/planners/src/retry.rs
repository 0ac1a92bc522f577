//! The same planner once more, from another seed, where it gives nothing to act on: a [`Fallback`] to itself.

use std::iter::repeat_n;

use forethought_sdk::prelude::*;

use crate::{
    fallback::{Fallback, Trouble},
    inner::Inner,
};

/// Settings of a retry.
#[config]
#[derive(Debug, Clone)]
pub struct RetryConfig {
    /// The planner.
    pub inner: PlannerName,
    /// How often it is asked at most.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 1000))]
    pub attempts: usize,
    /// Why it is asked again.
    #[serde(default = "Trouble::all")]
    pub on: Vec<Trouble>,
}

fn two() -> usize {
    2
}

register! {
    interface: dyn Planner, kind: "retry", summary: "a planner once more, where it fails or cannot read an answer",
    config: RetryConfig,
    new: |config: RetryConfig, host: Arc<dyn Host>| async move {
        let inner = Inner::named(config.inner, &host).await?;
        Ok(Arc::new(Fallback::over(repeat_n(inner, config.attempts).collect(), config.on)?) as _)
    },
}
