//! Rules for text encoders: shape, norm, and the same vector for the same text in any batch.

use std::sync::Arc;

use forethought_api::encoder::{EncoderSpec, Matrix, TextEncoder};

use crate::{
    common::Work,
    trial::{Fault, Rule, Trial, Verdict, ensure},
};

const SPEC: Rule = Rule {
    id: "encoder/spec",
    says: "its spec has an id and a dimension, and never changes",
    fix: "make the id from the kind, the model and every setting that affects the vectors; checkpoints depend on it",
    needs: &[],
};
const SHAPE: Rule = Rule {
    id: "encoder/shape",
    says: "it gives one row per text, as long as its dimension, for any text",
    fix: "return a row for empty, odd and very long texts too; truncate long ones, and state the actual dimension",
    needs: &["common/answered"],
};
const NORM: Rule = Rule {
    id: "encoder/unit-norm",
    says: "every row has unit Euclidean norm",
    fix: "divide each row by its norm, and use a fixed unit vector if the norm is 0",
    needs: &["common/answered", "encoder/shape"],
};
const DETERMINISTIC: Rule = Rule {
    id: "encoder/deterministic",
    says: "the same text gives the same numbers, also in a newly built encoder",
    fix: "draw nothing at random and sum in a fixed order; encoders with the same id must agree bit for bit",
    needs: &["common/answered", "encoder/shape"],
};
const BATCH: Rule = Rule {
    id: "encoder/batch",
    says: "a row does not depend on the other texts of its batch or on their order",
    fix: "mask the padding, and restore the order of the texts if they were sorted",
    needs: &["common/answered", "encoder/shape", "encoder/deterministic"],
};
const EMPTY: Rule = Rule {
    id: "encoder/empty",
    says: "an empty batch gives no rows",
    fix: "return a matrix of 0 rows early on an empty batch",
    needs: &[],
};

pub(crate) const RULES: &[&Rule] = &[&SPEC, &SHAPE, &NORM, &DETERMINISTIC, &BATCH, &EMPTY];

type Encoder = Arc<dyn TextEncoder>;

/// Rows of one text may differ by this much between batches: padding changes the order of additions.
const TOLERANCE: f32 = 1e-4;

fn texts() -> Vec<String> {
    let texts = [
        "the size is chosen",
        "the size is not chosen",
        "",
        " \n",
        "a",
        "\u{1f40b} \u{4f60}\u{597d} \u{202e}",
        "the size is chosen",
    ];
    let long = "a very long text ".repeat(500);
    texts.into_iter().chain([long.as_str()]).map(str::to_owned).collect()
}

pub(crate) async fn check(trial: &Trial<'_>, encoder: Encoder) -> Option<Work> {
    let spec = trial.gather(trial.call("spec", encoder.spec())).await?;
    trial.rule(&SPEC, spec_holds(trial, &encoder, &spec)).await;
    let rows = trial.gather(encode(trial, &encoder, texts())).await?;
    trial.rule(&SHAPE, shape(&rows, &spec)).await;
    trial.rule(&NORM, norm(&rows)).await;
    trial.rule(&DETERMINISTIC, deterministic(trial, &encoder, &rows)).await;
    trial.rule(&BATCH, batch(trial, &encoder, &rows)).await;
    trial.rule(&EMPTY, empty(trial, &encoder)).await;
    Some(Work::new(move |n| {
        let encoder = encoder.clone();
        async move {
            let texts = vec![format!("text number {}", n % 100), "the size is chosen".into()];
            Ok(format!("{:?}", encoder.encode(texts).await?))
        }
    }))
}

async fn encode(trial: &Trial<'_>, encoder: &Encoder, texts: Vec<String>) -> Result<Matrix, Fault> {
    trial.call(format!("encode({} texts)", texts.len()), encoder.encode(texts)).await
}

async fn spec_holds(trial: &Trial<'_>, encoder: &Encoder, spec: &EncoderSpec) -> Verdict {
    ensure!(!spec.id.trim().is_empty(), "it has no id");
    ensure!(spec.dimension > 0, "its dimension is 0");
    encode(trial, encoder, texts()).await?;
    let now = trial.call("spec", encoder.spec()).await?;
    ensure!(now == *spec, "first {spec:?}, then {now:?}");
    Ok(())
}

async fn shape(rows: &Matrix, spec: &EncoderSpec) -> Verdict {
    let (wanted, given) = ((texts().len(), spec.dimension), (rows.rows(), rows.columns()));
    ensure!(wanted == given, "expected {wanted:?} rows and columns, got {given:?}");
    Ok(())
}

async fn norm(rows: &Matrix) -> Verdict {
    for (index, text) in texts().iter().enumerate() {
        let norm = rows.row(index).iter().map(|number| number * number).sum::<f32>().sqrt();
        let shown: String = text.chars().take(40).collect();
        ensure!((0.999..=1.001).contains(&norm), "the row of {shown:?} has norm {norm}");
    }
    Ok(())
}

async fn deterministic(trial: &Trial<'_>, encoder: &Encoder, rows: &Matrix) -> Verdict {
    ensure!(encode(trial, encoder, texts()).await? == *rows, "the same texts gave different numbers");
    let twin = trial.another::<dyn TextEncoder>().await?;
    let second = encode(trial, &twin, texts()).await?;
    ensure!(second == *rows, "a second encoder from the same configuration gives different numbers");
    Ok(())
}

async fn batch(trial: &Trial<'_>, encoder: &Encoder, rows: &Matrix) -> Verdict {
    let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= TOLERANCE);
    let backwards = encode(trial, encoder, texts().into_iter().rev().collect()).await?;
    let count = texts().len();
    for (index, text) in texts().into_iter().enumerate() {
        let shown: String = text.chars().take(40).collect();
        let alone = encode(trial, encoder, vec![text]).await?;
        ensure!(near(alone.row(0), rows.row(index)), "{shown:?} has a different row alone than in a batch");
        let other = backwards.row(count - 1 - index);
        ensure!(near(other, rows.row(index)), "{shown:?} has a different row when the batch is reversed");
    }
    Ok(())
}

async fn empty(trial: &Trial<'_>, encoder: &Encoder) -> Verdict {
    match trial.attempt(encoder.encode(Vec::new())).await {
        Ok(rows) => ensure!(rows.rows() == 0, "an empty batch gave {} rows", rows.rows()),
        Err(failure) => ensure!(false, "encode(no texts) {failure}"),
    }
    Ok(())
}
