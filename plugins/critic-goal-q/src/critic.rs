//! The critic at work: a checkpoint, served.

use std::collections::HashMap;

use forethought_sdk::checkpoint::{encode, encoder, files};
use forethought_sdk::prelude::*;

use crate::calibration::Calibration;
use crate::checkpoint;
use crate::config::CriticConfig;
use crate::together::{Row, Together};
use crate::understanding::Understanding;
use crate::vocabulary::{Look, Relations, affirmed, bare, clauses};

struct GoalQ {
    networks: Together,
    calibration: Calibration,
    encoder: Arc<dyn TextEncoder>,
    spec: EncoderSpec,
    style: StyleCard,
    /// Indices of the style card's outcomes, by their text.
    known: HashMap<String, u32>,
    understanding: Option<Understanding>,
    /// Which of the vocabulary's outcomes compete.
    rivals: Vec<Vec<usize>>,
    abstain: bool,
}

/// One thing that an outcome says: a row for it, and one for each of its rivals.
struct Claim<'a> {
    rows: Vec<Row<'a>>,
    known: Option<u32>,
}

/// A query, with the places of its texts: state, thought and outcome.
struct Asked {
    inputs: [usize; 3],
    thought: Said,
    outcome: Said,
    clauses: Vec<Said>,
}

/// A sentence, and the places of what is read of it, with and without its negations.
struct Said {
    text: String,
    place: usize,
    affirmed: Option<usize>,
}

impl Said {
    fn look<'a>(&self, embeddings: &'a Matrix) -> Look<'a> {
        let affirmed = self.affirmed.map(|place| embeddings.row(place));
        Look { embedding: embeddings.row(self.place), affirmed }
    }
}

/// How texts were read: whether a state is outside the data, by its place; as which meaning a thought was read, or
/// whether it is outside; as which meanings an outcome or clause was read.
#[derive(Default)]
struct Readings {
    states: HashMap<usize, bool>,
    thoughts: HashMap<String, (Option<usize>, bool)>,
    outcomes: HashMap<String, Vec<usize>>,
}

register! {
    interface: dyn Critic,
    kind: "goal-q",
    summary: "a goal-conditioned critic, trained on recorded episodes by trainer.goal-q",
    config: CriticConfig,
    new: |config: CriticConfig, host: Arc<dyn Host>| async move {
        let folder = host.model_files(files(&config.model)).await?;
        let trained = checkpoint::read_config(&folder)?;
        let encoder = encoder(&*host, &config.encoder, &trained.encoder, &config.model).await?;
        let (twins, understanding) = checkpoint::read_weights(&folder, &trained)?;
        if config.abstain == Some(true) && understanding.is_none() {
            return Err(Error::config(format!(
                "critic goal-q: abstain: {} was trained without a vocabulary, so it does not know what is outside its \
                 data: train it with the key `vocabulary`, or leave `abstain` out",
                config.model.display()
            )));
        }
        let texts = trained.style.outcomes.iter().map(|outcome| outcome.text.clone());
        Ok(Arc::new(GoalQ {
            networks: Together::new(twins, trained.encoder.dimension),
            calibration: trained.calibration,
            encoder,
            spec: trained.encoder,
            known: texts.zip(0..).collect(),
            style: trained.style,
            abstain: config.abstain.unwrap_or(understanding.is_some()),
            rivals: understanding
                .as_ref()
                .map(|one| Relations::of(&one.vocabulary.outcomes).rivals)
                .unwrap_or_default(),
            understanding,
        }) as _)
    },
}

#[async_trait]
impl Critic for GoalQ {
    /// `raw` is the mean of the twins, `uncertainty` half the distance between their calibrated values: it is on the
    /// scale of the probability.
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        let mut texts: Vec<String> = Vec::new();
        let mut places = HashMap::new();
        let mut place = |text: String| -> usize {
            *places.entry(text).or_insert_with_key(|text| {
                texts.push(text.clone());
                texts.len() - 1
            })
        };
        let read_state = |state| match &self.understanding {
            Some(understanding) => understanding.said.read(state),
            None => state,
        };
        let asked: Vec<Asked> = queries
            .into_iter()
            .map(|CriticQuery { state, thought, outcome }| {
                let mut said = |text: &str| {
                    let read = if self.understanding.is_some() { bare(text) } else { text.to_owned() };
                    let affirmed = affirmed(&read).filter(|_| self.understanding.is_some()).map(&mut place);
                    Said { text: text.to_owned(), place: place(read), affirmed }
                };
                Asked {
                    thought: said(&thought),
                    outcome: said(&outcome),
                    clauses: self.clauses(&outcome).into_iter().map(said).collect(),
                    inputs: [place(read_state(state)), place(thought), place(outcome)],
                }
            })
            .collect();
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let embeddings = encode(&*self.encoder, &self.spec, texts.clone()).await?;
        let mut read = Readings::default();
        let asked: Vec<(Vec<Claim>, bool)> =
            asked.iter().map(|asked| self.claims(asked, &texts, &embeddings, &mut read)).collect();
        let rows: Vec<Row> =
            asked.iter().flat_map(|(claims, _)| claims).flat_map(|one| one.rows.clone()).collect();
        let values = self.networks.values(&rows).await?;
        let mut values = values.into_iter();
        let estimates = asked.into_iter().map(|(claims, outside)| {
            let estimates = claims.iter().map(|claim| {
                let values = values.by_ref().take(claim.rows.len());
                Estimate { known: claim.known, outside, ..self.judge(values) }
            });
            let least = estimates.min_by(|a, b| a.probability.total_cmp(&b.probability));
            least.expect("a query has a claim")
        });
        Ok(estimates.collect())
    }
    async fn style_card(&self) -> Result<StyleCard> {
        Ok(self.style.clone())
    }
}

impl GoalQ {
    /// The parts of an outcome that are read each by itself: imagined outcomes often say several things.
    fn clauses<'o>(&self, outcome: &'o str) -> Vec<&'o str> {
        let listed = |one: &Understanding| !one.outcomes.reader.listed(outcome).is_empty();
        if self.understanding.as_ref().is_none_or(listed) {
            return Vec::new();
        }
        let parts = clauses(outcome);
        if parts.len() < 2 { Vec::new() } else { parts }
    }

    /// What a query says, with canonical sentences in place of what can be read, and whether it is outside the data. Each
    /// text is read only once. A clause that cannot be read does not count if another can.
    fn claims<'a>(
        &'a self,
        Asked { inputs, thought, outcome, clauses }: &Asked,
        texts: &[String],
        embeddings: &'a Matrix,
        read: &mut Readings,
    ) -> (Vec<Claim<'a>>, bool) {
        let mut row = inputs.map(|place| embeddings.row(place));
        let literal = self.known.get(texts[inputs[2]].trim()).copied();
        let Some(Understanding { vocabulary, outcomes, thoughts, states, others, .. }) = &self.understanding
        else {
            return (vec![Claim { rows: vec![row], known: literal }], false);
        };
        let strange_state = *read.states.entry(inputs[0]).or_insert_with(|| states.outside(row[0]));
        let (thought, strange_thought) = *read.thoughts.entry(thought.text.clone()).or_insert_with(|| {
            match thoughts.reader.read(&thought.text, thought.look(embeddings))[..] {
                [meaning] => (Some(meaning), false),
                _ => (None, others.outside(row[1])),
            }
        });
        if let Some(meaning) = thought {
            row[1] = thoughts.canonical(meaning, self.spec.dimension);
        }
        // The data may have no state of a meaning that the vocabulary lists.
        let known = |meaning: &usize| self.known.get(&vocabulary.outcomes[*meaning].text).copied();
        let mut meanings = |said: &[Said]| {
            let mut all = Vec::new();
            for one in said {
                let reader = || outcomes.reader.read(&one.text, one.look(embeddings));
                let read = read.outcomes.entry(one.text.clone()).or_insert_with(reader).iter();
                all.extend(read.filter(|meaning| known(meaning).is_some()));
            }
            all
        };
        let mut said = meanings(clauses);
        if said.is_empty() {
            said = meanings(std::slice::from_ref(outcome));
        }
        let unread = said.is_empty() && literal.is_none() && !vocabulary.outcomes.is_empty();
        let outside = self.abstain && (unread || strange_state || strange_thought);
        if said.is_empty() {
            return (vec![Claim { rows: vec![row], known: literal }], outside);
        }
        let claim = |meaning: usize| {
            let rivals = self.rivals[meaning].iter().copied().filter(|rival| known(rival).is_some());
            let outcome = |meaning: usize| outcomes.canonical(meaning, self.spec.dimension);
            let rows = std::iter::once(meaning).chain(rivals).map(|one| [row[0], row[1], outcome(one)]);
            Claim { rows: rows.collect(), known: known(&meaning) }
        };
        (said.into_iter().map(claim).collect(), outside)
    }

    /// The estimate of a claim from both twins' values of it and of its rivals: what excludes each other has
    /// probabilities of at most 1 together.
    fn judge(&self, values: impl Iterator<Item = (f32, f32)>) -> Estimate {
        let mut estimates = values.map(|(q1, q2)| {
            let (q1, q2) = (f64::from(q1), f64::from(q2));
            let raw = (q1 + q2) / 2.0;
            let apart = self.calibration.probability(q1) - self.calibration.probability(q2);
            Estimate {
                probability: self.calibration.probability(raw),
                raw,
                uncertainty: apart.abs() / 2.0,
                ..Estimate::default()
            }
        });
        let own = estimates.next().expect("a claim has a row");
        let together = (own.probability + estimates.map(|rival| rival.probability).sum::<f64>()).max(1.0);
        Estimate { probability: own.probability / together, uncertainty: own.uncertainty / together, ..own }
    }
}
