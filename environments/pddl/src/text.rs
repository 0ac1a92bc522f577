//! What a seat reads: the rules, what is so, and what an action did; and the tools that are actions.

use forethought_sdk::{
    api::llm::Tool,
    serde_json::{Map, json},
};
use forethought_strips::{Domain, State, Task, domain::OBJECT, words::Words};

use crate::config::{ActionForm, PddlConfig, RulesForm, StateForm, TaskForm};

/// First line of the instructions: readers of a prompt recognise the task by it.
pub(crate) const OPENING: &str = "You are solving a planning problem.";
/// The line before the goal, objects, facts that never change, and facts that are so now.
pub(crate) const GOAL: &str = "The goal:";
pub(crate) const OBJECTS: &str = "Objects:";
pub(crate) const ALWAYS: &str = "What never changes:";
pub(crate) const NOW: &str = "Now:";
/// What an observation begins with after an action that was possible, and one that was not.
pub(crate) const DONE: &str = "Done: ";
pub(crate) const REFUSED: &str = "Not possible: ";
pub(crate) const REACHED: &str = "The goal is reached.";

/// The instructions of a world.
pub(crate) fn instructions(config: &PddlConfig, domain: &Domain, words: &Words) -> String {
    let mut text = format!("{OPENING}\nDomain: {}.\n", domain.name);
    let translate = config.task == TaskForm::Translate;
    if translate {
        text += "Translate the problem that you are shown into PDDL. Your only action is the whole problem, from \
                 (define (problem to its end, in one line. It scores if it is the same problem: the same initial facts \
                 and goals, in any order, with objects of any names.\n";
    } else {
        let limit = match config.max_steps {
            0 => String::new(),
            limit => format!(" You have {limit} actions."),
        };
        let example = domain.actions.first().map_or("stack ?x ?y".into(), |action| {
            let parameters: Vec<_> = action.parameters.iter().map(|one| one.name.as_str()).collect();
            [&[action.name.as_str()], &parameters[..]].concat().join(" ")
        });
        let how = match config.actions {
            ActionForm::Text => format!(
                "Take one action a turn, written as its name and its objects: `{example}` with objects in place of what \
                 begins with a question mark."
            ),
            ActionForm::Tools => {
                "Take one action a turn, by calling its tool with the names of its objects.".into()
            }
        };
        text += &format!(
            "Reach the goal: all parts of it must be so at the same time. {how} What an action needs must be so before; \
             an action that is not possible changes nothing and costs a turn.{limit}\n"
        );
    }
    if config.rules != RulesForm::Pddl {
        text += "The actions:\n";
        for action in &domain.actions {
            text += &format!("- {}\n", words.action(action));
        }
    }
    if config.rules != RulesForm::Words || translate {
        text += &format!("The domain in PDDL:\n{domain}");
    }
    text.trim_end().to_owned()
}

/// What is seen: what an action did (`lead`), and what is so. `first` at the beginning of an episode.
pub(crate) fn observation(
    config: &PddlConfig,
    task: &Task,
    words: &Words,
    state: &State,
    first: bool,
    lead: &str,
) -> String {
    let mut text = if lead.is_empty() { String::new() } else { format!("{lead}\n") };
    if config.state == StateForm::Pddl {
        return text + task.problem_from(state).to_string().trim_end();
    }
    let list = |title: &str, lines: &mut dyn Iterator<Item = String>| {
        let lines: String = lines.map(|line| format!("- {line}\n")).collect();
        format!("{title}\n{}", if lines.is_empty() { "- nothing\n".into() } else { lines })
    };
    if first {
        let names = |kind: &str| {
            let of_kind = task.objects.iter().filter(|one| one.kind == kind);
            of_kind.map(|one| one.name.clone()).collect::<Vec<_>>().join(", ")
        };
        let mut kinds: Vec<_> = task.objects.iter().map(|one| one.kind.as_str()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        text += &list(OBJECTS, &mut kinds.iter().map(|kind| format!("{kind}: {}", names(kind))));
    }
    let fact = |fact| words.say(&task.atom(fact));
    let changes = |predicate: usize| task.domain.changes(&task.domain.predicates[predicate].name);
    let (now, always): (Vec<_>, Vec<_>) = state.iter().partition(|fact| changes(fact.predicate));
    if first && !always.is_empty() {
        text += &list(ALWAYS, &mut always.into_iter().map(fact));
    }
    text += &list(NOW, &mut now.into_iter().map(fact));
    text += "Anything else is not so.\n";
    text += &list(GOAL, &mut task.goal.iter().map(|goal| words.literal(&task.literal(goal))));
    if task.missing(state).is_empty() {
        text += REACHED;
    }
    text.trim_end().to_owned()
}

/// A tool for each action. Its arguments are the names of its objects.
pub(crate) fn tools(task: &Task, words: &Words) -> Vec<Tool> {
    let tool = |action: &forethought_strips::domain::Schema| {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for parameter in &action.parameters {
            let fits = task.objects.iter().filter(|one| task.domain.is_a(&one.kind, &parameter.kind));
            let names: Vec<_> = fits.map(|one| one.name.as_str()).collect();
            let mut property = json!({ "type": "string", "enum": names });
            if parameter.kind != OBJECT {
                property["description"] = format!("a {}", parameter.kind).into();
            }
            properties.insert(parameter.name[1..].to_owned(), property);
            required.push(parameter.name[1..].to_owned());
        }
        let parameters = json!({
            "type": "object", "properties": properties, "required": required, "additionalProperties": false
        });
        Tool { name: action.name.clone(), description: words.action(action), parameters }
    };
    task.domain.actions.iter().map(tool).collect()
}
