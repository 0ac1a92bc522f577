//! Price negotiation: what is for sale, the limits of both sides, and the tags that bind.

use forethought_sdk::seed::{ChaCha8Rng, IndexedRandom, RngExt};

use crate::donation::dollars;
use crate::script::Good;

/// What is for sale, and the private limits of both sides. The buyer's is always the higher: a deal is possible.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    /// What it is.
    pub item: String,
    /// Listing price, in dollars.
    pub price: f64,
    /// The most that the buyer pays and the least that the seller takes, in seat order.
    pub limits: [f64; 2],
}

/// The most that a buyer pays, as shares of the listing price.
const BUYER: std::ops::Range<f64> = 0.8..1.0;
/// The least that a seller takes.
const SELLER: std::ops::Range<f64> = 0.5..0.75;

impl Listing {
    /// One of `goods`, with drawn price and limits.
    pub fn draw(goods: &[Good], rng: &mut ChaCha8Rng) -> Option<Self> {
        let good = goods.choose(rng)?;
        let price = rng.random_range(good.low..=good.high).round();
        let limits = [BUYER, SELLER].map(|shares| whole(price * rng.random_range(shares)));
        Some(Self { item: good.name.clone(), price, limits })
    }

    /// The same listing as one side may imagine it: the other side's limit is drawn again.
    pub fn imagined(&self, seat: usize, rng: &mut ChaCha8Rng) -> Self {
        let mut listing = self.clone();
        let shares = if seat == 0 { SELLER } else { BUYER };
        listing.limits[1 - seat] = whole(self.price * rng.random_range(shares));
        listing
    }

    /// The buyer's share of the range between the two limits, at this price; within [0, 1].
    pub fn share(&self, price: f64) -> f64 {
        let [most, least] = self.limits;
        ((most - price) / (most - least)).clamp(0.0, 1.0)
    }
}

/// A limit in whole cents.
fn whole(dollars: f64) -> f64 {
    (dollars * 100.0).round() / 100.0
}

/// What binds, in an utterance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Move {
    /// `[OFFER $x]`.
    Offer(f64),
    /// `[ACCEPT]`.
    Accept,
    /// `[WALK AWAY]`.
    WalkAway,
}

/// The last tag of an utterance that binds.
pub fn read(text: &str) -> Option<Move> {
    tags(text)
        .filter_map(|tag| match tag.split_once(' ') {
            None if tag == "accept" || tag == "accepted" => Some(Move::Accept),
            Some(("accept", "offer" | "the offer" | "your offer" | "deal" | "the deal")) => {
                Some(Move::Accept)
            }
            None if tag == "walk-away" || tag == "walkaway" => Some(Move::WalkAway),
            Some(("walk", "away")) => Some(Move::WalkAway),
            Some(("offer", price)) => {
                let price = price.trim_start_matches([':', '=', ' ']);
                let price = price.strip_suffix("dollars").or(price.strip_suffix("usd")).unwrap_or(price);
                dollars(price).map(Move::Offer)
            }
            _ => None,
        })
        .last()
}

/// The texts in brackets, as [`tag`] has them.
pub(crate) fn tags(text: &str) -> impl Iterator<Item = String> {
    let text = narrow(text);
    let tags: Vec<String> =
        text.split('[').skip(1).filter_map(|rest| rest.split_once(']')).map(|(text, _)| tag(text)).collect();
    tags.into_iter()
}

/// The text of a tag by which it is compared: in lower case, with single blanks, and without quotes, emphasis and a
/// full stop around it.
pub(crate) fn tag(text: &str) -> String {
    let text = text.to_lowercase().replace(['_', ':'], " ");
    let around = |c: char| {
        c.is_whitespace() || matches!(c, '*' | '`' | '"' | '\'' | '.' | '!' | '\u{2018}'..='\u{201f}')
    };
    text.trim_matches(around).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text with full-width forms and East Asian brackets as ASCII.
pub(crate) fn narrow(text: &str) -> String {
    let narrow = |c| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        '\u{3000}' => ' ',
        '\u{3010}' => '[',
        '\u{3011}' => ']',
        c => c,
    };
    text.chars().map(narrow).collect()
}

#[cfg(test)]
mod tests {
    use forethought_sdk::seed;

    use super::*;

    #[test]
    fn the_last_tag_binds() {
        let check = |text: &str, expected| assert_eq!(read(text), expected, "{text}");
        check("How about [OFFER $120]?", Some(Move::Offer(120.0)));
        check("[offer: 99.50]", Some(Move::Offer(99.5)));
        check("[OFFER $1,200]", Some(Move::Offer(1200.0)));
        check("[OFFER $90] or rather [OFFER $80]", Some(Move::Offer(80.0)));
        check("Fine. [ACCEPT]", Some(Move::Accept));
        check("No. [Walk away]", Some(Move::WalkAway));
        for text in
            ["[Accept.]", "**[ACCEPT]**", "[ accept the offer ]", "\u{ff3b}ACCEPT\u{ff3d}", "[\"ACCEPT\"]"]
        {
            check(text, Some(Move::Accept));
        }
        check("[WALK-AWAY]", Some(Move::WalkAway));
        for text in [
            "[OFFER = $90]",
            "[Offer: 90 dollars]",
            "[OFFER $90.]",
            "[**OFFER $90**]",
            "\u{3010}OFFER \u{ff04}90\u{3011}",
        ] {
            check(text, Some(Move::Offer(90.0)));
        }
        check("[ACCEPT $90]", None);
        check("[OFFER -5]", None);
        check("I would pay $80", None);
        check("[OFFER something]", None);
        check("[ACCEPT", None);
    }

    #[test]
    fn a_deal_is_always_possible_and_imagination_keeps_what_is_known() {
        let goods = crate::script::Script::preset(crate::script::Preset::Negotiation).goods;
        for number in 0..200 {
            let mut rng = seed::stream(number, "listing");
            let listing = Listing::draw(&goods, &mut rng).expect("goods");
            let [most, least] = listing.limits;
            assert!(least < most && most <= listing.price, "{listing:?}");
            assert_eq!((listing.share(most), listing.share(least)), (0.0, 1.0));
            for seat in [0, 1] {
                let imagined = listing.imagined(seat, &mut rng);
                assert_eq!(imagined.limits[seat], listing.limits[seat]);
                assert!(imagined.limits[1] < imagined.limits[0]);
                assert_ne!(
                    imagined.limits[1 - seat],
                    listing.limits[1 - seat],
                    "a matter of luck, and pinned"
                );
            }
        }
    }
}
