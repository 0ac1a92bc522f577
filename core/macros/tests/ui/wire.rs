#![allow(unused_imports)]

use forethought_api::{Result, interface};

#[interface("acme.tide/1")]
trait Tide: Send + Sync {
    #[wire]
    async fn rise(&self) -> Result<f64>;
    #[wire(ebb)]
    async fn fall(&self) -> Result<f64>;
}

fn main() {}
