//! Ranking: BM25 in single precision as Lucene computes it, with exact pruning (MaxScore).
//!
//! Documents are taken in windows. Within a window, terms too weak to lift a document into the best `k` by themselves
//! are not scanned; they are looked up only for documents that the other terms found.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::index::{Hit, Index, Postings};
use super::{analyzer, tokenizer};

/// Documents per window: the sums of a window stay in the nearest cache.
const WINDOW: u32 = 4096;

/// Sums in another order differ in the last bits; an upper bound must stay above them.
const SLACK: f64 = 1.0 + 1e-12;

/// A term of the query.
struct Term<'a> {
    postings: Postings<'a>,
    /// Times in the query by inverse document frequency.
    weight: f32,
    /// No document gets more from this term.
    bound: f32,
    /// First posting not yet passed.
    at: usize,
}

impl Term<'_> {
    fn score(&self, at: usize, damping: f32) -> f32 {
        score(self.weight, self.postings.frequency(at) as f32 * damping)
    }

    /// The score of `document`, if the term is at it.
    fn score_of(&self, document: u32, damping: f32) -> Option<f32> {
        (self.postings.documents.get(self.at) == Some(&document)).then(|| self.score(self.at, damping))
    }

    /// Moves to the first posting at or after `document`.
    fn seek(&mut self, document: u32) {
        let rest = &self.postings.documents[self.at..];
        // Doubling steps: most jumps are short.
        let mut reach = 1;
        while reach < rest.len() && rest[reach] < document {
            reach *= 2;
        }
        let from = reach / 2;
        let to = (reach + 1).min(rest.len());
        if let Some(near) = rest.get(from..to) {
            self.at += from + near.partition_point(|&posted| posted < document);
        }
    }
}

fn score(weight: f32, frequency: f32) -> f32 {
    weight - weight / (1.0 + frequency)
}

/// A document and its score; the greatest is the one to drop first.
#[derive(PartialEq)]
struct Candidate {
    score: f32,
    document: u32,
}

impl Eq for Candidate {}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.document.cmp(&other.document))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The best `k` so far.
struct Best {
    k: usize,
    heap: BinaryHeap<Candidate>,
}

impl Best {
    /// Whether a document that comes later and scores at most `bound` cannot enter.
    fn excludes(&self, bound: f64) -> bool {
        let worst = self.heap.peek().filter(|_| self.heap.len() == self.k);
        worst.is_some_and(|worst| (bound * SLACK) as f32 <= worst.score)
    }

    fn offer(&mut self, candidate: Candidate) {
        if self.heap.len() < self.k {
            self.heap.push(candidate);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && candidate < *worst
        {
            *worst = candidate;
        }
    }
}

/// The best `k` products, best first.
pub(super) fn search(index: &Index, query: &str, k: usize) -> Vec<Hit> {
    let mut terms = terms(index, query);
    let mut best = Best { k, heap: BinaryHeap::new() };
    if k > 0 {
        rank(index, &mut terms, &mut best);
    }
    let hit = |found: Candidate| Hit { product: index.products[found.document as usize], score: found.score };
    best.heap.into_sorted_vec().into_iter().map(hit).collect()
}

/// The query's terms that the index knows, in the query's order.
fn terms<'a>(index: &'a Index, query: &str) -> Vec<Term<'a>> {
    let mut counts: Vec<(u32, u32)> = Vec::new();
    for number in tokenizer::tokens(query).filter_map(analyzer::term).filter_map(|term| index.number(&term)) {
        match counts.iter_mut().find(|(known, _)| *known == number) {
            Some((_, count)) => *count += 1,
            None => counts.push((number, 1)),
        }
    }
    let known = counts.into_iter().map(|(number, count)| {
        let postings = index.postings(number);
        let (all, with) = (f64::from(index.documents), postings.documents.len() as f64);
        let rarity = (1.0 + (all - with + 0.5) / (with + 0.5)).ln() as f32;
        let weight = count as f32 * rarity;
        Term { bound: score(weight, postings.peak), weight, postings, at: 0 }
    });
    known.collect()
}

fn rank(index: &Index, terms: &mut [Term], best: &mut Best) {
    // Weakest first; `reach[n]` is an upper bound of the sum of the first n.
    let mut order: Vec<usize> = (0..terms.len()).collect();
    order.sort_by(|&a, &b| terms[a].bound.total_cmp(&terms[b].bound));
    let mut reach = vec![0.0; terms.len() + 1];
    for (rank, &term) in order.iter().enumerate() {
        reach[rank + 1] = reach[rank] + f64::from(terms[term].bound);
    }

    let mut window = Window::default();
    let mut weak = 0;
    loop {
        while weak < terms.len() && best.excludes(reach[weak + 1]) {
            weak += 1;
        }
        let (weaker, stronger) = order.split_at(weak);
        let next = |&term: &usize| terms[term].postings.documents.get(terms[term].at).copied();
        let Some(base) = stronger.iter().filter_map(next).min() else { return };
        for &term in stronger {
            window.add(index, &mut terms[term], base);
        }
        window.drain(|offset, sum| {
            let document = base + offset;
            let damping = index.damping[usize::from(index.norms[document as usize])];
            let mut bound = sum;
            for (rank, &term) in weaker.iter().enumerate().rev() {
                if best.excludes(bound + reach[rank + 1]) {
                    return;
                }
                let term = &mut terms[term];
                term.seek(document);
                bound += term.score_of(document, damping).map_or(0.0, f64::from);
            }
            if best.excludes(bound) {
                return;
            }
            // The final score has to be added in this order.
            for &term in stronger {
                terms[term].seek(document);
            }
            let score: f64 =
                terms.iter().filter_map(|term| term.score_of(document, damping)).map(f64::from).sum();
            best.offer(Candidate { score: score as f32, document });
        });
        for &term in stronger {
            terms[term].seek(base.saturating_add(WINDOW));
        }
    }
}

/// Sums of scores over consecutive documents.
struct Window {
    sums: Box<[f64]>,
    /// One bit for each document with a sum.
    found: [u64; WINDOW as usize / 64],
}

impl Default for Window {
    fn default() -> Self {
        Self { sums: vec![0.0; WINDOW as usize].into(), found: [0; WINDOW as usize / 64] }
    }
}

impl Window {
    /// Adds the scores that `term` gives from document `base` on; the term stays where it is.
    fn add(&mut self, index: &Index, term: &mut Term, base: u32) {
        term.seek(base);
        for (at, &document) in term.postings.documents.iter().enumerate().skip(term.at) {
            let offset = (document - base) as usize;
            let Some(sum) = self.sums.get_mut(offset) else { break };
            let damping = index.damping[usize::from(index.norms[document as usize])];
            *sum += f64::from(term.score(at, damping));
            self.found[offset / 64] |= 1 << (offset % 64);
        }
    }

    /// Visits the sums in the order of documents, and empties the window.
    fn drain(&mut self, mut take: impl FnMut(u32, f64)) {
        for (word, bits) in self.found.iter_mut().enumerate() {
            while *bits != 0 {
                let offset = word * 64 + bits.trailing_zeros() as usize;
                *bits &= *bits - 1;
                take(offset as u32, std::mem::take(&mut self.sums[offset]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;
    use crate::product::{Catalogue, Goal, Product};

    /// Titles and nothing else.
    struct Titles(Vec<(String, String)>);

    impl Catalogue for Titles {
        fn len(&self) -> u32 {
            self.0.len() as u32
        }
        fn product(&self, index: u32) -> Cow<'_, Product> {
            let (asin, title) = self.0[index as usize].clone();
            Cow::Owned(Product { asin, title, ..Product::default() })
        }
        fn find(&self, asin: &str) -> Option<u32> {
            self.0.iter().position(|(known, _)| known == asin).map(|at| at as u32)
        }
        fn price(&self, _index: u32) -> f64 {
            1.0
        }
        fn goals(&self) -> u64 {
            0
        }
        fn goal(&self, _index: u64) -> Cow<'_, Goal> {
            Cow::Owned(Goal::default())
        }
    }

    /// The ranking by its definition: every document scored, all sorted.
    fn exhaustive(index: &Index, query: &str, k: usize) -> Vec<Hit> {
        let terms = terms(index, query);
        let mut sums = vec![None; index.products.len()];
        for term in &terms {
            for (at, &document) in term.postings.documents.iter().enumerate() {
                let damping = index.damping[usize::from(index.norms[document as usize])];
                *sums[document as usize].get_or_insert(0.0) += f64::from(term.score(at, damping));
            }
        }
        let scored = sums.iter().zip(&index.products);
        let mut hits: Vec<Hit> =
            scored.filter_map(|(sum, &product)| Some(Hit { product, score: (*sum)? as f32 })).collect();
        hits.sort_by(|a, b| b.score.total_cmp(&a.score));
        hits.truncate(k);
        hits
    }

    fn shop(titles: Vec<String>) -> Titles {
        // Numbered backwards, so that the order of asins is not the catalogue's.
        Titles(
            titles
                .into_iter()
                .enumerate()
                .map(|(n, title)| (format!("B{:09}", 999_999_999 - n), title))
                .collect(),
        )
    }

    #[test]
    fn equal_scores_go_by_asin() {
        let index = Index::build(&shop(vec!["red shoe".into(), "blue hat".into(), "red shoe".into()]));
        let found: Vec<u32> = index.search("red shoes", 10).iter().map(|hit| hit.product).collect();
        assert_eq!(found, [2, 0]);
        assert!(index.search("red", 0).is_empty() && index.search("the", 5).is_empty());
    }

    #[test]
    fn frequencies_above_a_byte_count_in_full() {
        let index = Index::build(&shop(vec!["red ".repeat(255), "red ".repeat(3000), "blue".into()]));
        let postings = index.postings(index.number("red").expect("indexed"));
        assert_eq!((postings.frequency(0), postings.frequency(1)), (3000, 255));
        assert_eq!(index.search("red", 2), exhaustive(&index, "red", 2));
    }

    #[test]
    fn an_empty_catalogue_finds_nothing() {
        assert!(Index::build(&shop(Vec::new())).search("shoe", 10).is_empty());
    }

    proptest! {
        #[test]
        fn pruning_changes_nothing(
            // Few words, skewed: many ties, and terms from rare to ubiquitous.
            titles in prop::collection::vec(
                prop::collection::vec(prop_oneof![8 => 0..3u8, 3 => 3..9u8, 1 => 9..40u8], 0..12), 0..300),
            copies in prop_oneof![4 => Just(1usize), 1 => Just(40usize)],
            query in prop::collection::vec(0..40u8, 0..9),
            k in 0..60usize,
        ) {
            let text = |words: &[u8]| words.iter().map(|word| format!("w{word}q ")).collect::<String>();
            let titles: Vec<String> = titles.iter().map(|words| text(words)).collect();
            // Copies make catalogues of more than one window.
            let index = Index::build(&shop((0..copies).flat_map(|_| titles.clone()).collect()));
            let query = text(&query);
            prop_assert_eq!(index.search(&query, k), exhaustive(&index, &query, k));
        }

        #[test]
        fn any_text_can_be_searched(text in prop_oneof![any::<String>(), "\\PC{0,300}"], query in any::<String>()) {
            let index = Index::build(&shop(vec![text.clone(), query.clone()]));
            for hit in index.search(&query, 50).iter().chain(&index.search(&text, 50)) {
                prop_assert!(hit.product < 2 && hit.score >= 0.0);
            }
            for term in super::super::analyze(&text.to_lowercase()) {
                prop_assert!(!term.is_empty() && index.number(&term).is_some());
            }
        }
    }
}
