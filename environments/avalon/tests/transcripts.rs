//! What every seat sees of whole games, written out to be read: `tests/golden/*.txt`. `UPDATE=1` rewrites them.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use forethought_avalon::observe;
use forethought_avalon::role::Role;
use forethought_avalon::rules::FifthRejection;
use forethought_avalon::table::{Setup, Table};

/// A game in which every seat's turn is written down with what it answered.
struct Script {
    table: Table,
    text: String,
}

impl Script {
    fn new(roles: &[Role], leader: usize, fifth_rejection: FifthRejection, discussion: bool) -> Self {
        let setup = Setup::new(roles.to_vec(), fifth_rejection, discussion).expect("a game");
        let setup = Arc::new(setup);
        let text = format!("{}\n", observe::instructions(&setup));
        Self { table: Table::new(setup, roles, leader).expect("a table"), text }
    }
    /// The next seats answer, one after the other.
    fn say(&mut self, answers: &[&str]) -> &mut Self {
        for answer in answers {
            self.show();
            let _ = writeln!(self.text, "> {answer}");
            self.table.answer(answer);
        }
        self
    }
    fn show(&mut self) {
        let turn = observe::turn(&self.table);
        let _ = writeln!(self.text, "\n--- Player {}\n{}", turn.seat, turn.observation.text);
    }
    /// Ends the game with what each seat sees of its end, and compares with the file.
    fn matches(&mut self, name: &str) {
        assert!(self.table.outcome().is_some(), "the game goes on:\n{}", self.text);
        self.show();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &self.text).expect("the golden folder can be written to");
        }
        let golden = std::fs::read_to_string(&path).expect("a golden file; write it with UPDATE=1");
        assert_eq!(self.text, golden, "{name} has changed; if that is meant, run with UPDATE=1");
    }
}

#[test]
fn a_game_that_good_wins() {
    use Role::{Assassin, Merlin, Minion, Servant};
    Script::new(&[Merlin, Servant, Minion, Servant, Assassin], 2, FifthRejection::Passes, false)
        .say(&["propose [2, 3]"])
        .say(&["vote reject", "vote approve", "vote approve", "I like it: yes!", "vote approve"])
        .say(&["quest fail", "quest pass"])
        .say(&["I propose players 0, 1 and 3."])
        .say(&["vote approve", "vote approve", "vote reject", "vote approve", "vote reject"])
        .say(&["quest pass", "quest pass", "quest pass"])
        .say(&["propose [2, 4, 0]", "let me think", "propose [4, 0]"])
        .say(&["vote reject", "vote reject", "vote approve", "vote reject", "vote approve"])
        .say(&["propose [0, 3]"])
        .say(&["vote approve", "vote approve", "vote reject", "vote approve", "vote reject"])
        .say(&["quest pass", "quest pass"])
        .say(&["propose [0, 1, 3]"])
        .say(&["vote approve", "vote approve", "vote reject", "vote approve", "vote reject"])
        .say(&["quest pass", "quest pass", "quest pass"])
        .say(&["assassinate Player 3"])
        .matches("good_wins.txt");
}

#[test]
fn a_game_with_talk_and_special_roles() {
    use Role::{Assassin, Merlin, Mordred, Morgana, Oberon, Percival, Servant};
    let roles = [Servant, Morgana, Percival, Oberon, Merlin, Assassin, Servant, Servant, Servant, Mordred];
    let mut script = Script::new(&roles, 5, FifthRejection::EvilWins, true);
    for speaker in 5..15 {
        script.say(&[&format!("say I am Player {}, and I am good.", speaker % 10)]);
    }
    script.say(&["propose [0, 1, 3]"]).say(&["vote reject"; 10]);
    // The rest is much the same.
    let first = script.text.clone();
    for _ in 0..4 {
        script.say(&["say Again."; 10]).say(&["propose [0, 1, 3]"]).say(&["vote reject"; 10]);
    }
    script.text = format!("{first}\n... four more teams are rejected ...\n");
    script.matches("talk_and_special_roles.txt");
}
