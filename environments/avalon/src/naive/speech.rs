//! What bots say at the table, from templates: whom they trust and whom they suspect. Evil bots lie.

use forethought_sdk::seed::Rng;

use crate::naive::mind::Mind;
use crate::role::Side;
use crate::seats::Seats;

/// One statement. A good bot trusts whom it believes good most, and suspects whom it believes good least, both only if
/// it tells players apart; an evil bot trusts one of its fellows and suspects one of the others.
pub fn statement(mind: &Mind, random: &mut impl Rng) -> String {
    let beliefs = mind.beliefs();
    let others = Seats::all(beliefs.len()) - Seats::one(mind.knowledge().seat);
    let [least, most] = match mind.knowledge().role.side() {
        Side::Good => [f64::min, f64::max].map(|pick: fn(f64, f64) -> f64| {
            let bound = others.iter().map(|seat| beliefs[seat]).reduce(pick);
            others.iter().filter(|&seat| Some(beliefs[seat]) == bound).collect()
        }),
        Side::Evil => [mind.suspects(), mind.knowledge().evil - Seats::one(mind.knowledge().seat)],
    };
    let mut one_of = |seats: Seats| if seats == others { None } else { seats.choose(random) };
    match (one_of(most), one_of(least)) {
        (Some(trusted), Some(suspected)) => {
            format!("I trust Player {trusted}. I suspect Player {suspected}.")
        }
        (None, Some(suspected)) => format!("I suspect Player {suspected}."),
        (Some(trusted), None) => format!("I trust Player {trusted}."),
        (None, None) => "I cannot tell yet who is who.".into(),
    }
}

/// Whom a statement trusts and whom it suspects, if it says so in words like the above.
pub fn opinions(text: &str) -> (Seats, Seats) {
    let (mut trusted, mut suspected) = (Seats::NONE, Seats::NONE);
    let text = text.to_lowercase();
    for part in text.split(['.', ';', '!', '?']) {
        let said = |word: &str| part.contains(word);
        let seats = players(part);
        // `I do not trust` is not trust.
        if said("suspect") || said("evil") || said("not trust") || said("don't trust") {
            suspected = suspected | seats;
        } else if said("trust") || said("good") {
            trusted = trusted | seats;
        }
    }
    (trusted - suspected, suspected - trusted)
}

/// The seats named as `player 3`.
fn players(text: &str) -> Seats {
    let digits = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>();
    let named = text.split("player ").skip(1).filter_map(|rest| digits(rest).parse::<usize>().ok());
    named.filter(|&seat| seat < crate::rules::MOST_PLAYERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opinions_are_read_from_words_of_trust_and_suspicion() {
        let read = |text| opinions(text);
        assert_eq!(read("I trust Player 1. I suspect Player 4."), (Seats::one(1), Seats::one(4)));
        assert_eq!(read("Player 2 and player 3 are evil!"), (Seats::NONE, [2, 3].into_iter().collect()));
        assert_eq!(read("I don't trust Player 0"), (Seats::NONE, Seats::one(0)));
        assert_eq!(read("Player 1 is good. Player 1 is evil."), (Seats::NONE, Seats::NONE));
        assert_eq!(read("hello, player 77, I trust you"), (Seats::NONE, Seats::NONE));
    }
}
