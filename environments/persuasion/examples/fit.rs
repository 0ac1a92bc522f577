//! Fits the donor to PersuasionForGood and reports how well it fits.
//!
//!     cargo run --release -p forethought-persuasion --example fit -- "$FORETHOUGHT_DATA/p4g"
//!
//! The report is of a donor fitted to two thirds of the dialogues and compared with the rest; the numbers that ship,
//! written to `src/donor/fitted.json`, are fitted to all of them.

use std::path::Path;

use forethought_persuasion::donor::{corpus::Corpus, fit};
use forethought_sdk::prelude::*;

fn main() -> Result<()> {
    let folder =
        std::env::args().nth(1).ok_or_else(|| Error::input("give the folder of PersuasionForGood"))?;
    let corpus = Corpus::read(Path::new(&folder))?;
    let (held, fitted) = corpus.split();
    println!("{}", fit::report(&fit::fit(&fitted), &fitted, &held));
    let out = concat!(env!("CARGO_MANIFEST_DIR"), "/src/donor/fitted.json");
    let numbers = forethought_sdk::serde_json::to_string(&fit::fit(&corpus)).context("numbers are JSON")?;
    std::fs::write(out, numbers + "\n").context(format!("cannot write {out}"))?;
    println!("written: {out}");
    Ok(())
}
