//! Scripted behaviours: what every behaviour of the simulated LLM has in common.
//!
//! An author writes three types: a [`View`] of what a prompt shows, the [`Move`]s that come to mind, and the
//! [`Outcome`]s that they may have, the last two as tables of wordings ([`worded!`](crate::worded)). [`Scripted`] makes
//! a [`ScriptedBehaviour`] of them. Each kind of answer has its own random stream, so none shifts another's draws.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use async_trait::async_trait;
use forethought_api::{
    Error, Result,
    behaviour::{Bank, BehaviourPrompt, ScriptedBehaviour, Wordings},
    error::Context,
};
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::seed::{stream, weighted};
pub use crate::worded;

/// A value with several fixed wordings.
pub trait Worded: Copy + 'static {
    /// All values.
    const ALL: &'static [Self];
    /// Its name, as in a bank of free wordings.
    fn name(self) -> &'static str;
    /// The ways to say it: at least one.
    fn wordings(self) -> &'static [&'static str];
    /// One of them, drawn.
    fn wording(self, rng: &mut ChaCha8Rng) -> &'static str {
        self.wordings().choose(rng).expect("a value has at least one wording")
    }
    /// The value of which `text` is a wording, if there is one.
    fn read(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.wordings().contains(&text.trim()))
    }
}

/// An enum with the wordings of each variant: derives [`Worded`].
///
/// ```
/// use forethought_sdk::simulated::{Worded, worded};
///
/// worded! {
///     /// Where to turn.
///     enum Way {
///         /// Left.
///         Left: ["Left.", "Turn left."],
///         /// Right.
///         Right: ["Right."],
///     }
/// }
/// assert_eq!(Way::read("Turn left."), Some(Way::Left));
/// ```
#[macro_export]
macro_rules! worded {
    ($(#[$about:meta])* $visible:vis enum $name:ident {
        $($(#[$doc:meta])* $variant:ident: [$($wording:literal),+ $(,)?],)+
    }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $visible enum $name { $($(#[$doc])* $variant),+ }
        impl $crate::simulated::Worded for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];
            fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),+ }
            }
            fn wordings(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($wording),+]),+ }
            }
        }
    };
}

/// What a reader understands of a prompt.
pub trait View: Sized {
    /// Whether the text is about the behaviour's task.
    fn recognises(text: &str) -> bool;
    /// Reads the text of a prompt.
    fn read(text: &str) -> Self;
    /// A summary of the state.
    fn state(&self) -> String;
    /// Free wordings of the behaviour's moves, outcomes and lines of state, in the form that [`wordings`] reads.
    fn free_wordings() -> &'static str {
        "{}"
    }
}

/// A strategy for the next action; its wordings are thoughts.
pub trait Move: Worded {
    /// What it is chosen by.
    type View: View;
    /// The moves that come to mind, at least one, with weights. First and refined thoughts alike are drawn from them.
    fn prior(view: &Self::View) -> Vec<(Self, f64)>;
    /// The move that `thought` names; without one, the move is drawn.
    fn follow(thought: &str, _view: &Self::View) -> Option<Self> {
        Self::read(thought)
    }
    /// The action that carries it out, in the environment's grammar.
    fn action(self, view: &Self::View, rng: &mut ChaCha8Rng) -> String;
}

/// An outcome, as the behaviour tells outcomes apart.
pub trait Outcome: Worded {
    /// What it is read from.
    type View: View;
    /// The outcome that the text shows.
    fn reached(view: &Self::View) -> Self;
    /// Outcomes to hope for and outcomes to fear: at least one each, the most pressing first.
    fn imagine(view: &Self::View, rng: &mut ChaCha8Rng) -> [Vec<Self>; 2];
}

/// The behaviour of these moves and outcomes.
pub struct Scripted<M, O>(PhantomData<fn() -> (M, O)>);

impl<M, O> Default for Scripted<M, O> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

fn draw<M: Move>(view: &M::View, rng: &mut ChaCha8Rng) -> M {
    let prior = M::prior(view);
    let drawn = weighted(prior.iter().map(|(_, weight)| *weight), rng);
    prior[drawn.unwrap_or(prior.len() - 1)].0
}

#[async_trait]
impl<M: Move, O: Outcome<View = M::View>> ScriptedBehaviour for Scripted<M, O> {
    async fn recognises(&self, text: String) -> Result<bool> {
        Ok(M::View::recognises(&text))
    }
    async fn thought(&self, prompt: BehaviourPrompt) -> Result<String> {
        let mut rng = stream(prompt.seed, "thought");
        Ok(draw::<M>(&View::read(&prompt.text), &mut rng).wording(&mut rng).to_owned())
    }
    async fn action(&self, prompt: BehaviourPrompt) -> Result<String> {
        let (view, mut rng) = (View::read(&prompt.text), stream(prompt.seed, "action"));
        let chosen = M::follow(&prompt.thought, &view).unwrap_or_else(|| draw(&view, &mut rng));
        Ok(chosen.action(&view, &mut rng))
    }
    async fn outcomes(&self, prompt: BehaviourPrompt) -> Result<Vec<String>> {
        let mut rng = stream(prompt.seed, "outcomes");
        let [good, bad] = O::imagine(&View::read(&prompt.text), &mut rng);
        let half = prompt.count / 2;
        let outcomes = good.iter().cycle().take(half).chain(bad.iter().cycle().take(prompt.count - half));
        Ok(outcomes.map(|outcome| outcome.wording(&mut rng).to_owned()).collect())
    }
    async fn summary(&self, prompt: BehaviourPrompt) -> Result<(String, String)> {
        let view = M::View::read(&prompt.text);
        let outcome = O::reached(&view).wording(&mut stream(prompt.seed, "summary"));
        Ok((view.state(), outcome.to_owned()))
    }
    async fn bank(&self) -> Result<Bank> {
        let free = wordings(M::View::free_wordings()).context("the behaviour's free wordings")?;
        let regular = Wordings { outcomes: by_name::<O>(), thoughts: by_name::<M>(), ..Wordings::default() };
        Ok(Bank { regular, free })
    }
}

fn by_name<W: Worded>() -> Vec<(String, Vec<String>)> {
    let sentences = |value: W| value.wordings().iter().map(|&sentence| sentence.to_owned()).collect();
    W::ALL.iter().map(|&value| (value.name().to_owned(), sentences(value))).collect()
}

/// Wordings from JSON of the form `{"outcomes": {NAME: [SENTENCE, ...]}, "thoughts": {...}, "state": {...}}`.
///
/// # Errors
/// Text of another form, or a fourth key.
pub fn wordings(json: &str) -> Result<Wordings> {
    type ByName = BTreeMap<String, Vec<String>>;
    let mut read: BTreeMap<String, ByName> = serde_json::from_str(json)?;
    let mut take = |key| read.remove(key).unwrap_or_default().into_iter().collect();
    let (outcomes, thoughts, state) = (take("outcomes"), take("thoughts"), take("state"));
    match read.keys().next() {
        Some(key) => Err(Error::input(format!("`{key}` is not one of outcomes, thoughts, state"))),
        None => Ok(Wordings { outcomes, thoughts, state }),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    worded! {
        enum Way {
            Left: ["left", "to the left"],
            Right: ["right"],
        }
    }

    /// How much likelier right is.
    impl View for f64 {
        fn recognises(text: &str) -> bool {
            text.parse::<Self>().is_ok()
        }
        fn read(text: &str) -> Self {
            text.parse().expect("a number")
        }
        fn state(&self) -> String {
            self.to_string()
        }
    }

    impl Move for Way {
        type View = f64;
        fn prior(view: &f64) -> Vec<(Self, f64)> {
            vec![(Self::Left, 1.0), (Self::Right, *view)]
        }
        fn action(self, _: &f64, _: &mut ChaCha8Rng) -> String {
            format!("go {}", self.wordings()[0])
        }
    }

    impl Outcome for Way {
        type View = f64;
        fn reached(_: &f64) -> Self {
            Self::Right
        }
        fn imagine(_: &f64, _: &mut ChaCha8Rng) -> [Vec<Self>; 2] {
            [vec![Self::Left], vec![Self::Right]]
        }
    }

    type Walker = Scripted<Way, Way>;

    fn now<T>(answer: impl Future<Output = Result<T>>) -> T {
        answer.now_or_never().expect("nothing to wait for").expect("an answer")
    }

    fn prompt(thought: &str, count: usize, seed: u64) -> BehaviourPrompt {
        BehaviourPrompt { text: "3".into(), thought: thought.into(), count, seed }
    }

    #[test]
    fn thoughts_follow_the_prior() {
        let thoughts = (0..4000).map(|seed| now(Walker::default().thought(prompt("", 0, seed))));
        let left = thoughts.filter(|thought| Way::read(thought) == Some(Way::Left)).count();
        assert!((900..1100).contains(&left), "a quarter of the draws: {left}");
    }

    #[test]
    fn a_thought_is_carried_out_and_an_unknown_one_replaced() {
        let act = |thought| (0..50).map(move |seed| now(Walker::default().action(prompt(thought, 0, seed))));
        assert!(act(" to the left\n").all(|action| action == "go left"));
        assert!(act("up").any(|action| action == "go left") && act("up").any(|action| action == "go right"));
    }

    #[test]
    fn the_first_half_of_the_outcomes_is_good() {
        for (count, good) in [(0, 0), (1, 0), (4, 2), (5, 2)] {
            let outcomes = now(Walker::default().outcomes(prompt("", count, 1)));
            assert_eq!(outcomes.len(), count);
            let is_good = |text: &String| Way::read(text) == Some(Way::Left);
            assert!(outcomes.iter().position(|text| !is_good(text)).unwrap_or(count) == good, "{outcomes:?}");
            assert!(outcomes[good..].iter().all(|text| text == "right"), "{outcomes:?}");
        }
        assert_eq!(now(Walker::default().summary(prompt("", 0, 1))), ("3".into(), "right".into()));
    }
}
