#![allow(unused_imports)]

use forethought_api::{Result, interface};

#[interface("acme.tide/1")]
trait Tide: Send + Sync {
    async fn name(&self) -> Result<&str>;
}

fn main() {}
