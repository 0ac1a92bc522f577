#![allow(unused_imports)]

use forethought_api::{Result, interface};

#[interface("acme.tide/1")]
trait Tide: Send + Sync {
    type Level;
    const HOURS: u32;
    async fn level(&self) -> Result<f64>;
}

fn main() {}
