//! Rules for planners: legal actions, declared requirements, bounded decisions.

use std::sync::Arc;

use forethought_api::{
    Result as Answer,
    environment::Action,
    environment::{Environment, Reset},
    planner::{Decision, DecisionContext, Exchange, Planner, Requirements},
};

use crate::{
    common::Work,
    stand_in::{Asked, draw, llm::Mood, world::Field},
    trial::{Failure, Fault, Rule, Trial, Verdict, ensure, parting},
};

const LEGAL: Rule = Rule {
    id: "planner/legal-actions",
    says: "if legal actions are listed and its model names one of them, it takes a listed one",
    fix: "return the action in the environment's grammar, without decoration, thoughts or quotes",
    needs: &["common/answered"],
};
const REQUIREMENTS: Rule = Rule {
    id: "planner/requirements",
    says: "it uses only models and forks that it declares, and models only through `Models`",
    fix: "name every model that `decide` uses in `requires`, and `fork` if it forks, `summariser` if it asks for summaries, the same at every call; calls of \
          the host's models are not recorded, so such an episode could not be replayed",
    needs: &["common/answered", "planner/bounded"],
};
const BOUNDED: Rule = Rule {
    id: "planner/bounded",
    says: "every decision ends, even with a model that always wants a revision or gives unreadable answers",
    fix: "limit rounds, retries and searches, and continue with what there is when the limit is reached",
    needs: &["common/answered"],
};
const DETERMINISTIC: Rule = Rule {
    id: "planner/deterministic",
    says: "the same context, seed and answers give the same decision, regardless of other decisions in between",
    fix: "derive every draw and every seed of a request from `context.seed`, and keep no state between decisions",
    needs: &["common/answered"],
};

pub(crate) const RULES: &[&Rule] = &[&LEGAL, &BOUNDED, &REQUIREMENTS, &DETERMINISTIC];

/// A decision to make: its context, and the world in that state.
#[derive(Clone)]
pub(crate) struct Situation {
    pub(crate) context: DecisionContext,
    pub(crate) world: Arc<dyn Environment>,
}

/// Situations at the beginning, in the middle and at the end of walks over the stand-in world.
pub(crate) async fn situations(trial: &Trial<'_>) -> Answer<Vec<Situation>> {
    let mut situations = Vec::new();
    for task in 0..trial.options.episodes {
        let world = Field::default();
        let mut turn = world.reset(Reset { task, seed: trial.options.seed }).await?;
        let mut history: Vec<Exchange> = Vec::new();
        let mut ended = false;
        while !ended && history.len() as u64 <= task {
            let fork = world.fork().await?;
            let context = DecisionContext {
                environment: world.spec().await?,
                step: history.len() as u32,
                history: history.clone(),
                turn: turn.clone(),
                seed: draw((trial.options.seed, task, history.len())),
                ..DecisionContext::default()
            };
            situations.extend(fork.map(|world| Situation { context, world }));
            let action =
                turn.legal_actions[draw((task, history.len())) as usize % turn.legal_actions.len()].clone();
            let transition = world.step(Action::new(&action)).await?;
            let thought = "try what comes to mind".into();
            history.push(Exchange { observation: turn.observation.text, thought, action });
            turn = transition.turn;
            ended = transition.terminated || transition.truncated;
        }
    }
    Ok(situations)
}

pub(crate) async fn check(trial: &Trial<'_>, planner: Arc<dyn Planner>) -> Option<Work> {
    let declared = trial.gather(trial.call("requires", planner.requires())).await?;
    let situations: Arc<[Situation]> =
        trial.gather(trial.call("situations", situations(trial))).await?.into();
    trial.rule(&LEGAL, legal(trial, &planner, &situations)).await;
    trial.rule(&BOUNDED, bounded(trial, &planner, &situations)).await;
    trial.rule(&REQUIREMENTS, requirements(trial, &planner, &declared, &situations)).await;
    trial.rule(&DETERMINISTIC, deterministic(trial, &planner, &situations)).await;
    let stand_ins = trial.stand_ins.clone();
    Some(Work::new(move |n| {
        let planner = planner.clone();
        let Situation { context, world } = situations[n as usize % situations.len()].clone();
        let models = stand_ins.models(Mood::Friendly, Some(world));
        async move { Ok(format!("{:?}", planner.decide(context, models).await?)) }
    }))
}

async fn decide(
    trial: &Trial<'_>,
    planner: &Arc<dyn Planner>,
    situation: &Situation,
) -> Result<Decision, Fault> {
    let models = trial.stand_ins.models(Mood::Friendly, Some(situation.world.clone()));
    trial.call("decide", planner.decide(situation.context.clone(), models)).await
}

async fn legal(trial: &Trial<'_>, planner: &Arc<dyn Planner>, situations: &[Situation]) -> Verdict {
    for situation in situations {
        let legal = &situation.context.turn.legal_actions;
        let action = decide(trial, planner, situation).await?.action.text;
        ensure!(legal.contains(&action), "it takes {action:?}, but {legal:?} are legal");
    }
    Ok(())
}

async fn requirements(
    trial: &Trial<'_>,
    planner: &Arc<dyn Planner>,
    declared: &Requirements,
    situations: &[Situation],
) -> Verdict {
    let before = trial.stand_ins.asked();
    for Situation { context, world } in situations {
        let models = trial.stand_ins.models(Mood::Insatiable, Some(world.clone()));
        trial.call("decide", planner.decide(context.clone(), models.clone())).await?;
        requirements_kept(declared, &models.asked())?;
    }
    ensure!(trial.stand_ins.asked() == before, "it requests models from the host during a decision");
    let now = trial.call("requires", planner.requires()).await?;
    ensure!(now == *declared, "`requires` returns first {declared:?}, then {now:?}");
    Ok(())
}

/// Everything requested was declared.
pub(crate) fn requirements_kept(declared: &Requirements, asked: &Asked) -> Verdict {
    for (word, asked, declared) in
        [("llm", &asked.llms, &declared.llms), ("critic", &asked.critics, &declared.critics)]
    {
        let stranger = asked.iter().find(|name| !declared.contains(name));
        ensure!(
            stranger.is_none(),
            "it uses [{word}.{}], but declares {declared:?}",
            stranger.map_or("", String::as_str)
        );
    }
    ensure!(
        asked.summaries == 0 || declared.summariser,
        "it asks for summaries, but does not declare `summariser`"
    );
    ensure!(asked.forks == 0 || declared.fork, "it forks the environment, but does not declare `fork`");
    Ok(())
}

async fn bounded(trial: &Trial<'_>, planner: &Arc<dyn Planner>, situations: &[Situation]) -> Verdict {
    for mood in [Mood::Friendly, Mood::Insatiable, Mood::Garbled] {
        for Situation { context, world } in situations {
            let models = trial.stand_ins.models(mood, Some(world.clone()));
            let answer = trial.attempt(planner.decide(context.clone(), models.clone())).await;
            let (calls, limit) = (models.asked().calls, trial.options.calls);
            ensure!(calls <= limit, "with the {mood:?} model one decision takes more than {limit} calls");
            // Giving up on a garbled model is allowed.
            if let Err(failure @ (Failure::Late(_) | Failure::Panic(_))) = answer {
                ensure!(false, "with the {mood:?} model, after {calls} calls, decide {failure}");
            }
        }
    }
    Ok(())
}

async fn deterministic(trial: &Trial<'_>, planner: &Arc<dyn Planner>, situations: &[Situation]) -> Verdict {
    let mut first = Vec::new();
    for situation in situations {
        first.push(format!("{:?}", decide(trial, planner, situation).await?));
    }
    for (situation, before) in situations.iter().zip(&first).rev() {
        let now = format!("{:?}", decide(trial, planner, situation).await?);
        ensure!(now == *before, "at step {}: {}", situation.context.step, parting(before, &now));
    }
    Ok(())
}
