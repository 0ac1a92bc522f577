//! Roles and sides.

use forethought_sdk::prelude::*;

/// Whom a role fights for.
#[data]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Wants quests to fail, or Merlin dead.
    Evil,
    /// Wants three quests to succeed, and Merlin alive.
    Good,
}

impl Side {
    /// `Good` or `Evil`.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Evil => "Evil",
            Self::Good => "Good",
        }
    }
    /// `good` or `evil`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Evil => "evil",
            Self::Good => "good",
        }
    }
}

/// Roles, in AvalonBench's order of ids.
#[config]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Good; sees evil, but not Mordred.
    Merlin,
    /// Good; sees Merlin and Morgana, not which is which.
    Percival,
    /// Evil; looks like Merlin to Percival.
    Morgana,
    /// Evil; hidden from Merlin.
    Mordred,
    /// Evil; neither knows the others nor is known to them.
    Oberon,
    /// Good; knows nothing.
    Servant,
    /// Evil.
    Minion,
    /// Evil; names Merlin in the end.
    Assassin,
}

impl Role {
    /// All, in the order of ids.
    pub const ALL: [Self; 8] = [
        Self::Merlin,
        Self::Percival,
        Self::Morgana,
        Self::Mordred,
        Self::Oberon,
        Self::Servant,
        Self::Minion,
        Self::Assassin,
    ];

    /// Its side.
    pub const fn side(self) -> Side {
        match self {
            Self::Merlin | Self::Percival | Self::Servant => Side::Good,
            Self::Morgana | Self::Mordred | Self::Oberon | Self::Minion | Self::Assassin => Side::Evil,
        }
    }
    /// Its name in texts: `Merlin`.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Merlin => "Merlin",
            Self::Percival => "Percival",
            Self::Morgana => "Morgana",
            Self::Mordred => "Mordred",
            Self::Oberon => "Oberon",
            Self::Servant => "Servant",
            Self::Minion => "Minion",
            Self::Assassin => "Assassin",
        }
    }
    /// Its name in data: `merlin`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Merlin => "merlin",
            Self::Percival => "percival",
            Self::Morgana => "morgana",
            Self::Mordred => "mordred",
            Self::Oberon => "oberon",
            Self::Servant => "servant",
            Self::Minion => "minion",
            Self::Assassin => "assassin",
        }
    }
    /// The role of this name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word().eq_ignore_ascii_case(name))
    }
}

/// A set of roles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Roles(u8);

impl Roles {
    /// Whether `role` is in.
    pub const fn contains(self, role: Role) -> bool {
        self.0 >> role as u8 & 1 == 1
    }
    /// The roles in the order of ids.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.contains(*role))
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(roles.into_iter().fold(0, |set, role| set | 1 << role as u8))
    }
}
