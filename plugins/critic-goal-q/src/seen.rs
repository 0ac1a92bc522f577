//! What a critic has seen: whether a text is so unlike the training data that its values mean nothing.

use std::collections::HashSet;

use forethought_sdk::api::metrics::evenly;

use crate::goals::TextId;

/// Texts that are kept, and held-out texts that are compared with them.
const KEPT: usize = 2000;
const COMPARED: usize = 500;
/// The share of new held-out texts that must count as inside.
const INSIDE: f64 = 0.99;
/// With fewer new texts than this, nothing is known about how far new ones are, and none is outside.
const ENOUGH: usize = 20;

/// Embeddings of training texts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) embeddings: Vec<f32>,
    /// The squared distance to the nearest of them up to which a text is inside; without it, all are.
    pub(crate) limit: Option<f64>,
}

impl Seen {
    /// From the rows `train` of a table; the limit is that of the rows `held_out` that training does not have.
    pub(crate) fn new(table: &[f32], dimension: usize, train: &[TextId], held_out: &[TextId]) -> Self {
        let row = |id: TextId| &table[id as usize * dimension..][..dimension];
        let mut known = HashSet::new();
        let distinct: Vec<TextId> = train.iter().copied().filter(|id| known.insert(*id)).collect();
        let embeddings = evenly(&distinct, KEPT).flat_map(row).copied().collect();
        let new: Vec<TextId> = held_out.iter().copied().filter(|id| known.insert(*id)).collect();
        let mut seen = Self { embeddings, limit: None };
        let distances = evenly(&new, COMPARED).map(|id| seen.distance(row(id))).collect();
        seen.bound(distances);
        seen
    }

    /// Of these embeddings; the limit is that of each left out once.
    pub(crate) fn leave_one_out(all: &[&[f32]]) -> Self {
        let kept: Vec<&[f32]> = evenly(all, KEPT).collect();
        let mut seen = Self { embeddings: kept.concat(), limit: None };
        let others = |own: usize| {
            let rows = kept.iter().enumerate().filter(|(index, _)| *index != own);
            rows.map(|(_, row)| distance(row, kept[own])).fold(f32::INFINITY, f32::min)
        };
        let places: Vec<usize> = (0..kept.len()).collect();
        seen.bound(evenly(&places, COMPARED).map(others).collect());
        seen
    }

    /// Sets the limit so that nearly all of these distances are inside.
    fn bound(&mut self, mut distances: Vec<f32>) {
        if distances.len() >= ENOUGH {
            distances.sort_by(f32::total_cmp);
            self.limit = Some(f64::from(distances[((distances.len() - 1) as f64 * INSIDE).ceil() as usize]));
        }
    }

    /// Whether a text with this embedding is outside.
    pub(crate) fn outside(&self, embedding: &[f32]) -> bool {
        self.limit.is_some_and(|limit| f64::from(self.distance(embedding)) > limit)
    }

    /// The squared distance to the nearest text.
    fn distance(&self, embedding: &[f32]) -> f32 {
        let rows = self.embeddings.chunks(embedding.len());
        rows.map(|row| distance(row, embedding)).fold(f32::INFINITY, f32::min)
    }
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_further_away_than_new_texts_usually_are_is_outside() {
        // Texts on a line: ten for training, fifty new ones within 0.5 of one of them.
        let table: Vec<f32> =
            (0..10).map(|i| i as f32).chain((0..50).map(|i| (i % 10) as f32 + 0.01 * i as f32)).collect();
        let (train, held_out): (Vec<u32>, Vec<u32>) = ((0..10).collect(), (10..60).collect());
        let seen = Seen::new(&table, 1, &train, &held_out);
        assert!(!seen.outside(&[3.2]) && seen.outside(&[12.0]), "{seen:?}");
        // Nothing new is held out: nothing is known about distances.
        assert!(!Seen::new(&table, 1, &train, &train).outside(&[12.0]));
    }
}
