#![allow(unused_imports)]

use forethought_api::{Result, interface};

#[interface("acme.tide/1")]
trait Tide: Send + Sync {
    fn level(&self) -> Result<f64>;
    async unsafe fn reset(&self) -> Result<()>;
}

#[interface("acme.sea/1")]
unsafe trait Sea: Send + Sync {}

fn main() {}
