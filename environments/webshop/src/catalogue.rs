//! A catalogue read from files: a folder with WebShop's own product data.
//!
//! The folder has either `products.jsonl` (processed products, one per line) or upstream's `items_shuffle*.json`
//! (one array), together with `items_ins_v2*.json` (attributes and synthetic instructions) and `items_human_ins.json`
//! (people's instructions).

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use forethought_sdk::api::text::unmarked;
use forethought_sdk::prelude::*;
use forethought_sdk::serde::de::DeserializeOwned;
use forethought_sdk::serde_json::{self, Map, Value};

use crate::goals::{self, HumanWish, SyntheticWish};
use crate::product::{Catalogue, Goal, Product};
use crate::python;
use crate::python_random::PythonRandom;

/// Whose instructions are the goals.
#[config]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GoalKind {
    /// Made from a template, one for every combination of a product's options.
    #[default]
    Synthetic,
    /// Written by people.
    Human,
}

/// Products and goals from a folder.
#[derive(Debug)]
pub struct FileCatalogue {
    products: Vec<Product>,
    numbers: HashMap<String, u32>,
    prices: Vec<f64>,
    goals: Vec<Goal>,
}

impl FileCatalogue {
    /// Reads `folder` and draws prices and goals under `seed`, as upstream does after `random.seed(seed)`.
    ///
    /// # Errors
    /// A missing or malformed file. Names the file and the line or product.
    pub fn read(folder: &Path, kind: GoalKind, seed: u64) -> Result<Self> {
        let (file, records) = read_records(folder)?;
        let attributes: HashMap<String, AttributeRecord> = match named(folder, "items_ins_v2")? {
            Some(path) => read_json(&path)?,
            None => {
                return Err(Error::not_found(format!(
                    "{} has no items_ins_v2*.json (attributes and synthetic instructions); put it next to {}",
                    folder.display(),
                    file.display()
                )));
            }
        };
        let human: HashMap<String, Vec<HumanRecord>> = match named(folder, "items_human_ins")? {
            Some(path) => read_json(&path)?,
            None => HashMap::new(),
        };

        let mut products: Vec<Product> = Vec::with_capacity(records.len());
        let mut numbers = HashMap::with_capacity(records.len());
        let (mut synthetic_wishes, mut human_wishes) = (Vec::new(), Vec::new());
        let mut unreadable = 0;
        for (place, mut record) in records {
            if record.asin == "nan" || record.asin.chars().count() > 10 {
                unreadable += 1;
                continue;
            }
            if numbers.contains_key(&record.asin) {
                continue;
            }
            let own = attributes.get(&record.asin);
            synthetic_wishes.push(own.and_then(AttributeRecord::wish));
            let instructions = human.get(&record.asin).cloned().or(record.instructions.take());
            human_wishes.push(
                instructions.unwrap_or_default().into_iter().map(HumanRecord::wish).collect::<Vec<_>>(),
            );
            let attributes = own.and_then(|own| own.attributes.clone());
            let product = record
                .into_product(attributes.unwrap_or_else(|| vec!["DUMMY_ATTR".into()]))
                .map_err(|error| error.context(format!("{}, {place}", file.display())))?;
            if kind == GoalKind::Synthetic && synthetic_wishes.last().is_some_and(Option::is_some) {
                combine(&product).map_err(|error| error.context(format!("{}, {place}", file.display())))?;
            }
            numbers.insert(product.asin.clone(), products.len() as u32);
            products.push(product);
        }
        let left_out = match unreadable {
            0 => String::new(),
            _ => format!(
                "; {unreadable} are left out, because their `asin` is \"nan\" or longer than 10 characters"
            ),
        };
        if products.is_empty() {
            return Err(Error::input(format!("{} has no products{left_out}", file.display())));
        }
        if unreadable > 0 {
            tracing::warn!("{} has {} products{left_out}", file.display(), products.len());
        }

        let mut random = PythonRandom::seed(seed);
        let prices = goals::prices(&products, &mut random);
        let goals = match kind {
            GoalKind::Synthetic => goals::synthetic(&products, &synthetic_wishes, &prices, random),
            GoalKind::Human => goals::human(&products, &human_wishes, &prices, random),
        };
        if goals.is_empty() {
            return Err(Error::input(format!(
                "{} has no {kind:?} instruction for any of its {} products; choose the other kind of `goals`",
                folder.display(),
                products.len()
            )));
        }
        Ok(Self { products, numbers, prices, goals })
    }
}

impl Catalogue for FileCatalogue {
    fn len(&self) -> u32 {
        self.products.len() as u32
    }
    fn product(&self, index: u32) -> Cow<'_, Product> {
        Cow::Borrowed(&self.products[index as usize])
    }
    fn find(&self, asin: &str) -> Option<u32> {
        self.numbers.get(asin).copied()
    }
    fn price(&self, index: u32) -> f64 {
        self.prices[index as usize]
    }
    fn goals(&self) -> u64 {
        self.goals.len() as u64
    }
    fn goal(&self, index: u64) -> Cow<'_, Goal> {
        Cow::Borrowed(&self.goals[index as usize])
    }
}

/// A product as it is in the files, processed or raw.
#[data]
#[derive(Debug)]
struct Record {
    asin: String,
    name: Option<String>,
    full_description: Option<String>,
    #[serde(default)]
    small_description: Value,
    #[serde(default)]
    pricing: Value,
    /// Processed form: values by name.
    options: Option<Map<String, Value>>,
    /// Raw form: lists of `{"value": ...}` by name, or an empty text.
    #[serde(default)]
    customization_options: Value,
    #[serde(default)]
    query: String,
    #[serde(default)]
    category: String,
    #[serde(default)]
    product_category: String,
    #[serde(default)]
    images: Vec<Option<String>>,
    instructions: Option<Vec<HumanRecord>>,
}

#[data]
#[derive(Debug)]
struct AttributeRecord {
    attributes: Option<Vec<String>>,
    instruction: Option<String>,
    instruction_attributes: Option<Vec<String>>,
}

impl AttributeRecord {
    fn wish(&self) -> Option<SyntheticWish> {
        let attributes = self.instruction_attributes.clone().filter(|attributes| !attributes.is_empty())?;
        Some(SyntheticWish { instruction: self.instruction.clone()?, attributes })
    }
}

#[data]
#[derive(Debug, Clone)]
struct HumanRecord {
    instruction: String,
    instruction_attributes: Vec<String>,
    #[serde(default)]
    instruction_options: Vec<String>,
}

impl HumanRecord {
    fn wish(self) -> HumanWish {
        let Self { instruction, instruction_attributes: attributes, instruction_options: options } = self;
        HumanWish { instruction, attributes, options }
    }
}

impl Record {
    fn into_product(self, attributes: Vec<String>) -> Result<Product> {
        let bullets = match self.small_description {
            Value::Null => Vec::new(),
            Value::String(text) => vec![text],
            Value::Array(items) => {
                items.into_iter().map(|item| text(item, "small_description")).collect::<Result<_>>()?
            }
            other => return Err(wrong("small_description", "a text or a list of texts", &other)),
        };
        let pricing = prices(&self.pricing)?;
        let price_tag = match pricing[..] {
            [low, high, ..] => format!("${} to ${}", python::float(low), python::float(high)),
            [price] => format!("${}", python::float(price)),
            [] => return Err(wrong("pricing", "at least one price after a `$`", &self.pricing)),
        };
        Ok(Product {
            asin: self.asin,
            title: self.name.unwrap_or_default(),
            description: self.full_description.unwrap_or_default(),
            bullets,
            pricing,
            price_tag,
            options: match self.options {
                Some(options) => processed_options(options)?,
                None => raw_options(self.customization_options)?,
            },
            attributes,
            query: python::strip(&self.query.to_lowercase()).to_owned(),
            category: self.category,
            product_category: self.product_category,
            image: self.images.into_iter().next().flatten().unwrap_or_default(),
        })
    }
}

/// The most goals that are made of one product.
const MOST_GOALS: usize = 100_000;

/// Refuses a product whose options combine to more goals than can be held.
fn combine(product: &Product) -> Result<()> {
    let goals =
        product.options.iter().fold(1, |goals: usize, (_, values)| goals.saturating_mul(values.len()));
    match goals > MOST_GOALS {
        true => Err(Error::input(format!(
            "its options combine to {goals} goals, and at most {MOST_GOALS} are made of one product; shorten the lists, or \
             use `goals = \"human\"`"
        ))),
        false => Ok(()),
    }
}

fn wrong(field: &str, wanted: &str, found: &Value) -> Error {
    Error::input(format!("`{field}` should be {wanted}, but is {found}"))
}

fn text(value: Value, field: &str) -> Result<String> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(wrong(field, "a list of texts", &other)),
    }
}

/// One price or two; products without a price cost $100.
fn prices(pricing: &Value) -> Result<Vec<f64>> {
    let mut prices = match pricing {
        Value::Null => vec![100.0],
        Value::String(text) if text.is_empty() => vec![100.0],
        Value::Array(items) if items.is_empty() => vec![100.0],
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_f64().ok_or_else(|| wrong("pricing", "a list of numbers", item)))
            .collect::<Result<_>>()?,
        Value::String(text) => text
            .split('$')
            .skip(1)
            .map(|piece| {
                let digits: String = piece.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
                digits.parse().map_err(|_| wrong("pricing", "prices such as $10.71", pricing))
            })
            .collect::<Result<_>>()?,
        other => return Err(wrong("pricing", "a text or a list of numbers", other)),
    };
    prices.truncate(2);
    Ok(prices)
}

type Options = Vec<(String, Vec<String>)>;

fn processed_options(options: Map<String, Value>) -> Result<Options> {
    options
        .into_iter()
        .map(|(name, values)| match values {
            Value::Array(values) => {
                Ok((name, values.into_iter().map(|value| text(value, "options")).collect::<Result<_>>()?))
            }
            other => Err(wrong("options", "lists of texts by name", &other)),
        })
        .collect()
}

fn raw_options(options: Value) -> Result<Options> {
    let Value::Object(options) = options else { return Ok(Vec::new()) };
    let mut read: Options = Vec::new();
    for (name, contents) in options {
        let contents = match contents {
            Value::Null => continue,
            Value::Array(contents) => contents,
            other => return Err(wrong("customization_options", "lists by name", &other)),
        };
        let values = contents
            .iter()
            .map(|content| match content.get("value").and_then(Value::as_str) {
                Some(value) => Ok(python::strip(value).replace('/', " | ").to_lowercase()),
                None => Err(wrong("customization_options", "lists of {\"value\": text}", content)),
            })
            .collect::<Result<_>>()?;
        let name = name.to_lowercase();
        match read.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = values,
            None => read.push((name, values)),
        }
    }
    Ok(read)
}

/// The products file and its records, each with its place for error messages.
fn read_records(folder: &Path) -> Result<(PathBuf, Vec<(String, Record)>)> {
    let lines = folder.join("products.jsonl");
    if lines.is_file() {
        let text = read_text(&lines)?;
        let records = text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(at, line)| {
                let place = format!("line {}", at + 1);
                match serde_json::from_str(line) {
                    Ok(record) => Ok((place, record)),
                    Err(error) => Err(Error::input(format!("{}, {place}: {error}", lines.display()))),
                }
            })
            .collect::<Result<_>>()?;
        return Ok((lines, records));
    }
    let Some(array) = named(folder, "items_shuffle")? else {
        return Err(Error::not_found(format!(
            "{} has neither products.jsonl nor items_shuffle*.json; set `catalogue` to a folder with WebShop's \
             product data, or to \"synthetic\"",
            folder.display()
        )));
    };
    let records: Vec<Record> = read_json(&array).map_err(|error| misread(&array).unwrap_or(error))?;
    let place = |(at, record): (usize, Record)| (format!("product {} ({})", at + 1, record.asin), record);
    Ok((array, records.into_iter().enumerate().map(place).collect()))
}

/// The error about the first product of a file that is JSON, but not all products. Reads it again: the place of an
/// error in a file of one line helps nobody.
fn misread(file: &Path) -> Option<Error> {
    let values: Vec<Value> = read_json(file).ok()?;
    values.iter().enumerate().find_map(|(at, value)| {
        let error = Record::deserialize(value).err()?;
        Some(Error::input(format!("{}, product {} ({}): {error}", file.display(), at + 1, value["asin"])))
    })
}

/// The one file of `folder` whose name starts with `start` and ends with `.json`.
fn named(folder: &Path, start: &str) -> Result<Option<PathBuf>> {
    let entries = std::fs::read_dir(folder)
        .map_err(|error| Error::not_found(format!("{}: {error}", folder.display())))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(start) && name.ends_with(".json") {
            found.push(path);
        }
    }
    match found.len() {
        0 | 1 => Ok(found.pop()),
        _ => Err(Error::input(format!("{} has several {start}*.json; keep one of them", folder.display()))),
    }
}

pub(crate) fn read_text(path: &Path) -> Result<String> {
    let mut text = std::fs::read_to_string(path).map_err(|error| {
        let code = match error.kind() {
            std::io::ErrorKind::NotFound => Code::NotFound,
            _ => Code::Input,
        };
        Error::new(code, format!("{}: {error}", path.display()))
    })?;
    // In place: a catalogue may be gigabytes.
    text.drain(..text.len() - unmarked(&text).len());
    Ok(text)
}

pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    serde_json::from_str(&read_text(path)?)
        .map_err(|error| Error::input(format!("{}: {error}", path.display())))
}
