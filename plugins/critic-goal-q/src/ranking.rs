//! How the networks rank the thoughts of held-out states: the measures of [`Ranking`] while training.

use candle_core::Tensor;
use forethought_sdk::api::metrics::{Ranking, evenly};
use forethought_sdk::prelude::*;

use crate::calibration::Calibration;
use crate::goals::{Corpus, TextId, Triple};

/// Measures on `triples`, of which `per_step` in a row are of one step; `values` gives raw values.
pub(crate) fn ranking(
    corpus: &Corpus,
    table: &Tensor,
    train: &[usize],
    (triples, per_step): (&[Triple], usize),
    calibration: &Calibration,
    values: impl Fn(&[Triple]) -> Result<Vec<f64>>,
) -> Result<Ranking> {
    let steps: Vec<&[Triple]> =
        evenly(&triples.chunks(per_step).collect::<Vec<_>>(), Ranking::STEPS).collect();
    let pool: Vec<usize> = train.iter().flat_map(|&one| corpus.steps(one)).collect();
    let pool: Vec<usize> = evenly(&pool, Ranking::POOL).collect();
    let embed = |ids: Vec<TextId>| table.index_select(&Tensor::new(ids, table.device())?, 0);
    let asked = embed(steps.iter().map(|step| step[0].state).collect())?;
    let states = embed(pool.iter().map(|&index| corpus.all()[index].state).collect())?;
    let thoughts: Vec<TextId> = pool.iter().map(|&index| corpus.all()[index].thought).collect();
    let norms = states.sqr()?.sum(1)?.to_vec1::<f32>()?;
    let products = asked.matmul(&states.t()?.contiguous()?)?.to_vec2::<f32>()?;

    let mut ranking = Ranking::default();
    for (step, products) in steps.into_iter().zip(products) {
        let distances: Vec<f32> =
            norms.iter().zip(products).map(|(norm, product)| norm - 2.0 * product).collect();
        let others = Ranking::others(step[0].thought, &thoughts, &distances);
        let compared: Vec<Triple> = step
            .iter()
            .flat_map(|own| {
                let other = |&thought: &TextId| Triple { thought, ..*own };
                std::iter::once(*own).chain(others.iter().map(other))
            })
            .collect();
        let judge = |raw| Estimate { probability: calibration.probability(raw), raw, ..Estimate::default() };
        let judged: Vec<Estimate> = values(&compared)?.into_iter().map(judge).collect();
        for (own, judged) in step.iter().zip(judged.chunks(others.len() + 1)) {
            ranking.add(&judged[0], &judged[1..], own.reached);
        }
    }
    Ok(ranking)
}
