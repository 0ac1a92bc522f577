//! The shopper's strategies: how likely each is to come to mind, its wordings, and the action that carries it out.

use forethought_sdk::seed::ChaCha8Rng;
use forethought_sdk::simulated::{self, worded};

use super::view::{Page, View, words};

worded! {
    /// A strategy for the next step.
    pub enum Move {
        /// Search with everything that was asked for.
        SearchAll: [
            "Search for the product together with all the qualities asked for.",
            "I will put every wanted quality into the search.",
            "A detailed search with all wanted qualities should find it.",
        ],
        /// Search for the kind of product alone.
        SearchKind: [
            "Search for the kind of product only and sort it out later.",
            "A short search for the kind of product will do.",
            "I will just search for the type of product.",
        ],
        /// Type the whole instruction.
        SearchWhole: [
            "Copy the whole instruction into the search box.",
            "I will search with the instruction exactly as it is written.",
        ],
        /// Open the first product not yet opened.
        OpenFirst: [
            "The first result is probably right, so open it.",
            "I will open the first product that I have not seen yet.",
            "Take the top result.",
            "The next one in the list will do; open it.",
        ],
        /// Open the product whose title and price fit best.
        OpenBest: [
            "Compare the titles and prices and open the product that fits best.",
            "I will open the product whose title has most of the wanted words within the price.",
            "Look for the best fitting title in the list and open that one.",
        ],
        /// Search again.
        SearchAgain: [
            "These results do not convince me, so search again.",
            "I will go back and try another search.",
        ],
        /// Buy the current product.
        Buy: [
            "This looks good enough, so buy it now.",
            "I am confident that this is the product; time to buy.",
            "Buy this product right away.",
            "No need to look further, purchase it.",
        ],
        /// Choose a wanted option.
        Choose: [
            "Choose a wanted option before going on.",
            "I should select the option that was asked for.",
            "The wanted option still has to be picked, so select it.",
        ],
        /// Read the product's features.
        Read: [
            "Read the features to see whether it has what is wanted.",
            "I will check the details of this product first.",
            "Let me look at the features before deciding.",
        ],
        /// Go back to the list for another product.
        Leave: [
            "This is not the right product; go back and try another one.",
            "Leave this product and look at a different one from the list.",
            "I would rather return to the results for another product.",
        ],
        /// Go back from a detail page to the product.
        Return: ["Go back to the product page.", "I have read enough here; back to the product."],
    }
}

impl simulated::Move for Move {
    type View = View;

    /// Weights of the strategies that come to mind here.
    fn prior(view: &View) -> Vec<(Self, f64)> {
        match view.page {
            Page::Search => vec![(Move::SearchAll, 0.6), (Move::SearchKind, 0.25), (Move::SearchWhole, 0.15)],
            Page::Results => vec![(Move::OpenFirst, 0.45), (Move::OpenBest, 0.45), (Move::SearchAgain, 0.1)],
            Page::Item => {
                // A missing quality makes leaving likelier and buying less likely, but not by enough.
                let (buy, leave) = if view.lacking() { (0.15, 0.4) } else { (0.25, 0.05) };
                let hurry = if view.hurried() { 1.0 } else { 0.0 };
                let mut prior = vec![(Move::Buy, buy + hurry), (Move::Leave, leave)];
                if view.open_option().is_some() {
                    prior.push((Move::Choose, 0.7));
                }
                if view.item.as_ref().is_some_and(|item| item.read.is_empty()) {
                    prior.push((Move::Read, 0.2));
                }
                prior
            }
            Page::Detail => vec![(Move::Return, 0.8), (Move::Leave, if view.lacking() { 0.4 } else { 0.05 })],
            // The episode is over; this is not acted on.
            Page::Done => vec![(Move::Return, 1.0)],
        }
    }

    fn action(self, view: &View, _: &mut ChaCha8Rng) -> String {
        let click = |target: &str| format!("click[{target}]");
        let unopened = || view.listings.iter().filter(|listing| !view.opened.contains(&listing.asin));
        match (self, view.page) {
            (Self::SearchAll, Page::Search) => format!("search[{}]", view.wish.words.join(" ")),
            (Self::SearchKind, Page::Search) => format!("search[{}]", kind(&view.wish.text)),
            (Self::SearchWhole, Page::Search) => {
                format!("search[{}]", view.wish.whole.replace(['[', ']'], " "))
            }
            (Self::SearchAll | Self::SearchKind | Self::SearchWhole | Self::SearchAgain, _) => {
                click("Back to Search")
            }
            (Self::OpenFirst, Page::Results) => match unopened().next() {
                Some(listing) => click(&listing.asin),
                None => click("Back to Search"),
            },
            (Self::OpenBest, Page::Results) => {
                let affordable = |price: Option<f64>| match (price, view.wish.limit) {
                    (Some(price), Some(limit)) => price <= limit,
                    _ => true,
                };
                let appeal = |title: &str, price| view.fit(title) - if affordable(price) { 0.0 } else { 0.5 };
                // The earlier of equals: `max_by` would return the last.
                let best = unopened()
                    .rev()
                    .max_by(|a, b| appeal(&a.title, a.price).total_cmp(&appeal(&b.title, b.price)));
                best.map_or_else(|| click("Back to Search"), |listing| click(&listing.asin))
            }
            (Self::Buy, Page::Item) => click("Buy Now"),
            (Self::Choose, Page::Item) => match view.open_option() {
                Some(option) => click(&option.value),
                None => click("Buy Now"),
            },
            (Self::Read, Page::Item) => {
                let read = view.item.as_ref().is_some_and(|item| item.read.contains("features"));
                click(if read { "Description" } else { "Features" })
            }
            // All else begins with a step back.
            (_, Page::Search) => format!("search[{}]", view.wish.words.join(" ")),
            _ => click("< Prev"),
        }
    }
}

/// A guess at the kind of product: the last telling words before the first "with" or "that".
fn kind(wish: &str) -> String {
    let head =
        [" with ", " that "].iter().filter_map(|word| wish.find(word)).min().map_or(wish, |at| &wish[..at]);
    let words = words(head.rsplit(", ").next().unwrap_or(head));
    words[words.len().saturating_sub(3)..].join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wording_names_one_strategy() {
        forethought_testkit::wordings_are_read_back::<Move>();
    }

    #[test]
    fn a_kind_is_guessed_from_the_instruction() {
        assert_eq!(
            kind("find me waterproof, non slip men's running shoes with memory foam"),
            "men's running shoes"
        );
        assert_eq!(kind("i'm shopping for shelves"), "shelves");
    }
}
