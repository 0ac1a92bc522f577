//! Sets of seats in a machine word.

use std::fmt;
use std::ops::{BitAnd, BitOr, Sub};

use forethought_sdk::prelude::*;
use forethought_sdk::seed::{Rng, RngExt};

/// A set of seats, numbers below 16. As data, it is a list.
#[data]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(try_from = "Vec<usize>", into = "Vec<usize>")]
pub struct Seats(u16);

impl Seats {
    /// Nobody.
    pub const NONE: Self = Self(0);

    /// The seats 0 to `players - 1`.
    pub const fn all(players: usize) -> Self {
        Self((1 << players) - 1)
    }
    /// One seat.
    pub const fn one(seat: usize) -> Self {
        Self(1 << seat)
    }
    /// One bit per seat, the lowest for seat 0.
    pub const fn bits(self) -> usize {
        self.0 as usize
    }
    /// Whether `seat` is in the set.
    pub const fn contains(self, seat: usize) -> bool {
        self.0 >> seat & 1 == 1
    }
    /// How many there are.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }
    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// Whether all of these are among `others`.
    pub const fn within(self, others: Self) -> bool {
        self.0 & !others.0 == 0
    }
    /// The seats in ascending order.
    pub fn iter(self) -> impl Iterator<Item = usize> + Clone {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let seat = left.trailing_zeros() as usize;
            left &= left.wrapping_sub(1);
            (seat < 16).then_some(seat)
        })
    }
    /// One of the seats, drawn uniformly; `None` of an empty set.
    pub fn choose(self, random: &mut impl Rng) -> Option<usize> {
        if self.is_empty() { None } else { self.iter().nth(random.random_range(0..self.len())) }
    }
    /// `count` of the seats, drawn uniformly; all of them if there are fewer.
    pub fn sample(self, size: usize, random: &mut impl Rng) -> Self {
        let (mut chosen, mut left) = (Self::NONE, self);
        while chosen.len() < size
            && let Some(seat) = left.choose(random)
        {
            chosen = chosen | Self::one(seat);
            left = left - Self::one(seat);
        }
        chosen
    }
    /// Every set of `size` seats below `players`, in lexicographic order.
    pub fn combinations(players: usize, size: usize) -> Vec<Self> {
        fn extend(chosen: Seats, from: usize, left: usize, players: usize, all: &mut Vec<Seats>) {
            if left == 0 {
                return all.push(chosen);
            }
            for seat in from..=players.saturating_sub(left) {
                extend(chosen | Seats::one(seat), seat + 1, left - 1, players, all);
            }
        }
        let mut all = Vec::new();
        if size <= players {
            extend(Self::NONE, 0, size, players, &mut all);
        }
        all
    }
}

impl FromIterator<usize> for Seats {
    fn from_iter<I: IntoIterator<Item = usize>>(seats: I) -> Self {
        seats.into_iter().fold(Self::NONE, |set, seat| set | Self::one(seat))
    }
}

impl From<Seats> for Vec<usize> {
    fn from(seats: Seats) -> Self {
        seats.iter().collect()
    }
}

impl TryFrom<Vec<usize>> for Seats {
    type Error = String;
    fn try_from(seats: Vec<usize>) -> Result<Self, String> {
        match seats.iter().find(|seat| **seat >= 16) {
            Some(seat) => Err(format!("no table has a seat {seat}")),
            None => Ok(seats.into_iter().collect()),
        }
    }
}

impl BitOr for Seats {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Seats {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Sub for Seats {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// `0, 3, 4`.
impl fmt::Display for Seats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, seat) in self.iter().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{seat}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combinations_come_in_lexicographic_order() {
        let teams: Vec<String> = Seats::combinations(4, 2).iter().map(Seats::to_string).collect();
        assert_eq!(teams, ["0, 1", "0, 2", "0, 3", "1, 2", "1, 3", "2, 3"]);
        assert_eq!(Seats::combinations(10, 5).len(), 252);
        assert_eq!(Seats::combinations(3, 0), [Seats::NONE]);
        assert!(Seats::combinations(3, 4).is_empty());
    }
}
