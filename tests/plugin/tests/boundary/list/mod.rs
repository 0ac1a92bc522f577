//! The list: trials that every plugin must pass, however it was built and however it is reached.

mod calls;
mod creating;
mod failing;
mod objects;

use std::future::Future;
use std::pin::Pin;

use libtest_mimic::Trial;

use crate::way::{Way, trial};

type Item = (&'static str, fn(Way) -> Pin<Box<dyn Future<Output = ()>>>);

/// All trials, for one way to a plugin.
pub(crate) fn trials(way: &Way) -> Vec<Trial> {
    let items = [creating::ITEMS, calls::ITEMS, failing::ITEMS, objects::ITEMS].concat();
    items
        .into_iter()
        .map(|(name, run)| {
            let own = way.clone();
            trial(format!("{}/{name}", way.name), move || run(own))
        })
        .collect()
}

/// Declares trials with their numbers in the list.
macro_rules! items {
    ($($number:literal $name:ident),* $(,)?) => {
        pub(super) const ITEMS: &[super::Item] =
            &[$((concat!($number, "_", stringify!($name)), |way| Box::pin($name(way)))),*];
    };
}
use items;
