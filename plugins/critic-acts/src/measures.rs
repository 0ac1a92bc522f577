//! Accuracy and macro-averaged F1.

/// True and predicted acts, pair by pair.
pub(crate) type Pairs = [(usize, usize)];

/// Share of pairs that agree.
pub(crate) fn accuracy(pairs: &Pairs) -> f64 {
    pairs.iter().filter(|(act, said)| act == said).count() as f64 / pairs.len().max(1) as f64
}

/// F1 of one act: the harmonic mean of precision and recall; `None` if it neither occurs nor is predicted.
pub(crate) fn f1(pairs: &Pairs, act: usize) -> Option<f64> {
    let count =
        |holds: &dyn Fn(&(usize, usize)) -> bool| pairs.iter().filter(|pair| holds(pair)).count() as f64;
    let hits = count(&|(true_one, said)| *true_one == act && *said == act);
    let named = count(&|(true_one, _)| *true_one == act) + count(&|(_, said)| *said == act);
    (named > 0.0).then(|| 2.0 * hits / named)
}

/// Mean F1 over the acts that occur or are predicted.
pub(crate) fn macro_f1(pairs: &Pairs, acts: usize) -> f64 {
    let found: Vec<f64> = (0..acts).filter_map(|act| f1(pairs, act)).collect();
    found.iter().sum::<f64>() / found.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_of_four_utterances() {
        let pairs = [(0, 0), (0, 1), (1, 1), (2, 1)];
        assert_eq!(accuracy(&pairs), 0.5);
        assert_eq!(f1(&pairs, 0), Some(2.0 / 3.0));
        assert_eq!(f1(&pairs, 1), Some(0.5));
        assert_eq!((f1(&pairs, 2), f1(&pairs, 3)), (Some(0.0), None));
        assert!((macro_f1(&pairs, 4) - (2.0 / 3.0 + 0.5) / 3.0).abs() < 1e-12);
    }
}
