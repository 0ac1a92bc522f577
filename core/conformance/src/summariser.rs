//! Rules for summarisers: the same history always gives the same words, in training data and in use.

use std::sync::Arc;

use forethought_api::planner::{DecisionContext, Requirements, Summariser, Summary};

use crate::{
    common::Work,
    planner::{Situation, requirements_kept, situations},
    stand_in::llm::Mood,
    trial::{Failure, Fault, Rule, Trial, Verdict, ensure},
};

const SAME_WORDS: Rule = Rule {
    id: "summariser/same-words",
    says: "the same history gives the same words, regardless of other summaries in between",
    fix: "derive the seed of every request from `context.seed`, and keep no state between calls",
    needs: &["common/answered"],
};
const FILLED: Rule = Rule {
    id: "summariser/filled",
    says: "a summary has a state, during an episode and at its end, and an outcome always or never",
    fix: "fall back on the last observation if no answer can be parsed; at the end `legal_actions` is empty",
    needs: &["common/answered"],
};
const REQUIREMENTS: Rule = Rule {
    id: "summariser/requirements",
    says: "it uses only models that it declares",
    fix: "name every model that `summarise` uses in `requires`",
    needs: &["common/answered"],
};
const BOUNDED: Rule = Rule {
    id: "summariser/bounded",
    says: "every summary ends, even with a model that gives unreadable answers",
    fix: "limit retries, and continue with what there is when the limit is reached",
    needs: &["common/answered"],
};

pub(crate) const RULES: &[&Rule] = &[&SAME_WORDS, &FILLED, &REQUIREMENTS, &BOUNDED];

pub(crate) async fn check(trial: &Trial<'_>, summariser: Arc<dyn Summariser>) -> Option<Work> {
    let declared = trial.gather(trial.call("requires", summariser.requires())).await?;
    let situations = trial.gather(trial.call("situations", situations(trial))).await?;
    let contexts: Arc<[_]> = situations.into_iter().flat_map(both).collect();
    trial.rule(&SAME_WORDS, same_words(trial, &summariser, &contexts)).await;
    trial.rule(&FILLED, filled(trial, &summariser, &contexts)).await;
    trial.rule(&REQUIREMENTS, requirements(trial, &summariser, &declared, &contexts)).await;
    trial.rule(&BOUNDED, bounded(trial, &summariser, &contexts)).await;
    let stand_ins = trial.stand_ins.clone();
    Some(Work::new(move |n| {
        let summariser = summariser.clone();
        let context = contexts[n as usize % contexts.len()].clone();
        let models = stand_ins.models(Mood::Friendly, None);
        async move { Ok(format!("{:?}", summariser.summarise(context, models).await?)) }
    }))
}

/// A context as it is, and as if the episode had ended there.
fn both(situation: Situation) -> [DecisionContext; 2] {
    let mut ended = situation.context.clone();
    ended.ended = true;
    ended.turn.legal_actions.clear();
    [situation.context, ended]
}

async fn summarise(
    trial: &Trial<'_>,
    summariser: &Arc<dyn Summariser>,
    context: &DecisionContext,
) -> Result<Summary, Fault> {
    let models = trial.stand_ins.models(Mood::Friendly, None);
    trial.call("summarise", summariser.summarise(context.clone(), models)).await
}

async fn same_words(
    trial: &Trial<'_>,
    summariser: &Arc<dyn Summariser>,
    contexts: &[DecisionContext],
) -> Verdict {
    let mut first = Vec::new();
    for context in contexts {
        first.push(summarise(trial, summariser, context).await?);
    }
    for (context, before) in contexts.iter().zip(&first).rev() {
        let now = summarise(trial, summariser, context).await?;
        ensure!(now == *before, "at step {}: first {before:?}, then {now:?}", context.step);
    }
    Ok(())
}

async fn filled(
    trial: &Trial<'_>,
    summariser: &Arc<dyn Summariser>,
    contexts: &[DecisionContext],
) -> Verdict {
    let mut concludes = None;
    for context in contexts {
        let summary = summarise(trial, summariser, context).await?;
        let outcome = !summary.outcome.trim().is_empty();
        let said = !summary.state.trim().is_empty() && outcome == *concludes.get_or_insert(outcome);
        ensure!(said, "at step {}, ended = {}: {summary:?}", context.step, context.ended);
    }
    Ok(())
}

async fn requirements(
    trial: &Trial<'_>,
    summariser: &Arc<dyn Summariser>,
    declared: &Requirements,
    contexts: &[DecisionContext],
) -> Verdict {
    for context in contexts {
        let models = trial.stand_ins.models(Mood::Friendly, None);
        trial.call("summarise", summariser.summarise(context.clone(), models.clone())).await?;
        requirements_kept(declared, &models.asked())?;
    }
    Ok(())
}

async fn bounded(
    trial: &Trial<'_>,
    summariser: &Arc<dyn Summariser>,
    contexts: &[DecisionContext],
) -> Verdict {
    for context in contexts {
        let models = trial.stand_ins.models(Mood::Garbled, None);
        let answer = trial.attempt(summariser.summarise(context.clone(), models.clone())).await;
        let (calls, limit) = (models.asked().calls, trial.options.calls);
        ensure!(
            calls <= limit,
            "with a model that gives unreadable answers, one summary takes more than {limit} calls"
        );
        if let Err(failure @ (Failure::Late(_) | Failure::Panic(_))) = answer {
            ensure!(
                false,
                "with a model that gives unreadable answers, after {calls} calls, summarise {failure}"
            );
        }
    }
    Ok(())
}
