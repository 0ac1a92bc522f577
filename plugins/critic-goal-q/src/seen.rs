//! What a critic has seen: whether a text is so unlike the training data that its values mean nothing.

use std::collections::HashSet;

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
        let embeddings = spread(&distinct, KEPT).flat_map(row).copied().collect();
        let new: Vec<TextId> = held_out.iter().copied().filter(|id| known.insert(*id)).collect();
        let mut seen = Self { embeddings, limit: None };
        if new.len() >= ENOUGH {
            let mut distances: Vec<f64> =
                spread(&new, COMPARED).map(|id| f64::from(seen.distance(row(id)))).collect();
            distances.sort_by(f64::total_cmp);
            seen.limit = Some(distances[((distances.len() - 1) as f64 * INSIDE).ceil() as usize]);
        }
        seen
    }

    /// Whether a text with this embedding is outside.
    pub(crate) fn outside(&self, embedding: &[f32]) -> bool {
        self.limit.is_some_and(|limit| f64::from(self.distance(embedding)) > limit)
    }

    /// The squared distance to the nearest text.
    fn distance(&self, embedding: &[f32]) -> f32 {
        let rows = self.embeddings.chunks(embedding.len());
        rows.map(|row| row.iter().zip(embedding).map(|(a, b)| (a - b) * (a - b)).sum())
            .fold(f32::INFINITY, f32::min)
    }
}

/// At most `most` of them, evenly spread.
pub(crate) fn spread<T: Copy>(all: &[T], most: usize) -> impl Iterator<Item = T> {
    let count = all.len().min(most);
    (0..count).map(move |index| all[index * all.len() / count])
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
