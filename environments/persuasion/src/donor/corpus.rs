//! PersuasionForGood for fitting the donor: the labels of sentences turn by turn, and what was given.

use std::collections::BTreeMap;
use std::path::Path;

use forethought_sdk::prelude::*;

use super::acts::{act, approach};

/// An annotated dialogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Talk {
    /// Its id.
    pub id: String,
    /// Its turns, in order.
    pub turns: Vec<Exchanged>,
    /// What the donor gave in the end, in dollars, clipped to the payment.
    pub given: f64,
}

/// A turn: what the persuader did, and how the donor took it, sentence by sentence.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exchanged {
    /// The persuader's approaches.
    pub approaches: Vec<usize>,
    /// The same sentences in words.
    pub words: Vec<String>,
    /// The donor's acts; empty after the donor's last words.
    pub acts: Vec<usize>,
}

/// The annotated dialogues of a folder of PersuasionForGood.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Corpus {
    /// The dialogues.
    pub talks: Vec<Talk>,
}

/// The payment of a task: gifts are clipped to it.
pub const PAYMENT: f64 = 2.0;

#[data]
struct Sentence {
    #[serde(rename = "B2")]
    id: String,
    #[serde(rename = "B4")]
    role: usize,
    #[serde(rename = "Turn")]
    turn: usize,
    #[serde(rename = "Unit")]
    text: String,
    er_label_1: String,
    ee_label_1: String,
}

#[data]
struct Person {
    #[serde(rename = "B2")]
    id: String,
    #[serde(rename = "B4")]
    role: usize,
    #[serde(rename = "B6")]
    given: f64,
}

impl Corpus {
    /// Reads `annotated_300_dialog.csv` and `annotated_300_info.csv` of a folder.
    ///
    /// # Errors
    /// A file that cannot be read. Names the file and the line.
    pub fn read(folder: &Path) -> Result<Self> {
        let people = rows::<Person>(&folder.join("annotated_300_info.csv"))?;
        let donors = people.into_iter().filter(|person| person.role == 1);
        let gifts: BTreeMap<String, f64> =
            donors.map(|person| (person.id, person.given.clamp(0.0, PAYMENT))).collect();
        let mut talks: Vec<Talk> = Vec::new();
        for sentence in rows::<Sentence>(&folder.join("annotated_300_dialog.csv"))? {
            if talks.last().is_none_or(|talk| talk.id != sentence.id) {
                let given = gifts.get(&sentence.id).copied();
                let given = given.ok_or_else(|| {
                    Error::input(format!("{}: no info file says what {} gave", folder.display(), sentence.id))
                })?;
                talks.push(Talk { id: sentence.id.clone(), turns: Vec::new(), given });
            }
            let Some(talk) = talks.last_mut() else { continue };
            if talk.turns.len() <= sentence.turn {
                talk.turns.resize(sentence.turn + 1, Exchanged::default());
            }
            let turn = &mut talk.turns[sentence.turn];
            if sentence.role == 0 {
                turn.approaches.push(approach(&sentence.er_label_1));
                turn.words.push(sentence.text);
            } else {
                turn.acts.push(act(&sentence.ee_label_1));
            }
        }
        Ok(Self { talks })
    }

    /// One part in three by the hash of the ids, and the rest: held out, and fitted to.
    pub fn split(&self) -> (Self, Self) {
        let held = |id: &str| seed::derive(0, id).is_multiple_of(3);
        let part = |wanted| Self {
            talks: self.talks.iter().filter(|talk| held(&talk.id) == wanted).cloned().collect(),
        };
        (part(true), part(false))
    }
}

fn rows<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Vec<T>> {
    let wrong = |error: csv::Error| Error::input(format!("cannot read {}: {error}", path.display()));
    csv::Reader::from_path(path).map_err(wrong)?.deserialize().collect::<Result<_, _>>().map_err(wrong)
}
