//! Rules for skills: judged by the text alone, drawn from the seed alone.

use std::sync::Arc;

use forethought_api::{
    Result as Answer,
    skill::{Skill, SkillPrompt},
};

use crate::{
    common::Work,
    stand_in::draw,
    trial::{Rule, Trial, Verdict, ensure},
};

const RECOGNISES: Rule = Rule {
    id: "skill/recognises",
    says: "whether a text is its own is the same at every asking, and an empty text is nobody's",
    mend: "look for a line of the environment's own instructions in the text, and for nothing else",
    needs: &["common/answered"],
};
const DETERMINISTIC: Rule = Rule {
    id: "skill/deterministic",
    says: "the same prompt and seed give the same thought, action, outcomes and summary",
    mend: "draw everything from `prompt.seed`, and keep nothing between calls",
    needs: &["common/answered"],
};
const OUTCOMES: Rule = Rule {
    id: "skill/outcomes",
    says: "it imagines as many outcomes as are asked for, none of them empty",
    mend: "fill up with outcomes in other words when there are fewer; good ones stand first",
    needs: &["common/answered"],
};

pub(crate) const RULES: &[&Rule] = &[&RECOGNISES, &DETERMINISTIC, &OUTCOMES];

const TEXTS: [&str; 4] = [
    "",
    "Take one action a turn.\nObservation:\nYou stand at 1,2 of a field.\n\nThought: <a short private strategy>",
    "\u{1f40b} [Search] [[ ]] Price: $ Instruction:",
    "Current thought: go on\nImagine 4 outcomes.\nGood: <a desirable outcome>\nBad: <an undesirable outcome>",
];

fn prompt(n: u64) -> SkillPrompt {
    let text = TEXTS[n as usize % TEXTS.len()].into();
    SkillPrompt { text, thought: ["", "go on"][n as usize % 2].into(), count: 4, seed: draw(n) }
}

pub(crate) async fn check(trial: &Trial<'_>, skill: Arc<dyn Skill>) -> Option<Work> {
    trial.rule(&RECOGNISES, recognises(trial, &skill)).await;
    trial.rule(&DETERMINISTIC, deterministic(trial, &skill)).await;
    trial.rule(&OUTCOMES, outcomes(trial, &skill)).await;
    Some(Work::new(move |n| {
        let skill = skill.clone();
        async move { everything(&skill, prompt(n)).await }
    }))
}

async fn everything(skill: &Arc<dyn Skill>, prompt: SkillPrompt) -> Answer<String> {
    let thought = skill.thought(prompt.clone()).await?;
    let action = skill.action(prompt.clone()).await?;
    let outcomes = skill.outcomes(prompt.clone()).await?;
    Ok(format!("{thought:?} {action:?} {outcomes:?} {:?}", skill.summary(prompt).await?))
}

async fn recognises(trial: &Trial<'_>, skill: &Arc<dyn Skill>) -> Verdict {
    let mut first = Vec::new();
    for text in TEXTS {
        first.push(trial.call("recognises", skill.recognises(text.into())).await?);
    }
    for (text, before) in TEXTS.iter().zip(&first).rev() {
        let now = trial.call("recognises", skill.recognises((*text).into())).await?;
        ensure!(now == *before, "{text:?}: first {before}, then {now}");
    }
    ensure!(!first[0], "it recognises an empty text");
    Ok(())
}

async fn deterministic(trial: &Trial<'_>, skill: &Arc<dyn Skill>) -> Verdict {
    let mut first = Vec::new();
    for n in 0..8 {
        first.push(trial.call("skill", everything(skill, prompt(n))).await?);
    }
    for (n, before) in first.iter().enumerate().rev() {
        let now = trial.call("skill", everything(skill, prompt(n as u64))).await?;
        ensure!(now == *before, "first {before}, then {now}");
    }
    Ok(())
}

async fn outcomes(trial: &Trial<'_>, skill: &Arc<dyn Skill>) -> Verdict {
    for count in [2, 4, 6] {
        let outcomes = trial.call("outcomes", skill.outcomes(SkillPrompt { count, ..prompt(3) })).await?;
        let said = outcomes.iter().filter(|outcome| !outcome.trim().is_empty()).count();
        ensure!(said == count && outcomes.len() == count, "{count} outcomes were asked for: {outcomes:?}");
    }
    Ok(())
}
