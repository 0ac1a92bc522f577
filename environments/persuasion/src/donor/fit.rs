//! Fitting the donor to dialogues, and how well it fits: all that docs/persuasion-donor.md reports.

use forethought_sdk::seed::{self, RngExt};

use super::acts::{ACT_NAMES, ACTS, APPROACHES, Concern, STOP, worth};
use super::corpus::{Corpus, Talk};
use super::model::{DOUBT_IN_GIFT, FEATURES, GIFT_FEATURES, Parameters, Path, Traits, next_act};
use super::reader::Reader;

/// Weight of the square of each parameter of the acts, biases excepted.
const RIDGE: f64 = 2.0;
/// The same weight for the gift's parameters.
const GIFT_RIDGE: f64 = 2.0;
/// Steps of gradient descent.
const STEPS: usize = 400;
/// Dialogues that are simulated for each real one.
const SIMULATIONS: u64 = 20;

/// A decision that a real donor made.
struct Row {
    features: Vec<(usize, f64)>,
    doubt: f64,
    first: bool,
    chosen: usize,
}

/// Every sentence of the real donors, and that they stopped.
fn rows(talks: &[Talk]) -> Vec<Row> {
    let mut rows = Vec::new();
    for talk in talks {
        let mut path = Path::default();
        for turn in &talk.turns {
            path.hear(&turn.approaches);
            for said in 0..=turn.acts.len() {
                if !turn.acts.is_empty() {
                    let before = &turn.acts[..said];
                    rows.push(Row {
                        features: path.features(before),
                        doubt: path.mean_doubt(),
                        first: said == 0,
                        chosen: turn.acts.get(said).copied().unwrap_or(STOP),
                    });
                }
            }
            path.answer(&turn.acts);
        }
    }
    rows
}

/// The numbers that fit these dialogues: by maximum likelihood with a ridge, the doubt at its mean; then the gift's
/// bias so that simulated donors, who do doubt one thing or another, give as often as the real ones.
pub fn fit(corpus: &Corpus) -> Parameters {
    let mut parameters = Parameters {
        reader: Reader::fit(&corpus.talks),
        acts: fit_acts(&rows(&corpus.talks)),
        gift: fit_gift(&corpus.talks),
        amounts: amounts(corpus.talks.iter().map(|talk| talk.given)),
    };
    let real = share(corpus.talks.iter().map(|talk| talk.given > 0.0));
    let (mut low, mut high) = (-8.0, 8.0);
    for _ in 0..20 {
        parameters.gift[0] = (low + high) / 2.0;
        let simulated = simulate(&parameters, &corpus.talks, Driven::Labels);
        let given = share(simulated.iter().flatten().map(|one| one.given > 0.0));
        if given < real { low = parameters.gift[0] } else { high = parameters.gift[0] }
    }
    // Four digits are more than the data support, and make the file small.
    let round = |value: &mut f64| *value = (*value * 1e4).round() / 1e4;
    parameters.acts.iter_mut().flatten().chain(&mut parameters.gift).for_each(round);
    parameters.amounts.iter_mut().for_each(|(_, share)| round(share));
    parameters
}

fn share(of: impl Iterator<Item = bool>) -> f64 {
    let (yes, all) = of.fold((0.0, 0.0), |(yes, all), one| (yes + f64::from(one), all + 1.0));
    yes / f64::max(all, 1.0)
}

/// Multinomial logistic regression by accelerated gradient descent, each parameter with its own rate.
fn fit_acts(rows: &[Row]) -> Vec<Vec<f64>> {
    let mut frequency = vec![0.0; FEATURES];
    for &(at, value) in rows.iter().flat_map(|row| &row.features) {
        frequency[at] += value * value;
    }
    let mut weights = vec![vec![0.0; FEATURES]; ACTS + 1];
    let mut momentum = weights.clone();
    for step in 0..STEPS {
        let carried = step as f64 / (step as f64 + 3.0);
        let mut gradient = vec![vec![0.0; FEATURES]; ACTS + 1];
        for (class, row) in gradient.iter_mut().enumerate() {
            for (at, value) in row.iter_mut().enumerate().skip(1) {
                *value = RIDGE * (weights[class][at] + carried * momentum[class][at]);
            }
        }
        let ahead: Vec<Vec<f64>> = weights
            .iter()
            .zip(&momentum)
            .map(|(weights, momentum)| weights.iter().zip(momentum).map(|(w, m)| w + carried * m).collect())
            .collect();
        for row in rows {
            for (class, log) in log_shares(&ahead, row).into_iter().enumerate() {
                let error = log.exp() - f64::from(class == row.chosen);
                for &(at, value) in &row.features {
                    gradient[class][at] += error * value;
                }
            }
        }
        for (class, gradient) in gradient.iter().enumerate() {
            for (at, gradient) in gradient.iter().enumerate() {
                // Half the trace of a row's curvature bounds it; some ten features are set at a time.
                let rate = 1.0 / (RIDGE + 2.5 * frequency[at]);
                let moved = ahead[class][at] - rate * gradient;
                momentum[class][at] = moved - weights[class][at];
                weights[class][at] = moved;
            }
        }
    }
    weights
}

fn log_shares(weights: &[Vec<f64>], row: &Row) -> Vec<f64> {
    next_act(weights, &row.features, row.first, row.doubt)
}

/// The path of a real dialogue to its end.
fn walked(talk: &Talk) -> Path {
    let mut path = Path::default();
    for turn in &talk.turns {
        path.hear(&turn.approaches);
        path.answer(&turn.acts);
    }
    path
}

/// Logistic regression with a ridge, by gradient descent.
fn fit_gift(talks: &[Talk]) -> Vec<f64> {
    let rows: Vec<_> = talks
        .iter()
        .map(|talk| {
            let path = walked(talk);
            (path.gift_features(), DOUBT_IN_GIFT * path.mean_doubt(), f64::from(talk.given > 0.0))
        })
        .collect();
    let mut weights = vec![0.0; GIFT_FEATURES];
    for _ in 0..4000 {
        let mut gradient: Vec<f64> = weights.iter().map(|weight| GIFT_RIDGE * weight).collect();
        gradient[0] = 0.0;
        for (features, doubt, given) in &rows {
            let score: f64 = weights.iter().zip(features).map(|(weight, feature)| weight * feature).sum();
            let error = 1.0 / (1.0 + (doubt - score).exp()) - given;
            gradient.iter_mut().zip(features).for_each(|(sum, feature)| *sum += error * feature);
        }
        let rate = 1.0 / (GIFT_RIDGE + rows.len() as f64);
        weights.iter_mut().zip(&gradient).for_each(|(weight, gradient)| *weight -= rate * gradient);
    }
    weights
}

/// The amounts given, if any, and how often.
fn amounts(gifts: impl Iterator<Item = f64>) -> Vec<(f64, f64)> {
    let mut given: Vec<f64> = gifts.filter(|gift| *gift > 0.0).collect();
    given.sort_by(f64::total_cmp);
    let all = given.len() as f64;
    given.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as f64 / all)).collect()
}

/// What a simulated donor did in a dialogue.
pub struct Simulated {
    /// Its acts, turn by turn.
    pub acts: Vec<Vec<usize>>,
    /// What it gave.
    pub given: f64,
}

/// What simulated donors hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driven {
    /// The annotated approaches.
    Labels,
    /// The words, and what the reader makes of them.
    Words,
}

/// Simulated donors in place of the real ones: each hears the real persuader, turn by turn, and answers for itself, up
/// to the real donor's last words.
pub fn simulate(parameters: &Parameters, talks: &[Talk], driven: Driven) -> Vec<Vec<Simulated>> {
    let one = |talk: &Talk, number: u64| {
        let mut rng = seed::stream(number, &talk.id);
        let traits = Traits::draw(&mut rng, 1.0);
        let mut path = Path::default();
        let mut acts = Vec::new();
        for turn in &talk.turns {
            match driven {
                Driven::Labels => path.hear(&turn.approaches),
                Driven::Words => path.hear(&parameters.reader.utterance(&turn.words.join(" "))),
            }
            let answer =
                if turn.acts.is_empty() { Vec::new() } else { parameters.acts(&path, &traits, &mut rng) };
            path.answer(&answer);
            acts.push(answer);
        }
        let gives = rng.random::<f64>() < parameters.gives(&path, path.doubt(&traits));
        Simulated { acts, given: if gives { parameters.amount(&path, &traits) } else { 0.0 } }
    };
    talks.iter().map(|talk| (0..SIMULATIONS).map(|number| one(talk, number)).collect()).collect()
}

/// A measurement of the real dialogues with its 95 % interval, and the same of the simulated ones.
#[derive(Debug, Clone)]
pub struct Compared {
    /// What is measured, per dialogue.
    pub what: String,
    /// Its mean over real dialogues.
    pub real: f64,
    /// Half the width of the interval: 1.96 standard errors over dialogues.
    pub margin: f64,
    /// Its mean over simulated dialogues, driven by labels and by words.
    pub simulated: [f64; 2],
}

impl Compared {
    /// Whether the means of simulated dialogues lie in the real one's interval: driven by labels, and by words.
    pub fn within(&self) -> [bool; 2] {
        self.simulated.map(|simulated| (simulated - self.real).abs() <= self.margin)
    }

    fn new(what: &str, real: &[f64], simulated: [f64; 2]) -> Self {
        let count = real.len() as f64;
        let mean = real.iter().sum::<f64>() / count;
        let variance = real.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / (count - 1.0);
        Self { what: what.into(), real: mean, margin: 1.96 * (variance / count).sqrt(), simulated }
    }
}

/// How the donor compares with dialogues, perhaps held out from the fit.
#[derive(Debug, Clone)]
pub struct Report {
    /// Dialogues.
    pub talks: usize,
    /// Decisions of donors: sentences, and stops.
    pub decisions: usize,
    /// Mean log-likelihood of a decision, in nats.
    pub likelihood: f64,
    /// The same for the frequencies in the fitted dialogues, without context.
    pub baseline: f64,
    /// Mean log-likelihood of whether something is given, and of its frequency.
    pub gift: (f64, f64),
    /// Share of persuader's sentences whose approach is read as annotated, and of the most frequent approach.
    pub reader: (f64, f64),
    /// Share of dialogues with a gift; mean gift.
    pub gifts: Vec<Compared>,
    /// Sentences per dialogue by reply, as GDP-Zero reads the labels.
    pub replies: Vec<Compared>,
    /// Sentences per dialogue by act.
    pub acts: Vec<Compared>,
}

/// Compares donors fitted to `fitted` with the dialogues `held`.
pub fn report(parameters: &Parameters, fitted: &Corpus, held: &Corpus) -> Report {
    let simulated = [Driven::Labels, Driven::Words].map(|driven| simulate(parameters, &held.talks, driven));
    let all = |count: &dyn Fn(&[Vec<usize>], f64) -> f64, what: &str| {
        let real: Vec<f64> = held
            .talks
            .iter()
            .map(|talk| {
                count(&talk.turns.iter().map(|turn| turn.acts.clone()).collect::<Vec<_>>(), talk.given)
            })
            .collect();
        let mean = |simulated: &Vec<Vec<Simulated>>| {
            let all = simulated.iter().flatten();
            all.map(|one| count(&one.acts, one.given)).sum::<f64>()
                / simulated.iter().flatten().count() as f64
        };
        Compared::new(what, &real, simulated.each_ref().map(mean))
    };
    let sentences = |is: &dyn Fn(usize) -> bool, what: &str| {
        all(&|turns, _| turns.iter().flatten().filter(|act| is(**act)).count() as f64, what)
    };
    let replies = [
        ("no donation", -1.0),
        ("negative reaction", -0.5),
        ("neutral", 0.0),
        ("positive reaction", 0.5),
        ("donate", 1.0),
    ];

    // First sentences and later decisions have a frequency each: only later ones can be a stop.
    let mut counts = [[0.5; ACTS + 1]; 2];
    counts[1][STOP] = 0.0;
    for row in rows(&fitted.talks) {
        counts[usize::from(row.first)][row.chosen] += 1.0;
    }
    let decisions = rows(&held.talks);
    let frequency = |row: &Row| {
        let counts = &counts[usize::from(row.first)];
        (counts[row.chosen] / counts.iter().sum::<f64>()).ln()
    };
    let mean = |logs: Vec<f64>| logs.iter().sum::<f64>() / logs.len() as f64;
    let real_rate = share(fitted.talks.iter().map(|talk| talk.given > 0.0));
    let log_of = |talk: &Talk, gives: f64| if talk.given > 0.0 { gives.ln() } else { (1.0 - gives).ln() };
    // Nobody knows a real donor's concern: the mean over all three.
    let gives = |talk: &Talk| {
        let path = walked(talk);
        let one =
            |&concern| parameters.gives(&path, path.doubt(&Traits { concern, doubt: 1.0, generosity: 0.5 }));
        Concern::ALL.iter().map(one).sum::<f64>() / 3.0
    };
    let read: Vec<(usize, usize)> = held
        .talks
        .iter()
        .flat_map(|talk| &talk.turns)
        .flat_map(|turn| turn.words.iter().zip(&turn.approaches))
        .map(|(text, &approach)| (parameters.reader.sentence(text), approach))
        .collect();
    let most =
        (0..APPROACHES).map(|one| share(read.iter().map(|(_, real)| *real == one))).fold(0.0, f64::max);
    Report {
        talks: held.talks.len(),
        decisions: decisions.len(),
        likelihood: mean(decisions.iter().map(|row| log_shares(&parameters.acts, row)[row.chosen]).collect()),
        baseline: mean(decisions.iter().map(frequency).collect()),
        gift: (
            mean(held.talks.iter().map(|talk| log_of(talk, gives(talk))).collect()),
            mean(held.talks.iter().map(|talk| log_of(talk, real_rate)).collect()),
        ),
        reader: (share(read.iter().map(|(mine, real)| mine == real)), most),
        gifts: vec![
            all(&|_, given| f64::from(given > 0.0), "gives something"),
            all(&|_, given| given, "dollars given"),
        ],
        replies: replies.iter().map(|(name, value)| sentences(&|act| worth(act) == *value, name)).collect(),
        acts: ACT_NAMES.iter().enumerate().map(|(at, name)| sentences(&|act| act == at, name)).collect(),
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} dialogues, {} decisions of donors", self.talks, self.decisions)?;
        writeln!(f, "\n| log-likelihood, nats | donor | frequencies alone |\n|---|---|---|")?;
        writeln!(f, "| a decision | {:.3} | {:.3} |", self.likelihood, self.baseline)?;
        writeln!(f, "| whether something is given | {:.3} | {:.3} |", self.gift.0, self.gift.1)?;
        writeln!(
            f,
            "\nApproaches read from words: {:.3} of the sentences as annotated (most frequent one: {:.3})",
            self.reader.0, self.reader.1
        )?;
        writeln!(
            f,
            "\n| a dialogue has | real, 95 % interval | driven by labels | by words |\n|---|---|---|---|"
        )?;
        for one in self.gifts.iter().chain(&self.replies).chain(&self.acts) {
            let marked = |at: usize| {
                format!("{:.3}{}", one.simulated[at], if one.within()[at] { "" } else { " (outside)" })
            };
            writeln!(
                f,
                "| {} | {:.3} ± {:.3} | {} | {} |",
                one.what,
                one.real,
                one.margin,
                marked(0),
                marked(1)
            )?;
        }
        Ok(())
    }
}
