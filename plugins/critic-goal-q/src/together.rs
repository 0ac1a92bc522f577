//! Forward passes that estimates share.
//!
//! Every pass has the same shape, so an estimate of a few rows would waste most of one. What is left over of estimates
//! that are asked for at the same time, by many episodes, is therefore computed together.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::{Device, Tensor};
use forethought_sdk::prelude::*;
use tokio::sync::oneshot;

use crate::architecture::Input;
use crate::network::Network;

/// Rows in every forward pass; what is missing is filled with zeros.
///
/// Which kernel a matrix product uses, and so its last bit, depends on its shape. With one shape for all, an estimate
/// cannot depend on the other queries.
pub(crate) const ROWS: usize = 32;

/// What the networks see: embeddings of state, thought and outcome.
pub(crate) type Row<'a> = [&'a [f32]; 3];

/// Both twins' values of a row.
pub(crate) type Values = (f32, f32);

/// The networks, and the rows that wait for them.
pub(crate) struct Together {
    twins: [Network; 2],
    dimension: usize,
    waiting: Mutex<VecDeque<Piece>>,
}

/// Fewer than [`ROWS`] rows of one estimate.
struct Piece {
    /// States, thoughts and outcomes, one after the other.
    columns: [Vec<f32>; 3],
    rows: usize,
    reply: oneshot::Sender<Result<Vec<Values>>>,
}

impl Together {
    /// Networks over embeddings of this dimension.
    pub(crate) fn new(twins: [Network; 2], dimension: usize) -> Self {
        Self { twins, dimension, waiting: Mutex::default() }
    }

    /// Both twins' values for each row.
    pub(crate) async fn values(&self, rows: &[Row<'_>]) -> Result<Vec<Values>> {
        let mut values = Vec::with_capacity(rows.len());
        let (full, rest) = rows.split_at(rows.len() / ROWS * ROWS);
        for piece in full.chunks(ROWS) {
            values.extend(self.forward(columns(piece))?);
        }
        if !rest.is_empty() {
            values.extend(self.share(rest).await?);
        }
        Ok(values)
    }

    async fn share(&self, rows: &[Row<'_>]) -> Result<Vec<Values>> {
        let (reply, mut answer) = oneshot::channel();
        self.waiting().push_back(Piece { columns: columns(rows), rows: rows.len(), reply });
        // Others that are ready to ask do so now.
        tokio::task::yield_now().await;
        // This estimate waits in the queue, or somebody else computes it.
        while answer.is_empty() {
            let pieces = self.take();
            if pieces.is_empty() {
                break;
            }
            self.pass(pieces);
        }
        (&mut answer).await.map_err(|_| Error::other("a forward pass was given up"))?
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Piece>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As many of those that wait as fit into one pass.
    fn take(&self) -> Vec<Piece> {
        let (mut waiting, mut pieces, mut rows) = (self.waiting(), Vec::new(), 0);
        while let Some(piece) = waiting.pop_front_if(|next| rows + next.rows <= ROWS) {
            rows += piece.rows;
            pieces.push(piece);
        }
        pieces
    }

    fn pass(&self, pieces: Vec<Piece>) {
        let mut all: [Vec<f32>; 3] = Default::default();
        for piece in &pieces {
            all.iter_mut().zip(&piece.columns).for_each(|(all, one)| all.extend_from_slice(one));
        }
        let mut values = self.forward(all);
        for Piece { rows, reply, .. } in pieces {
            // Nobody waits for an estimate that was cancelled.
            let _ = reply.send(match &mut values {
                Ok(values) => Ok(values.drain(..rows).collect()),
                Err(error) => Err(error.clone()),
            });
        }
    }

    /// Both twins' values for at most [`ROWS`] rows, and for those that fill up the pass.
    fn forward(&self, columns: [Vec<f32>; 3]) -> Result<Vec<Values>> {
        let compute = || -> candle_core::Result<Vec<Values>> {
            let input = |mut column: Vec<f32>| {
                column.resize(ROWS * self.dimension, 0.0);
                Input::rows(Tensor::from_vec(column, (ROWS, self.dimension), &Device::Cpu)?)
            };
            let [states, thoughts, outcomes] = columns.map(input);
            let inputs = [&states?, &thoughts?, &outcomes?];
            let [q1, q2] = self.twins.each_ref().map(|network| network.forward(&inputs)?.to_vec1::<f32>());
            Ok(q1?.into_iter().zip(q2?).collect())
        };
        compute().context("the critic's forward pass failed")
    }
}

fn columns(rows: &[Row<'_>]) -> [Vec<f32>; 3] {
    [0, 1, 2].map(|text| rows.iter().flat_map(|row| row[text]).copied().collect())
}

#[cfg(test)]
mod tests {
    use forethought_sdk::futures::future::join_all;

    use super::*;
    use crate::architecture::Architecture;

    #[tokio::test]
    async fn values_are_the_same_bits_alone_and_together() {
        let dimension = 48;
        let mut rng = seed::stream(7, "networks");
        let mut network =
            || Network::new(Architecture::q(dimension, &[40, 24]), &Device::Cpu, &mut rng).unwrap();
        let together = Together::new([network(), network()], dimension);
        let number = |place: usize| (seed::derive(3, &place.to_string()) % 2001) as f32 / 1000.0 - 1.0;
        let texts: Vec<Vec<f32>> =
            (0..150).map(|text| (0..dimension).map(|i| number(text * dimension + i)).collect()).collect();
        let row = |i: usize| [0, 50, 100].map(|kind| &*texts[kind + i % 50]);
        let mut alone = Vec::new();
        for i in 0..50 {
            alone.extend(together.values(&[row(i)]).await.unwrap());
        }
        // Estimates of 1 to 70 rows, all at once, and some of them given up.
        let rows: Vec<Vec<Row<'_>>> = (1..70).map(|n| (0..n).map(|i| row(n + i)).collect()).collect();
        let mut given_up = Box::pin(together.values(&rows[3]));
        assert!(forethought_sdk::futures::poll!(&mut given_up).is_pending());
        drop(given_up);
        let answers = join_all(rows.iter().map(|rows| together.values(rows))).await;
        for (n, answer) in (1..70).zip(answers) {
            let expected: Vec<Values> = (0..n).map(|i| alone[(n + i) % 50]).collect();
            assert_eq!(answer.unwrap(), expected, "{n} rows");
        }
        assert!(together.waiting().is_empty());
    }
}
