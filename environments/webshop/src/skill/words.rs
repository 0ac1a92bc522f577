//! The shopper's sentences: states in short, outcomes reached and outcomes imagined, in one style.

use forethought_sdk::seed::{ChaCha8Rng, IndexedRandom, SliceRandom};

use super::view::{Page, View};

/// An outcome, as a shopper tells outcomes apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Bought, full score.
    Perfect,
    /// Bought without a wanted option.
    OptionMissed,
    /// Bought, but the product lacks something.
    Lacking,
    /// Bought, and quite wrong.
    Wrong,
    /// The time ran out.
    OutOfTime,
    /// All wanted options are chosen.
    OptionsChosen,
    /// The details show all that is wanted.
    DetailsFit,
    /// The details lack something wanted.
    DetailsLack,
    /// A product is open.
    ProductOpen,
    /// A list of products is at hand.
    ListOpen,
    /// At the search page.
    Searching,
}

impl Outcome {
    /// The outcome that the text shows.
    pub fn reached(view: &View) -> Self {
        if view.page == Page::Done {
            let missed = view.wanted_options().iter().any(|(_, _, chosen)| !chosen);
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
            Page::Detail if missing(view) == 0 => Self::DetailsFit,
            Page::Detail => Self::DetailsLack,
            _ => {
                let wanted = view.wanted_options();
                let chosen = !wanted.is_empty() && wanted.iter().all(|(_, _, chosen)| *chosen);
                if chosen { Self::OptionsChosen } else { Self::ProductOpen }
            }
        }
    }

    /// The ways to say it.
    pub fn wordings(self) -> &'static [&'static str] {
        match self {
            Self::Perfect => &[
                "The order is placed with everything as wanted and earns the full score.",
                "The purchase fits every wish and gets full marks.",
                "Everything wanted was bought, with the full score.",
            ],
            Self::OptionMissed => &[
                "The order is placed without a wanted option and earns only part of the score.",
                "A wanted option was never chosen, so the purchase scores only partly.",
                "The purchase misses a requested option and loses points.",
            ],
            Self::Lacking => &[
                "The product bought lacks something that was wanted and earns only part of the score.",
                "The purchase does not have all the wanted qualities and scores only partly.",
                "The product turns out to lack a wanted quality, so points are lost.",
            ],
            Self::Wrong => &[
                "The wrong product is bought and the score is low.",
                "The purchase is the wrong thing and earns next to nothing.",
            ],
            Self::OutOfTime => &["Time runs out before anything is bought.", "The steps are used up without a purchase."],
            Self::OptionsChosen => &[
                "All wanted options are chosen and the product is ready to buy.",
                "Every requested option is selected.",
            ],
            Self::DetailsFit => &[
                "The details show everything that was wanted.",
                "The features confirm all wanted qualities.",
            ],
            Self::DetailsLack => &[
                "The details lack something that was wanted.",
                "The features do not mention a wanted quality.",
            ],
            Self::ProductOpen => &["A product page is open and nothing is decided yet.", "A product is being looked at."],
            Self::ListOpen => &["A list of products is there to choose from.", "The search shows a list of products."],
            Self::Searching => &["The search page is open.", "A search has to be made."],
        }
    }

    /// One way to say it.
    pub fn wording(self, rng: &mut ChaCha8Rng) -> &'static str {
        self.wordings().choose(rng).expect("every outcome has words")
    }
}

/// `count` imagined outcomes, the good ones first. The end is what a shopper hopes and fears for most, so the first
/// of either side is always an end; the others are whatever else comes to mind here.
pub fn imagine(view: &View, count: usize, rng: &mut ChaCha8Rng) -> Vec<String> {
    let mut good = match view.page {
        Page::Item | Page::Detail => vec![Outcome::OptionsChosen, Outcome::DetailsFit, Outcome::Perfect],
        _ => vec![Outcome::Perfect, Outcome::OptionsChosen],
    };
    let mut bad = vec![Outcome::OptionMissed, Outcome::Lacking, Outcome::Wrong, Outcome::OutOfTime];
    good.shuffle(rng);
    bad.shuffle(rng);
    good.insert(0, Outcome::Perfect);
    let side = |outcomes: &[Outcome], wanted: usize, rng: &mut ChaCha8Rng| {
        outcomes.iter().cycle().take(wanted).map(|outcome| outcome.wording(rng).to_owned()).collect::<Vec<_>>()
    };
    let mut imagined = side(&good, count / 2, rng);
    imagined.extend(side(&bad, count - count / 2, rng));
    imagined
}

/// Where things stand, in short.
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
        let open: Vec<&str> = wanted.iter().filter(|(_, _, chosen)| !chosen).map(|(name, ..)| name.as_str()).collect();
        parts.push(match (wanted.len(), open.len()) {
            (0, _) => "No options are wanted.".to_owned(),
            (_, 0) => "All wanted options are chosen.".to_owned(),
            (_, 1) => format!("One wanted option is not chosen yet: {}.", open[0]),
            _ => format!("Wanted options not chosen yet: {}.", open.join(", ")),
        });
        parts.push(if item.read.is_empty() {
            "The features were not read.".to_owned()
        } else {
            match missing(view) {
                0 => "The features were read and nothing is missing.".to_owned(),
                1 => "The features were read and one wanted word is missing.".to_owned(),
                _ => "The features were read and several wanted words are missing.".to_owned(),
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
        } else if view.steps >= 10 {
            parts.push("Little time is left.".to_owned());
        }
    }
    parts.join(" ")
}

/// Wanted words found neither in the title nor in the details read.
fn missing(view: &View) -> usize {
    let Some(item) = &view.item else { return 0 };
    view.missing(&format!("{} {}", item.title.to_lowercase(), item.details)).len()
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
