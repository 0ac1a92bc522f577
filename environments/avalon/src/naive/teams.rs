//! Preferences over teams: how likely each is to be all good, summed in AvalonBench's order.
//!
//! Bots compare sums of `f64` for exact equality, so the order of addition is part of their behaviour. A sum runs over
//! sets of evil seats in order; here each set adds its probability to the teams that it leaves good, which are listed
//! in advance, and every team's sum still grows in that order. Adding zeros changes no sum, so they are left out.

use std::sync::LazyLock;

use crate::rules::MOST_PLAYERS;
use crate::seats::Seats;

/// Most teams of one size: 5 of 10.
const MOST: usize = 252;

/// All teams of one size at a table, and which of them a set of good seats can make up.
pub struct Teams {
    /// In lexicographic order.
    all: Vec<Seats>,
    /// By the bits of a team, its place in `all`.
    index: Vec<u8>,
    /// By the bits of a set of seats, the part of `list` that holds the teams within it.
    within: Vec<(u32, u32)>,
    list: Vec<u8>,
}

static TABLES: [[LazyLock<Teams>; 6]; MOST_PLAYERS + 1] = {
    macro_rules! sizes {
        ($($players:literal)*) => { [$([
            LazyLock::new(|| Teams::new($players, 0)), LazyLock::new(|| Teams::new($players, 1)),
            LazyLock::new(|| Teams::new($players, 2)), LazyLock::new(|| Teams::new($players, 3)),
            LazyLock::new(|| Teams::new($players, 4)), LazyLock::new(|| Teams::new($players, 5)),
        ]),*] };
    }
    sizes!(0 1 2 3 4 5 6 7 8 9 10)
};

impl Teams {
    /// The teams of `size` among `players`, made once for all games.
    pub fn of(players: usize, size: usize) -> &'static Self {
        &TABLES[players][size]
    }

    fn new(players: usize, size: usize) -> Self {
        let all = Seats::combinations(players, size);
        let mut index = vec![0; 1 << players];
        for (at, team) in all.iter().enumerate() {
            index[team.bits()] = at as u8;
        }
        let (mut within, mut list) = (Vec::new(), Vec::new());
        for bits in 0..1 << players {
            let good: Seats = (0..players).filter(|seat| bits >> seat & 1 == 1).collect();
            let start = list.len() as u32;
            list.extend((0..all.len()).filter(|&at| all[at].within(good)).map(|at| at as u8));
            within.push((start, list.len() as u32));
        }
        Self { all, index, within, list }
    }

    /// The most preferred teams: those most likely to be all good, given the probabilities of the sets `evil`; of
    /// several, those within the `remembered` team, or else those around it, if any.
    pub fn preferred(
        &self,
        players: usize,
        evil: &[Seats],
        probabilities: &[f64],
        remembered: Seats,
    ) -> TeamSet {
        let mut sums = [0.0; MOST];
        let everybody = Seats::all(players);
        for (evil, probability) in
            evil.iter().zip(probabilities).filter(|(_, probability)| **probability != 0.0)
        {
            let (start, end) = self.within[(everybody - *evil).bits()];
            for &at in &self.list[start as usize..end as usize] {
                sums[usize::from(at)] += probability;
            }
        }
        let sums = &sums[..self.all.len()];
        let most = sums.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut best = TeamSet::default();
        (0..sums.len()).filter(|&at| sums[at] == most).for_each(|at| best.insert(at));
        if best.len() < 2 || remembered.is_empty() {
            return best;
        }
        let inside = best.filter(|at| self.all[at].within(remembered));
        let around = best.filter(|at| remembered.within(self.all[at]));
        [inside, around].into_iter().find(|set| !set.is_empty()).unwrap_or(best)
    }

    /// Whether a team is in the set.
    pub fn contains(&self, set: &TeamSet, team: Seats) -> bool {
        set.contains(self.index[team.bits()].into())
    }
    /// The teams of a set, in order.
    pub fn list(&self, set: &TeamSet) -> impl Iterator<Item = Seats> {
        set.iter().map(|at| self.all[at])
    }
}

/// A set of teams of one size at one table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TeamSet([u64; MOST.div_ceil(64)]);

impl TeamSet {
    fn insert(&mut self, at: usize) {
        self.0[at / 64] |= 1 << (at % 64);
    }
    fn contains(&self, at: usize) -> bool {
        self.0[at / 64] >> (at % 64) & 1 == 1
    }
    fn iter(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(number, word)| {
            let mut left = word;
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros() as usize;
                left &= left.wrapping_sub(1);
                (bit < 64).then_some(number * 64 + bit)
            })
        })
    }
    fn filter(&self, keep: impl Fn(usize) -> bool) -> Self {
        let mut kept = Self::default();
        self.iter().filter(|&at| keep(at)).for_each(|at| kept.insert(at));
        kept
    }
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }
    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
