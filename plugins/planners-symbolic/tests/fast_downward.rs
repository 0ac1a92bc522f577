//! The built-in search and the validator against Fast Downward, on random problems. `FORETHOUGHT_PDDL_PROBLEMS` is
//! their number: 12, or 500 for the figure in `docs/pddl.md`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use forethought_planners_symbolic::solver::{Solver, SolverConfig};
use forethought_sdk::{
    prelude::*,
    seed::{ChaCha8Rng, IndexedRandom, RngExt, stream},
    serde_json::{from_value, json},
};
use forethought_strips::{
    Call, Domain, Problem, Task,
    domain::{Atom, Literal, Predicate, Schema},
    generate::Known,
    plan::validate,
    search::{Heuristic, Limits, Order, Unsolved, solve},
};
use forethought_testkit::Suite;

fn main() -> ExitCode {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/fast-downward"));
    let unable = (!folder.join(".complete").exists())
        .then(|| "Fast Downward is missing; `bash .ci/fast-downward` fetches it".to_owned());
    let test = move || search_and_validator_agree_with_fast_downward(&folder);
    Suite::default().unless(unable, "search_and_validator_agree_with_fast_downward", test).run()
}

/// Fast Downward, as a user would configure it.
fn fast_downward(folder: &Path) -> Solver {
    let program = folder.join("fast-downward.py").to_string_lossy().into_owned();
    let command = [
        "python3",
        &program,
        "--plan-file",
        "{plan}",
        "--sas-file",
        "{folder}/output.sas",
        "{domain}",
        "{problem}",
        "--search",
        "astar(lmcut())",
    ];
    Solver::new(from_value::<SolverConfig>(json!({ "command": command, "timeout_s": 120.0 })).unwrap())
        .unwrap()
}

/// Dark rooms, so that there is something that must not be so.
const ROOMS: &str = "(define (domain rooms) (:requirements :strips :typing :negative-preconditions :equality)
  (:types room key) (:predicates (in ?r - room) (dark ?r - room) (at ?k - key ?r - room) (has ?k - key))
  (:action walk :parameters (?a - room ?b - room)
    :precondition (and (in ?a) (not (dark ?b)) (not (= ?a ?b))) :effect (and (not (in ?a)) (in ?b) (dark ?a)))
  (:action light :parameters (?k - key ?r - room)
    :precondition (and (has ?k) (dark ?r)) :effect (and (not (dark ?r)) (not (has ?k))))
  (:action take :parameters (?k - key ?r - room)
    :precondition (and (in ?r) (at ?k ?r)) :effect (and (has ?k) (not (at ?k ?r)))))";

/// A random problem: generated, or in rooms; often with a fact missing, so that some cannot be solved.
fn random(rng: &mut ChaCha8Rng) -> Task {
    let (domain, mut problem) = match rng.random_range(0..5_usize) {
        4 => {
            let domain = Domain::parse("rooms", ROOMS).unwrap();
            let place = |rng: &mut ChaCha8Rng| rng.random_range(1..=4);
            let keys: String = (1..=3).map(|key| format!("(at k{key} r{}) ", place(rng))).collect();
            let dark: String =
                (1..=4).filter(|_| rng.random()).map(|room| format!("(dark r{room}) ")).collect();
            let text = format!(
                "(define (problem p) (:domain rooms) (:objects r1 r2 r3 r4 - room k1 k2 k3 - key)
                 (:init (in r{}) {keys} {dark}) (:goal (and (in r{}) (not (dark r{})) (has k{}))))",
                place(rng),
                place(rng),
                place(rng),
                rng.random_range(1..=3)
            );
            let problem = Problem::parse("p", &text, &domain).unwrap();
            (Arc::new(domain), problem)
        }
        known => {
            let known = Known::ALL[known];
            let largest = if known == Known::Blocksworld { 6 } else { 2 };
            (known.domain(), known.problem(rng.random_range(1..=largest), rng.random()))
        }
    };
    if rng.random() {
        problem.init.remove(rng.random_range(0..problem.init.len()));
    }
    Task::new(domain, Arc::new(problem)).unwrap()
}

/// A plan as a problem that has a solution if and only if the plan is valid: each step is an action that is possible
/// once, in its place, under the step's own preconditions.
fn as_problem(task: &Task, plan: &[Call]) -> Option<Task> {
    let mut domain = Domain { actions: Vec::new(), ..(*task.domain).clone() };
    let place = |at: usize| Atom { predicate: format!("place-{at}"), terms: Vec::new() };
    let is = |atom: Atom, positive: bool| Literal { positive, atom };
    domain
        .predicates
        .extend((0..=plan.len()).map(|at| Predicate { name: format!("place-{at}"), parameters: Vec::new() }));
    domain.constants.extend(task.problem.objects.iter().cloned());
    for (at, call) in plan.iter().enumerate() {
        let action = task.domain.action_named(&call.name)?;
        task.bind(call).ok()?;
        let term = |term: &String| {
            let parameter = action.parameters.iter().position(|one| one.name == *term);
            parameter.map_or_else(|| term.clone(), |index| call.arguments[index].clone())
        };
        let ground = |literals: &[Literal]| -> Vec<Literal> {
            let atom = |atom: &Atom| Atom {
                predicate: atom.predicate.clone(),
                terms: atom.terms.iter().map(term).collect(),
            };
            literals.iter().map(|one| is(atom(&one.atom), one.positive)).collect()
        };
        let (mut precondition, mut effect) = (ground(&action.precondition), ground(&action.effect));
        precondition.push(is(place(at), true));
        effect.extend([is(place(at), false), is(place(at + 1), true)]);
        domain.actions.push(Schema {
            name: format!("step-{at}"),
            parameters: Vec::new(),
            precondition,
            effect,
        });
    }
    let mut problem = Problem { objects: Vec::new(), ..(*task.problem).clone() };
    problem.init.push(place(0));
    problem.goal.push(is(place(plan.len()), true));
    Some(Task::new(Arc::new(domain), Arc::new(problem)).unwrap())
}

/// A plan with something changed in it.
fn mutated(task: &Task, plan: &[Call], rng: &mut ChaCha8Rng) -> Vec<Call> {
    let mut plan = plan.to_vec();
    let (one, other) = (rng.random_range(0..plan.len()), rng.random_range(0..plan.len()));
    match rng.random_range(0..4) {
        0 => plan.swap(one, other),
        1 => drop(plan.remove(one)),
        2 => plan.insert(one, plan[other].clone()),
        _ => {
            // Another object of the same type.
            let call = &mut plan[one];
            let at = rng.random_range(0..call.arguments.len());
            let kind = &task.objects[task.object(&call.arguments[at]).unwrap()].kind;
            let same: Vec<_> = task.objects.iter().filter(|object| object.kind == *kind).collect();
            call.arguments[at].clone_from(&same.choose(rng).unwrap().name);
        }
    }
    plan
}

#[tokio::main]
async fn search_and_validator_agree_with_fast_downward(folder: &Path) {
    let problems = std::env::var("FORETHOUGHT_PDDL_PROBLEMS").map_or(12, |number| number.parse().unwrap());
    let [solved, valid, invalid] = [const { AtomicUsize::new(0) }; 3];
    let next = AtomicUsize::new(0);
    let work = async || {
        let other = fast_downward(folder);
        loop {
            let index = next.fetch_add(1, Relaxed);
            if index >= problems {
                break;
            }
            let mut rng = stream(index as u64, "fast downward");
            let task = random(&mut rng);
            let ours =
                solve(&task, Order::Astar, Heuristic::LmCut, Limits { nodes: 500_000, operators: 100_000 });
            let theirs = other.solve(&task).await.unwrap();
            let about = || format!("problem {index}:\n{}", task.problem);
            let plan = match (ours, theirs) {
                (Ok(ours), Ok(theirs)) => {
                    // That theirs is valid was checked when it was read.
                    assert_eq!(ours.plan.len(), theirs.plan.len(), "{}", about());
                    solved.fetch_add(1, Relaxed);
                    ours.plan
                }
                (Err(Unsolved::Unsolvable), Err(why)) => {
                    // The exit statuses of Fast Downward for a problem without a solution.
                    assert!(
                        ["10", "11", "12"].iter().any(|code| why.contains(&format!("exit status: {code}"))),
                        "{why}"
                    );
                    continue;
                }
                (ours, theirs) => panic!("{}\n{ours:?}\n{theirs:?}", about()),
            };
            let plan = if plan.is_empty() || rng.random_ratio(1, 5) {
                plan
            } else {
                mutated(&task, &plan, &mut rng)
            };
            let ours = validate(&task, &plan).is_ok();
            let theirs = match as_problem(&task, &plan) {
                Some(problem) => other.solve(&problem).await.unwrap().is_ok(),
                None => false,
            };
            assert_eq!(ours, theirs, "{}\n{plan:?}: {:?}", about(), validate(&task, &plan));
            if ours { &valid } else { &invalid }.fetch_add(1, Relaxed);
        }
    };
    tokio::join!(work(), work());
    let [solved, valid, invalid] = [solved, valid, invalid].map(AtomicUsize::into_inner);
    println!(
        "{problems} problems: {solved} solved, the others have no solution; {valid} plans valid, {invalid} not"
    );
    assert!(solved > problems / 3 && solved < problems && valid > 0 && invalid > 0);
}
