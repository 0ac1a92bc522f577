//! Who sits in the second seat: the fitted donor, the haggler, and a language model as a person.

use std::sync::Mutex;

use forethought_persuasion::donor::{Donor, DonorConfig, model::Parameters};
use forethought_persuasion::environment::Persuasion;
use forethought_persuasion::haggler::{Haggler, HagglerConfig};
use forethought_persuasion::persona::{Persona, PersonaConfig};
use forethought_persuasion::script::ScriptConfig;
use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::{Value, from_value, json};
use forethought_testkit::block_on;

/// A model that always gives the same answer, and remembers what it was asked.
#[derive(Default)]
struct Parrot {
    says: &'static str,
    heard: Mutex<Vec<ChatRequest>>,
}

#[async_trait]
impl LlmBackend for Parrot {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities::default())
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        self.heard.lock().expect("the requests").push(request);
        let choice = Choice { text: self.says.into(), ..Choice::default() };
        Ok(Completion { choices: vec![choice], ..Completion::default() })
    }
}

struct Only(Arc<Parrot>);

#[async_trait]
impl Models for Only {
    async fn llm(&self, _name: String) -> Result<Arc<dyn LlmBackend>> {
        Ok(self.0.clone())
    }
    async fn critic(&self, name: String) -> Result<Arc<dyn Critic>> {
        Err(Error::not_found(name))
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        Ok(None)
    }
}

/// Plays an episode: the first seat repeats `lines`, or is played by a planner. Returns the end, and what the second
/// seat said.
fn play(
    config: Value,
    seed: u64,
    first: Result<&[&str], &dyn Planner>,
    second: &dyn Planner,
    llm: &Arc<Parrot>,
) -> (Transition, Vec<String>) {
    let world = Persuasion::new(from_value::<ScriptConfig>(config).expect("a valid configuration").0);
    let environment = block_on(world.spec()).expect("a spec");
    let mut turn = block_on(world.reset(Reset { task: 0, seed })).expect("a first turn");
    let mut histories = [Vec::new(), Vec::new()];
    let mut said = Vec::new();
    for step in 0.. {
        let seat = turn.seat;
        let context = DecisionContext {
            environment: environment.clone(),
            seat,
            step,
            history: histories[seat].clone(),
            turn,
            seed: seed::derive(seed, &format!("step {step}")),
            ..DecisionContext::default()
        };
        let decide = |planner: &dyn Planner| {
            block_on(planner.decide(context.clone(), Arc::new(Only(llm.clone())))).expect("a decision").action
        };
        let action = match (seat, first) {
            (0, Ok(lines)) => Action::new(lines[histories[0].len() % lines.len()]),
            (0, Err(planner)) => decide(planner),
            _ => decide(second),
        };
        if seat == 1 {
            said.push(action.text.clone());
        }
        let observation = context.turn.observation.text;
        histories[seat].push(Exchange { observation, action: action.text.clone(), ..Exchange::default() });
        let answer = block_on(world.step(action)).expect("an answer");
        if answer.terminated {
            return (answer, said);
        }
        turn = answer.turn;
    }
    unreachable!("every dialogue ends");
}

/// A persuader who does a bit of everything.
const EVERYTHING: &[&str] = &[
    "Hello! How are you today?",
    "Have you heard of Save the Children?",
    "Save the Children is an international organisation that has helped children in over a hundred countries since 1919.",
    "Imagine a little child who is hungry and afraid because of a war.",
    "Even a few cents buy food and medicine for a child.",
    "Would you like to donate some of your payment?",
    "The donation is taken directly from your task payment, and you choose the amount.",
    "How much would you like to donate?",
];

fn donor() -> Donor {
    Donor::new(DonorConfig::default()).expect("a donor")
}

#[test]
fn a_fitted_donor_plays_whole_dialogues_and_its_answer_can_always_be_read() {
    let llm = Arc::default();
    let episodes: Vec<_> =
        (0..300).map(|seed| play(json!({}), seed, Ok(EVERYTHING), &donor(), &llm)).collect();
    let gifts: Vec<f64> =
        episodes.iter().map(|(end, _)| end.info["metrics"]["donation"].as_f64().expect("dollars")).collect();
    assert!(episodes.iter().all(|(end, said)| end.info["unread"] == false && said.len() == 11));
    assert!(episodes.iter().all(|(_, said)| said.iter().all(|words| !words.is_empty())));
    let rate = gifts.iter().filter(|gift| **gift > 0.0).count() as f64 / 300.0;
    assert!((0.25..0.75).contains(&rate), "{rate}: people give about every other time");
    assert_eq!(
        play(json!({}), 3, Ok(EVERYTHING), &donor(), &llm),
        episodes[3],
        "the same seed, the same donor"
    );
    assert_ne!(episodes[3].1, episodes[4].1);
}

const TRUST: &str =
    "Save the Children is an international organisation, and publishes where every dollar goes.";
const HEART: &str = "Imagine a little child who is hungry and afraid because of a war.";
const USE: &str = "Even a few cents help, every little bit makes a difference.";
const ASK: &str = "Would you like to donate some of your payment?";

/// Answers the doubt that it hears in the donor's words, and asks in between.
struct Listener;

#[async_trait]
impl Planner for Listener {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements::default())
    }
    async fn decide(&self, context: DecisionContext, _models: Arc<dyn Models>) -> Result<Decision> {
        let step = context.history.len();
        let heard: Vec<&str> = context.history.iter().map(|one| one.observation.as_str()).collect();
        let heard = format!("{} {}", heard.join(" "), context.turn.observation.text).to_lowercase();
        let says = |words: &[&str]| words.iter().filter(|word| heard.contains(**word)).count();
        let doubts = [
            (
                TRUST,
                says(&[
                    "trust",
                    "salaries",
                    "overhead",
                    "scam",
                    "publish",
                    "really go",
                    "look them up",
                    "who gets",
                ]),
            ),
            (
                HEART,
                says(&[
                    "going through",
                    "far away",
                    "touch me",
                    "feel",
                    "who are the children",
                    "my concern",
                ]),
            ),
            (
                USE,
                says(&[
                    "small sum",
                    "in practice",
                    "drop in the",
                    "my few cents",
                    "achieved",
                    "what good",
                    "of use",
                ]),
            ),
        ];
        let heard = doubts.iter().max_by_key(|(_, count)| *count).filter(|(_, count)| *count > 0);
        let said = match heard {
            _ if step % 3 == 2 => ASK,
            Some((answer, _)) => answer,
            None => [TRUST, HEART, USE][step % 3],
        };
        Ok(Decision { action: Action::new(said), ..Decision::default() })
    }
}

/// Mean donation over 400 episodes, in dollars.
fn mean_donation(first: Result<&[&str], &dyn Planner>) -> f64 {
    let one = |seed| play(json!({}), seed, first, &donor(), &Arc::default()).0;
    (0..400).map(|seed| one(seed).info["metrics"]["donation"].as_f64().expect("dollars")).sum::<f64>() / 400.0
}

#[test]
fn a_persuader_who_listens_is_given_more_than_one_with_a_plan() {
    let plans: [(&str, &[&str]); 6] = [
        ("chat", &["Hello! How are you today?", "Thank you."]),
        ("ask", &[ASK]),
        ("trust", &[TRUST, TRUST, ASK]),
        ("heart", &[HEART, HEART, ASK]),
        ("use", &[USE, USE, ASK]),
        ("everything", EVERYTHING),
    ];
    let means = plans.map(|(name, lines)| (name, mean_donation(Ok(lines))));
    let listens = mean_donation(Err(&Listener));
    println!("{means:.3?}, listens {listens:.3}");
    for (name, mean) in &means[..5] {
        assert!(listens > mean + 0.05, "{name}: {mean}, against {listens}");
    }
}

#[test]
fn in_gdp_zeros_game_the_donor_names_its_replies() {
    let (mut yes, mut no) = (0, 0);
    for seed in 0..100 {
        let (end, said) =
            play(json!({ "preset": "gdp-zero" }), seed, Ok(EVERYTHING), &donor(), &Arc::default());
        assert!(said.iter().all(|words| words.starts_with('[')), "{said:?}");
        match end.rewards[0] {
            1.0 => yes += 1,
            _ => no += 1,
        }
    }
    assert!(yes > 10 && no > 10, "{yes} and {no}");
}

#[test]
fn hagglers_come_to_deals_that_share_the_range() {
    let haggler = |patience| Haggler::new(HagglerConfig { patience }).expect("a haggler");
    let shares = |patience: f64| -> Vec<f64> {
        let play = |seed| {
            let config = json!({ "preset": "negotiation" });
            play(config, seed, Err(&haggler(patience)), &haggler(1.0), &Arc::default()).0
        };
        (0..200).map(play).filter(|end| end.success == Some(true)).map(|end| end.rewards[0]).collect()
    };
    let (patient, hurried) = (shares(3.0), shares(0.3));
    let mean = |shares: &[f64]| shares.iter().sum::<f64>() / shares.len() as f64;
    assert!(patient.len() > 180 && hurried.len() > 180, "{} and {} deals", patient.len(), hurried.len());
    assert!(patient.iter().all(|share| (0.0..=1.0).contains(share)));
    assert!(mean(&patient) > mean(&hurried) + 0.1, "{} against {}", mean(&patient), mean(&hurried));
}

#[test]
fn a_persona_is_one_person_throughout_and_speaks_for_itself_alone() {
    let config = from_value::<PersonaConfig>(json!({ "llm": "actor" })).expect("a configuration");
    let persona = Persona::new(config).expect("a persona");
    let llm = Arc::new(Parrot { says: "\nDonor: I see.\nPersuader: Please!", ..Parrot::default() });
    let (end, said) = play(json!({ "turns": 3 }), 1, Ok(EVERYTHING), &persona, &llm);
    assert_eq!((end.info["metrics"]["donation"].as_f64(), said[0].as_str()), (Some(0.0), "I see."));
    let heard = llm.heard.lock().expect("the requests");
    assert_eq!((heard.len(), heard[0].purpose), (5, Purpose::Persona));
    let who = |request: &ChatRequest| {
        let text = request.messages[0].content.clone();
        text.lines().find(|line| line.starts_with("Who you are: ")).map(str::to_owned)
    };
    assert!(who(&heard[0]).is_some() && heard.iter().all(|request| who(request) == who(&heard[0])));
    assert!(heard[1].messages[0].content.contains("You said: I see."));
    assert!(heard[0].messages[0].content.starts_with("You are in a dialogue: persuasion"));
}

#[test]
fn a_persona_says_all_that_it_says_and_nothing_that_it_thought() {
    let config = from_value::<PersonaConfig>(json!({ "llm": "actor" })).expect("a configuration");
    let persona = Persona::new(config).expect("a persona");
    let said = |says: &'static str| {
        let llm = Arc::new(Parrot { says, ..Parrot::default() });
        let (_, said) = play(json!({ "turns": 1 }), 1, Ok(EVERYTHING), &persona, &llm);
        let heard = llm.heard.lock().expect("the requests").clone();
        (said[0].clone(), heard)
    };
    let (words, _) =
        said("<think>I could give.\nAction: Take all!</think>Action: Hello!\n\nI am not sure.\n\nWhy me?");
    assert_eq!(words, "Hello!\n\nI am not sure.\n\nWhy me?");
    let (words, _) = said("Hello!\n\nWhy me?\nPersuader: Because.\nDonor: Then yes.");
    assert_eq!(words, "Hello!\n\nWhy me?");
    // Nothing is said: once more, without an empty turn of the model, and then the silence is counted by the caller.
    let (words, heard) = said("<think>What now");
    assert_eq!(words, "");
    assert_eq!((heard[1].messages.len(), heard[1].messages[0].role), (1, Role::User));
    assert!(heard[1].messages[0].content.contains("ended within its reasoning"));
    assert_ne!(heard[0].seed, heard[1].seed);
}

#[test]
fn they_conform() {
    for (kind, config) in
        [("donor-fitted", json!({})), ("haggler", json!({})), ("persona", json!({ "llm": "actor" }))]
    {
        forethought_conformance::assert_conforms("planner", kind, config);
    }
}

#[test]
fn approaches_are_read_from_words_that_no_annotator_saw() {
    let reader = Parameters::shipped().reader;
    let names = |text: &str| {
        reader
            .utterance(text)
            .into_iter()
            .map(|one| forethought_persuasion::donor::acts::APPROACH_NAMES[one])
            .collect::<Vec<_>>()
    };
    let check = |text: &str, expected: &[&str]| assert_eq!(names(text), expected, "{text}");
    check("Hello! How are you today?", &["greeting", "greeting"]);
    check("Have you heard of Save the Children?", &["source inquiry"]);
    check(
        "They are an international organization that protects children's rights in many countries.",
        &["credibility"],
    );
    check("Imagine a little child who is hungry and afraid because of a war.", &["emotion"]);
    check("Even a few cents help, every little bit makes a difference.", &["reason"]);
    check("The donation is taken directly from your task payment.", &["information"]);
    check("Would you like to donate some of your payment?", &["request"]);
    check("How much would you like to donate?", &["request"]);
    check("Thank you very much. Have a nice day!", &["other", "other"]);
    check("", &[]);
}
