//! The inverted index, and building it.

use std::collections::HashMap;
use std::ops::Range;

use super::{analyzer, norms, query, tokenizer};
use crate::product::{Catalogue, Product};

/// A product that search found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Number of the product in its catalogue.
    pub product: u32,
    /// BM25 score.
    pub score: f32,
}

/// An inverted index over a catalogue.
///
/// Documents are numbered by ascending asin, so that of two equal scores the smaller number goes first.
#[derive(Debug)]
pub struct Index {
    /// The product of each document.
    pub(super) products: Vec<u32>,
    /// The length of each document in one byte.
    pub(super) norms: Vec<u8>,
    /// The factor of a term's frequency by document length: `1 / (k1 * (1 - b + b * length / average))`.
    pub(super) damping: [f32; 256],
    /// Number of documents that are not empty.
    pub(super) documents: u32,
    terms: HashMap<Box<str>, u32>,
    /// Where each term's postings begin; at last, where the postings end.
    starts: Vec<u64>,
    posted: Vec<u32>,
    frequencies: Vec<u8>,
    /// Frequencies of 255 and more, by place in `frequencies`.
    large: HashMap<u64, u32>,
    /// Per term the largest product of frequency and damping.
    peaks: Vec<f32>,
}

/// The documents of one term.
#[derive(Clone, Copy)]
pub(super) struct Postings<'a> {
    pub(super) documents: &'a [u32],
    pub(super) peak: f32,
    frequencies: &'a [u8],
    large: &'a HashMap<u64, u32>,
    start: u64,
}

impl Postings<'_> {
    /// How often the term occurs in document number `at` of this list.
    pub(super) fn frequency(&self, at: usize) -> u32 {
        match self.frequencies[at] {
            u8::MAX => self.large[&(self.start + at as u64)],
            small => small.into(),
        }
    }
}

/// The indexed text of a product: title, description, first bullet and options, lower case.
pub fn document(product: &Product) -> String {
    let bullet = product.bullets.first().map_or("", String::as_str);
    let mut text = [&product.title, &product.description, bullet, ""].join(" ");
    for (number, (name, values)) in product.options.iter().enumerate() {
        if number > 0 {
            text.push_str(", and ");
        }
        text.push_str(name);
        text.push_str(": ");
        text.push_str(&values.join(", "));
    }
    if text.is_ascii() {
        text.make_ascii_lowercase();
        return text;
    }
    text.to_lowercase()
}

impl Index {
    /// Indexes every product of `catalogue`, on all available cores.
    pub fn build(catalogue: &dyn Catalogue) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from) as u32;
        let share = catalogue.len().div_ceil(threads).max(1);
        let ranges = (0..threads).map(|thread| {
            let from = thread.saturating_mul(share).min(catalogue.len());
            from..from.saturating_add(share).min(catalogue.len())
        });
        let parts: Vec<Part> = std::thread::scope(|scope| {
            let workers: Vec<_> = ranges.map(|range| scope.spawn(|| Part::read(catalogue, range))).collect();
            workers
                .into_iter()
                .map(|worker| worker.join().expect("reading a product does not panic"))
                .collect()
        });
        Self::merge(parts)
    }

    fn merge(mut parts: Vec<Part>) -> Self {
        let mut terms: HashMap<Box<str>, u32> = HashMap::new();
        let mut counts: Vec<u64> = Vec::new();
        for part in &mut parts {
            part.global = Vec::with_capacity(part.terms.len());
            for (term, count) in part.terms.drain(..).zip(&part.counts) {
                let fresh = terms.len() as u32;
                let number = *terms.entry(term).or_insert(fresh);
                if number == fresh {
                    counts.push(0);
                }
                counts[number as usize] += u64::from(*count);
                part.global.push(number);
            }
        }
        let mut starts = vec![0; counts.len() + 1];
        for (number, count) in counts.iter().enumerate() {
            starts[number + 1] = starts[number] + count;
        }

        let places: Vec<(&Part, usize)> =
            parts.iter().flat_map(|part| (0..part.asins.len()).map(move |at| (part, at))).collect();
        let mut products: Vec<u32> = (0..places.len() as u32).collect();
        let asin = |product: u32| {
            let (part, at) = places[product as usize];
            &part.asins[at]
        };
        products.sort_unstable_by(|&a, &b| asin(a).cmp(asin(b)).then(a.cmp(&b)));

        let tokens: u64 = parts.iter().flat_map(|part| &part.lengths).map(|&length| u64::from(length)).sum();
        let filled = parts.iter().flat_map(|part| &part.lengths).filter(|&&length| length > 0).count();
        let damping = damping(tokens, filled);

        let size = starts[counts.len()] as usize;
        let mut index = Self {
            norms: Vec::with_capacity(products.len()),
            damping,
            documents: filled as u32,
            terms,
            posted: vec![0; size],
            frequencies: vec![0; size],
            large: HashMap::new(),
            peaks: vec![0.0; counts.len()],
            starts,
            products: Vec::new(),
        };
        let mut next = index.starts.clone();
        for (document, &product) in products.iter().enumerate() {
            let (part, at) = places[product as usize];
            let norm = norms::encode(part.lengths[at]);
            index.norms.push(norm);
            for entry in part.ends[at] as usize..part.ends[at + 1] as usize {
                let term = part.global[part.entries[entry] as usize] as usize;
                let frequency = part.frequency(entry);
                let place = next[term];
                next[term] += 1;
                index.posted[place as usize] = document as u32;
                index.frequencies[place as usize] = frequency.min(u8::MAX.into()) as u8;
                if frequency >= u8::MAX.into() {
                    index.large.insert(place, frequency);
                }
                let peak = &mut index.peaks[term];
                *peak = peak.max(frequency as f32 * damping[usize::from(norm)]);
            }
        }
        drop(places);
        index.products = products;
        index
    }

    /// The best `k` products for `query`, best first; equal scores by ascending asin.
    pub fn search(&self, query: &str, k: usize) -> Vec<Hit> {
        query::search(self, query, k)
    }

    /// The number of `term`, if any document has it.
    pub(super) fn number(&self, term: &str) -> Option<u32> {
        self.terms.get(term).copied()
    }

    /// Documents with term `number`.
    pub(super) fn postings(&self, number: u32) -> Postings<'_> {
        let number = number as usize;
        let range = self.starts[number] as usize..self.starts[number + 1] as usize;
        Postings {
            documents: &self.posted[range.clone()],
            frequencies: &self.frequencies[range],
            peak: self.peaks[number],
            large: &self.large,
            start: self.starts[number],
        }
    }
}

/// k1 and b as Anserini sets them.
const K1: f32 = 0.9;
const B: f32 = 0.4;

fn damping(tokens: u64, documents: usize) -> [f32; 256] {
    let average = (tokens as f64 / documents.max(1) as f64) as f32;
    std::array::from_fn(|norm| {
        let length = norms::decode(norm as u8) as f32;
        1.0 / (K1 * ((1.0 - B) + B * length / average))
    })
}

/// What one thread read: each document's terms and frequencies, in the catalogue's order.
#[derive(Default)]
struct Part {
    asins: Vec<String>,
    lengths: Vec<u32>,
    /// Terms by this part's numbers, and in how many documents each occurs.
    terms: Vec<Box<str>>,
    counts: Vec<u32>,
    /// The index's numbers of the terms.
    global: Vec<u32>,
    /// Where each document's entries begin; at last, where the entries end.
    ends: Vec<u64>,
    entries: Vec<u32>,
    frequencies: Vec<u8>,
    large: HashMap<usize, u32>,
}

impl Part {
    fn read(catalogue: &dyn Catalogue, range: Range<u32>) -> Self {
        let mut part = Self { ends: vec![0], ..Self::default() };
        let mut words = Words::default();
        let mut document_terms: Vec<u32> = Vec::new();
        for number in range {
            let product = catalogue.product(number);
            document_terms.clear();
            document_terms.extend(
                tokenizer::tokens(&document(&product)).filter_map(|word| words.term(word, &mut part.terms)),
            );
            part.counts.resize(part.terms.len(), 0);
            part.asins.push(product.into_owned().asin);
            part.lengths.push(document_terms.len() as u32);
            document_terms.sort_unstable();
            for same in document_terms.chunk_by(|a, b| a == b) {
                if same.len() >= u8::MAX.into() {
                    part.large.insert(part.entries.len(), same.len() as u32);
                }
                part.entries.push(same[0]);
                part.frequencies.push(same.len().min(u8::MAX.into()) as u8);
                part.counts[same[0] as usize] += 1;
            }
            part.ends.push(part.entries.len() as u64);
        }
        part
    }

    fn frequency(&self, entry: usize) -> u32 {
        match self.frequencies[entry] {
            u8::MAX => self.large[&entry],
            small => small.into(),
        }
    }
}

/// Words so far and their terms, so that each is stemmed once.
#[derive(Default)]
struct Words {
    known: HashMap<Box<str>, Option<u32>>,
    numbers: HashMap<Box<str>, u32>,
}

impl Words {
    /// The number of `word`'s term, or `None` for a stop word; new terms are added to `terms`.
    fn term(&mut self, word: &str, terms: &mut Vec<Box<str>>) -> Option<u32> {
        if let Some(&known) = self.known.get(word) {
            return known;
        }
        let number = analyzer::term(word).map(|term| {
            *self.numbers.entry(term.into()).or_insert_with_key(|term| {
                terms.push(term.clone());
                terms.len() as u32 - 1
            })
        });
        self.known.insert(word.into(), number);
        number
    }
}
