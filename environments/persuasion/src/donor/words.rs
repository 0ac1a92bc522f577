//! What a donor says: our own words for each act, some of which depend on what the donor doubts.

use forethought_sdk::seed::{ChaCha8Rng, IndexedRandom};

use super::acts::Concern;

/// Words for an act; `{amount}` is the sum that this donor has in mind.
pub fn sentence(act: usize, concern: Concern, amount: f64, rng: &mut ChaCha8Rng) -> String {
    let words = words(act, concern).choose(rng).copied().unwrap_or_default();
    words.replace("{amount}", &money(amount))
}

/// A sum as it is said: `50 cents`, `$1`, `$1.50`.
pub fn money(dollars: f64) -> String {
    let cents = (dollars * 100.0).round() as i64;
    match cents {
        1 => "1 cent".into(),
        0..100 => format!("{cents} cents"),
        _ if cents % 100 == 0 => format!("${}", cents / 100),
        _ => format!("${}.{:02}", cents / 100, cents % 100),
    }
}

/// The ways to say an act, in the order of [`super::acts::ACT_NAMES`].
fn words(act: usize, concern: Concern) -> &'static [&'static str] {
    use Concern::{Heart, Trust, Use};
    match (act, concern) {
        (0, _) => &[
            "That sounds like a great cause.",
            "I like what they do.",
            "It is good that somebody helps those children.",
            "That is a wonderful thing.",
            "I agree, children deserve better.",
            "It makes sense to me.",
        ],
        (1, Trust) => &[
            "How do I know that the money really goes to the children?",
            "Who runs this organisation, and can I trust them?",
            "How much of a donation is spent on salaries?",
            "Do they publish what they do with the money?",
        ],
        (1, Heart) => &[
            "What are these children going through?",
            "Why should this matter to me, so far away?",
            "Who are the children that they help?",
            "What made you care about it?",
        ],
        (1, Use) => &[
            "What would a small sum do for anybody?",
            "How does it help, in practice?",
            "What do they do with a donation?",
            "What is achieved with the money?",
        ],
        (2, _) => &[
            "Well, let me see.",
            "I have been thinking about it.",
            "Hm.",
            "It is hard to say.",
            "That is how it is.",
        ],
        (3, _) => &["I see.", "Okay.", "Oh, I understand.", "Right.", "I get what you mean."],
        (4, _) => &["Yes, I have.", "Yes, I do.", "I have heard of it.", "Yes, from time to time."],
        (5, Trust) => &[
            "I doubt that the money gets there; too much is lost to overhead.",
            "I do not trust big charities much.",
            "One hears of so many scams.",
        ],
        (5, Heart) => &[
            "It does not really touch me, I have never met any of them.",
            "There is need everywhere, and I cannot feel for all of it.",
            "Somehow it all seems far away to me.",
        ],
        (5, Use) => &[
            "I doubt that my few cents would change anything.",
            "It seems like a drop in the ocean.",
            "I am not sure that giving solves any of it.",
        ],
        (6, _) => &[
            "I would give {amount}.",
            "I could do {amount}.",
            "I was thinking of {amount}.",
            "Let us say {amount}.",
        ],
        (7, _) => &["Hello!", "Hi, how are you?", "Good day to you.", "Hi there."],
        (8, _) => &[
            "Yes, I will donate.",
            "I would like to give something.",
            "Sure, I am willing to contribute.",
            "Okay, I will give a part of my payment.",
        ],
        (9, _) => &[
            "How can I donate?",
            "How does the donation work?",
            "Is it taken from my payment?",
            "What is the least one can give?",
        ],
        (10, _) => &[
            "What is this task about?",
            "Is this part of the study?",
            "What can one do for them?",
            "Do you do this often?",
        ],
        (11, _) => {
            &["No, I have not.", "No, never heard of it.", "Not that I know of.", "I do not, actually."]
        }
        (12, _) => &[
            "The weather is nice here today.",
            "I have had a long day.",
            "My dog keeps me busy.",
            "It is quiet here at the moment.",
        ],
        (13, Trust) => {
            &["I would have to look them up first.", "I need to know more about who gets the money."]
        }
        (13, Heart) => {
            &["I have not made up my mind how I feel about it.", "Perhaps; I will think about it."]
        }
        (13, Use) => &["I wonder what good it would do.", "Maybe; I would have to see what it brings."],
        (14, _) => {
            &["Thank you.", "Thanks for telling me.", "Thank you for the information.", "Thanks a lot."]
        }
        (15, _) => &[
            "And you, do you have children?",
            "How is your day going?",
            "Where are you from?",
            "And what about you?",
        ],
        (16, _) => &[
            "Are you going to donate yourself?",
            "How much do you give?",
            "Have you donated before?",
            "What will you give?",
        ],
        (17, _) => &["Goodbye, and have a nice day.", "It was nice talking to you.", "Take care.", "Bye."],
        (18, Trust) => &[
            "I would rather not, not to an organisation that I do not know.",
            "No, I do not want to donate to people I cannot check.",
        ],
        (18, Heart) => &["No, I do not want to donate today.", "I would rather not; it is not my concern."],
        (18, Use) => &[
            "I would rather not; it would not change a thing.",
            "No, I will keep my payment, it is too little to be of use.",
        ],
        (19, _) => &["It depends.", "Maybe, I am not certain.", "Now and then.", "More or less."],
        (20, _) => &["You are welcome.", "Not at all.", "My pleasure.", "Any time."],
        (21, _) => &[
            "Yes, that is what I will give.",
            "That is right, {amount}.",
            "Yes, go ahead with it.",
            "Confirmed.",
        ],
        (22, _) => {
            &["I cannot give more than that.", "No, that has to be enough.", "More is not possible for me."]
        }
        _ => &["Hm."],
    }
}

#[cfg(test)]
mod tests {
    use forethought_sdk::seed;

    use super::*;
    use crate::donation::donation;
    use crate::donor::acts::{ACTS, PROVIDE};

    #[test]
    fn every_act_has_words_and_a_named_sum_is_read_back() {
        for act in 0..ACTS {
            for concern in Concern::ALL {
                assert!(words(act, concern).len() > 1, "{act}");
            }
        }
        for cents in 1..=200_u32 {
            let said = sentence(
                PROVIDE,
                Concern::Use,
                f64::from(cents) / 100.0,
                &mut seed::stream(cents.into(), "words"),
            );
            assert_eq!(donation(&said, "DONATE", 2.0), Some(f64::from(cents) / 100.0), "{said}");
        }
    }
}
