#![allow(unused_imports)]

use forethought_api::{Result, interface};
use std::sync::Arc;

#[interface("acme.tide/1")]
trait Tide: Send + Sync {
    async fn exclusive(&mut self) -> Result<()>;
    async fn by_value(self) -> Result<()>;
    async fn by_arc(self: Arc<Self>) -> Result<()>;
    async fn for_ever(&'static self) -> Result<()>;
    async fn none() -> Result<()>;
    async fn argument_only(hour: u32) -> Result<()>;
}

fn main() {}
