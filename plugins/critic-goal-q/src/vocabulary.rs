//! Meanings: which sentences say the same, and how a sentence that nobody has listed is read as one of them.
//!
//! # Design
//! A model says one outcome in many ways, so literal identity calls most of what came true *not reached*. A vocabulary
//! lists known sentences under a canonical one each. A sentence that it does not list is read by a multinomial logistic
//! regression on embeddings, if that is sure enough: the threshold is set by cross-validation, so that at least
//! [`RIGHT`] of what it accepts is right, and nothing is accepted that is further from the listed sentences than they
//! are from each other. A summary of a state says many things at once, so it is read sentence by sentence, and a
//! sentence that is not listed stays as it is. Clusters or the nearest sentence would need no training, but on free
//! paraphrases they are right less often than such a regression. Training and serving read alike.

use std::collections::HashMap;

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
            "unknown key `{key}`; there are outcomes, thoughts, states, and in each text, sentences"
        )),
        None => serde_json::from_value(read).map_err(|error| error.to_string()),
    }
}

/// People edit the file, so a misspelt key is an error.
fn unknown_key(read: &serde_json::Value) -> Option<&String> {
    let outer = read.as_object()?;
    let inner = outer.values().filter_map(|list| list.as_array()).flatten().filter_map(|one| one.as_object());
    let misspelt = |key: &&String, known: &[&str]| !known.contains(&key.as_str());
    outer.keys().find(|key| misspelt(key, &["outcomes", "thoughts", "states"])).or_else(|| {
        inner.flat_map(|meaning| meaning.keys()).find(|key| misspelt(key, &["text", "sentences"]))
    })
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
    /// The least probability that is accepted; above 1, nothing is.
    pub(crate) threshold: f64,
    /// The listed sentences: the regression is sure of much that is unlike all of them.
    pub(crate) near: Seen,
}

/// How well sentences are read that were left out of the regression.
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

    /// A reader of these meanings, its regression trained on their sentences; `embed` gives a sentence's embedding.
    pub(crate) fn train<'a>(
        meanings: &'a [Meaning],
        dimension: usize,
        embed: impl Fn(&'a str) -> &'a [f32],
    ) -> Result<(Self, Reading)> {
        let mut reader = Self::new(meanings, None);
        // In the order of the meanings: taking every fifth sentence leaves each meaning out in equal shares.
        let mut taken = std::collections::HashSet::new();
        let texts: Vec<&str> =
            meanings.iter().flat_map(sentences).filter(|sentence| taken.insert(*sentence)).collect();
        let mut reading = Reading { meanings: meanings.len(), sentences: texts.len(), ..Reading::default() };
        if meanings.len() < 2 || texts.len() < FOLDS {
            return Ok((reader, reading));
        }
        let samples: Vec<Sample> = texts
            .iter()
            .map(|text| Sample { embedding: embed(text), under: &reader.listed[*text] })
            .collect();
        let mut guesses = Vec::with_capacity(samples.len());
        for fold in 0..FOLDS {
            let part = |held_out: bool| {
                let chosen = samples.iter().enumerate();
                chosen
                    .filter(move |(index, _)| (index % FOLDS == fold) == held_out)
                    .map(|(_, sample)| *sample)
            };
            let weights = regress(&part(false).collect::<Vec<_>>(), meanings.len(), dimension)?;
            guesses.extend(part(true).map(|sample| {
                let (best, probability) = classify(&weights, sample.embedding);
                (probability, sample.under.contains(&best))
            }));
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
        let weights = regress(&samples, meanings.len(), dimension)?;
        let near = Seen::leave_one_out(&samples.iter().map(|sample| sample.embedding).collect::<Vec<_>>());
        reader.classifier = Some(Classifier { weights, threshold, near });
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
    pub(crate) fn read(&self, text: &str, embedding: &[f32]) -> Vec<usize> {
        let listed = self.listed(text);
        if !listed.is_empty() {
            return listed.to_vec();
        }
        let Some(Classifier { weights, threshold, near }) = &self.classifier else { return Vec::new() };
        let (best, probability) = classify(weights, embedding);
        if probability < *threshold || near.outside(embedding) { Vec::new() } else { vec![best] }
    }
}

#[derive(Clone, Copy)]
struct Sample<'a> {
    embedding: &'a [f32],
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
        inputs.extend_from_slice(sample.embedding);
        inputs.push(1.0);
        longest = longest.max(sample.embedding.iter().map(|x| x * x).sum::<f32>());
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
