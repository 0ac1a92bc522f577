//! The shopper's sentences: summaries of states, outcomes reached and outcomes imagined, in one style.

use forethought_sdk::seed::{ChaCha8Rng, SliceRandom};
use forethought_sdk::simulated::{self, worded};

use super::view::{Choice, Page, View};

worded! {
    /// An outcome, as a shopper tells outcomes apart.
    pub enum Outcome {
        /// Bought, full score.
        Perfect: [
            "The order is placed with everything as wanted and earns the full score.",
            "The purchase fits every wish and gets full marks.",
            "Everything wanted was bought, with the full score.",
        ],
        /// Bought without a wanted option.
        OptionMissed: [
            "The order is placed without a wanted option and earns only part of the score.",
            "A wanted option was never chosen, so the purchase scores only partly.",
            "The purchase misses a requested option and loses points.",
        ],
        /// Bought, but the product lacks something.
        Lacking: [
            "The product bought lacks something that was wanted and earns only part of the score.",
            "The purchase does not have all the wanted qualities and scores only partly.",
            "The product turns out to lack a wanted quality, so points are lost.",
        ],
        /// Bought, and quite wrong.
        Wrong: [
            "The wrong product is bought and the score is low.",
            "The purchase is the wrong thing and earns next to nothing.",
            "What was bought is not what was asked for, and the score is low.",
        ],
        /// The time ran out.
        OutOfTime: [
            "Time runs out before anything is bought.",
            "The steps are used up without a purchase.",
            "No purchase is made before the time is over.",
        ],
        /// All wanted options are chosen.
        OptionsChosen: [
            "All wanted options are chosen and the product is ready to buy.",
            "Every requested option is selected.",
            "The requested options are all set.",
        ],
        /// The details show all that is wanted.
        DetailsFit: [
            "The details show everything that was wanted.",
            "The features confirm all wanted qualities.",
            "Reading on shows that the product has all that is wanted.",
        ],
        /// The details lack something wanted.
        DetailsLack: [
            "The details lack something that was wanted.",
            "The features do not mention a wanted quality.",
            "Reading on shows that a wanted quality is not there.",
        ],
        /// A product is open.
        ProductOpen: [
            "A product page is open and nothing is decided yet.",
            "A product is being looked at.",
            "The page of a product is open.",
        ],
        /// A list of products is shown.
        ListOpen: [
            "A list of products is there to choose from.",
            "The search shows a list of products.",
            "There is a list of products to look through.",
        ],
        /// At the search page.
        Searching: [
            "The search page is open.",
            "A search has to be made.",
            "It is time for a search.",
        ],
    }
}

impl simulated::Outcome for Outcome {
    type View = View;

    fn reached(view: &View) -> Self {
        if view.page == Page::Done {
            let missed = view.open_option().is_some();
            return match view.score.unwrap_or(0.0) {
                score if score >= 0.999 => Self::Perfect,
                score if score < 0.34 => Self::Wrong,
                _ if missed => Self::OptionMissed,
                _ => Self::Lacking,
            };
        }
        if view.over {
            return Self::OutOfTime;
        }
        match view.page {
            Page::Search => Self::Searching,
            Page::Results => Self::ListOpen,
            Page::Detail if view.missing_from_item() == 0 => Self::DetailsFit,
            Page::Detail => Self::DetailsLack,
            _ => {
                let wanted = view.wanted_options();
                let chosen =
                    !wanted.is_empty() && wanted.iter().all(|option| option.choice == Choice::Chosen);
                if chosen { Self::OptionsChosen } else { Self::ProductOpen }
            }
        }
    }

    /// What a shopper may still hope for and fear. The most pressing outcome of each side is first; the others are in
    /// random order.
    fn imagine(view: &View, rng: &mut ChaCha8Rng) -> [Vec<Self>; 2] {
        let unread = view.item.as_ref().is_none_or(|item| item.read.is_empty());
        let unchosen = view.item.is_none() || view.open_option().is_some();
        let mut good = vec![Self::Perfect];
        let mut bad = vec![Self::Lacking, Self::Wrong, Self::OutOfTime];
        if unread {
            good.push(Self::DetailsFit);
            bad.push(Self::DetailsLack);
        }
        if unchosen {
            good.push(Self::OptionsChosen);
            bad.insert(0, Self::OptionMissed);
        }
        good[1..].shuffle(rng);
        bad[1..].shuffle(rng);
        if view.hurried() {
            bad.retain(|outcome| *outcome != Self::OutOfTime);
            bad.insert(0, Self::OutOfTime);
        }
        [good, bad]
    }
}

/// A summary of the state.
pub fn state(view: &View) -> String {
    let mut parts = vec![match view.page {
        Page::Search if view.searches == 0 => "At the start, nothing searched yet.".to_owned(),
        Page::Search => "Back at the search page.".to_owned(),
        Page::Results => "Choosing from a list of products.".to_owned(),
        Page::Item => "Looking at a product.".to_owned(),
        Page::Detail => "Reading the details of a product.".to_owned(),
        Page::Done => "Bought.".to_owned(),
    }];
    if view.page == Page::Results {
        let best = view.listings.iter().map(|listing| view.fit(&listing.title)).fold(0.0, f64::max);
        parts.push(format!("The best title has {} of the wanted words.", share(best)));
    }
    if let Some(item) = &view.item {
        parts.push(match (item.price, view.wish.limit) {
            (Some(price), Some(limit)) if price > limit => "The price is above the limit.".to_owned(),
            (_, None) => "There is no price limit.".to_owned(),
            _ => "The price is within the limit.".to_owned(),
        });
        parts.push(format!("The title has {} of the wanted words.", share(view.fit(&item.title))));
        let wanted = view.wanted_options();
        let named = |choice| {
            let names =
                wanted.iter().filter(|option| option.choice == choice).map(|option| option.name.as_str());
            names.collect::<Vec<_>>().join(", ")
        };
        let (open, absent) = (named(Choice::Open), named(Choice::NotOffered));
        if wanted.is_empty() {
            parts.push("No options are wanted.".to_owned());
        } else if open.is_empty() && absent.is_empty() {
            parts.push("All wanted options are chosen.".to_owned());
        }
        if !open.is_empty() {
            parts.push(format!("Wanted options not chosen yet: {open}."));
        }
        if !absent.is_empty() {
            parts.push(format!("This product does not offer the wanted {absent}."));
        }
        parts.push(if item.read.is_empty() {
            "The features are unread.".to_owned()
        } else {
            match view.missing_from_item() {
                0 => "The features confirm every wanted word.".to_owned(),
                1 => "The features leave out one wanted word.".to_owned(),
                _ => "The features leave out several wanted words.".to_owned(),
            }
        });
    }
    if let Some(score) = view.score {
        parts.push(format!("The score is {score:.2}."));
    } else {
        parts.push(match view.opened.len() {
            0 => "No product opened so far.".to_owned(),
            1 => "One product opened so far.".to_owned(),
            _ => "Several products opened so far.".to_owned(),
        });
        if view.over {
            parts.push("The time is over.".to_owned());
        } else if view.hurried() {
            parts.push("Little time is left.".to_owned());
        }
    }
    parts.join(" ")
}

fn share(fit: f64) -> &'static str {
    match fit {
        fit if fit >= 0.99 => "all",
        fit if fit >= 0.7 => "most",
        fit if fit >= 0.4 => "about half",
        fit if fit > 0.0 => "few",
        _ => "none",
    }
}
