//! How much an answer gives: a table of answers to "How much of your $2 do you give?", and what is true of any text.

use forethought_persuasion::donation::{donation, tagged};
use proptest::prelude::*;

/// Answers, and what they give; `None` if they do not say.
const ANSWERS: &[(&str, Option<f64>)] = &[
    // Tags.
    ("[DONATE $0.50]", Some(0.5)),
    ("Gladly! [DONATE $2]", Some(2.0)),
    ("[donate 1.25]", Some(1.25)),
    ("[DONATE: $1]", Some(1.0)),
    ("[DONATE $1000]", Some(2.0)),
    ("[DONATE $0] Sorry.", Some(0.0)),
    ("[DONATE fifty cents]", Some(0.5)),
    ("[DONATE nothing]", Some(0.0)),
    ("[DONATE $1] no wait [DONATE $0.25]", Some(0.25)),
    ("I would give $2 if I could. [DONATE $0.10]", Some(0.1)),
    ("I give nothing. [DONATE $1]", Some(1.0)),
    ("[DONATE] a dollar", Some(1.0)),
    ("[DONATED $1]", None),
    // Sums in digits.
    ("$1.50", Some(1.5)),
    ("1.50$", Some(1.5)),
    ("$ 1", Some(1.0)),
    ("$.75", Some(0.75)),
    (".50", Some(0.5)),
    ("0.3", Some(0.3)),
    ("1", Some(1.0)),
    ("I'd like to donate 0.25", Some(0.25)),
    ("50 cents", Some(0.5)),
    ("50\u{a2}", Some(0.5)),
    ("75c sounds good", Some(0.75)),
    ("I'll donate 1 dollar and 50 cents.", Some(1.5)),
    ("I'll give 50", Some(0.5)),
    ("I will donate $2!", Some(2.0)),
    ("I can do $1,000", Some(2.0)),
    // Sums in words.
    ("I'd give fifty cents", Some(0.5)),
    ("I\u{2019}d give fifty cents", Some(0.5)),
    ("a buck", Some(1.0)),
    ("two dollars", Some(2.0)),
    ("a dollar fifty", Some(1.5)),
    ("A dollar and a half.", Some(1.5)),
    ("one and a half dollars", Some(1.5)),
    ("Half a dollar is what I can spare", Some(0.5)),
    ("half of a dollar", Some(0.5)),
    ("twenty-five cents, I guess", Some(0.25)),
    ("seventy five cents", Some(0.75)),
    ("a quarter", Some(0.25)),
    ("two dimes", Some(0.2)),
    ("Just a nickel.", Some(0.05)),
    ("I can part with ten cents", Some(0.1)),
    ("a couple of bucks", Some(2.0)),
    ("Put me down for a dollar", Some(1.0)),
    ("I was thinking 50 cents", Some(0.5)),
    ("How about a dollar?", Some(1.0)),
    ("zero", Some(0.0)),
    // Parts of the payment.
    ("half of my payment", Some(1.0)),
    ("I'll donate half.", Some(1.0)),
    ("a quarter of my payment", Some(0.5)),
    ("10% of it", Some(0.2)),
    ("I'd give 50 percent of what I earn here", None),
    ("I will give all of it", Some(2.0)),
    ("I'd like to donate my whole payment", Some(2.0)),
    ("Everything!", Some(2.0)),
    ("I'll keep $1.50 and donate the rest", Some(0.5)),
    // Several sums: the last word counts; of a choice, what is promised either way; of now and later, what is given
    // now.
    ("I'll give $1. Actually, make it 50 cents.", Some(0.5)),
    ("No, I won't. Well... okay, 20 cents.", Some(0.2)),
    ("$1 or $2", Some(1.0)),
    ("Somewhere between 50 cents and a dollar", Some(0.5)),
    ("$0.50-$1", Some(0.5)),
    ("25 cents now and 25 later", Some(0.25)),
    ("I can't give $2, but I can do 30 cents", Some(0.3)),
    ("No more than 50 cents", Some(0.5)),
    ("I can't give more than a dollar", Some(1.0)),
    ("I don't mind giving $1", Some(1.0)),
    ("Why not, $1", Some(1.0)),
    ("I'm not sure, maybe 10 cents?", None),
    ("Not much. Say 5 cents.", Some(0.05)),
    ("I'll give 50 cents, no more.", Some(0.5)),
    ("$1, no problem", Some(1.0)),
    // Nothing.
    ("nothing", Some(0.0)),
    ("I won't", Some(0.0)),
    ("No.", Some(0.0)),
    ("No, thank you", Some(0.0)),
    ("Nope, sorry", Some(0.0)),
    ("I'm not interested", Some(0.0)),
    ("I'd rather not", Some(0.0)),
    ("I'd rather keep my money", Some(0.0)),
    ("I'll pass", Some(0.0)),
    ("I will not donate today", Some(0.0)),
    ("I can't afford it right now", Some(0.0)),
    ("not even $1", Some(0.0)),
    ("I'm not giving you $2", Some(0.0)),
    ("I don't want to give a single cent", Some(0.0)),
    ("I'd love to give $2, but I can't", Some(0.0)),
    // Not what is given.
    ("I would give $1000 if I could, but no", Some(0.0)),
    ("If I could, I would give $1000", None),
    ("If I had $2 to spare I'd give it", None),
    ("my friend gave $2", None),
    ("My wife would give a dollar", None),
    ("Most people give $1", None),
    ("I gave $5 last year", None),
    ("You should give $2", None),
    ("They asked me to donate $2", None),
    ("Is 50 cents enough?", None),
    ("Why would I give $2?", None),
    ("I am 25 years old", None),
    ("I'm 25", None),
    ("I have 2 kids", None),
    ("It was founded in 1919", None),
    ("$2 feeds a child", None),
    ("My rent is $900", None),
    ("Maybe $1 next time", None),
    ("Yes, of course!", None),
    ("I don't know how much to give", None),
    ("I think I can give $0.30, thanks for asking", Some(0.3)),
    ("Sure, I'd be happy to donate $1.25 to the children.", Some(1.25)),
    ("Okay, you convinced me: a dollar it is!", Some(1.0)),
    ("You convinced me, I will give $1.", Some(1.0)),
    ("I've decided to donate the full two dollars.", Some(2.0)),
    ("I would like to donate $2.00 of my payment.", Some(2.0)),
    ("I'd be willing to part with 40 cents of my earnings", Some(0.4)),
    ("fifteen cents", Some(0.15)),
    ("One dollar and twenty-five cents", Some(1.25)),
    ("a dollar twenty-five", Some(1.25)),
    ("1/2", None),
    ("about 10 cents I guess", Some(0.1)),
    ("I only have 20 cents to give", Some(0.2)),
    ("At most 50 cents.", Some(0.5)),
    ("I can only afford a dime", Some(0.1)),
    ("five bucks", Some(2.0)),
    ("I want to give a million dollars", Some(2.0)),
    ("All my payment", Some(2.0)),
    ("three quarters", Some(0.75)),
    ("$0", Some(0.0)),
    ("0 dollars", Some(0.0)),
    ("zero dollars", Some(0.0)),
    ("I can't.", Some(0.0)),
    ("Not today.", Some(0.0)),
    ("Absolutely not!", Some(0.0)),
    ("I don't think I will donate", Some(0.0)),
    ("I do not wish to donate anything.", Some(0.0)),
    ("I'm going to keep all of it.", Some(0.0)),
    ("I'll keep the $2", Some(0.0)),
    ("I am not able to donate at this time.", Some(0.0)),
    ("I'm sorry, I need the money for my rent, so no.", Some(0.0)),
    ("Not a dime", Some(0.0)),
    ("I wouldn't give you a penny", Some(0.0)),
    ("I won't donate a cent, let alone $2", Some(0.0)),
    ("I would have given $2 before, but not now", Some(0.0)),
    ("I was going to give $2, but I changed my mind, so nothing", Some(0.0)),
    ("I wish I could give $2", None),
    ("You want me to give $2?", None),
    ("I already donated $10 to them last month, so I'll give 5 cents", Some(0.05)),
    ("My sister donates $20 a month; I can do $1", Some(1.0)),
    ("I'm 30 years old and I'll give $1", Some(1.0)),
    ("With 3 kids at home, I can give 25 cents", Some(0.25)),
    ("I will donate $1 in honor of my 2 children", Some(1.0)),
    ("Since 2015 I have supported them, count me in for $2", Some(2.0)),
    ("I'd say fifty-fifty: half", Some(1.0)),
    ("Could I give $1?", None),
    ("I nodded, and donuts too", None),
    ("", None),
];

#[test]
fn answers_give_what_they_say() {
    assert!(ANSWERS.len() >= 60);
    let read = |text: &str| donation(text, "DONATE", 2.0);
    let wrong: Vec<_> = ANSWERS
        .iter()
        .filter(|(text, expected)| match (read(text), expected) {
            (Some(read), Some(expected)) => (read - expected).abs() > 1e-9,
            (read, expected) => read.is_some() != expected.is_some(),
        })
        .map(|(text, expected)| format!("{text:?}: {:?}, not {expected:?}", read(text)))
        .collect();
    assert!(wrong.is_empty(), "{} of {} misread:\n{}", wrong.len(), ANSWERS.len(), wrong.join("\n"));
}

/// Words that answers are made of, so that random texts come near the real ones.
fn answer() -> impl Strategy<Value = String> {
    let words: Vec<String> =
        ANSWERS.iter().flat_map(|(text, _)| text.split(' ')).map(str::to_owned).collect();
    prop_oneof![
        ".*",
        prop::collection::vec(prop::sample::select(words), 0..14).prop_map(|words| words.join(" "))
    ]
}

proptest! {
    #[test]
    fn any_answer_is_read_and_the_amount_is_in_range(text in answer(), maximum in 0.01..1e6_f64) {
        if let Some(amount) = donation(&text, "DONATE", maximum) {
            prop_assert!((0.0..=maximum).contains(&amount), "{amount}");
        }
    }

    #[test]
    fn a_tag_wins_over_all_other_words(before in answer(), after in answer(), cents in 0..=200_u32) {
        let dollars = f64::from(cents) / 100.0;
        // A random text may end in the middle of its own tag.
        prop_assume!(!before.contains('[') && !after.contains('['));
        let text = format!("{before} [DONATE ${dollars:.2}] {after}");
        prop_assert_eq!(donation(&text, "DONATE", 2.0), Some(dollars));
        prop_assert_eq!(tagged(&text, "DONATE", 2.0), Some(dollars));
    }

    #[test]
    fn sums_are_read_as_they_are_written(cents in 1..=200_u32) {
        let dollars = f64::from(cents) / 100.0;
        for text in [format!("I'd give ${dollars:.2}"), format!("{cents} cents"), format!("maybe ${dollars:.2}.")] {
            prop_assert_eq!(donation(&text, "DONATE", 2.0), Some(dollars), "{}", text);
        }
    }
}
