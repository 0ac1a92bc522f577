//! Avalon from outside: configurations, episodes through the interface, invalid answers, and conformance.

mod common;

use common::{act, avalon, block_on, config, reset};
use forethought_avalon::environment::Avalon;
use forethought_conformance::assert_conforms;
use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::{Value, json};

#[test]
fn the_environment_conforms() {
    assert_conforms("environment", "avalon", json!({}));
    let special = ["percival", "morgana", "mordred", "oberon"];
    let keys = json!({ "players": 10, "special_roles": special, "discussion": true, "deduction": true, "fifth_rejection": "evil_wins" });
    assert_conforms("environment", "avalon", keys);
}

#[test]
fn the_bots_and_the_verifier_conform() {
    assert_conforms("planner", "avalon-naive", json!({ "assassin": "observant" }));
    assert_conforms("verifier", "avalon", json!({}));
}

/// Plays with the first legal action, or these words, up to the end.
fn play(world: &dyn Environment, first: Turn) -> Vec<Transition> {
    let mut turn = first;
    let mut transitions = Vec::new();
    loop {
        let action = turn.legal_actions.first().map_or("say nothing new", String::as_str).to_owned();
        let transition = act(world, &action);
        turn = transition.turn.clone();
        transitions.push(transition);
        if transitions.last().is_some_and(|transition| transition.terminated) {
            return transitions;
        }
    }
}

#[test]
fn an_episode_is_reset_played_and_scored() {
    let world = avalon(json!({ "agent_role": "merlin" }));
    let spec = block_on(world.spec()).expect("a spec");
    assert!(spec.instructions.starts_with("You are playing Avalon.\n"));
    assert_eq!((spec.tasks, spec.fork, spec.recovery), (None, true, Recovery::Replay));
    let names: Vec<&str> = spec.seats.iter().map(|seat| seat.name.as_str()).collect();
    assert_eq!(names, ["player 0", "player 1", "player 2", "player 3", "player 4"]);

    for seed in 0..20 {
        let first = reset(&world, 0, seed);
        let transitions = play(&world, first);
        let (end, before) = transitions.split_last().expect("moves");
        assert!(
            before
                .iter()
                .all(|step| step.rewards == [0.0; 5] && step.info.is_null() && step.success.is_none())
        );
        assert!(transitions.len() < spec.max_steps.expect("a limit") as usize);
        let roles = end.info["roles"].as_array().expect("roles");
        assert_eq!(roles[0], "merlin");
        let good_won = end.info["outcome"] == "good";
        for (role, reward) in roles.iter().zip(&end.rewards) {
            let good = role == "merlin" || role == "servant";
            assert_eq!(*reward, f64::from(u8::from(good == good_won)), "{role}");
        }
        assert_eq!(end.success, Some(good_won));
        assert_eq!(end.info["metrics"]["won"], json!(end.rewards[0]));
        assert!(end.turn.observation.text.contains("\n[End] "), "{}", end.turn.observation.text);
        assert!(end.turn.legal_actions.is_empty());

        let after = act(&world, "vote approve");
        assert!(after.terminated && after.rewards == [0.0; 5] && after.info.is_null());
        assert_eq!(after.turn, end.turn);
    }
}

#[test]
fn metrics_say_how_it_ended() {
    let world = avalon(json!({}));
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let first = reset(&world, 0, seed);
        let end = play(&world, first).pop().expect("an end");
        let metrics = &end.info["metrics"];
        let outcome = end.info["outcome"].as_str().expect("an outcome").to_owned();
        for (metric, name) in [
            ("assassinated", "assassination"),
            ("missions_lost", "missions"),
            ("rejections_lost", "rejections"),
        ] {
            assert_eq!(metrics[metric] == 1.0, outcome == name, "{metric}: {end:?}");
        }
        let survived = match outcome.as_str() {
            "good" => json!(1.0),
            "assassination" => json!(0.0),
            _ => Value::Null,
        };
        assert_eq!(metrics["merlin_survived"], survived);
        assert!(metrics["rounds"].as_f64() >= Some(3.0));
        assert_eq!(metrics["quests_succeeded"] == 3.0, outcome != "missions");
        seen.insert(outcome);
    }
    assert!(seen.contains("assassination") && seen.contains("good"), "{seen:?}");
}

#[test]
fn seat_0_is_asked_whom_it_takes_to_be_good() {
    let world = avalon(json!({ "agent_role": "servant", "deduction": true }));
    assert!(block_on(world.spec()).expect("a spec").instructions.contains("\n- believe [0, 1]: "));
    for seed in 0..20 {
        let mut turn = reset(&world, 0, seed);
        while turn.observation.data["phase"] != "deduction" {
            turn = act(&world, turn.legal_actions.first().map_or("say", String::as_str)).turn;
        }
        assert_eq!(turn.seat, 0);
        let asked = &turn.observation.text;
        assert!(!asked.contains("[End]") && !asked.contains("[Assassination]"), "{asked}");
        let mut end = act(&world, "believe [0, 1, 2]");
        if !end.terminated {
            assert_eq!(end.turn.observation.data["phase"], "assassination");
            end = act(&world, &end.turn.legal_actions[1].clone());
        }
        let roles: Vec<String> =
            forethought_sdk::serde_json::from_value(end.info["roles"].clone()).expect("roles");
        let good = |seat: usize| ["merlin", "servant"].contains(&roles[seat].as_str());
        let right = (0..5).filter(|&seat| good(seat) == (seat < 3)).count();
        assert_eq!(end.info["metrics"]["deduction"], json!(right as f64 / 5.0));
    }
}

#[test]
fn five_rejections_lose_where_that_is_the_rule() {
    let world = avalon(json!({ "fifth_rejection": "evil_wins" }));
    let reject = |turn: &Turn| turn.legal_actions.last().cloned().expect("a legal action");
    let mut turn = reset(&world, 0, 1);
    for _ in 0..5 * 6 - 1 {
        turn = act(&world, &reject(&turn)).turn;
    }
    let end = act(&world, &reject(&turn));
    assert!(end.terminated);
    assert_eq!(end.info["outcome"], "rejections");
    assert_eq!(end.info["metrics"]["rejections_lost"], 1.0);

    let world = avalon(json!({}));
    let mut turn = reset(&world, 0, 1);
    for _ in 0..5 * 6 {
        turn = act(&world, &reject(&turn)).turn;
    }
    assert_eq!(turn.observation.data["phase"], "quest", "the fifth team goes in spite of the votes");
}

#[test]
fn an_invalid_answer_is_explained_twice_and_then_replaced() {
    let world = avalon(json!({}));
    let first = reset(&world, 0, 2);
    let leader = first.seat;
    for _ in 0..2 {
        let refused = act(&world, "propose [0, 1, 2]");
        assert!(refused.illegal);
        let again = refused.turn;
        assert_eq!((again.seat, &again.legal_actions), (leader, &first.legal_actions));
        let refusal = "[Refused] This quest needs a team of 2, and you named 3.\n[Turn] ";
        assert!(again.observation.text.contains(refusal), "{}", again.observation.text);
        assert!(again.observation.data["refused"].is_string());
    }
    let after = act(&world, "well").turn;
    let team = format!("Player {leader} proposes the team {}", {
        let (a, b) = (leader, (leader + 1) % 5);
        format!("{}, {}", a.min(b), a.max(b))
    });
    assert!(after.observation.text.contains(&team), "{}", after.observation.text);
    assert!(!after.observation.text.contains("[Refused]"), "another seat was refused");
    // A valid answer in between starts the count again.
    for _ in 0..2 {
        assert_eq!(act(&world, "well").turn.seat, 0);
    }
    let legal = act(&world, "vote approve");
    assert_eq!((legal.turn.seat, legal.illegal), (1, false));
    for _ in 0..2 {
        assert_eq!(act(&world, "well").turn.seat, 1);
    }
    assert_eq!(act(&world, "well").turn.seat, 2);
}

#[test]
fn a_whole_game_of_invalid_answers_ends_within_the_limit() {
    for discussion in [false, true] {
        let world = avalon(json!({ "players": 10, "discussion": discussion }));
        let limit = block_on(world.spec()).expect("a spec").max_steps.expect("a limit");
        reset(&world, 0, 0);
        let steps = (1..).take_while(|_| !act(&world, "").terminated).count();
        assert!(steps < limit as usize, "{steps} of {limit}");
    }
}

#[test]
fn what_is_said_reaches_everybody_once() {
    let world = avalon(json!({ "discussion": true }));
    let mut turn = reset(&world, 0, 9);
    let leader = turn.seat;
    for speaker in 0..5 {
        assert_eq!(turn.seat, (leader + speaker) % 5, "the leader first, then in the order of seats");
        assert_eq!(turn.observation.data["phase"], "discussion");
        turn = act(&world, &format!("say I am number {speaker}")).turn;
    }
    assert_eq!((turn.seat, &turn.observation.data["phase"]), (leader, &json!("proposal")));
    let lines = |turn: &Turn| turn.observation.text.matches("[Discussion]").count();
    assert_eq!(lines(&turn), 5);
    turn = act(&world, &turn.legal_actions[0].clone()).turn;
    for seat in 0..5 {
        // The last speaker has heard all but its own words.
        let heard = if seat == leader { 0 } else { 5 - (seat + 5 - leader) % 5 };
        assert_eq!((turn.seat, lines(&turn)), (seat, heard));
        turn = act(&world, "vote reject").turn;
    }
}

#[test]
fn the_same_seed_gives_the_same_game_and_others_give_others() {
    let deal = |keys: Value, task, seed| {
        let avalon = avalon(keys);
        let table = avalon.deal(Reset { task, seed }).expect("a deal");
        (table.deal().to_vec(), table.game().leader())
    };
    assert_eq!(deal(json!({}), 3, 4), deal(json!({}), 3, 4));
    let (mut leaders, mut merlins) = ([0; 5], [0; 5]);
    for seed in 0..1000 {
        let (roles, leader) = deal(json!({}), 0, seed);
        leaders[leader] += 1;
        merlins[roles.iter().position(|role| role.word() == "merlin").expect("Merlin")] += 1;
        let (roles, _) = deal(json!({ "agent_role": "assassin" }), seed, 0);
        assert_eq!(roles[0].word(), "assassin");
    }
    for counts in [leaders, merlins] {
        assert!(counts.iter().all(|count| (150..250).contains(count)), "{counts:?}");
    }
}

#[test]
fn configurations_that_make_no_game_are_refused() {
    let error = |keys: Value| Avalon::new(config(keys)).err().expect("no game").to_string();
    for (keys, part) in [
        (json!({ "players": 4 }), "`players` is 4, but must be 5 to 10"),
        (json!({ "players": 11 }), "`players` is 11"),
        (json!({ "special_roles": ["morgana", "mordred"] }), "of 5 players only 2 can be"),
        (json!({ "special_roles": ["percival", "percival"] }), "each once"),
        (json!({ "special_roles": ["minion"] }), "minion is not allowed"),
        (json!({ "agent_role": "percival" }), "`agent_role` is percival, which is not in play"),
        (json!({ "presets": "/no/such/file" }), "/no/such/file"),
    ] {
        let error = error(keys.clone());
        assert!(error.contains(part), "{keys}: {error}");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("presets.json");
    let preset = |roles: [&str; 5]| json!({ "num_players": 5, "quest_leader": 0, "role_names": roles });
    let good = ["Merlin", "Servant", "Servant", "Minion", "Assassin"];
    for (presets, part) in [
        (json!([]), "no games"),
        (json!([preset(["Merlin", "Servant", "Servant", "Servant", "Assassin"])]), "it must be 2"),
        (json!([preset(["Merlin", "Servant", "Servant", "Minion", "Wizard"])]), "no role `Wizard`"),
        (json!([preset(["Merlin", "Merlin", "Servant", "Minion", "Assassin"])]), "one Merlin"),
        (json!([preset(good), preset(["Merlin", "Percival", "Servant", "Minion", "Assassin"])]), "game 1"),
        (json!([{ "num_players": 6, "quest_leader": 0, "role_names": good }]), "`num_players` is 6"),
        (json!([{ "num_players": 5, "quest_leader": 5, "role_names": good }]), "player 5 cannot lead"),
    ] {
        std::fs::write(&path, presets.to_string()).expect("a file");
        let error = error(json!({ "presets": path }));
        assert!(error.contains(part), "{presets}: {error}");
    }
    // What the games of a file override is listed: no run begins with it.
    std::fs::write(&path, json!([preset(good)]).to_string()).expect("a file");
    for (mut keys, overridden) in [
        (json!({ "players": 5 }), vec![]),
        (json!({ "players": 7, "agent_role": "merlin" }), vec!["agent_role", "players"]),
        (json!({ "special_roles": ["percival"] }), vec!["special_roles"]),
    ] {
        keys["presets"] = json!(path);
        let spec = block_on(avalon(keys).spec()).expect("a spec");
        assert_eq!(spec.overridden.into_keys().collect::<Vec<_>>(), overridden);
    }
}

#[test]
fn worlds_are_spawned_without_an_episode() {
    let world = block_on(avalon(json!({})).spawn()).expect("a world");
    let error = block_on(world.step(Action::new("vote approve"))).expect_err("no episode yet");
    assert!(error.to_string().contains("call reset first"), "{error}");
    let error = block_on(world.imagine(Imagine::default())).err().expect("no episode yet");
    assert!(error.to_string().contains("call reset first"), "{error}");
    reset(&*world, 1, 1);
    let error =
        block_on(world.imagine(Imagine { seat: 5, ..Imagine::default() })).err().expect("no such seat");
    assert!(error.to_string().contains("no seat 5"), "{error}");
}
