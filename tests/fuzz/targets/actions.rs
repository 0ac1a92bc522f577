//! Action grammars: what is written is read again, and a click is always one of what can be clicked.
#![no_main]

use forethought_avalon::grammar::{self, Ask, Move};
use forethought_fuzz as _;
use forethought_persuasion::{
    bargain,
    dialogue::Dialogue,
    donation,
    script::{Preset, Script},
};
use forethought_webshop::{
    action::{self, Parsed},
    spoken,
};
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, LazyLock};

static CLICKABLES: LazyLock<Vec<String>> = LazyLock::new(|| {
    ["Buy Now", "< Prev", "a1-wine\u{a0}red", "Men\u{2019}s 10", "5\" wide", "size [xl]", "Red", "red"]
        .map(str::to_owned)
        .into()
});
static SCRIPTS: LazyLock<[Arc<Script>; 3]> = LazyLock::new(|| {
    [Preset::Persuasion, Preset::GdpZero, Preset::Negotiation].map(|preset| Arc::new(Script::preset(preset)))
});

fn shop(text: &str) {
    let _ = (action::parse(text), action::parse_react(text), spoken::search(text));
    if let Ok(Parsed::Click(clicked)) = spoken::read(text, &CLICKABLES) {
        assert!(CLICKABLES.contains(&clicked));
    }
    // Each text, exactly as shown, means itself, unless it contains what two texts share.
    let line: Vec<String> = vec![text.split(['\n', '[', ']']).next().unwrap_or_default().into()];
    if let Ok(Parsed::Click(clicked)) = spoken::read(&format!("click[{}]", line[0]), &line) {
        assert_eq!(clicked, line[0]);
    }
}

fn table(text: &str) {
    let asks = [Ask::Say, Ask::Propose, Ask::Vote, Ask::Quest, Ask::Assassinate, Ask::Deduce];
    for ask in asks {
        let Ok(read) = grammar::read(text, ask, 5) else { continue };
        match &read {
            Move::Propose(seats) | Move::Believe(seats) => assert!(seats.iter().all(|seat| seat < 5)),
            Move::Assassinate(seat) => assert!(*seat < 5),
            Move::Say(said) => assert!(!said.is_empty() && !said.contains(char::is_control)),
            Move::Vote(_) | Move::Quest(_) => {}
        }
        if !matches!(read, Move::Say(_)) {
            assert_eq!(grammar::read(&read.to_string(), ask, 5), Ok(read));
        }
    }
}

fn dialogue(text: &str) {
    if let Some(bargain::Move::Offer(price)) = bargain::read(text) {
        assert!(price.is_finite() && price >= 0.0, "{price}");
    }
    for amount in [donation::tagged(text, "donate", 2.0), donation::donation(text, "donate", 2.0)] {
        assert!(amount.is_none_or(|amount| (0.0..=2.0).contains(&amount)), "{amount:?}");
    }
    for script in &*SCRIPTS {
        let mut game = Dialogue::new(script.clone(), 7);
        for line in text.lines().take(40) {
            game.say(line);
        }
        assert!(game.rewards().iter().all(|reward| reward.is_finite()));
        assert!(game.turn() >= 1 && game.turn() <= script.turns.get());
    }
}

fuzz_target!(|text: &str| {
    shop(text);
    table(text);
    dialogue(text);
});
