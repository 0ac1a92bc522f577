//! Readings as rows of numbers, by a frozen encoder.

use forethought_sdk::{checkpoint::encode, prelude::*};

use crate::examples::Reading;

/// Numbers in a row: the focus, its context, and a one.
pub(crate) fn columns(dimension: usize) -> usize {
    2 * dimension + 1
}

/// One row per reading: the embedding of the focus, the weighted one of its context, and a one.
pub(crate) async fn features(
    encoder: &dyn TextEncoder,
    spec: &EncoderSpec,
    readings: &[Reading],
    context: f32,
) -> Result<Vec<f32>> {
    let mut rows = Vec::with_capacity(readings.len() * columns(spec.dimension));
    for piece in readings.chunks(256) {
        let texts = piece.iter().flat_map(|one| [one.focus.clone(), one.context.clone()]).collect();
        let embeddings = encode(encoder, spec, texts).await?;
        for (index, reading) in piece.iter().enumerate() {
            rows.extend_from_slice(embeddings.row(2 * index));
            // An empty context counts nothing, even if an encoder gives an empty text a vector.
            let weight = if reading.context.is_empty() { 0.0 } else { context };
            rows.extend(embeddings.row(2 * index + 1).iter().map(|number| weight * number));
            rows.push(1.0);
        }
    }
    Ok(rows)
}
