//! What persuaders and donors do in a sentence: the annotators' labels, and the groups that the model tells apart.

/// Number of a persuader's approaches.
pub const APPROACHES: usize = 10;
/// Names of a persuader's approaches: the labels, grouped by what they are to a donor.
pub const APPROACH_NAMES: [&str; APPROACHES] = [
    "greeting",
    "credibility",
    "emotion",
    "reason",
    "information",
    "request",
    "task inquiry",
    "source inquiry",
    "personal inquiry",
    "other",
];
/// What shows that the charity can be trusted.
pub const CREDIBILITY: usize = 1;
/// What moves, by feelings or a story.
pub const EMOTION: usize = 2;
/// What argues, or says that little is enough.
pub const REASON: usize = 3;
/// How a donation works.
pub const INFORMATION: usize = 4;
/// What asks for a donation or its amount.
pub const REQUEST: usize = 5;

/// The approach that a persuader's label is.
pub fn approach(label: &str) -> usize {
    match label {
        "greeting" => 0,
        "credibility-appeal" => CREDIBILITY,
        "emotion-appeal" | "personal-story" | "self-modeling" => EMOTION,
        "logical-appeal" | "foot-in-the-door" => REASON,
        "donation-information" => INFORMATION,
        "proposition-of-donation" | "ask-donation-amount" | "ask-donate-more" | "confirm-donation" => REQUEST,
        "task-related-inquiry" => 6,
        "source-related-inquiry" => 7,
        "personal-related-inquiry" => 8,
        _ => 9,
    }
}

/// Which of a donor's doubts an approach speaks to, if it does: see [`Concern`].
pub fn concern(approach: usize) -> Option<Concern> {
    match approach {
        CREDIBILITY => Some(Concern::Trust),
        EMOTION => Some(Concern::Heart),
        REASON | INFORMATION => Some(Concern::Use),
        _ => None,
    }
}

/// What a donor doubts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern {
    /// Whether the charity can be trusted.
    Trust,
    /// Why one should care.
    Heart,
    /// Whether a small sum is of any use, and how it gets there.
    Use,
}

impl Concern {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Trust, Self::Heart, Self::Use];
}

/// Number of a donor's acts.
pub const ACTS: usize = 23;
/// Comes after a donor's last sentence of a turn.
pub const STOP: usize = ACTS;
/// A donor's acts: the annotators' labels.
pub const ACT_NAMES: [&str; ACTS] = [
    "positive-reaction-to-donation",
    "ask-org-info",
    "other",
    "acknowledgement",
    "positive-to-inquiry",
    "negative-reaction-to-donation",
    "provide-donation-amount",
    "greeting",
    "agree-donation",
    "ask-donation-procedure",
    "task-related-inquiry",
    "negative-to-inquiry",
    "off-task",
    "neutral-reaction-to-donation",
    "thank",
    "personal-related-inquiry",
    "ask-persuader-donation-intention",
    "closing",
    "disagree-donation",
    "neutral-to-inquiry",
    "you-are-welcome",
    "confirm-donation",
    "disagree-donation-more",
];
/// A negative reaction.
pub const NEGATIVE: usize = 5;
/// Naming a sum.
pub const PROVIDE: usize = 6;
/// Agreeing to give.
pub const AGREE: usize = 8;
/// Declining to give.
pub const DISAGREE: usize = 18;

/// The act that a donor's label is.
pub fn act(label: &str) -> usize {
    ACT_NAMES.iter().position(|name| *name == label).unwrap_or(2)
}

/// Number of groups of acts.
pub const GROUPS: usize = 6;

/// The group of an act: agreeing, positive, negative, asking, polite, other.
pub fn group(act: usize) -> usize {
    match act {
        PROVIDE | AGREE | 21 => 0,
        0 | 4 => 1,
        NEGATIVE | 11 | DISAGREE | 22 => 2,
        1 | 9 | 10 | 15 | 16 => 3,
        3 | 7 | 14 | 17 | 20 => 4,
        _ => 5,
    }
}

/// Whether doubt makes an act rarer (1) or more frequent (-1), or does neither.
pub fn valence(act: usize) -> f64 {
    match act {
        0 | PROVIDE | AGREE | 21 => 1.0,
        NEGATIVE | DISAGREE | 22 => -1.0,
        _ => 0.0,
    }
}

/// What an act is worth as a reply, in GDP-Zero's reading of the labels.
pub fn worth(act: usize) -> f64 {
    match act {
        DISAGREE => -1.0,
        NEGATIVE => -0.5,
        0 => 0.5,
        AGREE => 1.0,
        _ => 0.0,
    }
}
