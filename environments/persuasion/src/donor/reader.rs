//! Reads a persuader's approaches from the words: naive Bayes over hashed words, sentence by sentence.
//!
//! Words are hashed, so that what ships is numbers and no dialogue text.

use forethought_sdk::prelude::*;

use super::acts::APPROACHES;
use super::corpus::Talk;

/// Number of places that words are hashed to.
const PLACES: usize = 1024;
/// Added to every count of a word.
const SMOOTHING: f64 = 0.3;

/// The reader's numbers, in hundredths of a nat: integers, so that the file is small and exact.
#[data]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Reader {
    /// Log-probability of each approach.
    prior: Vec<i32>,
    /// For each approach the log-probability of each place, less its mean over approaches.
    words: Vec<Vec<i32>>,
}

impl Reader {
    /// A reader fitted to the labels.
    pub fn fit(talks: &[Talk]) -> Self {
        let mut sentences = [1.0; APPROACHES];
        let mut counts = vec![vec![SMOOTHING; PLACES]; APPROACHES];
        for turn in talks.iter().flat_map(|talk| &talk.turns) {
            for (text, &approach) in turn.words.iter().zip(&turn.approaches) {
                sentences[approach] += 1.0;
                for place in places(text) {
                    counts[approach][place] += 1.0;
                }
            }
        }
        let log_shares = |counts: &[f64]| {
            let total: f64 = counts.iter().sum();
            counts.iter().map(|count| (count / total).ln()).collect::<Vec<_>>()
        };
        let whole = |nats: f64| (nats * 100.0).round() as i32;
        let logs: Vec<_> = counts.iter().map(|counts| log_shares(counts)).collect();
        let mean = |place: usize| logs.iter().map(|logs| logs[place]).sum::<f64>() / APPROACHES as f64;
        let means: Vec<_> = (0..PLACES).map(mean).collect();
        let relative =
            |logs: &Vec<f64>| logs.iter().zip(&means).map(|(log, mean)| whole(log - mean)).collect();
        Self {
            prior: log_shares(&sentences).into_iter().map(whole).collect(),
            words: logs.iter().map(relative).collect(),
        }
    }

    /// The likeliest approach of one sentence.
    pub fn sentence(&self, text: &str) -> usize {
        let places = places(text);
        let score = |approach: usize| -> i32 {
            self.prior[approach] + places.iter().map(|&place| self.words[approach][place]).sum::<i32>()
        };
        (0..APPROACHES).rev().max_by_key(|&approach| score(approach)).unwrap_or(APPROACHES - 1)
    }

    /// The approaches of an utterance, sentence by sentence.
    pub fn utterance(&self, text: &str) -> Vec<usize> {
        let sentences = text.split_inclusive(['.', '!', '?']).map(str::trim);
        sentences
            .filter(|text| text.contains(char::is_alphanumeric))
            .map(|text| self.sentence(text))
            .collect()
    }
}

/// The places of a sentence's words and question mark, each once. Pairs of words read worse: there are too few data.
fn places(text: &str) -> Vec<usize> {
    let text = text.to_lowercase().replace('\u{2019}', "'");
    let words = text.split(|c: char| !(c.is_alphanumeric() || c == '\'')).filter(|word| !word.is_empty());
    let mut places: Vec<usize> = words.chain(text.contains('?').then_some("?")).map(hash).collect();
    places.sort_unstable();
    places.dedup();
    places
}

/// FNV-1a.
fn hash(word: &str) -> usize {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    (word.bytes().fold(0xcbf2_9ce4_8422_2325, step) % PLACES as u64) as usize
}
