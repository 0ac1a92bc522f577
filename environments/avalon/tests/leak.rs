//! No leak: a seat that cannot tell two deals apart sees the same of two games that are played alike, to the byte.
//!
//! Two games are played side by side with the same public moves and the same secret ones of the seat that looks on. The
//! roles of the others differ in what the seat cannot know, and so does who of them fails a quest. The seat must be
//! shown the same of both.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::{act, avalon, block_on, reset};
use forethought_avalon::grammar::{Ask, Move};
use forethought_avalon::observe::{observation, turn};
use forethought_avalon::role::{Role, Side};
use forethought_avalon::rules::FifthRejection;
use forethought_avalon::seats::Seats;
use forethought_avalon::table::{Event, Setup, Table};
use forethought_sdk::prelude::*;
use forethought_sdk::seed::{ChaCha8Rng, RngExt, SliceRandom, stream};
use forethought_sdk::serde_json::json;
use forethought_testkit::slow;
use proptest::prelude::*;

/// Roles for a table, with some of the special ones.
fn roles(players: usize, special: [bool; 4]) -> Vec<Role> {
    let evil = [2, 2, 3, 3, 3, 4][players - 5];
    let (mut good_seats, mut evil_seats) = (players - evil - 1, evil - 1);
    let mut roles = vec![Role::Merlin, Role::Assassin];
    let wanted = [Role::Percival, Role::Morgana, Role::Mordred, Role::Oberon].into_iter().zip(special);
    for (role, _) in wanted.filter(|(_, wanted)| *wanted) {
        let seats = if role.side() == Side::Good { &mut good_seats } else { &mut evil_seats };
        if *seats > 0 {
            *seats -= 1;
            roles.push(role);
        }
    }
    roles.resize(roles.len() + good_seats, Role::Servant);
    roles.resize(roles.len() + evil_seats, Role::Minion);
    roles
}

/// A random legal move; good players pass.
fn random_move(table: &Table, random: &mut ChaCha8Rng) -> Move {
    match table.ask().expect("the game goes on") {
        Ask::Say => Move::Say(format!("word {}", random.random_range(0..1000))),
        Ask::Quest => {
            let good = table.deal()[table.seat()].side() == Side::Good;
            Move::Quest(good || random.random_bool(0.5))
        }
        Ask::Deduce => Move::Believe((0..table.deal().len()).filter(|_| random.random()).collect()),
        _ => {
            let legal = table.legal_moves();
            legal[random.random_range(0..legal.len())].clone()
        }
    }
}

/// Another deal in which `seat` holds the same role and has the same knowledge.
fn other_deal(table: &Table, seat: usize, random: &mut ChaCha8Rng) -> Vec<Role> {
    // Not by the tested code: a shuffle is kept if all that the role is shown, written out here, is the same.
    let shown = |deal: &[Role]| -> (Role, Vec<bool>) {
        let own = deal[seat];
        let marks = |role: Role| match own {
            Role::Servant | Role::Oberon => false,
            Role::Merlin => role.side() == Side::Evil && role != Role::Mordred,
            Role::Percival => matches!(role, Role::Merlin | Role::Morgana),
            _ => role.side() == Side::Evil && role != Role::Oberon,
        };
        (own, deal.iter().map(|role| marks(*role)).collect())
    };
    let mut deal = table.deal().to_vec();
    for _ in 0..2000 {
        deal.shuffle(random);
        if shown(&deal) == shown(table.deal()) {
            return deal;
        }
    }
    table.deal().to_vec()
}

/// Cards for the twin's game with as many fails as these, the seat's own unchanged, good players passing; `None` if the
/// twin's evil members cannot have played so many.
fn other_cards(
    twin: &Table,
    seat: usize,
    cast: &[(usize, Move)],
    random: &mut ChaCha8Rng,
) -> Option<Vec<(usize, Move)>> {
    let fails = |other: &&(usize, Move)| other.1 == Move::Quest(false);
    let left = cast.iter().filter(|card| card.0 != seat).filter(fails).count();
    let evil = |other: &usize| twin.deal()[*other].side() == Side::Evil;
    let mut others: Vec<usize> =
        cast.iter().map(|card| card.0).filter(|other| *other != seat && evil(other)).collect();
    others.shuffle(random);
    let failing: Seats = others.get(..left)?.iter().copied().collect();
    let card = |(other, made): &(usize, Move)| {
        (*other, if *other == seat { made.clone() } else { Move::Quest(!failing.contains(*other)) })
    };
    Some(cast.iter().map(card).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(slow(100, 400)))]

    #[test]
    fn what_a_seat_may_not_know_changes_nothing_that_it_sees(
        players in 5_usize..=10,
        special in any::<[bool; 4]>(),
        discussion in any::<bool>(),
        evil_wins in any::<bool>(),
        deduction in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let mut random = stream(seed, "leak");
        let fifth = if evil_wins { FifthRejection::EvilWins } else { FifthRejection::Passes };
        let setup = Setup::new(roles(players, special), fifth, discussion).expect("a setup");
        let setup = Arc::new(setup.with_deduction(deduction));
        let mut deal = setup.roles().to_vec();
        deal.shuffle(&mut random);
        let leader = random.random_range(0..players);
        let mut table = Table::new(setup.clone(), &deal, leader).expect("a table");
        let seat = random.random_range(0..players);
        let mut twin = Table::new(setup, &other_deal(&table, seat, &mut random), leader).expect("a table");
        prop_assert_eq!(table.knowledge(seat), twin.knowledge(seat));

        // Up to the assassination: who the Assassin is, is shown by whose turn it is then.
        while table.ask().is_some_and(|ask| ask != Ask::Assassinate) {
            let asked = table.ask();
            let size = match asked {
                Some(Ask::Vote) => players,
                Some(Ask::Quest) => table.game().team().len(),
                _ => 1,
            };
            let mut cast = Vec::new();
            let mut ahead = table.clone();
            for _ in 0..size {
                let made = random_move(&ahead, &mut random);
                cast.push((ahead.seat(), made.clone()));
                ahead.act(&made).expect("a legal move");
            }
            let mut twins = cast.clone();
            if asked == Some(Ask::Quest) {
                twins = other_cards(&twin, seat, &cast, &mut random).unwrap_or_else(|| {
                    // Then the others all pass, in both games.
                    for card in cast.iter_mut().filter(|card| card.0 != seat) {
                        card.1 = Move::Quest(true);
                    }
                    cast.clone()
                });
            }
            for ((other, made), (_, twins)) in cast.iter().zip(twins) {
                prop_assert_eq!((table.seat(), twin.seat()), (*other, *other));
                prop_assert_eq!(observation(&table, seat), observation(&twin, seat));
                if *other == seat {
                    prop_assert_eq!(turn(&table), turn(&twin));
                    // A refusal shows no more than a request.
                    let (mut wrong, mut twin_wrong) = (table.clone(), twin.clone());
                    wrong.answer("propose [0, 0, 17]");
                    twin_wrong.answer("propose [0, 0, 17]");
                    prop_assert_eq!(observation(&wrong, seat), observation(&twin_wrong, seat));
                }
                table.act(made).expect("a legal move");
                twin.act(&twins).expect("a legal move");
            }
        }
        prop_assert_eq!(table.log(), twin.log());
        prop_assert_eq!(table.outcome(), twin.outcome());
    }

    #[test]
    fn votes_and_cards_lie_face_down_until_all_are_in(seed in any::<u64>()) {
        let mut random = stream(seed, "face down");
        let setup = Arc::new(Setup::new(roles(7, [true; 4]), FifthRejection::Passes, false).expect("a setup"));
        let mut deal = setup.roles().to_vec();
        deal.shuffle(&mut random);
        let mut table = Table::new(setup, &deal, 0).expect("a table");
        while table.ask().is_some() {
            let made = random_move(&table, &mut random);
            let opposite = match made {
                Move::Vote(approve) => Move::Vote(!approve),
                Move::Quest(pass) => Move::Quest(!pass),
                _ => made.clone(),
            };
            let (phase, before) = (table.game().phase(), table.clone());
            table.act(&made).expect("a legal move");
            if opposite != made && table.game() == before.game() {
                let mut other = before;
                other.act(&opposite).expect("a legal move");
                prop_assert_eq!(phase, table.game().phase());
                for seat in 0..7 {
                    prop_assert_eq!(observation(&table, seat), observation(&other, seat));
                }
            }
        }
    }

    #[test]
    fn what_is_imagined_is_possible_and_touches_nothing(
        players in 5_usize..=10,
        special in any::<[bool; 4]>(),
        steps in 0_usize..120,
        seed in any::<u64>(),
    ) {
        let mut random = stream(seed, "imagine");
        let setup = Arc::new(Setup::new(roles(players, special), FifthRejection::Passes, true).expect("a setup"));
        let mut deal = setup.roles().to_vec();
        deal.shuffle(&mut random);
        let mut table = Table::new(setup, &deal, 0).expect("a table");
        for _ in 0..steps {
            if table.ask().is_some_and(|ask| ask != Ask::Assassinate) {
                let made = random_move(&table, &mut random);
                table.act(&made).expect("a legal move");
            }
        }
        let before = format!("{table:?}");
        for seat in 0..players {
            let mut imagined = table.imagine(seat, None, &mut random).expect("a copy");
            if table.ask() != Some(Ask::Assassinate) || table.seat() == seat {
                prop_assert_eq!(observation(&imagined, seat), observation(&table, seat));
            }
            prop_assert_eq!(imagined.log(), table.log());
            prop_assert_eq!(imagined.knowledge(seat), table.knowledge(seat));
            for quest in table.game().quests() {
                let evil = quest.team.iter().filter(|&other| imagined.deal()[other].side() == Side::Evil);
                prop_assert!(evil.count() >= usize::from(quest.fails));
            }
            // The very same roles may be given, and the true ones.
            prop_assert!(table.imagine(seat, Some(imagined.deal()), &mut random).is_ok());
            prop_assert!(table.imagine(seat, Some(table.deal()), &mut random).is_ok());
            while imagined.ask().is_some() {
                let made = random_move(&imagined, &mut random);
                imagined.act(&made).expect("a legal move");
            }
        }
        prop_assert_eq!(before, format!("{table:?}"));
    }
}

#[test]
fn roles_are_drawn_from_all_that_is_possible_alike() {
    let deal = [Role::Servant, Role::Merlin, Role::Servant, Role::Minion, Role::Assassin];
    let setup = Arc::new(Setup::new(deal.to_vec(), FifthRejection::Passes, false).expect("a setup"));
    let mut table = Table::new(setup, &deal, 1).expect("a table");
    for answer in
        ["propose [1, 3]", "vote approve", "vote approve", "vote approve", "vote reject", "vote reject"]
    {
        table.answer(answer);
    }
    for answer in ["quest pass", "quest fail"] {
        table.answer(answer);
    }
    assert!(matches!(table.log().last(), Some(Event::Went { quest, .. }) if quest.fails == 1));
    // For seat 0, one or both of 1 and 3 are evil: 5 sets of evil seats, and 2 * 2 ways to deal the roles in each.
    let mut random = stream(0, "draws");
    let mut counts = std::collections::BTreeMap::<Vec<Role>, f64>::new();
    let draws = slow(4_000, 20_000);
    for _ in 0..draws {
        let imagined = table.imagine(0, None, &mut random).expect("a copy");
        *counts.entry(imagined.deal().to_vec()).or_default() += 1.0;
    }
    assert_eq!(counts.len(), 20);
    let expected = f64::from(draws) / 20.0;
    let chi: f64 = counts.values().map(|count| (count - expected).powi(2) / expected).sum();
    assert!(chi < 45.0, "19 degrees of freedom, chi squared {chi}");
}

#[test]
fn roles_that_contradict_what_a_seat_knows_are_refused() {
    let world = avalon(json!({ "agent_role": "merlin" }));
    let turn = reset(&world, 0, 4);
    let imagine = |hidden| block_on(world.imagine(Imagine { seat: 0, seed: 1, hidden }));
    let possible = block_on(world.fork()).expect("an answer").expect("a copy");
    let mut seen = turn;
    while seen.seat != 0 {
        seen = act(&*possible, &seen.legal_actions[0].clone()).turn;
    }
    let evil: BTreeSet<usize> = (0..5)
        .filter(|&seat| {
            let roles = &seen.observation.data["hidden"]["possible"][seat];
            roles.as_array().expect("roles").iter().all(|role| role == "minion" || role == "assassin")
        })
        .collect();
    assert_eq!(evil.len(), 2);
    let with = |first: &str, evils: &BTreeSet<usize>, mut wicked: Vec<&'static str>| {
        let role = |seat: usize| match evils.contains(&seat) {
            true => wicked.pop().unwrap_or("servant").to_owned(),
            false if seat == 0 => first.to_owned(),
            false => "servant".to_owned(),
        };
        json!({ "roles": (0..5).map(role).collect::<Vec<_>>() })
    };
    for wicked in [vec!["minion", "assassin"], vec!["assassin", "minion"]] {
        assert!(imagine(with("merlin", &evil, wicked)).expect("a possible deal").is_some());
    }
    let others: BTreeSet<usize> = (1..5).filter(|seat| !evil.contains(seat)).collect();
    for (hidden, part) in [
        (with("merlin", &others, vec!["minion", "assassin"]), "knows that roles cannot be"),
        (with("servant", &evil, vec!["minion", "assassin"]), "the roles in play are"),
        (json!({ "roles": ["merlin"] }), "the roles in play are"),
        (json!({ "roles": ["merlin", "wizard", "minion", "servant", "assassin"] }), "no role `wizard`"),
        (json!({ "role": [] }), "{\"roles\": [\"merlin\", ...]}"),
        (json!("merlin"), "{\"roles\": [\"merlin\", ...]}"),
    ] {
        let error = imagine(hidden.clone()).err().unwrap_or_else(|| panic!("{hidden} was taken"));
        assert_eq!(error.code, Code::Input);
        assert!(error.to_string().contains(part), "{hidden}: {error}");
    }
}

#[test]
fn a_quest_with_more_fails_than_evil_members_contradicts() {
    let deal = [Role::Merlin, Role::Servant, Role::Servant, Role::Minion, Role::Assassin];
    let setup = Arc::new(Setup::new(deal.to_vec(), FifthRejection::Passes, false).expect("a setup"));
    let mut table = Table::new(setup, &deal, 0).expect("a table");
    table.answer("propose [3, 4]");
    (0..5).for_each(|_| {
        table.answer("vote approve");
    });
    (0..2).for_each(|_| {
        table.answer("quest fail");
    });
    let mut random = stream(0, "contradiction");
    let wrong = [Role::Minion, Role::Servant, Role::Servant, Role::Merlin, Role::Assassin];
    let error = table.imagine(1, Some(&wrong), &mut random).expect_err("player 3 must be evil");
    assert!(error.to_string().contains("more fails"), "{error}");

    // A good player may fail a quest; fails that nobody can explain are ignored.
    let mut table = Table::new(Arc::new(table.setup().clone()), &deal, 0).expect("a table");
    table.answer("propose [0, 1]");
    (0..5).for_each(|_| {
        table.answer("vote approve");
    });
    (0..2).for_each(|_| {
        table.answer("quest fail");
    });
    assert!(table.imagine(0, Some(&deal), &mut random).is_ok(), "Merlin knows that both are good");
}
