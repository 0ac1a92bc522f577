//! One product: what it has, and the texts that show or hide it.

use forethought_sdk::seed::{ChaCha8Rng, IndexedRandom, RngExt, SliceRandom};

use super::families::{Department, Dimension, FAMILIES, Family, entries, family};
use crate::product::Product;

const LINES: [&str; 64] = [
    "Acadia",
    "Alpine",
    "Anchor",
    "Aspen",
    "Atlas",
    "Aurora",
    "Banner",
    "Beacon",
    "Bonfire",
    "Boulder",
    "Breeze",
    "Cadence",
    "Canyon",
    "Cascade",
    "Chester",
    "Clover",
    "Cobalt",
    "Compass",
    "Crescent",
    "Delta",
    "Drift",
    "Echo",
    "Element",
    "Evergreen",
    "Falcon",
    "Fjord",
    "Frontier",
    "Galaxy",
    "Glacier",
    "Granite",
    "Haven",
    "Heron",
    "Horizon",
    "Indigo",
    "Jubilee",
    "Lagoon",
    "Legacy",
    "Lyric",
    "Magnolia",
    "Meridian",
    "Mesa",
    "Monarch",
    "Nimbus",
    "Nomad",
    "Oasis",
    "Onyx",
    "Orion",
    "Outpost",
    "Pacific",
    "Pioneer",
    "Prairie",
    "Quartz",
    "Ranger",
    "Ridge",
    "Sierra",
    "Sonata",
    "Sparrow",
    "Sterling",
    "Summit",
    "Tempo",
    "Tundra",
    "Vista",
    "Willow",
    "Zephyr",
];

/// Sentences that say nothing a shopper asks for.
const FILLERS: [&str; 12] = [
    "Designed by a small team that answers every letter.",
    "Checked twice before it leaves our workshop.",
    "A thoughtful present for birthdays and holidays.",
    "Please compare the measurements with what you own before ordering.",
    "Colors may look slightly different from screen to screen.",
    "Reach out within thirty days if anything is not right.",
    "Packed in plain cardboard without needless plastic.",
    "A favorite of our returning customers since the first season.",
    "Made in small runs so that we can keep an eye on every step.",
    "Pairs well with the other pieces of the same line.",
    "Ships from our own warehouse.",
    "Comes with a printed leaflet in three languages.",
];

/// An attribute of a family.
#[derive(Clone, Copy)]
pub(super) struct Attribute {
    pub(super) phrase: &'static str,
    /// Whether products come *with* it rather than *are* so.
    pub(super) is_part: bool,
}

/// A product before it is written down.
pub(super) struct Sketch {
    pub(super) department: &'static Department,
    pub(super) family: &'static Family,
    /// Those it has, in no particular order.
    pub(super) attributes: Vec<Attribute>,
}

/// Product `index`, drawn from its own stream. The fields of `Sketch` are drawn first.
pub(super) fn sketch(index: u32, random: &mut ChaCha8Rng) -> Sketch {
    let (department, family) = family(index as usize % FAMILIES);
    let mut pool: Vec<Attribute> = entries(family.attributes).into_iter().map(attribute).collect();
    pool.shuffle(random);
    pool.truncate(random.random_range(4..=6));
    Sketch { department, family, attributes: pool }
}

fn attribute(entry: &'static str) -> Attribute {
    match entry.strip_prefix('+') {
        Some(phrase) => Attribute { phrase, is_part: true },
        None => Attribute { phrase: entry, is_part: false },
    }
}

/// Writes the product down.
pub(super) fn product(index: u32, asin: String, sketch: &Sketch, random: &mut ChaCha8Rng) -> Product {
    let Sketch { department, family, attributes } = sketch;
    let brand = choose(&entries(department.brands), random);
    let material = choose(&entries(family.materials), random);
    let model = model(index);

    // The title shows what sells; the rest is in the features.
    let shown = &attributes[..random.random_range(1..=2)];
    let titled: Vec<String> = shown.iter().map(|attribute| title_case(attribute.phrase)).collect();
    let title = format!("{brand} {model} {}, {}", title_case(family.query), titled.join(", "));

    let mut bullets: Vec<String> = attributes.iter().map(|attribute| sentence(*attribute, random)).collect();
    bullets.extend(FILLERS.sample(random, 2).map(|&filler| filler.to_owned()));
    bullets.shuffle(random);

    let description = format!(
        "{model} is what {brand} offers to people who look for {}. The base is {material}. {}",
        family.query,
        choose(&FILLERS, random),
    );
    let pricing = pricing(family, random);
    let price_tag = pricing.iter().map(|price| format!("${price:?}")).collect::<Vec<_>>().join(" to ");
    Product {
        asin,
        title,
        description,
        bullets,
        pricing,
        price_tag,
        options: family
            .options
            .iter()
            .map(|dimension| (dimension.name.to_owned(), offer(dimension, random)))
            .collect(),
        attributes: attributes.iter().map(|attribute| attribute.phrase.to_owned()).collect(),
        query: family.query.to_owned(),
        category: department.name.to_owned(),
        product_category: family.path.to_owned(),
        image: String::new(),
    }
}

/// A name that no other product of the family has (up to `900 * LINES.len()` of them).
fn model(index: u32) -> String {
    let ordinal = index as usize / FAMILIES;
    let (line, edition) = (ordinal % LINES.len(), ordinal / LINES.len());
    // Strides without common factors visit all lines and all numbers; families start at different ones.
    let family = index as usize % FAMILIES;
    let number = 100 + (edition * 61 + line * 17 + family * 37) % 900;
    format!("{} {number}", LINES[(line * 27 + family * 5) % LINES.len()])
}

fn choose<'a>(from: &[&'a str], random: &mut ChaCha8Rng) -> &'a str {
    from.choose(random).expect("lists are not empty")
}

fn title_case(phrase: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .map(|first| first.to_uppercase().chain(letters).collect::<String>())
            .unwrap_or_default()
    };
    phrase.split(' ').map(capital).collect::<Vec<_>>().join(" ")
}

fn sentence(Attribute { phrase, is_part }: Attribute, random: &mut ChaCha8Rng) -> String {
    let (before, behind) = if is_part {
        choose_pair(
            &[
                ("Comes with ", ", ready from the first day."),
                ("You get ", " at no extra cost."),
                ("We added ", " because customers asked for it."),
                ("Features ", " where it matters."),
            ],
            random,
        )
    } else {
        choose_pair(
            &[
                ("It is ", ", as it should be."),
                ("We keep it ", " without compromise."),
                ("Tested to be ", " in daily use."),
                ("Guaranteed to be ", " for as long as you own it."),
            ],
            random,
        )
    };
    format!("{before}{phrase}{behind}")
}

fn choose_pair<'a>(from: &[(&'a str, &'a str)], random: &mut ChaCha8Rng) -> (&'a str, &'a str) {
    *from.choose(random).expect("lists are not empty")
}

fn pricing(family: &Family, random: &mut ChaCha8Rng) -> Vec<f64> {
    let (least, most) = (f64::from(family.price.0), f64::from(family.price.1));
    let dollars = (least * (most / least).powf(random.random::<f64>())).floor();
    let cents = *[99, 95, 49, 89, 50, 0].choose(random).expect("lists are not empty");
    let price = |dollars: f64| (dollars * 100.0 + f64::from(cents)) / 100.0;
    // As often as in the real catalogue.
    if random.random_range(0..1000) < 93 {
        return vec![price(dollars), price((dollars * random.random_range(1.1..1.7)).ceil())];
    }
    vec![price(dollars)]
}

fn offer(dimension: &Dimension, random: &mut ChaCha8Rng) -> Vec<String> {
    let mut values = entries(dimension.values);
    let count = random.random_range(dimension.offered.0..=dimension.offered.1);
    if dimension.ordered {
        let from = random.random_range(0..=values.len() - count);
        values = values[from..from + count].to_vec();
    } else {
        values.shuffle(random);
        values.truncate(count);
    }
    values.into_iter().map(str::to_owned).collect()
}
