//! What a role knows of the others at the start, and which deals are possible for it.

use crate::role::{Role, Roles, Side};
use crate::rules::{Quest, Rules};
use crate::seats::Seats;

/// The private knowledge of one seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Knowledge {
    /// Whose it is.
    pub seat: usize,
    /// The seat's own role.
    pub role: Role,
    /// Seats known to be evil, its own among them.
    pub evil: Seats,
    /// Seats known to be good, its own among them.
    pub good: Seats,
    /// Percival's two, one of whom is Merlin and the other Morgana; empty for other roles.
    pub pair: Seats,
}

impl Knowledge {
    /// What `seat` knows when the roles are dealt as in `deal`.
    pub fn new(deal: &[Role], seat: usize) -> Self {
        let role = deal[seat];
        let holders = |wanted: &dyn Fn(Role) -> bool| -> Seats {
            (0..deal.len()).filter(|&other| wanted(deal[other])).collect()
        };
        let evil_but =
            |hidden: Role| holders(&|role| role.side() == Side::Evil && role != hidden) | Seats::one(seat);
        let all = Seats::all(deal.len());
        let own = Seats::one(seat);
        let has = |role| deal.contains(&role);
        let (mut evil, mut good, mut pair) = (Seats::NONE, own, Seats::NONE);
        match role {
            Role::Servant => {}
            Role::Merlin => evil = evil_but(Role::Mordred) - own,
            Role::Percival if has(Role::Morgana) => {
                pair = holders(&|role| matches!(role, Role::Merlin | Role::Morgana));
            }
            Role::Percival => good = good | holders(&|role| role == Role::Merlin),
            Role::Oberon => (evil, good) = (own, Seats::NONE),
            Role::Morgana | Role::Mordred | Role::Minion | Role::Assassin => {
                (evil, good) = (evil_but(Role::Oberon), Seats::NONE);
            }
        }
        let evils = deal.iter().filter(|role| role.side() == Side::Evil).count();
        if evil.len() == evils {
            good = all - evil;
        }
        Self { seat, role, evil, good, pair }
    }

    /// The knowledge whose written form, [`Knowledge::possible`], is given.
    pub fn from_possible(seat: usize, role: Role, possible: &[Roles]) -> Self {
        let all_of = |side| -> Seats {
            let one_side = |&seat: &usize| possible[seat].iter().all(|role| role.side() == side);
            (0..possible.len()).filter(one_side).collect()
        };
        let two = Roles::from_iter([Role::Merlin, Role::Morgana]);
        let pair = (0..possible.len()).filter(|&seat| role == Role::Percival && possible[seat] == two);
        Self { seat, role, evil: all_of(Side::Evil), good: all_of(Side::Good), pair: pair.collect() }
    }

    /// For each seat the roles that it may hold, where `roles` are in play.
    pub fn possible(&self, roles: &[Role]) -> Vec<Roles> {
        let held = |seat| roles.iter().copied().filter(|role| self.may_hold(roles, seat, *role)).collect();
        (0..roles.len()).map(held).collect()
    }

    /// Whether `other` may hold `held`.
    fn may_hold(&self, roles: &[Role], other: usize, held: Role) -> bool {
        if other == self.seat {
            return held == self.role;
        }
        let side_fits = match held.side() {
            Side::Evil => !self.good.contains(other),
            Side::Good => !self.evil.contains(other),
        };
        let left = roles.iter().filter(|role| **role == held).count() > usize::from(held == self.role);
        let seen = self.evil.contains(other);
        let fits_sight = match self.role {
            Role::Servant | Role::Oberon => true,
            // Those whom Merlin sees are not Mordred; the evil one that Merlin does not see is.
            Role::Merlin => held.side() == Side::Good || seen != (held == Role::Mordred),
            // The same is true of Oberon.
            Role::Morgana | Role::Mordred | Role::Minion | Role::Assassin => {
                held.side() == Side::Good || seen != (held == Role::Oberon)
            }
            Role::Percival if self.pair.is_empty() => (held == Role::Merlin) == self.good.contains(other),
            Role::Percival => self.pair.contains(other) == matches!(held, Role::Merlin | Role::Morgana),
        };
        side_fits && left && fits_sight
    }

    /// Every set of evil seats that is possible for this seat, in AvalonBench's order: the lowest unknown seat is evil
    /// first.
    pub fn evil_sets(&self, rules: &Rules) -> Vec<Seats> {
        let unknown = Seats::all(rules.players()) - self.evil - self.good;
        let unknown: Vec<usize> = unknown.iter().collect();
        let missing = rules.evil().saturating_sub(self.evil.len());
        Seats::combinations(unknown.len(), missing)
            .into_iter()
            .map(|chosen| self.evil | chosen.iter().map(|at| unknown[at]).collect())
            .filter(|evil| self.pair.is_empty() || (*evil & self.pair).len() == 1)
            .collect()
    }
}

/// Whether `evil` can have played the fails of these quests, if good players always pass.
pub fn explains(evil: Seats, quests: &[Quest]) -> bool {
    quests.iter().all(|quest| (evil & quest.team).len() >= usize::from(quest.fails))
}
