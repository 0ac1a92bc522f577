//! Rules for scripted behaviours: they use only the text and the seed.

use std::sync::Arc;

use forethought_api::{
    Result as Answer,
    behaviour::{BehaviourPrompt, ScriptedBehaviour},
};

use crate::{
    common::Work,
    stand_in::draw,
    trial::{Rule, Trial, Verdict, ensure},
};

const RECOGNISES: Rule = Rule {
    id: "behaviour/recognises",
    says: "it gives the same answer each time for whether it recognises a text, and does not recognise an empty one",
    fix: "look only for a line of the environment's own instructions in the text",
    needs: &["common/answered"],
};
const DETERMINISTIC: Rule = Rule {
    id: "behaviour/deterministic",
    says: "the same prompt and seed give the same thought, action, outcomes and summary",
    fix: "draw everything from `prompt.seed`, and keep no state between calls",
    needs: &["common/answered"],
};
const OUTCOMES: Rule = Rule {
    id: "behaviour/outcomes",
    says: "it imagines as many outcomes as requested, and none is empty",
    fix: "rephrase outcomes when there are fewer; put good ones first",
    needs: &["common/answered"],
};

pub(crate) const RULES: &[&Rule] = &[&RECOGNISES, &DETERMINISTIC, &OUTCOMES];

const TEXTS: [&str; 4] = [
    "",
    "Take one action a turn.\nObservation:\nYou stand at 1,2 of a field.\n\nThought: <a short private strategy>",
    "\u{1f40b} [Search] [[ ]] Price: $ Instruction:",
    "Current thought: go on\nImagine 4 outcomes.\nGood: <a desirable outcome>\nBad: <an undesirable outcome>",
];

fn prompt(n: u64) -> BehaviourPrompt {
    let text = TEXTS[n as usize % TEXTS.len()].into();
    BehaviourPrompt { text, thought: ["", "go on"][n as usize % 2].into(), count: 4, seed: draw(n) }
}

pub(crate) async fn check(trial: &Trial<'_>, behaviour: Arc<dyn ScriptedBehaviour>) -> Option<Work> {
    trial.rule(&RECOGNISES, recognises(trial, &behaviour)).await;
    trial.rule(&DETERMINISTIC, deterministic(trial, &behaviour)).await;
    trial.rule(&OUTCOMES, outcomes(trial, &behaviour)).await;
    Some(Work::new(move |n| {
        let behaviour = behaviour.clone();
        async move { everything(&behaviour, prompt(n)).await }
    }))
}

async fn everything(behaviour: &Arc<dyn ScriptedBehaviour>, prompt: BehaviourPrompt) -> Answer<String> {
    let thought = behaviour.thought(prompt.clone()).await?;
    let action = behaviour.action(prompt.clone()).await?;
    let outcomes = behaviour.outcomes(prompt.clone()).await?;
    Ok(format!("{thought:?} {action:?} {outcomes:?} {:?}", behaviour.summary(prompt).await?))
}

async fn recognises(trial: &Trial<'_>, behaviour: &Arc<dyn ScriptedBehaviour>) -> Verdict {
    let mut first = Vec::new();
    for text in TEXTS {
        first.push(trial.call("recognises", behaviour.recognises(text.into())).await?);
    }
    for (text, before) in TEXTS.iter().zip(&first).rev() {
        let now = trial.call("recognises", behaviour.recognises((*text).into())).await?;
        ensure!(now == *before, "{text:?}: first {before}, then {now}");
    }
    ensure!(!first[0], "it recognises an empty text");
    Ok(())
}

async fn deterministic(trial: &Trial<'_>, behaviour: &Arc<dyn ScriptedBehaviour>) -> Verdict {
    let mut first = Vec::new();
    for n in 0..8 {
        first.push(trial.call("behaviour", everything(behaviour, prompt(n))).await?);
    }
    for (n, before) in first.iter().enumerate().rev() {
        let now = trial.call("behaviour", everything(behaviour, prompt(n as u64))).await?;
        ensure!(now == *before, "first {before}, then {now}");
    }
    Ok(())
}

async fn outcomes(trial: &Trial<'_>, behaviour: &Arc<dyn ScriptedBehaviour>) -> Verdict {
    for count in [2, 4, 6] {
        let outcomes =
            trial.call("outcomes", behaviour.outcomes(BehaviourPrompt { count, ..prompt(3) })).await?;
        let said = outcomes.iter().filter(|outcome| !outcome.trim().is_empty()).count();
        ensure!(
            said == count && outcomes.len() == count,
            "{count} outcomes were requested, it returned {outcomes:?}"
        );
    }
    Ok(())
}
