//! Which texts go through the network together.
//!
//! A batch is padded to its longest text, so texts of similar length belong together: on mixed lengths that alone
//! makes encoding two to three times as fast.

/// The token ids of one text, with its special tokens.
pub(crate) struct Tokens(Vec<u32>);

impl Tokens {
    pub(crate) fn new(ids: Vec<u32>) -> Self {
        // A tokenizer without special tokens gives no tokens for the empty text, and a network needs one.
        Self(if ids.is_empty() { vec![0] } else { ids })
    }

    pub(crate) fn ids(&self) -> &[u32] {
        &self.0
    }
}

/// In which order texts fill batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Shortest first.
    Length,
    /// As they arrived; for comparison.
    Arrival,
}

/// Splits the indices of `texts` into batches of at most `batch_tokens` tokens, padding included.
pub(crate) fn plan(texts: &[Tokens], batch_tokens: usize, order: Order) -> Vec<Vec<usize>> {
    let length = |index: usize| texts[index].ids().len();
    let mut indices: Vec<usize> = (0..texts.len()).collect();
    if order == Order::Length {
        indices.sort_by_key(|&index| length(index));
    }
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let (mut longest, mut shortest) = (0, 0);
    for index in indices {
        let (wide, narrow) = (longest.max(length(index)), shortest.min(length(index)));
        let fits = batches.last().is_some_and(|batch| {
            // A few texts of very different length are cheaper apart than padded.
            let similar = order == Order::Arrival || wide <= narrow + narrow / 4 + 4;
            similar && wide * (batch.len() + 1) <= batch_tokens
        });
        match batches.last_mut() {
            Some(batch) if fits => {
                batch.push(index);
                (longest, shortest) = (wide, narrow);
            }
            _ => {
                batches.push(vec![index]);
                (longest, shortest) = (length(index), length(index));
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lengths: &[usize], batch_tokens: usize, expect: &[&[usize]]) {
        let texts: Vec<Tokens> = lengths.iter().map(|&length| Tokens::new(vec![7; length])).collect();
        assert_eq!(plan(&texts, batch_tokens, Order::Length), expect);
    }

    #[test]
    fn texts_of_similar_length_share_a_batch() {
        check(&[], 100, &[]);
        check(&[9, 3, 40, 4, 41], 100, &[&[1, 3], &[0], &[2, 4]]);
        // Full: 3 times 4 is the limit.
        check(&[4, 4, 4, 4], 12, &[&[0, 1, 2], &[3]]);
        // A text longer than a batch goes alone.
        check(&[50, 2], 12, &[&[1], &[0]]);
        // The empty text of a tokenizer without special tokens.
        check(&[0], 12, &[&[0]]);
    }
}
