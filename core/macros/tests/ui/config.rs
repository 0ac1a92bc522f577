use forethought_macros::{config, data};

#[config(closed)]
struct Closed {}

#[data(crate)]
struct Nameless {}

fn main() {}
