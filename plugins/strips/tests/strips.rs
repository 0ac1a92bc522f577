//! Domains and problems read and printed, plans found and checked, heuristics written, problems compared.

use std::sync::Arc;

use forethought_sdk::seed::{ChaCha8Rng, IndexedRandom, RngExt, stream};
use forethought_strips::{
    Call, Domain, Problem, Task,
    domain::{Atom, Literal, Predicate, Schema, Typed},
    equal::{Names, renamed, same, score},
    formula::Formula,
    generate::Known,
    plan::{Failure, read, validate},
    search::{Heuristic, Limits, Order, Unsolved, solve},
    words::Words,
};
use proptest::prelude::*;

fn task(domain: &str, problem: &str) -> Task {
    let domain = Arc::new(Domain::parse("domain.pddl", domain).unwrap());
    let problem = Arc::new(Problem::parse("problem.pddl", problem, &domain).unwrap());
    Task::new(domain, problem).unwrap()
}

fn known(known: Known, size: u32, seed: u64) -> Task {
    Task::new(known.domain(), Arc::new(known.problem(size, seed))).unwrap()
}

fn calls(text: &str) -> Vec<Call> {
    text.lines().map(|line| Call::read(line).unwrap()).collect()
}

/// Doors that are locked as long as they are not said to be open; a key fits every door but one.
const DOORS: &str = "(define (domain doors) (:requirements :strips :typing :negative-preconditions :equality)
  (:types room door - thing) (:constants vault - door)
  (:predicates (open ?d - door) (leads ?d - door ?a - room ?b - room) (in ?r - room) (dark ?r - room))
  (:action unlock :parameters (?d - door ?r - room ?to - room)
    :precondition (and (in ?r) (leads ?d ?r ?to) (not (open ?d)) (not (= ?d vault))) :effect (open ?d))
  (:action walk :parameters (?d - door ?a - room ?b - room)
    :precondition (and (in ?a) (leads ?d ?a ?b) (open ?d) (not (dark ?b))) :effect (and (not (in ?a)) (in ?b)))
  (:action lamp :parameters (?r - room) :precondition (dark ?r) :effect (not (dark ?r))))";
const HOUSE: &str = "(define (problem house) (:domain doors) (:objects hall cellar - room oak - door)
  (:init (in hall) (leads oak hall cellar) (dark cellar)) (:goal (and (in cellar) (not (in hall)))))";

#[test]
fn a_plan_fails_by_its_first_unmet_precondition() {
    let task = task(DOORS, HOUSE);
    let plan = calls("unlock oak hall cellar\nlamp cellar\nwalk oak hall cellar");
    validate(&task, &plan).unwrap();
    let said = |plan: &str| validate(&task, &calls(plan)).unwrap_err();
    let failure = said("unlock oak hall cellar\nwalk oak hall cellar");
    assert_eq!(failure.step(), Some(1));
    assert_eq!(
        failure.to_string(),
        "Step 2, (walk oak hall cellar), is not possible: (dark cellar) is so and must not be."
    );
    for (plan, why) in [
        ("walk oak hall cellar", "(open oak) is not so, (dark cellar) is so and must not be"),
        ("unlock vault hall cellar", "(= vault vault) is so and must not be"),
        ("fly hall", "There is no action `fly`; the actions are unlock, walk, lamp."),
        ("lamp hall hall", "`lamp` needs 1 objects, and 2 are given."),
        ("lamp attic", "There is no object `attic`."),
        ("lamp oak", "`oak` is a door, and `lamp` needs a room there."),
        ("lamp cellar", "the goal is not reached: (in cellar) is not so, (in hall) is so and must not be."),
    ] {
        let said = said(plan).to_string();
        assert!(said.contains(why), "{plan}: {said}");
    }
    assert!(matches!(said("lamp cellar"), Failure::Goal { .. }));
    let text = "Here is a plan:\n1. (unlock oak hall cellar)\n0.0: (LAMP cellar) [1]\n- `walk oak hall cellar`\n; cost = 3";
    assert_eq!(read(&task, text), plan);
}

#[test]
fn what_cannot_be_read_is_refused_by_file_line_and_column() {
    for (text, why) in [
        ("(define (problem p))", "d:1:1: this does not begin with `(define (domain NAME)`"),
        (
            "(define (domain d)\n (:functions (cost)))",
            "d:2:2: `:functions` is not supported: what is read is STRIPS",
        ),
        (
            "(define (domain d)\n (:predicates (p ?x - block)))",
            "d:2:18: there is no type `block`: the domain has no types",
        ),
        ("(define (domain d) (:types a - b b - a))", "the type `a` is its own ancestor"),
        ("(define (domain d) (:types a - (either b c)))", "`either` is not supported"),
        ("(define (domain d) (:predicates (p) (p)))", "the predicate `p` is declared twice"),
        ("(define (domain d) (:action a :parameters (?x ?x)))", "`?x` is declared twice"),
        ("(define (domain d) (:action a :parameters (x)))", "`x`: a parameter begins with a question mark"),
        (
            "(define (domain d) (:predicates (p)) (:action a :effect (q)))",
            "there is no predicate `q`; there are p",
        ),
        (
            "(define (domain d) (:predicates (p ?x)) (:action a :effect (p ?y)))",
            "there is no parameter `?y` here",
        ),
        (
            "(define (domain d) (:predicates (p ?x)) (:action a :effect (p)))",
            "`p` has 1 terms, and 0 are given",
        ),
        (
            "(define (domain d) (:predicates (p)) (:action a :effect (when (p) (p))))",
            "`when` is not supported here",
        ),
        ("(define (domain d) (:predicates (p)) (:action a :vars (?x)))", "`:vars` is not supported"),
        ("(define (domain d) (:action a :effect))", "the action `a` has `:parameters (...)`"),
        ("(define (domain d) (:action a :parameters (?x ?y) :effect (= ?x ?y)))", "an effect cannot be `=`"),
    ] {
        let said = Domain::parse("d", text).unwrap_err().to_string();
        assert!(said.contains(why), "{said}");
    }
    let doors = Domain::parse("doors", DOORS).unwrap();
    let house = |from: &str, to: &str| {
        let text = HOUSE.replace(from, to);
        assert_ne!(text, HOUSE);
        Problem::parse("p", &text, &doors).unwrap_err().to_string()
    };
    assert_eq!(house("(in hall)", "(in oak)"), "p:2:14: `oak` is a door, and `in` needs a room");
    assert_eq!(house("(in hall)", "(in attic)"), "p:2:14: there is no object `attic` here");
    assert_eq!(
        house("(in hall)", "(not (in hall))"),
        "p:2:10: `:init` lists what is so; anything else is not"
    );
    assert_eq!(house("oak - door", "vault - door"), "p:1:70: `vault` is declared twice");
    assert_eq!(
        house("doors", "windows"),
        "p:1:34: the problem is one of `windows`, and the domain is `doors`"
    );
    assert!(house("(:init", "(:start").contains("the problem has no `(:init ...)`"));
    assert!(house("(:init", "(:metric minimize (total-cost)) (:init").contains("`:metric` is not supported"));
}

/// A domain and a problem in it, drawn.
fn drawn(rng: &mut ChaCha8Rng) -> (Domain, Problem) {
    let types: Vec<_> = (0..rng.random_range(0..4))
        .map(|index| {
            let parent = if index > 0 && rng.random() {
                format!("t{}", rng.random_range(0..index))
            } else {
                "object".into()
            };
            Typed { name: format!("t{index}"), kind: parent }
        })
        .collect();
    let kind = |rng: &mut ChaCha8Rng| types.choose(rng).map_or("object".into(), |one| one.name.clone());
    let typed = |name: &str, count: usize, rng: &mut ChaCha8Rng| -> Vec<Typed> {
        (0..count).map(|index| Typed { name: format!("{name}{index}"), kind: kind(rng) }).collect()
    };
    let constants = typed("c", rng.random_range(0..3), rng);
    let predicates: Vec<_> = (0..rng.random_range(1..4))
        .map(|index| {
            let count = rng.random_range(0..4);
            Predicate { name: format!("p{index}"), parameters: typed("?x", count, rng) }
        })
        .collect();
    let domain = Domain {
        name: "drawn".into(),
        requirements: vec![":strips".into()],
        types: types.clone(),
        constants: constants.clone(),
        predicates: predicates.clone(),
        actions: Vec::new(),
    };
    let atom = |terms: &[Typed], rng: &mut ChaCha8Rng| {
        let predicate = predicates.choose(rng)?;
        let term = |one: &Typed, rng: &mut ChaCha8Rng| {
            let fit: Vec<_> = terms.iter().filter(|term| domain.is_a(&term.kind, &one.kind)).collect();
            fit.choose(rng).map(|term| term.name.clone())
        };
        let terms = predicate.parameters.iter().map(|one| term(one, rng)).collect::<Option<_>>()?;
        Some(Atom { predicate: predicate.name.clone(), terms })
    };
    let literals = |terms: &[Typed], most: usize, rng: &mut ChaCha8Rng| {
        let mut all: Vec<Literal> = Vec::new();
        for _ in 0..rng.random_range(0..=most) {
            let positive = rng.random();
            let literal = atom(terms, rng).map(|atom| Literal { positive, atom });
            all.extend(literal.filter(|one| !all.contains(one)));
        }
        all
    };
    let mut actions = Vec::new();
    for index in 0..rng.random_range(0..4) {
        let count = rng.random_range(0..4);
        let parameters = typed("?x", count, rng);
        let terms = [&parameters[..], &constants].concat();
        let (precondition, effect) = (literals(&terms, 3, rng), literals(&terms, 3, rng));
        actions.push(Schema { name: format!("a{index}"), parameters, precondition, effect });
    }
    let count = rng.random_range(0..6);
    let objects = typed("o", count, rng);
    let terms = [&objects[..], &constants].concat();
    let goal = literals(&terms, 3, rng);
    let init = literals(&terms, 8, rng).into_iter().filter(|one| one.positive).map(|one| one.atom).collect();
    let problem = Problem { name: "one".into(), domain: "drawn".into(), objects, init, goal };
    (Domain { actions, ..domain.clone() }, problem)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_is_printed_is_read_again(seed: u64) {
        let (domain, problem) = drawn(&mut stream(seed, "drawn"));
        prop_assert_eq!(&Domain::parse("d", &domain.to_string()).unwrap(), &domain);
        prop_assert_eq!(&Problem::parse("p", &problem.to_string(), &domain).unwrap(), &problem);
        // Whatever is found in it is a plan, and every search agrees on whether there is one.
        let task = Task::new(Arc::new(domain), Arc::new(problem)).unwrap();
        let limits = Limits { nodes: 3000, operators: 3000 };
        let found = |order, heuristic| solve(&task, order, heuristic, limits);
        let blind = found(Order::Astar, Heuristic::Blind);
        for heuristic in [Heuristic::Max, Heuristic::LmCut, Heuristic::Add, Heuristic::Ff] {
            for order in [Order::Astar, Order::Greedy] {
                match (&blind, found(order, heuristic)) {
                    (Ok(blind), Ok(found)) => {
                        prop_assert!(validate(&task, &found.plan).is_ok());
                        let admissible = matches!(heuristic, Heuristic::Max | Heuristic::LmCut);
                        let shortest = found.plan.len() == blind.plan.len();
                        prop_assert!(shortest || !(admissible && order == Order::Astar));
                    }
                    (Err(Unsolved::Nodes(_)), _) | (_, Err(Unsolved::Nodes(_))) => {}
                    (blind, found) => prop_assert_eq!(blind.is_err(), found.is_err()),
                }
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[()a-c?:; \n-]{0,60}") {
        let _ = Domain::parse("d", &text);
        let _ = Problem::parse("p", &format!("(define (problem p) {text})"), &Known::Gripper.domain());
    }
}

#[test]
fn generated_problems_have_plans_and_admissible_heuristics_find_the_shortest() {
    for domain in Known::ALL {
        for seed in 0..6 {
            let size = if domain == Known::Blocksworld { 5 } else { 2 };
            let task = known(domain, size, seed);
            assert!(!task.missing(&task.init).is_empty());
            let find = |order, heuristic| solve(&task, order, heuristic, Limits::default()).unwrap();
            let [blind, max, cut] =
                [Heuristic::Blind, Heuristic::Max, Heuristic::LmCut].map(|one| find(Order::Astar, one));
            let greedy = [Heuristic::Add, Heuristic::Ff].map(|one| find(Order::Greedy, one));
            for found in [&blind, &max, &cut].into_iter().chain(&greedy) {
                validate(&task, &found.plan).unwrap();
                assert!(found.plan.len() >= blind.plan.len());
            }
            assert_eq!([max.plan.len(), cut.plan.len()], [blind.plan.len(); 2], "{domain:?} {seed}");
            assert!(max.expanded <= blind.expanded && cut.expanded <= blind.expanded, "{domain:?} {seed}");
        }
        assert_eq!(domain.problem(3, 1), domain.problem(3, 1));
        assert_ne!(domain.problem(3, 1), domain.problem(3, 2));
    }
    // A tower of six to be built from blocks on the table: two steps for each but the lowest.
    let blocks: Vec<_> = (1..=6).map(|index| format!("b{index}")).collect();
    let init: String = blocks.iter().map(|b| format!("(ontable {b}) (clear {b})")).collect();
    let goal: String = blocks.windows(2).map(|pair| format!("(on {} {})", pair[0], pair[1])).collect();
    let problem = format!(
        "(define (problem tower) (:domain blocksworld) (:objects {}) (:init (handempty) {init}) (:goal (and {goal})))",
        blocks.join(" ")
    );
    let task = task(Known::Blocksworld.text(), &problem);
    assert_eq!(solve(&task, Order::Astar, Heuristic::LmCut, Limits::default()).unwrap().plan.len(), 10);
}

#[test]
fn what_has_no_plan_or_is_too_large_is_said() {
    let find = |task: &Task, limits| solve(task, Order::Astar, Heuristic::Blind, limits).unwrap_err();
    let locked = task(DOORS, &HOUSE.replace("leads oak", "leads vault"));
    assert_eq!(find(&locked, Limits::default()), Unsolved::Unsolvable);
    let task = known(Known::Blocksworld, 6, 1);
    let few = Limits { nodes: 10, ..Limits::default() };
    assert_eq!(find(&task, few).to_string(), "no plan was found within 10 states");
    let small = Limits { operators: 10, ..Limits::default() };
    assert_eq!(find(&task, small).to_string(), "the task has more than 10 instances of actions");
}

#[test]
fn a_written_heuristic_guides_a_search() {
    let task = known(Known::Blocksworld, 7, 3);
    let misplaced = "(+ (* 2 (count (on ?x ?y) (not (goal (on ?x ?y))))) (goals) (count (holding ?x)))";
    let formula = Formula::parse(misplaced, &task).unwrap();
    let guided = solve(&task, Order::Greedy, Heuristic::Formula(&formula), Limits::default()).unwrap();
    let blind = solve(&task, Order::Astar, Heuristic::Blind, Limits::default()).unwrap();
    validate(&task, &guided.plan).unwrap();
    assert!(guided.expanded * 5 < blind.expanded, "{} and {}", guided.expanded, blind.expanded);

    let value = |text: &str| Formula::parse(text, &task).map(|formula| formula.value(&task, &task.init));
    let clear = value("(count (clear ?x))").unwrap();
    let goals = value("(goals)").unwrap();
    for (text, expected) in [
        ("(/ 1 0)", 0.0),
        ("(- 1 3)", 0.0),
        ("(if (< 1 2) 7 9)", 7.0),
        ("(min 4 3 (max 1 2))", 2.0),
        ("(count (not (= ?x ?y)))", 42.0),
        ("(count (clear ?x) (not (clear ?x)))", 0.0),
        ("(count (clear ?x) (= ?x ?y))", clear),
        ("(* (goals) 0.5)", goals / 2.0),
    ] {
        assert_eq!(value(text).unwrap(), expected, "{text}");
    }
    for (text, why) in [
        ("(+ 1 (depth b1))", "heuristic:1:6: `depth` is not an operation; there are +"),
        ("(count (near ?x))", "heuristic:1:8: there is no predicate `near`"),
        ("(count (on ?x))", "`on` has 2 terms, and 1 are given"),
        ("(count (on ?x b99))", "there is no object `b99`"),
        ("(if 1 2 3)", "`if` is written `(if (< E E) E E)`"),
        ("(+ 1 x)", "`x` is not a number"),
        ("(count (on ?a ?b) (on ?c ?d) (clear ?e))", "at most four variables"),
    ] {
        let said = value(text).unwrap_err().to_string();
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn problems_are_the_same_up_to_names_and_order() {
    for domain in Known::ALL {
        let size = if domain == Known::Sokoban { 2 } else { 4 };
        let problem = domain.problem(size, 5);
        let mut other = renamed(&problem, |name| format!("my-{name}"));
        other.objects.reverse();
        other.init.reverse();
        other.goal.reverse();
        let is = |other: &Problem, names| same(&domain.domain(), &problem, other, names);
        assert_eq!(is(&other, Names::Free), Some(true), "{domain:?}");
        assert_eq!(is(&other, Names::Kept), Some(false));
        assert_eq!(is(&problem, Names::Kept), Some(true));
        // Any fact left out or goal exchanged makes it another problem.
        let mut less = other.clone();
        less.init.pop();
        assert_eq!(is(&less, Names::Free), Some(false));
        let mut turned = problem.clone();
        turned.goal.pop();
        assert_eq!(is(&turned, Names::Free), Some(false));
    }
    // A circle of six and two circles of three: every object looks the same, and they are not.
    let domain = "(define (domain graph) (:predicates (edge ?x ?y)))";
    let graph = |edges: &[(usize, usize)]| {
        let edges: String = edges.iter().map(|(a, b)| format!("(edge n{a} n{b})")).collect();
        format!(
            "(define (problem g) (:domain graph) (:objects n0 n1 n2 n3 n4 n5) (:init {edges}) (:goal ()))"
        )
    };
    let one = task(domain, &graph(&[(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0)]));
    let turned = task(domain, &graph(&[(3, 1), (1, 4), (4, 0), (0, 5), (5, 2), (2, 3)]));
    let two = task(domain, &graph(&[(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3)]));
    assert_eq!(same(&one.domain, &one.problem, &turned.problem, Names::Free), Some(true));
    assert_eq!(same(&one.domain, &one.problem, &two.problem, Names::Free), Some(false));

    let truth = Known::Blocksworld.problem(3, 2);
    let of = |text: &str| score(&Known::Blocksworld.domain(), &truth, text, Limits::default());
    let right = of(&renamed(&truth, |name| name.replace('b', "block")).to_string());
    assert!(right.equivalent && !right.same_names && right.solvable == Some(true) && right.fault.is_none());
    let wrong = of(&truth.to_string().replace("(handempty)", ""));
    assert!(!wrong.equivalent && wrong.solvable == Some(false));
    assert!(of("(define (problem").fault.unwrap().starts_with("problem:1:9: "));
}

#[test]
fn facts_are_said_and_read_back() {
    for domain in Known::ALL {
        let task = known(domain, 3, 4);
        let words = Words::of(&task.domain);
        let kind = |name: &str| task.object(name).map(|object| task.objects[object].kind.clone());
        for atom in &task.problem.init {
            assert_eq!(
                words.fact(&words.say(atom), &task.domain, kind).as_ref(),
                Some(atom),
                "{}",
                words.say(atom)
            );
        }
    }
    let doors = Domain::parse("doors", DOORS).unwrap();
    let mut words = Words::of(&doors);
    let fact = |predicate: &str, terms: &[&str]| Atom {
        predicate: predicate.into(),
        terms: terms.iter().map(|&term| term.into()).collect(),
    };
    assert_eq!(words.say(&fact("in", &["hall"])), "hall is in");
    assert_eq!(words.say(&fact("leads", &["oak", "hall", "cellar"])), "leads of oak and hall and cellar");
    words.set(&doors, "leads", "from {a} to {b} through {d}").unwrap();
    assert_eq!(words.say(&fact("leads", &["oak", "hall", "cellar"])), "from hall to cellar through oak");
    assert_eq!(
        words.action(&doors.actions[1]),
        "walk ?d ?a ?b (?d is a door, ?a is a room, ?b is a room). Needs: ?a is in; from ?a to ?b through ?d; ?d is open. \
         Needs that this is not so: ?b is dark. Afterwards: ?b is in. No longer: ?a is in."
    );
    for (predicate, template, why) in [
        ("leads", "{a} to {b}", "must name {0} of `leads` once"),
        ("leads", "{a} to {z}", "`leads` has no term z; it has 3 terms"),
        ("lies", "{0}", "there is no predicate `lies`; the domain has open, leads, in, dark"),
        ("in", "in {r", "not closed"),
    ] {
        let said = words.set(&doors, predicate, template).unwrap_err();
        assert!(said.contains(why), "{said}");
    }
}
