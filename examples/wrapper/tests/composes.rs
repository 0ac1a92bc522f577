//! The wrapper composes with the planners that ship, around them and within them, as a library of its own.

use std::sync::{Arc, Mutex};

use forethought_example_wrapper::NoLoops;
use forethought_planners::{fallback::Fallback, inner::Inner, vote::Vote};
use forethought_sdk::prelude::*;
use futures::executor::block_on;

/// A planner that does one thing after the other, the last one forever.
struct Does(&'static [&'static str], Mutex<usize>);

#[async_trait]
impl Planner for Does {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements { llms: vec!["actor".into()], ..Requirements::default() })
    }
    async fn decide(&self, _: DecisionContext, _: Arc<dyn Models>) -> Result<Decision> {
        let mut next = self.1.lock().unwrap();
        let action = Action::new(self.0[(*next).min(self.0.len() - 1)]);
        *next += 1;
        Ok(Decision { action, ..Decision::default() })
    }
}

fn does(actions: &'static [&'static str]) -> Arc<dyn Planner> {
    Arc::new(Does(actions, Mutex::new(0)))
}

fn inner(name: &str, planner: Arc<dyn Planner>) -> Inner {
    Inner { name: Some(name.into()), planner }
}

struct NoModels;
impl Models for NoModels {}

/// What is done at a wall, after going left there.
fn decide(planner: &dyn Planner) -> Decision {
    let exchange = Exchange { observation: "A wall.".into(), action: "left".into(), ..Exchange::default() };
    let turn = Turn { observation: Observation::text("A wall."), ..Turn::default() };
    let context = DecisionContext { history: vec![exchange], turn, ..DecisionContext::default() };
    block_on(planner.decide(context, Arc::new(NoModels))).unwrap()
}

#[test]
fn it_asks_again_where_nothing_has_changed() {
    let decision = decide(&NoLoops::over("inner", does(&["left", "left", "right"]), 3));
    let asked: Vec<_> = decision.trace.decisions.iter().map(|one| (&*one.action, one.taken)).collect();
    assert_eq!(asked, [("left", false), ("left", false), ("right", true)]);
    // As often as it may.
    let decision = decide(&NoLoops::over("inner", does(&["left"]), 1));
    assert_eq!((&*decision.action.text, decision.trace.decisions.len()), ("left", 2));
}

#[test]
fn it_composes_around_planners_and_within_them() {
    let within = |actions| inner("no-loops", Arc::new(NoLoops::over("inner", does(actions), 3)));
    let vote = Vote::over(vec![within(&["left", "right"]), within(&["ahead"]), within(&["right"])]).unwrap();
    let decision = decide(&vote);
    assert_eq!(decision.action.text, "right");
    assert_eq!(decision.trace.decisions[0].trace.decisions.len(), 2, "a tree of who asked whom");
    let needs = block_on(vote.requires()).unwrap();
    assert_eq!((needs.llms, &*needs.planners[0].0), (vec!["actor".to_string()], "no-loops"));

    let fallback = Fallback::over(vec![inner("a", does(&["left", "right"]))], Vec::new()).unwrap();
    assert_eq!(decide(&NoLoops::over("fallback", Arc::new(fallback), 1)).action.text, "right");
}
