//! What the encoder guarantees, by example.

use forethought_encoder_hash::{HashConfig, HashEncoder};
use forethought_sdk::{
    futures::FutureExt,
    prelude::{EncoderSpec, Matrix, Result, TextEncoder},
    seed::{self, IndexedRandom, RngExt, SliceRandom},
};

fn encoder() -> HashEncoder {
    HashEncoder::new(HashConfig::default()).expect("the default config is valid")
}

fn encode(texts: &[&str]) -> Matrix {
    let texts = texts.iter().map(|text| text.to_string()).collect();
    encoder().encode(texts).now_or_never().expect("hashing never waits").expect("encodes")
}

fn spec(config: HashConfig) -> Result<EncoderSpec> {
    HashEncoder::new(config)?.spec().now_or_never().expect("never waits")
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Cosine similarity of two texts.
fn cosine(a: &str, b: &str) -> f32 {
    let rows = encode(&[a, b]);
    dot(rows.row(0), rows.row(1))
}

#[test]
fn every_row_is_a_unit_vector_in_the_order_given() {
    let texts = [
        "",
        "   ",
        "!!! ...",
        "a",
        "the",
        "buy it now",
        "尺码：大",
        "naïve Straße 😀",
        &"size ".repeat(5000),
    ];
    let rows = encode(&texts);
    assert_eq!((rows.rows(), rows.columns()), (texts.len(), 256));
    for (index, text) in texts.iter().enumerate() {
        assert!((dot(rows.row(index), rows.row(index)) - 1.0).abs() < 1e-5, "{text:?}");
        assert_eq!(rows.row(index), encode(&[text]).row(0), "{text:?} depends on its neighbours");
    }
    assert_eq!(rows.row(0), rows.row(2), "a text without words is the empty text");
    assert_eq!(encode(&[]).rows(), 0);
}

#[test]
fn vectors_are_the_same_on_every_platform_and_in_every_version() {
    // Pinned bits: a change here makes every trained critic useless, and needs a new version in the id.
    let bits = encode(&["Size: not chosen yet", "déjà vu, don't pay 19.99!"])
        .data()
        .iter()
        .fold(0u64, |hash, x| (hash.rotate_left(5) ^ u64::from(x.to_bits())).wrapping_mul(0x100_0000_01b3));
    assert_eq!(bits, 0x9ca9_1c92_4939_3ecd, "{bits:#x}");
}

#[test]
fn similarity_follows_words_their_order_and_their_letters() {
    let meaning = "the blue shirt is chosen";
    assert!(cosine(meaning, "The BLUE shirt, is chosen.") > 0.99, "case and punctuation do not matter");
    assert!(cosine(meaning, "blue shirt chosen") > cosine(meaning, "red trousers bought"));
    let letters = cosine("choosing shirts", "choose shirt");
    assert!(
        letters > cosine("choosing shirts", "buying lamps") + 0.1,
        "{letters}: letters alone make words alike"
    );
    assert!(cosine("size large, color not chosen", "size not chosen, color large") < 0.9, "order matters");
    assert!(cosine("size: chosen", "size: not chosen") < 0.8, "negations matter");
    assert!(cosine("bought with an option", "bought without an option") < 0.85);
    assert!(
        cosine("a shirt of the brand", "shirt brand") > cosine("a shirt of the brand", "a bag of the sort")
    );
}

#[test]
fn the_id_holds_every_setting_that_changes_a_vector() {
    let base = HashConfig::default();
    let changed = [
        base.clone(),
        HashConfig { dimension: 512, ..base.clone() },
        HashConfig { spread: 1, ..base.clone() },
        HashConfig { words: 0.5, ..base.clone() },
        HashConfig { pairs: 0.5, ..base.clone() },
        HashConfig { characters: 0.2, ..base.clone() },
        HashConfig { shortest: 4, ..base.clone() },
        HashConfig { longest: 6, ..base.clone() },
        HashConfig { stop_words: 0.0, ..base },
    ];
    let ids: std::collections::BTreeSet<String> =
        changed.iter().map(|config| spec(config.clone()).expect("valid").id).collect();
    assert_eq!(ids.len(), changed.len());
    assert_eq!(spec(changed[1].clone()).expect("valid").dimension, 512);
}

#[test]
fn settings_out_of_range_are_named() {
    let base = HashConfig::default;
    for (config, key) in [
        (HashConfig { dimension: 8, ..base() }, "`dimension` is 8"),
        (HashConfig { spread: 0, ..base() }, "`spread` is 0"),
        (HashConfig { pairs: f32::NAN, ..base() }, "`pairs` is NaN"),
        (HashConfig { shortest: 6, ..base() }, "`longest` is 5"),
        (HashConfig { words: 0.0, characters: 0.0, ..base() }, "`words` and `characters`"),
        (HashConfig { stop_words: 1.5, ..base() }, "`stop_words` is 1.5"),
    ] {
        let error = spec(config).expect_err(key).to_string();
        assert!(error.contains(key), "{error}");
    }
}

/// Summaries of a shopper's progress in several wordings, and whether buying now would miss an option.
fn summaries(count: usize, seed: u64, products: &[&str]) -> Vec<(String, bool)> {
    let mut random = seed::stream(seed, "summaries");
    let colors = ["black", "navy blue", "rose red", "white 3-pack", "heather grey"];
    let sizes = ["small", "xx-large", "10.5 wide", "queen", "12 ounce"];
    (0..count)
        .map(|_| {
            let mut pick = |from: &[&str]| from.choose(&mut random).expect("not empty").to_string();
            let (product, wanted, color, size) = (pick(products), pick(products), pick(&colors), pick(&sizes));
            let (has_color, has_size): (bool, bool) = (random.random(), random.random());
            let state = |name: &str, has: bool, value: &str| match has {
                true => format!("{name}: {value} chosen"),
                false => format!("{name}: not chosen yet"),
            };
            let mut options = [state("color", has_color, &color), state("size", has_size, &size)];
            options.shuffle(&mut random);
            let price = random.random_range(5..90);
            let text = format!(
                "Looking for {wanted} in {color}, {size}, below {}.00 dollars. On the page of {product}, price \
                 {price}.99. {}; {}.",
                price + 10,
                options[0],
                options[1]
            );
            (text, !has_size)
        })
        .collect()
}

/// Accuracy on `test` of a perceptron with averaged weights trained on `train`.
fn probe(train: &[(String, bool)], test: &[(String, bool)]) -> f64 {
    let rows =
        |set: &[(String, bool)]| encode(&set.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>());
    let (features, held_out) = (rows(train), rows(test));
    let mut weights = vec![0.0f32; features.columns() + 1];
    let mut average = weights.clone();
    let score = |weights: &[f32], row: &[f32]| dot(weights, row) + weights[row.len()];
    for _ in 0..60 {
        for (index, (_, label)) in train.iter().enumerate() {
            let row = features.row(index);
            if (score(&weights, row) > 0.0) != *label {
                let sign = if *label { 1.0 } else { -1.0 };
                weights.iter_mut().zip(row.iter().chain(&[1.0])).for_each(|(w, x)| *w += sign * x);
            }
            average.iter_mut().zip(&weights).for_each(|(a, w)| *a += w);
        }
    }
    let right = test
        .iter()
        .enumerate()
        .filter(|(index, (_, label))| (score(&average, held_out.row(*index)) > 0.0) == *label);
    right.count() as f64 / test.len() as f64
}

#[test]
fn a_linear_probe_reads_a_missing_option_from_summaries_of_unseen_products() {
    let seen =
        ["running shoes", "bath towels", "a wall lamp", "green tea", "office chair cushions", "denim shirt"];
    let unseen = ["men's loafers", "vegan snack bars", "a queen bed frame", "wireless earbuds"];
    let (train, test) = (summaries(1500, 1, &seen), summaries(500, 2, &unseen));
    let accuracy = probe(&train, &test);
    println!("accuracy on unseen products: {accuracy:.3}");
    assert!(accuracy > 0.97, "{accuracy}");
}
