//! How an observant Assassin looks for Merlin, who shows that he knows too much.

use forethought_sdk::seed::Rng;

use crate::rules::MOST_PLAYERS;
use crate::seats::Seats;

/// For each seat, how well its public deeds agreed with the true sides, as the Assassin knows them: one point for each
/// vote for a team without evil or against one with evil, for each proposal of a team without evil, and for each word
/// of trust in a good player or of suspicion against an evil one; for each opposite, one point less.
#[derive(Debug, Clone, Copy)]
pub struct Witness {
    evil: Seats,
    points: [i32; MOST_PLAYERS],
}

impl Witness {
    /// Before the first deed; `evil` are the seats that the Assassin knows to be evil.
    pub fn new(evil: Seats) -> Self {
        Self { evil, points: [0; MOST_PLAYERS] }
    }
    fn note(&mut self, seat: usize, agrees: bool) {
        if let Some(points) = self.points.get_mut(seat) {
            *points += if agrees { 1 } else { -1 };
        }
    }
    /// A team was proposed.
    pub fn proposed(&mut self, leader: usize, team: Seats) {
        self.note(leader, (team & self.evil).is_empty());
    }
    /// A team was voted on.
    pub fn voted(&mut self, players: usize, team: Seats, approvals: Seats) {
        let clean = (team & self.evil).is_empty();
        (0..players).for_each(|seat| self.note(seat, approvals.contains(seat) == clean));
    }
    /// `seat` spoke of these others.
    pub fn said(&mut self, seat: usize, trusted: Seats, suspected: Seats) {
        trusted.iter().for_each(|other| self.note(seat, !self.evil.contains(other)));
        suspected.iter().for_each(|other| self.note(seat, self.evil.contains(other)));
    }
    /// The suspect with the most points; of several, one drawn.
    pub fn merlin(&self, suspects: Seats, random: &mut impl Rng) -> Option<usize> {
        let most = suspects.iter().map(|seat| self.points[seat]).max()?;
        let foremost: Seats = suspects.iter().filter(|&seat| self.points[seat] == most).collect();
        foremost.choose(random)
    }
}
