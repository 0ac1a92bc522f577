//! Rules for critics: one estimate per query, each a probability, independent of the rest of the batch.

use std::sync::Arc;

use forethought_api::critic::{Critic, CriticQuery, Estimate};

use crate::{
    common::Work,
    planner::requirements_kept,
    stand_in::llm::Mood,
    trial::{Fault, Rule, Trial, Verdict, ensure},
};

const COUNT: Rule = Rule {
    id: "critic/count",
    says: "it gives one estimate per query",
    fix: "answer every query, including duplicates and empty ones; one half where nothing is known",
    needs: &["common/answered"],
};
const RANGE: Rule = Rule {
    id: "critic/range",
    says: "probabilities and distances are in [0, 1], raw values are finite, uncertainties are finite and not negative",
    fix: "clamp after calibration, and look for a division or logarithm that gives NaN or infinity",
    needs: &["common/answered"],
};
const DETERMINISTIC: Rule = Rule {
    id: "critic/deterministic",
    says: "the same query gives the same estimate",
    fix: "switch off dropout and draw nothing at random; derive seeds for models from the query",
    needs: &["common/answered", "critic/count"],
};
const BATCH: Rule = Rule {
    id: "critic/batch",
    says: "an estimate depends only on its query, and estimates are in the order of the queries",
    fix: "use one shape for every forward pass, normalise nothing over the batch, and keep the order of the queries",
    needs: &["common/answered", "critic/count", "critic/deterministic"],
};
const EMPTY: Rule = Rule {
    id: "critic/empty",
    says: "an empty batch gives no estimates",
    fix: "return early on an empty batch",
    needs: &[],
};
const REQUIREMENTS: Rule = Rule {
    id: "critic/requirements",
    says: "it uses only models that it declares",
    fix: "name every model that `estimate_with` uses in `requires`",
    needs: &["common/answered"],
};

pub(crate) const RULES: &[&Rule] = &[&COUNT, &RANGE, &DETERMINISTIC, &BATCH, &EMPTY, &REQUIREMENTS];

type Subject = Arc<dyn Critic>;

fn queries() -> Vec<CriticQuery> {
    let thoughts = ["go east", "go west and rest a while"];
    let outcomes = ["the treasure is found", "nothing is gained", ""];
    let query = |state: &str, thought: &str, outcome: &str| CriticQuery {
        state: state.into(),
        thought: thought.into(),
        outcome: outcome.into(),
    };
    let mut queries: Vec<_> = thoughts
        .iter()
        .flat_map(|thought| {
            outcomes.iter().map(|outcome| query("at the corner of a field", thought, outcome))
        })
        .collect();
    queries.push(query("", "", ""));
    queries.push(queries[0].clone());
    queries
}

pub(crate) async fn check(trial: &Trial<'_>, critic: Subject) -> Option<Work> {
    let estimates = trial.gather(estimate(trial, &critic, queries())).await?;
    trial.rule(&COUNT, count(&estimates)).await;
    trial.rule(&RANGE, range(&estimates)).await;
    trial.rule(&DETERMINISTIC, deterministic(trial, &critic, &estimates)).await;
    trial.rule(&BATCH, batch(trial, &critic, &estimates)).await;
    trial.rule(&EMPTY, empty(trial, &critic)).await;
    trial.rule(&REQUIREMENTS, requirements(trial, &critic)).await;
    let stand_ins = trial.stand_ins.clone();
    Some(Work::new(move |n| {
        let (critic, models) = (critic.clone(), stand_ins.models(Mood::Friendly, None));
        async move {
            let mut queries = queries();
            queries[0].state = format!("state {}", n % 100);
            Ok(format!("{:?}", critic.estimate_with(queries, models).await?))
        }
    }))
}

async fn estimate(
    trial: &Trial<'_>,
    critic: &Subject,
    queries: Vec<CriticQuery>,
) -> Result<Vec<Estimate>, Fault> {
    let models = trial.stand_ins.models(Mood::Friendly, None);
    trial.call(format!("estimate({} queries)", queries.len()), critic.estimate_with(queries, models)).await
}

async fn count(estimates: &[Estimate]) -> Verdict {
    ensure!(estimates.len() == queries().len(), "{} queries, {} estimates", queries().len(), estimates.len());
    Ok(())
}

async fn range(estimates: &[Estimate]) -> Verdict {
    for (query, estimate) in queries().iter().zip(estimates) {
        let fine = (0.0..=1.0).contains(&estimate.probability)
            && estimate.raw.is_finite()
            && estimate.uncertainty.is_finite()
            && estimate.uncertainty >= 0.0
            && estimate.distance.is_none_or(|share| (0.0..=1.0).contains(&share));
        ensure!(fine, "the estimate for {query:?} is {estimate:?}");
    }
    Ok(())
}

/// Equal except for the last digits.
fn near(a: &Estimate, b: &Estimate) -> bool {
    let pairs = [(a.probability, b.probability), (a.raw, b.raw), (a.uncertainty, b.uncertainty)];
    pairs.iter().all(|(a, b)| (a - b).abs() <= 1e-6 * (1.0 + b.abs()) || a.to_bits() == b.to_bits())
}

async fn deterministic(trial: &Trial<'_>, critic: &Subject, estimates: &[Estimate]) -> Verdict {
    let again = estimate(trial, critic, queries()).await?;
    for ((query, first), second) in queries().iter().zip(estimates).zip(&again) {
        ensure!(near(first, second), "{query:?}: first {first:?}, then {second:?}");
    }
    Ok(())
}

async fn batch(trial: &Trial<'_>, critic: &Subject, estimates: &[Estimate]) -> Verdict {
    let mut backwards = estimate(trial, critic, queries().into_iter().rev().collect()).await?;
    backwards.reverse();
    for (index, (query, together)) in queries().into_iter().zip(estimates).enumerate() {
        let alone = estimate(trial, critic, vec![query.clone()]).await?;
        ensure!(alone.len() == 1, "one query, {} estimates", alone.len());
        ensure!(near(&alone[0], together), "{query:?}: alone {:?}, in a batch {together:?}", alone[0]);
        let other = backwards.get(index).copied().unwrap_or_default();
        ensure!(near(&other, together), "{query:?}: {together:?}, and {other:?} when the batch is reversed");
    }
    Ok(())
}

async fn empty(trial: &Trial<'_>, critic: &Subject) -> Verdict {
    let models = trial.stand_ins.models(Mood::Friendly, None);
    match trial.attempt(critic.estimate_with(Vec::new(), models)).await {
        Ok(estimates) => ensure!(estimates.is_empty(), "an empty batch gave {} estimates", estimates.len()),
        Err(failure) => ensure!(false, "estimate(no queries) {failure}"),
    }
    Ok(())
}

async fn requirements(trial: &Trial<'_>, critic: &Subject) -> Verdict {
    let declared = trial.call("requires", critic.requires()).await?;
    let models = trial.stand_ins.models(Mood::Friendly, None);
    trial.call("estimate_with", critic.estimate_with(queries(), models.clone())).await?;
    requirements_kept(&declared, &models.asked())
}
