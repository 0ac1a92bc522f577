//! The naive bots: how their games end, and that the planner at a table of text plays as they do on the bare rules.

mod common;

use std::sync::Arc;

use common::{act, avalon, block_on, reset};
use forethought_avalon::metrics::deduction;
use forethought_avalon::naive::planner::{Assassin, Naive, NaiveConfig, Speech};
use forethought_avalon::naive::play::Bots;
use forethought_avalon::role::Role;
use forethought_avalon::rules::{FifthRejection, Outcome, Rules};
use forethought_sdk::api::critic::Critic;
use forethought_sdk::prelude::*;
use forethought_sdk::seed::stream;
use forethought_sdk::serde_json::{from_value, json};
use forethought_testkit::slow;

/// Merlin, the Assassin, and Servants and Minions for the rest.
fn roles(rules: &Rules) -> Vec<Role> {
    let mut roles = vec![Role::Merlin, Role::Assassin];
    roles.resize(rules.evil() + 1, Role::Minion);
    roles.resize(rules.players(), Role::Servant);
    roles
}

/// Shares of games that good wins, that end by assassination, and that end by failed missions.
fn shares(players: usize, games: u32, assassin: Assassin) -> [f64; 3] {
    let rules = Rules::new(players, FifthRejection::Passes).expect("a number of players");
    let mut random = stream(1, "shares");
    let mut counts = [0_u32; 3];
    for _ in 0..games {
        let outcome = Bots::dealt(rules, &roles(&rules), assassin, &mut random).play(&mut random);
        counts[match outcome {
            Outcome::Good => 0,
            Outcome::Assassination => 1,
            Outcome::Missions => 2,
            Outcome::Rejections => unreachable!("the fifth team passes"),
        }] += 1;
    }
    counts.map(|count| f64::from(count) / f64::from(games))
}

/// Compares a share with what AvalonBench's own code gave over `games` of its games: within four standard errors of the
/// difference.
fn near(ours: f64, our_games: u32, theirs: f64, their_games: u32) {
    let variance = theirs * (1.0 - theirs);
    let error = (variance / f64::from(our_games) + variance / f64::from(their_games)).sqrt();
    println!("{ours:.4}, upstream {theirs:.3}, {:.1} standard errors", (ours - theirs).abs() / error);
    assert!((ours - theirs).abs() < 4.0 * error, "{ours} is too far from {theirs}");
}

#[test]
fn games_of_five_end_as_upstream() {
    let games = slow(10_000, 40_000);
    let shares = shares(5, games, Assassin::Uniform);
    // Four standard errors of our games alone: upstream's shares are from so many games that their error is small.
    for (ours, theirs) in shares.into_iter().zip([0.388, 0.191, 0.421_f64]) {
        let error = (theirs * (1.0 - theirs) / f64::from(games)).sqrt();
        println!("{ours:.4}, upstream {theirs:.3}, {:.1} standard errors", (ours - theirs).abs() / error);
        assert!((ours - theirs).abs() < 4.0 * error, "{ours} is too far from {theirs}");
    }
}

#[test]
fn games_of_six_and_seven_end_as_upstream() {
    let games = slow(10_000, 40_000);
    for (ours, theirs) in shares(6, games, Assassin::Uniform).into_iter().zip([0.441, 0.142, 0.416]) {
        near(ours, games, theirs, 2771);
    }
    near(shares(7, games / 2, Assassin::Uniform)[0], games / 2, 0.032, 1149);
}

#[test]
fn an_observant_assassin_finds_merlin_more_often() {
    let games = slow(5_000, 20_000);
    let found = |assassin| {
        let [good, assassinated, _] = shares(5, games, assassin);
        assassinated / (good + assassinated)
    };
    let (uniform, observant) = (found(Assassin::Uniform), found(Assassin::Observant));
    println!("finds Merlin: uniform {uniform:.3}, observant {observant:.3}");
    assert!((uniform - 1.0 / 3.0).abs() < slow(0.04, 0.02), "{uniform}");
    assert!(observant > uniform + 0.1, "{observant} is no better than {uniform}");
}

#[test]
fn in_small_games_the_servants_deduce_better_than_chance() {
    for players in 5..=7 {
        let rules = Rules::new(players, FifthRejection::Passes).expect("a number of players");
        let mut random = stream(2, "deduction");
        let (mut sum, mut count) = (0.0, 0);
        for _ in 0..200 {
            let mut deal = roles(&rules);
            forethought_sdk::seed::SliceRandom::shuffle(&mut deal[..], &mut random);
            let mut bots = Bots::new(rules, &deal, 0, Assassin::Uniform);
            bots.play(&mut random);
            for mind in bots.minds().iter().filter(|mind| mind.knowledge().role == Role::Servant) {
                sum += deduction(mind.good(), &deal);
                count += 1;
            }
        }
        let accuracy = sum / f64::from(count);
        // Calling everybody good is right as often as there are good players.
        let chance = (players - rules.evil()) as f64 / players as f64;
        println!("{players} players: servants deduce {accuracy:.3}, chance {chance:.3}");
        assert!(accuracy > chance, "{players} players: {accuracy}");
    }
}

/// No models but one called `poet`, which has its own words for everything.
struct Poet;

#[async_trait]
impl LlmBackend for Poet {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities::default())
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let asked = &request.messages.last().expect("a question").content;
        let known = asked.contains("[You] Player") && asked.contains("I trust Player");
        let text = if known { "O trusty friend,\nO villain!" } else { " " }.into();
        Ok(Completion { choices: vec![Choice { text, ..Choice::default() }], ..Completion::default() })
    }
}

#[async_trait]
impl Models for Poet {
    async fn llm(&self, name: String) -> Result<Arc<dyn LlmBackend>> {
        if name == "poet" { Ok(Arc::new(Self)) } else { Err(Error::not_found(name)) }
    }
    async fn critic(&self, name: String) -> Result<Arc<dyn Critic>> {
        Err(Error::not_found(name))
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        Ok(None)
    }
}

fn decide(config: NaiveConfig, turn: &Turn, seed: u64) -> Decision {
    let context = DecisionContext { seat: turn.seat, turn: turn.clone(), seed, ..DecisionContext::default() };
    block_on(Naive::new(config).decide(context, Arc::new(Poet))).expect("a decision")
}

/// Plays an episode with bots in every seat; returns its end and the decisions.
fn episode(world: &dyn Environment, config: NaiveConfig, seed: u64) -> (Transition, Vec<(Turn, Decision)>) {
    let mut turn = reset(world, 0, seed);
    let mut decisions = Vec::new();
    loop {
        let decision = decide(config.clone(), &turn, seed::derive(seed, &decisions.len().to_string()));
        assert!(decision.trace.recoveries.is_empty(), "{:?}", decision.trace);
        let end = act(world, &decision.action.text);
        assert!(end.turn.observation.data["refused"].is_null(), "{:?} was refused", decision.action);
        decisions.push((turn, decision));
        if end.terminated {
            return (end, decisions);
        }
        turn = end.turn;
    }
}

#[test]
fn planners_at_the_table_win_as_often_as_bots_on_the_bare_rules() {
    let world = avalon(json!({}));
    let games = slow(300, 1000);
    let mut counts = [0.0; 3];
    for seed in 0..games {
        let (end, _) = episode(&world, NaiveConfig::default(), seed);
        for (count, metric) in counts.iter_mut().zip(["", "assassinated", "missions_lost"]) {
            *count += end.info["metrics"][metric].as_f64().unwrap_or_default();
        }
        assert_eq!(end.rewards.iter().sum::<f64>(), if end.info["outcome"] == "good" { 3.0 } else { 2.0 });
    }
    near(counts[1] / games as f64, games as u32, 0.191, 42_457);
    near(counts[2] / games as f64, games as u32, 0.421, 42_457);
}

#[test]
fn bots_play_every_table_and_tell_their_beliefs() {
    for (players, special) in [
        (5, json!(["percival", "morgana"])),
        (7, json!(["percival", "mordred", "oberon"])),
        (10, json!(["percival", "morgana", "mordred", "oberon"])),
    ] {
        let keys = json!({ "players": players, "special_roles": special, "discussion": true,
                           "fifth_rejection": "evil_wins" });
        let world = avalon(keys);
        let config: NaiveConfig = from_value(json!({ "assassin": "observant" })).expect("a configuration");
        for seed in 0..20 {
            let (end, decisions) = episode(&world, config.clone(), seed);
            assert_eq!(end.success, Some(end.info["metrics"]["won"] == 1.0));
            for (turn, decision) in decisions {
                let beliefs: Vec<f64> =
                    from_value(decision.trace.details["beliefs"].clone()).expect("beliefs");
                assert_eq!(beliefs.len(), players);
                let own = beliefs[turn.seat];
                let good = turn.observation.data["side"] == "good";
                assert!((own - f64::from(u8::from(good))).abs() < 1e-9, "seat {} {own}", turn.seat);
            }
        }
    }
}

#[test]
fn evil_bots_vouch_for_each_other_and_good_ones_say_what_they_believe() {
    let world = avalon(json!({ "discussion": true, "agent_role": "merlin" }));
    let turn = reset(&world, 0, 3);
    let leader = turn.seat;
    let mut turn = Some(turn);
    let mut said = Vec::new();
    while let Some(now) = turn.take().filter(|turn| turn.observation.data["phase"] == "discussion") {
        let decision = decide(NaiveConfig::default(), &now, 5);
        said.push((now.observation.data["role"].clone(), decision.action.text.clone()));
        turn = Some(act(&world, &decision.action.text).turn);
    }
    assert_eq!(said.len(), 5, "everybody speaks once, from player {leader} on");
    for (role, text) in said {
        let known = text.contains("I trust Player") && text.contains("I suspect Player");
        assert_eq!(known, role != "servant", "{role}: {text}");
    }
}

#[test]
fn a_model_puts_statements_into_its_own_words() {
    let world = avalon(json!({ "discussion": true, "agent_role": "merlin" }));
    let mut turn = reset(&world, 0, 3);
    let config = NaiveConfig { llm: Some("poet".into()), ..NaiveConfig::default() };
    let needs = block_on(Naive::new(config.clone()).requires()).expect("needs");
    assert_eq!(needs.llms, ["poet"]);
    for _ in 0..5 {
        let decision = decide(config.clone(), &turn, 5);
        // Servants know nothing yet; the poet has no words for that, so they use the template's.
        let servant = turn.observation.data["role"] == "servant";
        let said =
            if servant { "say I cannot tell yet who is who." } else { "say O trusty friend,\nO villain!" };
        assert_eq!(decision.action.text, said);
        turn = act(&world, &decision.action.text).turn;
    }
    let heard = turn.observation.text.matches(": O trusty friend, O villain!").count();
    assert_eq!(heard, 3, "{}", turn.observation.text);
    let silent = NaiveConfig { speech: Speech::None, ..NaiveConfig::default() };
    let turn = reset(&world, 0, 3);
    assert_eq!(decide(silent, &turn, 5).action.text, "say I have nothing to say.");
}

#[test]
fn elsewhere_a_bot_does_something_legal_and_says_so() {
    let turn = Turn { legal_actions: vec!["click[a]".into()], ..Turn::default() };
    let decision = decide(NaiveConfig::default(), &turn, 0);
    assert_eq!(decision.action.text, "click[a]");
    assert!(decision.trace.recoveries[0].starts_with("this is not Avalon"));
}
