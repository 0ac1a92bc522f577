//! How the networks rank the thoughts of held-out states: what the measures of [`Ranking`] are asked about in training.

use forethought_sdk::api::metrics::{Ranking, evenly};
use forethought_sdk::prelude::*;

use crate::calibration::Calibration;
use crate::goals::{Corpus, TextId, Triple};
use crate::table::Table;

/// Held-out triples, each with the same question about other thoughts.
pub(crate) struct Thoughts {
    /// What a critic is asked: the triples of each group in turn.
    pub(crate) asked: Vec<Triple>,
    /// How many triples each group has; the first is what was thought and whether the outcome was then reached.
    groups: Vec<usize>,
}

impl Thoughts {
    /// Other thoughts for `triples`, of which `per_step` in a row are of one step; from the steps of `train`.
    pub(crate) fn new(
        corpus: &Corpus,
        table: &Table,
        train: &[usize],
        (triples, per_step): (&[Triple], usize),
    ) -> Result<Self> {
        let steps = triples.chunks(per_step).collect::<Vec<_>>();
        let steps: Vec<&[Triple]> = evenly(&steps, Ranking::STEPS).collect();
        let pool: Vec<usize> = train.iter().flat_map(|&one| corpus.steps(one)).collect();
        let pool: Vec<usize> = evenly(&pool, Ranking::POOL).collect();
        let embed = |ids: Vec<TextId>| table.rows(&ids);
        let here = embed(steps.iter().map(|step| step[0].state).collect())?;
        let states = embed(pool.iter().map(|&index| corpus.all()[index].state).collect())?;
        let thoughts: Vec<TextId> = pool.iter().map(|&index| corpus.all()[index].thought).collect();
        let norms = states.sqr()?.sum(1)?.to_vec1::<f32>()?;
        let products = here.matmul(&states.t()?.contiguous()?)?.to_vec2::<f32>()?;

        let (mut asked, mut groups) = (Vec::new(), Vec::new());
        for (step, products) in steps.into_iter().zip(products) {
            let distances: Vec<f32> =
                norms.iter().zip(products).map(|(norm, product)| norm - 2.0 * product).collect();
            let others = Ranking::others(step[0].thought, &thoughts, &distances);
            for own in step.iter().filter(|_| !others.is_empty()) {
                asked.push(*own);
                asked.extend(others.iter().map(|&thought| Triple { thought, ..*own }));
                groups.push(others.len() + 1);
            }
        }
        Ok(Self { asked, groups })
    }

    /// How a critic ranks them whose raw values of `asked` are these.
    pub(crate) fn ranked(&self, values: &[f64], calibration: &Calibration) -> Ranking {
        let mut ranking = Ranking::default();
        let judge =
            |&raw: &f64| Estimate { probability: calibration.probability(raw), raw, ..Estimate::default() };
        let mut start = 0;
        for count in &self.groups {
            let judged: Vec<Estimate> = values[start..start + count].iter().map(judge).collect();
            ranking.add(&judged[0], &judged[1..], self.asked[start].reached);
            start += count;
        }
        ranking
    }
}
