//! Meanings: which sentences say the same, and how a sentence that nobody has listed is read as one of them.
//!
//! # Design
//! A model says one outcome in many ways, so literal identity calls most of what came true *not reached*. A vocabulary
//! lists known sentences under a canonical one each. A sentence that it does not list is read by a multinomial logistic
//! regression on embeddings, if that is sure enough: the threshold is set by cross-validation, so that at least
//! [`RIGHT`] of what it accepts is right, and nothing is accepted that is further from the listed sentences than they
//! are from each other. It can also refuse a sentence as of no meaning: sentences of the other kind, thoughts among
//! outcomes, are a class of their own. Embeddings hardly see a "not", so a sentence that would be read the same without
//! its negations is refused as well. Words with digits name things (players, products, prices) and are not read.
//! A summary of a state says many things at once, so it is read sentence by sentence, and a sentence that is not listed
//! stays as it is. Clusters or the nearest sentence would need no training, but on free
//! paraphrases they are right less often than such a regression. Training and serving read alike.

use std::collections::{HashMap, HashSet};

use candle_core::{Device, Tensor};
use candle_nn::ops::softmax;
use forethought_sdk::api::text::unmarked;
use forethought_sdk::prelude::*;
use forethought_sdk::serde_json;

use crate::seen::Seen;

/// The least share of accepted sentences that must be read right.
const RIGHT: f64 = 0.9;
/// Ridge of the regression, per sentence.
const RIDGE: f64 = 0.1;
/// Steps of accelerated gradient descent: with this ridge the predictions no longer change.
const STEPS: usize = 300;
/// Parts of the cross-validation.
const FOLDS: usize = 5;

/// Reads the file that the key `vocabulary` of a trainer names.
pub(crate) fn load(path: &ConfigPath) -> Result<Vocabulary> {
    let bad = |why: String| Error::config(format!("trainer goal-q: vocabulary: {}: {why}", path.display()));
    let text = std::fs::read_to_string(&path.0).map_err(|error| bad(error.to_string()))?;
    let mut vocabulary = parse(&text).map_err(bad)?;
    let Vocabulary { outcomes, thoughts, states } = &mut vocabulary;
    for (key, meanings) in [("outcomes", outcomes), ("thoughts", thoughts), ("states", states)] {
        let mut seen = HashMap::new();
        for (index, meaning) in meanings.iter_mut().enumerate() {
            meaning.text = meaning.text.trim().to_owned();
            if meaning.text.is_empty() {
                return Err(bad(format!("{key}[{index}] has an empty `text`")));
            }
            if let Some(first) = seen.insert(meaning.text.clone(), index) {
                let why = "have the same `text`: list their sentences under one";
                return Err(bad(format!("{key}[{first}] and {key}[{index}] {why}")));
            }
            let sentences = meaning.sentences.iter().map(|sentence| sentence.trim().to_owned());
            meaning.sentences = sentences.filter(|sentence| !sentence.is_empty()).collect();
        }
        for (index, meaning) in meanings.iter().enumerate() {
            for (name, others) in [("implies", &meaning.implies), ("excludes", &meaning.excludes)] {
                if let Some(other) = others.iter().find(|other| !seen.contains_key(other.trim())) {
                    return Err(bad(format!("{key}[{index}].{name}: no meaning has the `text` {other:?}")));
                }
            }
        }
    }
    if vocabulary == Vocabulary::default() {
        return Err(bad("lists nothing".into()));
    }
    Ok(vocabulary)
}

/// A vocabulary from the text of its file, or why it is not one.
pub(crate) fn parse(text: &str) -> Result<Vocabulary, String> {
    let read = serde_json::from_str(unmarked(text)).map_err(|error| error.to_string())?;
    match unknown_key(&read) {
        Some(key) => Err(format!(
            "unknown key `{key}`; there are outcomes, thoughts, states, and in each {}",
            KEYS.join(", ")
        )),
        None => serde_json::from_value(read).map_err(|error| error.to_string()),
    }
}

/// People edit the file, so a misspelt key is an error.
fn unknown_key(read: &serde_json::Value) -> Option<&String> {
    let outer = read.as_object()?;
    let inner = outer.values().filter_map(|list| list.as_array()).flatten().filter_map(|one| one.as_object());
    let misspelt = |key: &&String, known: &[&str]| !known.contains(&key.as_str());
    outer
        .keys()
        .find(|key| misspelt(key, &["outcomes", "thoughts", "states"]))
        .or_else(|| inner.flat_map(|meaning| meaning.keys()).find(|key| misspelt(key, &KEYS)))
}

/// Keys of a meaning.
const KEYS: [&str; 4] = ["text", "sentences", "implies", "excludes"];

/// What meanings say about each other, by their indices.
pub(crate) struct Relations {
    /// What holds wherever a meaning does, itself included.
    pub(crate) implied: Vec<Vec<usize>>,
    /// What a meaning competes with; if one names the other, both do.
    pub(crate) rivals: Vec<Vec<usize>>,
}

impl Relations {
    pub(crate) fn of(meanings: &[Meaning]) -> Self {
        let place = |text: &String| meanings.iter().position(|one| one.text == text.trim());
        let implied = |index: usize| {
            let mut all = vec![index];
            let mut next = 0;
            while next < all.len() {
                for other in meanings[all[next]].implies.iter().filter_map(place) {
                    if !all.contains(&other) {
                        all.push(other);
                    }
                }
                next += 1;
            }
            all
        };
        let mut rivals = vec![Vec::new(); meanings.len()];
        for (index, meaning) in meanings.iter().enumerate() {
            for other in meaning.excludes.iter().filter_map(place).filter(|other| *other != index) {
                for (one, other) in [(index, other), (other, index)] {
                    if !rivals[one].contains(&other) {
                        rivals[one].push(other);
                    }
                }
            }
        }
        Self { implied: (0..meanings.len()).map(implied).collect(), rivals }
    }
}

/// What is read of a sentence: all words without digits.
pub(crate) fn bare(text: &str) -> String {
    let digit = |sign: char| sign.is_ascii_digit();
    let words: Vec<&str> = text.split_whitespace().filter(|word| !word.contains(digit)).collect();
    if words.is_empty() || !text.contains(digit) { text.to_owned() } else { words.join(" ") }
}

/// What is left of a sentence without its negations, if it has any.
pub(crate) fn affirmed(text: &str) -> Option<String> {
    const NEGATIONS: [&str; 10] =
        ["not", "no", "never", "nothing", "nobody", "none", "neither", "nor", "without", "cannot"];
    let negates = |word: &&str| {
        let word = word.trim_matches(|sign: char| !sign.is_alphanumeric()).to_lowercase();
        NEGATIONS.contains(&&*word) || word.ends_with("n't") || word.ends_with("n’t")
    };
    let words = text.split_whitespace().filter(|word| !negates(word)).collect::<Vec<_>>().join(" ");
    (text.split_whitespace().any(|word| negates(&word)) && !words.is_empty()).then_some(words)
}

/// The parts of a sentence that each say something: "It is approved and the quest fails." Lists of numbers, as in "0, 1
/// and 4 agree", are not taken apart.
pub(crate) fn clauses(text: &str) -> Vec<&str> {
    const BETWEEN: [&str; 7] = [", and ", ", so ", ", but ", " and ", " but ", "; ", ", "];
    let number = |sign: Option<char>| sign.is_some_and(|sign| sign.is_ascii_digit());
    let (mut parts, mut start, mut at) = (Vec::new(), 0, 0);
    while at < text.len() {
        let cut = BETWEEN.iter().find(|between| text[at..].starts_with(**between));
        match cut.filter(|between| !number(text[at + between.len()..].chars().next())) {
            Some(between) => {
                parts.push(&text[start..at]);
                at += between.len();
                start = at;
            }
            None => at += text[at..].chars().next().map_or(1, char::len_utf8),
        }
    }
    parts.push(&text[start..]);
    let parts = parts.into_iter().map(|part| part.trim().trim_end_matches('.'));
    parts.filter(|part| part.split_whitespace().nth(1).is_some()).collect()
}

/// All sentences of a meaning, the canonical one first.
pub(crate) fn sentences(meaning: &Meaning) -> impl Iterator<Item = &str> {
    let others = meaning.sentences.iter().filter(|sentence| **sentence != meaning.text);
    std::iter::once(&meaning.text).chain(others).map(String::as_str)
}

/// The sentences of a text: each ends with a full stop, a question or exclamation mark before white space.
pub(crate) fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text.trim();
    std::iter::from_fn(move || {
        let ends = |(at, sign): (usize, char)| {
            let after = &rest[at + sign.len_utf8()..];
            (matches!(sign, '.' | '!' | '?') && after.starts_with(char::is_whitespace)).then_some(at + 1)
        };
        let end = rest.char_indices().find_map(ends).unwrap_or(rest.len());
        let (sentence, left) = rest.split_at(end);
        rest = left.trim_start();
        (!sentence.is_empty()).then_some(sentence)
    })
}

/// Says summaries of states in canonical sentences, where the vocabulary lists them.
pub(crate) struct States(HashMap<String, String>);

impl States {
    pub(crate) fn new(meanings: &[Meaning]) -> Self {
        let mut listed = HashMap::new();
        for meaning in meanings {
            for sentence in sentences(meaning) {
                listed.entry(sentence.to_owned()).or_insert_with(|| meaning.text.clone());
            }
        }
        Self(listed)
    }

    pub(crate) fn read(&self, text: String) -> String {
        if self.0.is_empty() {
            return text;
        }
        let canonical = |sentence| self.0.get(sentence).map_or(sentence, String::as_str);
        split(&text).map(canonical).collect::<Vec<_>>().join(" ")
    }
}

/// Reads sentences as meanings, by the index of the meaning.
pub(crate) struct Reader {
    listed: HashMap<String, Vec<usize>>,
    classifier: Option<Classifier>,
}

/// What a reader knows besides the vocabulary.
pub(crate) struct Classifier {
    /// One row for each meaning: weights of the embedding's numbers, then the bias.
    pub(crate) weights: Vec<f32>,
    /// How many of the rows are meanings; one more row, the last, is for sentences without any.
    pub(crate) meanings: usize,
    /// The least probability that is accepted; above 1, nothing is.
    pub(crate) threshold: f64,
    /// The listed sentences: the regression is sure of much that is unlike all of them.
    pub(crate) near: Seen,
}

/// How well sentences are read that were left out of the regression, those of the other kind included.
#[data]
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Reading {
    meanings: usize,
    sentences: usize,
    /// Share read right if all were accepted.
    accuracy: f64,
    /// Share that is accepted, and the share of these that is right.
    accepted: f64,
    right: f64,
}

impl Reader {
    pub(crate) fn new(meanings: &[Meaning], classifier: Option<Classifier>) -> Self {
        let mut listed: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, meaning) in meanings.iter().enumerate() {
            for sentence in sentences(meaning) {
                let under = listed.entry(sentence.to_owned()).or_default();
                if under.last() != Some(&index) {
                    under.push(index);
                }
            }
        }
        Self { listed, classifier }
    }

    /// A reader of these meanings, its regression trained on their sentences and on those of `others`, which say none
    /// of them; `look` gives the [`Look`] of a sentence.
    pub(crate) fn train<'e>(
        [meanings, others]: [&[Meaning]; 2],
        dimension: usize,
        look: impl Fn(&str) -> Look<'e>,
    ) -> Result<(Self, Reading)> {
        let mut reader = Self::new(meanings, None);
        // In the order of the meanings: taking every fifth sentence leaves each meaning out in equal shares.
        let mut taken = HashSet::new();
        let texts: Vec<&str> =
            meanings.iter().flat_map(sentences).filter(|sentence| taken.insert(*sentence)).collect();
        let mut reading = Reading { meanings: meanings.len(), sentences: texts.len(), ..Reading::default() };
        if meanings.len() < 2 || texts.len() < FOLDS {
            return Ok((reader, reading));
        }
        let listed: Vec<Look> = texts.iter().map(|text| look(text)).collect();
        let other: Vec<&str> = others.iter().flat_map(sentences).filter(|text| taken.insert(*text)).collect();
        let none = [meanings.len()];
        let classes = meanings.len() + usize::from(!other.is_empty());
        let known = texts.iter().zip(&listed).map(|(text, look)| (*look, &*reader.listed[*text]));
        let samples: Vec<Sample> = known
            .chain(other.iter().map(|text| (look(text), none.as_slice())))
            .map(|(look, under)| Sample { look, under })
            .collect();
        let mut guesses = Vec::with_capacity(samples.len());
        for fold in 0..FOLDS {
            let part = |held_out: bool| {
                let chosen = samples.iter().enumerate();
                chosen
                    .filter(move |(index, _)| (index % FOLDS == fold) == held_out)
                    .map(|(_, sample)| *sample)
            };
            let weights = regress(&part(false).collect::<Vec<_>>(), classes, dimension)?;
            for Sample { look, under } in part(true) {
                let (best, probability) = classify(&weights, look.embedding);
                let refused = look.blind(&weights, best);
                guesses.push((if refused { 0.0 } else { probability }, under.contains(&best)));
            }
        }
        guesses.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut threshold = 2.0;
        let mut right = 0;
        for (index, &(probability, correct)) in guesses.iter().enumerate() {
            right += usize::from(correct);
            // By Laplace's rule: a few lucky ones prove nothing.
            if (right + 1) as f64 / (index + 3) as f64 >= RIGHT {
                threshold = probability;
                reading.accepted = (index + 1) as f64 / guesses.len() as f64;
                reading.right = right as f64 / (index + 1) as f64;
            }
        }
        reading.accuracy = right as f64 / guesses.len() as f64;
        let weights = regress(&samples, classes, dimension)?;
        // Sentences that differ in numbers alone are one.
        let mut taken = HashSet::new();
        let distinct = listed.iter().map(|look| look.embedding).filter(|row| taken.insert(row.as_ptr()));
        let near = Seen::leave_one_out(&distinct.collect::<Vec<_>>());
        reader.classifier = Some(Classifier { weights, meanings: meanings.len(), threshold, near });
        Ok((reader, reading))
    }

    /// The meanings that a sentence is listed under.
    pub(crate) fn listed(&self, text: &str) -> &[usize] {
        self.listed.get(text.trim()).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn classifier(&self) -> Option<&Classifier> {
        self.classifier.as_ref()
    }

    /// The meanings of a sentence: those it is listed under, else the one that the regression is sure of, else none.
    pub(crate) fn read(&self, text: &str, look: Look) -> Vec<usize> {
        let listed = self.listed(text);
        if !listed.is_empty() {
            return listed.to_vec();
        }
        let Some(Classifier { weights, meanings, threshold, near }) = &self.classifier else {
            return Vec::new();
        };
        let (best, probability) = classify(weights, look.embedding);
        let unsure = best >= *meanings || probability < *threshold || near.outside(look.embedding);
        let refused = unsure || look.blind(weights, best);
        if refused { Vec::new() } else { vec![best] }
    }
}

/// What a regression sees of a sentence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look<'a> {
    /// The embedding of what is [read](bare) of it.
    pub(crate) embedding: &'a [f32],
    /// The same [without its negations](affirmed), if it has any.
    pub(crate) affirmed: Option<&'a [f32]>,
}

impl Look<'_> {
    /// Whether these weights, which read the sentence as `best`, do not see its negations.
    fn blind(&self, weights: &[f32], best: usize) -> bool {
        self.affirmed.is_some_and(|affirmed| classify(weights, affirmed).0 == best)
    }
}

#[derive(Clone, Copy)]
struct Sample<'a> {
    look: Look<'a>,
    under: &'a [usize],
}

/// Multinomial logistic regression with a ridge, by Nesterov's accelerated gradient descent. A sentence of several
/// meanings counts for each in equal parts.
fn regress(samples: &[Sample], classes: usize, dimension: usize) -> candle_core::Result<Vec<f32>> {
    let count = samples.len();
    let mut inputs = Vec::with_capacity(count * (dimension + 1));
    let mut targets = vec![0f32; count * classes];
    let mut longest = 0f32;
    for (index, sample) in samples.iter().enumerate() {
        inputs.extend_from_slice(sample.look.embedding);
        inputs.push(1.0);
        longest = longest.max(sample.look.embedding.iter().map(|x| x * x).sum::<f32>());
        for &class in sample.under {
            targets[index * classes + class] = 1.0 / sample.under.len() as f32;
        }
    }
    let inputs = Tensor::from_vec(inputs, (count, dimension + 1), &Device::Cpu)?;
    let targets = Tensor::from_vec(targets, (count, classes), &Device::Cpu)?;
    let (ridge, transposed) = (RIDGE / count as f64, inputs.t()?.contiguous()?);
    // One over a bound on the curvature of the loss.
    let rate = 1.0 / (0.5 * (f64::from(longest) + 1.0) + ridge);
    let mut weights = Tensor::zeros_like(&transposed.matmul(&targets)?)?;
    let mut ahead = weights.clone();
    for step in 0..STEPS {
        let errors = ((softmax(&inputs.matmul(&ahead)?, 1)? - &targets)? / count as f64)?;
        let gradient = (transposed.matmul(&errors)? + (&ahead * ridge)?)?;
        let next = (&ahead - (gradient * rate)?)?;
        ahead = (&next + ((&next - &weights)? * (step as f64 / (step + 3) as f64))?)?;
        weights = next;
    }
    weights.t()?.contiguous()?.flatten_all()?.to_vec1()
}

/// The most probable class and its probability.
fn classify(weights: &[f32], embedding: &[f32]) -> (usize, f64) {
    let logits: Vec<f64> = weights
        .chunks(embedding.len() + 1)
        .map(|row| {
            let (row, bias) = row.split_at(embedding.len());
            f64::from(row.iter().zip(embedding).map(|(weight, x)| weight * x).sum::<f32>() + bias[0])
        })
        .collect();
    let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or_default();
    let sum: f64 = logits.iter().map(|logit| (logit - logits[best]).exp()).sum();
    (best, 1.0 / sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negations_are_words_of_their_own() {
        for (text, expected) in [
            ("The team isn't approved.", Some("The team approved.")),
            ("No card fails, Not one!", Some("card fails, one!")),
            ("Nothing", None),
            ("The notable knot holds.", None),
        ] {
            assert_eq!(affirmed(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_sentence_that_is_read_the_same_without_its_negation_is_refused() {
        let meaning = |text: &str| Meaning { text: text.into(), ..Meaning::default() };
        let meanings = [meaning("it works"), meaning("it breaks")];
        let classifier = Classifier {
            weights: vec![4.0, 0.0, 0.0, 0.0, 4.0, 0.0],
            meanings: 2,
            threshold: 0.5,
            near: Seen { embeddings: vec![1.0, 0.0, 0.0, 1.0], limit: None },
        };
        let reader = Reader::new(&meanings, Some(classifier));
        let (works, breaks) = ([1.0, 0.0], [0.0, 1.0]);
        let read = |embedding, affirmed| reader.read("in other words", Look { embedding, affirmed });
        assert_eq!(read(&works, None), [0]);
        assert!(read(&works, Some(&works)).is_empty(), "the negation is not seen");
        assert_eq!(read(&breaks, Some(&works)), [1]);
    }
}
