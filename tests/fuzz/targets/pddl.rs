//! PDDL: any text is read or refused, what is read is printed and read again, and plans and heuristics of it end.
#![no_main]

use std::sync::{Arc, LazyLock};

use forethought_fuzz as _;
use forethought_strips::{
    Domain, Problem, Task,
    formula::Formula,
    generate::Known,
    plan::{read, validate},
    search::{Heuristic, Limits, Order, solve},
    words::Words,
};
use libfuzzer_sys::fuzz_target;

static BLOCKS: LazyLock<Task> = LazyLock::new(|| {
    let problem = Arc::new(Known::Blocksworld.problem(3, 1));
    Task::new(Known::Blocksworld.domain(), problem).expect("a generated problem is one")
});

fn domain(text: &str) -> Option<Arc<Domain>> {
    let domain = Domain::parse("domain", text).ok()?;
    assert_eq!(Domain::parse("domain", &domain.to_string()).as_ref(), Ok(&domain));
    let words = Words::of(&domain);
    domain.actions.iter().for_each(|action| assert!(words.action(action).starts_with(&action.name)));
    Some(Arc::new(domain))
}

fn problem(text: &str, domain: &Arc<Domain>) {
    let Ok(problem) = Problem::parse("problem", text, domain) else { return };
    assert_eq!(Problem::parse("problem", &problem.to_string(), domain).as_ref(), Ok(&problem));
    let task = Task::new(domain.clone(), Arc::new(problem)).expect("what was read is a task");
    if let Ok(found) = solve(&task, Order::Greedy, Heuristic::Ff, Limits { nodes: 50, operators: 500 }) {
        assert!(validate(&task, &found.plan).is_ok());
    }
}

// A domain and a problem of it, or one that ships, with a line of three dashes between them.
fuzz_target!(|text: &str| {
    let (first, second) = text.split_once("\n---\n").unwrap_or((text, text));
    if let Some(domain) = domain(first) {
        problem(second, &domain);
    }
    problem(second, &Known::Gripper.domain());
    let _ = validate(&BLOCKS, &read(&BLOCKS, text));
    if let Ok(formula) = Formula::parse(text, &BLOCKS) {
        assert!(formula.value(&BLOCKS, &BLOCKS.init).is_finite());
    }
});
