//! Whether the needs of the configured components are met, and what their models cost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use forethought_api::{
    Error, Result,
    critic::Critic,
    error::Context,
    host::Host,
    llm::{LlmBackend, LlmCapabilities},
    planner::Requirements,
};
use serde_json::Value;

use crate::budget::prices::{self, Price};
use crate::config::{ComponentConfig, KeyPath};
use crate::host::{ROLES, RuntimeHost};
use crate::registry::ComponentOrigin;
use crate::run::needs::{self, Lookup};

impl RuntimeHost {
    /// Builds the environment, the planners of `seats` and all that these need, and checks that the needs are met.
    /// Gives all needs together, including those of critics and of the summariser.
    ///
    /// # Errors
    /// The first need that is not met.
    pub async fn check(&self, seats: &[String]) -> Result<Requirements> {
        let environment = self.environment().await?.spec().await?;
        let mut askers = Vec::new();
        for name in BTreeSet::from_iter(seats) {
            let needs = self.planner(name.clone()).await?.requires().await?;
            askers.push((vec!["planner".into(), name.clone()], needs));
        }
        if self.shared.config.summariser.is_some() {
            let needs = self.summariser().await?.requires().await?;
            askers.push((vec!["summariser".into()], needs));
        }
        // An environment says no needs: the models that it asks are those that it was built with.
        let llms = self.models_of(&["environment".into()]);
        if !llms.is_empty() {
            askers.push((vec!["environment".into()], Requirements { llms, ..Requirements::default() }));
        }
        Ok(needs::check(self, &environment, askers).await?.all)
    }

    /// The models that may answer for `name`, a role or a model's own name: each with the key that names it, and its
    /// capabilities.
    pub(crate) async fn targets(&self, name: &str) -> Result<Vec<(String, LlmCapabilities)>> {
        let names: BTreeSet<String> = match self.shared.config.roles.get(name) {
            Some(role) => role.targets().map(String::from).collect(),
            None => [name.to_string()].into(),
        };
        let mut targets = Vec::new();
        for name in names {
            let llm = self.component::<dyn LlmBackend>(&["llm", &name]).await?;
            targets.push((name.clone(), llm.capabilities().await.context(format!("[llm.{name}]"))?));
        }
        Ok(targets)
    }

    /// What every `[llm.<name>]` costs that may be asked on behalf of `names`, where that is known. A model that was
    /// built on another one costs nothing itself.
    ///
    /// # Errors
    /// If a model cannot be built.
    pub async fn prices(&self, names: &[String]) -> Result<BTreeMap<String, Option<Price>>> {
        let config = &self.shared.config;
        let mut prices = BTreeMap::new();
        let mut open = names.to_vec();
        while let Some(name) = open.pop() {
            for (llm, capabilities) in self.targets(&name).await? {
                if prices.contains_key(&llm) {
                    continue;
                }
                let ComponentConfig { kind, config: settings } = config.component("llm", &llm)?;
                let within = self.models_within(&llm);
                // Calls of a loaded plugin to another model are not recognised as part of its own.
                let linked = self.shared.registry.find("llm", kind)?.origin == ComponentOrigin::Linked;
                let price = if capabilities.free || (linked && !within.is_empty()) {
                    Some(Price::FREE)
                } else {
                    let provider = settings.get("provider").and_then(Value::as_str);
                    let price = prices::find(&config.prices, provider, &capabilities.model);
                    let longest = settings.get("max_tokens").and_then(Value::as_u64);
                    let longest = longest.map_or(u32::MAX, |tokens| tokens.try_into().unwrap_or(u32::MAX));
                    price.map(|price| Price {
                        max_output_tokens: price.max_output_tokens.min(longest),
                        ..price
                    })
                };
                prices.insert(llm, price);
                open.extend(within);
            }
        }
        Ok(prices)
    }

    /// The models and roles that `[llm.<name>]` was built on.
    fn models_within(&self, name: &str) -> Vec<String> {
        self.models_of(&["llm".into(), name.into()])
    }

    /// The models and roles that the component of a section was built on.
    fn models_of(&self, section: &[String]) -> Vec<String> {
        let dependencies = self.shared.dependencies.lock().unwrap_or_else(PoisonError::into_inner);
        let needs = dependencies.get(section).into_iter().flatten();
        needs.filter(|need| ["llm", ROLES].contains(&&*need[0])).map(|need| need[1].clone()).collect()
    }

    /// The first key that limits money.
    fn money_limit(&self) -> Option<KeyPath> {
        let config = &self.shared.config;
        let mut keys = vec![vec!["run", "max_usd"]];
        keys.extend(["per_episode", "per_decision"].map(|each| vec!["run", each, "max_usd"]));
        keys.extend(config.roles.keys().map(|role| vec![ROLES, role, "max_usd"]));
        let mut keys = keys.into_iter().map(|key| key.into_iter().map(String::from).collect::<KeyPath>());
        keys.find(|key| config.document().get(key).is_some())
    }
}

/// Components are looked up as when they are built, so that the host notes the dependency.
impl Lookup for RuntimeHost {
    async fn models(&self, asker: &[String], name: &str) -> Result<Vec<(String, LlmCapabilities)>> {
        self.owned_by(asker).llm(name.into()).await?;
        self.targets(name).await
    }
    async fn critic(&self, asker: &[String], name: &str) -> Result<Arc<dyn Critic>> {
        Host::critic(&self.owned_by(asker), name.into()).await
    }
    fn is_role(&self, name: &str) -> bool {
        self.shared.config.roles.contains_key(name)
    }
    fn summarises(&self) -> bool {
        self.shared.config.summariser.is_some()
    }
    fn limits_money(&self) -> bool {
        self.money_limit().is_some()
    }
    async fn prices(&self, names: &[String]) -> Result<BTreeMap<String, Option<Price>>> {
        self.prices(names).await
    }
    fn error(&self, asker: &[String], message: String) -> Error {
        Error::config(self.shared.config.document().at(asker, message))
    }
    async fn unknown_price(&self, llm: &str) -> Error {
        let model = match self.targets(llm).await {
            Ok(mut targets) => targets.swap_remove(0).1.model,
            Err(error) => return error,
        };
        let settings = self.shared.config.component("llm", llm).ok();
        let provider = settings.and_then(|settings| settings.config.get("provider")?.as_str());
        let name = provider.map_or(model.clone(), |provider| format!("{provider}/{model}"));
        let message = format!(
            "the price of `{model}` ([llm.{llm}]) is not known, and without it no limit on money can be enforced. Add, \
             from the provider's page (US dollars per million tokens, and the longest answer in tokens):\n\
             [prices.{name:?}]\ninput = ...\noutput = ...\nmax_output_tokens = ..."
        );
        self.error(&self.money_limit().unwrap_or_default(), message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::{host, refusal};

    #[tokio::test]
    async fn needs_are_checked_before_the_first_step() {
        let message = refusal("[planner.a]\nkind = \"echo\"\nllm = \"actor\"\nfork = true\n").await;
        assert!(message.contains("`corridor` cannot be copied"), "{message}");
        for (need, words) in [
            ("logprobs", "log-probabilities"),
            ("tools", "tool calls"),
            ("json_schema", "answers held to a JSON schema"),
        ] {
            let planner = format!("[planner.a]\nkind = \"echo\"\nllm = \"actor\"\n{need} = true\n");
            let message = refusal(&planner).await;
            let expected = format!(
                "forethought.toml:5: `planner.a`: needs {words}, and `parrot` ([llm.actor]) offers none; choose another \
                 model, or settings that need none"
            );
            assert!(message.ends_with(&expected), "{message}");
            let clever = "[llm.owl]\nkind = \"parrot\"\nclever = true\n";
            // Every model of a role must have what the role needs.
            let roles = "[roles]\nactor = { llm = \"owl\", judge = \"actor\" }\n";
            let message = refusal(&format!("{planner}{clever}{roles}")).await;
            assert!(
                message.contains("and `parrot` ([llm.actor]), one of the role `actor`, offers none"),
                "{message}"
            );
            let host = host(&format!("{planner}{clever}[roles]\nactor = \"owl\"\n"));
            host.check(&["a".into()]).await.unwrap();
        }
        let message = refusal("[planner.a]\nkind = \"echo\"\nllm = \"actor\"\n[seats]\nagnt = \"a\"\n").await;
        assert!(
            message.contains("`seats.agnt`: `corridor` has no such seat; the nearest is `agent`"),
            "{message}"
        );
    }

    #[tokio::test]
    async fn the_needs_of_an_inner_planner_are_its_own() {
        let clever = "[llm.owl]\nkind = \"parrot\"\nclever = true\n";
        let outer = |inner: &str| {
            format!(
                "{clever}[planner.a]\nkind = \"echo\"\nllm = \"actor\"\ninner = {{ kind = \"echo\", {inner} }}\n"
            )
        };
        let able = host(&outer("llm = \"owl\", json_schema = true"));
        let needs = able.check(&["a".into()]).await.unwrap();
        assert_eq!(needs.llms, ["actor", "owl"]);
        let place = "forethought.toml:11: `planner.a.inner";
        for (inner, expected) in [
            ("llm = \"actor\", json_schema = true", "`: needs answers held to a JSON schema"),
            ("llm = \"actor\", fork = true", "`: needs copies of the environment"),
            ("llm = \"owls\"", ".llm`: there is no [llm.owls]; the nearest is `owl`"),
            ("llm = \"owl\", inner = \"b\"", ".inner`: there is no [planner.b]"),
            ("llm = \"owl\", inner = \"a\"", ".inner`: these need each other in a circle"),
        ] {
            let message = refusal(&outer(inner)).await;
            assert!(message.contains(&format!("{place}{expected}")), "{message}");
        }
    }

    #[tokio::test]
    async fn a_limit_on_money_wants_every_price() {
        let planner = "[planner.a]\nkind = \"echo\"\nllm = \"gpt\"\n[run]\nmax_usd = 5\n";
        let gpt = "[llm.gpt]\nkind = \"parrot\"\nmodel = \"gpt-4o-mini\"\n";
        let message = refusal(&format!("{gpt}{planner}")).await;
        assert!(
            message.ends_with(
                "forethought.toml:12: `run.max_usd`: the price of `gpt-4o-mini` ([llm.gpt]) is not known, and without it \
                 no limit on money can be enforced. Add, from the provider's page (US dollars per million tokens, and the \
                 longest answer in tokens):\n[prices.\"gpt-4o-mini\"]\ninput = ...\noutput = ...\n\
                 max_output_tokens = ..."
            ),
            "{message}"
        );
        let price = async |toml: &str| {
            let host = host(&format!("{gpt}{toml}{planner}"));
            host.check(&["a".into()]).await.unwrap();
            host.prices(&["gpt".into()]).await.unwrap()["gpt"].unwrap()
        };
        assert_eq!(price("free = true\n").await, Price::FREE);
        assert_eq!(price("provider = \"openai\"\n").await.output, 0.6);
        let own = "[prices.\"gpt-4o-mini\"]\ninput = 1\noutput = 2.5\nmax_output_tokens = 100\n";
        assert_eq!(price(own).await, Price { input: 1.0, output: 2.5, max_output_tokens: 100 });

        // A model on top of another one costs nothing itself; the other one does.
        let phone = "[llm.phone]\nkind = \"phone\"\nnumber = \"gpt\"\n";
        let planner = planner.replace("\"gpt\"", "\"phone\"");
        let message = refusal(&format!("{gpt}{phone}{planner}")).await;
        assert!(message.contains("the price of `gpt-4o-mini` ([llm.gpt]) is not known"), "{message}");
        let host = host(&format!("{gpt}{own}{phone}{planner}"));
        host.check(&["a".into()]).await.unwrap();
        assert_eq!(host.prices(&["phone".into()]).await.unwrap()["phone"], Some(Price::FREE));
    }
}
