//! A critic of several others: the mean of their estimates, and their spread as uncertainty.
//!
//! It may depend on the sdk only. Members are critics of the same configuration, by their names: of other kinds, or of
//! one kind trained with other seeds:
//!
//! ```sh
//! for seed in 1 2 3; do forethought train my.toml --set seed=$seed --data data --out critic-$seed; done
//! ```
//! ```toml
//! [critic.one]
//! kind = "goal-q"
//! model = "critic-1"
//! encoder = "hash"
//! # ... two, three
//!
//! [critic.all]
//! kind = "ensemble"
//! members = ["one", "two", "three"]
//! ```

use std::collections::HashSet;

use forethought_sdk::prelude::*;

/// Asks several critics.
#[config]
#[derive(Debug, Clone)]
pub struct EnsembleConfig {
    /// Names of the members, as in `[critic.<name>]`.
    #[schemars(with = "Vec<CriticName>", length(min = 1, max = 100))]
    pub members: Vec<String>,
    /// How much each member counts, in the same order; by default, all count the same.
    #[serde(default)]
    pub weights: Option<Vec<f64>>,
}

/// The ensemble.
pub struct Ensemble {
    members: Vec<Member>,
    /// The card that all members share, if they do.
    card: StyleCard,
    shared: bool,
}

struct Member {
    name: String,
    critic: Arc<dyn Critic>,
    /// Its share; the shares sum to 1.
    share: f64,
}

impl Ensemble {
    /// An ensemble of these settings; `host` gives the members.
    ///
    /// # Errors
    /// No member, a member that is named twice or does not exist, or weights that do not fit.
    pub async fn new(config: EnsembleConfig, host: &dyn Host) -> Result<Self> {
        let EnsembleConfig { members: names, weights } = config;
        let mut seen = HashSet::new();
        let bad = |why: String| Err(Error::config(format!("critic ensemble: {why}")));
        if names.is_empty() {
            return bad("members: name at least one critic, as in [critic.NAME]".into());
        }
        if let Some(twice) = names.iter().find(|name| !seen.insert(name.as_str())) {
            return bad(format!("members: {twice:?} is named twice; use `weights` to let it count more"));
        }
        let weights = weights.unwrap_or_else(|| vec![1.0; names.len()]);
        let sum: f64 = weights.iter().sum();
        if weights.len() != names.len()
            || !weights.iter().all(|one| *one >= 0.0)
            || !(sum > 0.0 && sum.is_finite())
        {
            let (given, wanted) = (weights.len(), names.len());
            return bad(format!(
                "weights: {given} numbers for {wanted} members; there must be one for each, 0 or more, and not all 0"
            ));
        }
        let mut members = Vec::new();
        let mut cards = Vec::new();
        for (name, weight) in names.into_iter().zip(weights) {
            let critic =
                host.critic(name.clone()).await.context(format!("critic ensemble: member {name:?}"))?;
            cards.push(critic.style_card().await?);
            members.push(Member { name, critic, share: weight / sum });
        }
        let shared = cards.windows(2).all(|pair| pair[0].outcomes == pair[1].outcomes);
        // Which words a planner should use is a question with one answer: the first member's that has some.
        let card = cards.into_iter().find(|card| *card != StyleCard::default()).unwrap_or_default();
        Ok(Self { members, card, shared })
    }

    /// The estimate that several members' make.
    fn join(&self, estimates: &[Estimate]) -> Estimate {
        // Who has no data on a question has no say in it.
        let says = |one: &&(&Member, &Estimate)| !one.1.outside && one.0.share > 0.0;
        let all: Vec<(&Member, &Estimate)> = self.members.iter().zip(estimates).collect();
        let mut inside: Vec<&(&Member, &Estimate)> = all.iter().filter(says).collect();
        let outside = inside.is_empty();
        if outside {
            inside = all.iter().collect();
        }
        let total: f64 = inside.iter().map(|one| one.0.share).sum();
        let mean = |value: fn(&Estimate) -> f64| {
            inside.iter().map(|(member, one)| member.share * value(one)).sum::<f64>() / total
        };
        let probability = mean(|one| one.probability).clamp(0.0, 1.0);
        // The variance of a mixture: that of the members' probabilities, and the mean of their own.
        let between = mean(|one| one.probability * one.probability) - probability * probability;
        let own = mean(|one| one.uncertainty * one.uncertainty);
        let alike = estimates.windows(2).all(|pair| pair[0].known == pair[1].known);
        let first = estimates.first().and_then(|one| one.known);
        Estimate {
            probability,
            raw: mean(|one| one.raw),
            uncertainty: (between.max(0.0) + own).sqrt(),
            distance: estimates.iter().filter_map(|one| one.distance).reduce(f64::max),
            known: first.filter(|_| alike && self.shared),
            outside,
        }
    }

    fn joined(&self, queries: usize, answers: &[Vec<Estimate>]) -> Result<Vec<Estimate>> {
        for (member, answers) in self.members.iter().zip(answers) {
            if answers.len() != queries {
                let (name, given) = (&member.name, answers.len());
                let what =
                    format!("the member {name:?} of an ensemble answered {given} of {queries} queries");
                return Err(Error::new(Code::Plugin, what));
            }
        }
        let of = |at: usize| answers.iter().map(|answers| answers[at]).collect::<Vec<_>>();
        Ok((0..queries).map(|at| self.join(&of(at))).collect())
    }
}

#[async_trait]
impl Critic for Ensemble {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        let mut answers = Vec::new();
        for member in &self.members {
            answers.push(member.critic.estimate(queries.clone()).await.context(member.name.clone())?);
        }
        self.joined(queries.len(), &answers)
    }
    async fn style_card(&self) -> Result<StyleCard> {
        Ok(self.card.clone())
    }
    async fn requires(&self) -> Result<Requirements> {
        let mut all = Requirements::default();
        for member in &self.members {
            all = all.and(member.critic.requires().await?);
        }
        Ok(all)
    }
    async fn estimate_with(
        &self,
        queries: Vec<CriticQuery>,
        models: Arc<dyn Models>,
    ) -> Result<Vec<Estimate>> {
        let mut answers = Vec::new();
        for member in &self.members {
            let estimates = member.critic.estimate_with(queries.clone(), models.clone()).await;
            answers.push(estimates.context(member.name.clone())?);
        }
        self.joined(queries.len(), &answers)
    }
    /// What each member says, and the evidence of those that give some.
    async fn explain(&self, query: CriticQuery) -> Result<Explanation> {
        let mut said = Vec::new();
        let mut evidence = Vec::new();
        for Member { name, critic, share } in &self.members {
            let estimate = critic.estimate(vec![query.clone()]).await?;
            let value = estimate.first().map_or(f64::NAN, |one| one.probability);
            let own = critic.explain(query.clone()).await?;
            let why = if own.text.is_empty() { String::new() } else { format!(" ({})", own.text) };
            said.push(format!("{name}: {value:.3}{why}"));
            evidence
                .extend(own.evidence.into_iter().map(|one| Evidence { weight: share * one.weight, ..one }));
        }
        evidence.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        Ok(Explanation { text: said.join("; "), evidence })
    }
}

register! {
    interface: dyn Critic, kind: "ensemble", summary: "the mean of several critics, and their spread as uncertainty",
    config: EnsembleConfig,
    new: |config, host: Arc<dyn Host>| async move { Ok(Arc::new(Ensemble::new(config, &*host).await?) as _) },
}

#[cfg(test)]
mod tests {
    use forethought_sdk::serde_json::{Value, from_value, json};
    use futures::executor::block_on;

    use super::*;

    struct Says(Estimate);

    #[async_trait]
    impl Critic for Says {
        async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
            Ok(vec![self.0; queries.len()])
        }
    }

    /// A world with three critics.
    struct World;

    #[async_trait]
    impl Host for World {
        async fn critic(&self, name: String) -> Result<Arc<dyn Critic>> {
            Ok(Arc::new(Says(match name.as_str() {
                "low" => Estimate { distance: Some(0.5), ..Estimate::of(0.2) },
                "high" => Estimate { uncertainty: 0.1, distance: Some(0.9), ..Estimate::of(0.6) },
                "lost" => Estimate { outside: true, ..Estimate::of(1.0) },
                other => return Err(Error::not_found(other)),
            })))
        }
    }

    fn ask(config: Value) -> Result<Estimate> {
        let ensemble = block_on(Ensemble::new(from_value(config).unwrap(), &World))?;
        Ok(block_on(ensemble.estimate(vec![CriticQuery::default()]))?[0])
    }

    #[test]
    fn the_mean_is_stated_and_the_spread_is_its_uncertainty() {
        let both = ask(json!({ "members": ["low", "high"] })).unwrap();
        assert!((both.probability - 0.4).abs() < 1e-12 && both.distance == Some(0.9), "{both:?}");
        // Half of their distance, and the half of the variance that one of them states.
        assert!((both.uncertainty - (0.04_f64 + 0.005).sqrt()).abs() < 1e-12, "{both:?}");
        let weighed = ask(json!({ "members": ["low", "high"], "weights": [3, 1] })).unwrap();
        assert!((weighed.probability - 0.3).abs() < 1e-12);
    }

    #[test]
    fn members_without_data_have_no_say() {
        assert_eq!(ask(json!({ "members": ["lost", "low"] })).unwrap().probability, 0.2);
        assert!(ask(json!({ "members": ["lost"] })).unwrap().outside);
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for (config, why) in [
            (json!({ "members": [] }), "at least one"),
            (json!({ "members": ["low", "low"] }), "named twice"),
            (json!({ "members": ["low"], "weights": [1, 2] }), "2 numbers for 1 members"),
            (json!({ "members": ["low"], "weights": [0] }), "not all 0"),
            (json!({ "members": ["nobody"] }), "member \"nobody\""),
        ] {
            let error = ask(config).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
