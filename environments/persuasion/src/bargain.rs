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
    let tags = text.split('[').skip(1).filter_map(|rest| rest.split_once(']')).map(|(tag, _)| tag.trim());
    tags.filter_map(|tag| {
        let tag = tag.to_lowercase();
        match tag.split_once(|c: char| c.is_whitespace() || c == ':') {
            None if tag == "accept" => Some(Move::Accept),
            Some(("walk", rest)) if rest.trim() == "away" => Some(Move::WalkAway),
            Some(("offer", price)) => dollars(price.trim_start_matches([':', ' '])).map(Move::Offer),
            _ => None,
        }
    })
    .last()
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
