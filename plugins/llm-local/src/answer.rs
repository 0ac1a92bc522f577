//! One answer as it grows: which token comes next, what it adds to the text, and whether it is the last.

use forethought_sdk::{api::llm::TokenLogprob, prelude::*, seed::ChaCha8Rng};

use crate::text::{Detokenizer, Stops};

/// How the next token is drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sampling {
    /// 0 takes the most likely token.
    pub(crate) temperature: f64,
    /// Only among the most likely tokens that together have this probability.
    pub(crate) top_p: f64,
    /// Only among this many of the most likely tokens; 0 means all.
    pub(crate) top_k: usize,
}

/// An answer in the making.
pub(crate) struct Answer {
    sampling: Sampling,
    rng: ChaCha8Rng,
    ends: Arc<[u32]>,
    detokenizer: Detokenizer,
    stops: Stops,
    /// Tokens that may still be drawn.
    left: usize,
    drawn: u64,
    text: String,
    /// Bytes decoded so far: those of `text` and those held back.
    decoded: usize,
    /// For each token where its text begins, and the text with its log-probability; `None` unless requested.
    logprobs: Option<Vec<(usize, TokenLogprob)>>,
}

/// What a token did to its answer.
pub(crate) struct Drawn {
    /// Text that it added.
    pub(crate) piece: String,
    /// The token to continue with, or how the answer ended.
    pub(crate) next: Result<u32, FinishReason>,
}

impl Answer {
    pub(crate) fn new(
        sampling: Sampling,
        rng: ChaCha8Rng,
        ends: Arc<[u32]>,
        detokenizer: Detokenizer,
        stops: Stops,
        most: usize,
        logprobs: bool,
    ) -> Self {
        Self {
            sampling,
            rng,
            ends,
            detokenizer,
            stops,
            left: most,
            drawn: 0,
            text: String::new(),
            decoded: 0,
            logprobs: logprobs.then(Vec::new),
        }
    }

    /// Draws the next token.
    pub(crate) fn draw(&mut self, logits: &[f32]) -> Result<Drawn> {
        let token = draw(logits, self.sampling, &mut self.rng)?;
        self.left = self.left.saturating_sub(1);
        self.drawn += 1;
        let end = self.ends.contains(&token);
        let mut piece = if end { String::new() } else { self.detokenizer.push(token)? };
        let next = match (end, self.left) {
            (true, _) => Err(FinishReason::Stop),
            (false, 0) => Err(FinishReason::Length),
            (false, _) => Ok(token),
        };
        if next.is_err() {
            piece += &self.detokenizer.finish()?;
        }
        if let Some(logprobs) = self.logprobs.as_mut().filter(|_| !end) {
            let logprob = f64::from(logits[token as usize]) - log_sum_exp(logits);
            logprobs.push((self.decoded, TokenLogprob { token: piece.clone(), logprob }));
        }
        self.decoded += piece.len();
        let (mut piece, stopped) = self.stops.push(&piece);
        if next.is_err() && !stopped {
            piece += &self.stops.finish();
        }
        self.text += &piece;
        Ok(Drawn { piece, next: if stopped { Err(FinishReason::Stop) } else { next } })
    }

    /// The answer so far, and the number of tokens drawn for it.
    pub(crate) fn finish(self, finish: FinishReason) -> (Choice, u64) {
        let cut = self.text.len();
        let logprobs = self.logprobs.into_iter().flatten();
        // Tokens of a stop string are not part of the answer. One that began before it is.
        let logprobs =
            logprobs.filter(|(start, _)| *start < cut || cut == self.decoded).map(|(_, token)| token);
        let logprobs = logprobs.collect();
        (Choice { text: self.text, finish, logprobs, ..Choice::default() }, self.drawn)
    }
}

/// The logarithm of what softmax divides by.
fn log_sum_exp(logits: &[f32]) -> f64 {
    let most = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    most + logits.iter().map(|&logit| (f64::from(logit) - most).exp()).sum::<f64>().ln()
}

fn draw(logits: &[f32], sampling: Sampling, rng: &mut ChaCha8Rng) -> Result<u32> {
    if logits.iter().any(|logit| logit.is_nan()) {
        return Err(Error::other(
            "the network's output is not a number; in half precision, another `dtype` may help",
        ));
    }
    // Most likely first, of equal ones the smaller token: the order does not depend on how it is computed.
    let order = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
    let mut tokens: Vec<u32> = (0..logits.len() as u32).collect();
    let Some(best) = tokens.iter().copied().min_by(order) else {
        return Err(Error::other("the network has no tokens"));
    };
    let Sampling { temperature, top_p, top_k } = sampling;
    if temperature == 0.0 {
        return Ok(best);
    }
    if (1..tokens.len()).contains(&top_k) {
        tokens.select_nth_unstable_by(top_k - 1, order);
        tokens.truncate(top_k);
    }
    if top_k > 0 || top_p < 1.0 {
        tokens.sort_unstable_by(order);
    }
    let likeliest = f64::from(logits[best as usize]);
    let weigh = |token: &u32| ((f64::from(logits[*token as usize]) - likeliest) / temperature).exp();
    let mut weights: Vec<f64> = tokens.iter().map(weigh).collect();
    if top_p < 1.0 {
        let enough = top_p * weights.iter().sum::<f64>();
        let mut sum = 0.0;
        let short = weights.iter().take_while(|&&weight| {
            let short = sum < enough;
            sum += weight;
            short
        });
        let kept = short.count().max(1);
        weights.truncate(kept);
    }
    // Rounding may carry the draw past the last.
    let drawn = seed::weighted(weights.iter().copied(), rng).unwrap_or(weights.len() - 1);
    Ok(tokens[drawn])
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: &[f32] = &[1.0, 3.0, 2.0, 3.0, f32::NEG_INFINITY];

    fn shares(sampling: Sampling) -> Vec<f64> {
        const DRAWS: usize = 20_000;
        let mut rng = seed::stream(7, "draws");
        let mut counts = [0.0; LOGITS.len()];
        for _ in 0..DRAWS {
            counts[draw(LOGITS, sampling, &mut rng).unwrap() as usize] += 1.0 / DRAWS as f64;
        }
        counts.to_vec()
    }

    fn check(temperature: f64, top_p: f64, top_k: usize, weights: [f64; 5]) {
        let sum: f64 = weights.iter().sum();
        for (share, weight) in shares(Sampling { temperature, top_p, top_k }).iter().zip(weights) {
            assert!((share - weight / sum).abs() < 0.015, "{share} instead of {}", weight / sum);
        }
    }

    #[test]
    fn tokens_are_drawn_by_their_probability() {
        let e = |x: f64| x.exp();
        check(0.0, 1.0, 0, [0.0, 1.0, 0.0, 0.0, 0.0]);
        check(1.0, 1.0, 0, [e(1.0), e(3.0), e(2.0), e(3.0), 0.0]);
        check(2.0, 1.0, 0, [e(0.5), e(1.5), e(1.0), e(1.5), 0.0]);
        check(1.0, 1.0, 3, [0.0, e(3.0), e(2.0), e(3.0), 0.0]);
        check(1.0, 1.0, 1, [0.0, 1.0, 0.0, 0.0, 0.0]);
        // Tokens 1 and 3 have a probability of 0.4 each.
        check(1.0, 0.5, 0, [0.0, 1.0, 0.0, 1.0, 0.0]);
        check(1.0, 0.9, 0, [0.0, e(3.0), e(2.0), e(3.0), 0.0]);
        check(1.0, 0.0, 0, [0.0, 1.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn what_is_not_a_number_is_an_error() {
        let sampling = Sampling { temperature: 0.0, top_p: 1.0, top_k: 0 };
        let error = draw(&[1.0, f32::NAN], sampling, &mut seed::stream(0, "")).unwrap_err();
        assert!(error.message.contains("not a number"), "{error}");
    }
}
